//! The dialog stack of the conversation, for handlers.

use serde::Serialize;

use crate::Result;
use crate::turn::Host;

/// One dialog on the stack of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// Identifies this run of the dialog.
    pub id: String,
    /// The plugin that owns the dialog, by its name in the configuration.
    pub plugin: String,
    /// The id of the dialog in that plugin's manifest.
    pub dialog: String,
    /// What the dialog waits for: `message`, `prompt:KIND`, `child`, or `none` if it has not begun.
    pub waits_for: String,
}

/// The dialog stack; see [`Turn::dialogs`](crate::Turn::dialogs).
///
/// Changes are staged and become real when the turn commits. The dialogs themselves run after the handler has returned. A
/// dialog changes the stack by the step that it returns, so in dialogs only [`frames`](Self::frames) and [`top`](Self::top)
/// work. Without the grant `dialogs` every function returns fault `denied`.
#[derive(Clone, Copy)]
pub struct Stack<'t> {
    host: &'t dyn Host,
}

impl<'t> Stack<'t> {
    pub(crate) fn new(host: &'t dyn Host) -> Self {
        Self { host }
    }

    /// Begins a dialog of this plugin on top of the stack and returns the id of its frame. It interrupts the dialog below,
    /// which repeats its question afterwards.
    ///
    /// Faults: `invalid` (the manifest has no such dialog), `quota` (`dialog-depth`).
    pub fn begin(self, dialog: &str, options: impl Serialize) -> Result<String> {
        self.host.begin(dialog, &serde_json::to_string(&options)?)
    }

    /// Cancels the top dialog, if there is one, and begins a dialog of this plugin in its place. Faults are as for `begin`.
    pub fn replace(self, dialog: &str, options: impl Serialize) -> Result<String> {
        self.host.replace(dialog, &serde_json::to_string(&options)?)
    }

    /// Cancels all dialogs, whichever plugin owns them, and returns their number.
    pub fn cancel_all(self) -> Result<u32> {
        self.host.cancel_all()
    }

    /// Asks the top dialog to repeat its question. Returns false if no dialog waits.
    pub fn reprompt(self) -> Result<bool> {
        self.host.reprompt()
    }

    /// Returns the stack, top first.
    pub fn frames(self) -> Result<Vec<Frame>> {
        self.host.stack()
    }

    /// Returns the dialog on top, or none if the stack is empty.
    pub fn top(self) -> Result<Option<Frame>> {
        Ok(self.frames()?.into_iter().next())
    }
}
