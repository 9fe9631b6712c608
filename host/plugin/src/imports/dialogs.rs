//! `dialogs.wit`: the dialog stack of the conversation.

use std::sync::Arc;

use super::{HostResult, wit};
use crate::guest::{GuestState, Within};
use crate::{DialogFrame, Fault, TurnHost};

impl wit::dialogs::Host for GuestState {
    fn begin(&mut self, dialog: String, options: String) -> HostResult<String> {
        self.with_dialogs(|turn| Ok(turn.begin_dialog(&dialog, &options)?.to_string()))
    }

    fn replace(&mut self, dialog: String, options: String) -> HostResult<String> {
        self.with_dialogs(|turn| Ok(turn.replace_dialog(&dialog, &options)?.to_string()))
    }

    fn cancel_all(&mut self) -> HostResult<u32> {
        self.with_dialogs(|turn| Ok(u32::try_from(turn.cancel_dialogs()).unwrap_or(u32::MAX)))
    }

    fn reprompt(&mut self) -> HostResult<bool> {
        self.with_dialogs(|turn| Ok(turn.reprompt()))
    }

    fn stack(&mut self) -> HostResult<Vec<wit::dialogs::Frame>> {
        self.with_dialogs(|turn| Ok(turn.dialogs().into_iter().map(Into::into).collect()))
    }
}

impl GuestState {
    /// Asks the turn for something that may change the dialog stack.
    fn with_dialogs<T>(&mut self, ask: impl FnOnce(&dyn TurnHost) -> Result<T, Fault>) -> HostResult<T> {
        self.enter()?;
        Ok(self.dialogs().and_then(|turn| ask(&*turn)).map_err(Into::into))
    }

    fn dialogs(&self) -> Result<Arc<dyn TurnHost>, Fault> {
        let turn = self.turn()?;
        let why = match self.within {
            Within::Activity if self.plugin.grants.dialogs => return Ok(turn),
            Within::Activity => "needs the grant `dialogs = true`, wanted by the manifest and given by the operator",
            Within::Dialog => "not within `on-dialog`: return a step instead",
            Within::Hook => "not within `on-event`",
        };
        Err(Fault::new("denied", why))
    }
}

impl From<DialogFrame> for wit::dialogs::Frame {
    fn from(frame: DialogFrame) -> Self {
        Self {
            id: frame.id.to_string(),
            plugin: frame.plugin.to_string(),
            dialog: frame.dialog.to_string(),
            waits_for: frame.waits_for,
        }
    }
}
