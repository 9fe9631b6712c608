//! The commit of a turn: one transaction, sent as one.

use std::time::Duration;

use tokio::time::Instant;

use super::columns::{Key, channel_column, place, record_key, scope_columns};
use super::database::Batch;
use super::param::{Columns, Param, params};
use super::{PostgresStorage, notifications, transcripts};
use crate::broadcasts::{TargetOutcome, target_of};
use crate::notifications::End;
use crate::{Expected, Fence, Lease, Made, OutboxAction, Owner, StateWrite, StorageError, StoredStack, TurnCommit};
use turntable_activity::ConversationKey;

/// Leases that this process remembers. Beyond it all are forgotten, which costs each conversation one question.
const KEPT_LEASES_MAX: usize = 100_000;

/// Takes, renews or refuses a lease. A host that is no member any more has no lease.
const LEASE: &str = "INSERT INTO turntable.leases AS held (place, owner, host, fence, expires) \
    VALUES ($1, $2, $3, nextval('turntable.fences'), clock_timestamp() + $4 * interval '1 ms') \
    ON CONFLICT (place) DO UPDATE SET owner = excluded.owner, host = excluded.host, expires = excluded.expires, \
    fence = CASE WHEN held.owner = excluded.owner AND held.host = excluded.host THEN held.fence ELSE excluded.fence END \
    WHERE (held.owner = excluded.owner AND held.host = excluded.host) OR held.expires <= clock_timestamp() \
    OR NOT EXISTS (SELECT FROM turntable.hosts WHERE id = held.host) RETURNING fence";

/// Fails where the lease of the conversation has another fence. Where it succeeded before, it fails too.
const FENCE: &str = "WITH held AS (UPDATE turntable.leases SET last_commit = $3 WHERE place = $1 AND fence = $2 \
    AND last_commit <> $3 RETURNING 1) SELECT turntable.must(EXISTS (SELECT FROM held), 'TT002')";
/// The same for a commit without a lease.
const NO_LEASE: &str = "SELECT turntable.must(NOT EXISTS (SELECT FROM turntable.leases WHERE place = $1), 'TT002')";
const WAS_COMMITTED: &str = "SELECT 1 FROM turntable.leases WHERE place = $1 AND last_commit = $2";

impl PostgresStorage {
    pub(super) async fn take_lease(
        &self,
        conversation: &ConversationKey,
        owner: &Owner,
        ttl: Duration,
    ) -> Result<Lease, StorageError> {
        let (key, asked) = (place(conversation), Instant::now());
        if let Some((held_by, fence, until)) = self.leases.lock().get(&key)
            && held_by == owner
            && asked + ttl / 2 < *until
            && *until <= asked + ttl
        {
            return Ok(Lease::Granted(*fence));
        }
        let milliseconds = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let lease = params![key, owner, &self.id, milliseconds];
        let granted = self.database.run("lease", true, LEASE, lease).await?;
        if let Some(row) = granted.rows.first() {
            let fence = Fence(row.number(0).map_err(|error| super::database::Failure::from(error).told("lease"))?);
            let mut leases = self.leases.lock();
            if leases.len() >= KEPT_LEASES_MAX {
                leases.clear();
            }
            leases.insert(key, (owner.clone(), fence, asked + ttl));
            return Ok(Lease::Granted(fence));
        }
        let sql = "SELECT greatest(0, ceil(extract(epoch FROM expires - clock_timestamp()) * 1000))::bigint \
                   FROM turntable.leases WHERE place = $1";
        let left = self.first("lease", sql, &params![key], |row| row.number(0)).await?;
        Ok(Lease::Held(Duration::from_millis(left.unwrap_or_default())))
    }

    pub(super) async fn commit_turn(&self, mut commit: TurnCommit) -> Result<(), StorageError> {
        let met = self.known.leave_out_known(&mut commit.proactive);
        let key = place(&commit.conversation);
        let was_in_inbox = self.inbox.lock().contains(&commit.turn_id);
        if commit.changes_nothing() && !was_in_inbox {
            return self.check_fence(key, commit.fence).await;
        }
        // A commit is said to be made once it is durable, so one that is open was lost with its turn.
        if commit.builds_on.iter().any(|earlier| earlier.is_lost()) {
            return Err(StorageError::Conflict);
        }
        if !commit.outbox.is_empty() {
            let (of, max) = (&commit.conversation, self.bounds.outbox_rows_max);
            self.undelivered.used(of).admit(of, commit.outbox.len(), max)?;
        }
        notifications::keep_user(self, &mut commit.proactive).await?;
        let batch = self.batch_of(&commit, key, was_in_inbox);
        let committed =
            self.database.commit("commit", batch.statements, (WAS_COMMITTED, params![key, &batch.id].into())).await;
        if let Err(StorageError::Fenced) = committed {
            self.leases.lock().remove(&key);
        }
        committed?;
        self.note_commit(commit);
        if let Some(reference) = met {
            self.known.stored(reference);
        }
        Ok(())
    }

    async fn check_fence(&self, key: Key, fence: Fence) -> Result<(), StorageError> {
        let sql = "SELECT fence FROM turntable.leases WHERE place = $1";
        let held = self.first("commit", sql, &params![key], |row| row.number(0)).await?;
        if held.unwrap_or_default() == fence.0 { Ok(()) } else { Err(StorageError::Fenced) }
    }

    fn batch_of(&self, commit: &TurnCommit, key: Key, was_in_inbox: bool) -> CommitBatch {
        let id = ulid::Ulid::new().to_string();
        let mut batch = Batch::default();
        match commit.fence {
            Fence(0) => batch.push(NO_LEASE, params![key]),
            Fence(fence) => batch.push(FENCE, params![key, fence, &id]),
        }
        write_state(&mut batch, &commit.writes);
        if let Some(stack) = &commit.stack {
            set_stack(&mut batch, &commit.conversation, key, stack.as_ref());
        }
        self.set_record(&mut batch, commit, key);
        push_outbox(&mut batch, commit, key);
        notifications::change(&mut batch, &commit.conversation, key, &commit.proactive);
        transcripts::append(&mut batch, &commit.conversation, &commit.transcript);
        note_target(&mut batch, commit, key);
        if was_in_inbox {
            batch.push("DELETE FROM turntable.inbox WHERE turn_id = $1", params![&commit.turn_id]);
        }
        CommitBatch { id, statements: batch }
    }

    fn set_record(&self, batch: &mut Batch, commit: &TurnCommit, key: Key) {
        let Some((record, answer)) = &commit.record else { return };
        let sql = "INSERT INTO turntable.records (key, place, status, answer, turn_id) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT (key) DO UPDATE SET status = excluded.status, answer = excluded.answer, turn_id = excluded.turn_id";
        let place_of_record =
            if record.conversation == commit.conversation { key } else { place(&record.conversation) };
        let status = u32::from(answer.status);
        batch.push(sql, params![record_key(record), place_of_record, status, &answer.body, &commit.turn_id]);
        if self.bounds.records.add(1) {
            let sql = "DELETE FROM turntable.records WHERE key IN (SELECT key FROM turntable.records WHERE number <= \
                       (SELECT number FROM turntable.records ORDER BY number DESC LIMIT 1 OFFSET $1) FOR UPDATE SKIP LOCKED)";
            batch.push(sql, params![self.bounds.records.max]);
        }
    }

    /// What this process knows after a commit.
    fn note_commit(&self, commit: TurnCommit) {
        let TurnCommit { conversation, turn_id, outbox, proactive, record, ends_turn, made, .. } = commit;
        self.undelivered.add(&conversation, outbox.len());
        self.inbox.lock().remove(&turn_id);
        if proactive.removed {
            self.known.forget(&conversation);
        }
        if let Some(made) = made {
            tell(made);
        }
        match record {
            Some((key, answer)) if ends_turn => self.claims.finish(&key, answer),
            Some((key, answer)) => self.claims.flushed(&key, answer),
            None => {}
        }
    }
}

struct CommitBatch {
    id: String,
    statements: Batch,
}

/// Durable first: who builds on the commit reads its writes from the database.
fn tell(mut made: Made) {
    made.durable();
    made.made();
}

/// Writes state in one order of keys, so that two turns never wait for each other. Each write that relies on something fails where
/// that is not so.
fn write_state(batch: &mut Batch, writes: &[StateWrite]) {
    let mut writes: Vec<_> = writes.iter().map(|write| (scope_columns(&write.scope), write)).collect();
    writes.sort_by(|(one, a), (other, b)| (one.key, &a.key).cmp(&(other.key, &b.key)));
    for (scope, write) in writes {
        let StateWrite { key, value, expected, .. } = write;
        let Some(value) = value else {
            match expected {
                Expected::Etag(etag) => batch.push(
                    "WITH gone AS (DELETE FROM turntable.state WHERE scope = $1 AND key = $2 AND etag = $3 RETURNING 1) \
                     SELECT turntable.must(EXISTS (SELECT FROM gone), 'TT003')",
                    params![scope.key, key, etag],
                ),
                Expected::Any => batch
                    .push("DELETE FROM turntable.state WHERE scope = $1 AND key = $2", params![scope.key, key]),
                Expected::Absent => batch.push(
                    "SELECT turntable.must(NOT EXISTS (SELECT FROM turntable.state WHERE scope = $1 AND key = $2), 'TT003')",
                    params![scope.key, key],
                ),
            }
            continue;
        };
        if let Expected::Etag(etag) = expected {
            let sql = "WITH written AS (UPDATE turntable.state SET value = $3, etag = $4 WHERE scope = $1 AND key = $2 \
                       AND etag = $5 RETURNING 1) SELECT turntable.must(EXISTS (SELECT FROM written), 'TT003')";
            batch.push(sql, params![scope.key, key, &value.value, &value.etag, etag]);
            continue;
        }
        let row = params![
            scope.key,
            key,
            &write.scope.bot,
            &write.scope.namespace,
            scope.kind,
            &scope.channel,
            scope.conversation,
            scope.user,
            scope.place,
            scope.person,
            &value.value,
            &value.etag,
        ];
        let sql = if *expected == Expected::Absent { INSERT_ABSENT } else { INSERT_ANY };
        batch.push(sql, row);
    }
}

const INSERT_ABSENT: &str = "WITH written AS (INSERT INTO turntable.state (scope, key, bot, namespace, kind, channel, \
    conversation, person_id, place, person, value, etag) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
    ON CONFLICT DO NOTHING RETURNING 1) SELECT turntable.must(EXISTS (SELECT FROM written), 'TT003')";
const INSERT_ANY: &str = "INSERT INTO turntable.state (scope, key, bot, namespace, kind, channel, conversation, person_id, \
    place, person, value, etag) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
    ON CONFLICT (scope, key) DO UPDATE SET value = excluded.value, etag = excluded.etag";

fn set_stack(batch: &mut Batch, conversation: &ConversationKey, key: Key, stack: Option<&StoredStack>) {
    batch.push("DELETE FROM turntable.frames WHERE place = $1", params![key]);
    let Some(stack) = stack else {
        batch.push("DELETE FROM turntable.stacks WHERE place = $1", params![key]);
        return;
    };
    let (bot, channel, id) = (&conversation.bot, channel_column(&conversation.channel), &conversation.conversation);
    let sql = "INSERT INTO turntable.stacks (place, bot, channel, conversation, stack) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (place) DO UPDATE SET stack = excluded.stack";
    batch.push(sql, params![key, bot, &channel, id, &stack.text]);
    if stack.frames.is_empty() {
        return;
    }
    let frames = || stack.frames.iter();
    // A version beyond PostgreSQL's integers is only counted under another name.
    let versions = frames().map(|frame| i64::try_from(frame.state_version).unwrap_or(i64::MAX)).collect();
    let sql = "INSERT INTO turntable.frames (place, position, bot, channel, conversation, plugin, dialog, state_version) \
               SELECT $1, position, $2, $3, $4, plugin, dialog, state_version \
               FROM unnest($5, $6, $7) WITH ORDINALITY AS frame(plugin, dialog, state_version, position)";
    let mut row = Vec::from(params![key, bot, &channel, id]);
    row.push(Param::texts(frames().map(|frame| Some(&*frame.plugin))));
    row.push(Param::texts(frames().map(|frame| Some(&*frame.dialog))));
    row.push(Param::Ints(versions));
    batch.push(sql, row);
}

fn push_outbox(batch: &mut Batch, commit: &TurnCommit, key: Key) {
    if commit.outbox.is_empty() {
        return;
    }
    let of = &commit.conversation;
    let parts = || commit.outbox.iter().map(parts);
    let sql = "INSERT INTO turntable.outbox (place, bot, channel, conversation, service_url, turn_id, action, id, activity) \
               SELECT $1, $2, $3, $4, $5, $6, action, id, activity \
               FROM unnest($7, $8, $9) WITH ORDINALITY AS sent(action, id, activity, position) ORDER BY position";
    let channel = channel_column(&of.channel);
    let mut row = Vec::from(params![key, &of.bot, &channel, &of.conversation, &commit.service_url, &commit.turn_id]);
    row.push(Param::texts(parts().map(|(action, ..)| Some(action))));
    row.push(Param::texts(parts().map(|(_, id, _)| Some(id))));
    row.push(Param::texts(parts().map(|(.., activity)| activity)));
    batch.push(sql, row);
}

/// What is done, the id that it is about, and the activity.
fn parts(action: &OutboxAction) -> (&'static str, &str, Option<&str>) {
    match action {
        OutboxAction::Send { host_id, activity } => ("send", host_id, Some(activity)),
        OutboxAction::Update { target, activity } => ("update", target, Some(activity)),
        OutboxAction::Delete { target } => ("delete", target, None),
    }
}

/// What a turn means for the target of a broadcast that it was about. A turn that found its notification ended means nothing,
/// because whoever ended the notification has ended the target.
fn note_target(batch: &mut Batch, commit: &TurnCommit, key: Key) {
    let Some((id, End::Done(how))) = &commit.proactive.ended else { return };
    let Some((broadcast, target)) = target_of(id) else { return };
    match TargetOutcome::named(how).unwrap_or(TargetOutcome::Failed) {
        TargetOutcome::Cancelled => {}
        TargetOutcome::Delivered => {
            batch.push("SELECT turntable.note_turn($1, $2, $3, $4)", params![broadcast, target, key, &commit.turn_id]);
        }
        outcome => {
            let why = (outcome == TargetOutcome::Failed).then_some("the turn failed; the log says why");
            let sql = "SELECT turntable.settle_notified($1, $2, $3, $4)";
            batch.push(sql, params![broadcast, target, outcome.name(), why]);
        }
    }
}
