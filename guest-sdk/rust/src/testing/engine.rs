//! Leads a turn as the host does, and drives its dialog machine with native dialogs.

use std::rc::Rc;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::{Value, json};
use turntable_dialog::{
    Broken, Call, Catalog, Effect, FAILED_TEXT, Frame, Known, Machine, Offer, Progress, RESET_TEXT, Run, Scene,
};

use super::fake::FakeHost;
use super::memory::PLUGIN;
use crate::turn::{Host, Meta};
use crate::{Activity, DialogSet, Event, Fault, Flow, Manifest, Result, Turn};

/// One turn, as the host leads it.
pub(super) struct Engine {
    pub(super) host: Rc<FakeHost>,
    pub(super) meta: Meta,
    /// What the handlers get.
    pub(super) activity: Activity,
    /// The activity of the turn, as the host reads it.
    pub(super) incoming: turntable_dialog::Activity,
    pub(super) dialogs: DialogSet,
    pub(super) manifest: Manifest,
    pub(super) handler: fn(&mut Turn) -> Result,
    /// What the machine remembers of the turn.
    pub(super) progress: Progress,
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
        self.machine(|machine| machine.lapse_confirmation());
        let is_confirmation = self.host.staged().stack.top().is_some_and(Frame::is_confirmation);
        if is_confirmation && self.offer()? {
            return Ok(Flow::Handled);
        }
        if let Some(route) = self.meta.trigger.strip_prefix("route:").map(str::to_owned) {
            return self.offer_route(&route);
        }
        if self.incoming.kind() == "message" {
            let texts = [self.incoming.heard_text(), self.incoming.spoken_text()];
            for route in self.manifest.routes_for(&texts, self.incoming.str("locale"))? {
                if self.offer_route(&route)? == Flow::Handled {
                    return Ok(Flow::Handled);
                }
            }
            "activity".clone_into(&mut self.meta.trigger);
        }
        if !is_confirmation && self.offer()? {
            return Ok(Flow::Handled);
        }
        if self.manifest.handles(&self.activity.kind) { self.handle() } else { Ok(Flow::Next) }
    }

    /// Runs a route, or first asks whether it may interrupt.
    fn offer_route(&mut self, route: &str) -> Result {
        let question = self.manifest.confirms(route).map(str::to_owned);
        match question.filter(|_| self.host.staged().stack.waits()) {
            Some(question) => {
                let run = self.machine(|machine| machine.confirm_route(PLUGIN.into(), route, &question));
                self.perform(run).map(|_| Flow::Handled)
            }
            None => self.take_route(route),
        }
    }

    fn take_route(&mut self, route: &str) -> Result {
        self.meta.trigger = format!("route:{route}");
        let before = self.machine(|machine| machine.interruption());
        let flow = self.handle()?;
        let reprompts = flow == Flow::Handled && self.manifest.reprompts(route);
        if reprompts && self.machine(|machine| machine.interrupted(&before)) {
            self.run_until_waiting()?;
        }
        Ok(flow)
    }

    /// Calls the handlers, and runs the dialogs that they began or cancelled.
    fn handle(&mut self) -> Result {
        self.host.enter_handler(true);
        let flow = (self.handler)(&mut Turn::new(self.meta.clone(), self.activity.clone(), self.host.clone()));
        self.host.enter_handler(false);
        let flow = flow?;
        self.run_until_waiting()?;
        Ok(flow)
    }

    /// Offers the activity to the top of the stack; true if it took it.
    fn offer(&mut self) -> Result<bool> {
        let is_foreign = |top: &Frame| *top.plugin != *PLUGIN && !top.is_confirmation();
        // What the dialog of another plugin would make of it, nobody knows here.
        if self.host.staged().stack.top().is_some_and(is_foreign) {
            return Ok(false);
        }
        let run = self.machine(|machine| machine.offer()).map_err(refused)?;
        match self.perform(run)? {
            Offer::Left => Ok(false),
            Offer::Taken => Ok(true),
            Offer::Route { route, activity, .. } => {
                self.activity = serde_json::from_str(&activity)?;
                self.take_route(&route)?;
                self.run_until_waiting().map(|()| true)
            }
        }
    }

    fn run_until_waiting(&mut self) -> Result<()> {
        self.perform(Run::default()).map(drop)
    }

    /// Does what the machine decides until the run ends.
    fn perform(&mut self, mut run: Run) -> Result<Offer> {
        while let Some(effect) = self.machine(|machine| machine.next(&mut run)).map_err(refused)? {
            match effect {
                Effect::Call(call) => match self.enter(&call) {
                    Ok(step) => self.machine(|machine| machine.step(&mut run, &step)).map_err(refused)?,
                    Err(_) if call.is_farewell => {}
                    Err(fault) => return Err(fault),
                },
                Effect::Send(question) => drop(self.host.reply(&Value::Object(question).to_string())?),
                Effect::TellOfReset => self.say(RESET_TEXT)?,
                Effect::Flush { .. } => self.host.flush_staged()?,
                Effect::Count { .. } | Effect::Report(_) => {}
            }
        }
        Ok(run.end())
    }

    /// Calls a dialog. A failure undoes what the call staged.
    fn enter(&mut self, call: &Call) -> Result<turntable_dialog::Step> {
        if *call.plugin != *PLUGIN {
            let kind = if matches!(call.event, "begin" | "resume") { "wait" } else { "ignored" };
            return Ok(turntable_dialog::Step { kind: kind.to_owned(), state: None, data: String::new() });
        }
        // Once through text, as an event crosses the contract.
        let event = Event::read(call.event, &call.dialog, &call.data)?;
        let mut meta = self.meta.clone();
        meta.trigger = format!("dialog:{}", call.dialog);
        meta.extra.push(("frame".to_owned(), call.frame.to_string()));
        meta.extra.push(("depth".to_owned(), call.depth.to_string()));
        let savepoint = self.host.savepoint();
        let mut turn = Turn::new(meta, event.activity(), self.host.clone());
        match self.dialogs.take(&mut turn, &event, call.state.as_deref()) {
            Ok(step) => Ok(turntable_dialog::Step {
                kind: step.kind.to_owned(),
                state: step.state.map(|state| state.to_string()),
                data: step.data.to_string(),
            }),
            Err(fault) => {
                self.host.roll_back(&savepoint);
                Err(fault)
            }
        }
    }

    /// Counts a failed turn against its dialog. After the third in a row that is cancelled, and the user told.
    fn count_failure(&mut self) {
        if !self.machine(|machine| machine.count_failure()) {
            return;
        }
        drop(self.say(FAILED_TEXT));
        let left = self.host.savepoint();
        if self.run_until_waiting().is_err() {
            self.host.roll_back(&left);
        }
    }

    fn say(&self, text: &str) -> Result<()> {
        let message = json!({ "type": "message", "text": text, "inputHint": "acceptingInput" });
        self.host.reply(&message.to_string()).map(drop)
    }

    fn machine<T>(&mut self, transition: impl FnOnce(&mut Machine<'_>) -> T) -> T {
        let now = self.host.since_epoch_ms();
        let now = || utc(now);
        let scene = Scene {
            catalog: &Serving { host: &self.host, manifest: &self.manifest },
            activity: &self.incoming,
            notified: None,
            now: &now,
            month_first: None,
            holds_newer: false,
        };
        let mut staged = self.host.staged();
        transition(&mut Machine { stack: &mut staged.stack, progress: &mut self.progress, scene })
    }
}

/// What serves: the plugin under test, and whatever a test put on the stack.
struct Serving<'e> {
    host: &'e FakeHost,
    manifest: &'e Manifest,
}

impl Catalog for Serving<'_> {
    fn dialog(&self, plugin: &str, dialog: &str) -> Option<Known> {
        match plugin == PLUGIN {
            true => self.host.known(dialog),
            false => Some(Known { state_version: 0, send_bytes_max: usize::MAX, state_bytes_max: usize::MAX }),
        }
    }

    fn has_route(&self, _plugin: &str, route: &str) -> bool {
        self.manifest.has_route(route)
    }

    fn frame_id(&self) -> Arc<str> {
        self.host.frame_id()
    }
}

fn refused(broken: Broken) -> Fault {
    Fault::new(broken.refusal.code, broken.refusal.message)
}

/// A time in milliseconds since 1970.
fn utc(milliseconds: u64) -> Zoned {
    let timestamp = i64::try_from(milliseconds).ok().and_then(|it| Timestamp::from_millisecond(it).ok());
    timestamp.unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC)
}
