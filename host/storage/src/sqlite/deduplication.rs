//! Deduplication records: which activities are processed, and what their turns answered.

use std::sync::Arc;

use rusqlite::{Connection, ToSql, params};

use super::cache::Records;
use super::columns::columns;
use super::index::Lookup;
use super::numbered::{find, forget_oldest};
use super::run;
use crate::{Answer, DeduplicationKey, StorageError};

fn body(key: &DeduplicationKey) -> &[u8] {
    key.body.as_ref().map_or(&[], |body| body.as_slice())
}

/// Returns the number of a new mark.
pub(super) fn set_record(
    connection: &Connection,
    key: &DeduplicationKey,
    turn_id: &str,
    answer: &Answer,
    records: &Records,
    records_max: usize,
) -> Result<Option<i64>, StorageError> {
    let (bot, channel, conversation) = columns(&key.conversation);
    let columns: &[&dyn ToSql] = params![bot, channel, conversation, key.kind, key.id, body(key)];
    let values: &[&dyn ToSql] = params![answer.status, answer.body, turn_id];
    let update = format!("UPDATE marks SET status = ?, answer = ?, turn_id = ? WHERE {RECORD}");
    // A flush has left it one.
    let updated = match records.find(key) {
        Lookup::At(number) => {
            let at: &[&dyn ToSql] = params![number];
            run(connection, &format!("{update} AND number = ?"), &*[values, columns, at].concat())?
        }
        Lookup::Unknown => run(connection, &update, &*[values, columns].concat())?,
        Lookup::Absent => 0,
    };
    if updated > 0 {
        return Ok(None);
    }
    let sql = "INSERT INTO marks (bot, channel, conversation, kind, id, body, status, answer, turn_id) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    run(connection, sql, &*[columns, values].concat())?;
    let number = connection.last_insert_rowid();
    forget_oldest(connection, "marks", number, records_max)?;
    Ok(Some(number))
}

/// Which mark is a key's.
const RECORD: &str = "bot = ? AND channel = ? AND conversation = ? AND kind = ? AND id = ? AND body = ?";

/// Returns the turn of a mark, and what it answered.
pub(super) fn record_of(
    connection: &Connection,
    key: &DeduplicationKey,
    found: Lookup,
) -> rusqlite::Result<Option<(Arc<str>, Answer)>> {
    let (bot, channel, conversation) = columns(&key.conversation);
    let columns: &[&dyn ToSql] = params![bot, channel, conversation, key.kind, key.id, body(key)];
    let sql = format!("SELECT turn_id, status, answer FROM marks WHERE {RECORD}");
    find(connection, &sql, columns, found, |row| Ok((row.get(0)?, Answer { status: row.get(1)?, body: row.get(2)? })))
}
