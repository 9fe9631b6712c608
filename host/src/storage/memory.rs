//! Storage in memory: bounded, and lost with the process.

mod broadcasts;
mod notifications;
mod privacy;
mod transcripts;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{
    Accepted, Answer, DeadLetter, Delivery, Expected, Fence, FrameTag, KeptActivity, Lease, Leftovers, OutboxAction,
    OutboxRow, Owner, RedeliveryKey, StateScope, StateValue, StateWrite, Storage, StorageError, StoredStack,
    TurnCommit,
};
use crate::activity::ConversationKey;
use crate::config::Channel;

/// A store without a file. Everything in it ends with the process.
pub struct MemoryStorage {
    bounds: Bounds,
    /// A plain mutex: each operation is a few map accesses, and none waits while it holds it.
    state: Mutex<State>,
}

/// Bytes of state and stacks, keys included, over all bots.
const STATE_BYTES_MAX: usize = 256 << 20;

struct Bounds {
    outbox_rows_max: usize,
    dead_letters_max: usize,
    marks_max: usize,
    ids_max: usize,
}

#[derive(Default)]
struct State {
    /// What is known of an activity that was accepted.
    marks: HashMap<RedeliveryKey, Mark>,
    /// Keys of the marks that are done, oldest first. A running one is in no queue, so nothing evicts it; the bounds of
    /// the turn queues bound their number.
    done: VecDeque<RedeliveryKey>,
    /// Undelivered rows, oldest first. A conversation without any has no entry.
    outbox: HashMap<ConversationKey, VecDeque<OutboxRow>>,
    outbox_rows: usize,
    /// One sequence for all conversations: still strictly increasing in each, and nothing to remember for the idle ones.
    sequence: u64,
    ids: IdMap,
    /// Oldest first.
    dead: VecDeque<DeadLetter>,
    values: HashMap<StateScope, HashMap<Arc<str>, StateValue>>,
    stacks: HashMap<ConversationKey, StoredStack>,
    /// Bytes in `values` and `stacks`.
    state_bytes: usize,
    leases: Leases,
    proactive: notifications::Proactive,
    transcripts: transcripts::Kept,
    broadcasts: broadcasts::Kept,
}

/// Who runs the turns of which conversation. Stores with one process at a time keep leases in memory.
#[derive(Default)]
pub(super) struct Leases {
    held: HashMap<ConversationKey, Held>,
    /// One counter for all conversations: fences rise even where an expired lease was forgotten.
    fence: u64,
    /// The number of leases at which the expired ones are forgotten.
    prune_at: usize,
}

struct Held {
    owner: Owner,
    fence: Fence,
    until: Instant,
}

enum Mark {
    Running {
        turn_id: Arc<str>,
        /// Dropped without a value when the run is released.
        answer: watch::Sender<Option<Answer>>,
        /// The answer of the last flush.
        flushed: Option<Answer>,
    },
    Done {
        turn_id: Arc<str>,
        answer: Answer,
    },
}

impl MemoryStorage {
    /// Makes an empty store with the bounds of `[channel]`.
    pub fn new(channel: &Channel) -> Self {
        let bounds = Bounds {
            outbox_rows_max: channel.outbox_rows_max,
            dead_letters_max: channel.dead_letters_max,
            marks_max: channel.redelivery_marks_max,
            ids_max: channel.id_map_entries_max,
        };
        Self { bounds, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock panics half-way through a change, so a poisoned state is a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    async fn accept(&self, key: &RedeliveryKey, turn_id: &Arc<str>) -> Result<Accepted, StorageError> {
        let mut state = self.state();
        Ok(match state.marks.get(key) {
            Some(Mark::Running { turn_id, answer, .. }) => {
                Accepted::Running { turn_id: turn_id.clone(), answer: answer.subscribe() }
            }
            Some(Mark::Done { turn_id, answer }) => {
                Accepted::Duplicate { turn_id: turn_id.clone(), answer: answer.clone() }
            }
            None => {
                let (answer, _) = watch::channel(None);
                let claim = Mark::Running { turn_id: turn_id.clone(), answer, flushed: None };
                state.marks.insert(key.clone(), claim);
                Accepted::New
            }
        })
    }

    async fn release(&self, key: &RedeliveryKey) {
        let mut state = self.state();
        match state.marks.get(key) {
            Some(Mark::Running { turn_id, flushed: Some(answer), .. }) => {
                let (turn_id, answer) = (turn_id.clone(), answer.clone());
                state.finish(key, turn_id, answer, self.bounds.marks_max);
            }
            Some(Mark::Running { flushed: None, .. }) => {
                state.marks.remove(key);
            }
            Some(Mark::Done { .. }) | None => {}
        }
    }

    /// There is no restart that could run it.
    async fn keep(&self, _activity: KeptActivity) -> Result<(), StorageError> {
        Ok(())
    }

    async fn forget_kept(&self, _turn_id: &Arc<str>) -> Result<(), StorageError> {
        Ok(())
    }

    async fn leftovers(&self) -> Result<Leftovers, StorageError> {
        Ok(Leftovers::default())
    }

    async fn lease(&self, conversation: &ConversationKey, owner: &Owner, ttl: Duration) -> Result<Lease, StorageError> {
        Ok(self.state().leases.lease(conversation, owner, ttl, Instant::now()))
    }

    async fn load_state(&self, scope: &StateScope) -> Result<HashMap<Arc<str>, StateValue>, StorageError> {
        Ok(self.state().values.get(scope).cloned().unwrap_or_default())
    }

    async fn load_stack(&self, conversation: &ConversationKey) -> Result<Option<Arc<str>>, StorageError> {
        Ok(self.state().stacks.get(conversation).map(|stack| stack.text.clone()))
    }

    async fn frames(&self, bot: &str) -> Result<Vec<(FrameTag, u64)>, StorageError> {
        let state = self.state();
        let mut counts: HashMap<&FrameTag, u64> = HashMap::new();
        for (_, stack) in state.stacks.iter().filter(|(conversation, _)| *conversation.bot == *bot) {
            for frame in &stack.frames {
                *counts.entry(frame).or_default() += 1;
            }
        }
        let mut counts: Vec<_> = counts.into_iter().map(|(frame, count)| (frame.clone(), count)).collect();
        counts.sort();
        Ok(counts)
    }

    async fn waiting_in(&self, bot: &str, frame: &FrameTag, max: usize) -> Result<Vec<ConversationKey>, StorageError> {
        let state = self.state();
        let waits = state.stacks.iter().filter(|(key, stack)| *key.bot == *bot && stack.frames.contains(frame));
        Ok(waits.map(|(conversation, _)| conversation.clone()).take(max).collect())
    }

    async fn commit(&self, commit: TurnCommit) -> Result<(), StorageError> {
        let mut state = self.state();
        if state.leases.taken_over(&commit.conversation, commit.fence) {
            return Err(StorageError::Fenced);
        }
        if !commit.writes.iter().all(|write| state.holds(write)) {
            return Err(StorageError::Conflict);
        }
        if state.state_bytes + added_bytes(&commit) > STATE_BYTES_MAX {
            return Err(StorageError::Full(format!("state takes more than {STATE_BYTES_MAX} bytes of memory")));
        }
        let max = self.bounds.outbox_rows_max;
        if state.outbox_rows + commit.outbox.len() > max {
            let sends = commit.outbox.len();
            return Err(StorageError::Full(format!(
                "{} sends are undelivered and this turn adds {sends}; channel.outbox-rows-max is {max}",
                state.outbox_rows
            )));
        }
        if let Some((key, answer)) = commit.mark {
            if commit.ends_turn {
                state.finish(&key, commit.turn_id.clone(), answer, self.bounds.marks_max);
            } else if let Some(Mark::Running { flushed, .. }) = state.marks.get_mut(&key) {
                *flushed = Some(answer);
            }
        }
        for write in commit.writes {
            state.write(write);
        }
        if let Some(stack) = commit.stack {
            state.set_stack(&commit.conversation, stack);
        }
        state.proactive.change(&commit.conversation, &commit.proactive);
        state.transcripts.append(&commit.conversation, commit.transcript);
        if commit.proactive.removed {
            state.broadcasts.forget(&commit.conversation);
        }
        for id in &commit.proactive.cancelled {
            state.broadcasts.note_cancelled(id);
        }
        for action in commit.outbox {
            if let OutboxAction::Send { host_id, .. } = &action {
                state.ids.set(&commit.conversation, host_id, &"".into(), self.bounds.ids_max);
            }
            state.sequence += 1;
            state.outbox_rows += 1;
            let row = OutboxRow {
                sequence: state.sequence,
                conversation: commit.conversation.clone(),
                service_url: commit.service_url.clone(),
                turn_id: commit.turn_id.clone(),
                action,
            };
            state.outbox.entry(commit.conversation.clone()).or_default().push_back(row);
        }
        let rows = state.outbox.get(&commit.conversation);
        let sends = rows.map_or(0, |rows| rows.iter().filter(|row| row.turn_id == commit.turn_id).count());
        state.broadcasts.note_turn(&commit.turn_id, commit.proactive.ended.as_ref(), sends);
        Ok(())
    }

    async fn claim_outbox(&self, conversation: &ConversationKey) -> Result<Option<OutboxRow>, StorageError> {
        Ok(self.state().outbox.get(conversation).and_then(VecDeque::front).cloned())
    }

    async fn note_delivery(&self, row: &OutboxRow, delivery: Delivery) -> Result<(), StorageError> {
        let mut state = self.state();
        if !state.take_row(row) {
            return Ok(());
        }
        state.broadcasts.note_row(row, &delivery);
        match (delivery, &row.action) {
            (Delivery::Done { channel_id }, OutboxAction::Send { host_id, .. }) => {
                state.ids.set(&row.conversation, host_id, &channel_id, self.bounds.ids_max);
                state.transcripts.note_id(host_id, &channel_id);
            }
            (Delivery::Done { .. }, OutboxAction::Update { .. } | OutboxAction::Delete { .. }) => {}
            (Delivery::Dead { why, .. }, _) => {
                let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let at_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
                state.dead.push_back(DeadLetter { row: row.clone(), why, at_ms });
                while state.dead.len() > self.bounds.dead_letters_max {
                    state.dead.pop_front();
                }
            }
        }
        Ok(())
    }

    async fn map_id(
        &self,
        conversation: &ConversationKey,
        host_id: &Arc<str>,
        channel_id: &Arc<str>,
    ) -> Result<(), StorageError> {
        let mut state = self.state();
        state.ids.set(conversation, host_id, channel_id, self.bounds.ids_max);
        state.transcripts.note_id(host_id, channel_id);
        Ok(())
    }

    async fn channel_id(
        &self,
        conversation: &ConversationKey,
        host_id: &str,
    ) -> Result<Option<Arc<str>>, StorageError> {
        Ok(self.state().ids.channel_id(conversation, host_id))
    }

    async fn host_id(
        &self,
        conversation: &ConversationKey,
        channel_id: &str,
    ) -> Result<Option<Arc<str>>, StorageError> {
        Ok(self.state().ids.host_id(conversation, channel_id))
    }

    async fn dead_letters(&self, bot: &str) -> Result<Vec<DeadLetter>, StorageError> {
        let state = self.state();
        Ok(state.dead.iter().rev().filter(|letter| *letter.row.conversation.bot == *bot).cloned().collect())
    }

    async fn retry_dead_letter(&self, bot: &str, sequence: u64) -> Result<Option<ConversationKey>, StorageError> {
        let mut state = self.state();
        let Some(letter) = state.take_letter(bot, sequence) else { return Ok(None) };
        state.sequence += 1;
        state.outbox_rows += 1;
        let row = OutboxRow { sequence: state.sequence, ..letter.row };
        let conversation = row.conversation.clone();
        state.outbox.entry(conversation.clone()).or_default().push_back(row);
        Ok(Some(conversation))
    }

    async fn drop_dead_letter(&self, bot: &str, sequence: u64) -> Result<bool, StorageError> {
        Ok(self.state().take_letter(bot, sequence).is_some())
    }

    async fn outbox_depth(&self) -> Result<u64, StorageError> {
        Ok(u64::try_from(self.state().outbox_rows).unwrap_or(u64::MAX))
    }
}

impl Leases {
    pub(super) fn lease(
        &mut self,
        conversation: &ConversationKey,
        owner: &Owner,
        ttl: Duration,
        now: Instant,
    ) -> Lease {
        let until = now + ttl;
        match self.held.get_mut(conversation) {
            Some(held) if held.owner == *owner => {
                held.until = until;
                return Lease::Granted(held.fence);
            }
            Some(held) if held.until > now => return Lease::Held(held.until - now),
            Some(_) | None => {}
        }
        if self.held.len() >= self.prune_at {
            self.held.retain(|_, held| held.until > now);
            self.prune_at = (self.held.len() * 2).max(LEASES_PRUNED_FROM);
        }
        self.fence += 1;
        let fence = Fence(self.fence);
        self.held.insert(conversation.clone(), Held { owner: owner.clone(), fence, until });
        Lease::Granted(fence)
    }

    /// Whether somebody else has got the conversation since this fence was given.
    pub(super) fn taken_over(&self, conversation: &ConversationKey, fence: Fence) -> bool {
        self.held.get(conversation).is_some_and(|held| held.fence > fence)
    }
}

const LEASES_PRUNED_FROM: usize = 1_024;

fn added_bytes(commit: &TurnCommit) -> usize {
    let values = commit.writes.iter().map(|write| write.value.as_ref().map_or(0, |value| bytes_of(&write.key, value)));
    let stack = commit.stack.as_ref().and_then(Option::as_ref).map_or(0, |stack| stack.text.len());
    values.sum::<usize>() + stack
}

fn bytes_of(key: &str, value: &StateValue) -> usize {
    key.len() + value.value.len()
}

impl State {
    /// Whether what a write relies on is so.
    fn holds(&self, write: &StateWrite) -> bool {
        let current = self.values.get(&write.scope).and_then(|values| values.get(&write.key));
        match &write.expected {
            Expected::Any => true,
            Expected::Absent => current.is_none(),
            Expected::Etag(etag) => current.is_some_and(|current| current.etag == *etag),
        }
    }

    fn write(&mut self, write: StateWrite) {
        let values = self.values.entry(write.scope.clone()).or_default();
        let added = write.value.as_ref().map_or(0, |value| bytes_of(&write.key, value));
        let old = match write.value {
            Some(value) => values.insert(write.key.clone(), value),
            None => values.remove(&write.key),
        };
        let removed = old.map_or(0, |old| bytes_of(&write.key, &old));
        if values.is_empty() {
            self.values.remove(&write.scope);
        }
        self.state_bytes = (self.state_bytes + added).saturating_sub(removed);
    }

    fn set_stack(&mut self, conversation: &ConversationKey, stack: Option<StoredStack>) {
        let added = stack.as_ref().map_or(0, |stack| stack.text.len());
        let old = match stack {
            Some(stack) => self.stacks.insert(conversation.clone(), stack),
            None => self.stacks.remove(conversation),
        };
        self.state_bytes = (self.state_bytes + added).saturating_sub(old.map_or(0, |old| old.text.len()));
    }

    /// Marks an activity as done, and tells those who wait for it.
    fn finish(&mut self, key: &RedeliveryKey, turn_id: Arc<str>, answer: Answer, marks_max: usize) {
        match self.marks.insert(key.clone(), Mark::Done { turn_id, answer: answer.clone() }) {
            Some(Mark::Running { answer: waiting, .. }) => {
                waiting.send_replace(Some(answer));
                self.done.push_back(key.clone());
            }
            Some(Mark::Done { .. }) => {}
            None => self.done.push_back(key.clone()),
        }
        while self.done.len() > marks_max {
            if let Some(oldest) = self.done.pop_front() {
                self.marks.remove(&oldest);
            }
        }
    }

    fn take_letter(&mut self, bot: &str, sequence: u64) -> Option<DeadLetter> {
        let of = |letter: &DeadLetter| *letter.row.conversation.bot == *bot && letter.row.sequence == sequence;
        let position = self.dead.iter().position(of)?;
        self.dead.remove(position)
    }

    /// Takes a row out of the outbox; false if it was taken before.
    fn take_row(&mut self, row: &OutboxRow) -> bool {
        let Some(rows) = self.outbox.get_mut(&row.conversation) else { return false };
        let Some(position) = rows.iter().position(|other| other.sequence == row.sequence) else { return false };
        rows.remove(position);
        if rows.is_empty() {
            self.outbox.remove(&row.conversation);
        }
        self.outbox_rows -= 1;
        true
    }
}

/// Host ids and channel ids of sent activities, mapped both ways; the oldest are forgotten first.
#[derive(Default)]
struct IdMap {
    by_host: HashMap<Arc<str>, (ConversationKey, Arc<str>)>,
    by_channel: HashMap<(ConversationKey, Arc<str>), Arc<str>>,
    /// Host ids in the order in which they became known.
    order: VecDeque<Arc<str>>,
}

impl IdMap {
    fn set(&mut self, conversation: &ConversationKey, host_id: &Arc<str>, channel_id: &Arc<str>, max: usize) {
        if let Some((_, old)) = self.by_host.insert(host_id.clone(), (conversation.clone(), channel_id.clone())) {
            self.unmap_channel(conversation, &old, host_id);
        } else {
            self.order.push_back(host_id.clone());
        }
        if !channel_id.is_empty() {
            self.by_channel.insert((conversation.clone(), channel_id.clone()), host_id.clone());
        }
        while self.order.len() > max {
            let Some(oldest) = self.order.pop_front() else { return };
            if let Some((conversation, channel_id)) = self.by_host.remove(&oldest) {
                self.unmap_channel(&conversation, &channel_id, &oldest);
            }
        }
    }

    /// Forgets the way back, unless a later activity has taken over that id of the channel.
    fn unmap_channel(&mut self, conversation: &ConversationKey, channel_id: &Arc<str>, host_id: &str) {
        let key = (conversation.clone(), channel_id.clone());
        if self.by_channel.get(&key).is_some_and(|owner| **owner == *host_id) {
            self.by_channel.remove(&key);
        }
    }

    fn channel_id(&self, conversation: &ConversationKey, host_id: &str) -> Option<Arc<str>> {
        let (owner, channel_id) = self.by_host.get(host_id)?;
        (owner == conversation).then(|| channel_id.clone())
    }

    /// Forgets the ids of a conversation, and says how many.
    fn forget(&mut self, conversation: &ConversationKey) -> usize {
        let before = self.by_host.len();
        self.by_host.retain(|_, (owner, _)| owner != conversation);
        self.by_channel.retain(|(owner, _), _| owner != conversation);
        let Self { by_host, order, .. } = self;
        order.retain(|host_id| by_host.contains_key(host_id));
        before - self.by_host.len()
    }

    fn host_id(&self, conversation: &ConversationKey, channel_id: &str) -> Option<Arc<str>> {
        self.by_channel.get(&(conversation.clone(), channel_id.into())).cloned()
    }
}

#[cfg(test)]
mod tests;
