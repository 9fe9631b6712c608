//! Broadcasts in the file.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::notifications::now_ms;
use super::{SqliteStorage, channel_column, channel_of, columns, failed, run};
use crate::activity::ConversationKey;
use crate::storage::broadcasts::{
    AddedBroadcast, BROADCASTS_MAX, Broadcast, BroadcastState, Broadcasts, CROWDED, Counts, FailedTarget, Listed,
    TargetOutcome, Targets, notification_id, target_of,
};
use crate::storage::failpoints::{self, Point};
use crate::storage::notifications::{End, Mode, WAITING_MAX};
use crate::storage::{Delivery, OutboxRow, StorageError, TurnCommit};

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
        let begun = self.database.write(move |connection| begin(connection, &id, limit)).await;
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
        Targets::Met(channel) => {
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

/// What a broadcast brings to each target.
struct Brought {
    number: i64,
    bot: Arc<str>,
    mode: String,
    content: Arc<str>,
    expires_ms: Option<u64>,
    place: u64,
}

fn begin(connection: &Connection, id: &str, limit: usize) -> Result<usize, StorageError> {
    let running = || {
        let sql =
            "SELECT number, bot, mode, content, expires_ms, place FROM broadcasts WHERE id = ? AND state = 'running'";
        let mut statement = connection.prepare_cached(sql)?;
        let brought = |row: &Row<'_>| {
            let (number, bot, mode) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Brought { number, bot, mode, content: row.get(3)?, expires_ms: row.get(4)?, place: row.get(5)? })
        };
        statement.query_row([id], brought).optional()
    };
    let Some(brought) = running().map_err(|error| failed("read", &error))? else { return Ok(0) };
    let next = || -> rusqlite::Result<Vec<(u64, String, Arc<str>)>> {
        let sql = "SELECT place, channel, conversation FROM broadcast_targets WHERE broadcast = ? AND place > ? \
                   ORDER BY place LIMIT ?";
        let mut statement = connection.prepare_cached(sql)?;
        let found = params![brought.number, brought.place, limit];
        statement.query_map(found, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
    };
    let next = next().map_err(|error| failed("read", &error))?;
    let now = now_ms();
    let mut added = 0;
    for (place, channel, conversation) in &next {
        let dead_end = dead_end(connection, &brought, channel, conversation, now)?;
        if let Some((outcome, why)) = dead_end {
            settle(connection, brought.number, *place, outcome, why)?;
            continue;
        }
        let sql = "INSERT OR IGNORE INTO notifications (id, bot, channel, conversation, sender, name, mode, content, depth, \
                   due_ms, expires_ms) VALUES (?, ?, ?, ?, '', '', ?, ?, 1, ?, ?)";
        let (name, Brought { bot, mode, content, expires_ms, .. }) = (notification_id(id, *place), &brought);
        added += run(connection, sql, params![name, bot, channel, conversation, mode, content, now, expires_ms])?;
    }
    let sql =
        "UPDATE broadcasts SET place = ifnull(?, last_place), started_ms = ifnull(started_ms, ?) WHERE number = ?";
    // All that are left were forgotten.
    let last = next.last().map(|(place, ..)| *place);
    run(connection, sql, params![last, now, brought.number])?;
    Ok(added)
}

/// Why a target needs no notification.
fn dead_end(
    connection: &Connection,
    brought: &Brought,
    channel: &str,
    conversation: &str,
    now: u64,
) -> Result<Option<(TargetOutcome, Option<&'static str>)>, StorageError> {
    if brought.expires_ms.is_some_and(|expires| expires < now) {
        return Ok(Some((TargetOutcome::Expired, None)));
    }
    let of = params![brought.bot, channel, conversation];
    let gone = || -> rusqlite::Result<Option<bool>> {
        let sql = "SELECT gone IS NOT NULL FROM contacts WHERE bot = ? AND channel = ? AND conversation = ?";
        connection.prepare_cached(sql)?.query_row(of, |row| row.get(0)).optional()
    };
    let waiting = || -> rusqlite::Result<usize> {
        let sql =
            "SELECT count(*) FROM notifications WHERE ended IS NULL AND bot = ? AND channel = ? AND conversation = ?";
        connection.prepare_cached(sql)?.query_row(of, |row| row.get(0))
    };
    Ok(match gone().map_err(|error| failed("read", &error))? {
        None => Some((TargetOutcome::Unknown, None)),
        Some(true) => Some((TargetOutcome::Gone, None)),
        Some(false) if waiting().map_err(|error| failed("read", &error))? >= WAITING_MAX => {
            Some((TargetOutcome::Failed, Some(CROWDED)))
        }
        Some(false) => None,
    })
}

/// Ends a target, once: of one that was cancelled while its turn ran, what the turn made of it counts.
fn settle(
    connection: &Connection,
    number: i64,
    place: u64,
    outcome: TargetOutcome,
    why: Option<&str>,
) -> Result<(), StorageError> {
    let target = || -> rusqlite::Result<Option<Option<String>>> {
        let sql = "SELECT outcome FROM broadcast_targets WHERE broadcast = ? AND place = ?";
        connection.prepare_cached(sql)?.query_row(params![number, place], |row| row.get(0)).optional()
    };
    let cancelled = TargetOutcome::Cancelled.name();
    let was_cancelled = match target().map_err(|error| failed("read", &error))? {
        None => return Ok(()),
        Some(None) => false,
        Some(Some(before)) if before == cancelled && outcome != TargetOutcome::Cancelled => true,
        Some(Some(_)) => return Ok(()),
    };
    if outcome == TargetOutcome::Delivered {
        let sql = "DELETE FROM broadcast_targets WHERE broadcast = ? AND place = ?";
        run(connection, sql, params![number, place])?;
    } else {
        let sql = "UPDATE broadcast_targets SET outcome = ?, why = ?, turn = NULL WHERE broadcast = ? AND place = ?";
        run(connection, sql, params![outcome.name(), why, number, place])?;
    }
    let name = outcome.name();
    let sql = format!("UPDATE broadcasts SET {name} = {name} + 1 WHERE number = ?");
    run(connection, &sql, [number])?;
    if was_cancelled {
        run(connection, "UPDATE broadcasts SET cancelled = cancelled - 1 WHERE number = ?", [number])?;
    }
    end_where_done(connection, number)
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

/// The number of the broadcast and the place that a notification stands for.
fn place_of(connection: &Connection, notification: &str) -> Result<Option<(i64, u64)>, StorageError> {
    let Some((id, place)) = target_of(notification) else { return Ok(None) };
    let number = || -> rusqlite::Result<Option<i64>> {
        let sql = "SELECT number FROM broadcasts WHERE id = ?";
        connection.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()
    };
    let number = number().map_err(|error| failed("read", &error))?;
    Ok(number.map(|number| (number, place)))
}

/// What a turn means for the target that it was about. One that found its notification ended means nothing: whoever ended
/// that has said so.
pub(super) fn note_turn(connection: &Connection, commit: &TurnCommit) -> Result<(), StorageError> {
    let Some((id, End::Done(how))) = &commit.proactive.ended else { return Ok(()) };
    let outcome = TargetOutcome::named(how).unwrap_or(TargetOutcome::Failed);
    if outcome == TargetOutcome::Cancelled {
        return Ok(());
    }
    let Some((number, place)) = place_of(connection, id)? else { return Ok(()) };
    if outcome == TargetOutcome::Delivered {
        let (bot, channel, conversation) = columns(&commit.conversation);
        let sql = "UPDATE broadcast_targets SET turn = ?1, sends = (SELECT count(*) FROM outbox WHERE bot = ?2 \
                   AND channel = ?3 AND conversation = ?4 AND turn_id = ?1) WHERE broadcast = ?5 AND place = ?6 \
                   RETURNING sends";
        let mut statement = connection.prepare_cached(sql).map_err(|error| failed("prepare", &error))?;
        let row = params![commit.turn_id, bot, channel, conversation, number, place];
        let sends: Option<u64> =
            statement.query_row(row, |row| row.get(0)).optional().map_err(|error| failed("write", &error))?;
        if sends.is_some_and(|sends| sends > 0) {
            return Ok(());
        }
    }
    let why = (outcome == TargetOutcome::Failed).then_some("the turn failed; the log says why");
    settle(connection, number, place, outcome, why)
}

/// What the channel said to a row of a turn that was about a target.
pub(super) fn note_row(connection: &Connection, row: &OutboxRow, delivery: &Delivery) -> Result<(), StorageError> {
    let target = || -> rusqlite::Result<Option<(i64, u64, u64)>> {
        let sql = "SELECT broadcast, place, sends FROM broadcast_targets WHERE turn = ?";
        let mut statement = connection.prepare_cached(sql)?;
        statement.query_row([&row.turn_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()
    };
    let Some((number, place, sends)) = target().map_err(|error| failed("read", &error))? else { return Ok(()) };
    match delivery {
        Delivery::Dead { why, gone: true } => settle(connection, number, place, TargetOutcome::Gone, Some(why)),
        Delivery::Dead { why, gone: false } => settle(connection, number, place, TargetOutcome::Failed, Some(why)),
        Delivery::Done { .. } if sends > 1 => {
            let sql = "UPDATE broadcast_targets SET sends = sends - 1 WHERE broadcast = ? AND place = ?";
            run(connection, sql, params![number, place]).map(drop)
        }
        Delivery::Done { .. } => settle(connection, number, place, TargetOutcome::Delivered, None),
    }
}

/// What cancelling a notification means for the target that it stands for.
pub(super) fn note_cancelled(connection: &Connection, notification: &str) -> Result<(), StorageError> {
    match place_of(connection, notification)? {
        Some((number, place)) => settle(connection, number, place, TargetOutcome::Cancelled, None),
        None => Ok(()),
    }
}

/// Forgets that a conversation was a target, and returns of how many broadcasts.
pub(super) fn forget(connection: &Connection, conversation: &ConversationKey) -> Result<usize, StorageError> {
    let (bot, channel, conversation) = columns(conversation);
    forget_targets(connection, "conversation", params![bot, channel, conversation])
}

/// Forgets that a list named a user whom the bot had not met.
pub(super) fn forget_user(
    connection: &Connection,
    bot: &str,
    channel: &str,
    user: &str,
) -> Result<usize, StorageError> {
    forget_targets(connection, "conversation = '' AND user", params![bot, channel, user])
}

fn forget_targets(connection: &Connection, whose: &str, of: &[&dyn ToSql]) -> Result<usize, StorageError> {
    let targets = || -> rusqlite::Result<Vec<(i64, u64)>> {
        let sql =
            format!("SELECT broadcast, place FROM broadcast_targets WHERE bot = ? AND channel = ? AND {whose} = ?");
        let mut statement = connection.prepare_cached(&sql)?;
        statement.query_map(of, |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    for (number, place) in targets().map_err(|error| failed("read", &error))? {
        settle(connection, number, place, TargetOutcome::Unknown, None)?;
    }
    let sql = format!("DELETE FROM broadcast_targets WHERE bot = ? AND channel = ? AND {whose} = ?");
    run(connection, &sql, of)
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
