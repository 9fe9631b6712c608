//! The commit of a turn: what is written in its transaction, and what this process knows afterwards.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use rusqlite::{Connection, ToSql, params};

use super::cache::{Cache, UNDELIVERED};
use super::columns::{columns, scope_columns};
use super::writer::Undo;
use super::{Bounds, SqliteStorage, broadcasts, deduplication, failed, inbox, notifications, outbox, run, transcripts};
use crate::leases::Leases;
use crate::{
    DeduplicationKey, Expected, Made, OutboxAction, OutboxRow, StateWrite, StorageError, StoredStack, TurnCommit,
};
use turntable_activity::ConversationKey;

impl SqliteStorage {
    pub(super) async fn commit_turn(&self, mut commit: TurnCommit) -> Result<(), StorageError> {
        let met = self.known.leave_out_known(&mut commit.proactive);
        if commit.changes_nothing() && !self.cache.inbox.has(&commit.turn_id) {
            return fenced(&self.leases, &commit);
        }
        let removed = commit.proactive.removed.then(|| commit.conversation.clone());
        let (record, ends_turn) = (commit.record.clone(), commit.ends_turn);
        let (leases, bounds) = (self.leases.clone(), self.bounds.clone());
        if !commit.transcript.is_empty() {
            self.has_transcripts.store(true, Ordering::Relaxed);
        }
        let (cache, known) = (self.cache.clone(), self.cache.clone());
        let undo = undo(&commit);
        let chain = self.database.chain();
        let work = move |connection: &Connection| {
            if let Some(chain) = chain.as_ref().filter(|_| !commit.builds_on.is_empty()) {
                chain.arrived();
            }
            if commit.builds_on.iter().any(|earlier| earlier.is_lost()) {
                return Err(StorageError::Conflict);
            }
            fenced(&leases, &commit)?;
            let is_in_inbox = known.inbox.has(&commit.turn_id);
            let mut written = write(connection, commit, &known, &bounds, is_in_inbox)?;
            if written.made.as_mut().is_some_and(Made::made)
                && let Some(chain) = &chain
            {
                chain.expect();
            }
            Ok(written)
        };
        let follow = move |written: &mut Written| {
            if let Some(turn_id) = written.left_inbox.take() {
                cache.inbox.forget(&turn_id);
            }
            if let Some((key, number)) = written.record.take() {
                cache.records.insert(&key, number);
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
        self.database.write_then(undo, false, work, follow).await?;
        if let Some(conversation) = removed {
            self.known.forget(&conversation);
        }
        if let Some(reference) = met {
            self.known.stored(reference);
        }
        match record {
            Some((key, answer)) if ends_turn => self.claims.finish(&key, answer),
            Some((key, answer)) => self.claims.flushed(&key, answer),
            None => {}
        }
        Ok(())
    }
}

/// Fails where another owner has taken over the conversation.
fn fenced(leases: &Mutex<Leases>, commit: &TurnCommit) -> Result<(), StorageError> {
    let leases = leases.lock();
    if leases.taken_over(&commit.conversation, commit.fence) { Err(StorageError::Fenced) } else { Ok(()) }
}

/// What a commit left in the file, for the cache.
#[derive(Default)]
pub(super) struct Written {
    /// Rows of the outbox, each with the bytes of its text.
    pub(super) rows: Vec<(OutboxRow, usize)>,
    pub(super) writes: Vec<StateWrite>,
    /// The conversation's stack, where it changed.
    pub(super) stack: Option<(ConversationKey, Option<Arc<str>>)>,
    /// The turn, where its activity was kept.
    pub(super) left_inbox: Option<Arc<str>>,
    /// The mark and its number, where it is new.
    pub(super) record: Option<(DeduplicationKey, i64)>,
    pub(super) made: Option<Made>,
}

/// What a failure of [`write`] undoes: the first write of state may be refused before anything changed.
pub(super) fn undo(commit: &TurnCommit) -> Undo {
    let is_plain = commit.writes.len() <= 1 && commit.proactive.is_empty();
    if is_plain { Undo::Transaction } else { Undo::Itself }
}

/// Makes a turn real, but for its fence, which the caller has checked. `is_in_inbox`: its activity may be kept.
pub(super) fn write(
    connection: &Connection,
    commit: TurnCommit,
    known: &Cache,
    bounds: &Bounds,
    is_in_inbox: bool,
) -> Result<Written, StorageError> {
    let sends = commit.outbox.len();
    if sends > 0 {
        known.outbox.used(&commit.conversation).admit(&commit.conversation, sends, bounds.outbox_rows_max)?;
    }
    for write in &commit.writes {
        write_state(connection, write)?;
    }
    if let Some(stack) = &commit.stack {
        set_stack(connection, &commit.conversation, stack.as_ref())?;
    }
    let number = match &commit.record {
        Some((key, answer)) => {
            deduplication::set_record(connection, key, &commit.turn_id, answer, &known.records, bounds.records_max)?
        }
        None => None,
    };
    let mut places = Vec::with_capacity(sends);
    for action in &commit.outbox {
        places.push(outbox::push(connection, &commit, action, bounds)?);
    }
    notifications::change(connection, &commit.conversation, &commit.proactive)?;
    transcripts::append(connection, &commit.conversation, &commit.transcript)?;
    broadcasts::note_turn(connection, &commit)?;
    if is_in_inbox {
        inbox::remove(connection, &commit.turn_id)?;
    }
    let TurnCommit { conversation, service_url, turn_id, outbox, writes, stack, record, made, .. } = commit;
    let record = record.zip(number).map(|((key, _), number)| (key, number));
    let rows = outbox.into_iter().zip(places).map(|(action, (sequence, bytes))| {
        let (conversation, service_url, turn_id) = (conversation.clone(), service_url.clone(), turn_id.clone());
        (OutboxRow { sequence, conversation, service_url, turn_id, action }, bytes)
    });
    let rows = rows.collect();
    let stack = stack.map(|stack| (conversation, stack.map(|stack| stack.text)));
    Ok(Written { rows, writes, stack, left_inbox: is_in_inbox.then_some(turn_id), record, made })
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
