//! Frames across swaps: lazy migration, restoring after a rollback, and resetting what cannot go on.

use serde_json::json;

use super::{Ready, Status};
use crate::config::OnNewer;
use crate::plugin::Event;
use crate::turn::stack::{Frame, Previous};
use crate::turn::{Turn, TurnError};

/// Reasons for which a dialog is reset, as the log and dry runs have them.
pub(super) const GONE: &str = "its dialog is gone";
pub(super) const NEWER: &str = "its state is newer than the plugin";
pub(super) const NOT_MIGRATED: &str = "its state could not be migrated";
pub(super) const UNFIT: &str = "its dialog was edited and cannot go on from its state";

impl Turn {
    /// Brings a frame's state to the version of the plugin that serves now.
    pub(super) async fn ready(&mut self, frame: &Frame) -> Result<Ready, TurnError> {
        let Some((position, version)) = self.plugin_of(frame) else {
            return self.reset(frame, GONE).await;
        };
        if version == frame.state_version {
            return Ok(Ready::At(position));
        }
        if matches!(frame.status, Status::Begin { .. }) || frame.state.is_none() {
            // There is nothing to carry over.
            self.set_state(frame, version, None)?;
            return Ok(Ready::At(position));
        }
        if version > frame.state_version {
            return self.migrate(frame, position, version).await;
        }
        match &frame.previous {
            Some(previous) if previous.state_version == version => {
                let restored = previous.clone();
                if let Some(mut frame) = self.frame_mut(&frame.id) {
                    frame.state_version = version;
                    frame.state = restored.state;
                    frame.previous = None;
                }
                Ok(Ready::At(position))
            }
            _ if self.generation.spec.on_newer == OnNewer::Hold => Ok(Ready::Held),
            _ => self.reset(frame, NEWER).await,
        }
    }

    async fn migrate(&mut self, frame: &Frame, position: usize, version: u64) -> Result<Ready, TurnError> {
        let data = json!({ "from": frame.state_version, "to": version }).to_string();
        let event = Event { kind: "migrate", name: frame.dialog.clone(), data: data.into() };
        let step = self.enter_dialog(position, frame, &event).await?;
        if step.kind != "accept" {
            return self.reset(frame, NOT_MIGRATED).await;
        }
        let kept = Previous { state_version: frame.state_version, state: frame.state.clone(), successes: 0 };
        self.set_state(frame, version, Some(kept))?;
        self.keep_migrated(frame, step.state.as_deref())?;
        Ok(Ready::At(position))
    }

    /// A migration is not yet one of the successes that make the old state superfluous.
    fn keep_migrated(&mut self, frame: &Frame, state: Option<&str>) -> Result<(), TurnError> {
        self.keep_state(frame, state)?;
        if let Some(mut frame) = self.frame_mut(&frame.id)
            && let Some(previous) = &mut frame.previous
        {
            previous.successes = 0;
        }
        Ok(())
    }

    fn set_state(&mut self, frame: &Frame, version: u64, previous: Option<Previous>) -> Result<(), TurnError> {
        if let Some(mut frame) = self.frame_mut(&frame.id) {
            frame.state_version = version;
            frame.previous = previous;
        }
        Ok(())
    }

    /// Takes a frame that cannot go on off the stack, and tells the user once.
    pub(super) async fn reset(&mut self, frame: &Frame, why: &str) -> Result<Ready, TurnError> {
        tracing::warn!(bot = %self.generation.spec.name, plugin = %frame.plugin, dialog = %frame.dialog,
            state_version = frame.state_version, turn = %self.context.turn_id, why, "a dialog is reset");
        self.hand_back(&frame.id, "failed", None)?;
        self.tell_of_reset().await?;
        Ok(Ready::Reset)
    }

    /// Tells the user, once in a turn, that a dialog was reset.
    pub(in crate::turn) async fn tell_of_reset(&mut self) -> Result<(), TurnError> {
        if std::mem::replace(&mut self.told_of_reset, true) {
            return Ok(());
        }
        let text = self.generation.spec.dialog_reset_text.clone();
        self.say(&text).await
    }
}
