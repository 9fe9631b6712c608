//! The trait [`Storage`] over the database.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::cache::UNDELIVERED;
use super::columns::{ROW, channel_of, columns, conversation_of, integer, row_of, scope_columns};
use super::index::Lookup;
use super::writer::Undo;
use super::{SqliteStorage, ids, inbox, outbox, run, transcripts};
use crate::failpoints::{self, Point};
use crate::{
    Accepted, DeadLetter, DeduplicationKey, Delivery, DroppedLetter, FrameTag, GivenUp, InboxEntry, Lease, Leftovers,
    OutboxRow, Owner, PROOFS_MAX, ProvedOrigin, StateScope, StateValue, Storage, StorageError, TurnCommit,
};
use turntable_activity::ConversationKey;

#[async_trait]
impl Storage for SqliteStorage {
    async fn accept(&self, key: &DeduplicationKey, turn_id: &Arc<str>) -> Result<Accepted, StorageError> {
        failpoints::reach(Point::Accept).await;
        let accepted = self.claim(key, turn_id);
        failpoints::reach(Point::Accepted).await;
        accepted
    }

    async fn release(&self, key: &DeduplicationKey) {
        // A flush has left its record in the file already.
        self.claims.release(key);
    }

    async fn add_to_inbox(&self, kept: InboxEntry) -> Result<(), StorageError> {
        self.keep(kept).await
    }

    async fn remove_from_inbox(&self, turn_id: &Arc<str>) -> Result<(), StorageError> {
        self.forget_kept(turn_id).await
    }

    async fn leftovers(&self) -> Result<Leftovers, StorageError> {
        self.database.write(inbox::leftovers).await
    }

    async fn note_run_alone(&self, turn_id: &Arc<str>) -> Result<(), StorageError> {
        let turn = turn_id.clone();
        self.database.write(move |connection| inbox::note_run_alone(connection, &turn)).await
    }

    async fn given_up(&self, bot: &str) -> Result<Vec<GivenUp>, StorageError> {
        self.read("given_up", |connection| inbox::given_up(connection, bot))
    }

    async fn retry_given_up(&self, bot: &str, number: u64) -> Result<Option<InboxEntry>, StorageError> {
        let bot: Arc<str> = bot.into();
        self.database.write(move |connection| inbox::retry(connection, &bot, number)).await
    }

    async fn drop_given_up(&self, bot: &str, number: u64) -> Result<bool, StorageError> {
        let bot: Arc<str> = bot.into();
        let dropped = self.database.write(move |connection| inbox::drop_one(connection, &bot, number)).await?;
        if let Some(turn_id) = &dropped {
            self.cache.inbox.forget(turn_id);
        }
        Ok(dropped.is_some())
    }

    async fn lease(&self, conversation: &ConversationKey, owner: &Owner, ttl: Duration) -> Result<Lease, StorageError> {
        let mut leases = self.leases.lock();
        Ok(leases.lease(conversation, owner, ttl, Instant::now()))
    }

    async fn load_state(&self, scope: &StateScope) -> Result<HashMap<Arc<str>, StateValue>, StorageError> {
        if let Some(values) = self.cache.values.get(scope) {
            return Ok(values);
        }
        let (name, channel, conversation, user) = scope_columns(&scope.owner);
        let read = self.read("load_state", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT key, value, etag FROM state WHERE bot = ? AND namespace = ? AND scope = ? AND channel = ? \
                 AND conversation = ? AND user = ?",
            )?;
            let found = params![scope.bot, scope.namespace, name, channel, conversation, user];
            let rows = statement
                .query_map(found, |row| Ok((row.get(0)?, StateValue { value: row.get(1)?, etag: row.get(2)? })))?;
            rows.collect()
        });
        self.cache.values.loaded(scope, read.as_ref().ok());
        read
    }

    async fn load_stack(&self, conversation: &ConversationKey) -> Result<Option<Arc<str>>, StorageError> {
        if let Some(stack) = self.cache.stacks.get(conversation) {
            return Ok(stack);
        }
        let (bot, channel, id) = columns(conversation);
        let read = self.read("load_stack", |connection| {
            let sql = "SELECT text FROM stacks WHERE bot = ? AND channel = ? AND conversation = ?";
            connection.prepare_cached(sql)?.query_row(params![bot, channel, id], |row| row.get(0)).optional()
        });
        self.cache.stacks.loaded(conversation, read.as_ref().ok());
        read
    }

    async fn frames(&self, bot: &str) -> Result<Vec<(FrameTag, u64)>, StorageError> {
        self.read("frames", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT plugin, dialog, state_version, count(*) FROM frames WHERE bot = ? GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            )?;
            let rows = statement.query_map([bot], |row| {
                let tag = FrameTag { plugin: row.get(0)?, dialog: row.get(1)?, state_version: row.get(2)? };
                Ok((tag, row.get(3)?))
            })?;
            rows.collect()
        })
    }

    async fn waiting_in(&self, bot: &str, frame: &FrameTag, max: usize) -> Result<Vec<ConversationKey>, StorageError> {
        self.read("waiting_in", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT DISTINCT bot, channel, conversation FROM frames \
                 WHERE bot = ? AND plugin = ? AND dialog = ? AND state_version = ? LIMIT ?",
            )?;
            let of = params![bot, frame.plugin, frame.dialog, integer(frame.state_version), integer(max as u64)];
            let rows = statement.query_map(of, conversation_of)?;
            rows.collect()
        })
    }

    async fn commit(&self, commit: TurnCommit) -> Result<(), StorageError> {
        failpoints::reach(Point::Commit).await;
        let committed = self.commit_turn(commit).await;
        failpoints::reach(Point::Committed).await;
        committed
    }

    async fn claim_outbox(&self, conversation: &ConversationKey) -> Result<Option<OutboxRow>, StorageError> {
        let row = self.oldest_row(conversation)?;
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
        let (conversation, host_id, channel_id) = (conversation.clone(), host_id.clone(), channel_id.clone());
        let (cache, known, ids_max) = (self.cache.clone(), self.cache.clone(), self.bounds.ids_max);
        let has_transcripts = self.has_transcripts.load(Ordering::Relaxed);
        let (key, host, to) = (conversation.clone(), host_id.clone(), channel_id.clone());
        let work = move |connection: &Connection| {
            let number = ids::map_id(connection, &conversation, &host_id, &channel_id, &known.ids, ids_max)?;
            if has_transcripts {
                transcripts::note_id(connection, &host_id, &channel_id)?;
            }
            Ok(number)
        };
        let follow = move |number: &mut i64| cache.ids.insert(&key, &host, &to, *number);
        self.database.write_then(Undo::Itself, false, work, follow).await.map(drop)
    }

    async fn channel_id(
        &self,
        conversation: &ConversationKey,
        host_id: &str,
    ) -> Result<Option<Arc<str>>, StorageError> {
        match self.cache.ids.of_host(conversation, host_id) {
            Lookup::At(UNDELIVERED) => Ok(Some("".into())),
            found => self.read("channel_id", |connection| ids::channel_id(connection, conversation, host_id, found)),
        }
    }

    async fn host_id(
        &self,
        conversation: &ConversationKey,
        channel_id: &str,
    ) -> Result<Option<Arc<str>>, StorageError> {
        if channel_id.is_empty() {
            return Ok(None);
        }
        let found = self.cache.ids.of_channel(conversation, channel_id);
        self.read("host_id", |connection| ids::host_id(connection, conversation, channel_id, found))
    }

    async fn dead_letters(&self, bot: &str) -> Result<Vec<DeadLetter>, StorageError> {
        self.read("dead_letters", |connection| {
            let sql = format!(
                "SELECT {ROW}, why, at_ms, channel, conversation FROM dead_letters WHERE bot = ? ORDER BY sequence DESC"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map([bot], |row| {
                let conversation = ConversationKey {
                    bot: bot.into(),
                    channel: channel_of(&row.get::<_, String>(8)?),
                    conversation: row.get(9)?,
                };
                Ok(DeadLetter { row: row_of(row, conversation)?, why: row.get(6)?, at_ms: row.get(7)? })
            })?;
            rows.collect()
        })
    }

    async fn retry_dead_letter(&self, bot: &str, sequence: u64) -> Result<Option<ConversationKey>, StorageError> {
        let bot: Arc<str> = bot.into();
        let (cache, known, bounds) = (self.cache.clone(), self.cache.clone(), self.bounds.clone());
        let follow = move |retried: &mut Option<ConversationKey>| {
            if let Some(conversation) = retried {
                cache.outbox.count(conversation, 1);
            }
        };
        let retry =
            move |connection: &Connection| outbox::retry(connection, &bot, integer(sequence), &bounds, &known.outbox);
        self.database.write_then(Undo::Itself, false, retry, follow).await
    }

    async fn drop_dead_letter(&self, bot: &str, sequence: u64) -> Result<bool, StorageError> {
        let bot: Arc<str> = bot.into();
        self.database
            .write(move |connection| {
                let sql = "DELETE FROM dead_letters WHERE bot = ? AND sequence = ?";
                run(connection, sql, params![bot, integer(sequence)]).map(|dropped| dropped > 0)
            })
            .await
    }

    async fn add_proof(&self, proof: ProvedOrigin) -> Result<(), StorageError> {
        self.database
            .write(move |connection| {
                let sql = "INSERT OR IGNORE INTO proofs (bot, app_id, channel, origin) VALUES (?, ?, ?, ?)";
                run(connection, sql, params![proof.bot, proof.app_id, proof.channel, proof.origin])?;
                let sql = "DELETE FROM proofs WHERE number <= (SELECT max(number) FROM proofs) - ?";
                run(connection, sql, params![integer(PROOFS_MAX as u64)]).map(drop)
            })
            .await
    }

    async fn proofs(&self) -> Result<Vec<ProvedOrigin>, StorageError> {
        self.read("proofs", |connection| {
            let mut statement =
                connection.prepare_cached("SELECT bot, app_id, channel, origin FROM proofs ORDER BY number")?;
            let rows = statement.query_map([], |row| {
                Ok(ProvedOrigin { bot: row.get(0)?, app_id: row.get(1)?, channel: row.get(2)?, origin: row.get(3)? })
            })?;
            rows.collect()
        })
    }

    async fn outbox_depth(&self) -> Result<u64, StorageError> {
        Ok(u64::try_from(self.cache.outbox.rows()).unwrap_or(u64::MAX))
    }

    fn trouble(&self) -> Option<String> {
        self.health.trouble()
    }

    async fn close(&self) -> Result<(), StorageError> {
        if self.database.is_temporary() {
            return Ok(());
        }
        // Behind what waits for the writer. It would do this at its own end, which the process does not wait for.
        self.database.write(|_| Ok(())).await?;
        self.read("close", |connection| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())))
    }
}
