//! Storage in memory: bounded, and lost with the process.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{
    Accepted, Answer, DeadLetter, Delivery, OutboxAction, OutboxRow, RedeliveryKey, Storage, StorageError, TurnCommit,
};
use crate::activity::ConversationKey;
use crate::config::Channel;

/// The embedded store of this release. Everything in it ends with the process.
pub struct MemoryStorage {
    bounds: Bounds,
    /// A plain mutex: each operation is a few map accesses, and none waits while it holds it.
    state: Mutex<State>,
}

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
}

enum Mark {
    Running {
        /// Dropped without a value when the run is released.
        answer: watch::Sender<Option<Answer>>,
        /// The answer of the last flush.
        flushed: Option<Answer>,
    },
    Done(Answer),
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
    async fn accept(&self, key: &RedeliveryKey) -> Result<Accepted, StorageError> {
        let mut state = self.state();
        Ok(match state.marks.get(key) {
            Some(Mark::Running { answer, .. }) => Accepted::Running(answer.subscribe()),
            Some(Mark::Done(answer)) => Accepted::Duplicate(answer.clone()),
            None => {
                let (answer, _) = watch::channel(None);
                state.marks.insert(key.clone(), Mark::Running { answer, flushed: None });
                Accepted::New
            }
        })
    }

    async fn release(&self, key: &RedeliveryKey) {
        let mut state = self.state();
        match state.marks.get(key) {
            Some(Mark::Running { flushed: Some(answer), .. }) => {
                let answer = answer.clone();
                state.finish(key, answer, self.bounds.marks_max);
            }
            Some(Mark::Running { flushed: None, .. }) => {
                state.marks.remove(key);
            }
            Some(Mark::Done(_)) | None => {}
        }
    }

    async fn commit(&self, commit: TurnCommit) -> Result<(), StorageError> {
        let mut state = self.state();
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
                state.finish(&key, answer, self.bounds.marks_max);
            } else if let Some(Mark::Running { flushed, .. }) = state.marks.get_mut(&key) {
                *flushed = Some(answer);
            }
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
        match (delivery, &row.action) {
            (Delivery::Done { channel_id }, OutboxAction::Send { host_id, .. }) => {
                state.ids.set(&row.conversation, host_id, &channel_id, self.bounds.ids_max);
            }
            (Delivery::Done { .. }, OutboxAction::Update { .. } | OutboxAction::Delete { .. }) => {}
            (Delivery::Dead { why }, _) => {
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
        self.state().ids.set(conversation, host_id, channel_id, self.bounds.ids_max);
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

    async fn outbox_depth(&self) -> Result<u64, StorageError> {
        Ok(u64::try_from(self.state().outbox_rows).unwrap_or(u64::MAX))
    }
}

impl State {
    /// Marks an activity as done, and tells those who wait for it.
    fn finish(&mut self, key: &RedeliveryKey, answer: Answer, marks_max: usize) {
        match self.marks.insert(key.clone(), Mark::Done(answer.clone())) {
            Some(Mark::Running { answer: waiting, .. }) => {
                waiting.send_replace(Some(answer));
                self.done.push_back(key.clone());
            }
            Some(Mark::Done(_)) => {}
            None => self.done.push_back(key.clone()),
        }
        while self.done.len() > marks_max {
            if let Some(oldest) = self.done.pop_front() {
                self.marks.remove(&oldest);
            }
        }
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

    fn host_id(&self, conversation: &ConversationKey, channel_id: &str) -> Option<Arc<str>> {
        self.by_channel.get(&(conversation.clone(), channel_id.into())).cloned()
    }
}

#[cfg(test)]
mod tests;
