//! Metrics of plugins. A name ends with its unit, as is the custom of Prometheus.

use std::sync::OnceLock;
use std::time::Duration;

use ::metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};
use parking_lot::Mutex;

/// Number of plugin calls, by bot, plugin and outcome.
pub const PLUGIN_CALLS: &str = "turntable_plugin_calls_total";
/// Wall time of plugin calls, by bot, plugin and outcome.
pub const PLUGIN_CALL_SECONDS: &str = "turntable_plugin_call_seconds";
/// CPU time of plugin calls, by bot and plugin.
pub const PLUGIN_CPU_SECONDS: &str = "turntable_plugin_cpu_seconds";
/// Number of HTTP requests that plugins asked for, by bot, plugin and outcome.
pub const OUTBOUND_REQUESTS: &str = "turntable_outbound_requests_total";

/// Registers the descriptions of the metrics of this module.
pub fn describe() {
    describe_counter!(PLUGIN_CALLS, "Number of plugin calls, by outcome");
    describe_histogram!(PLUGIN_CALL_SECONDS, Unit::Seconds, "Wall time of a plugin call, including instantiation");
    describe_histogram!(PLUGIN_CPU_SECONDS, Unit::Seconds, "CPU time of a plugin call");
    describe_counter!(OUTBOUND_REQUESTS, "Number of HTTP requests of plugins, by outcome");
}

/// Metrics of one plugin's calls. Each is looked up by its labels once and then cached, because a lookup per call would
/// cost as much as all host calls of a small turn.
#[derive(Default)]
pub struct PluginMetrics {
    cpu: OnceLock<Histogram>,
    /// Metrics by outcome. There are only a few outcomes.
    outcomes: Mutex<Vec<(&'static str, Counter, Histogram)>>,
}

impl PluginMetrics {
    /// Records the end of a call. `outcome` is the label of a `plugin::Outcome`.
    pub fn called(&self, bot: &str, plugin: &str, outcome: &'static str, duration: Duration, cpu: Duration) {
        let (calls, seconds) = self.of(bot, plugin, outcome);
        calls.increment(1);
        seconds.record(duration);
        let cpu_seconds = || histogram!(PLUGIN_CPU_SECONDS, "bot" => bot.to_owned(), "plugin" => plugin.to_owned());
        self.cpu.get_or_init(cpu_seconds).record(cpu);
    }

    fn of(&self, bot: &str, plugin: &str, outcome: &'static str) -> (Counter, Histogram) {
        let mut outcomes = self.outcomes.lock();
        if let Some((_, calls, seconds)) = outcomes.iter().find(|(known, ..)| *known == outcome) {
            return (calls.clone(), seconds.clone());
        }
        let (bot, plugin) = (bot.to_owned(), plugin.to_owned());
        let calls = counter!(PLUGIN_CALLS, "bot" => bot.clone(), "plugin" => plugin.clone(), "outcome" => outcome);
        let seconds = histogram!(PLUGIN_CALL_SECONDS, "bot" => bot, "plugin" => plugin, "outcome" => outcome);
        outcomes.push((outcome, calls.clone(), seconds.clone()));
        (calls, seconds)
    }
}

/// Counts an HTTP request that a plugin asked for. `outcome`: `answered`, `denied`, `failed` or `dropped`.
pub fn outbound_request(bot: &str, plugin: &str, outcome: &'static str) {
    let (bot, plugin) = (bot.to_owned(), plugin.to_owned());
    counter!(OUTBOUND_REQUESTS, "bot" => bot, "plugin" => plugin, "outcome" => outcome).increment(1);
}
