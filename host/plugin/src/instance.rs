//! One instance of a plugin: made at its first call in a turn, dropped at the turn's end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use turntable_config::Limits;
use wasmtime::component::ResourceTableError;
use wasmtime::{Store, StoreContextMut, Trap, UpdateDeadline, WasmBacktrace};
use wasmtime_wasi_http::FieldMapError;

use super::bindings::turntable::bot::types as wit;
use super::cpu::{Meter, SlowLane};
use super::engine::TICK;
use super::guest::{GuestState, Stopped, Within};
use super::imports::truncate;
use super::memory::ALL_GUESTS;
use super::output::last_words;
use super::{Call, Code, Done, Entry, Event, Failure, Fault, Flow, Meta, Outcome, Plugin, Runtime, Step, TurnHost};
use crate::threads::{go, pace};

/// A store with one instance of one plugin in it.
pub struct Instance {
    store: Store<GuestState>,
    instance: wasmtime::component::Instance,
    plugin: Arc<Plugin>,
}

/// How much of a backtrace or of stderr goes into a record.
const REPORT_BYTES_MAX: usize = 8 << 10;

impl Instance {
    /// Instantiates a plugin for one turn. `cpu_used` is what earlier instances of it used in this turn.
    pub async fn new(
        runtime: &Runtime,
        plugin: &Arc<Plugin>,
        turn_id: &Arc<str>,
        cpu_used: Duration,
    ) -> Result<Self, Failure> {
        let (all, wall) = (&runtime.memory, plugin.limits.wall);
        if tokio::time::timeout(wall, all.admit(&plugin.bot)).await.is_err() {
            return Err(Failure::Memory { key: ALL_GUESTS, limit: all.held().1 });
        }
        let mut store = store(runtime, plugin, turn_id, cpu_used);
        let meter = store.data().meter.clone();
        // Instantiation runs guest code too (start functions), so it is bounded like a call.
        let started = bounded(&mut store, plugin.limits.wall, &meter, async |store| {
            plugin.code.pre.instantiate_async(store).await
        })
        .await;
        match started {
            Ok(instance) => Ok(Self { store, instance, plugin: plugin.clone() }),
            Err(failure) => Err(failure),
        }
    }

    /// Calls `describe`. The error comes with the tail of stderr.
    pub(super) async fn describe(&mut self) -> Result<String, (Failure, String)> {
        let (meter, wall) = (self.store.data().meter.clone(), self.store.data().plugin.limits.wall);
        let (instance, code) = (self.instance, self.plugin.code.clone());
        let described = bounded(&mut self.store, wall, &meter, async |store| {
            let exports = code.handler.load(&mut *store, &instance)?;
            exports.turntable_bot_bot_handler().call_describe(store).await
        })
        .await;
        described.map_err(|failure| {
            let stderr = self.store.data().stderr.take();
            (failure.with_words(&stderr), tail(&stderr, REPORT_BYTES_MAX).to_owned())
        })
    }

    /// Calls an exported handler. The guest reaches `turn` until the call ends; without one, every function that needs a turn
    /// is denied.
    pub async fn call(&mut self, turn: Option<Arc<dyn TurnHost>>, meta: &Meta, entry: Entry<'_>) -> Call {
        let started = Instant::now();
        let data = self.store.data_mut();
        data.http_hooks.open(turn.is_some());
        (data.turn, data.within) = (turn, Within::of(&entry));
        let (meter, wall) = (data.meter.clone(), data.plugin.limits.wall);
        let cpu_before = meter.used();
        let budget = data.plugin.limits.cpu.saturating_sub(cpu_before);
        let meta = meta.to_wit(&data.plugin.name, budget);
        let (instance, code) = (self.instance, self.plugin.code.clone());
        let result =
            bounded(&mut self.store, wall, &meter, async |store| enter(store, &instance, &code, &meta, entry).await)
                .await;
        let data = self.store.data_mut();
        data.turn = None;
        let logs = std::mem::take(&mut data.logs);
        let http = data.http_hooks.take_calls();
        log_output(data, "stdout", &data.stdout.take());
        let stderr = data.stderr.take();
        log_output(data, "stderr", &stderr);
        let outcome = match result {
            Ok(Ok(done)) => Outcome::Done(done),
            Ok(Err(fault)) => Outcome::Failed(Failure::Fault(fault.into())),
            Err(failure) => Outcome::Failed(failure.with_words(&stderr)),
        };
        let cpu = meter.used().saturating_sub(cpu_before);
        self.plugin.was_slow.store(cpu > TICK, Ordering::Relaxed);
        Call {
            outcome,
            duration: started.elapsed(),
            cpu,
            cpu_in_turn: meter.used(),
            stderr: tail(&stderr, REPORT_BYTES_MAX).to_owned(),
            logs,
            http,
        }
    }
}

/// Calls the handler that the entry names.
async fn enter(
    store: &mut Store<GuestState>,
    instance: &wasmtime::component::Instance,
    code: &Code,
    meta: &wit::TurnMeta,
    entry: Entry<'_>,
) -> wasmtime::Result<Result<Done, wit::Fault>> {
    match entry {
        Entry::Activity(activity) => {
            let exports = code.handler.load(&mut *store, instance)?;
            let flow = exports.turntable_bot_bot_handler().call_on_activity(store, meta, activity).await?;
            Ok(flow.map(|flow| {
                Done::Flow(match flow {
                    wit::Flow::Handled => Flow::Handled,
                    wit::Flow::Next => Flow::Next,
                })
            }))
        }
        Entry::Hook(event) => {
            let Some(middleware) = &code.middleware else {
                return Ok(Err(Fault::invalid("the component does not export `middleware`").into()));
            };
            let exports = middleware.load(&mut *store, instance)?;
            let step = exports.turntable_bot_middleware().call_on_event(store, meta, &event.to_wit()).await?;
            Ok(step.map(|step| Done::Step(Step { kind: step.kind, state: step.state, data: step.data })))
        }
        Entry::Dialog(event, state) => {
            let Some(dialogs) = &code.dialogs else {
                return Ok(Err(Fault::invalid("the component does not export `dialog-handler`").into()));
            };
            let exports = dialogs.load(&mut *store, instance)?;
            let handler = exports.turntable_bot_dialog_handler();
            let step = handler.call_on_dialog(store, meta, &event.to_wit(), state).await?;
            Ok(step.map(|step| Done::Step(Step { kind: step.kind, state: step.state, data: step.data })))
        }
    }
}

fn store(runtime: &Runtime, plugin: &Arc<Plugin>, turn_id: &Arc<str>, cpu_used: Duration) -> Store<GuestState> {
    let meter = Arc::new(Meter::starting_at(cpu_used));
    let slow = Arc::new(SlowLane::new(runtime.slow_permits.clone(), plugin.share.slow.clone()));
    let state = GuestState::new(plugin.clone(), turn_id.clone(), meter, slow, runtime.transport.clone());
    let mut store = Store::new(&runtime.engine, state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(plugin.limits.host_call_bytes);
    store.set_max_component_handles(plugin.limits.component_handles);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(on_tick);
    store
}

/// Runs in the guest's thread when a tick passed while the guest computed.
#[expect(clippy::needless_pass_by_value, reason = "the signature is wasmtime's")]
fn on_tick(context: StoreContextMut<'_, GuestState>) -> wasmtime::Result<UpdateDeadline> {
    let state = context.data();
    let limit = state.plugin.limits.cpu;
    // A tick may come at any moment: a call that needs next to nothing is not stopped by what earlier calls used up.
    if state.meter.used_by_call() < TICK.min(limit) {
        return Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())));
    }
    if state.meter.used_within_poll() >= limit {
        return Err(Stopped::CpuBudget.into());
    }
    state.plugin.was_slow.store(true, Ordering::Relaxed);
    let slow = state.slow.clone();
    Ok(UpdateDeadline::YieldCustom(1, Box::pin(async move { slow.take_turn().await })))
}

/// Runs guest code under all bounds, and says in our terms how it failed.
async fn bounded<T>(
    store: &mut Store<GuestState>,
    wall: Duration,
    meter: &Meter,
    call: impl AsyncFnOnce(&mut Store<GuestState>) -> wasmtime::Result<T>,
) -> Result<T, Failure> {
    let lane = store.data().slow.clone();
    let knows_slow = store.data().plugin.was_slow.load(Ordering::Relaxed);
    let call = async {
        if knows_slow {
            lane.take_turn().await;
        }
        call(store).await
    };
    let pace = pace();
    let ended = tokio::time::timeout(wall, meter.measure(&lane, call)).await;
    if let Some(pace) = pace {
        go(pace).await;
    }
    match ended {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(classify(store, &error)),
        Err(_) => Err(Failure::WallClock { limit: wall }),
    }
}

fn classify(store: &Store<GuestState>, error: &wasmtime::Error) -> Failure {
    let limits = &store.data().plugin.limits;
    match error.downcast_ref::<Stopped>() {
        Some(Stopped::CpuBudget) => return Failure::CpuBudget { limit: limits.cpu },
        Some(Stopped::HostCalls) => return Failure::HostCalls { limit: limits.host_calls },
        None => {}
    }
    if let Some(key) = store.data().limiter.refused() {
        let limit = match key {
            "memory-bytes" => limits.memory_bytes,
            "table-elements" => limits.table_elements,
            _ => store.data().plugin.share.memory.held().1,
        };
        return Failure::Memory { key, limit };
    }
    let trap = error.downcast_ref::<Trap>();
    let exit = error.downcast_ref::<wasmtime_wasi::I32Exit>();
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(ToString::to_string);
    let what = match (trap, exit, limit_within_wasmtime(error, limits)) {
        (_, Some(exit), _) => format!("the guest exited with status {}", exit.0),
        (Some(trap), ..) => trap.to_string(),
        (.., Some(limit)) => limit,
        _ if backtrace.is_some() => format!("{}", error.root_cause()),
        _ => return Failure::Host(format!("{error:#}")),
    };
    let backtrace = backtrace.map(|text| truncate(&text, REPORT_BYTES_MAX).to_owned());
    Failure::Trap { what, said: None, backtrace }
}

/// Names the limit, of those that wasmtime guards itself, whose end an error is.
///
/// It has types for two of these errors only; the specs of the hostile guest notice when a text changes.
fn limit_within_wasmtime(error: &wasmtime::Error, limits: &Limits) -> Option<String> {
    if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
        return Some(format!("the guest holds more of the host's resources than resources ({})", limits.resources));
    }
    if matches!(error.downcast_ref(), Some(FieldMapError::TotalSizeTooBig)) {
        let max = limits.http_fields_bytes;
        return Some(format!("the fields of an HTTP request are larger than http-fields-bytes ({max})"));
    }
    let text = format!("{error:#}");
    let says = |part: &str| text.contains(part);
    if says("fuel allocated for hostcalls has been exhausted") {
        Some(format!("a host call carried more than host-call-bytes ({})", limits.host_call_bytes))
    } else if says("store handle limit exceeded") {
        Some(format!("the guest holds more handles than component-handles ({})", limits.component_handles))
    } else if says("requested len") && says("exceeds limit") {
        Some(format!("the guest asked for more random bytes at once than random-bytes ({})", limits.random_bytes))
    } else {
        None
    }
}

fn log_output(state: &GuestState, stream: &'static str, text: &str) {
    if !text.is_empty() {
        let plugin = &state.plugin;
        tracing::info!(target: "guest", bot = %plugin.bot, plugin = %plugin.name, digest = %plugin.digest,
            turn = %state.turn_id, stream, text, "guest output");
    }
}

impl Failure {
    /// Adds what the guest said before it died.
    fn with_words(mut self, stderr: &str) -> Self {
        if let Self::Trap { said, .. } = &mut self {
            *said = last_words(stderr);
        }
        self
    }
}

/// The last bytes of a text, cut at a character boundary.
fn tail(text: &str, bytes_max: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(bytes_max))..]
}

impl Event {
    fn to_wit(&self) -> wit::Event {
        wit::Event { kind: self.kind.to_owned(), name: self.name.to_string(), data: self.data.to_string() }
    }
}

impl Meta {
    fn to_wit(&self, plugin: &str, budget: Duration) -> wit::TurnMeta {
        let mut extra = vec![("plugin".to_owned(), plugin.to_owned()), ("random-seed".to_owned(), random_seed())];
        if let Some(id) = &self.replies_to {
            extra.push(("replies-to".to_owned(), id.to_string()));
        }
        if let Some(spoken) = &self.spoken {
            extra.push(("spoken-text".to_owned(), spoken.to_string()));
        }
        if let Some((frame, depth)) = &self.frame {
            extra.extend([("frame".to_owned(), frame.to_string()), ("depth".to_owned(), depth.to_string())]);
        }
        wit::TurnMeta {
            turn_id: self.turn_id.to_string(),
            bot_id: self.bot.to_string(),
            channel_id: self.channel_id.to_string(),
            conversation_id: self.conversation_id.to_string(),
            kind: self.kind.to_string(),
            trigger: self.trigger.clone(),
            locale: self.locale.as_deref().map(ToOwned::to_owned),
            budget_ms: u32::try_from(budget.as_millis()).unwrap_or(u32::MAX),
            extra,
        }
    }
}

fn random_seed() -> String {
    let mut bytes = [0_u8; 16];
    // A machine without entropy gives the seed 0; the guest then repeats itself, which is no reason to fail a turn.
    if let Err(error) = getrandom::fill(&mut bytes) {
        tracing::error!(%error, "no random bytes for a guest's seed");
    }
    hex::encode(bytes)
}

impl Fault {
    /// A fault with a code and a message.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), retry_after_ms: None, detail: None }
    }

    /// A fault for a mistake of the guest.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new("invalid", message)
    }

    /// A fault for a bound that is reached; `key` names it.
    pub fn quota(key: &str, limit: impl std::fmt::Display) -> Self {
        Self::new("quota", format!("the limit {key} ({limit}) is reached"))
    }
}
