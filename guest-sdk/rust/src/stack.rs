//! The dialog stack of the conversation, as a handler sees and changes it.

use serde::Serialize;

use crate::Result;
use crate::turn::Host;

/// One dialog on the stack of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// Identifies this run of the dialog.
    pub id: String,
    /// The plugin that owns it, by the operator's name for it.
    pub plugin: String,
    /// Its id in that plugin's manifest.
    pub dialog: String,
    /// `message`, `prompt:KIND`, `child`, or `none` while it has not begun.
    pub waits_for: String,
}

/// The dialog stack; see [`Turn::dialogs`](crate::Turn::dialogs).
///
/// What these functions do is staged, and becomes real with the turn. Dialogs themselves run when the handler has
/// returned. All but [`frames`](Self::frames) and [`top`](Self::top) work in handlers only: a dialog changes the stack by
/// the step that it returns. Every function gives fault `denied` where the plugin has no grant `dialogs`.
#[derive(Clone, Copy)]
pub struct Stack<'t> {
    host: &'t dyn Host,
}

impl<'t> Stack<'t> {
    pub(crate) fn new(host: &'t dyn Host) -> Self {
        Self { host }
    }

    /// Pushes a dialog of this plugin and returns the id of its frame. It interrupts the one below, which repeats its
    /// question afterwards. Faults: `invalid` (the manifest has no such dialog), `quota` (`dialog-depth`).
    pub fn begin(self, dialog: &str, options: impl Serialize) -> Result<String> {
        self.host.begin(dialog, &serde_json::to_string(&options)?)
    }

    /// Cancels the top of the stack, if any, and pushes a dialog of this plugin in its place. Faults as for `begin`.
    pub fn replace(self, dialog: &str, options: impl Serialize) -> Result<String> {
        self.host.replace(dialog, &serde_json::to_string(&options)?)
    }

    /// Cancels every dialog, whichever plugin owns it. Returns how many there were.
    pub fn cancel_all(self) -> Result<u32> {
        self.host.cancel_all()
    }

    /// Has the top dialog repeat its question. False: nothing waits.
    pub fn reprompt(self) -> Result<bool> {
        self.host.reprompt()
    }

    /// Returns the stack, top first.
    pub fn frames(self) -> Result<Vec<Frame>> {
        self.host.stack()
    }

    /// Returns the dialog on top, if any.
    pub fn top(self) -> Result<Option<Frame>> {
        Ok(self.frames()?.into_iter().next())
    }
}
