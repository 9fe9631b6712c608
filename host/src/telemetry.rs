//! The log subscriber, and the names of metrics and outcome labels, each defined once.
//!
//! Labels have low cardinality: names from the configuration and the words listed here, never ids or texts from
//! outside.

mod known;
mod lines;

use std::io::IsTerminal;
use std::time::Duration;

use self::known::Known;
pub use self::lines::Flush;
use self::lines::Lines;
use anyhow::Context;
use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::PrometheusBuilder;
pub use metrics_exporter_prometheus::PrometheusHandle;
use parking_lot::Mutex;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::colours::has_colours;
use crate::plugin;

/// The default log filter.
pub const FILTER_DEFAULT: &str = "info";

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people. Coloured on a terminal only.
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// Returns text if stderr is a terminal, and JSON otherwise.
    pub fn of_stderr() -> Self {
        if std::io::stderr().is_terminal() { Self::Text } else { Self::Json }
    }
}

/// Sends logs to stderr. `filter` is a level such as `info`, or directives such as `info,turntable::http=debug`.
///
/// Code that logs never waits for stderr. The caller must keep the returned value until the process ends, because
/// dropping it writes the last lines.
///
/// # Errors
/// The filter is invalid, a log subscriber is already installed, or the log thread cannot start.
pub fn init(format: LogFormat, filter: &str) -> anyhow::Result<Flush> {
    let filter = EnvFilter::try_new(filter).with_context(|| {
        format!("`{filter}` is not a log filter; use a level such as `info`, or directives such as `info,hyper=debug`")
    })?;
    let (lines, flush) = Lines::to(std::io::stderr()).context("cannot start the thread that writes the log")?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines).with_span_events(FmtSpan::NONE);
    let installed = match format {
        LogFormat::Text => builder.with_ansi(has_colours(&std::io::stderr())).with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
    };
    installed.map_err(|error| anyhow::anyhow!("a log subscriber is already installed: {error}"))?;
    // The default hook writes to stderr directly and would wait for its reader.
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a thread of the host panicked")));
    Ok(flush)
}

/// Names of metrics. The unit is the suffix, as Prometheus recommends.
pub mod name {
    /// Number of ended turns, by bot and outcome.
    pub const TURNS: &str = "turntable_turns_total";
    /// Duration of turns, by bot and outcome.
    pub const TURN_SECONDS: &str = "turntable_turn_seconds";
    /// Number of ended deliveries, by bot and outcome.
    pub const DELIVERIES: &str = "turntable_deliveries_total";
    /// Number of dead letters that were deleted because newer ones needed their place, by bot.
    pub const DEAD_LETTERS_DROPPED: &str = "turntable_dead_letters_dropped_total";
    /// Number of peers (connectors, and issuers of tokens) that cannot be reached now.
    pub const PEERS_UNREACHABLE: &str = "turntable_peers_unreachable";
    /// Number of accepted activities that the host does not run any more, because no start of the host could end them.
    pub const INBOX_GIVEN_UP: &str = "turntable_inbox_given_up";
    /// 1 if the last write to the store succeeded, otherwise 0.
    pub const STORE_HEALTHY: &str = "turntable_store_healthy";
    /// Number of deliveries that waited for the rate limit of their channel or were dropped for it, by bot.
    pub const DELIVERIES_THROTTLED: &str = "turntable_deliveries_throttled_total";
    /// Time that deliveries waited for the rate limit of their channel, by bot.
    pub const DELIVERY_THROTTLED_SECONDS: &str = "turntable_delivery_throttled_seconds";
    /// Number of calls that were refused because the configuration does not list the origin of their `serviceUrl`, by
    /// bot.
    pub const ORIGINS_REFUSED: &str = "turntable_origins_refused_total";
    /// Number of requests whose token was refused, by bot and check.
    pub const TOKENS_REFUSED: &str = "turntable_tokens_refused_total";
    /// Number of generations swapped in, by bot and cause.
    pub const SWAPS: &str = "turntable_swaps_total";
    /// Time from the request to the swap, by cause.
    pub const SWAP_SECONDS: &str = "turntable_swap_seconds";
    /// Number of loads that failed and left the old generation serving, by bot and cause.
    pub const LOADS_FAILED: &str = "turntable_loads_failed_total";
    /// Number of answered HTTP requests, by listener, method, route and status.
    pub const HTTP_REQUESTS: &str = "turntable_http_requests_total";
    /// Time to the head of the response, by listener and route.
    pub const HTTP_REQUEST_SECONDS: &str = "turntable_http_request_seconds";
    /// Number of accepted turns that have not ended.
    pub const TURNS_RUNNING: &str = "turntable_turns_running";
    /// Number of turns that wait or run, as counted by the queues.
    pub const TURNS_QUEUED: &str = "turntable_turns_queued";
    /// Number of instance slots that turns hold. A turn never has more live instances than slots.
    pub const INSTANCE_SLOTS_USED: &str = "turntable_instance_slots_used";
    /// Number of instance slots of the host, `runtime.instances-max`.
    pub const INSTANCE_SLOTS_MAX: &str = "turntable_instance_slots_max";
    /// Bytes of requests in progress: bodies, activities until their turn ends, answers until they are sent.
    pub const HELD_BYTES: &str = "turntable_held_bytes";
    /// Bytes of memory that live guests have.
    pub const GUEST_MEMORY_BYTES: &str = "turntable_guest_memory_bytes";
    /// Bytes of memory that are kept for guests to come.
    pub const GUEST_MEMORY_KEPT_BYTES: &str = "turntable_guest_memory_kept_bytes";
    /// Bytes of the histories of Direct Line conversations.
    pub const DIRECT_LINE_HISTORY_BYTES: &str = "turntable_direct_line_history_bytes";
    /// Bytes of the files that were uploaded to Direct Line conversations.
    pub const DIRECT_LINE_UPLOAD_BYTES: &str = "turntable_direct_line_upload_bytes";
    /// Number of requests that were refused because a bound on such bytes had no room, by bound.
    pub const REQUESTS_SHED: &str = "turntable_requests_shed_total";
    /// Number of undelivered sends.
    pub const OUTBOX_ROWS: &str = "turntable_outbox_rows";
    /// Number of enabled bots without a generation.
    pub const BOTS_WAITING: &str = "turntable_bots_waiting";
    /// Number of log lines that were dropped because stderr did not accept them.
    pub const LOG_LINES_DROPPED: &str = "turntable_log_lines_dropped_total";
    /// Always 1. The version is a label.
    pub const INFO: &str = "turntable_info";
}

/// Upper bounds of histogram buckets in seconds, from the microseconds of a plugin call to the deadlines of channels.
const BUCKETS_SECONDS: [f64; 19] = [
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0, 30.0,
];
/// Interval at which histograms are reduced to buckets. Until then they keep every value.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

static INSTALLED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);

static TURNS: Known<(Counter, Histogram)> = Known::new();
static DELIVERIES: Known<Counter> = Known::new();
static REQUESTS: Known<(Counter, Histogram)> = Known::new();

/// Installs the metrics recorder and returns the handle that renders it. Later calls return the same handle.
///
/// # Errors
/// Another recorder is installed, or the upkeep thread cannot start.
pub fn install_metrics() -> anyhow::Result<PrometheusHandle> {
    let mut installed = INSTALLED.lock();
    if let Some(handle) = &*installed {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new().set_buckets(&BUCKETS_SECONDS)?.install_recorder()?;
    let upkeep = handle.clone();
    // A thread, because no async runtime lives as long as the recorder.
    std::thread::Builder::new().name("turntable-metrics".into()).spawn(move || {
        loop {
            std::thread::sleep(UPKEEP_EVERY);
            upkeep.run_upkeep();
        }
    })?;
    TURNS.forget();
    DELIVERIES.forget();
    REQUESTS.forget();
    describe();
    gauge!(name::INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    *installed = Some(handle.clone());
    Ok(handle)
}

fn describe() {
    describe_counter!(name::TURNS, "Number of ended turns, by bot and outcome");
    describe_histogram!(name::TURN_SECONDS, Unit::Seconds, "Time from the start of a turn to its commit");
    plugin::metrics::describe();
    describe_counter!(name::DELIVERIES, "Number of ended deliveries to channels, by outcome");
    describe_counter!(name::DEAD_LETTERS_DROPPED, "Number of dead letters deleted to make room for newer ones, by bot");
    describe_gauge!(name::PEERS_UNREACHABLE, "Number of connectors and token issuers that cannot be reached");
    describe_gauge!(name::INBOX_GIVEN_UP, "Number of accepted activities that no start of the host could end");
    describe_gauge!(name::STORE_HEALTHY, "1 if the last write to the store succeeded, otherwise 0");
    describe_counter!(
        name::DELIVERIES_THROTTLED,
        "Number of deliveries that waited for the rate limit of their channel or were dropped"
    );
    describe_histogram!(
        name::DELIVERY_THROTTLED_SECONDS,
        Unit::Seconds,
        "Time that deliveries waited for the rate limit of their channel"
    );
    describe_counter!(name::TOKENS_REFUSED, "Number of requests whose token was refused, by bot and check");
    describe_counter!(name::SWAPS, "Number of generations swapped in, by cause");
    describe_histogram!(name::SWAP_SECONDS, Unit::Seconds, "Time from the request of a swap to the swap");
    describe_counter!(name::LOADS_FAILED, "Number of failed loads, which left the old generation serving");
    describe_counter!(name::HTTP_REQUESTS, "Number of answered HTTP requests");
    describe_histogram!(name::HTTP_REQUEST_SECONDS, Unit::Seconds, "Time to the head of an HTTP response");
    describe_counter!(
        name::LOG_LINES_DROPPED,
        "Number of log lines that were dropped because stderr did not accept them"
    );
    counter!(name::LOG_LINES_DROPPED).absolute(0);
    describe_gauge!(name::TURNS_RUNNING, "Number of accepted turns that have not ended");
    describe_gauge!(name::TURNS_QUEUED, "Number of turns that wait or run");
    describe_gauge!(name::INSTANCE_SLOTS_USED, "Number of instance slots that turns hold");
    describe_gauge!(name::INSTANCE_SLOTS_MAX, "Number of instance slots of the host");
    describe_gauge!(name::HELD_BYTES, Unit::Bytes, "Bytes of requests in progress");
    describe_gauge!(name::GUEST_MEMORY_BYTES, Unit::Bytes, "Memory of live guests");
    describe_gauge!(name::GUEST_MEMORY_KEPT_BYTES, Unit::Bytes, "Memory that is kept for guests to come");
    describe_gauge!(name::DIRECT_LINE_HISTORY_BYTES, Unit::Bytes, "Histories of Direct Line conversations");
    describe_gauge!(
        name::DIRECT_LINE_UPLOAD_BYTES,
        Unit::Bytes,
        "Files that were uploaded to Direct Line conversations"
    );
    describe_counter!(name::REQUESTS_SHED, "Number of requests that were refused to bound memory, by bound");
    describe_gauge!(name::OUTBOX_ROWS, "Number of undelivered sends");
    describe_gauge!(name::BOTS_WAITING, "Number of enabled bots without a generation");
    describe_gauge!(name::INFO, "Version of this host");
}

/// Records the end of a turn. `outcome`: `completed`, `failed` or `host-failure`.
pub fn turn_ended(bot: &str, outcome: &'static str, duration: Duration) {
    let look_up = || {
        let turns = counter!(name::TURNS, "bot" => bot.to_owned(), "outcome" => outcome);
        (turns, histogram!(name::TURN_SECONDS, "bot" => bot.to_owned(), "outcome" => outcome))
    };
    TURNS.record(bot, (outcome, "", 0), look_up, |(turns, seconds)| {
        turns.increment(1);
        seconds.record(duration);
    });
}

/// Records that a dead letter of a bot was deleted to make room for a newer one.
pub fn dead_letter_dropped(bot: &str) {
    counter!(name::DEAD_LETTERS_DROPPED, "bot" => bot.to_owned()).increment(1);
}

/// Records the end of a delivery. `outcome`: `delivered`, `refused`, `throttled`, `unreachable`, `ambiguous`, or the name of a
/// [`Fault`](crate::channel::Fault).
pub fn delivery_ended(bot: &str, outcome: &'static str) {
    let look_up = || counter!(name::DELIVERIES, "bot" => bot.to_owned(), "outcome" => outcome);
    DELIVERIES.record(bot, (outcome, "", 0), look_up, |deliveries| deliveries.increment(1));
}

/// Records that a delivery waits for the rate limit of its channel (`channel.rates`), or was dropped for it.
pub fn delivery_throttled(bot: &str) {
    counter!(name::DELIVERIES_THROTTLED, "bot" => bot.to_owned()).increment(1);
}

/// Records the total time that a delivery waited for the rate limit of its channel.
pub fn delivery_was_throttled(bot: &str, waited: Duration) {
    histogram!(name::DELIVERY_THROTTLED_SECONDS, "bot" => bot.to_owned()).record(waited);
}

/// Records that a call was refused because of the origin of its `serviceUrl` (`channel.connector-origins`).
pub fn origin_refused(bot: &str) {
    counter!(name::ORIGINS_REFUSED, "bot" => bot.to_owned()).increment(1);
}

/// Counts a request whose token was refused.
pub fn token_refused(bot: &str, check: &'static str) {
    counter!(name::TOKENS_REFUSED, "bot" => bot.to_owned(), "check" => check).increment(1);
}

/// Counts a request that was refused because this bound had no room for it.
pub fn request_shed(bound: &'static str) {
    counter!(name::REQUESTS_SHED, "bound" => bound).increment(1);
}

/// Records a swap. `cause`: `start`, `watch`, `reload`, `deploy` or `rollback`.
pub fn swapped(bot: &str, cause: &'static str, duration: Duration) {
    counter!(name::SWAPS, "bot" => bot.to_owned(), "cause" => cause).increment(1);
    histogram!(name::SWAP_SECONDS, "cause" => cause).record(duration);
}

/// Records a failed load. The causes are those of [`swapped`].
pub fn load_failed(bot: &str, cause: &'static str) {
    counter!(name::LOADS_FAILED, "bot" => bot.to_owned(), "cause" => cause).increment(1);
}

/// Records an answered HTTP request. `route` is the matched template, not the path.
pub fn request_ended(listener: &'static str, method: &'static str, route: &str, status: u16, duration: Duration) {
    let look_up = || {
        let (route, status) = (route.to_owned(), status.to_string());
        let requests = counter!(
            name::HTTP_REQUESTS,
            "listener" => listener, "method" => method, "route" => route.clone(), "status" => status
        );
        (requests, histogram!(name::HTTP_REQUEST_SECONDS, "listener" => listener, "route" => route))
    };
    REQUESTS.record(route, (listener, method, status), look_up, |(requests, seconds)| {
        requests.increment(1);
        seconds.record(duration);
    });
}

/// Values that are read when metrics are rendered, instead of being counted.
#[derive(Debug, Clone, Copy)]
pub struct Gauges {
    /// Number of accepted turns that have not ended.
    pub turns_running: usize,
    /// Number of turns that wait or run.
    pub turns_queued: usize,
    /// Number of instance slots that turns hold, and their total number.
    pub instance_slots: (usize, usize),
    /// Bytes of requests in progress.
    pub held_bytes: usize,
    /// Histories and uploads of Direct Line conversations.
    pub direct_line_bytes: (usize, usize),
    /// Memory of live guests, and memory that is kept for guests to come.
    pub guest_memory_bytes: (usize, usize),
    /// Number of undelivered sends.
    pub outbox_rows: u64,
    /// Number of enabled bots without a generation.
    pub bots_waiting: usize,
    /// Number of peers that cannot be reached now.
    pub peers_unreachable: usize,
    /// Number of accepted activities that are not run any more.
    pub inbox_given_up: usize,
    /// Whether the last write to the store succeeded.
    pub store_healthy: bool,
}

/// Sets the gauges before metrics are rendered.
#[expect(clippy::cast_precision_loss, reason = "gauges are floating point; these counts stay far below 2^53")]
pub fn gauges(now: Gauges) {
    gauge!(name::TURNS_RUNNING).set(now.turns_running as f64);
    gauge!(name::TURNS_QUEUED).set(now.turns_queued as f64);
    gauge!(name::INSTANCE_SLOTS_USED).set(now.instance_slots.0 as f64);
    gauge!(name::INSTANCE_SLOTS_MAX).set(now.instance_slots.1 as f64);
    gauge!(name::GUEST_MEMORY_BYTES).set(now.guest_memory_bytes.0 as f64);
    gauge!(name::GUEST_MEMORY_KEPT_BYTES).set(now.guest_memory_bytes.1 as f64);
    gauge!(name::DIRECT_LINE_HISTORY_BYTES).set(now.direct_line_bytes.0 as f64);
    gauge!(name::DIRECT_LINE_UPLOAD_BYTES).set(now.direct_line_bytes.1 as f64);
    gauge!(name::HELD_BYTES).set(now.held_bytes as f64);
    gauge!(name::OUTBOX_ROWS).set(now.outbox_rows as f64);
    gauge!(name::BOTS_WAITING).set(now.bots_waiting as f64);
    gauge!(name::PEERS_UNREACHABLE).set(now.peers_unreachable as f64);
    gauge!(name::INBOX_GIVEN_UP).set(now.inbox_given_up as f64);
    gauge!(name::STORE_HEALTHY).set(f64::from(u8::from(now.store_healthy)));
}

/// Returns a duration in whole microseconds, the unit of logs and turn records.
pub fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_rendered_under_its_name() {
        let handle = install_metrics().unwrap();
        install_metrics().expect("a second call returns the same");
        turn_ended("telemetry-test", "completed", Duration::from_micros(300));
        let calls = plugin::metrics::PluginMetrics::default();
        for outcome in ["handled", "trap", "handled"] {
            calls.called("telemetry-test", "echo", outcome, Duration::from_micros(40), Duration::from_micros(20));
        }
        delivery_ended("telemetry-test", "delivered");
        delivery_throttled("telemetry-test");
        delivery_was_throttled("telemetry-test", Duration::from_millis(200));
        origin_refused("telemetry-test");
        swapped("telemetry-test", "deploy", Duration::from_millis(4));
        load_failed("telemetry-test", "watch");
        request_ended("public", "POST", "/api/messages", 200, Duration::from_micros(500));
        plugin::metrics::outbound_request("telemetry-test", "echo", "denied");
        dead_letter_dropped("telemetry-test");
        request_shed("server.held-bytes-max");
        gauges(Gauges {
            turns_running: 3,
            turns_queued: 4,
            instance_slots: (7, 8),
            peers_unreachable: 9,
            inbox_given_up: 10,
            store_healthy: true,
            held_bytes: 9,
            direct_line_bytes: (12, 13),
            guest_memory_bytes: (10, 11),
            outbox_rows: 5,
            bots_waiting: 6,
        });
        let text = handle.render();
        for line in [
            r#"turntable_turns_total{bot="telemetry-test",outcome="completed"} 1"#,
            r#"turntable_turn_seconds_bucket{bot="telemetry-test",outcome="completed",le="0.0005"} 1"#,
            r#"turntable_turn_seconds_bucket{bot="telemetry-test",outcome="completed",le="0.00025"} 0"#,
            r#"turntable_plugin_calls_total{bot="telemetry-test",plugin="echo",outcome="handled"} 2"#,
            r#"turntable_plugin_calls_total{bot="telemetry-test",plugin="echo",outcome="trap"} 1"#,
            r#"turntable_plugin_cpu_seconds_count{bot="telemetry-test",plugin="echo"} 3"#,
            r#"turntable_deliveries_total{bot="telemetry-test",outcome="delivered"} 1"#,
            r#"turntable_deliveries_throttled_total{bot="telemetry-test"} 1"#,
            r#"turntable_delivery_throttled_seconds_sum{bot="telemetry-test"} 0.2"#,
            r#"turntable_origins_refused_total{bot="telemetry-test"} 1"#,
            r#"turntable_swaps_total{bot="telemetry-test",cause="deploy"} 1"#,
            r#"turntable_loads_failed_total{bot="telemetry-test",cause="watch"} 1"#,
            r#"turntable_http_requests_total{listener="public",method="POST",route="/api/messages",status="200"} 1"#,
            "turntable_turns_running 3",
            "turntable_turns_queued 4",
            r#"turntable_outbound_requests_total{bot="telemetry-test",plugin="echo",outcome="denied"} 1"#,
            "turntable_instance_slots_used 7",
            "turntable_instance_slots_max 8",
            "turntable_held_bytes 9",
            "turntable_direct_line_history_bytes 12",
            "turntable_direct_line_upload_bytes 13",
            "turntable_guest_memory_bytes 10",
            "turntable_guest_memory_kept_bytes 11",
            r#"turntable_requests_shed_total{bound="server.held-bytes-max"} 1"#,
            "turntable_outbox_rows 5",
            "turntable_bots_waiting 6",
            r#"turntable_dead_letters_dropped_total{bot="telemetry-test"} 1"#,
            "turntable_peers_unreachable 9",
            "turntable_inbox_given_up 10",
            "turntable_store_healthy 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in:\n{text}");
        }
    }
}
