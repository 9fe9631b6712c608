//! Frames across swaps: what becomes of a state whose plugin has another version of the dialog.

use super::stack::Frame;

/// Reasons for which a dialog is reset, as the log and dry runs have them.
pub(super) const GONE: &str = "its dialog is gone";
pub(super) const NEWER: &str = "its state is newer than the plugin";
pub(super) const NOT_MIGRATED: &str = "its state could not be migrated";
pub(super) const UNFIT: &str = "its dialog was edited and cannot go on from its state";

/// What is to be done with a frame before it gets an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// Its state is of the version that serves.
    Continue,
    /// There is no state to carry over.
    Begin,
    /// The plugin is asked to migrate its state.
    Migrate,
    /// The state before a migration is restored.
    Restore,
    /// It stays as it is until another plugin serves.
    Hold,
    /// It is taken off the stack, for this reason.
    Reset(&'static str),
}

/// Decides what is to be done with a frame whose dialog has this version now; none: there is no such dialog any more.
pub(super) fn plan(frame: &Frame, version: Option<u64>, holds_newer: bool) -> Plan {
    let Some(version) = version else { return Plan::Reset(GONE) };
    if version == frame.state_version {
        return Plan::Continue;
    }
    if !frame.has_begun() || frame.state.is_none() {
        return Plan::Begin;
    }
    if version > frame.state_version {
        return Plan::Migrate;
    }
    match &frame.previous {
        Some(previous) if previous.state_version == version => Plan::Restore,
        _ if holds_newer => Plan::Hold,
        _ => Plan::Reset(NEWER),
    }
}
