//! Keys and settings that the tests share.

use turntable_activity::{ChannelInstance, ConversationKey};
use turntable_config::Channel;

pub(crate) fn conversation(id: &str) -> ConversationKey {
    ConversationKey { bot: "bot".into(), channel: ChannelInstance::Wire("test".into()), conversation: id.into() }
}

/// Settings with small bounds.
pub(crate) fn settings() -> Channel {
    Channel {
        outbox_rows_max: 8,
        dead_letters_max: 4,
        redelivery_marks_max: 4,
        id_map_entries_max: 8,
        ..Channel::default()
    }
}
