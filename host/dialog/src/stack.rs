//! The dialog stack of a conversation: its frames, and what the calls of a turn staged on it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Known, Refusal};
use crate::json;

/// The most frames of a stack (`dialog-depth`).
pub const DEPTH_MAX: usize = 32;

/// One run of a dialog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Frame {
    /// Identifies this run of the dialog.
    pub id: Arc<str>,
    /// The plugin that owns it, by the operator's name for it.
    pub plugin: Arc<str>,
    /// Its id in that plugin's manifest.
    pub dialog: Arc<str>,
    /// The version of the dialog that wrote `state`.
    pub state_version: u64,
    /// The state that its last step set, as JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Arc<str>>,
    /// What it does next.
    pub status: Status,
    /// Consecutive failed turns.
    #[serde(default)]
    pub failures: u32,
    /// In a group, the user whose answer it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Arc<str>>,
    /// The state before a migration, for a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
}

/// What a frame does next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Gets `begin` once it is on top.
    Begin {
        /// What it was begun with.
        #[serde(deserialize_with = "json::stored")]
        options: Value,
    },
    /// Gets `resume` once it is on top.
    Resume {
        /// The data of that event.
        #[serde(deserialize_with = "json::stored")]
        event: Value,
    },
    /// Gets messages, and activities of these types.
    Waiting {
        /// Types of activities.
        activities: Vec<String>,
    },
    /// Waits for the answer to a prompt of the host.
    Prompt {
        /// The prompt.
        #[serde(deserialize_with = "json::stored")]
        definition: Value,
        /// How many answers did not fit.
        attempt: u32,
    },
    /// Waits for the frame above it.
    Child,
    /// The host's own: asks before a route interrupts.
    Confirm {
        /// The question, a prompt.
        #[serde(deserialize_with = "json::stored")]
        definition: Value,
        /// How many answers did not fit.
        attempt: u32,
        /// The plugin of the route.
        plugin: Arc<str>,
        /// The route.
        route: String,
        /// The activity that the route matched, as JSON text.
        activity: Arc<str>,
    },
}

/// The state that a migration replaced; forgotten after the second success with the new one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Previous {
    /// The version of the dialog that wrote it.
    pub state_version: u64,
    /// The state, as JSON text.
    pub state: Option<Arc<str>>,
    /// Steps since the migration.
    pub successes: u32,
}

/// The stack, bottom first, with what was staged on it.
#[derive(Debug, Clone, Default)]
pub struct Stack {
    /// The frames, bottom first. Only they are stored.
    pub frames: Vec<Frame>,
    /// Frames that are gone and get `cancelled`, with the reason.
    pub(super) cancelled: Vec<(Frame, &'static str)>,
    /// Whether the top shall repeat its question once everything else is done.
    pub(super) reprompt: bool,
}

/// A dialog that is to be pushed by a handler or a notification.
#[derive(Debug, Clone)]
pub struct Begin<'a> {
    /// The id of the new frame.
    pub id: Arc<str>,
    /// The plugin that owns the dialog.
    pub plugin: &'a Arc<str>,
    /// The dialog.
    pub dialog: &'a str,
    /// What is known of it.
    pub known: Option<Known>,
    /// Its options, as JSON text.
    pub options: &'a str,
}

impl Frame {
    /// Returns a frame that gets `begin` once it is on top.
    pub fn new(id: Arc<str>, plugin: &Arc<str>, dialog: &str, known: Known, options: Value) -> Self {
        let state_version = known.state_version;
        Self { state_version, ..Self::with_status(id, plugin, dialog, Status::Begin { options }) }
    }

    pub(super) fn with_status(id: Arc<str>, plugin: &Arc<str>, dialog: &str, status: Status) -> Self {
        let (plugin, dialog) = (plugin.clone(), dialog.into());
        Self { id, plugin, dialog, state_version: 0, state: None, status, failures: 0, asked: None, previous: None }
    }

    /// Whether the frame asked something and an activity can answer it.
    pub fn waits(&self) -> bool {
        matches!(self.status, Status::Waiting { .. } | Status::Prompt { .. } | Status::Confirm { .. })
    }

    /// What it waits for, as `dialogs.wit` says it: `message`, `prompt:KIND`, `child`, or `none` while it has not begun.
    pub fn waits_for(&self) -> String {
        match &self.status {
            Status::Begin { .. } | Status::Resume { .. } => "none".to_owned(),
            Status::Waiting { .. } => "message".to_owned(),
            Status::Child => "child".to_owned(),
            Status::Prompt { definition, .. } | Status::Confirm { definition, .. } => {
                format!("prompt:{}", definition.get("kind").and_then(Value::as_str).unwrap_or_default())
            }
        }
    }

    /// Whether the host's question before a route interrupts.
    pub fn is_confirmation(&self) -> bool {
        matches!(self.status, Status::Confirm { .. })
    }

    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.status, Status::Begin { .. })
    }
}

impl Stack {
    /// Returns a stack of frames, bottom first.
    pub fn of(frames: Vec<Frame>) -> Self {
        Self { frames, ..Self::default() }
    }

    /// The frame on top.
    pub fn top(&self) -> Option<&Frame> {
        self.frames.last()
    }

    /// Whether the top asked something and an activity can answer it.
    pub fn waits(&self) -> bool {
        self.top().is_some_and(Frame::waits)
    }

    /// The frames, top first.
    pub fn top_first(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter().rev()
    }

    /// Pushes a dialog and returns the id of its frame. It interrupts the one below. Refused: `invalid` (the manifest has no
    /// such dialog, options that are not JSON), `quota` (`bytes-per-send`, `dialog-depth`).
    pub fn begin(&mut self, begin: Begin<'_>) -> Result<Arc<str>, Refusal> {
        let frame = self.admit(begin)?;
        let id = frame.id.clone();
        self.frames.push(frame);
        Ok(id)
    }

    /// The same in the place of the top, which is cancelled.
    pub fn replace(&mut self, begin: Begin<'_>) -> Result<Arc<str>, Refusal> {
        let frame = self.admit(begin)?;
        let id = frame.id.clone();
        if let Some(top) = self.frames.pop() {
            self.cancelled.extend(told(top, "replaced"));
        }
        self.frames.push(frame);
        Ok(id)
    }

    /// Takes every frame off the stack, top first, and returns how many there were.
    pub fn cancel_all(&mut self) -> usize {
        let count = self.frames.len();
        self.cancelled.extend(self.frames.drain(..).rev().filter_map(|frame| told(frame, "cancel-all")));
        count
    }

    /// Has the top repeat its question. False: nothing waits.
    pub fn ask_again(&mut self) -> bool {
        self.reprompt = self.waits();
        self.reprompt
    }

    /// Pushes a frame. Refused: `quota` (`dialog-depth`).
    pub fn push(&mut self, frame: Frame) -> Result<(), Refusal> {
        if self.frames.len() >= DEPTH_MAX {
            return Err(Refusal::quota("dialog-depth", DEPTH_MAX));
        }
        self.frames.push(frame);
        Ok(())
    }

    pub(super) fn frame(&self, id: &str) -> Option<&Frame> {
        self.frames.iter().find(|frame| *frame.id == *id)
    }

    pub(super) fn frame_mut(&mut self, id: &str) -> Option<&mut Frame> {
        self.frames.iter_mut().find(|frame| *frame.id == *id)
    }

    pub(super) fn set_status(&mut self, id: &str, status: Status) {
        if let Some(frame) = self.frame_mut(id) {
            frame.status = status;
        }
    }

    /// Has a frame get `resume` once it is on top.
    pub(super) fn resume(&mut self, id: &str, from: &str, reason: &str, result: Option<Value>) {
        self.set_status(id, Status::Resume { event: resumed(from, reason, result) });
    }

    /// Takes a frame off the stack and gives its result to the one below: a parent resumes, an interrupted one repeats its
    /// question.
    pub(super) fn hand_back(&mut self, id: &str, reason: &str, result: Option<Value>) {
        let Some(position) = self.frames.iter().position(|frame| *frame.id == *id) else { return };
        self.frames.remove(position);
        match position.checked_sub(1).and_then(|below| self.frames.get_mut(below)) {
            Some(parent) if parent.status == Status::Child => {
                parent.status = Status::Resume { event: resumed("dialog", reason, result) };
            }
            Some(interrupted) => self.reprompt = interrupted.waits(),
            None => {}
        }
    }

    fn admit(&self, begin: Begin<'_>) -> Result<Frame, Refusal> {
        let Begin { id, plugin, dialog, known, options } = begin;
        let known =
            known.ok_or_else(|| Refusal::invalid(format!("the manifest of this plugin has no dialog `{dialog}`")))?;
        let value =
            json::value(options).map_err(|error| Refusal::invalid(format!("the options are not JSON: {error}")))?;
        if options.len() > known.send_bytes_max {
            return Err(Refusal::quota("bytes-per-send", known.send_bytes_max));
        }
        if self.frames.len() >= DEPTH_MAX {
            return Err(Refusal::quota("dialog-depth", DEPTH_MAX));
        }
        Ok(Frame::new(id, plugin, dialog, known, value))
    }
}

/// A frame that is told that it is gone. One that has not begun is not: kept until the call ends, the options of a thousand
/// `replace` would take gigabytes.
fn told(frame: Frame, reason: &'static str) -> Option<(Frame, &'static str)> {
    frame.has_begun().then_some((frame, reason))
}

/// The data of a `resume` event.
fn resumed(from: &str, reason: &str, result: Option<Value>) -> Value {
    let mut event = json!({ "from": from, "reason": reason });
    if let Some(result) = result {
        event["result"] = result;
    }
    event
}
