//! The dialog engine of a test: takes what a dialog wants next and does it, until the top of the stack waits.

mod asking;

use std::rc::Rc;

use serde_json::{Value, json};

use super::fake::FakeHost;
use super::memory::{PLUGIN, Status, TestFrame, resumed};
use super::recognize::problem;
use crate::turn::{Host, Meta};
use crate::{Activity, DialogSet, Event, Fault, Flow, Manifest, Result, Step, Turn};

/// So many failed turns in a row cancel a frame.
const FAILURES_MAX: u32 = 3;
/// Events that the dialogs of one turn may get.
const EVENTS_MAX: u32 = 100;
/// What the user reads where the host had to cancel a dialog.
const FAILED: &str = "Sorry, I cannot go on with this. I have stopped it; you can start again.";
const RESET: &str = "Sorry, I have been updated and lost my place. Please start again.";

/// One turn, as the host leads it.
pub(super) struct Engine {
    pub(super) host: Rc<FakeHost>,
    pub(super) meta: Meta,
    pub(super) activity: Activity,
    pub(super) dialogs: DialogSet,
    pub(super) manifest: Manifest,
    pub(super) handler: fn(&mut Turn) -> Result,
    /// The frame that the turn was about.
    pub(super) entered: Option<String>,
    pub(super) events: u32,
}

impl Engine {
    /// Leads the turn.
    pub(super) fn run(&mut self) -> Result {
        let start = self.host.savepoint();
        let result = self.lead();
        if result.is_err() {
            self.host.roll_back(&start);
            self.count_failure();
        }
        result
    }

    fn lead(&mut self) -> Result {
        let asked = self.host.staged().top().is_some_and(|top| matches!(top.status, Status::Confirm { .. }));
        if asked && self.answer_confirmation()? {
            return Ok(Flow::Handled);
        }
        if let Some(route) = self.meta.trigger.strip_prefix("route:").map(str::to_owned) {
            return self.offer_route(route);
        }
        if self.activity.kind == "message" {
            let (text, locale) = (self.activity.text_without_recipient(), self.activity.locale.clone());
            for route in self.manifest.routes_for(&text, locale.as_deref().unwrap_or_default())? {
                self.meta.trigger = format!("route:{route}");
                if self.offer_route(route)? == Flow::Handled {
                    return Ok(Flow::Handled);
                }
            }
            "activity".clone_into(&mut self.meta.trigger);
        }
        match self.offer()? {
            true => Ok(Flow::Handled),
            false if self.manifest.handles(&self.activity.kind) => self.handle(),
            false => Ok(Flow::Next),
        }
    }

    /// Runs a route, or first asks whether it may interrupt.
    fn offer_route(&mut self, route: String) -> Result {
        let question = self.manifest.confirms(&route).map(str::to_owned);
        match question.filter(|_| self.host.staged().top().is_some_and(TestFrame::waits)) {
            Some(question) => self.confirm(route, &question).map(|()| Flow::Handled),
            None => self.take_route(&route),
        }
    }

    /// Calls the handlers, and runs the dialogs that they began or cancelled.
    fn handle(&mut self) -> Result {
        self.host.enter_handler(true);
        let flow = (self.handler)(&mut Turn::new(self.meta.clone(), self.activity.clone(), self.host.clone()));
        self.host.enter_handler(false);
        let flow = flow?;
        self.settle()?;
        Ok(flow)
    }

    fn take_route(&mut self, route: &str) -> Result {
        let (before, repeated) = (self.ids(), self.host.staged().reprompts);
        let flow = self.handle()?;
        let unchanged = before == self.ids() && repeated == self.host.staged().reprompts;
        if flow == Flow::Handled && unchanged && self.manifest.reprompts(route) {
            let waits = self.host.staged().top().is_some_and(TestFrame::waits);
            self.host.staged().reprompt = waits;
            self.settle()?;
        }
        Ok(flow)
    }

    fn ids(&self) -> Vec<String> {
        self.host.staged().stack.iter().map(|frame| frame.id.clone()).collect()
    }

    /// Offers the activity to the top of the stack; true if it took it.
    fn offer(&mut self) -> Result<bool> {
        let Some(top) = self.host.staged().top().cloned() else { return Ok(false) };
        if matches!(top.status, Status::Foreign(_) | Status::Confirm { .. }) {
            return Ok(false);
        }
        let is_message = self.activity.kind == "message";
        self.entered = Some(top.id.clone());
        let taken = match &top.status {
            Status::Waiting(types) if is_message || types.contains(&self.activity.kind) => {
                let data = Value::Object(self.activity.clone().into_object());
                match self.tell(&top, "continue", &data)? {
                    Some(step) if step.kind == "ignored" => false,
                    Some(step) => self.apply(&top.id, "continue", step).map(|()| true)?,
                    None => true,
                }
            }
            Status::Prompt { definition, attempt } if is_message => {
                self.answer(&top, definition, *attempt)?;
                true
            }
            status => is_message && !matches!(status, Status::Waiting(_)),
        };
        self.settle()?;
        Ok(taken)
    }

    /// Runs what is staged on the stack until its top waits.
    fn settle(&mut self) -> Result<()> {
        loop {
            let cancelled = {
                let mut staged = self.host.staged();
                if staged.cancelled.is_empty() { None } else { Some(staged.cancelled.remove(0)) }
            };
            if let Some((frame, reason)) = cancelled {
                // Its failure changes nothing, and one that never began is not told.
                if frame.plugin == PLUGIN && !matches!(frame.status, Status::Begin(_)) {
                    drop(self.enter(&frame, "cancelled", &json!({ "reason": reason })));
                }
                continue;
            }
            let Some(top) = self.host.staged().top().cloned() else { return Ok(()) };
            match &top.status {
                Status::Begin(options) => self.tell_and_apply(&top, "begin", options)?,
                Status::Resume(event) => self.tell_and_apply(&top, "resume", event)?,
                Status::Child => self.set(&top.id, Status::Resume(resumed("dialog", "failed", None))),
                Status::Waiting(_) | Status::Prompt { .. } | Status::Confirm { .. } | Status::Foreign(_) => {
                    if !std::mem::take(&mut self.host.staged().reprompt) {
                        return Ok(());
                    }
                    self.host.staged().reprompts += 1;
                    match &top.status {
                        Status::Prompt { definition, .. } | Status::Confirm { definition, .. } => {
                            self.ask(definition, 0)?;
                        }
                        Status::Waiting(_) => self.tell_and_apply(&top, "reprompt", &Value::Null)?,
                        _ => {}
                    }
                }
            }
        }
    }

    fn tell_and_apply(&mut self, frame: &TestFrame, kind: &str, data: &Value) -> Result<()> {
        self.entered.get_or_insert_with(|| frame.id.clone());
        match self.tell(frame, kind, data)? {
            Some(step) => self.apply(&frame.id, kind, step),
            None => Ok(()),
        }
    }

    /// Sends an event, after a migration where the dialog has another version now. None: the frame was reset.
    fn tell(&mut self, frame: &TestFrame, kind: &str, data: &Value) -> Result<Option<Step>> {
        let version = self.dialogs.ids().find(|(id, _)| *id == frame.dialog).map(|(_, version)| version);
        let Some(version) = version else { return self.reset(frame) };
        if version == frame.version || frame.state.is_none() {
            if let Some(frame) = self.host.staged().frame(&frame.id) {
                frame.version = version;
            }
            return self.enter(frame, kind, data).map(Some);
        }
        let step = self.enter(frame, "migrate", &json!({ "from": frame.version, "to": version }))?;
        if step.kind != "accept" || version < frame.version {
            return self.reset(frame);
        }
        let migrated = TestFrame {
            version,
            state: step.state.map(|state| state.to_string()).or_else(|| frame.state.clone()),
            ..frame.clone()
        };
        if let Some(kept) = self.host.staged().frame(&frame.id) {
            kept.clone_from(&migrated);
        }
        self.enter(&migrated, kind, data).map(Some)
    }

    fn reset(&mut self, frame: &TestFrame) -> Result<Option<Step>> {
        self.host.staged().hand_back(&frame.id, "failed", None);
        self.host.reply(&json!({ "type": "message", "text": RESET }).to_string())?;
        Ok(None)
    }

    fn enter(&mut self, frame: &TestFrame, kind: &str, data: &Value) -> Result<Step> {
        self.events += 1;
        if self.events > EVENTS_MAX {
            return Err(Fault::quota(format!("dialog-events-per-turn ({EVENTS_MAX})")));
        }
        // Once through text, as an event crosses the contract.
        let event = Event::read(kind, &frame.dialog, &data.to_string())?;
        let mut meta = self.meta.clone();
        meta.trigger = format!("dialog:{}", frame.dialog);
        let depth = self.ids().iter().position(|id| *id == frame.id).map_or(0, |at| at + 1);
        meta.extra.push(("frame".to_owned(), frame.id.clone()));
        meta.extra.push(("depth".to_owned(), depth.to_string()));
        let mut turn = Turn::new(meta, event.activity(), self.host.clone());
        self.dialogs.take(&mut turn, &event, frame.state.as_deref())
    }

    /// Does what a step says.
    fn apply(&mut self, id: &str, event: &str, step: Step) -> Result<()> {
        if let Some(frame) = self.host.staged().frame(id) {
            frame.failures = 0;
            frame.state = step.state.map(|state| state.to_string()).or_else(|| frame.state.take());
        }
        match step.kind {
            "wait" => {
                let types = step.data["activities"].as_array().into_iter().flatten();
                let types = types.filter_map(Value::as_str).map(str::to_owned).collect();
                self.set(id, Status::Waiting(types));
                Ok(())
            }
            "prompt" => {
                if let Some(why) = problem(&step.data) {
                    return Err(Fault::invalid(format!("prompt: {why}")));
                }
                self.ask(&step.data, 0)?;
                self.set(id, Status::Prompt { definition: step.data, attempt: 0 });
                Ok(())
            }
            "call" => {
                self.set(id, Status::Child);
                self.push(&step.data)
            }
            "replace" => {
                self.host.staged().stack.pop();
                self.push(&step.data)
            }
            "done" => {
                self.host.staged().hand_back(id, "completed", Some(step.data));
                Ok(())
            }
            "cancelled" => {
                self.host.staged().hand_back(id, "cancelled", None);
                Ok(())
            }
            "flush" => {
                self.set(id, Status::Resume(resumed("flush", "completed", None)));
                self.host.flush_staged()
            }
            "ignored" if event == "reprompt" => Ok(()),
            "reject" if matches!(event, "continue" | "resume" | "reprompt") => {
                let frame = self.host.staged().frame(id).cloned();
                frame.map_or(Ok(()), |frame| self.reset(&frame).map(drop))
            }
            other => Err(Fault::invalid(format!("a dialog answered `{event}` with the step `{other}`"))),
        }
    }

    fn set(&mut self, id: &str, status: Status) {
        if let Some(frame) = self.host.staged().frame(id) {
            frame.status = status;
        }
    }

    fn push(&mut self, data: &Value) -> Result<()> {
        let dialog = data["dialog"].as_str().unwrap_or_default();
        self.host.push(dialog, data.get("options").cloned().unwrap_or_default()).map(drop)
    }

    /// Counts a failed turn against its frame. After the third in a row the frame is cancelled, and the user told.
    fn count_failure(&mut self) {
        let Some(entered) = self.entered.take() else { return };
        let failures = self.host.staged().frame(&entered).map(|frame| {
            frame.failures += 1;
            frame.failures
        });
        if failures.is_none_or(|failures| failures < FAILURES_MAX) {
            return;
        }
        {
            let mut staged = self.host.staged();
            let above = staged.stack.iter().position(|frame| frame.id == entered).map_or(0, |at| at + 1);
            staged.stack.truncate(above);
            staged.hand_back(&entered, "failed", None);
        }
        drop(self.host.reply(&json!({ "type": "message", "text": FAILED }).to_string()));
        let left = self.host.savepoint();
        if self.settle().is_err() {
            self.host.roll_back(&left);
        }
    }
}
