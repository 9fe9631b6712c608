//! The engine: one configuration for the host and for the compile worker, pooling with a probe, the epoch ticker.

use wasmtime::{Config, Strategy, WasmBacktraceDetails};

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
        .native_unwind_info(false);
    config
}
