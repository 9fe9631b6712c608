//! Deduplication records: which activities are processed, and what their turns answered.

use std::sync::Arc;

use rusqlite::{Connection, ToSql, params};

use super::cache::Marks;
use super::columns::columns;
use super::index::Found;
use super::numbered::{find, forget_oldest};
use super::run;
use crate::{Answer, RedeliveryKey, StorageError};

fn body(key: &RedeliveryKey) -> &[u8] {
    key.body.as_ref().map_or(&[], |body| body.as_slice())
}

/// Returns the number of a new mark.
pub(super) fn set_mark(
    connection: &Connection,
    key: &RedeliveryKey,
    turn_id: &str,
    answer: &Answer,
    marks: &Marks,
    marks_max: usize,
) -> Result<Option<i64>, StorageError> {
    let (bot, channel, conversation) = columns(&key.conversation);
    let columns: &[&dyn ToSql] = params![bot, channel, conversation, key.kind, key.id, body(key)];
    let values: &[&dyn ToSql] = params![answer.status, answer.body, turn_id];
    let update = format!("UPDATE marks SET status = ?, answer = ?, turn_id = ? WHERE {MARK}");
    // A flush has left it one.
    let updated = match marks.find(key) {
        Found::At(number) => {
            let at: &[&dyn ToSql] = params![number];
            run(connection, &format!("{update} AND number = ?"), &*[values, columns, at].concat())?
        }
        Found::Unknown => run(connection, &update, &*[values, columns].concat())?,
        Found::Nowhere => 0,
    };
    if updated > 0 {
        return Ok(None);
    }
    let sql = "INSERT INTO marks (bot, channel, conversation, kind, id, body, status, answer, turn_id) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    run(connection, sql, &*[columns, values].concat())?;
    let number = connection.last_insert_rowid();
    forget_oldest(connection, "marks", number, marks_max)?;
    Ok(Some(number))
}

/// Which mark is a key's.
const MARK: &str = "bot = ? AND channel = ? AND conversation = ? AND kind = ? AND id = ? AND body = ?";

/// Returns the turn of a mark, and what it answered.
pub(super) fn mark_of(
    connection: &Connection,
    key: &RedeliveryKey,
    found: Found,
) -> rusqlite::Result<Option<(Arc<str>, Answer)>> {
    let (bot, channel, conversation) = columns(&key.conversation);
    let columns: &[&dyn ToSql] = params![bot, channel, conversation, key.kind, key.id, body(key)];
    let sql = format!("SELECT turn_id, status, answer FROM marks WHERE {MARK}");
    find(connection, &sql, columns, found, |row| Ok((row.get(0)?, Answer { status: row.get(1)?, body: row.get(2)? })))
}
