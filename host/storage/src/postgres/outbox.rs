//! The outbox: rows that wait for the channel, the end of their delivery, dead letters, and ids of sent activities.

use std::sync::Arc;

use super::PostgresStorage;
use super::columns::{ROW, conversation_of, place, row_of};
use super::database::Failure;
use super::param::{Columns, params};
use crate::{DeadLetter, Delivery, DroppedLetter, OutboxAction, OutboxRow, StorageError};
use turntable_activity::ConversationKey;

/// Ends a row, once: what it was about, which id the channel gave, and why it is dead.
const END: &str = "WITH ended AS (DELETE FROM turntable.outbox WHERE sequence = $1 RETURNING *), \
    mapped AS (INSERT INTO turntable.ids (place, host_id, channel_id) SELECT place, id, $2 FROM ended WHERE action = 'send' \
        ON CONFLICT (place, host_id) DO UPDATE SET channel_id = excluded.channel_id), \
    said AS (UPDATE turntable.transcript_items SET channel_id = $2 WHERE $3 AND host_id = $4 AND host_id <> '' \
        AND EXISTS (SELECT FROM ended)), \
    buried AS (INSERT INTO turntable.dead_letters (sequence, place, bot, channel, conversation, service_url, turn_id, action, \
        id, activity, why, at_ms) SELECT sequence, place, bot, channel, conversation, service_url, turn_id, action, id, \
        activity, $5, turntable.now_ms() FROM ended WHERE $5 IS NOT NULL) \
    SELECT turntable.note_row(turn_id, $6, $5) FROM ended";

impl PostgresStorage {
    pub(super) async fn oldest_row(&self, conversation: &ConversationKey) -> Result<Option<OutboxRow>, StorageError> {
        // A host that was declared dead sends nothing any more.
        let sql = format!(
            "SELECT {ROW}, EXISTS (SELECT FROM turntable.hosts WHERE id = $2) FROM turntable.outbox WHERE place = $1 \
             ORDER BY sequence LIMIT 1"
        );
        let of = params![place(conversation), &self.id];
        let found = self.first("claim_outbox", &sql, &of, |row| {
            Ok((row_of(row, conversation.clone())?, row.try_get::<_, bool>(6)?))
        });
        match found.await? {
            None => Ok(None),
            Some((row, true)) => Ok(Some(row)),
            Some((_, false)) => Err(StorageError::Unavailable(anyhow::anyhow!(super::members::LOST))),
        }
    }

    pub(super) async fn end_delivery(
        &self,
        row: &OutboxRow,
        delivery: Delivery,
    ) -> Result<Vec<DroppedLetter>, StorageError> {
        let (why, how) = match &delivery {
            Delivery::Done { .. } => (None, "delivered"),
            Delivery::Dead { why, gone: false } => (Some(why.as_str()), "failed"),
            Delivery::Dead { why, gone: true } => (Some(why.as_str()), "gone"),
        };
        let host_id = match &row.action {
            OutboxAction::Send { host_id, .. } => host_id.clone(),
            OutboxAction::Update { .. } | OutboxAction::Delete { .. } => "".into(),
        };
        let is_done = matches!(delivery, Delivery::Done { .. });
        let end = params![row.sequence, &delivery.channel_id(), is_done, &host_id, why, how];
        let ended = self.database.run("note_delivery", true, END, end).await?;
        if ended.rows.is_empty() {
            return Ok(Vec::new());
        }
        self.undelivered.remove(&row.conversation, 1);
        let dropped = if why.is_some() { self.trim_letters().await? } else { Vec::new() };
        if !host_id.is_empty() {
            self.trim_ids().await?;
        }
        Ok(dropped)
    }

    async fn trim_letters(&self) -> Result<Vec<DroppedLetter>, StorageError> {
        let sql = "DELETE FROM turntable.dead_letters WHERE sequence <= \
                   (SELECT sequence FROM turntable.dead_letters ORDER BY sequence DESC LIMIT 1 OFFSET $1) \
                   RETURNING bot, channel, conversation, sequence";
        let dropped = self.database.run("note_delivery", true, sql, params![self.bounds.dead_letters_max]).await?;
        let letter = |row| Ok(DroppedLetter { conversation: conversation_of(row, 0)?, sequence: row.number(3)? });
        let letters: Result<_, tokio_postgres::Error> = dropped.rows.iter().map(letter).collect();
        letters.map_err(|error| Failure::from(error).told("note_delivery"))
    }

    async fn trim_ids(&self) -> Result<(), StorageError> {
        if !self.bounds.ids.add(1) {
            return Ok(());
        }
        let sql = "DELETE FROM turntable.ids WHERE number IN (SELECT number FROM turntable.ids WHERE number <= \
                   (SELECT number FROM turntable.ids ORDER BY number DESC LIMIT 1 OFFSET $1) FOR UPDATE SKIP LOCKED)";
        self.database.run("trim_ids", true, sql, params![self.bounds.ids.max]).await.map(drop)
    }

    pub(super) async fn set_id(
        &self,
        conversation: &ConversationKey,
        host_id: &Arc<str>,
        channel_id: &Arc<str>,
    ) -> Result<(), StorageError> {
        let sql = "WITH said AS (UPDATE turntable.transcript_items SET channel_id = $3 WHERE host_id = $2 AND host_id <> '') \
                   INSERT INTO turntable.ids (place, host_id, channel_id) VALUES ($1, $2, $3) \
                   ON CONFLICT (place, host_id) DO UPDATE SET channel_id = excluded.channel_id";
        self.database.run("map_id", true, sql, params![place(conversation), host_id, channel_id]).await?;
        self.trim_ids().await
    }

    pub(super) async fn letters(&self, bot: &str) -> Result<Vec<DeadLetter>, StorageError> {
        let sql = format!(
            "SELECT {ROW}, why, at_ms, bot, channel, conversation FROM turntable.dead_letters WHERE bot = $1 \
             ORDER BY sequence DESC"
        );
        self.all("dead_letters", &sql, &params![bot], |row| {
            let conversation = conversation_of(row, 8)?;
            Ok(DeadLetter { row: row_of(row, conversation)?, why: row.text(6)?.to_string(), at_ms: row.number(7)? })
        })
        .await
    }

    /// Moves a dead letter back into the outbox, behind what waits there.
    pub(super) async fn retry(&self, bot: &str, sequence: u64) -> Result<Option<ConversationKey>, StorageError> {
        let sql = "SELECT bot, channel, conversation FROM turntable.dead_letters WHERE bot = $1 AND sequence = $2";
        let letter = params![bot, sequence];
        let found = self.first("retry_dead_letter", sql, &letter, |row| conversation_of(row, 0)).await?;
        let Some(of) = found else { return Ok(None) };
        self.undelivered.used(&of).admit(&of, 1, self.bounds.outbox_rows_max)?;
        let sql = "WITH letter AS (DELETE FROM turntable.dead_letters WHERE bot = $1 AND sequence = $2 RETURNING *) \
                   INSERT INTO turntable.outbox (place, bot, channel, conversation, service_url, turn_id, action, id, activity) \
                   SELECT place, bot, channel, conversation, service_url, turn_id, action, id, activity FROM letter";
        let retried = self.database.run("retry_dead_letter", false, sql, params![bot, sequence]).await?;
        if retried.changed == 0 {
            return Ok(None);
        }
        self.undelivered.add(&of, 1);
        Ok(Some(of))
    }
}
