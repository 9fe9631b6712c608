//! The engine: code settings shared with the compile worker, pooling with a probe, the epoch ticker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use turntable_config::Allocator;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy, WasmBacktraceDetails,
};

/// The epoch tick: how long a guest runs before the host looks at it.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Core instances and tables of one component at most; JavaScript and Python components hold about four of each.
const PARTS_PER_COMPONENT: u32 = 64;

/// Returns the settings that decide what compiled code looks like. Host and compile worker must agree on them.
pub fn code_settings() -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .epoch_interruption(true)
        .wasm_component_model(true)
        .concurrency_support(false)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_memory64(false)
        // Registration with the system's unwinder grows badly with many components; wasmtime has its own for traps.
        .native_unwind_info(false);
    config
}

/// An engine, and which allocator it got.
pub(super) struct Built {
    pub(super) engine: Engine,
    pub(super) pooling: bool,
}

/// Builds the host's engine for `instances` guests alive at once.
///
/// `auto` tries the pooling allocator, which reserves terabytes of address space, and falls back to on-demand mappings
/// where the machine refuses (39-bit address spaces, `ulimit -v`, some containers).
pub(super) fn build(allocator: Allocator, instances: u32) -> anyhow::Result<Built> {
    if allocator != Allocator::OnDemand {
        match pooling(instances) {
            Ok(engine) => return Ok(Built { engine, pooling: true }),
            Err(error) if allocator == Allocator::Pooling => {
                return Err(error).context(
                    "the pooling allocator does not start here; set runtime.allocator = \"auto\" or lower \
                     runtime.instances-max",
                );
            }
            Err(error) => {
                tracing::warn!(error = %format!("{error:#}"), "pooling allocator unavailable, using on-demand memory");
            }
        }
    }
    Ok(Built { engine: Engine::new(&code_settings())?, pooling: false })
}

/// Slots above the host's own bound, for the instances of `describe` and those that are being dropped.
const SPARE_SLOTS: u32 = 16;

/// Memories, tables and stacks that keep pages although no instance uses them. Without this bound every component that was
/// ever deployed would leave some behind.
const WARM_SLOTS_MAX: u32 = 16;
/// Bytes that a memory keeps for its next instance. Most guests dirty less; what is beyond goes back to the system.
const MEMORY_KEPT_BYTES: usize = 512 << 10;

fn pooling(instances: u32) -> anyhow::Result<Engine> {
    let slots = instances.saturating_add(SPARE_SLOTS);
    let parts = slots.saturating_mul(4);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(slots)
        .total_core_instances(parts)
        .total_memories(slots.saturating_mul(2))
        .total_tables(parts)
        .total_stacks(slots)
        .max_component_instance_size(10 << 20)
        .max_core_instance_size(10 << 20)
        .max_core_instances_per_component(PARTS_PER_COMPONENT)
        .max_tables_per_module(4)
        .table_elements(100_000)
        .max_unused_warm_slots(WARM_SLOTS_MAX)
        .linear_memory_keep_resident(MEMORY_KEPT_BYTES)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut config = code_settings();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Ok(Engine::new(&config)?)
}

/// Advances the engine's epoch every [`TICK`] until it is dropped.
pub(super) struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(super) fn start(engine: &Engine) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (weak, stopped) = (engine.weak(), stop.clone());
        let thread = std::thread::Builder::new().name("turntable-epoch".into()).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::park_timeout(TICK);
                match weak.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the epoch ticker panicked");
            }
        }
    }
}
