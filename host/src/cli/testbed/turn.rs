//! One turn of a test host.

use std::cell::Cell;
use std::sync::Arc;

use crate::dialog::{
    Begin, Broken, Call, Catalog, Effect, FAILED_TEXT, Frame, Known, Machine, Offer, Progress, RESET_TEXT, Run, Scene,
    Stack, Step,
};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Peer;
use crate::activity::{Activity, Object};
use crate::json;
use crate::plugin::Manifest;

/// The name of the plugin under test.
const PLUGIN: &str = "test";
/// The longest message that a route can match, in characters.
const TEXT_CHARS_MAX: usize = 2_000;
/// The largest state and the largest send, in bytes: the defaults of the host.
const BYTES_MAX: usize = 256 << 10;

/// The begin of a turn.
#[derive(Debug, Deserialize)]
pub(super) struct Begun {
    activity: Object,
    manifest: Value,
    #[serde(default)]
    frames: Vec<Frame>,
    /// Number of the turn, so that ids of frames differ between turns.
    #[serde(default)]
    number: u64,
    /// Milliseconds since 1970.
    #[serde(default)]
    now: i64,
    /// `activity`, or the trigger of a notification.
    #[serde(default)]
    trigger: Option<String>,
}

/// Why a turn fails: a fault as the test host reported it, or one of the machine.
#[derive(Debug)]
enum Failure {
    Fault(Value),
    /// The test host does not keep to the protocol.
    Protocol(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Protocol(error)
    }
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        Self::Fault(json!({ "code": broken.refusal.code, "message": broken.refusal.message }))
    }
}

struct Turn<'p> {
    peer: &'p mut Peer,
    manifest: Manifest,
    activity: Activity,
    /// The activity that handlers get, as JSON.
    handled: Value,
    stack: Stack,
    progress: Progress,
    number: u64,
    frames: Cell<u64>,
    now: i64,
    trigger: String,
}

/// Leads a turn to its end and returns what the test host gets.
pub(super) fn lead(begun: Begun, peer: &mut Peer) -> anyhow::Result<Value> {
    let manifest = Manifest::parse(&begun.manifest.to_string());
    let manifest = match manifest {
        Ok(manifest) => manifest,
        Err(problems) => return Ok(failed(&json!({ "code": "invalid", "message": problems.join("; ") }))),
    };
    let activity = match Activity::from_object(&begun.activity) {
        Ok(activity) => activity,
        Err(error) => return Ok(failed(&json!({ "code": "invalid", "message": format!("the activity: {error}") }))),
    };
    let mut turn = Turn {
        peer,
        manifest,
        activity,
        handled: Value::Object(begun.activity),
        stack: Stack::of(begun.frames),
        progress: Progress::default(),
        number: begun.number,
        frames: Cell::new(0),
        now: begun.now,
        trigger: begun.trigger.unwrap_or_else(|| "activity".to_owned()),
    };
    turn.run()
}

fn failed(fault: &Value) -> Value {
    json!({ "end": { "flow": "next", "fault": fault, "frames": null, "stack": [], "reprompts": 0 } })
}

impl Turn<'_> {
    fn run(&mut self) -> anyhow::Result<Value> {
        let before = self.stack.clone();
        let (flow, fault) = match self.led() {
            Ok(handled) => (if handled { "handled" } else { "next" }, Value::Null),
            Err(Failure::Protocol(error)) => return Err(error),
            Err(Failure::Fault(fault)) => {
                self.stack = before;
                let _: Value = self.peer.ask(&json!({ "rollback": true }))?;
                self.count_failure()?;
                ("next", fault)
            }
        };
        Ok(json!({ "end": {
            "flow": flow, "fault": fault, "frames": self.stack.frames, "stack": self.shown(),
            "reprompts": self.progress.reprompts(),
        } }))
    }

    fn led(&mut self) -> Result<bool, Failure> {
        self.machine(|machine| machine.lapse_confirmation());
        let is_confirmation = self.stack.top().is_some_and(Frame::is_confirmation);
        if is_confirmation && self.offer()? {
            return Ok(true);
        }
        if self.activity.kind() == "message" && self.trigger == "activity" {
            for route in self.routes() {
                if self.offer_route(&route)? {
                    return Ok(true);
                }
            }
        }
        if !is_confirmation && self.offer()? {
            return Ok(true);
        }
        let trigger = self.trigger.clone();
        if self.manifest.handles(self.activity.kind()) { self.handle(&trigger) } else { Ok(false) }
    }

    /// Returns the names of the matching routes, best first.
    fn routes(&self) -> Vec<String> {
        let (texts, locale) = ([self.activity.heard_text(), self.activity.spoken_text()], self.activity.str("locale"));
        let texts: Vec<&String> = texts.iter().filter(|text| text.chars().nth(TEXT_CHARS_MAX).is_none()).collect();
        let routes = self.manifest.routes.iter();
        let mut found: Vec<_> =
            routes.filter(|route| texts.iter().any(|text| route.matches(text.as_str(), locale))).collect();
        found.sort_by(|one, other| other.score.total_cmp(&one.score).then(one.order.cmp(&other.order)));
        found.into_iter().map(|route| route.name.clone()).collect()
    }

    fn offer_route(&mut self, route: &str) -> Result<bool, Failure> {
        let known = self.manifest.routes.iter().find(|known| known.name == route);
        let question = known.and_then(|known| known.confirm.clone()).filter(|_| self.stack.waits());
        match question {
            Some(question) => {
                let run = self.machine(|machine| machine.confirm_route(PLUGIN.into(), route, &question));
                self.perform(run).map(|_| true)
            }
            None => self.take_route(route),
        }
    }

    fn take_route(&mut self, route: &str) -> Result<bool, Failure> {
        let before = self.machine(|machine| machine.interruption());
        let handled = self.handle(&format!("route:{route}"))?;
        let reprompts = self.manifest.routes.iter().any(|known| known.name == route && known.reprompts);
        if handled && reprompts && self.machine(|machine| machine.interrupted(&before)) {
            self.perform(Run::default())?;
        }
        Ok(handled)
    }

    /// Lets the test host run a handler, and runs the dialogs that it began.
    fn handle(&mut self, trigger: &str) -> Result<bool, Failure> {
        let request = json!({ "handle": { "trigger": trigger, "activity": self.handled, "frames": self.shown() } });
        let answer = self.answered(&request)?;
        for change in answer["changes"].as_array().into_iter().flatten() {
            self.change(change)?;
        }
        self.perform(Run::default())?;
        Ok(answer["flow"] == "handled")
    }

    fn change(&mut self, change: &Value) -> Result<(), Failure> {
        match change.as_str() {
            Some("cancel-all") => {
                self.stack.cancel_all();
                return Ok(());
            }
            Some(_) => {
                self.stack.ask_again();
                return Ok(());
            }
            None => {}
        }
        let (begun, is_begin) =
            if change["begin"].is_object() { (&change["begin"], true) } else { (&change["replace"], false) };
        let dialog = begun["dialog"].as_str().unwrap_or_default();
        let (options, plugin) = (begun["options"].as_str().unwrap_or("null"), PLUGIN.into());
        let known = Serving { manifest: &self.manifest, next: &self.frames, turn: self.number }.dialog(PLUGIN, dialog);
        let id = begun["id"].as_str().unwrap_or_default().into();
        let begin = Begin { id, plugin: &plugin, dialog, known, options };
        let begun = if is_begin { self.stack.begin(begin) } else { self.stack.replace(begin) };
        let refused = |refusal: crate::dialog::Refusal| json!({ "code": refusal.code, "message": refusal.message });
        begun.map(drop).map_err(|refusal| Failure::Fault(refused(refusal)))
    }

    /// Offers the activity to the dialog on top. True: it took it.
    fn offer(&mut self) -> Result<bool, Failure> {
        let run = self.machine(|machine| machine.offer())?;
        match self.perform(run)? {
            Offer::Left => Ok(false),
            Offer::Taken => Ok(true),
            Offer::Route { route, activity, .. } => {
                self.handled = json::from_str(&activity).map_err(anyhow::Error::from)?;
                self.take_route(&route)?;
                self.perform(Run::default()).map(|_| true)
            }
        }
    }

    fn perform(&mut self, mut run: Run) -> Result<Offer, Failure> {
        while let Some(effect) = self.machine(|machine| machine.next(&mut run))? {
            match effect {
                Effect::Call(call) => match self.enter(&call) {
                    Ok(step) => self.machine(|machine| machine.step(&mut run, &step))?,
                    Err(Failure::Fault(_)) if call.is_farewell => {}
                    Err(failure) => return Err(failure),
                },
                Effect::Send(question) => drop(self.answered(&json!({ "send": question }))?),
                Effect::TellOfReset => self.say(RESET_TEXT)?,
                Effect::Flush { .. } => drop(self.answered(&json!({ "flush": true }))?),
                Effect::Count { .. } | Effect::Report(_) => {}
            }
        }
        Ok(run.end())
    }

    /// Lets the test host handle an event of a dialog.
    fn enter(&mut self, call: &Call) -> Result<Step, Failure> {
        let request = json!({ "dialog": {
            "event": call.event, "dialog": call.dialog, "data": call.data, "state": call.state, "frame": call.frame,
            "depth": call.depth,
        } });
        let step = self.answered(&request)?["step"].take();
        let text = |member: &str| step[member].as_str().map(str::to_owned);
        Ok(Step {
            kind: text("kind").unwrap_or_default(),
            state: text("state"),
            data: text("data").unwrap_or_default(),
        })
    }

    fn count_failure(&mut self) -> anyhow::Result<()> {
        if !self.machine(|machine| machine.count_failure()) {
            return Ok(());
        }
        let told = self.say(FAILED_TEXT).and_then(|()| self.perform(Run::default()).map(drop));
        match told {
            Err(Failure::Protocol(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn say(&mut self, text: &str) -> Result<(), Failure> {
        let message = json!({ "type": "message", "text": text, "inputHint": "acceptingInput" });
        self.answered(&json!({ "send": message })).map(drop)
    }

    /// Asks the test host. A fault in its answer fails the turn.
    fn answered(&mut self, request: &Value) -> Result<Value, Failure> {
        let mut answer: Value = self.peer.ask(request)?;
        if answer["fault"].is_object() { Err(Failure::Fault(answer["fault"].take())) } else { Ok(answer) }
    }

    /// Returns the stack as a plugin sees it, top first.
    fn shown(&self) -> Vec<Value> {
        let shown = |frame: &Frame| {
            let (id, plugin, dialog) = (&frame.id, &frame.plugin, &frame.dialog);
            json!({ "id": id, "plugin": plugin, "dialog": dialog, "waitsFor": frame.waits_for() })
        };
        self.stack.top_first().map(shown).collect()
    }

    fn machine<T>(&mut self, transition: impl FnOnce(&mut Machine<'_>) -> T) -> T {
        let now = self.now;
        let now = || utc(now);
        let catalog = Serving { manifest: &self.manifest, next: &self.frames, turn: self.number };
        let scene = Scene {
            catalog: &catalog,
            activity: &self.activity,
            notified: None,
            now: &now,
            month_first: None,
            holds_newer: false,
        };
        transition(&mut Machine { stack: &mut self.stack, progress: &mut self.progress, scene })
    }
}

/// What serves: the plugin under test alone.
struct Serving<'t> {
    manifest: &'t Manifest,
    next: &'t Cell<u64>,
    turn: u64,
}

impl Catalog for Serving<'_> {
    fn dialog(&self, plugin: &str, dialog: &str) -> Option<Known> {
        let known = self.manifest.dialogs.iter().find(|known| plugin == PLUGIN && known.id == dialog)?;
        Some(Known { state_version: known.state_version, send_bytes_max: BYTES_MAX, state_bytes_max: BYTES_MAX })
    }

    fn has_route(&self, _plugin: &str, route: &str) -> bool {
        self.manifest.routes.iter().any(|known| known.name == route)
    }

    fn frame_id(&self) -> Arc<str> {
        self.next.set(self.next.get() + 1);
        format!("frame-{}-{}", self.turn, self.next.get()).into()
    }
}

fn utc(milliseconds: i64) -> Zoned {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC)
}
