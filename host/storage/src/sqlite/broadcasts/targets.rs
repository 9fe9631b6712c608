//! Targets of broadcasts: how each begins, and how it ends.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::end_where_done;
use crate::broadcasts::{CROWDED, TargetOutcome, notification_id, target_of};
use crate::notifications::{End, WAITING_MAX};
use crate::sqlite::columns::columns;
use crate::sqlite::notifications::now_ms;
use crate::sqlite::{failed, run};
use crate::{Delivery, OutboxRow, StorageError, TurnCommit};
use turntable_activity::ConversationKey;

/// What a broadcast brings to each target.
struct Brought {
    number: i64,
    bot: Arc<str>,
    mode: String,
    content: Arc<str>,
    expires_ms: Option<u64>,
    place: u64,
}

pub(super) fn begin(connection: &Connection, id: &str, limit: usize) -> Result<usize, StorageError> {
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
pub(in crate::sqlite) fn note_turn(connection: &Connection, commit: &TurnCommit) -> Result<(), StorageError> {
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
pub(in crate::sqlite) fn note_row(
    connection: &Connection,
    row: &OutboxRow,
    delivery: &Delivery,
) -> Result<(), StorageError> {
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
pub(in crate::sqlite) fn note_cancelled(connection: &Connection, notification: &str) -> Result<(), StorageError> {
    match place_of(connection, notification)? {
        Some((number, place)) => settle(connection, number, place, TargetOutcome::Cancelled, None),
        None => Ok(()),
    }
}

/// Forgets that a conversation was a target, and returns of how many broadcasts.
pub(in crate::sqlite) fn forget(
    connection: &Connection,
    conversation: &ConversationKey,
) -> Result<usize, StorageError> {
    let (bot, channel, conversation) = columns(conversation);
    forget_targets(connection, "conversation", params![bot, channel, conversation])
}

/// Forgets that a list named a user whom the bot had not met.
pub(in crate::sqlite) fn forget_user(
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
