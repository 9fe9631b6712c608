//! What passes middleware: activities that enter a turn, inwards, and all that leaves it, outwards, at the moment it is
//! staged, inside `send` (`wit/middleware.wit`).

mod outgoing;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::effects::Effects;
use super::instances::Slot;
use super::middleware::Middleware;
use super::outgoing::checked;
use super::{CallRecord, TurnError};
use crate::activity::{Activity, Object};
use crate::config::OnHookFailure;
use crate::plugin::{Done, Entry, Event, Failure, Fault, Outcome, Plugin, Step};
use crate::registry::Generation;

/// The name under which the host sends.
pub(super) const HOST: &str = "turntable";

/// Members of an incoming activity that middleware does not change: they say whose turn it is.
const KEPT: &[&str] =
    &["type", "id", "from", "recipient", "conversation", "channelId", "serviceUrl", "replyToId", "deliveryMode"];

/// The layers around one turn. The Wasm ones have instances of their own here: one that is suspended in `send` cannot be
/// entered, and its own sends pass the layers outside it only, so no layer is ever entered twice.
pub(super) struct Hooks {
    generation: Arc<Generation>,
    native: Arc<[Box<dyn Middleware>]>,
    /// By layer, outermost first.
    slots: Vec<tokio::sync::Mutex<Slot>>,
    /// The calls of the turn as they end, those of handlers among them.
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    records: Vec<CallRecord>,
    /// What hooks used, so that nobody else pays for it.
    hooks_cpu: Duration,
}

/// Why an activity did not leave.
#[derive(Debug)]
pub(super) enum Unsent {
    /// It must not, or could not be staged.
    Fault(Fault),
    /// Middleware failed, and nothing passes without it.
    Hook { plugin: Arc<str>, failure: Failure },
}

/// An incoming activity after the layers.
pub(super) struct Received {
    pub(super) activity: Arc<Activity>,
    /// The layers that passed it.
    pub(super) layers: usize,
    /// Whether the next one stopped it.
    pub(super) stopped: bool,
}

/// What one layer made of an event.
enum Passage {
    Pass,
    Replace(Object),
    Stop,
    /// It failed, and nothing passes without it.
    Closed(Failure),
}

impl Hooks {
    pub(super) fn new(generation: Arc<Generation>, native: Arc<[Box<dyn Middleware>]>) -> Self {
        let slots = generation.layers.iter().map(|_| tokio::sync::Mutex::default()).collect();
        Self { generation, native, slots, calls: Mutex::default() }
    }

    /// How many Wasm layers there are.
    pub(super) fn layers(&self) -> usize {
        self.slots.len()
    }

    /// What the bot says if a turn fails.
    pub(super) fn error_text(&self) -> &str {
        &self.generation.spec.error_text
    }

    /// Notes a call that has ended.
    pub(super) fn record(&self, call: CallRecord) {
        self.calls.lock().records.push(call);
    }

    pub(super) fn take_records(&self) -> Vec<CallRecord> {
        std::mem::take(&mut self.calls.lock().records)
    }

    /// CPU time of all hooks so far.
    pub(super) fn cpu(&self) -> Duration {
        self.calls.lock().hooks_cpu
    }

    fn plugin(&self, layer: usize) -> Result<&Arc<Plugin>, TurnError> {
        let position = self.generation.layers.get(layer);
        let plugin = position.and_then(|position| self.generation.plugins.get(*position));
        plugin.ok_or_else(|| TurnError::Host("the layer is not of this generation".to_owned()))
    }
}

impl Effects {
    /// Takes the incoming activity through the layers.
    pub(super) async fn receive(self: &Arc<Self>) -> Result<Received, TurnError> {
        let mut activity = self.context.inbound.activity.clone();
        for layer in 0..self.hooks.layers() {
            let event = Event { kind: "receive", name: "".into(), data: activity.text().clone() };
            match self.pass(layer, &event).await? {
                Passage::Pass => {}
                Passage::Replace(object) => activity = self.replaced(layer, object)?,
                Passage::Stop => return Ok(Received { activity, layers: layer, stopped: true }),
                Passage::Closed(failure) => {
                    let plugin = self.hooks.plugin(layer)?.name.clone();
                    return Err(TurnError::Plugin { plugin, failure });
                }
            }
        }
        Ok(Received { activity, layers: self.hooks.layers(), stopped: false })
    }

    /// Tells the layers that passed the activity how the turn ended, innermost first.
    pub(super) async fn turn_end(self: &Arc<Self>, layers: usize, outcome: &str) -> Result<(), TurnError> {
        let data: Arc<str> = json!({ "outcome": outcome }).to_string().into();
        for layer in (0..layers).rev() {
            let event = Event { kind: "turn-end", name: "".into(), data: data.clone() };
            // There is nothing to keep from passing: a failure is in the log and in the turn's record.
            self.pass(layer, &event).await?;
        }
        Ok(())
    }

    /// Shows one layer an event, and applies its policy where it fails. An error is a failure of the host.
    async fn pass(self: &Arc<Self>, layer: usize, event: &Event) -> Result<Passage, TurnError> {
        let plugin = self.hooks.plugin(layer)?;
        let wanted = plugin.manifest.intercepts.iter().any(|kind| kind == event.kind);
        let spec = self
            .hooks
            .generation
            .layers
            .get(layer)
            .and_then(|position| self.hooks.generation.spec.plugins.get(*position));
        let policy = spec.map_or(OnHookFailure::Closed, |spec| spec.on_hook_failure);
        if !wanted || (policy == OnHookFailure::Disable && plugin.hook_health.is_disabled()) {
            return Ok(Passage::Pass);
        }
        let failure = match self.call(layer, plugin, event).await? {
            Ok(step) => match passage(plugin, event.kind, &step) {
                Ok(passage) => {
                    plugin.hook_health.succeeded(event.kind);
                    return Ok(passage);
                }
                Err(fault) => Failure::Fault(fault),
            },
            Err(failure) => failure,
        };
        if let Failure::Host(why) = failure {
            return Err(TurnError::Host(why));
        }
        let (bot, turn) = (&self.context.inbound.key.bot, &self.context.turn_id);
        tracing::warn!(%bot, plugin = %plugin.name, %turn, event = event.kind, ?policy, error = %failure, "middleware failed");
        if policy == OnHookFailure::Disable
            && let Some(pause) = plugin.hook_health.failed(event.kind)
        {
            tracing::error!(%bot, plugin = %plugin.name, seconds = pause.as_secs(), "middleware is disabled for a while");
        }
        Ok(if policy == OnHookFailure::Open { Passage::Pass } else { Passage::Closed(failure) })
    }

    /// Calls `on-event` of a layer. A failure undoes what the call staged.
    async fn call(
        self: &Arc<Self>,
        layer: usize,
        plugin: &Arc<Plugin>,
        event: &Event,
    ) -> Result<Result<Step, Failure>, TurnError> {
        let Some(mut slot) = self.hooks.slots.get(layer).and_then(|slot| slot.try_lock().ok()) else {
            return Err(TurnError::Host("a layer of middleware was entered twice".to_owned()));
        };
        let savepoint = self.staging().savepoint();
        let meta = self.context.meta(format!("middleware:{}", event.kind), None).await;
        let runtime = &self.context.services.plugins;
        // What the layer sends passes the layers outside it.
        let turn = self.for_guest(plugin, layer);
        let (record, outcome) = slot.call(runtime, plugin, turn, &meta, Entry::Hook(event)).await;
        self.end_flush_of(plugin).await;
        plugin.metrics.called(&plugin.bot, &plugin.name, outcome.label(), record.duration(), record.cpu());
        {
            let mut calls = self.hooks.calls.lock();
            calls.hooks_cpu += record.cpu();
            calls.records.push(record);
        }
        match outcome {
            Outcome::Done(Done::Step(step)) => Ok(Ok(step)),
            Outcome::Done(Done::Flow(_)) => Err(TurnError::Host("on-event returned no step".to_owned())),
            Outcome::Failed(failure) => {
                self.staging().roll_back(savepoint);
                Ok(Err(failure))
            }
        }
    }

    /// The incoming activity as a layer wants it.
    fn replaced(&self, layer: usize, mut object: Object) -> Result<Arc<Activity>, TurnError> {
        let original = self.context.inbound.activity.object();
        for member in KEPT {
            match original.get(*member) {
                Some(value) => object.insert((*member).into(), value.clone()),
                None => object.shift_remove(*member),
            };
        }
        match Activity::parse(&Value::Object(object).to_string()) {
            Ok(activity) => Ok(Arc::new(activity)),
            Err(error) => Err(TurnError::Plugin {
                plugin: self.hooks.plugin(layer)?.name.clone(),
                failure: Failure::Fault(Fault::invalid(format!("`replace`: {error}"))),
            }),
        }
    }
}

/// What a step says about the event.
fn passage(plugin: &Plugin, event: &str, step: &Step) -> Result<Passage, Fault> {
    match (step.kind.as_str(), event) {
        ("pass" | "ignored", _) => Ok(Passage::Pass),
        ("replace", "receive" | "send" | "update") => {
            let object = checked(&step.data, &plugin.limits)?;
            Ok(Passage::Replace(object))
        }
        ("stop", "receive" | "send" | "update" | "delete") => Ok(Passage::Stop),
        (other, event) => {
            let other: String = other.chars().take(64).collect();
            Err(Fault::invalid(format!("answered `{event}` with the step `{other}`")))
        }
    }
}

fn internal(error: &TurnError) -> Unsent {
    Unsent::Fault(Fault::new("internal", error.to_string()))
}

impl From<Unsent> for Fault {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::Fault(fault) => fault,
            // What failed in it is not this plugin's business.
            Unsent::Hook { plugin, .. } => {
                Self::new("unavailable", format!("the middleware `{plugin}` failed, and nothing leaves without it"))
            }
        }
    }
}

impl From<Unsent> for TurnError {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::Fault(fault) => Self::Host(fault.message),
            Unsent::Hook { plugin, failure } => Self::Plugin { plugin, failure },
        }
    }
}
