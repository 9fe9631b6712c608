//! What is staged becomes real: commits and flushes.

use std::future::Future;
use std::sync::Arc;

use super::{Staged, Staging};
use crate::storage::notifications::ProactiveChanges;
use crate::storage::transcripts::TranscriptItem;
use crate::storage::{Answer, Made, OutboxAction, Pending, StorageError, TurnCommit};
use crate::turn::address::address;
use crate::turn::contention::{SEAT_HOLD_MIN, Seats};
use crate::turn::proactive::{ending, reference_of, removes_the_bot};
use crate::turn::stack;
use crate::turn::state::user_of;

/// What leaves with a commit.
pub(in crate::turn) struct Leaving {
    /// What goes through the channel.
    pub(in crate::turn) actions: Vec<OutboxAction>,
    /// All that was said, also where it leaves in the answer instead.
    transcript: Vec<TranscriptItem>,
}

impl Staging {
    /// What leaves with a commit of all that is staged. It stays staged, because the commit may fail.
    pub(in crate::turn) fn leaving(&self) -> Result<Leaving, StorageError> {
        let inbound = &self.turn.inbound.activity;
        let transcript = self.said.with(&self.actions, |activity| address(activity, inbound, false));
        let actions = self.actions.iter().map(Staged::written).collect::<Result<_, _>>()?;
        Ok(Leaving { actions, transcript })
    }

    /// Stores what is staged and what leaves, and wakes the lane. `ends_turn` is false for a flush. The future owns all it
    /// needs.
    pub(in crate::turn) fn store(
        &mut self,
        leaving: Leaving,
        answer: Answer,
        ends_turn: bool,
    ) -> impl Future<Output = Result<(), StorageError>> + Send + use<> {
        let Leaving { actions, transcript } = leaving;
        self.relied_on = self.state.relied_on();
        let (turn, sends) = (self.turn.clone(), actions.len());
        let unseated = self.relied_on.difference(&self.seats.0).cloned().collect();
        // A turn that flushed cannot run again, so it tries its commit in any case.
        let seats = match turn.contention.try_sit(unseated, SEAT_HOLD_MIN) {
            None if self.flushes == 0 => Err(StorageError::Conflict),
            seats => Ok(seats),
        };
        let mut commit = TurnCommit {
            conversation: turn.inbound.key.clone(),
            service_url: turn.inbound.activity.service_url().into(),
            turn_id: turn.turn_id.clone(),
            fence: self.fence,
            outbox: actions,
            writes: self.state.writes(),
            stack: (self.unreadable || self.stack.frames != self.stored_stack.frames)
                .then(|| stack::stored(&self.stack)),
            record: turn.mark.clone().map(|key| (key, answer)),
            proactive: self.proactive_changes(ends_turn),
            transcript,
            ends_turn,
            builds_on: self.state.builds_on().to_vec(),
            made: None,
        };
        let notifies = !commit.proactive.added.is_empty();
        let seated = seats.map(|seats| self.seats.1.drain(..).chain(seats).collect());
        async move {
            // The turn stays in line until the commit is durable.
            let _seats = hand_over_when_made(seated?, &mut commit);
            turn.services.storage.commit(commit).await?;
            if sends > 0 {
                turn.services.deliveries.wake(&turn.inbound.key, sends);
            }
            if notifies {
                turn.services.due.notify_one();
            }
            Ok(())
        }
    }

    /// What a commit changes of references and notifications. Who spoke is met whatever became of the turn.
    fn proactive_changes(&self, ends_turn: bool) -> ProactiveChanges {
        let turn = &self.turn;
        let mut changes = self.proactive.clone();
        if let (Some(notification), false, None) = (&turn.notification, ends_turn, &changes.ended) {
            // From a flush on the turn is at most once.
            changes.ended = Some((notification.id.clone(), ending(notification, "delivered")));
        }
        if turn.notification.is_none() && ends_turn {
            changes.removed = removes_the_bot(&turn.inbound.activity);
            // Whoever speaks for a conversation must not lead what is said first elsewhere.
            let url = turn.inbound.activity.service_url();
            if turn.services.deliveries.admits(&turn.inbound.key, url) {
                changes.reference = reference_of(&turn.inbound, user_of(&turn.inbound).ok());
            }
        }
        changes
    }

    /// What was staged is stored now.
    pub(in crate::turn) fn committed(&mut self) {
        self.leave_seats();
        self.proactive.added.clear();
        self.proactive.cancelled.clear();
        self.said.stored();
        self.state.committed();
        self.unreadable = false;
        self.stored_stack = self.stack.clone();
    }

    /// Takes the result of a flush. What was staged before it cannot be undone from now on.
    pub(in crate::turn) fn flushed(&mut self, flushed: Result<(), StorageError>) -> Result<(), StorageError> {
        self.conflict |= matches!(flushed, Err(StorageError::Conflict));
        flushed?;
        self.committed();
        self.actions.clear();
        self.flushes += 1;
        Ok(())
    }

    /// Whether something of the turn is real already, so that it must not run again.
    pub(in crate::turn) fn has_flushed(&self) -> bool {
        self.flushes > 0
    }

    /// Whether a flush failed because another turn wrote what this one relied on, and nothing of this one is real: it
    /// must run again.
    pub(in crate::turn) fn overtaken(&self) -> bool {
        self.conflict && self.flushes == 0
    }
}

/// Leaves the seats once the commit is made. Returns them, because the turn stays in line until the commit is durable.
fn hand_over_when_made(seats: Vec<Seats>, commit: &mut TurnCommit) -> Option<Arc<Vec<Seats>>> {
    if seats.iter().all(Seats::is_empty) {
        return None;
    }
    let seats = Arc::new(seats);
    let pending = Arc::new(Pending::new(commit.writes.clone()));
    let commits = [commit.builds_on.clone(), vec![pending.clone()]].concat();
    let leaving = seats.clone();
    commit.made = Some(Made::new(pending, move || {
        // All are handed over, also after one that others wait for.
        let awaited: Vec<bool> = leaving.iter().map(|seats| seats.hand_over(&commits)).collect();
        awaited.contains(&true)
    }));
    Some(seats)
}
