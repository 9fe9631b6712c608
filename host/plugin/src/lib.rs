//! Plugins at run time, for the Turntable host.
//!
//! This crate hides one decision: that guests are WebAssembly components, run by wasmtime. It knows components, instances,
//! limits and what a guest may ask of its turn ([`TurnHost`]); it does not know what a turn is. No other crate of the host
//! names wasmtime.
//!
//! [`Runtime`] turns bytes into [`Code`] (checked, compiled, pre-linked; one per digest), a [`Plugin`] is code with one
//! bot's settings and limits, and an [`Instance`] of it lives for one turn.

pub mod aot;
mod bindings;
pub mod compile;
mod cpu;
pub mod engine;
mod guest;
mod health;
mod http;
mod imports;
mod instance;
pub mod manifest;
mod memory;
pub mod metrics;
mod output;
pub mod preflight;
pub mod threads;
mod turn_host;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use turntable_config::{self as config, Grants, Limits};
use wasmtime::Engine;
use wasmtime::component::{InstancePre, Linker};

use self::compile::Compiler;
pub use self::compile::LoadError;
use self::guest::GuestState;
pub use self::health::HookHealth;
pub use self::http::HttpCall;
use self::http::Outbound;
pub use self::instance::Instance;
pub use self::manifest::Manifest;
use self::memory::GuestMemory;
use self::metrics::PluginMetrics;
use self::preflight::Preflight;
use self::threads::slow_workers;
pub use self::turn_host::{DialogFrame, NotificationRequest, StateEntry, TurnHost};

/// What all plugins of a host share: engine, linker, compiler, permits.
pub struct Runtime {
    engine: Engine,
    /// Whether instances come from the pool.
    pub pooling: bool,
    linker: Linker<GuestState>,
    compiler: Compiler,
    /// One for every worker but one (`host/docs/fair-cpu.md`).
    slow_permits: Arc<Semaphore>,
    slow_share: usize,
    memory: Arc<GuestMemory>,
    http_share: usize,
    /// The threads that send the requests of guests: those in which the runtime was started.
    transport: Option<Handle>,
    /// Loaded code by digest, for as long as a plugin uses it.
    codes: Mutex<HashMap<Arc<str>, Weak<Code>>>,
    _ticker: engine::Ticker,
}

/// What the plugins of one bot share. Cheap to clone.
#[derive(Clone)]
pub struct BotShare {
    /// Permits of slow guests.
    slow: Arc<Semaphore>,
    /// The memory of all guests of the host.
    memory: Arc<GuestMemory>,
    /// HTTP requests in progress.
    http: Arc<Semaphore>,
    http_max: usize,
}

/// One component, checked, compiled and pre-linked.
pub struct Code {
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: Arc<str>,
    /// Size of the component in bytes.
    pub bytes: u64,
    /// What it imports and exports.
    pub preflight: Arc<Preflight>,
    pre: InstancePre<GuestState>,
    handler: bindings::PluginIndices,
    /// None where it does not export `dialog-handler`.
    dialogs: Option<bindings::dialogs::DialogsIndices>,
    /// None where it does not export `middleware`.
    middleware: Option<bindings::middleware::MiddlewareIndices>,
}

/// One component of one bot in one generation, ready to serve.
pub struct Plugin {
    /// Name of the bot.
    pub bot: Arc<str>,
    /// Name in the configuration.
    pub name: Arc<str>,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: Arc<str>,
    /// The code, shared with every plugin of the same digest.
    pub code: Arc<Code>,
    /// What `describe` returned.
    pub manifest: Manifest,
    /// Settings as JSON text.
    settings: BTreeMap<String, String>,
    /// What it may do.
    pub grants: Grants,
    /// Its bounds.
    pub limits: Limits,
    /// What its calls are counted in.
    pub metrics: PluginMetrics,
    /// As middleware, whether it works.
    pub hook_health: HookHealth,
    share: BotShare,
    /// Its connections to servers, one lane for each entry of `grants.http`.
    outbound: Outbound,
    /// Whether its last call took more than a tick: then the next one needs a permit from its start, so that many such
    /// guests at once do not each take a tick first.
    was_slow: AtomicBool,
}

/// What a guest is told about its turn (`types.wit`, `turn-meta`).
#[derive(Debug, Clone)]
pub struct Meta {
    /// The turn.
    pub turn_id: Arc<str>,
    /// The bot.
    pub bot: Arc<str>,
    /// `activity.channelId`.
    pub channel_id: Arc<str>,
    /// `activity.conversation.id`.
    pub conversation_id: Arc<str>,
    /// `activity.type`.
    pub kind: Arc<str>,
    /// `activity`, `route:NAME`, `dialog:ID` or `middleware:EVENT`.
    pub trigger: String,
    /// `activity.locale`.
    pub locale: Option<Arc<str>>,
    /// The host id of the message that the activity answers.
    pub replies_to: Option<Arc<str>>,
    /// What the user said, where that is not the text of the activity.
    pub spoken: Option<Arc<str>>,
    /// In a dialog, the id of the frame and its depth, 1 for the bottom of the stack.
    pub frame: Option<(Arc<str>, usize)>,
}

/// What the host asks of an instance.
#[derive(Debug, Clone, Copy)]
pub enum Entry<'a> {
    /// `on-activity` with this JSON text.
    Activity(&'a str),
    /// `on-dialog` with this event and the state of the frame.
    Dialog(&'a Event, Option<&'a str>),
    /// `on-event` with this event.
    Hook(&'a Event),
}

/// Something that happened to a dialog (`dialogs.wit`, Events), or that passes middleware (`middleware.wit`, Events).
#[derive(Debug, Clone)]
pub struct Event {
    /// What happened.
    pub kind: &'static str,
    /// The id of the dialog, or who sends what passes.
    pub name: Arc<str>,
    /// JSON text.
    pub data: Arc<str>,
}

/// What a dialog wants next (`dialogs.wit`, Steps), or middleware (`middleware.wit`, Steps).
#[derive(Debug, Clone)]
pub struct Step {
    /// What to do.
    pub kind: String,
    /// The new state of the frame, as the guest gave it.
    pub state: Option<String>,
    /// JSON text, as the guest gave it.
    pub data: String,
}

/// What a call returned.
#[derive(Debug, Clone)]
pub enum Done {
    /// Of `on-activity`.
    Flow(Flow),
    /// Of `on-dialog` or `on-event`.
    Step(Step),
}

/// What a handler says about the rest of the turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The next handler runs.
    Next,
    /// No further handler runs.
    Handled,
}

/// A refusal as a guest sees it, or as a guest returns it (`types.wit`, `fault`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `denied`, `quota`, `deadline`, `conflict`, `invalid`, `unavailable`, `internal`, or a guest's own.
    pub code: Cow<'static, str>,
    /// One sentence.
    pub message: String,
    /// When trying again makes sense.
    pub retry_after_ms: Option<u32>,
    /// More for the log.
    pub detail: Option<String>,
}

/// How a call of a guest ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It returned.
    Done(Done),
    /// It did not, or returned a fault.
    Failed(Failure),
}

/// Why a call failed: the guest said so, the guest broke, the guest reached a bound, or the host failed.
#[derive(Debug, Clone)]
pub enum Failure {
    /// The guest returned a fault.
    Fault(Fault),
    /// The guest trapped, aborted or exited.
    Trap {
        /// What wasmtime says of it.
        what: String,
        /// What the guest said of it on stderr: the message of a panic, or its last line.
        said: Option<String>,
        /// Wasm backtrace, innermost frame first.
        backtrace: Option<String>,
    },
    /// `cpu-ms` is used up.
    CpuBudget {
        /// The limit.
        limit: Duration,
    },
    /// `wall-ms` is over.
    WallClock {
        /// The limit.
        limit: Duration,
    },
    /// `memory-bytes`, `table-elements` or `runtime.guest-memory-bytes-max` is reached, and the guest did not survive that.
    Memory {
        /// The limit's configuration key.
        key: &'static str,
        /// The limit.
        limit: usize,
    },
    /// `host-calls` is reached.
    HostCalls {
        /// The limit.
        limit: u32,
    },
    /// The host could not run the guest.
    Host(String),
}

/// A finished call.
#[derive(Debug)]
pub struct Call {
    /// How it ended.
    pub outcome: Outcome,
    /// Time of the call without instantiation.
    pub duration: Duration,
    /// CPU time of the call.
    pub cpu: Duration,
    /// CPU time of the plugin in this turn so far.
    pub cpu_in_turn: Duration,
    /// Tail of the guest's stderr.
    pub stderr: String,
    /// Its first log lines.
    pub logs: Vec<String>,
    /// The HTTP requests that it asked for.
    pub http: Vec<HttpCall>,
}

impl Plugin {
    /// The state version of one of its dialogs; none where it has no such dialog, or may not have any.
    pub fn dialog_version(&self, dialog: &str) -> Option<u64> {
        let found = self.manifest.dialogs.iter().find(|known| known.id == dialog)?;
        self.owns_dialogs().then_some(found.state_version)
    }

    /// Whether its dialogs are active: it exports the interface, lists the role, and may.
    pub fn owns_dialogs(&self) -> bool {
        self.grants.dialogs && self.code.dialogs.is_some() && self.manifest.roles.iter().any(|role| role == "dialogs")
    }

    /// Whether it is middleware: it exports the interface, lists the role, and may.
    pub fn is_middleware(&self) -> bool {
        let role = self.manifest.roles.iter().any(|role| role == "middleware");
        self.grants.middleware && self.code.middleware.is_some() && role
    }
}

impl Outcome {
    /// The label of this outcome in logs and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Done(Done::Flow(Flow::Next)) => "passed-on",
            Self::Done(Done::Step(step)) if step.kind == "ignored" => "passed-on",
            Self::Done(_) => "handled",
            Self::Failed(failure) => failure.label(),
        }
    }
}

impl Failure {
    /// The label of this failure in logs and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Fault(_) => "guest-fault",
            Self::Trap { .. } => "trap",
            Self::CpuBudget { .. } => "cpu-budget",
            Self::WallClock { .. } => "wall-clock",
            Self::Memory { .. } => "memory",
            Self::HostCalls { .. } => "host-call-limit",
            Self::Host(_) => "host-failure",
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fault(fault) => write!(f, "fault {}: {}", fault.code, fault.message),
            Self::Trap { what, said: None, .. } => write!(f, "trap: {what}"),
            Self::Trap { what, said: Some(said), .. } => write!(f, "trap: {what}; {said}"),
            Self::CpuBudget { limit } => {
                write!(f, "the CPU budget of the turn is used up: cpu-ms ({})", limit.as_millis())
            }
            Self::WallClock { limit } => write!(f, "the call took longer than wall-ms ({})", limit.as_millis()),
            Self::Memory { key, limit } => write!(f, "the guest needs more than {key} ({limit})"),
            Self::HostCalls { limit } => write!(f, "the guest made more than host-calls ({limit})"),
            Self::Host(why) => write!(f, "the host could not run the guest: {why}"),
        }
    }
}

impl Runtime {
    /// Starts the runtime: engine, epoch ticker, compiler.
    pub fn new(settings: &config::Runtime) -> anyhow::Result<Arc<Self>> {
        Self::with(settings, Compiler::new(settings)?)
    }

    /// Starts a runtime that keeps nothing on disk, for tools that look at one component.
    pub fn uncached(settings: &config::Runtime) -> anyhow::Result<Arc<Self>> {
        Self::with(settings, Compiler::uncached(settings)?)
    }

    fn with(settings: &config::Runtime, compiler: Compiler) -> anyhow::Result<Arc<Self>> {
        let built = engine::build(settings.allocator, settings.instances_max)?;
        let mut linker = Linker::new(&built.engine);
        imports::link(&mut linker)?;
        let slow = slow_workers(settings.workers);
        Ok(Arc::new(Self {
            _ticker: engine::Ticker::start(&built.engine)?,
            compiler,
            linker,
            pooling: built.pooling,
            engine: built.engine,
            slow_permits: Arc::new(Semaphore::new(slow)),
            slow_share: slow.div_ceil(2),
            memory: GuestMemory::new(settings.guest_memory_bytes_max),
            http_share: settings.http_requests_per_bot_max,
            transport: Handle::try_current().ok(),
            codes: Mutex::default(),
        }))
    }

    /// Returns what a new bot's plugins share.
    pub fn share(&self) -> BotShare {
        let (slow, http) = (Arc::new(Semaphore::new(self.slow_share)), Arc::new(Semaphore::new(self.http_share)));
        BotShare { slow, memory: self.memory.clone(), http, http_max: self.http_share }
    }

    /// Returns the memory of all guests that live, and the memory that the pool keeps for guests to come.
    pub fn guest_memory_bytes(&self) -> (usize, usize) {
        let kept = self.engine.pooling_allocator_metrics().map_or(0, |pool| {
            let stacks = pool.unused_stack_bytes_resident().unwrap_or_default();
            pool.unused_memory_bytes_resident() + pool.unused_table_bytes_resident() + stacks
        });
        (self.memory.held().0, kept)
    }

    /// Turns the bytes of a component into code. Code of a digest that is in use is shared, not loaded again.
    pub async fn load(&self, component: Bytes) -> Result<Arc<Code>, LoadError> {
        let digest = compile::digest(&component).await.map_err(LoadError::Host)?;
        if let Some(code) = self.shared(&digest) {
            return Ok(code);
        }
        let bytes = component.len() as u64;
        let (preflight, component) = self.compiler.obtain(&self.engine, &digest, component).await?;
        let unfit = |error: wasmtime::Error| LoadError::Unfit(vec![format!("{error:#}")]);
        let pre = self.linker.instantiate_pre(&component).map_err(unfit)?;
        let handler = bindings::PluginIndices::new(&pre).map_err(unfit)?;
        let dialogs = bindings::dialogs::DialogsIndices::new(&pre).ok();
        let middleware = bindings::middleware::MiddlewareIndices::new(&pre).ok();
        let code = Arc::new(Code { digest: digest.clone(), bytes, preflight, pre, handler, dialogs, middleware });
        let mut codes = self.codes.lock();
        codes.retain(|_, code| code.strong_count() > 0);
        codes.insert(digest, Arc::downgrade(&code));
        Ok(code)
    }

    /// Returns what a component imports and exports, whether or not it fits this host.
    pub async fn read(&self, component: Bytes) -> Result<Preflight, LoadError> {
        self.compiler.read(component).await
    }

    fn shared(&self, digest: &str) -> Option<Arc<Code>> {
        self.codes.lock().get(digest)?.upgrade()
    }

    /// Asks code for its manifest, in an instance of its own with fixed clock and random.
    pub async fn describe(
        &self,
        bot: &Arc<str>,
        code: Arc<Code>,
        spec: &config::PluginSpec,
        share: BotShare,
    ) -> Result<Plugin, LoadError> {
        let plugin = Arc::new(Plugin {
            bot: bot.clone(),
            name: spec.name.clone(),
            digest: code.digest.clone(),
            code,
            manifest: Manifest::default(),
            settings: spec.settings.iter().map(|(key, value)| (key.clone(), value.to_string())).collect(),
            // Nothing before its manifest has asked for it.
            grants: Grants::default(),
            limits: spec.limits.clone(),
            metrics: PluginMetrics::default(),
            hook_health: HookHealth::default(),
            share,
            outbound: Outbound::default(),
            was_slow: AtomicBool::new(false),
        });
        let described = match Instance::new(self, &plugin, &"".into(), Duration::ZERO).await {
            Ok(mut instance) => instance.describe().await,
            Err(failure) => Err((failure, String::new())),
        };
        let text = described.map_err(|(failure, stderr)| unfit_describe(&failure, &stderr))?;
        let manifest = Manifest::parse(&text).map_err(LoadError::Unfit)?;
        let plugin = Arc::into_inner(plugin)
            .ok_or_else(|| LoadError::Host(anyhow::anyhow!("the instance of `describe` outlived its call")))?;
        let grants = Grants::both(&manifest.wanted, &spec.grants);
        let outbound = Outbound::new(&grants.http, &spec.limits);
        Ok(Plugin { manifest, grants, outbound, ..plugin })
    }

    /// Makes a plugin of code: asks for its manifest and checks the settings against it.
    pub async fn probe(
        &self,
        bot: &Arc<str>,
        code: Arc<Code>,
        spec: &config::PluginSpec,
        share: BotShare,
    ) -> Result<Plugin, LoadError> {
        let plugin = self.describe(bot, code, spec, share).await?;
        let lacking = Grants::lacking(&plugin.manifest.wanted, &spec.grants);
        if !lacking.is_empty() {
            tracing::warn!(%bot, plugin = %spec.name, grants = lacking.join(", "),
                "the plugin asks for more than its `grants` in the configuration allow; such calls return fault `denied`");
        }
        match plugin.manifest.check_settings(&spec.settings) {
            problems if problems.is_empty() => Ok(plugin),
            problems => Err(LoadError::Unfit(problems.into_iter().map(|problem| problem.message).collect())),
        }
    }
}

fn unfit_describe(failure: &Failure, stderr: &str) -> LoadError {
    if let Failure::Host(why) = failure {
        return LoadError::Host(anyhow::anyhow!("describe: {why}"));
    }
    let mut problem = format!("describe: {failure}");
    if let Failure::Trap { backtrace: Some(backtrace), .. } = failure {
        problem.push_str(&format!("\n{backtrace}"));
    }
    if !stderr.is_empty() {
        problem.push_str(&format!("\nstderr: {}", stderr.trim_end()));
    }
    LoadError::Unfit(vec![problem])
}
