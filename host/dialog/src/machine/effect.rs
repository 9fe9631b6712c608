//! What the machine wants done, and what it is told.

use std::sync::Arc;

use super::super::Refusal;
use super::super::stack::Frame;
use crate::activity::Object;

/// Result of offering an activity to the top dialog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Offer {
    /// The handlers get it.
    #[default]
    Left,
    /// A dialog took it.
    Taken,
    /// A dialog took it: the user lets this route interrupt. It gets the activity that it matched, as JSON text; then the
    /// machine goes on.
    Route {
        /// The plugin of the route.
        plugin: Arc<str>,
        /// The route.
        route: String,
        /// The activity.
        activity: Arc<str>,
    },
}

/// What whoever drives the machine does next, in this order. One that fails ends the run.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Call `on-dialog`, and give the step to [`Machine::step`](super::Machine::step).
    Call(Call),
    /// Count a question of the host as one that this plugin sends. It fails where the plugin may send no more.
    Count {
        /// The plugin.
        plugin: Arc<str>,
    },
    /// Send this activity as an answer to the activity of the turn.
    Send(Object),
    /// Tell the user that a dialog was reset, in the operator's words.
    TellOfReset,
    /// Commit and deliver what is staged.
    Flush {
        /// The plugin whose dialog asks for it.
        plugin: Arc<str>,
    },
    /// Write to the log; nothing else.
    Report(Report),
}

/// A call of `on-dialog`.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The plugin.
    pub plugin: Arc<str>,
    /// The dialog.
    pub dialog: Arc<str>,
    /// The id of the frame.
    pub frame: Arc<str>,
    /// Its place on the stack, 1 for the bottom; 0 where it is gone.
    pub depth: usize,
    /// The kind of event.
    pub event: &'static str,
    /// The data of the event, as JSON text.
    pub data: Arc<str>,
    /// The state of the frame, as JSON text.
    pub state: Option<Arc<str>>,
    /// Whether the frame is gone: its step and its failure change nothing, go on with [`Machine::next`](super::Machine::next).
    pub is_farewell: bool,
}

/// What a dialog wants next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What to do.
    pub kind: String,
    /// The new state of the frame, as JSON text.
    pub state: Option<String>,
    /// JSON text.
    pub data: String,
}

/// Something for the log. It says nothing of what the user wrote.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// A dialog cannot go on from its state.
    Reset {
        /// The frame.
        frame: Box<Frame>,
        /// The reason.
        why: &'static str,
    },
    /// An answer does not fit its prompt.
    Unfit {
        /// The dialog that asked.
        dialog: Arc<str>,
        /// The rule that the answer breaks.
        why: String,
    },
}

/// A dialog broke a rule of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The plugin that owns it.
    pub plugin: Arc<str>,
    /// The rule.
    pub refusal: Refusal,
}

impl Call {
    pub(crate) fn of(frame: &Frame, depth: usize, event: &'static str, data: Arc<str>) -> Self {
        let Frame { id, plugin, dialog, state, .. } = frame.clone();
        Self { plugin, dialog, frame: id, depth, event, data, state, is_farewell: false }
    }
}
