//! stub
#![allow(missing_docs)]
use std::time::Duration;
pub fn turn_ended(_: &str, _: &'static str, _: Duration) {}
pub fn plugin_called(_: &str, _: &str, _: &'static str, _: Duration, _: Duration) {}
pub fn load_failed(_: &str, _: &'static str) {}
pub fn swapped(_: &str, _: &'static str, _: Duration) {}
pub struct PrometheusHandle;
pub fn install_metrics() -> anyhow::Result<PrometheusHandle> {
    Ok(PrometheusHandle)
}
