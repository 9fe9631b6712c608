//! Dialogs: what happens between a user, a stack of dialogs and the prompts of the host.
//!
//! **The decision that is hidden here** is what a dialog's step means: which frame gets which event next, when a prompt is
//! asked, repeated or given up, who in a group may answer, what a failure, an interruption or another version of a plugin
//! does to a frame. Whoever runs dialogs knows none of that: the host runs them in Wasm components, the test host of an SDK
//! as native code, and both behave alike.
//!
//! [`Machine`] is a state machine. It is given events (an activity, a route, the step of a dialog) and answers with
//! [`Effect`]s: call this dialog with that event, send that activity. It does no I/O, reads no clock and calls nobody; what it
//! must know of its surroundings is in [`Scene`], and what lasts is in [`Stack`], which serializes as JSON.
//!
//! ```text
//! let mut run = machine.offer()?;                       // or Run::default(): go on until the top waits
//! while let Some(effect) = machine.next(&mut run)? {
//!     match effect {
//!         Effect::Call(call) => machine.step(&mut run, /* what on-dialog returned */)?,
//!         …                                             // send, flush, log
//!     }
//! }
//! match run.end() { … }                                 // whether the activity was taken
//! ```
//!
//! An effect that fails ends the run: drop it, with all that the turn staged. [`prompt`] holds the recognisers.

mod machine;
pub mod prompt;
mod rehearsal;
mod stack;
mod versions;

use std::sync::Arc;

use jiff::Zoned;

pub use self::machine::{Broken, Call, Effect, Interruption, Machine, Offer, Progress, Report, Run, Step};
pub use self::rehearsal::{Fate, Rehearsal, Reply};
pub use self::stack::{Begin, DEPTH_MAX, Frame, Previous, Stack, Status};
pub use turntable_activity::Activity;
use turntable_activity::{self as activity, json};

/// Events that the dialogs of one turn may get (`dialog-events-per-turn`).
pub const EVENTS_MAX: u32 = 100;
/// Consecutive failed turns after which a dialog is cancelled.
pub const FAILURES_MAX: u32 = 3;
/// What the user reads where a dialog failed too often, unless the operator says it otherwise.
pub const FAILED_TEXT: &str = "Sorry, I cannot go on with this. I have stopped it; you can start again.";
/// What the user reads where a dialog cannot go on from its state, unless the operator says it otherwise.
pub const RESET_TEXT: &str = "Sorry, I have been updated and lost my place. Please start again.";

/// The dialogs and routes of the plugins that serve now.
pub trait Catalog {
    /// Returns what is known of a dialog. None: there is no such plugin, its manifest does not list the dialog, or it may not
    /// own dialogs.
    fn dialog(&self, plugin: &str, dialog: &str) -> Option<Known>;

    /// Whether the plugin has a route of this name.
    fn has_route(&self, plugin: &str, route: &str) -> bool;

    /// Returns an id that no frame has had.
    fn frame_id(&self) -> Arc<str>;
}

/// What is known of a dialog of a plugin that serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The version of the state that it reads and writes.
    pub state_version: u64,
    /// The most bytes of a step's data, `bytes-per-send`.
    pub send_bytes_max: usize,
    /// The most bytes of a frame's state, `state-bytes-per-scope`.
    pub state_bytes_max: usize,
}

/// What the machine knows of the turn and of its surroundings.
#[derive(Clone, Copy)]
pub struct Scene<'t> {
    /// What serves.
    pub catalog: &'t dyn Catalog,
    /// The activity of the turn.
    pub activity: &'t Activity,
    /// Where a notification began the turn, the user whom it is for; empty where it is for everybody.
    pub notified: Option<&'t str>,
    /// Returns the time, in the zone that holds where the channel names none. Called only where a date may be meant.
    pub now: &'t dyn Fn() -> Zoned,
    /// Whether `12/24` begins with the month where the prompt does not say so. None: as the locale writes it.
    pub month_first: Option<bool>,
    /// Whether a frame whose state is newer than its plugin waits for a plugin that knows it, instead of being reset.
    pub holds_newer: bool,
}

/// Why a rule of the contract was broken; becomes a fault of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `invalid` or `quota`.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
}

impl Refusal {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { code: "invalid", message: message.into() }
    }

    pub(crate) fn quota(key: &str, limit: impl std::fmt::Display) -> Self {
        Self { code: "quota", message: format!("the limit {key} ({limit}) is reached") }
    }
}

#[cfg(test)]
mod tests;
