//! Limits of one plugin: names, units and defaults.

use std::time::Duration;

/// Limits of one plugin. An error that a limit causes names the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `cpu-ms`, default 200: CPU time of the plugin in one turn.
    pub cpu: Duration,
    /// `wall-ms`, default 8,000: wall time of one call, including host calls and sleeps.
    pub wall: Duration,
    /// `memory-bytes`, default 128 MiB: all linear memories of the instance together.
    pub memory_bytes: usize,
    /// `table-elements`, default 100,000: all tables of the instance together.
    pub table_elements: usize,
    /// `host-calls`, default 1,000: calls of this contract's imports in one turn.
    pub host_calls: u32,
    /// `host-call-bytes`, default 4 MiB: bytes that the guest may pass in one host call or return from one call.
    pub host_call_bytes: usize,
    /// `sends-per-turn`, default 50: activities sent, updated and deleted, counted together.
    pub sends_per_turn: u32,
    /// `bytes-per-send`, default 256 KiB: JSON text of one activity or invoke response.
    pub bytes_per_send: usize,
    /// `state-bytes-per-scope`, default 256 KiB: keys and values of one scope, and also the state of one dialog frame.
    pub state_bytes_per_scope: usize,
    /// `log-lines-per-turn`, default 200. Further lines are counted and dropped.
    pub log_lines_per_turn: u32,
    /// `output-bytes`, default 64 KiB: the stored tail of stdout and of stderr.
    pub output_bytes: usize,
    /// `component-handles`, default 10,000: live resource handles of the component.
    pub component_handles: usize,
    /// `resources`, default 4,096: entries of the host's resource table.
    pub resources: usize,
    /// `random-bytes`, default 64 KiB: random bytes that one call may request.
    pub random_bytes: u64,
    /// `http-fields-bytes`, default 8 KiB: headers of one HTTP request, which the host stores until the request is
    /// dropped.
    pub http_fields_bytes: usize,
    /// `http-body-bytes`, default 4 KiB: size of a body buffer of an unsent HTTP request. The host stores at most two.
    pub http_body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu: Duration::from_millis(200),
            wall: Duration::from_millis(8_000),
            memory_bytes: 128 << 20,
            table_elements: 100_000,
            host_calls: 1_000,
            host_call_bytes: 4 << 20,
            sends_per_turn: 50,
            bytes_per_send: 256 << 10,
            state_bytes_per_scope: 256 << 10,
            log_lines_per_turn: 200,
            output_bytes: 64 << 10,
            component_handles: 10_000,
            resources: 4_096,
            random_bytes: 64 << 10,
            http_fields_bytes: 8 << 10,
            http_body_bytes: 4 << 10,
        }
    }
}
