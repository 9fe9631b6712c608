//! Ids, conversations and scopes as columns, and rows as what they hold.

use std::sync::Arc;

use rusqlite::Row;

use crate::{OutboxAction, OutboxRow, ScopeOwner};
use turntable_activity::{ChannelInstance, ConversationKey};

/// The columns that `row_of` reads, first in a query.
pub(super) const ROW: &str = "sequence, service_url, turn_id, action, id, activity";

pub(super) fn row_of(row: &Row<'_>, conversation: ConversationKey) -> rusqlite::Result<OutboxRow> {
    let (action, id): (String, Arc<str>) = (row.get(3)?, row.get(4)?);
    let action = match action.as_str() {
        "send" => OutboxAction::Send { host_id: id, activity: row.get(5)? },
        "update" => OutboxAction::Update { target: id, activity: row.get(5)? },
        _ => OutboxAction::Delete { target: id },
    };
    Ok(OutboxRow { sequence: row.get(0)?, conversation, service_url: row.get(1)?, turn_id: row.get(2)?, action })
}

/// Bot, channel and conversation as columns.
pub(super) fn columns(key: &ConversationKey) -> (&str, String, &str) {
    (&key.bot, channel_column(&key.channel), &key.conversation)
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

/// Reads the first three columns.
pub(super) fn conversation_of(row: &Row<'_>) -> rusqlite::Result<ConversationKey> {
    Ok(ConversationKey { bot: row.get(0)?, channel: channel_of(&row.get::<_, String>(1)?), conversation: row.get(2)? })
}

/// A number of a caller as SQLite has them: beyond the greatest there is nothing.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Scope, channel, conversation and user as columns; what a scope does not have is empty.
pub(super) fn scope_columns(owner: &ScopeOwner) -> (&'static str, String, &str, &str) {
    match owner {
        ScopeOwner::Bot => ("bot", String::new(), "", ""),
        ScopeOwner::Conversation(channel, conversation) => ("conversation", channel_column(channel), conversation, ""),
        ScopeOwner::User(channel, user) => ("user", channel_column(channel), "", user),
        ScopeOwner::Private(channel, conversation, user) => ("private", channel_column(channel), conversation, user),
    }
}
