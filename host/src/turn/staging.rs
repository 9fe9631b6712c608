//! What a turn has done so far and nobody has seen: sends, state, the dialog stack.
//!
//! A plugin call is a savepoint: [`Staging::savepoint`] before it, [`Staging::roll_back`] after a failure. Nothing here waits:
//! the turn and its guests share this value behind a lock ([`super::effects`]).

mod commit;
mod notifications;
mod sends;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

pub(super) use self::commit::Leaving;
pub(super) use self::sends::{Staged, is_ephemeral, stream_opens};
use super::TurnContext;
use super::contention::{Key, Seats};
use super::stack;
use super::state::{StagedState, Written};
use super::transcript::Said;
use crate::activity::Activity;
use crate::dialog::Stack;
use crate::storage::notifications::ProactiveChanges;
use crate::storage::{Answer, Fence, StateScope};

/// Staged effects of one turn.
pub(crate) struct Staging {
    turn: Arc<TurnContext>,
    /// The lease under which the turn runs.
    fence: Fence,
    /// The keys of state at which the turn got seats before it ran.
    seats_before: BTreeSet<Key>,
    /// The keys at which the turn has seats now, and the seats.
    seats: (BTreeSet<Key>, Vec<Seats>),
    /// The keys of state that the last commit or flush relied on.
    relied_on: BTreeSet<Key>,
    pub(super) state: StagedState,
    pub(super) stack: Stack,
    /// The stack as it is stored.
    stored_stack: Stack,
    /// Whether what is stored cannot be read.
    unreadable: bool,
    actions: Vec<Staged>,
    response: Option<Answer>,
    sends: u32,
    /// Memory of what guests staged.
    staged_bytes: usize,
    /// How often the turn flushed: what was staged before a flush cannot be undone.
    flushes: u32,
    /// Whether a flush found that another turn wrote what this one relied on.
    conflict: bool,
    /// What the turn changes of references and notifications.
    proactive: ProactiveChanges,
    /// Host ids of everything staged or sent at once, for the turn's record.
    sent: Vec<Arc<str>>,
    said: Said,
}

/// What was staged at one moment.
pub(super) struct Savepoint {
    written: Written,
    stack: Stack,
    actions: Vec<Staged>,
    proactive: ProactiveChanges,
    response: Option<Answer>,
    flushes: u32,
}

impl Staging {
    pub(super) fn new(turn: Arc<TurnContext>, fence: Fence, seats: Seats, keeps_transcript: bool) -> Self {
        Self {
            turn,
            fence,
            seats_before: seats.keys(),
            relied_on: BTreeSet::new(),
            state: StagedState::over(seats.pending()),
            seats: (seats.keys(), vec![seats]),
            stack: Stack::default(),
            stored_stack: Stack::default(),
            unreadable: false,
            actions: Vec::new(),
            response: None,
            sends: 0,
            staged_bytes: 0,
            flushes: 0,
            conflict: false,
            proactive: ProactiveChanges::default(),
            sent: Vec::new(),
            said: Said::new(keeps_transcript),
        }
    }

    /// Takes the dialog stack as it is stored.
    pub(super) fn set_stack(&mut self, text: Option<&str>) {
        let read = text.map(stack::read);
        // A conversation must never fail for ever: what cannot be read is empty, and the commit stores that.
        self.unreadable = matches!(read, Some(None));
        self.stack = read.flatten().unwrap_or_default();
        self.stored_stack = self.stack.clone();
    }

    /// Whether dialogs waited in the conversation that are lost, because their stack could not be read.
    pub(super) fn lost_dialogs(&self) -> bool {
        self.unreadable
    }

    /// Whether no dialog is on the stack.
    pub(super) fn is_idle(&self) -> bool {
        self.stack.frames.is_empty()
    }

    pub(super) fn savepoint(&self) -> Savepoint {
        Savepoint {
            written: self.state.savepoint(),
            stack: self.stack.clone(),
            actions: self.actions.clone(),
            proactive: self.proactive.clone(),
            response: self.response.clone(),
            flushes: self.flushes,
        }
    }

    /// Undoes what was staged since the savepoint. What was flushed meanwhile stays sent.
    pub(super) fn roll_back(&mut self, savepoint: Savepoint) {
        if savepoint.flushes == self.flushes {
            self.drop_actions_but(savepoint.actions);
            self.proactive = savepoint.proactive;
            self.stack = savepoint.stack;
            self.state.roll_back(savepoint.written);
        } else {
            self.drop_actions_but(Vec::new());
            self.proactive = ProactiveChanges::default();
            self.stack = self.stored_stack.clone();
            self.state.roll_back(Written::default());
        }
        self.response = savepoint.response;
    }

    /// Drops everything that is staged.
    pub(super) fn clear(&mut self) {
        self.drop_actions_but(Vec::new());
        self.proactive = ProactiveChanges::default();
        self.stack = self.stored_stack.clone();
        self.state.roll_back(Written::default());
        self.response = None;
    }

    /// Notes the incoming activity for the transcript, as the layers of middleware let it in.
    pub(super) fn received(&mut self, activity: &Activity) {
        self.said.received(activity);
    }

    /// Returns the key of a value that turns of other conversations may change, if this turn needs a seat at it. A turn that
    /// has flushed does: a later conflict would be an error for the user, because the turn cannot run again.
    pub(super) fn wants_seat(&self, scope: &StateScope, key: &str) -> Option<Key> {
        let key = (scope.clone(), key.into());
        (self.flushes > 0 && scope.is_shared() && !self.seats.0.contains(&key)).then_some(key)
    }

    /// From now on the turn may hold up others at its seats for this long.
    pub(super) fn hold_seats(&self, hold: Duration) {
        self.seats.1.iter().for_each(|seats| seats.hold(hold));
    }

    /// Takes a seat that the turn waited for. From now on the turn builds on the commits that come with the seat.
    pub(super) fn sit(&mut self, key: Key, seats: Seats) {
        self.state.build_on(seats.pending());
        self.seats.0.insert(key);
        self.seats.1.push(seats);
    }

    /// Frees the seats: what the turn relied on is stored, or the turn is over.
    pub(super) fn leave_seats(&mut self) {
        self.seats.0.clear();
        self.seats.1.clear();
    }

    /// The keys of state at which the turn got seats before it ran.
    pub(super) fn seats_before(&self) -> &BTreeSet<Key> {
        &self.seats_before
    }

    /// The keys of state that the last commit or flush relied on.
    pub(super) fn relied_on(&self) -> &BTreeSet<Key> {
        &self.relied_on
    }

    /// The keys of state that the turn relied on or had its seats at.
    pub(super) fn contended(&self) -> BTreeSet<Key> {
        self.seats_before.union(&self.relied_on).cloned().collect()
    }
}
