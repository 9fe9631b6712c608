//! The dialog stack of a conversation: what is on it, and what the calls of a turn staged on it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ulid::Ulid;

use crate::json;
use crate::plugin::{Fault, Plugin};
use crate::storage::{FrameTag, StoredStack};

/// The most frames of a stack (`dialog-depth`).
pub(super) const DEPTH_MAX: usize = 32;

/// One run of a dialog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Frame {
    pub(crate) id: Arc<str>,
    pub(crate) plugin: Arc<str>,
    pub(crate) dialog: Arc<str>,
    /// The version of the dialog that wrote `state`.
    pub(super) state_version: u64,
    /// What its last step kept, as JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<Arc<str>>,
    pub(super) status: Status,
    /// Failed turns in a row.
    #[serde(default)]
    pub(super) failures: u32,
    /// In a group, the user whose answer it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) asked: Option<Arc<str>>,
    /// The state before a migration, for a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) previous: Option<Previous>,
}

/// What a frame does next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Status {
    /// Gets `begin` once it is on top.
    Begin {
        #[serde(deserialize_with = "json::stored")]
        options: Value,
    },
    /// Gets `resume` once it is on top.
    Resume {
        #[serde(deserialize_with = "json::stored")]
        event: Value,
    },
    /// Gets messages, and activities of these types.
    Waiting { activities: Vec<String> },
    /// Waits for the answer to a prompt of the host; so many answers did not fit.
    Prompt {
        #[serde(deserialize_with = "json::stored")]
        definition: Value,
        attempt: u32,
    },
    /// Waits for the frame above it.
    Child,
    /// The host's own: asks before a route interrupts.
    Confirm {
        #[serde(deserialize_with = "json::stored")]
        definition: Value,
        attempt: u32,
        plugin: Arc<str>,
        route: String,
        activity: Arc<str>,
    },
}

/// The state that a migration replaced; forgotten after the second success with the new one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Previous {
    pub(super) state_version: u64,
    pub(super) state: Option<Arc<str>>,
    pub(super) successes: u32,
}

/// The stack, bottom first, with what was staged on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stack {
    pub(super) frames: Vec<Frame>,
    /// Frames that are gone and get `cancelled`, with the reason.
    pub(super) cancelled: Vec<(Frame, &'static str)>,
    /// Whether the top shall repeat its question once everything else is done.
    pub(super) reprompt: bool,
}

impl Frame {
    pub(super) fn new(plugin: &Plugin, dialog: &str, options: Value) -> Self {
        Self {
            id: Ulid::new().to_string().into(),
            plugin: plugin.name.clone(),
            dialog: dialog.into(),
            state_version: plugin.dialog_version(dialog).unwrap_or_default(),
            state: None,
            status: Status::Begin { options },
            failures: 0,
            asked: None,
            previous: None,
        }
    }

    /// What is known of it without reading the stack.
    pub(super) fn tag(&self) -> FrameTag {
        FrameTag { plugin: self.plugin.clone(), dialog: self.dialog.clone(), state_version: self.state_version }
    }

    /// Whether the frame asked something and an activity can answer it.
    pub(super) fn waits(&self) -> bool {
        matches!(self.status, Status::Waiting { .. } | Status::Prompt { .. } | Status::Confirm { .. })
    }

    /// `waits-for` of `dialogs.wit`.
    pub(crate) fn waits_for(&self) -> String {
        match &self.status {
            Status::Begin { .. } | Status::Resume { .. } => "none".to_owned(),
            Status::Waiting { .. } => "message".to_owned(),
            Status::Child => "child".to_owned(),
            Status::Prompt { definition, .. } | Status::Confirm { definition, .. } => {
                format!("prompt:{}", definition.get("kind").and_then(Value::as_str).unwrap_or_default())
            }
        }
    }
}

impl Stack {
    /// Reads a stored stack. None: it cannot be read, which is in the log, without what users said.
    pub(super) fn read(text: &str) -> Option<Self> {
        match serde_json::from_str(text) {
            Ok(frames) => Some(Self { frames, ..Self::default() }),
            Err(error) => {
                let (kind, column) = (error.classify(), error.column());
                tracing::error!(?kind, column, "a stored dialog stack cannot be read and is dropped");
                None
            }
        }
    }

    /// What a commit stores: none for an empty stack.
    pub(super) fn stored(&self) -> Option<StoredStack> {
        if self.frames.is_empty() {
            return None;
        }
        let text = match serde_json::to_string(&self.frames) {
            Ok(text) => text.into(),
            Err(error) => {
                tracing::error!(%error, "a dialog stack cannot be written and is dropped");
                return None;
            }
        };
        Some(StoredStack { text, frames: self.frames.iter().map(Frame::tag).collect() })
    }

    pub(super) fn top(&self) -> Option<&Frame> {
        self.frames.last()
    }

    /// Pushes a dialog of a plugin and returns the id of its frame.
    pub(crate) fn begin(&mut self, plugin: &Plugin, dialog: &str, options: &str) -> Result<Arc<str>, Fault> {
        let frame = self.admit(plugin, dialog, options)?;
        let id = frame.id.clone();
        self.frames.push(frame);
        Ok(id)
    }

    /// The same in the place of the top.
    pub(crate) fn replace(&mut self, plugin: &Plugin, dialog: &str, options: &str) -> Result<Arc<str>, Fault> {
        let frame = self.admit(plugin, dialog, options)?;
        let id = frame.id.clone();
        if let Some(top) = self.frames.pop() {
            self.cancelled.extend(Self::told(top, "replaced"));
        }
        self.frames.push(frame);
        Ok(id)
    }

    /// Pushes a frame that the host makes.
    pub(super) fn push(&mut self, frame: Frame) -> Result<(), Fault> {
        if self.frames.len() >= DEPTH_MAX {
            return Err(Fault::quota("dialog-depth", DEPTH_MAX));
        }
        self.frames.push(frame);
        Ok(())
    }

    /// Takes every frame off the stack, top first, and returns how many there were.
    pub(crate) fn cancel_all(&mut self) -> usize {
        let count = self.frames.len();
        self.cancelled.extend(self.frames.drain(..).rev().filter_map(|frame| Self::told(frame, "cancel-all")));
        count
    }

    /// Whether anything waits that can repeat its question.
    pub(crate) fn ask_again(&mut self) -> bool {
        self.reprompt = self.top().is_some_and(Frame::waits);
        self.reprompt
    }

    /// The frames, top first.
    pub(crate) fn top_first(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter().rev()
    }

    /// A frame that is told that it is gone. One that has not begun is not: kept until the call ends, the options of a
    /// thousand `replace` would take gigabytes.
    fn told(frame: Frame, reason: &'static str) -> Option<(Frame, &'static str)> {
        let began = !matches!(frame.status, Status::Begin { .. });
        began.then_some((frame, reason))
    }

    fn admit(&self, plugin: &Plugin, dialog: &str, options: &str) -> Result<Frame, Fault> {
        if plugin.dialog_version(dialog).is_none() {
            return Err(Fault::invalid(format!("the manifest of this plugin has no dialog `{dialog}`")));
        }
        let options_bytes = options.len();
        let options =
            json::value(options).map_err(|error| Fault::invalid(format!("the options are not JSON: {error}")))?;
        if options_bytes > plugin.limits.bytes_per_send {
            return Err(Fault::quota("bytes-per-send", plugin.limits.bytes_per_send));
        }
        if self.frames.len() >= DEPTH_MAX {
            return Err(Fault::quota("dialog-depth", DEPTH_MAX));
        }
        Ok(Frame::new(plugin, dialog, options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_stored_stack_stay_as_they_are_written() {
        let digits = "9".repeat(60);
        let sent = format!(r#"{{"a":[1E400,-1E-400,1E5,{digits}]}}"#);
        for status in [
            format!(r#"{{"begin":{{"options":{sent}}}}}"#),
            format!(r#"{{"resume":{{"event":{sent}}}}}"#),
            format!(r#"{{"prompt":{{"definition":{sent},"attempt":0}}}}"#),
        ] {
            let text =
                format!(r#"[{{"id":"1","plugin":"p","dialog":"d","state-version":0,"status":{status},"failures":0}}]"#);
            let again = Stack::read(&text).and_then(|stack| stack.stored()).map(|stored| stored.text.to_string());
            assert_eq!(again, Some(text));
        }
    }
}
