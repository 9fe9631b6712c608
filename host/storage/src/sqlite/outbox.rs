//! The outbox: rows that wait for the channel, the end of their delivery, and dead letters.

use std::sync::atomic::Ordering;

use rusqlite::{Connection, OptionalExtension, params};

use super::cache::{Ids, Oldest, Outbox};
use super::columns::{ROW, columns, conversation_of, row_of};
use super::notifications::now_ms;
use super::writer::Undo;
use super::{Bounds, SqliteStorage, broadcasts, failed, ids, run, transcripts};
use crate::{Delivery, DroppedLetter, OutboxAction, OutboxRow, StorageError, TurnCommit};
use turntable_activity::ConversationKey;

impl SqliteStorage {
    pub(super) fn oldest_row(&self, conversation: &ConversationKey) -> Result<Option<OutboxRow>, StorageError> {
        match self.cache.outbox.oldest(conversation) {
            Oldest::Row(row) => return Ok(Some(*row)),
            Oldest::None => return Ok(None),
            Oldest::InFile => {}
        }
        let key = conversation.clone();
        let (bot, channel, conversation) = columns(conversation);
        self.read("claim_outbox", |connection| {
            let sql = format!(
                "SELECT {ROW} FROM outbox WHERE bot = ? AND channel = ? AND conversation = ? ORDER BY sequence LIMIT 1"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            statement.query_row(params![bot, channel, conversation], |row| row_of(row, key)).optional()
        })
    }

    pub(super) async fn end_delivery(
        &self,
        row: &OutboxRow,
        delivery: Delivery,
    ) -> Result<Vec<DroppedLetter>, StorageError> {
        let (row, bounds) = (row.clone(), self.bounds.clone());
        let (cache, known) = (self.cache.clone(), self.cache.clone());
        let has_transcripts = self.has_transcripts.load(Ordering::Relaxed);
        let has_broadcasts = self.has_broadcasts.load(Ordering::Relaxed);
        let undo = if has_broadcasts { Undo::Itself } else { Undo::Transaction };
        let (noted, to) = (row.clone(), delivery.channel_id());
        let work = move |connection: &Connection| {
            let ended = end_row(connection, &row, &delivery, &known.ids, &bounds)?;
            if ended.was_in_file && has_broadcasts {
                broadcasts::note_row(connection, &row, &delivery)?;
            }
            if let (true, true, OutboxAction::Send { host_id, .. }, Delivery::Done { channel_id }) =
                (ended.was_in_file, has_transcripts, &row.action, &delivery)
            {
                transcripts::note_id(connection, host_id, channel_id)?;
            }
            Ok(ended)
        };
        let follow = move |ended: &mut Ended| {
            if let (Some(number), OutboxAction::Send { host_id, .. }) = (ended.id, &noted.action) {
                cache.ids.insert(&noted.conversation, host_id, &to, number);
            }
            cache.outbox.ended(&noted.conversation, noted.sequence, ended.was_in_file);
        };
        Ok(self.database.write_then(undo, true, work, follow).await?.dropped)
    }
}

/// What noting a delivery left in the file.
pub(super) struct Ended {
    /// Whether the row was there.
    pub(super) was_in_file: bool,
    /// Where its id is now.
    pub(super) id: Option<i64>,
    /// Dead letters that were deleted for this one.
    pub(super) dropped: Vec<DroppedLetter>,
}

/// Returns the place of the row, and the bytes of its text.
pub(super) fn push(
    connection: &Connection,
    commit: &TurnCommit,
    action: &OutboxAction,
    bounds: &Bounds,
) -> Result<(u64, usize), StorageError> {
    let (bot, channel, conversation) = columns(&commit.conversation);
    let (action, id, activity) = parts(action);
    let sql = "INSERT INTO outbox (sequence, bot, channel, conversation, service_url, turn_id, action, id, activity) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let bytes = activity.map_or(0, str::len);
    let sequence = bounds.next_sequence();
    let row = params![sequence, bot, channel, conversation, commit.service_url, commit.turn_id, action, id, activity];
    run(connection, sql, row)?;
    Ok((u64::try_from(sequence).unwrap_or_default(), bytes))
}

/// What is done, the id that it is about, and the activity.
fn parts(action: &OutboxAction) -> (&'static str, &str, Option<&str>) {
    match action {
        OutboxAction::Send { host_id, activity } => ("send", host_id, Some(activity)),
        OutboxAction::Update { target, activity } => ("update", target, Some(activity)),
        OutboxAction::Delete { target } => ("delete", target, None),
    }
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
        return Ok(Ended { was_in_file: false, id: None, dropped: Vec::new() });
    }
    let id = match &row.action {
        OutboxAction::Send { host_id, .. } => {
            Some(ids::map_id(connection, &row.conversation, host_id, &delivery.channel_id(), ids, bounds.ids_max)?)
        }
        OutboxAction::Update { .. } | OutboxAction::Delete { .. } => None,
    };
    let dropped = match delivery {
        Delivery::Dead { why, .. } => bury(connection, row, why, bounds.dead_letters_max)?,
        Delivery::Done { .. } => Vec::new(),
    };
    Ok(Ended { was_in_file: true, id, dropped })
}

/// Makes a dead letter of a row, and returns the oldest ones, which have no place any more.
fn bury(connection: &Connection, row: &OutboxRow, why: &str, max: usize) -> Result<Vec<DroppedLetter>, StorageError> {
    let (bot, channel, conversation) = columns(&row.conversation);
    let (action, id, activity) = parts(&row.action);
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
        now_ms()
    ];
    run(connection, sql, letter)?;
    let sql = "DELETE FROM dead_letters WHERE sequence <= \
               (SELECT sequence FROM dead_letters ORDER BY sequence DESC LIMIT 1 OFFSET ?) \
               RETURNING bot, channel, conversation, sequence";
    let delete = || {
        let mut statement = connection.prepare_cached(sql)?;
        let dropped = statement.query_map(params![max], |row| {
            Ok(DroppedLetter { conversation: conversation_of(row)?, sequence: row.get(3)? })
        })?;
        dropped.collect::<rusqlite::Result<Vec<_>>>()
    };
    let mut dropped = delete().map_err(|error| failed("write", &error))?;
    dropped.sort_by_key(|letter| letter.sequence);
    Ok(dropped)
}

/// Moves a dead letter back into the outbox, behind what waits there. None: there is no such letter.
pub(super) fn retry(
    connection: &Connection,
    bot: &str,
    sequence: i64,
    bounds: &Bounds,
    outbox: &Outbox,
) -> Result<Option<ConversationKey>, StorageError> {
    let find = "SELECT bot, channel, conversation FROM dead_letters WHERE bot = ? AND sequence = ?";
    let conversation = connection.query_row(find, params![bot, sequence], conversation_of).optional();
    let Some(conversation) = conversation.map_err(|error| failed("read", &error))? else { return Ok(None) };
    outbox.used(&conversation).admit(&conversation, 1, bounds.outbox_rows_max)?;
    let sql = "INSERT INTO outbox (sequence, bot, channel, conversation, service_url, turn_id, action, id, activity) \
               SELECT ?, bot, channel, conversation, service_url, turn_id, action, id, activity FROM dead_letters \
               WHERE bot = ? AND sequence = ?";
    run(connection, sql, params![bounds.next_sequence(), bot, sequence])?;
    run(connection, "DELETE FROM dead_letters WHERE bot = ? AND sequence = ?", params![bot, sequence])?;
    Ok(Some(conversation))
}
