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
    /// `staged-bytes`, default 16 MiB: memory of what one turn stages: activities that are sent or updated, answers to
    /// invokes, notifications. A value of JSON counts as 128 bytes. Like sends, what is undone still counts.
    pub staged_bytes: usize,
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
    /// `http-requests-per-turn`, default 16: HTTP requests of the plugin in one turn, refused ones included.
    pub http_requests_per_turn: u32,
    /// `http-requests-at-once`, default 32: HTTP requests of the plugin in progress, over all turns. Further ones wait for
    /// `http-connect-ms`.
    pub http_requests_at_once: usize,
    /// `http-request-bytes`, default 1 MiB: body of one HTTP request.
    pub http_request_bytes: u64,
    /// `http-response-fields-bytes`, default 32 KiB: headers of one HTTP response.
    pub http_response_fields_bytes: usize,
    /// `http-response-bytes`, default 4 MiB: body of one HTTP response.
    pub http_response_bytes: u64,
    /// `http-connect-ms`, default 5,000: looking up the name, connecting, and TLS.
    pub http_connect: Duration,
    /// `http-first-byte-ms`, default 30,000: from the connection to the headers of the response.
    pub http_first_byte: Duration,
    /// `http-ms`, default 60,000: the whole exchange. It also ends with the turn.
    pub http_whole: Duration,
    /// `http-connections-idle`, default 4: open connections of a grant to one origin that are kept for the next request.
    pub http_connections_idle: usize,
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
            staged_bytes: 16 << 20,
            state_bytes_per_scope: 256 << 10,
            log_lines_per_turn: 200,
            output_bytes: 64 << 10,
            component_handles: 10_000,
            resources: 4_096,
            random_bytes: 64 << 10,
            http_fields_bytes: 8 << 10,
            http_body_bytes: 4 << 10,
            http_requests_per_turn: 16,
            http_requests_at_once: 32,
            http_request_bytes: 1 << 20,
            http_response_fields_bytes: 32 << 10,
            http_response_bytes: 4 << 20,
            http_connect: Duration::from_millis(5_000),
            http_first_byte: Duration::from_millis(30_000),
            http_whole: Duration::from_millis(60_000),
            http_connections_idle: 4,
        }
    }
}
