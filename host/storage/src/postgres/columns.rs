//! Keys and what rows hold.

use sha2::{Digest, Sha256};
use tokio_postgres::Row;

use super::param::Columns;
use crate::{DeduplicationKey, OutboxAction, OutboxRow, ScopeOwner, StateScope};
use turntable_activity::{ChannelInstance, ConversationKey};

/// The columns that [`row_of`] reads, first in a query.
pub(super) const ROW: &str = "sequence, service_url, turn_id, action, id, activity";

/// A hashed key of a table.
pub(super) type Key = [u8; 32];

type Read<T> = Result<T, tokio_postgres::Error>;

pub(super) fn row_of(row: &Row, conversation: ConversationKey) -> Read<OutboxRow> {
    let (id, text) = (row.text(4)?, row.optional_text(5)?.unwrap_or_else(|| "".into()));
    let action = match &*row.text(3)? {
        "send" => OutboxAction::Send { host_id: id, activity: text },
        "update" => OutboxAction::Update { target: id, activity: text },
        _ => OutboxAction::Delete { target: id },
    };
    Ok(OutboxRow { sequence: row.number(0)?, conversation, service_url: row.text(1)?, turn_id: row.text(2)?, action })
}

/// Reads bot, channel and conversation from this column and the next two.
pub(super) fn conversation_of(row: &Row, first: usize) -> Read<ConversationKey> {
    let channel = channel_of(&row.text(first + 1)?);
    Ok(ConversationKey { bot: row.text(first)?, channel, conversation: row.text(first + 2)? })
}

pub(super) fn channel_column(channel: &ChannelInstance) -> String {
    match channel {
        ChannelInstance::Wire(id) => format!("wire:{id}"),
        ChannelInstance::LocalDirectLine => "local".to_owned(),
    }
}

pub(super) fn channel_of(column: &str) -> ChannelInstance {
    match column.strip_prefix("wire:") {
        Some(id) => ChannelInstance::Wire(id.into()),
        None => ChannelInstance::LocalDirectLine,
    }
}

/// The key of a conversation.
pub(super) fn place(key: &ConversationKey) -> Key {
    place_in(&key.bot, &channel_column(&key.channel), &key.conversation)
}

/// The key of a conversation, whose channel is a column.
pub(super) fn place_in(bot: &str, channel: &str, conversation: &str) -> Key {
    digest(&[bot, channel, conversation], &[])
}

/// The key of a user of a channel.
pub(super) fn person(bot: &str, channel: &ChannelInstance, user: &str) -> Key {
    digest(&[bot, &channel_column(channel), user], &[])
}

/// The key of a deduplication record.
pub(super) fn record_key(key: &DeduplicationKey) -> Key {
    let of = &key.conversation;
    let body = key.body.as_ref().map_or(&[][..], |body| &body[..]);
    digest(&[&of.bot, &channel_column(&of.channel), &of.conversation, &key.kind, &key.id], body)
}

/// A scope of state in columns: its key, its kind, and what of channel, conversation and user it has. The rest is empty.
pub(super) struct ScopeColumns<'a> {
    pub(super) key: Key,
    pub(super) kind: &'static str,
    pub(super) channel: String,
    pub(super) conversation: &'a str,
    pub(super) user: &'a str,
    /// The key of its conversation.
    pub(super) place: Option<Key>,
    /// The key of its user.
    pub(super) person: Option<Key>,
}

pub(super) fn scope_columns(scope: &StateScope) -> ScopeColumns<'_> {
    let (kind, channel, conversation, user) = match &scope.owner {
        ScopeOwner::Bot => ("bot", None, "", ""),
        ScopeOwner::Conversation(channel, conversation) => ("conversation", Some(channel), &**conversation, ""),
        ScopeOwner::User(channel, user) => ("user", Some(channel), "", &**user),
        ScopeOwner::Private(channel, conversation, user) => ("private", Some(channel), &**conversation, &**user),
    };
    let column = channel.map(channel_column).unwrap_or_default();
    let has_place = matches!(kind, "conversation" | "private");
    ScopeColumns {
        key: digest(&[&scope.bot, &scope.namespace, kind, &column, conversation, user], &[]),
        kind,
        place: has_place.then(|| place_in(&scope.bot, &column, conversation)),
        person: channel.filter(|_| matches!(kind, "user" | "private")).map(|of| person(&scope.bot, of, user)),
        channel: column,
        conversation,
        user,
    }
}

/// Each part is preceded by its length, so that no two lists of parts are the same bytes.
pub(super) fn digest(parts: &[&str], body: &[u8]) -> Key {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(body);
    hash.finalize().into()
}
