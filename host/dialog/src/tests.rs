//! The machine without a host: what it is given, and what it wants done.

mod bounds;
mod events;
mod groups;
mod prompts;
mod rehearsals;
mod routes;
mod versions;

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Zoned;
use serde_json::{Value, json};

use super::*;
use crate::activity::Activity;

/// A conversation, with a plugin `p` whose dialogs `a`, `b` and `c` answer the steps that a test has laid out.
struct Talk {
    stack: Stack,
    progress: Progress,
    catalog: Plugin,
    /// Steps of the dialogs, in the order of the calls.
    steps: VecDeque<Step>,
    /// Whom a notification is for, where one began the turn.
    notified: Option<&'static str>,
    holds_newer: bool,
    month_first: Option<bool>,
    is_group: bool,
}

/// What serves.
struct Plugin {
    version: u64,
    routes: Vec<&'static str>,
    bytes_max: usize,
    frames: Cell<u32>,
}

impl Catalog for Plugin {
    fn dialog(&self, plugin: &str, dialog: &str) -> Option<Known> {
        let known =
            Known { state_version: self.version, send_bytes_max: self.bytes_max, state_bytes_max: self.bytes_max };
        (plugin == "p" && ["a", "b", "c"].contains(&dialog)).then_some(known)
    }

    fn has_route(&self, plugin: &str, route: &str) -> bool {
        plugin == "p" && self.routes.contains(&route)
    }

    fn frame_id(&self) -> Arc<str> {
        self.frames.set(self.frames.get() + 1);
        format!("f{}", self.frames.get()).into()
    }
}

/// A message of a user. Given `text`, all else is the same.
fn message(user: &str, text: &str, is_group: bool) -> Value {
    json!({
        "type": "message", "text": text, "channelId": "test", "from": { "id": user }, "recipient": { "id": "bot" },
        "conversation": { "id": "c", "isGroup": is_group }, "localTimestamp": "2026-06-01T12:00:00",
    })
}

fn step(kind: &str, data: &Value) -> Step {
    Step { kind: kind.to_owned(), state: None, data: data.to_string() }
}

fn wait() -> Step {
    step("wait", &Value::Null)
}

impl Talk {
    fn new() -> Self {
        Self {
            stack: Stack::default(),
            progress: Progress::default(),
            catalog: Plugin { version: 1, routes: vec!["stop"], bytes_max: 1_000, frames: Cell::new(0) },
            steps: VecDeque::new(),
            notified: None,
            holds_newer: false,
            month_first: None,
            is_group: false,
        }
    }

    /// A conversation in which dialog `a` has begun with these steps.
    fn with(steps: impl IntoIterator<Item = Step>) -> Self {
        let mut talk = Self::new();
        talk.begin("a", &Value::Null);
        talk.goes_on(steps).unwrap();
        talk
    }

    fn begin(&mut self, dialog: &str, options: &Value) {
        let known = self.catalog.dialog("p", dialog);
        let id = self.catalog.frame_id();
        let options = options.to_string();
        self.stack.begin(Begin { id, plugin: &"p".into(), dialog, known, options: &options }).unwrap();
    }

    fn top(&self) -> &Frame {
        self.stack.top().unwrap()
    }

    fn machine<T>(&mut self, activity: &Value, transition: impl FnOnce(&mut Machine<'_>) -> T) -> T {
        let activity = Activity::parse(&activity.to_string()).unwrap();
        let now = || "2026-06-01T12:00:00Z[UTC]".parse::<Zoned>().unwrap();
        let scene = Scene {
            catalog: &self.catalog,
            activity: &activity,
            notified: self.notified,
            now: &now,
            month_first: self.month_first,
            holds_newer: self.holds_newer,
        };
        transition(&mut Machine { stack: &mut self.stack, progress: &mut self.progress, scene })
    }

    /// Lets the stack go on, in a turn of Ann, and returns what was done.
    fn goes_on(&mut self, steps: impl IntoIterator<Item = Step>) -> Result<Vec<String>, Broken> {
        let about = message("ann", "hi", self.is_group);
        self.steps.extend(steps);
        self.perform(&about, Run::default()).map(|(done, _)| done)
    }

    /// Ann says something in a new turn; returns what was done, and whether it was taken.
    fn says(&mut self, text: &str, steps: impl IntoIterator<Item = Step>) -> (Vec<String>, Offer) {
        self.takes(&message("ann", text, self.is_group), steps).unwrap()
    }

    /// Somebody says something in a new turn.
    fn said(&mut self, user: &str, text: &str, steps: impl IntoIterator<Item = Step>) -> (Vec<String>, Offer) {
        self.takes(&message(user, text, self.is_group), steps).unwrap()
    }

    /// An activity arrives in a new turn.
    fn takes(
        &mut self,
        activity: &Value,
        steps: impl IntoIterator<Item = Step>,
    ) -> Result<(Vec<String>, Offer), Broken> {
        self.steps.extend(steps);
        self.progress = Progress::default();
        let run = self.machine(activity, |machine| machine.offer())?;
        self.perform(activity, run)
    }

    /// Does what the machine decides, and writes it down.
    fn perform(&mut self, activity: &Value, mut run: Run) -> Result<(Vec<String>, Offer), Broken> {
        let mut done = Vec::new();
        while let Some(effect) = self.machine(activity, |machine| machine.next(&mut run))? {
            done.push(written(&effect));
            if let Effect::Call(call) = effect
                && !call.is_farewell
            {
                let step = self.steps.pop_front().unwrap_or_else(|| panic!("no step is left for {call:?}"));
                self.machine(activity, |machine| machine.step(&mut run, &step))?;
            }
        }
        assert_eq!(self.steps, [], "steps that nobody asked for, after {done:?}");
        Ok((done, run.end()))
    }
}

fn written(effect: &Effect) -> String {
    match effect {
        Effect::Call(call) => {
            let state = call.state.as_deref().map(|state| format!(" in {state}")).unwrap_or_default();
            let data = if call.event == "continue" { "" } else { &*call.data };
            format!("{}{} {} {data}{state}", call.dialog, call.depth, call.event)
        }
        Effect::Count { plugin } => format!("count {plugin}"),
        Effect::Send(activity) => {
            let to =
                activity.get("recipient").map(|it| format!("@{} ", it["id"].as_str().unwrap())).unwrap_or_default();
            format!("send {to}{}", activity["text"].as_str().unwrap_or_default())
        }
        Effect::TellOfReset => "tell of reset".to_owned(),
        Effect::Flush { plugin } => format!("flush {plugin}"),
        Effect::Report(Report::Reset { frame, why }) => format!("report {}: {why}", frame.dialog),
        Effect::Report(Report::Unfit { dialog, why }) => format!("report {dialog}: {why}"),
    }
}
