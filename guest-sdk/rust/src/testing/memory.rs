//! What the host of a test keeps between turns, and what one turn stages on it.

use std::collections::{BTreeMap, BTreeSet};

use turntable_dialog::Stack;

use crate::stack::Frame;
use crate::state::Entry;
use crate::{Fault, Result};

/// A value's scope, the party or conversation that it belongs to, and its key.
pub(super) type Place = (String, String, String);

/// The name of the plugin under test.
pub(super) const PLUGIN: &str = "test";
const KEY_BYTES_MAX: usize = 256;
/// The most bytes of one scope's state, also of one frame's.
pub(super) const STATE_BYTES_MAX: usize = 256 << 10;

/// What outlives a turn.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) values: BTreeMap<Place, Entry>,
    /// By conversation; the last frame is the top.
    pub(super) stacks: BTreeMap<String, Vec<turntable_dialog::Frame>>,
    /// What others write before the next commit.
    pub(super) meanwhile: Vec<(Place, String)>,
    /// Ids of deliveries that were asked for and wait.
    pub(super) asked: BTreeSet<String>,
    count: u64,
}

/// What a turn has changed and nobody else sees yet.
#[derive(Debug, Clone)]
pub(super) struct Staged {
    pub(super) conversation: String,
    values: BTreeMap<Place, Entry>,
    /// What must still be stored when the turn commits; none: nothing.
    relied_on: BTreeMap<Place, Option<String>>,
    written: Vec<Place>,
    pub(super) stack: Stack,
}

impl Memory {
    pub(super) fn stage(&self, conversation: &str) -> Staged {
        Staged {
            conversation: conversation.to_owned(),
            values: self.values.clone(),
            relied_on: BTreeMap::new(),
            written: Vec::new(),
            stack: Stack::of(self.stacks.get(conversation).cloned().unwrap_or_default()),
        }
    }

    /// A number that was never used.
    pub(super) fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    pub(super) fn write(&mut self, place: Place, value: String) {
        let etag = self.number().to_string();
        self.values.insert(place, Entry { value, etag });
    }

    /// Makes real what a turn staged. False: a value that it relied on is another one by now.
    pub(super) fn commit(&mut self, staged: &mut Staged) -> bool {
        for (place, value) in std::mem::take(&mut self.meanwhile) {
            self.write(place, value);
        }
        let etag = |place: &Place| self.values.get(place).map(|entry| entry.etag.clone());
        if !staged.relied_on.iter().all(|(place, relied_on)| etag(place) == *relied_on) {
            return false;
        }
        for place in std::mem::take(&mut staged.written) {
            match staged.values.get(&place) {
                Some(entry) => _ = self.values.insert(place, entry.clone()),
                None => _ = self.values.remove(&place),
            }
        }
        staged.relied_on.clear();
        self.stacks.insert(staged.conversation.clone(), staged.stack.frames.clone());
        true
    }
}

impl Staged {
    pub(super) fn get(&self, place: &Place) -> Result<Option<Entry>> {
        check(place)?;
        Ok(self.values.get(place).cloned())
    }

    /// Stages a write, or with `None` a removal.
    pub(super) fn set(&mut self, place: Place, value: Option<Entry>, etag: Option<&str>) -> Result<()> {
        check(&place)?;
        let current = self.values.get(&place).map(|entry| entry.etag.as_str());
        if etag.is_some_and(|etag| current.unwrap_or_default() != etag) {
            return Err(Fault::conflict(format!("the value of `{}` is not the one that the etag names", place.2)));
        }
        if value.as_ref().is_some_and(|entry| entry.value.len() + place.2.len() > STATE_BYTES_MAX) {
            return Err(Fault::quota(format!("state-bytes-per-scope ({STATE_BYTES_MAX})")));
        }
        if etag.is_some() && !self.written.contains(&place) {
            self.relied_on.insert(place.clone(), current.map(str::to_owned));
        }
        self.written.push(place.clone());
        match value {
            Some(entry) => _ = self.values.insert(place, entry),
            None => _ = self.values.remove(&place),
        }
        Ok(())
    }

    /// The stack as a plugin sees it, top first.
    pub(super) fn frames(&self) -> Vec<Frame> {
        let shown = |frame: &turntable_dialog::Frame| Frame {
            id: frame.id.to_string(),
            plugin: frame.plugin.to_string(),
            dialog: frame.dialog.to_string(),
            waits_for: frame.waits_for(),
        };
        self.stack.top_first().map(shown).collect()
    }
}

fn check((scope, owner, key): &Place) -> Result<()> {
    if !["conversation", "user", "private", "bot"].contains(&scope.as_str()) {
        return Err(Fault::invalid(format!("there is no state scope `{scope}`")));
    }
    if owner.is_empty() {
        return Err(Fault::invalid("this turn has no user"));
    }
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(Fault::invalid(format!("a key has 1 to {KEY_BYTES_MAX} bytes, this one has {}", key.len())));
    }
    Ok(())
}
