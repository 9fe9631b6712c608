//! Broadcasts in the database.

mod targets;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};

pub(super) use self::targets::{forget, forget_user, note_cancelled, note_row, note_turn};
use super::columns::{channel_column, channel_of};
use super::notifications::now_ms;
use super::{SqliteStorage, failed, run};
use crate::StorageError;
use crate::broadcasts::{
    AddedBroadcast, BROADCASTS_MAX, Broadcast, BroadcastState, Broadcasts, Counts, FailedTarget, Listed, TargetOutcome,
    Targets,
};
use crate::failpoints::{self, Point};
use crate::notifications::Mode;

/// The columns that `broadcast_of` reads.
const BROADCAST: &str = "id, bot, mode, content, expires_ms, per_second, key, body, state, created_ms, started_ms, \
                         ended_ms, total, delivered, stopped, expired, failed, gone, unknown, cancelled";

#[async_trait]
impl Broadcasts for SqliteStorage {
    async fn add_broadcast(&self, broadcast: Broadcast, to: Targets) -> Result<AddedBroadcast, StorageError> {
        self.has_broadcasts.store(true, Ordering::Relaxed);
        self.database.write(move |connection| add(connection, &broadcast, &to)).await
    }

    async fn broadcast(&self, bot: &str, id: &str) -> Result<Option<Broadcast>, StorageError> {
        self.read("broadcast", |connection| find(connection, bot, id))
    }

    async fn broadcasts(&self, bot: &str) -> Result<Vec<Broadcast>, StorageError> {
        self.read("broadcasts", |connection| {
            let sql = format!("SELECT {BROADCAST} FROM broadcasts WHERE bot = ? ORDER BY number DESC");
            connection.prepare_cached(&sql)?.query_map([bot], broadcast_of)?.collect()
        })
    }

    async fn open_broadcasts(&self) -> Result<Vec<Broadcast>, StorageError> {
        self.read("open_broadcasts", |connection| {
            let sql = format!(
                "SELECT {BROADCAST} FROM broadcasts WHERE state = 'running' AND place < last_place ORDER BY number"
            );
            connection.prepare_cached(&sql)?.query_map([], broadcast_of)?.collect()
        })
    }

    async fn begin_targets(&self, id: &str, limit: usize) -> Result<usize, StorageError> {
        failpoints::reach(Point::Begin).await;
        let id = id.to_owned();
        let begun = self.database.write(move |connection| targets::begin(connection, &id, limit)).await;
        failpoints::reach(Point::Begun).await;
        begun
    }

    async fn switch_broadcast(
        &self,
        bot: &str,
        id: &str,
        to: BroadcastState,
    ) -> Result<Option<(bool, Broadcast)>, StorageError> {
        let (bot, id) = (bot.to_owned(), id.to_owned());
        let switched = self.database.write(move |connection| {
            let find = || find(connection, &bot, &id).map_err(|error| failed("broadcast", &error));
            let Some(known) = find()? else { return Ok(None) };
            if known.state.has_ended() {
                return Ok(Some((false, known)));
            }
            match to {
                BroadcastState::Cancelled => cancel(connection, &bot, &id)?,
                to => {
                    run(connection, "UPDATE broadcasts SET state = ? WHERE id = ?", params![to.name(), id])?;
                }
            }
            Ok(find()?.map(|switched| (true, switched)))
        });
        switched.await
    }

    async fn failed_targets(
        &self,
        bot: &str,
        id: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<FailedTarget>, StorageError> {
        self.read("failed_targets", |connection| {
            let sql = "SELECT place, channel, conversation, user, outcome, why FROM broadcast_targets \
                       WHERE broadcast = (SELECT number FROM broadcasts WHERE bot = ? AND id = ?) AND place > ? \
                       AND outcome IS NOT NULL ORDER BY place LIMIT ?";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(params![bot, id, after, limit], |row| {
                let outcome = TargetOutcome::named(&row.get::<_, String>(4)?);
                Ok(FailedTarget {
                    place: row.get(0)?,
                    channel: channel_of(&row.get::<_, String>(1)?),
                    conversation: row.get(2)?,
                    user: row.get(3)?,
                    outcome: outcome.unwrap_or(TargetOutcome::Failed),
                    why: row.get(5)?,
                })
            })?;
            rows.collect()
        })
    }
}

/// Whether there is any.
pub(super) fn any(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM broadcasts)", [], |row| row.get(0))
}

fn find(connection: &Connection, bot: &str, id: &str) -> rusqlite::Result<Option<Broadcast>> {
    let sql = format!("SELECT {BROADCAST} FROM broadcasts WHERE bot = ? AND id = ?");
    connection.prepare_cached(&sql)?.query_row(params![bot, id], broadcast_of).optional()
}

fn add(connection: &Connection, new: &Broadcast, to: &Targets) -> Result<AddedBroadcast, StorageError> {
    if let Some((key, body)) = &new.key {
        let sql = format!("SELECT {BROADCAST} FROM broadcasts WHERE bot = ? AND key = ?");
        let known = connection.query_row(&sql, params![new.bot, key], broadcast_of).optional();
        match known.map_err(|error| failed("read", &error))? {
            Some(known) if known.key.as_ref().is_some_and(|(_, known)| known == body) => {
                return Ok(AddedBroadcast::Known(known));
            }
            Some(_) => return Ok(AddedBroadcast::OtherBody),
            None => {}
        }
    }
    if !make_room(connection, &new.bot)? {
        return Ok(AddedBroadcast::TooMany);
    }
    let (key, body) = new.key.as_ref().map(|(key, body)| (key, &body[..])).unzip();
    let sql = "INSERT INTO broadcasts (id, bot, mode, content, expires_ms, per_second, key, body, state, created_ms) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let (mode, state) = (new.mode.name(), new.state.name());
    let row =
        params![new.id, new.bot, mode, new.content, new.expires_ms, new.per_second, key, body, state, new.created_ms];
    run(connection, sql, row)?;
    let number = connection.last_insert_rowid();
    write_targets(connection, number, &new.bot, to)?;
    let sql = "UPDATE broadcasts SET (total, last_place) = (SELECT count(*), ifnull(max(place), 0) \
               FROM broadcast_targets WHERE broadcast = ?1) WHERE number = ?1";
    run(connection, sql, [number])?;
    end_where_done(connection, number)?;
    let added = find(connection, &new.bot, &new.id).map_err(|error| failed("read", &error))?;
    Ok(AddedBroadcast::New(added.unwrap_or_else(|| new.clone())))
}

/// Forgets the oldest that have ended. False: there are too many that have not.
fn make_room(connection: &Connection, bot: &str) -> Result<bool, StorageError> {
    let sql = "SELECT number FROM broadcasts WHERE bot = ?1 AND state IN ('done', 'cancelled') ORDER BY number \
               LIMIT max(0, (SELECT count(*) FROM broadcasts WHERE bot = ?1) - ?2)";
    let oldest = || -> rusqlite::Result<Vec<i64>> {
        connection.prepare_cached(sql)?.query_map(params![bot, BROADCASTS_MAX - 1], |row| row.get(0))?.collect()
    };
    for number in oldest().map_err(|error| failed("read", &error))? {
        run(connection, "DELETE FROM broadcast_targets WHERE broadcast = ?", [number])?;
        run(connection, "DELETE FROM broadcasts WHERE number = ?", [number])?;
    }
    let kept = connection.query_row("SELECT count(*) FROM broadcasts WHERE bot = ?", [bot], |row| row.get(0));
    kept.map(|kept: usize| kept < BROADCASTS_MAX).map_err(|error| failed("read", &error))
}

fn write_targets(connection: &Connection, number: i64, bot: &str, to: &Targets) -> Result<(), StorageError> {
    match to {
        Targets::Known(channel) => {
            let sql = "INSERT INTO broadcast_targets (broadcast, place, bot, channel, conversation, user) \
                       SELECT ?, number, bot, channel, conversation, '' FROM contacts \
                       WHERE bot = ? AND (?3 IS NULL OR channel = ?3)";
            run(connection, sql, params![number, bot, channel.as_ref().map(channel_column)])?;
        }
        Targets::Listed(entries) => {
            for (place, entry) in (1_u64..).zip(entries) {
                let (channel, conversation, user) = resolve(connection, bot, entry)?;
                let sql = "INSERT OR IGNORE INTO broadcast_targets (broadcast, place, bot, channel, conversation, user) \
                           VALUES (?, ?, ?, ?, ?, ?)";
                run(connection, sql, params![number, place, bot, channel, conversation, user])?;
            }
        }
    }
    Ok(())
}

/// Channel, conversation and user of an entry: one of the latter is empty.
fn resolve(connection: &Connection, bot: &str, entry: &Listed) -> Result<(String, Arc<str>, Arc<str>), StorageError> {
    let (channel, user) = match entry {
        Listed::Conversation(channel, conversation) => {
            return Ok((channel_column(channel), conversation.clone(), "".into()));
        }
        Listed::User(channel, user) => (channel_column(channel), user),
    };
    let latest = || {
        let sql = "SELECT conversation FROM contact_users WHERE bot = ? AND channel = ? AND user = ? \
                   ORDER BY number DESC LIMIT 1";
        let mut statement = connection.prepare_cached(sql)?;
        statement.query_row(params![bot, channel, user], |row| row.get::<_, Arc<str>>(0)).optional()
    };
    Ok(match latest().map_err(|error| failed("read", &error))? {
        Some(conversation) => (channel, conversation, "".into()),
        None => (channel, "".into(), user.clone()),
    })
}

/// What it said is kept no longer than it takes to say it.
fn end_where_done(connection: &Connection, number: i64) -> Result<(), StorageError> {
    let sql = "UPDATE broadcasts SET state = 'done', ended_ms = ?, content = '{}' WHERE number = ? \
               AND state IN ('running', 'paused') \
               AND total = delivered + stopped + expired + failed + gone + unknown + cancelled";
    run(connection, sql, params![now_ms(), number]).map(drop)
}

/// Ends all that has not been said; what waits for the channel only is left to it.
fn cancel(connection: &Connection, bot: &str, id: &str) -> Result<(), StorageError> {
    let now = now_ms();
    let sql = "UPDATE broadcast_targets SET outcome = 'cancelled' WHERE outcome IS NULL AND turn IS NULL \
               AND broadcast = (SELECT number FROM broadcasts WHERE id = ?)";
    let cancelled = run(connection, sql, [id])?;
    // The ids of its notifications are between these two: a full stop comes after the hyphen.
    let sql = "UPDATE notifications SET ended = 'cancelled', ended_ms = ?, content = '{}' \
               WHERE ended IS NULL AND bot = ? AND id > ? AND id < ?";
    run(connection, sql, params![now, bot, format!("{id}-"), format!("{id}.")])?;
    let sql = "UPDATE broadcasts SET state = 'cancelled', ended_ms = ?, content = '{}', cancelled = cancelled + ? WHERE id = ?";
    run(connection, sql, params![now, cancelled, id]).map(drop)
}

fn broadcast_of(row: &Row<'_>) -> rusqlite::Result<Broadcast> {
    let (key, body): (Option<Arc<str>>, Option<Vec<u8>>) = (row.get(6)?, row.get(7)?);
    let body = body.and_then(|body| <[u8; 32]>::try_from(body).ok());
    let mut counts = Counts { total: row.get(12)?, ..Counts::default() };
    for (place, count) in counts.ended.iter_mut().enumerate() {
        *count = row.get(13 + place)?;
    }
    Ok(Broadcast {
        id: row.get(0)?,
        bot: row.get(1)?,
        mode: Mode::named(&row.get::<_, String>(2)?).unwrap_or(Mode::WhenIdle),
        content: row.get(3)?,
        expires_ms: row.get(4)?,
        per_second: row.get(5)?,
        key: key.zip(body),
        state: BroadcastState::named(&row.get::<_, String>(8)?).unwrap_or(BroadcastState::Paused),
        created_ms: row.get(9)?,
        started_ms: row.get(10)?,
        ended_ms: row.get(11)?,
        counts,
    })
}
