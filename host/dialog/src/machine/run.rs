//! What the machine remembers: of a turn, and of one run.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;

use super::effect::{Effect, Offer};

/// What the machine remembers of a turn, over all its runs. A rollback leaves it as it is.
#[derive(Debug, Default)]
pub struct Progress {
    /// The frame that the turn is about: the first that got an event.
    pub(super) entered: Option<Arc<str>>,
    /// Events that dialogs got so far.
    pub(super) events: u32,
    /// How often a question was repeated.
    pub(super) reprompts: u32,
    /// Whether the user was told that a dialog was reset.
    pub(super) told_of_reset: bool,
}

/// One run of the machine, from an event until the top of the stack waits. The default just goes on with what is staged.
#[derive(Debug, Default)]
pub struct Run {
    /// What is decided and not yet done, in order.
    pub(super) effects: VecDeque<Effect>,
    /// What the step of the dialog that was called last is for.
    pub(super) awaits: Option<Awaits>,
    /// The frame that the activity is offered to.
    pub(super) offered: Option<Arc<str>>,
    pub(super) offer: Offer,
    /// Whether the top is left alone, though it does not wait.
    pub(super) is_over: bool,
}

/// What the step of a dialog is for.
#[derive(Debug)]
pub(super) enum Awaits {
    /// It answers an event.
    Step { frame: Arc<str>, event: &'static str },
    /// It accepts or rejects what was recognized.
    Verdict { frame: Arc<str>, value: Value },
    /// It migrates the state; then comes what the frame is to get.
    Migration { frame: Arc<str>, then: Then },
}

/// What a frame gets once its state is of the version that serves.
#[derive(Debug)]
pub(super) enum Then {
    Event {
        kind: &'static str,
        data: Arc<str>,
    },
    /// The activity, as the answer to its prompt.
    Answer,
}

impl Run {
    /// What became of the activity that was offered.
    pub fn end(self) -> Offer {
        self.offer
    }
}

impl Progress {
    /// Whether the user is still to be told, in this turn, that a dialog was reset. True once.
    pub fn tell_of_reset(&mut self) -> bool {
        !std::mem::replace(&mut self.told_of_reset, true)
    }

    /// Counts the failure of the turn against no dialog.
    pub fn blame_nobody(&mut self) {
        self.entered = None;
    }

    /// How often a question was repeated in this turn.
    pub fn reprompts(&self) -> u32 {
        self.reprompts
    }
}
