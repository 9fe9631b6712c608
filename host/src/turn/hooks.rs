//! What passes middleware: activities that enter a turn, inwards, and all that leaves it, outwards, at the moment it is
//! staged, inside `send` (`wit/middleware.wit`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::instances::Slot;
use super::middleware::{Middleware, Outgoing, Verdict};
use super::{CallRecord, Place, Staging, TurnContext, TurnError};
use crate::activity::{Activity, Object};
use crate::config::OnHookFailure;
use crate::json;
use crate::plugin::{Done, Entry, Event, Failure, Fault, Outcome, Plugin, Step};
use crate::registry::Generation;
use crate::storage::Answer;

/// The name under which the host sends.
pub(super) const HOST: &str = "turntable";

/// Members of an incoming activity that middleware does not change: they say whose turn it is.
const KEPT: &[&str] =
    &["type", "id", "from", "recipient", "conversation", "channelId", "serviceUrl", "replyToId", "deliveryMode"];

/// The layers around one turn. The Wasm ones have instances of their own here: one that is suspended in `send` cannot be
/// entered, and its own sends pass the layers outside it only, so no layer is ever entered twice.
pub(crate) struct Hooks {
    context: Arc<TurnContext>,
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
pub(crate) enum Unsent {
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
    pub(super) fn new(
        context: Arc<TurnContext>,
        generation: Arc<Generation>,
        native: Arc<[Box<dyn Middleware>]>,
    ) -> Self {
        let slots = generation.layers.iter().map(|_| tokio::sync::Mutex::default()).collect();
        Self { context, generation, native, slots, calls: Mutex::default() }
    }

    /// How many Wasm layers there are.
    pub(crate) fn layers(&self) -> usize {
        self.slots.len()
    }

    /// Notes a call that has ended.
    pub(super) fn record(&self, call: CallRecord) {
        self.calls().records.push(call);
    }

    pub(super) fn take_records(&self) -> Vec<CallRecord> {
        std::mem::take(&mut self.calls().records)
    }

    /// CPU time of all hooks so far.
    pub(crate) fn cpu(&self) -> Duration {
        self.calls().hooks_cpu
    }

    fn calls(&self) -> std::sync::MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds the staging in the store of a hook that was cut together with the guest that it ran for. That instance is
    /// never entered again.
    pub(crate) fn recover(&self) -> Place {
        self.slots.iter().find_map(|slot| slot.try_lock().ok().and_then(|mut slot| slot.recover()))
    }

    /// Takes the incoming activity through the layers.
    pub(super) async fn receive(&self, place: &mut Place) -> Result<Received, TurnError> {
        let mut activity = self.context.inbound.activity.clone();
        for layer in 0..self.layers() {
            let event = Event { kind: "receive", name: "".into(), data: activity.text().clone() };
            match self.pass(place, layer, &event).await? {
                Passage::Pass => {}
                Passage::Replace(object) => activity = self.replaced(layer, object)?,
                Passage::Stop => return Ok(Received { activity, layers: layer, stopped: true }),
                Passage::Closed(failure) => {
                    let plugin = self.plugin(layer)?.name.clone();
                    return Err(TurnError::Plugin { plugin, failure });
                }
            }
        }
        Ok(Received { activity, layers: self.layers(), stopped: false })
    }

    /// Tells the layers that passed the activity how the turn ended, innermost first.
    pub(super) async fn turn_end(&self, place: &mut Place, layers: usize, outcome: &str) -> Result<(), TurnError> {
        let data: Arc<str> = json!({ "outcome": outcome }).to_string().into();
        for layer in (0..layers).rev() {
            let event = Event { kind: "turn-end", name: "".into(), data: data.clone() };
            // There is nothing to keep from passing: a failure is in the log and in the turn's record.
            self.pass(place, layer, &event).await?;
        }
        Ok(())
    }

    /// Lets something leave through the outermost layers of so many. None: one of them stopped it.
    async fn leave(
        &self,
        place: &mut Place,
        layers: usize,
        sender: &str,
        mut outgoing: Outgoing,
    ) -> Result<Option<Outgoing>, Unsent> {
        for layer in (0..layers).rev() {
            let event = Event { kind: outgoing.kind(), name: sender.into(), data: outgoing.data().into() };
            match self.pass(place, layer, &event).await.map_err(|error| internal(&error))? {
                Passage::Pass => {}
                Passage::Replace(object) => {
                    // The answer to an invoke stays one, and nothing else becomes one.
                    if Staging::is_the_hosts(&object) != outgoing.is_the_hosts() {
                        let plugin = self.plugin(layer).map_err(|error| internal(&error))?.name.clone();
                        let fault = Fault::invalid("`replace`: activities of this type are made by the host only");
                        return Err(Unsent::Hook { plugin, failure: Failure::Fault(fault) });
                    }
                    outgoing = outgoing.replaced_by(object);
                }
                Passage::Stop => return Ok(None),
                Passage::Closed(failure) => {
                    let plugin = self.plugin(layer).map_err(|error| internal(&error))?.name.clone();
                    return Err(Unsent::Hook { plugin, failure });
                }
            }
        }
        for layer in self.native.iter().rev() {
            match layer.on_outgoing(&self.context, sender, &outgoing).await.map_err(Unsent::Fault)? {
                Verdict::Pass => {}
                Verdict::Replace(object) => outgoing = outgoing.replaced_by(object),
                Verdict::Stop => return Ok(None),
            }
        }
        Ok(Some(outgoing))
    }

    /// Shows one layer an event, and applies its policy where it fails. An error is a failure of the host.
    async fn pass(&self, place: &mut Place, layer: usize, event: &Event) -> Result<Passage, TurnError> {
        let plugin = self.plugin(layer)?;
        let wanted = plugin.manifest.intercepts.iter().any(|kind| kind == event.kind);
        let spec = self.generation.layers.get(layer).and_then(|position| self.generation.spec.plugins.get(*position));
        let policy = spec.map_or(OnHookFailure::Closed, |spec| spec.on_hook_failure);
        if !wanted || (policy == OnHookFailure::Disable && plugin.hook_health.is_disabled()) {
            return Ok(Passage::Pass);
        }
        let failure = match self.call(place, layer, plugin, event).await? {
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
        &self,
        place: &mut Place,
        layer: usize,
        plugin: &Arc<Plugin>,
        event: &Event,
    ) -> Result<Result<Step, Failure>, TurnError> {
        let Some(mut slot) = self.slots.get(layer).and_then(|slot| slot.try_lock().ok()) else {
            return Err(TurnError::Host("a layer of middleware was entered twice".to_owned()));
        };
        let Some(savepoint) = place.as_ref().map(|staging| staging.savepoint()) else {
            return Err(TurnError::Host("the turn's staging is gone".to_owned()));
        };
        let meta = self.context.meta(format!("middleware:{}", event.kind), None).await;
        let runtime = &self.context.services.plugins;
        let (record, outcome) = slot.call(runtime, plugin, place, &meta, Entry::Hook(event, layer)).await;
        plugin.metrics.called(&plugin.bot, &plugin.name, outcome.label(), record.duration(), record.cpu());
        {
            let mut calls = self.calls();
            calls.hooks_cpu += record.cpu();
            calls.records.push(record);
        }
        match outcome {
            Outcome::Done(Done::Step(step)) => Ok(Ok(step)),
            Outcome::Done(Done::Flow(_)) => Err(TurnError::Host("on-event returned no step".to_owned())),
            Outcome::Failed(failure) => {
                if let Some(staging) = place {
                    staging.roll_back(savepoint);
                }
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
                plugin: self.plugin(layer)?.name.clone(),
                failure: Failure::Fault(Fault::invalid(format!("`replace`: {error}"))),
            }),
        }
    }

    fn plugin(&self, layer: usize) -> Result<&Arc<Plugin>, TurnError> {
        let position = self.generation.layers.get(layer);
        let plugin = position.and_then(|position| self.generation.plugins.get(*position));
        plugin.ok_or_else(|| TurnError::Host("the layer is not of this generation".to_owned()))
    }
}

/// What a step says about the event.
fn passage(plugin: &Plugin, event: &str, step: &Step) -> Result<Passage, Fault> {
    match (step.kind.as_str(), event) {
        ("pass" | "ignored", _) => Ok(Passage::Pass),
        ("replace", "receive" | "send" | "update") => {
            let object = Staging::checked(&step.data, &plugin.limits)?;
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

/// Stages an activity after so many of the outermost layers let it pass. `threaded` makes it a reply to the incoming
/// activity. Returns its host id; an empty one where it goes nowhere.
pub(crate) async fn send(
    place: &mut Place,
    layers: usize,
    sender: &str,
    mut activity: Object,
    threaded: bool,
) -> Result<Arc<str>, Unsent> {
    let hooks = staged(place)?.hooks().clone();
    if !staged(place)?.address(&mut activity, threaded) {
        return Ok("".into());
    }
    match hooks.leave(place, layers, sender, Outgoing::Send(activity)).await? {
        Some(Outgoing::Send(activity)) => staged(place)?.stage(activity, threaded).await.map_err(Unsent::Fault),
        _ => Ok("".into()),
    }
}

/// Stages the replacement of an activity that was sent before.
pub(crate) async fn update(
    place: &mut Place,
    layers: usize,
    sender: &str,
    id: &str,
    mut activity: Object,
) -> Result<(), Unsent> {
    let hooks = staged(place)?.hooks().clone();
    staged(place)?.address(&mut activity, false);
    let outgoing = Outgoing::Update { id: id.into(), activity };
    match hooks.leave(place, layers, sender, outgoing).await? {
        Some(Outgoing::Update { activity, .. }) => {
            staged(place)?.stage_update(id, activity).await.map_err(Unsent::Fault)
        }
        _ => Ok(()),
    }
}

/// Stages the deletion of an activity that was sent before.
pub(crate) async fn delete(place: &mut Place, layers: usize, sender: &str, id: &str) -> Result<(), Unsent> {
    let hooks = staged(place)?.hooks().clone();
    match hooks.leave(place, layers, sender, Outgoing::Delete { id: id.into() }).await? {
        Some(Outgoing::Delete { .. }) => staged(place)?.stage_delete(id).await.map_err(Unsent::Fault),
        _ => Ok(()),
    }
}

/// Sets the answer to an invoke after the layers let it pass, as an activity `invokeResponse` whose value has `status` and
/// `body`. One that is stopped leaves the invoke unanswered.
pub(crate) async fn respond(place: &mut Place, layers: usize, plugin: &Plugin, response: Answer) -> Result<(), Unsent> {
    let hooks = staged(place)?.hooks().clone();
    if layers == 0 && hooks.native.is_empty() {
        staged(place)?.respond(Some(response));
        return Ok(());
    }
    let body = response.body.as_deref().map(json::value).and_then(Result::ok);
    let mut activity = json!({ "type": "invokeResponse", "value": { "status": response.status } });
    activity["value"]["body"] = body.into();
    let activity = activity.as_object().cloned().unwrap_or_default();
    let passed = match hooks.leave(place, layers, &plugin.name, Outgoing::Send(activity)).await? {
        Some(Outgoing::Send(activity)) => {
            let value = activity.get("value").cloned().unwrap_or_default();
            let status = value["status"].as_u64().and_then(|status| u32::try_from(status).ok());
            let body = value.get("body").filter(|body| !body.is_null()).map(Value::to_string);
            let status = status.unwrap_or(response.status.into());
            let checked = staged(place)?.check_response(status, body.as_deref(), &plugin.limits);
            Some(checked.map_err(Unsent::Fault)?)
        }
        _ => None,
    };
    staged(place)?.respond(passed);
    Ok(())
}

fn staged(place: &mut Place) -> Result<&mut Staging, Unsent> {
    place.as_deref_mut().ok_or_else(|| Unsent::Fault(Fault::new("internal", "the turn's staging is gone")))
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
