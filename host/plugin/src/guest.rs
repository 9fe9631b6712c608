//! The state of one store: what the host keeps of one guest.

use std::sync::Arc;

use tokio::runtime::Handle;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};
use wasmtime_wasi_http::WasiHttpCtx;

use super::cpu::{Meter, SlowLane};
use super::http::HttpHooks;
use super::imports::wasi::FixedClock;
use super::memory::MemoryLimiter;
use super::output::Tail;
use super::{Entry, Fault, Plugin, TurnHost};

/// Everything that one store holds.
pub(super) struct GuestState {
    pub(super) wasi: WasiCtx,
    pub(super) http: WasiHttpCtx,
    pub(super) http_hooks: HttpHooks,
    pub(super) table: ResourceTable,
    pub(super) limiter: MemoryLimiter,
    pub(super) meter: Arc<Meter>,
    pub(super) slow: Arc<SlowLane>,
    pub(super) plugin: Arc<Plugin>,
    pub(super) turn_id: Arc<str>,
    /// The turn, while a call of it runs. None in `describe` and in a dry run.
    pub(super) turn: Option<Arc<dyn TurnHost>>,
    /// The function of the guest that runs.
    pub(super) within: Within,
    pub(super) stdout: Tail,
    pub(super) stderr: Tail,
    host_calls: u32,
    pub(super) log_lines: u32,
    /// The first log lines, for the turn's record.
    pub(super) logs: Vec<String>,
}

/// The function of a guest that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
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

impl GuestState {
    /// Makes the state of a store for one plugin. Without a turn id, for `describe`, clock and random are fixed.
    pub(super) fn new(
        plugin: Arc<Plugin>,
        turn_id: Arc<str>,
        meter: Arc<Meter>,
        slow: Arc<SlowLane>,
        transport: Option<Handle>,
    ) -> Self {
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
            http_hooks: HttpHooks::new(plugin.clone(), turn_id.clone(), transport),
            table,
            limiter: MemoryLimiter::new(
                limits.memory_bytes,
                limits.table_elements,
                plugin.share.memory.clone(),
                plugin.bot.clone(),
            ),
            meter,
            slow,
            turn_id,
            turn: None,
            within: Within::Activity,
            stdout,
            stderr,
            host_calls: 0,
            log_lines: 0,
            logs: Vec::new(),
            plugin,
        }
    }

    /// Counts a call of the contract's imports. Over the limit it ends the guest.
    pub(super) fn enter(&mut self) -> anyhow::Result<()> {
        if self.host_calls >= self.plugin.limits.host_calls {
            return Err(Stopped::HostCalls.into());
        }
        self.host_calls += 1;
        Ok(())
    }

    /// Returns the turn that called the guest.
    pub(super) fn turn(&self) -> Result<Arc<dyn TurnHost>, Fault> {
        let denied = || Fault::new("denied", "there is no turn in `describe`, nor in a dry run of a deployment");
        self.turn.clone().ok_or_else(denied)
    }
}

impl Within {
    pub(super) fn of(entry: &Entry<'_>) -> Self {
        match entry {
            Entry::Activity(_) => Self::Activity,
            Entry::Dialog(..) => Self::Dialog,
            Entry::Hook(_) => Self::Hook,
        }
    }
}
