//! What is known of a request: for the log, the metrics and the record of the turn. Never a query, a header or a body.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;
use url::Url;
use wasmtime_wasi_http::WasiBody;

use super::stop::Stop;
use crate::Plugin;
use crate::imports::truncate;
use crate::metrics;

/// The longest path and the longest host in a record, in bytes.
const TEXT_BYTES_MAX: usize = 256;

/// One HTTP request that a guest asked for.
#[derive(Debug, Clone, Default, Serialize)]
pub struct HttpCall {
    /// The method.
    pub method: String,
    /// Scheme, host and port.
    pub origin: String,
    /// The path without the query.
    pub path: String,
    /// `answered`, `denied`, `failed`, `dropped` (by the guest), or `unfinished` when the call of the guest ended.
    pub outcome: &'static str,
    /// Why the request was denied or failed. It names the grant or the limit.
    pub why: Option<String>,
    /// The URL of the grant that allowed it.
    pub grant: Option<String>,
    /// Where the host put a credential.
    pub credential: Option<String>,
    /// The address that the host connected to.
    pub address: Option<SocketAddr>,
    /// The status of the response.
    pub status: Option<u16>,
    /// Bytes of the body of the request.
    pub bytes_out: u64,
    /// Bytes of the body of the response.
    pub bytes_in: u64,
    /// How often the host removed the credential from the response.
    pub redacted: usize,
    /// From the request to its end, in microseconds.
    pub duration_us: u64,
}

/// A request whose end is not known yet.
pub(super) struct Report {
    plugin: Arc<Plugin>,
    turn_id: Arc<str>,
    started: Instant,
    call: Mutex<HttpCall>,
}

/// The one owner of a report that is responsible for its end. If it is dropped before, the guest dropped the request.
pub(super) struct OpenReport(pub(super) Arc<Report>);

impl Report {
    pub(super) fn new(plugin: Arc<Plugin>, turn_id: Arc<str>, request: &http::Request<WasiBody>) -> Self {
        let uri = request.uri();
        let host = uri.authority().map_or("", |authority| authority.as_str());
        // What stands before an `@` is not the host, and may be a secret.
        let host = host.rsplit('@').next().unwrap_or_default();
        let call = HttpCall {
            method: truncate(request.method().as_str(), 32).to_owned(),
            origin: format!("{}://{}", uri.scheme_str().unwrap_or_default(), truncate(host, TEXT_BYTES_MAX)),
            path: truncate(uri.path(), TEXT_BYTES_MAX).to_owned(),
            outcome: "unfinished",
            ..HttpCall::default()
        };
        Self { plugin, turn_id, started: Instant::now(), call: Mutex::new(call) }
    }

    /// Adds what the host decided.
    pub(super) fn allowed(&self, url: &Url, grant: String, credential: Option<String>) {
        self.update(|call| {
            call.origin = truncate(&url.origin().ascii_serialization(), TEXT_BYTES_MAX).to_owned();
            (call.grant, call.credential) = (Some(grant), credential);
        });
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut HttpCall)) {
        change(&mut self.call.lock());
    }

    pub(super) fn snapshot(&self) -> HttpCall {
        self.call.lock().clone()
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Ends the report of a refused request.
    pub(super) fn refused(&self, stop: &Stop) {
        self.end("denied", Some(stop.why.clone()));
    }

    /// Ends the report of a request that has no response, or no more of one.
    pub(super) fn failed(&self, stop: &Stop) {
        self.end("failed", Some(stop.why.clone()));
    }

    /// Ends the report. Only the first end counts.
    pub(super) fn end(&self, outcome: &'static str, why: Option<String>) {
        let mut call = self.call.lock();
        if call.outcome != "unfinished" {
            return;
        }
        (call.outcome, call.why) = (outcome, why);
        call.duration_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let call = call.clone();
        let Plugin { bot, name, digest, .. } = &*self.plugin;
        metrics::outbound_request(bot, name, outcome);
        let HttpCall { method, origin, grant, credential, status, bytes_out, bytes_in, redacted, duration_us, .. } =
            &call;
        let (grant, credential) = (grant.as_deref().unwrap_or_default(), credential.as_deref().unwrap_or_default());
        match &call.why {
            Some(why) => {
                tracing::warn!(%bot, plugin = %name, %digest, turn = %self.turn_id, method, to = origin, grant,
                credential, outcome, status, bytes_out, bytes_in, redacted, duration_us, why, "outbound HTTP");
            }
            None => tracing::info!(%bot, plugin = %name, %digest, turn = %self.turn_id, method, to = origin, grant,
                credential, outcome, status, bytes_out, bytes_in, redacted, duration_us, "outbound HTTP"),
        }
    }
}

impl Deref for OpenReport {
    type Target = Report;

    fn deref(&self) -> &Report {
        &self.0
    }
}

impl Drop for OpenReport {
    fn drop(&mut self) {
        let outcome = if self.call.lock().status.is_some() { "answered" } else { "dropped" };
        self.end(outcome, None);
    }
}
