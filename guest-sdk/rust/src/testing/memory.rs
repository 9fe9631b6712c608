//! What the host of a test keeps between turns, and what one turn stages on it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::stack::Frame;
use crate::state::Entry;
use crate::{Activity, Fault, Result};

/// A value's scope, the party or conversation that it belongs to, and its key.
pub(super) type Place = (String, String, String);

/// The name of the plugin under test.
pub(super) const PLUGIN: &str = "test";
/// The most frames of a stack (`dialog-depth`).
const DEPTH_MAX: usize = 32;
const KEY_BYTES_MAX: usize = 256;
const STATE_BYTES_MAX: usize = 256 << 10;

/// What outlives a turn.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) values: BTreeMap<Place, Entry>,
    /// By conversation; the last frame is the top.
    pub(super) stacks: BTreeMap<String, Vec<TestFrame>>,
    /// What others write before the next commit.
    pub(super) meanwhile: Vec<(Place, String)>,
    /// Ids of deliveries that were asked for and wait.
    pub(super) asked: BTreeSet<String>,
    count: u64,
}

/// One dialog on the stack.
#[derive(Debug, Clone)]
pub(super) struct TestFrame {
    pub(super) id: String,
    pub(super) plugin: String,
    pub(super) dialog: String,
    pub(super) state: Option<String>,
    pub(super) version: u32,
    pub(super) status: Status,
    pub(super) failures: u32,
}

/// What a frame does next.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Status {
    Begin(Value),
    Resume(Value),
    Waiting(Vec<String>),
    Prompt {
        definition: Value,
        attempt: u32,
    },
    Child,
    /// The host's own: asks before a route interrupts, and keeps what the user said.
    Confirm {
        definition: Value,
        attempt: u32,
        route: String,
        activity: Box<Activity>,
    },
    /// A dialog of another plugin, which a test put there.
    Foreign(String),
}

/// What a turn has changed and nobody else sees yet.
#[derive(Debug, Clone)]
pub(super) struct Staged {
    pub(super) conversation: String,
    values: BTreeMap<Place, Entry>,
    /// What must still be stored when the turn commits; none: nothing.
    relied_on: BTreeMap<Place, Option<String>>,
    written: Vec<Place>,
    pub(super) stack: Vec<TestFrame>,
    pub(super) cancelled: Vec<(TestFrame, &'static str)>,
    pub(super) reprompt: bool,
    pub(super) reprompts: usize,
}

impl Memory {
    pub(super) fn stage(&self, conversation: &str) -> Staged {
        Staged {
            conversation: conversation.to_owned(),
            values: self.values.clone(),
            relied_on: BTreeMap::new(),
            written: Vec::new(),
            stack: self.stacks.get(conversation).cloned().unwrap_or_default(),
            cancelled: Vec::new(),
            reprompt: false,
            reprompts: 0,
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
        self.stacks.insert(staged.conversation.clone(), staged.stack.clone());
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

    pub(super) fn top(&self) -> Option<&TestFrame> {
        self.stack.last()
    }

    pub(super) fn frame(&mut self, id: &str) -> Option<&mut TestFrame> {
        self.stack.iter_mut().find(|frame| frame.id == id)
    }

    pub(super) fn push(&mut self, frame: TestFrame) -> Result<()> {
        if self.stack.len() >= DEPTH_MAX {
            return Err(Fault::quota(format!("dialog-depth ({DEPTH_MAX})")));
        }
        self.stack.push(frame);
        Ok(())
    }

    pub(super) fn cancel_top(&mut self, reason: &'static str) -> bool {
        let Some(frame) = self.stack.pop() else { return false };
        self.cancelled.push((frame, reason));
        true
    }

    /// Takes a frame off; its parent resumes, one that it interrupted repeats its question.
    pub(super) fn hand_back(&mut self, id: &str, reason: &str, result: Option<Value>) {
        let Some(at) = self.stack.iter().position(|frame| frame.id == id) else { return };
        self.stack.remove(at);
        let Some(below) = at.checked_sub(1).and_then(|below| self.stack.get_mut(below)) else { return };
        if below.status == Status::Child {
            below.status = Status::Resume(resumed("dialog", reason, result));
        } else {
            self.reprompt = below.waits();
        }
    }

    pub(super) fn frames(&self) -> Vec<Frame> {
        self.stack.iter().rev().map(TestFrame::shown).collect()
    }
}

impl TestFrame {
    pub(super) fn new(number: u64, dialog: &str, version: u32, options: Value) -> Self {
        Self {
            id: format!("frame-{number}"),
            plugin: PLUGIN.to_owned(),
            dialog: dialog.to_owned(),
            state: None,
            version,
            status: Status::Begin(options),
            failures: 0,
        }
    }

    pub(super) fn waits(&self) -> bool {
        !matches!(self.status, Status::Begin(_) | Status::Resume(_) | Status::Child)
    }

    fn shown(&self) -> Frame {
        let waits_for = match &self.status {
            Status::Begin(_) | Status::Resume(_) => "none".to_owned(),
            Status::Waiting(_) => "message".to_owned(),
            Status::Prompt { definition, .. } => {
                format!("prompt:{}", definition["kind"].as_str().unwrap_or_default())
            }
            Status::Confirm { .. } => "prompt:confirm".to_owned(),
            Status::Child => "child".to_owned(),
            Status::Foreign(waits_for) => waits_for.clone(),
        };
        let Self { id, plugin, dialog, .. } = self;
        Frame { id: id.clone(), plugin: plugin.clone(), dialog: dialog.clone(), waits_for }
    }
}

/// The data of a `resume` event.
pub(super) fn resumed(from: &str, reason: &str, result: Option<Value>) -> Value {
    let mut event = json!({ "from": from, "reason": reason });
    if let Some(result) = result {
        event["result"] = result;
    }
    event
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
