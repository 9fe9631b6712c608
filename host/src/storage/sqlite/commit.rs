//! What the writer does within a transaction: a turn made real, a delivery noted.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, params};

use super::{Bounds, broadcasts, columns, conversation_of, failed, notifications, run, scope_columns, transcripts};
use crate::activity::ConversationKey;
use crate::storage::{
    Answer, Delivery, Expected, OutboxAction, OutboxRow, RedeliveryKey, StateWrite, StorageError, StoredStack,
    TurnCommit,
};

/// What a commit left in the file, for the cache.
#[derive(Default)]
pub(super) struct Written {
    /// Rows of the outbox, each with the bytes of its text.
    pub(super) rows: Vec<(OutboxRow, usize)>,
    pub(super) writes: Vec<StateWrite>,
}

/// Makes a turn real, but for its fence, which the caller has checked.
pub(super) fn write(
    connection: &Connection,
    commit: TurnCommit,
    bounds: &Bounds,
    outbox_rows: usize,
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
    if let Some((key, answer)) = &commit.mark {
        set_mark(connection, key, answer, bounds.marks_max)?;
    }
    let mut places = Vec::with_capacity(sends);
    for action in &commit.outbox {
        places.push(push(connection, &commit, action, bounds.ids_max)?);
    }
    notifications::change(connection, &commit.conversation, &commit.proactive)?;
    transcripts::append(connection, &commit.conversation, &commit.transcript)?;
    broadcasts::note_turn(connection, &commit)?;
    run(connection, "DELETE FROM kept WHERE turn_id = ?", params![commit.turn_id])?;
    let TurnCommit { conversation, service_url, turn_id, outbox, writes, .. } = commit;
    let rows = outbox.into_iter().zip(places).map(|(action, (sequence, bytes))| {
        let (conversation, service_url, turn_id) = (conversation.clone(), service_url.clone(), turn_id.clone());
        (OutboxRow { sequence, conversation, service_url, turn_id, action }, bytes)
    });
    Ok(Written { rows: rows.collect(), writes })
}

fn write_state(connection: &Connection, write: &StateWrite) -> Result<(), StorageError> {
    let scope = &write.scope;
    let (name, channel, conversation, user) = scope_columns(&scope.owner);
    let key = params![scope.bot, scope.namespace, name, channel, conversation, user, write.key];
    const WHERE: &str =
        "bot = ? AND namespace = ? AND scope = ? AND channel = ? AND conversation = ? AND user = ? AND key = ?";
    if write.expected != Expected::Any {
        let sql = format!("SELECT etag FROM state WHERE {WHERE}");
        let mut statement = connection.prepare_cached(&sql).map_err(|error| failed("prepare", &error))?;
        let etag: Option<Arc<str>> =
            statement.query_row(key, |row| row.get(0)).optional().map_err(|error| failed("read", &error))?;
        let holds = match &write.expected {
            Expected::Etag(expected) => etag.as_ref() == Some(expected),
            Expected::Absent | Expected::Any => etag.is_none(),
        };
        if !holds {
            return Err(StorageError::Conflict);
        }
    }
    match &write.value {
        Some(value) => run(
            connection,
            "INSERT OR REPLACE INTO state (bot, namespace, scope, channel, conversation, user, key, value, etag) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![scope.bot, scope.namespace, name, channel, conversation, user, write.key, value.value, value.etag],
        ),
        None => run(connection, &format!("DELETE FROM state WHERE {WHERE}"), key),
    }
    .map(drop)
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

fn set_mark(
    connection: &Connection,
    key: &RedeliveryKey,
    answer: &Answer,
    marks_max: usize,
) -> Result<(), StorageError> {
    let (bot, channel, conversation) = columns(&key.conversation);
    let sql = "INSERT OR REPLACE INTO marks (bot, channel, conversation, kind, id, body, status, answer) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let mark = params![bot, channel, conversation, key.kind, key.id, body(key), answer.status, answer.body];
    run(connection, sql, mark)?;
    forget_oldest(connection, "marks", marks_max)
}

/// Keeps the newest entries of a table that numbers them: at least `max`, and a hundredth more until it looks again.
fn forget_oldest(connection: &Connection, table: &str, max: usize) -> Result<(), StorageError> {
    let (newest, max) = (connection.last_insert_rowid(), i64::try_from(max).unwrap_or(i64::MAX));
    if newest % (max / 100).max(1) != 0 {
        return Ok(());
    }
    let sql = format!("DELETE FROM {table} WHERE number <= ?");
    run(connection, &sql, params![newest.saturating_sub(max)]).map(drop)
}

pub(super) fn mark_of(connection: &Connection, key: &RedeliveryKey) -> rusqlite::Result<Option<Answer>> {
    let (bot, channel, conversation) = columns(&key.conversation);
    let mut statement = connection.prepare_cached(
        "SELECT status, answer FROM marks WHERE bot = ? AND channel = ? AND conversation = ? AND kind = ? AND id = ? \
         AND body = ?",
    )?;
    let mark = params![bot, channel, conversation, key.kind, key.id, body(key)];
    statement.query_row(mark, |row| Ok(Answer { status: row.get(0)?, body: row.get(1)? })).optional()
}

/// Returns the place of the row, and the bytes of its text.
fn push(
    connection: &Connection,
    commit: &TurnCommit,
    action: &OutboxAction,
    ids_max: usize,
) -> Result<(u64, usize), StorageError> {
    let (bot, channel, conversation) = columns(&commit.conversation);
    if let OutboxAction::Send { host_id, .. } = action {
        new_id(connection, &commit.conversation, host_id, "", ids_max)?;
    }
    let (action, id, activity) = parts(action)?;
    let sql = "INSERT INTO outbox (bot, channel, conversation, service_url, turn_id, action, id, activity) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let bytes = activity.as_ref().map_or(0, String::len);
    let row = params![bot, channel, conversation, commit.service_url, commit.turn_id, action, id, activity];
    run(connection, sql, row)?;
    Ok((u64::try_from(connection.last_insert_rowid()).unwrap_or_default(), bytes))
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

pub(super) fn map_id(
    connection: &Connection,
    key: &ConversationKey,
    host_id: &str,
    channel_id: &str,
    ids_max: usize,
) -> Result<(), StorageError> {
    let (bot, channel, conversation) = columns(key);
    let sql = "UPDATE ids SET channel_id = ? WHERE bot = ? AND channel = ? AND conversation = ? AND host_id = ?";
    if run(connection, sql, params![channel_id, bot, channel, conversation, host_id])? > 0 {
        return Ok(());
    }
    new_id(connection, key, host_id, channel_id, ids_max)
}

/// The same for a host id that is new, most likely.
fn new_id(
    connection: &Connection,
    conversation: &ConversationKey,
    host_id: &str,
    channel_id: &str,
    ids_max: usize,
) -> Result<(), StorageError> {
    let (bot, channel, conversation) = columns(conversation);
    let sql = "INSERT OR REPLACE INTO ids (bot, channel, conversation, host_id, channel_id) VALUES (?, ?, ?, ?, ?)";
    run(connection, sql, params![bot, channel, conversation, host_id, channel_id])?;
    forget_oldest(connection, "ids", ids_max)
}

/// Ends a claimed row; false if it was ended before.
pub(super) fn end_row(
    connection: &Connection,
    row: &OutboxRow,
    delivery: &Delivery,
    bounds: &Bounds,
) -> Result<bool, StorageError> {
    if run(connection, "DELETE FROM outbox WHERE sequence = ?", params![row.sequence])? == 0 {
        return Ok(false);
    }
    match (delivery, &row.action) {
        (Delivery::Done { channel_id }, OutboxAction::Send { host_id, .. }) => {
            map_id(connection, &row.conversation, host_id, channel_id, bounds.ids_max)?;
        }
        (Delivery::Done { .. }, _) => {}
        (Delivery::Dead { why, .. }, _) => bury(connection, row, why, bounds.dead_letters_max)?,
    }
    Ok(true)
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
) -> Result<Option<ConversationKey>, StorageError> {
    let find = "SELECT bot, channel, conversation FROM dead_letters WHERE bot = ? AND sequence = ?";
    let conversation = connection.query_row(find, params![bot, sequence], conversation_of).optional();
    let Some(conversation) = conversation.map_err(|error| failed("read", &error))? else { return Ok(None) };
    let sql = "INSERT INTO outbox (bot, channel, conversation, service_url, turn_id, action, id, activity) \
               SELECT bot, channel, conversation, service_url, turn_id, action, id, activity FROM dead_letters \
               WHERE bot = ? AND sequence = ?";
    run(connection, sql, params![bot, sequence])?;
    run(connection, "DELETE FROM dead_letters WHERE bot = ? AND sequence = ?", params![bot, sequence])?;
    Ok(Some(conversation))
}
