//! The inbox: accepted activities, and which starts ran them. Its table has the name `kept`.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::columns::{columns, conversation_of, integer};
use super::{SqliteStorage, failed, run};
use crate::{GivenUp, InboxEntry, Leftovers, RUNS_ALONE_MAX, STARTS_TOGETHER, StorageError};

/// The columns that [`entry`] reads.
const ENTRY: &str = "bot, channel, conversation, turn_id, activity";

impl SqliteStorage {
    pub(super) async fn keep(&self, kept: InboxEntry) -> Result<(), StorageError> {
        // No start could run it.
        if self.database.is_temporary() {
            return Ok(());
        }
        self.cache.inbox.add(&kept.turn_id);
        let add = move |connection: &Connection| {
            let sql = "INSERT INTO kept (turn_id, bot, channel, conversation, activity) VALUES (?, ?, ?, ?, ?)
                       ON CONFLICT (turn_id) DO UPDATE SET activity = excluded.activity";
            let (bot, channel, conversation) = columns(&kept.conversation);
            run(connection, sql, params![kept.turn_id, bot, channel, conversation, kept.activity]).map(drop)
        };
        self.database.write(add).await
    }

    pub(super) async fn forget_kept(&self, turn_id: &Arc<str>) -> Result<(), StorageError> {
        if self.database.is_temporary() {
            return Ok(());
        }
        let turn = turn_id.clone();
        self.database.write(move |connection| remove(connection, &turn)).await?;
        self.cache.inbox.forget(turn_id);
        Ok(())
    }
}

pub(super) fn remove(connection: &Connection, turn_id: &str) -> Result<(), StorageError> {
    run(connection, "DELETE FROM kept WHERE turn_id = ?", params![turn_id]).map(drop)
}

/// Counts the start, and returns what it has to run.
pub(super) fn leftovers(connection: &Connection) -> Result<Leftovers, StorageError> {
    run(connection, "UPDATE kept SET starts = starts + 1 WHERE starts <= ?", [STARTS_TOGETHER])?;
    // Whether a dialog still waits is found out again.
    run(connection, "UPDATE notifications SET held = 0 WHERE held = 1", [])?;
    left(connection).map_err(|error| failed("leftovers", &error))
}

fn left(connection: &Connection) -> rusqlite::Result<Leftovers> {
    let sql = format!("SELECT {ENTRY} FROM kept WHERE starts <= ? ORDER BY number");
    let mut activities = connection.prepare(&sql)?;
    let activities = activities.query_map([STARTS_TOGETHER], entry)?;
    let sql = format!("SELECT {ENTRY} FROM kept WHERE starts > ? AND runs_alone < ? ORDER BY runs_alone, number");
    let mut suspects = connection.prepare(&sql)?;
    let suspects = suspects.query_map([STARTS_TOGETHER, RUNS_ALONE_MAX], entry)?;
    let sql = "SELECT turn_id FROM kept WHERE starts > ? AND runs_alone >= ? ORDER BY number";
    let mut given_up = connection.prepare(sql)?;
    let given_up = given_up.query_map([STARTS_TOGETHER, RUNS_ALONE_MAX], |row| row.get(0))?;
    let mut rows = connection.prepare("SELECT bot, channel, conversation, count(*) FROM outbox GROUP BY 1, 2, 3")?;
    let rows = rows.query_map([], |row| Ok((conversation_of(row)?, row.get(3)?)))?;
    Ok(Leftovers {
        activities: activities.collect::<Result<_, _>>()?,
        suspects: suspects.collect::<Result<_, _>>()?,
        given_up: given_up.collect::<Result<_, _>>()?,
        outbox: rows.collect::<Result<_, _>>()?,
    })
}

fn entry(row: &Row<'_>) -> rusqlite::Result<InboxEntry> {
    Ok(InboxEntry { conversation: conversation_of(row)?, turn_id: row.get(3)?, activity: row.get(4)? })
}

pub(super) fn note_run_alone(connection: &Connection, turn_id: &str) -> Result<(), StorageError> {
    run(connection, "UPDATE kept SET runs_alone = runs_alone + 1 WHERE turn_id = ?", params![turn_id]).map(drop)
}

pub(super) fn given_up(connection: &Connection, bot: &str) -> rusqlite::Result<Vec<GivenUp>> {
    let sql = format!("SELECT {ENTRY}, number FROM kept WHERE bot = ? AND runs_alone >= ? ORDER BY number");
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement
        .query_map(params![bot, RUNS_ALONE_MAX], |row| Ok(GivenUp { number: row.get(5)?, entry: entry(row)? }))?;
    found.collect()
}

pub(super) fn retry(connection: &Connection, bot: &str, number: u64) -> Result<Option<InboxEntry>, StorageError> {
    let sql =
        format!("UPDATE kept SET runs_alone = ? WHERE bot = ? AND number = ? AND runs_alone >= ? RETURNING {ENTRY}");
    let of = params![RUNS_ALONE_MAX - 1, bot, integer(number), RUNS_ALONE_MAX];
    one(connection, &sql, of, entry)
}

/// Returns the turn of the activity that was dropped.
pub(super) fn drop_one(connection: &Connection, bot: &str, number: u64) -> Result<Option<Arc<str>>, StorageError> {
    let sql = "DELETE FROM kept WHERE bot = ? AND number = ? AND runs_alone >= ? RETURNING turn_id";
    one(connection, sql, params![bot, integer(number), RUNS_ALONE_MAX], |row| row.get(0))
}

fn one<T>(
    connection: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, StorageError> {
    let mut statement = connection.prepare_cached(sql).map_err(|error| failed("prepare", &error))?;
    statement.query_row(params, read).optional().map_err(|error| failed("write", &error))
}
