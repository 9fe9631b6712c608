//! The journal of a straight-line dialog: the recorded results that a replay returns.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Outcome;
use crate::{Fault, Result};

/// Maximum number of entries of a journal.
pub(super) const ENTRIES_MAX: usize = 1000;
/// Maximum size of a journal as JSON, in bytes.
pub(super) const BYTES_MAX: usize = 128 << 10;

/// The state of a frame.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Journal {
    /// The options that the dialog was begun with.
    pub(super) options: Value,
    /// The state of the last restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<Value>,
    /// Number of restarts.
    #[serde(default)]
    pub(super) restarts: u32,
    /// The completed operations, in order.
    pub(super) entries: Vec<Entry>,
    /// The operation that the dialog waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) waits: Option<Waits>,
}

/// One completed operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// `ask`, `call`, `hear`, `flush`, `send`, `step`, `now` or `random`.
    pub(super) kind: String,
    /// Distinguishes the operation from others of its kind.
    pub(super) key: String,
    pub(super) result: Value,
    /// `cancelled` or `failed` if the operation ended without a result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ended: Option<String>,
}

/// An operation that waits for its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Waits {
    pub(super) kind: String,
    pub(super) key: String,
    /// The question of `hear`, which the SDK repeats itself because the host does not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) asked: Option<Value>,
}

impl Journal {
    pub(super) fn begun(options: Value) -> Self {
        Self { options, ..Self::default() }
    }

    /// Returns an empty journal that continues from a state.
    pub(super) fn restarted(&self, state: Value) -> Self {
        Self {
            options: self.options.clone(),
            state: Some(state),
            restarts: self.restarts.saturating_add(1),
            ..Self::default()
        }
    }

    /// Records the outcome of the operation that the dialog waited for.
    pub(super) fn answered(&mut self, outcome: Outcome) {
        if let Some(Waits { kind, key, .. }) = self.waits.take() {
            let ended = (!outcome.is_completed()).then_some(outcome.reason);
            self.entries.push(Entry { kind, key, result: outcome.result, ended });
        }
    }

    /// Adds an entry. Fault `quota`: there are too many entries.
    pub(super) fn record(&mut self, kind: &str, key: String, result: Value) -> Result<()> {
        if self.entries.len() >= ENTRIES_MAX {
            return Err(Fault::quota(format!(
                "the journal of the dialog has {ENTRIES_MAX} entries, which is the limit; shorten it with `restart_with`"
            )));
        }
        self.entries.push(Entry { kind: kind.to_owned(), key, result, ended: None });
        Ok(())
    }

    /// Writes the state of the frame. Fault `quota`: it is too large.
    pub(super) fn to_value(&self) -> Result<Value> {
        let bytes = serde_json::to_string(self)?.len();
        if bytes > BYTES_MAX {
            return Err(Fault::quota(format!(
                "the journal of the dialog has {bytes} bytes, the limit is {BYTES_MAX}; shorten it with `restart_with`"
            )));
        }
        Ok(serde_json::to_value(self)?)
    }

    /// Returns the state for a migration hook: the last result of each name, and the state of the last restart.
    pub(super) fn summary(&self) -> Value {
        let mut names = Map::new();
        for entry in self.entries.iter().filter(|entry| entry.ended.is_none()) {
            match (entry.kind.as_str(), entry.key.split_once(':')) {
                ("ask", Some((_, name))) => _ = names.insert(name.to_owned(), entry.result.clone()),
                ("call" | "step", _) => _ = names.insert(entry.key.clone(), entry.result.clone()),
                _ => {}
            }
        }
        if let Some(state) = &self.state {
            names.insert("state".to_owned(), state.clone());
        }
        names.into()
    }
}
