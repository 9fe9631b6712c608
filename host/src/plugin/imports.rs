//! What a guest can reach: the state of one store, the imports of the contract, WASI with nothing in it.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use super::bindings::turntable::bot as wit;
use super::cpu::{Meter, SlowLane};
use super::memory::MemoryLimiter;
use super::output::Tail;
use super::{Entry, Fault, Plugin};
use crate::telemetry;
use crate::turn::hooks::{self, Hooks};
use crate::turn::proactive;
use crate::turn::{Place, Stack, Staging};

/// Everything that one store holds.
pub(super) struct GuestState {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: RefuseHttp,
    table: ResourceTable,
    pub(super) limiter: MemoryLimiter,
    pub(super) meter: Arc<Meter>,
    pub(super) slow: Arc<SlowLane>,
    pub(super) plugin: Arc<Plugin>,
    pub(super) turn_id: Arc<str>,
    /// The turn, while a call of it runs. None in `describe`.
    pub(super) staging: Place,
    /// Which function of the guest runs.
    within: Within,
    /// Through so many of the outermost layers of middleware goes what it sends.
    layers: usize,
    pub(super) stdout: Tail,
    pub(super) stderr: Tail,
    host_calls: u32,
    log_lines: u32,
    /// The first log lines, for the turn's record.
    pub(super) logs: Vec<String>,
}

/// The function of a guest that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Activity,
    Dialog,
    Hook,
}

/// Why the host ended a guest, found again at the bottom of the error that wasmtime returns.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stopped {
    CpuBudget,
    HostCalls,
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CpuBudget => "the CPU budget is used up",
            Self::HostCalls => "the limit of host calls is reached",
        })
    }
}

impl std::error::Error for Stopped {}

/// Log lines kept for the turn's record, and how long one may be.
const RECORDED_LINES_MAX: usize = 50;
const LOG_LINE_BYTES_MAX: usize = 4 << 10;
const LOG_FIELDS_MAX: usize = 16;

impl GuestState {
    /// Makes the state of a store for one plugin. `deterministic` fixes clock and random, for `describe`.
    pub(super) fn new(plugin: Arc<Plugin>, turn_id: Arc<str>, meter: Arc<Meter>, slow: Arc<SlowLane>) -> Self {
        let deterministic = turn_id.is_empty();
        let limits = &plugin.limits;
        let (stdout, stderr) = (Tail::new(limits.output_bytes), Tail::new(limits.output_bytes));
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(stdout.clone()).stderr(stderr.clone()).max_random_size(limits.random_bytes);
        if deterministic {
            wasi.wall_clock(FixedClock).monotonic_clock(FixedClock).insecure_random_seed(0);
            wasi.secure_random(wasmtime_wasi::Deterministic::new(vec![0]))
                .insecure_random(wasmtime_wasi::Deterministic::new(vec![0]));
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.resources);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(limits.http_fields_bytes);
        Self {
            wasi: wasi.build(),
            http,
            hooks: RefuseHttp { plugin: plugin.clone(), turn_id: turn_id.clone(), said: false },
            table,
            limiter: MemoryLimiter::new(limits.memory_bytes, limits.table_elements),
            meter,
            slow,
            turn_id,
            staging: None,
            within: Within::Activity,
            layers: 0,
            stdout,
            stderr,
            host_calls: 0,
            log_lines: 0,
            logs: Vec::new(),
            plugin,
        }
    }

    /// Notes what is called, and what its sends pass.
    pub(super) fn enter_call(&mut self, entry: &Entry<'_>, hooks: Option<&Hooks>) {
        let all = hooks.map_or(0, Hooks::layers);
        (self.within, self.layers) = match entry {
            Entry::Activity(_) => (Within::Activity, all),
            Entry::Dialog(..) => (Within::Dialog, all),
            Entry::Hook(_, layers) => (Within::Hook, *layers),
        };
    }

    /// Counts a call of the contract's imports. Over the limit it ends the guest.
    fn enter(&mut self) -> anyhow::Result<()> {
        if self.host_calls >= self.plugin.limits.host_calls {
            return Err(Stopped::HostCalls.into());
        }
        self.host_calls += 1;
        Ok(())
    }

    fn turn(&mut self) -> Result<(&mut Staging, &Plugin), wit::types::Fault> {
        match &mut self.staging {
            Some(staging) => Ok((staging, &self.plugin)),
            None => {
                Err(Fault::new("denied", "there is no turn in `describe`, nor in a dry run of a deployment").into())
            }
        }
    }
}

/// Builds the linker: the contract and all of WASI 0.2. Denial happens at run time, through empty contexts, because
/// JavaScript and Python components import sockets and files even where they never use them.
pub(super) fn link(linker: &mut Linker<GuestState>) -> anyhow::Result<()> {
    // One by one: the world's own function wants the `@unstable` interfaces implemented too.
    wit::turn::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wit::state::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wit::dialogs::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wit::conversations::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wit::config::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wit::log::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    Ok(())
}

impl wit::types::Host for GuestState {}

impl wit::turn::Host for GuestState {
    async fn reply(&mut self, activity: String) -> anyhow::Result<Result<String, wit::types::Fault>> {
        self.send_as(&activity, true).await
    }

    async fn send(&mut self, activity: String) -> anyhow::Result<Result<String, wit::types::Fault>> {
        self.send_as(&activity, false).await
    }

    async fn update(&mut self, id: String, activity: String) -> anyhow::Result<Result<(), wit::types::Fault>> {
        self.enter()?;
        let admitted = self.turn().and_then(|(staging, plugin)| Ok(staging.admit(&activity, &plugin.limits)?));
        let activity = match admitted {
            Ok(activity) => activity,
            Err(fault) => return Ok(Err(fault)),
        };
        let (plugin, hooks) = (self.plugin.clone(), self.hooks_begin());
        let updated = hooks::update(&mut self.staging, self.layers, &plugin.name, &id, activity).await;
        self.hooks_end(hooks);
        Ok(updated.map_err(|unsent| Fault::from(unsent).into()))
    }

    async fn delete(&mut self, id: String) -> anyhow::Result<Result<(), wit::types::Fault>> {
        self.enter()?;
        if let Err(fault) = self.turn().and_then(|(staging, plugin)| Ok(staging.count(&plugin.limits)?)) {
            return Ok(Err(fault));
        }
        let (plugin, hooks) = (self.plugin.clone(), self.hooks_begin());
        let deleted = hooks::delete(&mut self.staging, self.layers, &plugin.name, &id).await;
        self.hooks_end(hooks);
        Ok(deleted.map_err(|unsent| Fault::from(unsent).into()))
    }

    async fn flush(&mut self) -> anyhow::Result<Result<(), wit::types::Fault>> {
        self.enter()?;
        let why = match self.within {
            Within::Activity => None,
            Within::Dialog => Some("not within `on-dialog`: return the step `flush` instead"),
            Within::Hook => Some("not within `on-event`"),
        };
        if let Some(why) = why {
            return Ok(Err(Fault::new("denied", why).into()));
        }
        Ok(match self.turn() {
            Ok((staging, _)) => staging.flush().await.map_err(Into::into),
            Err(fault) => Err(fault),
        })
    }

    async fn respond(&mut self, status: u32, body: Option<String>) -> anyhow::Result<Result<(), wit::types::Fault>> {
        self.enter()?;
        let checked = self
            .turn()
            .and_then(|(staging, plugin)| Ok(staging.check_response(status, body.as_deref(), &plugin.limits)?));
        let response = match checked {
            Ok(response) => response,
            Err(fault) => return Ok(Err(fault)),
        };
        let (plugin, hooks) = (self.plugin.clone(), self.hooks_begin());
        let responded = hooks::respond(&mut self.staging, self.layers, &plugin, response).await;
        self.hooks_end(hooks);
        Ok(responded.map_err(|unsent| Fault::from(unsent).into()))
    }
}

impl GuestState {
    async fn send_as(&mut self, activity: &str, threaded: bool) -> anyhow::Result<Result<String, wit::types::Fault>> {
        self.enter()?;
        let admitted = self.turn().and_then(|(staging, plugin)| Ok(staging.admit(activity, &plugin.limits)?));
        let activity = match admitted {
            Ok(activity) => activity,
            Err(fault) => return Ok(Err(fault)),
        };
        let (plugin, hooks) = (self.plugin.clone(), self.hooks_begin());
        let sent = hooks::send(&mut self.staging, self.layers, &plugin.name, activity, threaded).await;
        self.hooks_end(hooks);
        Ok(sent.map(|id| id.to_string()).map_err(|unsent| Fault::from(unsent).into()))
    }

    /// Notes what hooks used before they run for this guest.
    fn hooks_begin(&self) -> Option<(Arc<Hooks>, Duration)> {
        let hooks = self.staging.as_ref().filter(|_| self.layers > 0)?.hooks().clone();
        let cpu = hooks.cpu();
        Some((hooks, cpu))
    }

    /// What they used since is not this guest's.
    fn hooks_end(&self, begun: Option<(Arc<Hooks>, Duration)>) {
        if let Some((hooks, before)) = begun {
            self.meter.forgive(hooks.cpu().saturating_sub(before));
        }
    }
}

impl wit::state::Host for GuestState {
    async fn get(
        &mut self,
        scope: String,
        key: String,
    ) -> anyhow::Result<Result<Option<wit::state::Entry>, wit::types::Fault>> {
        self.enter()?;
        Ok(match self.turn() {
            Ok((staging, plugin)) => match staging.state_get(plugin, &scope, &key).await {
                Ok(value) => Ok(value
                    .map(|value| wit::state::Entry { value: value.value.to_string(), etag: value.etag.to_string() })),
                Err(fault) => Err(fault.into()),
            },
            Err(fault) => Err(fault),
        })
    }

    async fn set(
        &mut self,
        scope: String,
        key: String,
        value: String,
        etag: Option<String>,
    ) -> anyhow::Result<Result<String, wit::types::Fault>> {
        self.write_state(&scope, &key, Some(&value), etag.as_deref()).await
    }

    async fn remove(
        &mut self,
        scope: String,
        key: String,
        etag: Option<String>,
    ) -> anyhow::Result<Result<(), wit::types::Fault>> {
        Ok(self.write_state(&scope, &key, None, etag.as_deref()).await?.map(drop))
    }
}

impl GuestState {
    async fn write_state(
        &mut self,
        scope: &str,
        key: &str,
        value: Option<&str>,
        etag: Option<&str>,
    ) -> anyhow::Result<Result<String, wit::types::Fault>> {
        self.enter()?;
        Ok(match self.turn() {
            Ok((staging, plugin)) => match staging.state_set(plugin, scope, key, value, etag).await {
                Ok(etag) => Ok(etag.to_string()),
                Err(fault) => Err(fault.into()),
            },
            Err(fault) => Err(fault),
        })
    }

    /// The dialog stack, for calls that may change it.
    fn dialogs(&mut self) -> Result<(&mut Stack, &Plugin), wit::types::Fault> {
        let why = match self.within {
            Within::Activity => None,
            Within::Dialog => Some("not within `on-dialog`: return a step instead"),
            Within::Hook => Some("not within `on-event`"),
        };
        let (staging, plugin) = self.turn()?;
        if let Some(why) = why {
            return Err(Fault::new("denied", why).into());
        }
        if !plugin.grants.dialogs {
            let why = "needs the grant `dialogs = true`, wanted by the manifest and given by the operator";
            return Err(Fault::new("denied", why).into());
        }
        Ok((staging.stack_mut(), plugin))
    }
}

impl wit::dialogs::Host for GuestState {
    async fn begin(&mut self, dialog: String, options: String) -> anyhow::Result<Result<String, wit::types::Fault>> {
        self.enter()?;
        let begun = self.dialogs().and_then(|(stack, plugin)| Ok(stack.begin(plugin, &dialog, &options)?));
        Ok(begun.map(|id| id.to_string()))
    }

    async fn replace(&mut self, dialog: String, options: String) -> anyhow::Result<Result<String, wit::types::Fault>> {
        self.enter()?;
        let begun = self.dialogs().and_then(|(stack, plugin)| Ok(stack.replace(plugin, &dialog, &options)?));
        Ok(begun.map(|id| id.to_string()))
    }

    async fn cancel_all(&mut self) -> anyhow::Result<Result<u32, wit::types::Fault>> {
        self.enter()?;
        Ok(self.dialogs().map(|(stack, _)| u32::try_from(stack.cancel_all()).unwrap_or(u32::MAX)))
    }

    async fn reprompt(&mut self) -> anyhow::Result<Result<bool, wit::types::Fault>> {
        self.enter()?;
        Ok(self.dialogs().map(|(stack, _)| stack.ask_again()))
    }

    async fn stack(&mut self) -> anyhow::Result<Result<Vec<wit::dialogs::Frame>, wit::types::Fault>> {
        self.enter()?;
        let frame = |frame: &crate::turn::Frame| wit::dialogs::Frame {
            id: frame.id.to_string(),
            plugin: frame.plugin.to_string(),
            dialog: frame.dialog.to_string(),
            waits_for: frame.waits_for(),
        };
        Ok(self.dialogs().map(|(stack, _)| stack.top_first().map(frame).collect()))
    }
}

impl GuestState {
    /// The turn, for calls that reach beyond it.
    fn conversations(&mut self) -> Result<(&mut Staging, &Plugin), wit::types::Fault> {
        let (staging, plugin) = self.turn()?;
        if !plugin.grants.conversations {
            let why = "needs the grant `conversations = true`, wanted by the manifest and given by the operator";
            return Err(Fault::new("denied", why).into());
        }
        Ok((staging, plugin))
    }

    async fn stage_notification(
        &mut self,
        asked: proactive::Asked<'_>,
    ) -> anyhow::Result<Result<String, wit::types::Fault>> {
        self.enter()?;
        let (staging, plugin) = match self.conversations() {
            Ok(found) => found,
            Err(fault) => return Ok(Err(fault)),
        };
        Ok(staging.notify(plugin, asked).await.map(|id| id.to_string()).map_err(Into::into))
    }
}

impl wit::conversations::Host for GuestState {
    async fn reference(&mut self) -> anyhow::Result<Result<String, wit::types::Fault>> {
        self.enter()?;
        Ok(self.conversations().map(|(staging, _)| staging.reference()))
    }

    async fn notify(
        &mut self,
        reference: String,
        mode: String,
        content: String,
    ) -> anyhow::Result<Result<String, wit::types::Fault>> {
        let asked = proactive::Asked { reference: &reference, mode: &mode, content: &content, timer: None };
        self.stage_notification(asked).await
    }

    async fn schedule(
        &mut self,
        name: String,
        at: String,
        reference: String,
        mode: String,
        content: String,
    ) -> anyhow::Result<Result<String, wit::types::Fault>> {
        let timer = Some((&*name, &*at));
        let asked = proactive::Asked { reference: &reference, mode: &mode, content: &content, timer };
        self.stage_notification(asked).await
    }

    async fn cancel(&mut self, id: String) -> anyhow::Result<Result<bool, wit::types::Fault>> {
        self.enter()?;
        let (staging, plugin) = match self.conversations() {
            Ok(found) => found,
            Err(fault) => return Ok(Err(fault)),
        };
        Ok(staging.cancel(plugin, &id).await.map_err(Into::into))
    }
}

impl wit::config::Host for GuestState {
    fn get(&mut self, key: String) -> anyhow::Result<Option<String>> {
        self.enter()?;
        Ok(self.plugin.settings.get(&key).cloned())
    }

    fn keys(&mut self) -> anyhow::Result<Vec<String>> {
        self.enter()?;
        Ok(self.plugin.settings.keys().cloned().collect())
    }
}

impl wit::log::Host for GuestState {
    fn write(&mut self, level: String, message: String, fields: Vec<(String, String)>) -> anyhow::Result<()> {
        self.enter()?;
        self.log_lines += 1;
        let limit = self.plugin.limits.log_lines_per_turn;
        if self.log_lines > limit {
            if self.log_lines == limit + 1 {
                self.log_line("warn", &format!("further lines are dropped: log-lines-per-turn ({limit})"));
            }
            return Ok(());
        }
        let mut line = message;
        for (name, value) in fields.iter().take(LOG_FIELDS_MAX) {
            line.push_str(&format!(" {name}={value}"));
            if line.len() > LOG_LINE_BYTES_MAX {
                break;
            }
        }
        self.log_line(&level, truncate(&line, LOG_LINE_BYTES_MAX));
        Ok(())
    }
}

impl GuestState {
    fn log_line(&mut self, level: &str, line: &str) {
        let (bot, plugin, digest, turn) = (&self.plugin.bot, &self.plugin.name, &self.plugin.digest, &self.turn_id);
        macro_rules! emit {
            ($level:ident) => {
                tracing::$level!(target: "guest", %bot, %plugin, %digest, %turn, line, "guest log")
            };
        }
        let level = match level {
            "error" | "warn" | "debug" | "trace" => level,
            // Whatever else it is, it is remembered nowhere.
            _ => "info",
        };
        match level {
            "error" => emit!(error),
            "warn" => emit!(warn),
            "debug" => emit!(debug),
            "trace" => emit!(trace),
            _ => emit!(info),
        }
        if self.logs.len() < RECORDED_LINES_MAX {
            self.logs.push(format!("{level} {line}"));
        }
    }
}

/// Cuts a text at a character boundary.
pub(super) fn truncate(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

impl From<Fault> for wit::types::Fault {
    fn from(fault: Fault) -> Self {
        Self {
            code: fault.code.into(),
            message: fault.message,
            retry_after_ms: fault.retry_after_ms,
            detail: fault.detail,
        }
    }
}

impl From<wit::types::Fault> for Fault {
    fn from(fault: wit::types::Fault) -> Self {
        Self {
            code: truncate(&fault.code, 64).to_owned().into(),
            message: truncate(&fault.message, 4 << 10).to_owned(),
            retry_after_ms: fault.retry_after_ms,
            detail: fault.detail.map(|detail| truncate(&detail, 16 << 10).to_owned()),
        }
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for GuestState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, hooks: &mut self.hooks, table: &mut self.table }
    }
}

/// Outbound HTTP needs a grant, and this release has none to give. Attempts are counted, and the first of a turn is said.
struct RefuseHttp {
    plugin: Arc<Plugin>,
    turn_id: Arc<str>,
    said: bool,
}

type HttpExchange = (http::Response<WasiBody>, Box<dyn Future<Output = Result<(), HttpError>> + Send>);

impl WasiHttpHooks for RefuseHttp {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _fut: Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ) -> Box<dyn Future<Output = Result<HttpExchange, HttpError>> + Send> {
        let Plugin { bot, name, digest, .. } = &*self.plugin;
        telemetry::outbound_request(bot, name, "denied");
        // One line a turn: a guest does not get to fill the log, and no path or query gets into it.
        if !std::mem::replace(&mut self.said, true) {
            let to = request.uri().authority().map_or("", |authority| truncate(authority.as_str(), 256));
            tracing::warn!(%bot, plugin = %name, %digest, turn = %self.turn_id, to, "outbound HTTP denied: no grant");
        }
        Box::new(async { Err(HttpError::HttpRequestDenied) })
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        1
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        self.plugin.limits.http_body_bytes
    }
}

/// The clock of `describe`: a manifest does not depend on when it is asked for.
struct FixedClock;

impl wasmtime_wasi::HostWallClock for FixedClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl wasmtime_wasi::HostMonotonicClock for FixedClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests;
