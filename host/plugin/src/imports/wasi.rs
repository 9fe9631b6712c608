//! WASI with nothing in it: no files, no environment, no sockets, no HTTP.

use std::sync::Arc;
use std::time::Duration;

use wasmtime_wasi::{WasiCtxView, WasiView};
use wasmtime_wasi_http::{Error as HttpError, RequestOptions, WasiBody, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

use super::truncate;
use crate::Plugin;
use crate::guest::GuestState;
use crate::metrics;

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for GuestState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, hooks: &mut self.http_hooks, table: &mut self.table }
    }
}

/// Outbound HTTP needs a grant, and this release has none to give. Attempts are counted, and the first of a turn is said.
pub(crate) struct RefuseHttp {
    plugin: Arc<Plugin>,
    turn_id: Arc<str>,
    said: bool,
}

impl RefuseHttp {
    pub(crate) fn new(plugin: Arc<Plugin>, turn_id: Arc<str>) -> Self {
        Self { plugin, turn_id, said: false }
    }
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
        metrics::outbound_request(bot, name, "denied");
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
pub(crate) struct FixedClock;

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
