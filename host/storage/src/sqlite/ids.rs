//! Ids of sent activities: what the host called them, and what the channel calls them.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::cache::{Ids, UNDELIVERED};
use super::columns::columns;
use super::index::Lookup;
use super::numbered::{find, forget_oldest};
use super::{failed, run};
use crate::StorageError;
use turntable_activity::ConversationKey;

/// Returns the channel's id of an activity that was delivered, or could not be.
pub(super) fn channel_id(
    connection: &Connection,
    conversation: &ConversationKey,
    host_id: &str,
    found: Lookup,
) -> rusqlite::Result<Option<Arc<str>>> {
    let (bot, channel, conversation) = columns(conversation);
    let sql = "SELECT channel_id FROM ids WHERE bot = ? AND channel = ? AND conversation = ? AND host_id = ?";
    find(connection, sql, params![bot, channel, conversation, host_id], found, |row| row.get(0))
}

pub(super) fn host_id(
    connection: &Connection,
    conversation: &ConversationKey,
    channel_id: &str,
    found: Lookup,
) -> rusqlite::Result<Option<Arc<str>>> {
    let (bot, channel, conversation) = columns(conversation);
    let sql = "SELECT host_id FROM ids WHERE bot = ? AND channel = ? AND conversation = ? AND channel_id = ?";
    find(connection, sql, params![bot, channel, conversation, channel_id], found, |row| row.get(0))
}

/// Keeps which id the channel gave, or that it has given none. Returns where.
pub(super) fn map_id(
    connection: &Connection,
    key: &ConversationKey,
    host_id: &str,
    channel_id: &str,
    ids: &Ids,
    ids_max: usize,
) -> Result<i64, StorageError> {
    let (bot, channel, conversation) = columns(key);
    let columns: &[&dyn ToSql] = params![bot, channel, conversation, host_id];
    let value: &[&dyn ToSql] = params![channel_id];
    let update = "UPDATE ids SET channel_id = ? WHERE bot = ? AND channel = ? AND conversation = ? AND host_id = ?";
    let number: Option<i64> = match ids.of_host(key, host_id) {
        Lookup::At(UNDELIVERED) | Lookup::Absent => None,
        Lookup::At(number) => {
            let at: &[&dyn ToSql] = params![number];
            let updated = run(connection, &format!("{update} AND number = ?"), &*[value, columns, at].concat())?;
            (updated > 0).then_some(number)
        }
        Lookup::Unknown => {
            let mut statement = connection
                .prepare_cached(&format!("{update} RETURNING number"))
                .map_err(|error| failed("prepare", &error))?;
            let updated = statement.query_row(&*[value, columns].concat(), |row| row.get(0));
            updated.optional().map_err(|error| failed("write", &error))?
        }
    };
    if let Some(number) = number {
        return Ok(number);
    }
    let sql = "INSERT INTO ids (bot, channel, conversation, host_id, channel_id) VALUES (?, ?, ?, ?, ?)";
    run(connection, sql, &*[columns, value].concat())?;
    let number = connection.last_insert_rowid();
    forget_oldest(connection, "ids", number, ids_max)?;
    Ok(number)
}
