//! Keys and settings that the tests share.

#[allow(dead_code, reason = "the specs of the host use the rest of it")]
pub(crate) mod server;

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

/// Reports that a test cannot run on this machine, and why. `.ci/run` fails if any test was skipped.
pub(crate) fn skip(why: &str) {
    let line = format!("SKIPPED: {}: {why}\n", std::thread::current().name().unwrap_or("a test"));
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    if let Some(path) = std::env::var_os("TURNTABLE_SKIPPED") {
        let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
        std::io::Write::write_all(&mut file, line.as_bytes()).unwrap();
    }
}
