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
use super::{Run, SqliteStorage, commit, failed, ids, outbox, run, transcripts};
use crate::failpoints::{self, Point};
use crate::{
    Accepted, DeadLetter, DeduplicationKey, Delivery, FrameTag, InboxEntry, Lease, Leftovers, OutboxRow, Owner,
    PROOFS_MAX, ProvedOrigin, STARTS_MAX, StateScope, StateValue, Storage, StorageError, TurnCommit,
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
        let run = self.running().remove(key);
        // A flush has left its mark in the file already.
        if let Some(Run { answer, flushed: Some(flushed), .. }) = run {
            answer.send_replace(Some(flushed));
        }
    }

    async fn add_to_inbox(&self, kept: InboxEntry) -> Result<(), StorageError> {
        // No start could run it.
        if self.database.is_temporary() {
            return Ok(());
        }
        self.cache.inbox.add(&kept.turn_id);
        self.database
            .write(move |connection| {
                let sql = "INSERT INTO kept (turn_id, bot, channel, conversation, activity) VALUES (?, ?, ?, ?, ?)
                           ON CONFLICT (turn_id) DO UPDATE SET activity = excluded.activity";
                let (bot, channel, conversation) = columns(&kept.conversation);
                run(connection, sql, params![kept.turn_id, bot, channel, conversation, kept.activity]).map(drop)
            })
            .await
    }

    async fn remove_from_inbox(&self, turn_id: &Arc<str>) -> Result<(), StorageError> {
        if self.database.is_temporary() {
            return Ok(());
        }
        let turn = turn_id.clone();
        self.database.write(move |connection| commit::remove_from_inbox(connection, &turn)).await?;
        self.cache.inbox.forget(turn_id);
        Ok(())
    }

    async fn leftovers(&self) -> Result<Leftovers, StorageError> {
        let found = self.database.write(|connection| {
            run(connection, "UPDATE kept SET starts = starts + 1", [])?;
            // Whether a dialog still waits is found out again.
            run(connection, "UPDATE notifications SET held = 0 WHERE held = 1", [])?;
            leftovers(connection).map_err(|error| failed("leftovers", &error))
        });
        found.await
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

    async fn note_delivery(&self, row: &OutboxRow, delivery: Delivery) -> Result<(), StorageError> {
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
        let (cache, bounds) = (self.cache.clone(), self.bounds.clone());
        let follow = move |retried: &mut Option<ConversationKey>| {
            if let Some(conversation) = retried {
                cache.outbox.count(conversation, 1);
            }
        };
        let retry = move |connection: &Connection| outbox::retry(connection, &bot, integer(sequence), &bounds);
        let retried = self.database.write_then(Undo::Itself, false, retry, follow).await?;
        if retried.is_some() {
            self.outbox_rows.fetch_add(1, Ordering::Relaxed);
        }
        Ok(retried)
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
        Ok(u64::try_from(self.outbox_rows.load(Ordering::Relaxed)).unwrap_or(u64::MAX))
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

fn leftovers(connection: &Connection) -> rusqlite::Result<Leftovers> {
    let sql = "SELECT bot, channel, conversation, turn_id, activity FROM kept WHERE starts <= ? ORDER BY number";
    let mut kept = connection.prepare(sql)?;
    let kept = kept.query_map([STARTS_MAX], |row| {
        Ok(InboxEntry { conversation: conversation_of(row)?, turn_id: row.get(3)?, activity: row.get(4)? })
    })?;
    let sql = "SELECT turn_id FROM kept WHERE starts > ? ORDER BY number";
    let mut given_up = connection.prepare(sql)?;
    let given_up = given_up.query_map([STARTS_MAX], |row| row.get(0))?;
    let mut rows = connection.prepare("SELECT bot, channel, conversation, count(*) FROM outbox GROUP BY 1, 2, 3")?;
    let rows = rows.query_map([], |row| Ok((conversation_of(row)?, row.get(3)?)))?;
    Ok(Leftovers {
        activities: kept.collect::<Result<_, _>>()?,
        given_up: given_up.collect::<Result<_, _>>()?,
        outbox: rows.collect::<Result<_, _>>()?,
    })
}
