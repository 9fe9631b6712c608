//! Undelivered rows: the oldest of a conversation, and the end of its delivery.

use std::sync::atomic::Ordering;

use rusqlite::{Connection, OptionalExtension, params};

use super::cache::Oldest;
use super::columns::{ROW, columns, row_of};
use super::writer::Undo;
use super::{SqliteStorage, broadcasts, commit, transcripts};
use crate::activity::{ConversationKey, Object};
use crate::storage::{Delivery, OutboxAction, OutboxRow, StorageError};

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

    pub(super) async fn end_delivery(&self, row: &OutboxRow, delivery: Delivery) -> Result<(), StorageError> {
        let (row, bounds) = (for_note(row, &delivery), self.bounds.clone());
        let (cache, known) = (self.cache.clone(), self.cache.clone());
        let has_transcripts = self.has_transcripts.load(Ordering::Relaxed);
        let has_broadcasts = self.has_broadcasts.load(Ordering::Relaxed);
        let undo = if has_broadcasts { Undo::Itself } else { Undo::Transaction };
        let (noted, to) = (row.clone(), delivery.channel_id());
        let work = move |connection: &Connection| {
            let ended = commit::end_row(connection, &row, &delivery, &known.ids, &bounds)?;
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
        let follow = move |ended: &mut commit::Ended| {
            if let (Some(number), OutboxAction::Send { host_id, .. }) = (ended.id, &noted.action) {
                cache.ids.insert(&noted.conversation, host_id, &to, number);
            }
            cache.outbox.ended(&noted.conversation, noted.sequence, ended.was_in_file);
        };
        if self.database.write_along(undo, work, follow).await?.was_in_file {
            self.outbox_rows.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// A row without what only a dead letter keeps of it.
fn for_note(row: &OutboxRow, delivery: &Delivery) -> OutboxRow {
    let action = match (&row.action, delivery) {
        (action, Delivery::Dead { .. }) => action.clone(),
        (OutboxAction::Send { host_id, .. }, _) => {
            OutboxAction::Send { host_id: host_id.clone(), activity: Object::new() }
        }
        (OutboxAction::Update { target, .. } | OutboxAction::Delete { target }, _) => {
            OutboxAction::Delete { target: target.clone() }
        }
    };
    let OutboxRow { sequence, conversation, service_url, turn_id, .. } = row;
    let (conversation, service_url, turn_id) = (conversation.clone(), service_url.clone(), turn_id.clone());
    OutboxRow { sequence: *sequence, conversation, service_url, turn_id, action }
}
