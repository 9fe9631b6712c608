//! What the writer does within a transaction: a turn made real, a delivery noted.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::cache::{Ids, Marks, UNDELIVERED};
use super::index::Found;
use super::{
    Bounds, Undo, broadcasts, columns, conversation_of, failed, notifications, run, scope_columns, transcripts,
};
use crate::activity::ConversationKey;
use crate::storage::{
    Answer, Delivery, Expected, Made, OutboxAction, OutboxRow, RedeliveryKey, StateWrite, StorageError, StoredStack,
    TurnCommit,
};

/// What a commit left in the file, for the cache.
#[derive(Default)]
pub(super) struct Written {
    /// Rows of the outbox, each with the bytes of its text.
    pub(super) rows: Vec<(OutboxRow, usize)>,
    pub(super) writes: Vec<StateWrite>,
    /// The conversation's stack, where it changed.
    pub(super) stack: Option<(ConversationKey, Option<Arc<str>>)>,
    /// The turn, where its activity was kept.
    pub(super) ended_kept: Option<Arc<str>>,
    /// The mark and its number, where it is new.
    pub(super) mark: Option<(RedeliveryKey, i64)>,
    pub(super) made: Option<Made>,
}

/// What noting a delivery left in the file.
pub(super) struct Ended {
    /// Whether the row was there.
    pub(super) was_in_file: bool,
    /// Where its id is now.
    pub(super) id: Option<i64>,
}

/// What a failure of [`write`] undoes: the first write of state may be refused before anything changed.
pub(super) fn undo(commit: &TurnCommit) -> Undo {
    let is_plain = commit.writes.len() <= 1 && commit.proactive.is_empty();
    if is_plain { Undo::Transaction } else { Undo::Itself }
}

/// Makes a turn real, but for its fence, which the caller has checked. `is_kept`: its activity may be kept.
pub(super) fn write(
    connection: &Connection,
    commit: TurnCommit,
    marks: &Marks,
    bounds: &Bounds,
    outbox_rows: usize,
    is_kept: bool,
) -> Result<Written, StorageError> {
    let sends = commit.outbox.len();
    if outbox_rows + sends > bounds.outbox_rows_max {
        return Err(StorageError::Full(format!(
            "{outbox_rows} sends are undelivered and this turn adds {sends}; channel.outbox-rows-max is {}",
            bounds.outbox_rows_max
        )));
    }
    for write in &commit.writes {
        write_state(connection, write)?;
    }
    if let Some(stack) = &commit.stack {
        set_stack(connection, &commit.conversation, stack.as_ref())?;
    }
    let number = match &commit.mark {
        Some((key, answer)) => set_mark(connection, key, &commit.turn_id, answer, marks, bounds.marks_max)?,
        None => None,
    };
    let mut places = Vec::with_capacity(sends);
    for action in &commit.outbox {
        places.push(push(connection, &commit, action, bounds)?);
    }
    notifications::change(connection, &commit.conversation, &commit.proactive)?;
    transcripts::append(connection, &commit.conversation, &commit.transcript)?;
    broadcasts::note_turn(connection, &commit)?;
    if is_kept {
        forget_kept(connection, &commit.turn_id)?;
    }
    let TurnCommit { conversation, service_url, turn_id, outbox, writes, stack, mark, made, .. } = commit;
    let mark = mark.zip(number).map(|((key, _), number)| (key, number));
    let rows = outbox.into_iter().zip(places).map(|(action, (sequence, bytes))| {
        let (conversation, service_url, turn_id) = (conversation.clone(), service_url.clone(), turn_id.clone());
        (OutboxRow { sequence, conversation, service_url, turn_id, action }, bytes)
    });
    let rows = rows.collect();
    let stack = stack.map(|stack| (conversation, stack.map(|stack| stack.text)));
    Ok(Written { rows, writes, stack, ended_kept: is_kept.then_some(turn_id), mark, made })
}

pub(super) fn forget_kept(connection: &Connection, turn_id: &str) -> Result<(), StorageError> {
    run(connection, "DELETE FROM kept WHERE turn_id = ?", params![turn_id]).map(drop)
}

/// Fails with a conflict, and changes nothing, where the key does not hold what is expected.
fn write_state(connection: &Connection, write: &StateWrite) -> Result<(), StorageError> {
    let scope = &write.scope;
    let (name, channel, conversation, user) = scope_columns(&scope.owner);
    let key = params![scope.bot, scope.namespace, name, channel, conversation, user, write.key];
    const WHERE: &str =
        "bot = ? AND namespace = ? AND scope = ? AND channel = ? AND conversation = ? AND user = ? AND key = ?";
    let changed = match (&write.value, &write.expected) {
        (Some(value), Expected::Etag(expected)) => {
            let values: &[&dyn ToSql] = params![value.value, value.etag];
            let at = [values, key, params![expected]].concat();
            run(connection, &format!("UPDATE state SET value = ?, etag = ? WHERE {WHERE} AND etag = ?"), &*at)?
        }
        (Some(value), expected) => {
            let verb = if *expected == Expected::Absent { "INSERT OR IGNORE" } else { "INSERT OR REPLACE" };
            let sql = format!(
                "{verb} INTO state (bot, namespace, scope, channel, conversation, user, key, value, etag) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
            );
            let values: &[&dyn ToSql] = params![value.value, value.etag];
            run(connection, &sql, &*[key, values].concat())?
        }
        (None, Expected::Etag(expected)) => {
            let sql = format!("DELETE FROM state WHERE {WHERE} AND etag = ?");
            run(connection, &sql, &*[key, params![expected]].concat())?
        }
        (None, Expected::Any) => return run(connection, &format!("DELETE FROM state WHERE {WHERE}"), key).map(drop),
        (None, Expected::Absent) => {
            let sql = format!("SELECT NOT EXISTS (SELECT 1 FROM state WHERE {WHERE})");
            let mut statement = connection.prepare_cached(&sql).map_err(|error| failed("prepare", &error))?;
            statement.query_row(key, |row| row.get(0)).map_err(|error| failed("read", &error))?
        }
    };
    if changed == 0 { Err(StorageError::Conflict) } else { Ok(()) }
}

fn set_stack(
    connection: &Connection,
    conversation: &ConversationKey,
    stack: Option<&StoredStack>,
) -> Result<(), StorageError> {
    let (bot, channel, conversation) = columns(conversation);
    let of = params![bot, channel, conversation];
    run(connection, "DELETE FROM frames WHERE bot = ? AND channel = ? AND conversation = ?", of)?;
    let Some(stack) = stack else {
        return run(connection, "DELETE FROM stacks WHERE bot = ? AND channel = ? AND conversation = ?", of).map(drop);
    };
    let sql = "INSERT OR REPLACE INTO stacks (bot, channel, conversation, text) VALUES (?, ?, ?, ?)";
    run(connection, sql, params![bot, channel, conversation, stack.text])?;
    for (position, frame) in stack.frames.iter().enumerate() {
        let sql = "INSERT INTO frames (bot, channel, conversation, position, plugin, dialog, state_version) \
                   VALUES (?, ?, ?, ?, ?, ?, ?)";
        // SQLite's integers are signed; a version beyond them is only counted under another name.
        let version = i64::try_from(frame.state_version).unwrap_or(i64::MAX);
        run(connection, sql, params![bot, channel, conversation, position, frame.plugin, frame.dialog, version])?;
    }
    Ok(())
}

fn body(key: &RedeliveryKey) -> &[u8] {
    key.body.as_ref().map_or(&[], |body| body.as_slice())
}

/// Returns the number of a new mark.
fn set_mark(
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

/// Keeps the newest entries of a table that numbers them: at least `max`, and a hundredth more until it looks again.
fn forget_oldest(connection: &Connection, table: &str, newest: i64, max: usize) -> Result<(), StorageError> {
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    if newest % (max / 100).max(1) != 0 {
        return Ok(());
    }
    let sql = format!("DELETE FROM {table} WHERE number <= ?");
    run(connection, &sql, params![newest.saturating_sub(max)]).map(drop)
}

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

/// Reads the row of a table that the query's columns are of: the one that was found, or the newest of all.
fn find<T>(
    connection: &Connection,
    sql: &str,
    columns: &[&dyn ToSql],
    found: Found,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    match found {
        Found::At(number) => {
            let at: &[&dyn ToSql] = params![number];
            let mut statement = connection.prepare_cached(&format!("{sql} AND number = ?"))?;
            statement.query_row(&*[columns, at].concat(), read).optional()
        }
        Found::Nowhere => Ok(None),
        Found::Unknown => {
            let mut statement = connection.prepare_cached(&format!("{sql} ORDER BY number DESC LIMIT 1"))?;
            statement.query_row(columns, read).optional()
        }
    }
}

/// Returns the place of the row, and the bytes of its text.
fn push(
    connection: &Connection,
    commit: &TurnCommit,
    action: &OutboxAction,
    bounds: &Bounds,
) -> Result<(u64, usize), StorageError> {
    let (bot, channel, conversation) = columns(&commit.conversation);
    let (action, id, activity) = parts(action)?;
    let sql = "INSERT INTO outbox (sequence, bot, channel, conversation, service_url, turn_id, action, id, activity) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let bytes = activity.as_ref().map_or(0, String::len);
    let sequence = bounds.next_sequence();
    let row = params![sequence, bot, channel, conversation, commit.service_url, commit.turn_id, action, id, activity];
    run(connection, sql, row)?;
    Ok((u64::try_from(sequence).unwrap_or_default(), bytes))
}

fn parts(action: &OutboxAction) -> Result<(&'static str, &str, Option<String>), StorageError> {
    let text =
        |activity| serde_json::to_string(activity).map(Some).map_err(|error| StorageError::Unavailable(error.into()));
    Ok(match action {
        OutboxAction::Send { host_id, activity } => ("send", host_id, text(activity)?),
        OutboxAction::Update { target, activity } => ("update", target, text(activity)?),
        OutboxAction::Delete { target } => ("delete", target, None),
    })
}

/// Returns the channel's id of an activity that was delivered, or could not be.
pub(super) fn channel_id(
    connection: &Connection,
    conversation: &ConversationKey,
    host_id: &str,
    found: Found,
) -> rusqlite::Result<Option<Arc<str>>> {
    let (bot, channel, conversation) = columns(conversation);
    let sql = "SELECT channel_id FROM ids WHERE bot = ? AND channel = ? AND conversation = ? AND host_id = ?";
    find(connection, sql, params![bot, channel, conversation, host_id], found, |row| row.get(0))
}

pub(super) fn host_id(
    connection: &Connection,
    conversation: &ConversationKey,
    channel_id: &str,
    found: Found,
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
        Found::At(UNDELIVERED) | Found::Nowhere => None,
        Found::At(number) => {
            let at: &[&dyn ToSql] = params![number];
            let updated = run(connection, &format!("{update} AND number = ?"), &*[value, columns, at].concat())?;
            (updated > 0).then_some(number)
        }
        Found::Unknown => {
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

/// Ends a claimed row, unless it was ended before.
pub(super) fn end_row(
    connection: &Connection,
    row: &OutboxRow,
    delivery: &Delivery,
    ids: &Ids,
    bounds: &Bounds,
) -> Result<Ended, StorageError> {
    if run(connection, "DELETE FROM outbox WHERE sequence = ?", params![row.sequence])? == 0 {
        return Ok(Ended { was_in_file: false, id: None });
    }
    let id = match &row.action {
        OutboxAction::Send { host_id, .. } => {
            Some(map_id(connection, &row.conversation, host_id, &delivery.channel_id(), ids, bounds.ids_max)?)
        }
        OutboxAction::Update { .. } | OutboxAction::Delete { .. } => None,
    };
    if let Delivery::Dead { why, .. } = delivery {
        bury(connection, row, why, bounds.dead_letters_max)?;
    }
    Ok(Ended { was_in_file: true, id })
}

fn bury(connection: &Connection, row: &OutboxRow, why: &str, max: usize) -> Result<(), StorageError> {
    let (bot, channel, conversation) = columns(&row.conversation);
    let (action, id, activity) = parts(&row.action)?;
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let at_ms = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    let sql = "INSERT INTO dead_letters (sequence, bot, channel, conversation, service_url, turn_id, action, id, activity, \
               why, at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let letter = params![
        row.sequence,
        bot,
        channel,
        conversation,
        row.service_url,
        row.turn_id,
        action,
        id,
        activity,
        why,
        at_ms
    ];
    run(connection, sql, letter)?;
    let sql = "DELETE FROM dead_letters WHERE sequence <= \
               (SELECT sequence FROM dead_letters ORDER BY sequence DESC LIMIT 1 OFFSET ?)";
    run(connection, sql, params![max]).map(drop)
}

/// Moves a dead letter back into the outbox, behind what waits there. None: there is no such letter.
pub(super) fn retry(
    connection: &Connection,
    bot: &str,
    sequence: i64,
    bounds: &Bounds,
) -> Result<Option<ConversationKey>, StorageError> {
    let find = "SELECT bot, channel, conversation FROM dead_letters WHERE bot = ? AND sequence = ?";
    let conversation = connection.query_row(find, params![bot, sequence], conversation_of).optional();
    let Some(conversation) = conversation.map_err(|error| failed("read", &error))? else { return Ok(None) };
    let sql = "INSERT INTO outbox (sequence, bot, channel, conversation, service_url, turn_id, action, id, activity) \
               SELECT ?, bot, channel, conversation, service_url, turn_id, action, id, activity FROM dead_letters \
               WHERE bot = ? AND sequence = ?";
    run(connection, sql, params![bounds.next_sequence(), bot, sequence])?;
    run(connection, "DELETE FROM dead_letters WHERE bot = ? AND sequence = ?", params![bot, sequence])?;
    Ok(Some(conversation))
}
