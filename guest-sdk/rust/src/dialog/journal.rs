//! What a straight-line dialog did so far: the answers that it is replayed over.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Outcome;
use crate::{Fault, Result};

/// The most entries of a journal.
pub(super) const ENTRIES_MAX: usize = 1000;
/// The most bytes of a journal, as JSON.
pub(super) const BYTES_MAX: usize = 128 << 10;

/// What a frame keeps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Journal {
    /// What the dialog was begun with.
    pub(super) options: Value,
    /// What it was restarted with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<Value>,
    /// How often it was restarted.
    #[serde(default)]
    pub(super) restarts: u32,
    /// What was done, in order: the ordinal of an entry is its position.
    pub(super) entries: Vec<Entry>,
    /// What is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) waits: Option<Waits>,
}

/// One thing that was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// `ask`, `call`, `hear`, `flush`, `send`, `step`, `now` or `random`.
    pub(super) kind: String,
    /// What tells it from others of its kind.
    pub(super) key: String,
    pub(super) result: Value,
    /// `cancelled` or `failed`, where it ended without a result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ended: Option<String>,
}

/// What the next entry will be of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Waits {
    pub(super) kind: String,
    pub(super) key: String,
    /// What was said without a prompt of the host, to repeat it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) asked: Option<Value>,
}

impl Journal {
    pub(super) fn begun(options: Value) -> Self {
        Self { options, ..Self::default() }
    }

    /// The journal truncated: what counts from now on is the state.
    pub(super) fn restarted(&self, state: Value) -> Self {
        Self {
            options: self.options.clone(),
            state: Some(state),
            restarts: self.restarts.saturating_add(1),
            ..Self::default()
        }
    }

    /// Records the end of what was waited for.
    pub(super) fn answered(&mut self, outcome: Outcome) {
        if let Some(Waits { kind, key, .. }) = self.waits.take() {
            let ended = (!outcome.is_completed()).then_some(outcome.reason);
            self.entries.push(Entry { kind, key, result: outcome.result, ended });
        }
    }

    /// Adds an entry. Fault `quota`: there are too many, or they are too large.
    pub(super) fn record(&mut self, kind: &str, key: String, result: Value) -> Result<()> {
        if self.entries.len() >= ENTRIES_MAX {
            return Err(Fault::quota(format!(
                "the journal of the dialog has {ENTRIES_MAX} entries; shorten it with `restart_with`"
            )));
        }
        self.entries.push(Entry { kind: kind.to_owned(), key, result, ended: None });
        Ok(())
    }

    /// Writes what the frame keeps. Fault `quota`: it is too large.
    pub(super) fn to_value(&self) -> Result<Value> {
        let bytes = serde_json::to_string(self)?.len();
        if bytes > BYTES_MAX {
            return Err(Fault::quota(format!(
                "the journal of the dialog has {bytes} bytes of at most {BYTES_MAX}; shorten it with `restart_with`"
            )));
        }
        Ok(serde_json::to_value(self)?)
    }

    /// What a migration gets: the results that have a name, the last of each, and the state.
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
