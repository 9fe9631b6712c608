//! The dialog stack between the machine and the parts of the host: how it is stored, and which dialogs plugins have.

use std::sync::Arc;

use ulid::Ulid;

use crate::dialog::{Begin, Catalog, Frame, Known, Refusal, Stack};
use crate::plugin::{Fault, Plugin};
use crate::registry::Generation;
use crate::storage::{FrameTag, StoredStack};

impl Catalog for Generation {
    fn dialog(&self, plugin: &str, dialog: &str) -> Option<Known> {
        known(self.plugins.iter().find(|known| *known.name == *plugin)?, dialog)
    }

    fn has_route(&self, plugin: &str, route: &str) -> bool {
        let has_route = |known: &Arc<Plugin>| known.manifest.routes.iter().any(|known| known.name == route);
        self.plugins.iter().any(|known| *known.name == *plugin && has_route(known))
    }

    fn frame_id(&self) -> Arc<str> {
        frame_id()
    }
}

/// What the machine must know of a dialog of a plugin.
pub(super) fn known(plugin: &Plugin, dialog: &str) -> Option<Known> {
    Some(Known {
        state_version: plugin.dialog_version(dialog)?,
        send_bytes_max: plugin.limits.bytes_per_send,
        state_bytes_max: plugin.limits.state_bytes_per_scope,
    })
}

/// A dialog that a handler of its plugin begins.
pub(crate) fn begin<'a>(plugin: &'a Plugin, dialog: &'a str, options: &'a str) -> Begin<'a> {
    Begin { id: frame_id(), plugin: &plugin.name, dialog, known: known(plugin, dialog), options }
}

/// A broken rule as a plugin hears of it.
pub(crate) fn fault(refusal: Refusal) -> Fault {
    Fault::new(refusal.code, refusal.message)
}

pub(super) fn frame_id() -> Arc<str> {
    Ulid::new().to_string().into()
}

/// What is known of a frame without reading the stack.
pub(super) fn tag(frame: &Frame) -> FrameTag {
    FrameTag { plugin: frame.plugin.clone(), dialog: frame.dialog.clone(), state_version: frame.state_version }
}

/// Reads a stored stack. None: it cannot be read, which is in the log, without what users said.
pub(super) fn read(text: &str) -> Option<Stack> {
    match serde_json::from_str(text) {
        Ok(frames) => Some(Stack::of(frames)),
        Err(error) => {
            let (kind, column) = (error.classify(), error.column());
            tracing::error!(?kind, column, "a stored dialog stack cannot be read and is dropped");
            None
        }
    }
}

/// What a commit stores: none for an empty stack.
pub(super) fn stored(stack: &Stack) -> Option<StoredStack> {
    if stack.frames.is_empty() {
        return None;
    }
    match serde_json::to_string(&stack.frames) {
        Ok(text) => Some(StoredStack { text: text.into(), frames: stack.frames.iter().map(tag).collect() }),
        Err(error) => {
            tracing::error!(%error, "a dialog stack cannot be written and is dropped");
            None
        }
    }
}
