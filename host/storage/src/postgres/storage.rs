//! The trait [`Storage`] over the database.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_postgres::Row;

use super::columns::{channel_column, conversation_of, digest, place, scope_columns};
use super::database::Failure;
use super::param::{Columns, params};
use super::{PostgresStorage, Session};
use crate::failpoints::{self, Point};
use crate::{
    Accepted, DeadLetter, DeduplicationKey, Delivery, DroppedLetter, FrameTag, GivenUp, InboxEntry, Lease, Leftovers,
    OutboxRow, Owner, PROOFS_MAX, ProvedOrigin, RUNS_ALONE_MAX, STARTS_TOGETHER, StateScope, StateValue, Storage,
    StorageError, TurnCommit,
};
use turntable_activity::ConversationKey;

#[async_trait]
impl Storage for PostgresStorage {
    async fn accept(&self, key: &DeduplicationKey, turn_id: &Arc<str>) -> Result<Accepted, StorageError> {
        failpoints::reach(Point::Accept).await;
        let accepted = self.claim(key, turn_id).await;
        failpoints::reach(Point::Accepted).await;
        accepted
    }

    async fn release(&self, key: &DeduplicationKey) {
        // A flush has left its record in the database already.
        self.claims.release(key);
    }

    async fn add_to_inbox(&self, kept: InboxEntry) -> Result<(), StorageError> {
        // A caller that goes away does not cut this work. Whoever removes the activity waits until it is stored.
        let adding = Arc::new(self.adding_to_inbox.clone().read_owned().await);
        self.inbox.lock().insert(kept.turn_id.clone());
        let of = &kept.conversation;
        let (key, channel) = (place(of), channel_column(&of.channel));
        let row = params![&kept.turn_id, key, &of.bot, &channel, &of.conversation, &kept.activity];
        let add = move |session: Session| {
            let (adding, row) = (adding.clone(), row.clone());
            async move {
                let sql = "INSERT INTO turntable.inbox (turn_id, place, bot, channel, conversation, activity) \
                           VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (turn_id) DO UPDATE SET activity = excluded.activity";
                session.run(sql, &row).await?;
                drop(adding);
                Ok(())
            }
        };
        self.database.write("add_to_inbox", true, add).await
    }

    async fn remove_from_inbox(&self, turn_id: &Arc<str>) -> Result<(), StorageError> {
        let _stored = self.adding_to_inbox.write().await;
        let sql = "DELETE FROM turntable.inbox WHERE turn_id = $1";
        self.database.run("remove_from_inbox", true, sql, params![turn_id]).await?;
        self.inbox.lock().remove(turn_id);
        Ok(())
    }

    async fn leftovers(&self) -> Result<Leftovers, StorageError> {
        let found = self.database.write("leftovers", false, |session| async move {
            let count = "UPDATE turntable.inbox SET starts = starts + 1 WHERE starts <= $1";
            session.run(count, &params![STARTS_TOGETHER]).await?;
            // Whether a dialog still waits is found out again.
            session.run("UPDATE turntable.notifications SET held = false WHERE held AND ended IS NULL", &[]).await?;
            leftovers(&session).await
        });
        let found = found.await?;
        let kept = found.activities.iter().chain(&found.suspects);
        let turns = kept.map(|entry| &entry.turn_id).chain(&found.given_up);
        self.inbox.lock().extend(turns.cloned());
        Ok(found)
    }

    async fn note_run_alone(&self, turn_id: &Arc<str>) -> Result<(), StorageError> {
        let sql = "UPDATE turntable.inbox SET runs_alone = runs_alone + 1 WHERE turn_id = $1";
        self.database.run("note_run_alone", false, sql, params![turn_id]).await.map(drop)
    }

    async fn given_up(&self, bot: &str) -> Result<Vec<GivenUp>, StorageError> {
        let sql =
            format!("SELECT {ENTRY}, number FROM turntable.inbox WHERE bot = $1 AND runs_alone >= $2 ORDER BY number");
        let read = |row: &Row| Ok(GivenUp { number: row.number(5)?, entry: entry(row)? });
        self.all("given_up", &sql, &params![bot, RUNS_ALONE_MAX], read).await
    }

    async fn retry_given_up(&self, bot: &str, number: u64) -> Result<Option<InboxEntry>, StorageError> {
        let sql = "UPDATE turntable.inbox SET runs_alone = $4 WHERE bot = $1 AND number = $2 AND runs_alone >= $3 \
                   RETURNING bot, channel, conversation, turn_id, activity";
        let of = params![bot, number, RUNS_ALONE_MAX, RUNS_ALONE_MAX - 1];
        let retried = self.database.run("retry_given_up", false, sql, of).await?;
        let found = retried.rows.first().map(entry).transpose();
        found.map_err(|error| Failure::from(error).told("retry_given_up"))
    }

    async fn drop_given_up(&self, bot: &str, number: u64) -> Result<bool, StorageError> {
        let sql = "DELETE FROM turntable.inbox WHERE bot = $1 AND number = $2 AND runs_alone >= $3 RETURNING turn_id";
        let dropped = self.database.run("drop_given_up", false, sql, params![bot, number, RUNS_ALONE_MAX]).await?;
        let Some(row) = dropped.rows.first() else { return Ok(false) };
        let turn_id = row.text(0).map_err(|error| Failure::from(error).told("drop_given_up"))?;
        self.inbox.lock().remove(&turn_id);
        Ok(true)
    }

    async fn lease(&self, conversation: &ConversationKey, owner: &Owner, ttl: Duration) -> Result<Lease, StorageError> {
        self.take_lease(conversation, owner, ttl).await
    }

    async fn load_state(&self, scope: &StateScope) -> Result<HashMap<Arc<str>, StateValue>, StorageError> {
        let sql = "SELECT key, value, etag FROM turntable.state WHERE scope = $1";
        let of = params![scope_columns(scope).key];
        let values = self.all("load_state", sql, &of, |row| {
            Ok((row.text(0)?, StateValue { value: row.text(1)?, etag: row.text(2)? }))
        });
        Ok(values.await?.into_iter().collect())
    }

    async fn load_stack(&self, conversation: &ConversationKey) -> Result<Option<Arc<str>>, StorageError> {
        let sql = "SELECT stack FROM turntable.stacks WHERE place = $1";
        self.first("load_stack", sql, &params![place(conversation)], |row| row.text(0)).await
    }

    async fn frames(&self, bot: &str) -> Result<Vec<(FrameTag, u64)>, StorageError> {
        let sql = "SELECT plugin, dialog, state_version, count(*) FROM turntable.frames WHERE bot = $1 \
                   GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";
        self.all("frames", sql, &params![bot], |row| {
            Ok((FrameTag { plugin: row.text(0)?, dialog: row.text(1)?, state_version: row.number(2)? }, row.number(3)?))
        })
        .await
    }

    async fn waiting_in(&self, bot: &str, frame: &FrameTag, max: usize) -> Result<Vec<ConversationKey>, StorageError> {
        let sql = "SELECT DISTINCT bot, channel, conversation FROM turntable.frames \
                   WHERE bot = $1 AND plugin = $2 AND dialog = $3 AND state_version = $4 LIMIT $5";
        let of = params![bot, &frame.plugin, &frame.dialog, frame.state_version, max];
        self.all("waiting_in", sql, &of, |row| conversation_of(row, 0)).await
    }

    async fn commit(&self, commit: TurnCommit) -> Result<(), StorageError> {
        failpoints::reach(Point::Commit).await;
        let committed = self.commit_turn(commit).await;
        failpoints::reach(Point::Committed).await;
        committed
    }

    async fn claim_outbox(&self, conversation: &ConversationKey) -> Result<Option<OutboxRow>, StorageError> {
        let row = self.oldest_row(conversation).await?;
        if row.is_some() {
            failpoints::reach(Point::Send).await;
        }
        Ok(row)
    }

    async fn note_delivery(&self, row: &OutboxRow, delivery: Delivery) -> Result<Vec<DroppedLetter>, StorageError> {
        failpoints::reach(Point::Sent).await;
        let noted = self.end_delivery(row, delivery).await;
        failpoints::reach(Point::Noted).await;
        noted
    }

    async fn map_id(
        &self,
        conversation: &ConversationKey,
        host_id: &Arc<str>,
        channel_id: &Arc<str>,
    ) -> Result<(), StorageError> {
        self.set_id(conversation, host_id, channel_id).await
    }

    async fn channel_id(
        &self,
        conversation: &ConversationKey,
        host_id: &str,
    ) -> Result<Option<Arc<str>>, StorageError> {
        let sql = "SELECT channel_id FROM turntable.ids WHERE place = $1 AND host_id = $2 UNION ALL \
                   SELECT '' FROM turntable.outbox WHERE place = $1 AND id = $2 AND action = 'send' LIMIT 1";
        self.first("channel_id", sql, &params![place(conversation), host_id], |row| row.text(0)).await
    }

    async fn host_id(
        &self,
        conversation: &ConversationKey,
        channel_id: &str,
    ) -> Result<Option<Arc<str>>, StorageError> {
        if channel_id.is_empty() {
            return Ok(None);
        }
        let sql = "SELECT host_id FROM turntable.ids WHERE place = $1 AND channel_id <> '' \
                   AND left(channel_id, 600) = left($2, 600) AND channel_id = $2 ORDER BY number DESC LIMIT 1";
        self.first("host_id", sql, &params![place(conversation), channel_id], |row| row.text(0)).await
    }

    async fn dead_letters(&self, bot: &str) -> Result<Vec<DeadLetter>, StorageError> {
        self.letters(bot).await
    }

    async fn retry_dead_letter(&self, bot: &str, sequence: u64) -> Result<Option<ConversationKey>, StorageError> {
        self.retry(bot, sequence).await
    }

    async fn drop_dead_letter(&self, bot: &str, sequence: u64) -> Result<bool, StorageError> {
        let sql = "DELETE FROM turntable.dead_letters WHERE bot = $1 AND sequence = $2";
        Ok(self.database.run("drop_dead_letter", false, sql, params![bot, sequence]).await?.changed > 0)
    }

    async fn add_proof(&self, proof: ProvedOrigin) -> Result<(), StorageError> {
        let ProvedOrigin { bot, app_id, channel, origin } = &proof;
        let sql = "INSERT INTO turntable.proofs (key, bot, app_id, channel, origin) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT DO NOTHING";
        let key = digest(&[bot, app_id, channel, origin], &[]);
        self.database.run("add_proof", true, sql, params![key, bot, app_id, channel, origin]).await?;
        let sql = "DELETE FROM turntable.proofs WHERE number <= \
                   (SELECT number FROM turntable.proofs ORDER BY number DESC LIMIT 1 OFFSET $1)";
        self.database.run("add_proof", true, sql, params![PROOFS_MAX]).await.map(drop)
    }

    async fn proofs(&self) -> Result<Vec<ProvedOrigin>, StorageError> {
        let sql = "SELECT bot, app_id, channel, origin FROM turntable.proofs ORDER BY number";
        self.all("proofs", sql, &[], |row| {
            Ok(ProvedOrigin { bot: row.text(0)?, app_id: row.text(1)?, channel: row.text(2)?, origin: row.text(3)? })
        })
        .await
    }

    async fn outbox_depth(&self) -> Result<u64, StorageError> {
        Ok(u64::try_from(self.undelivered.all()).unwrap_or(u64::MAX))
    }

    async fn lost(&self) -> String {
        self.heart.stopped().await;
        super::members::LOST.to_owned()
    }

    fn trouble(&self) -> Option<String> {
        self.heart.trouble()
    }

    async fn close(&self) -> Result<(), StorageError> {
        super::members::leave(&self.database, &self.id).await
    }
}

/// The columns that [`entry`] reads.
const ENTRY: &str = "bot, channel, conversation, turn_id, activity";

fn entry(row: &Row) -> Result<InboxEntry, tokio_postgres::Error> {
    Ok(InboxEntry { conversation: conversation_of(row, 0)?, turn_id: row.text(3)?, activity: row.text(4)? })
}

async fn leftovers(session: &Session) -> Result<Leftovers, Failure> {
    let mut found = Leftovers::default();
    let sql = format!("SELECT {ENTRY} FROM turntable.inbox WHERE starts <= $1 ORDER BY number");
    for row in session.rows(&sql, &params![STARTS_TOGETHER]).await? {
        found.activities.push(entry(&row)?);
    }
    let sql = format!(
        "SELECT {ENTRY} FROM turntable.inbox WHERE starts > $1 AND runs_alone < $2 ORDER BY runs_alone, number"
    );
    for row in session.rows(&sql, &params![STARTS_TOGETHER, RUNS_ALONE_MAX]).await? {
        found.suspects.push(entry(&row)?);
    }
    let sql = "SELECT turn_id FROM turntable.inbox WHERE starts > $1 AND runs_alone >= $2 ORDER BY number";
    for row in session.rows(sql, &params![STARTS_TOGETHER, RUNS_ALONE_MAX]).await? {
        found.given_up.push(row.text(0)?);
    }
    let sql = "SELECT bot, channel, conversation, count(*) FROM turntable.outbox GROUP BY 1, 2, 3";
    for row in session.rows(sql, &[]).await? {
        found.outbox.push((conversation_of(&row, 0)?, usize::try_from(row.number(3)?).unwrap_or(usize::MAX)));
    }
    Ok(found)
}
