//! The end of a turn: its commit, and what this process knows afterwards.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use rusqlite::Connection;

use super::SqliteStorage;
use super::cache::UNDELIVERED;
use super::commit::{self, Written};
use crate::storage::{Made, OutboxAction, StorageError, TurnCommit};

impl SqliteStorage {
    pub(super) async fn commit_turn(&self, mut commit: TurnCommit) -> Result<(), StorageError> {
        let met = self.met.leave_out_known(&mut commit.proactive);
        let removed = commit.proactive.removed.then(|| commit.conversation.clone());
        let (mark, ends_turn, rows) = (commit.mark.clone(), commit.ends_turn, commit.outbox.len());
        let (leases, bounds, outbox_rows) = (self.leases.clone(), self.bounds.clone(), self.outbox_rows.clone());
        if !commit.transcript.is_empty() {
            self.has_transcripts.store(true, Ordering::Relaxed);
        }
        let (cache, known) = (self.cache.clone(), self.cache.clone());
        let undo = commit::undo(&commit);
        let chain = self.database.chain();
        let work = move |connection: &Connection| {
            if let Some(chain) = chain.as_ref().filter(|_| !commit.builds_on.is_empty()) {
                chain.arrived();
            }
            if commit.builds_on.iter().any(|earlier| earlier.is_lost()) {
                return Err(StorageError::Conflict);
            }
            let taken_over = leases.lock().unwrap_or_else(PoisonError::into_inner);
            if taken_over.taken_over(&commit.conversation, commit.fence) {
                return Err(StorageError::Fenced);
            }
            drop(taken_over);
            let is_kept = known.kept.has(&commit.turn_id);
            let outbox_rows = outbox_rows.load(Ordering::Relaxed);
            let mut written = commit::write(connection, commit, &known.marks, &bounds, outbox_rows, is_kept)?;
            if written.made.as_mut().is_some_and(Made::made)
                && let Some(chain) = &chain
            {
                chain.expect();
            }
            Ok(written)
        };
        let follow = move |written: &mut Written| {
            if let Some(turn_id) = written.ended_kept.take() {
                cache.kept.forget(&turn_id);
            }
            if let Some((key, number)) = written.mark.take() {
                cache.marks.insert(&key, number);
            }
            for (row, _) in &written.rows {
                if let OutboxAction::Send { host_id, .. } = &row.action {
                    cache.ids.insert(&row.conversation, host_id, "", UNDELIVERED);
                }
            }
            if let Some((conversation, stack)) = written.stack.take() {
                cache.stacks.change(&conversation, |known| *known = stack);
            }
            cache.outbox.push(std::mem::take(&mut written.rows));
            cache.values.apply(std::mem::take(&mut written.writes));
            // After the cache: a turn that does not build on this commit any more reads its writes there.
            if let Some(made) = written.made.take() {
                made.durable();
            }
        };
        self.database.write_then(undo, work, follow).await?;
        self.outbox_rows.fetch_add(rows, Ordering::Relaxed);
        if let Some(conversation) = removed {
            self.met.forget(&conversation);
        }
        if let Some(reference) = met {
            self.met.stored(reference);
        }
        match mark {
            Some((key, answer)) if ends_turn => self.finish(&key, answer),
            Some((key, answer)) => {
                if let Some(run) = self.running().get_mut(&key) {
                    run.flushed = Some(answer);
                }
            }
            None => {}
        }
        Ok(())
    }
}
