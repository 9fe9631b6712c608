//! Outbound HTTP of guests: one hook behind `wasi:http/outgoing-handler`, which every language's own client uses.
//!
//! A request is decided before anything is looked up: some entry of the plugin's `grants.http` must cover scheme, host, port,
//! method and path, and the manifest must ask for it. The decision and the result go into the log and into the record of the
//! turn. A refusal is an error of `wasi:http` and not a trap.

mod body;
mod exchange;
mod lanes;
mod record;
mod stop;

use std::sync::Arc;

use tokio::runtime::Handle;
use turntable_config::{HttpGrant, HttpRule};
use url::Url;
use wasmtime_wasi_http::{Error as HttpError, RequestOptions, WasiBody, WasiHttpHooks};

use self::exchange::Exchange;
pub(crate) use self::lanes::Outbound;
pub use self::record::HttpCall;
use self::record::{OpenReport, Report};
use self::stop::Stop;
use crate::Plugin;

/// What a request becomes: a response, and work that goes on beside it.
type HttpExchange = (http::Response<WasiBody>, Box<dyn Future<Output = Result<(), HttpError>> + Send>);

/// The hook of one instance.
pub(crate) struct HttpHooks {
    plugin: Arc<Plugin>,
    turn_id: Arc<str>,
    /// Where requests run: the connections that they leave behind outlive the guest, and must not be in a slow thread.
    transport: Option<Handle>,
    /// Whether there is a turn.
    is_open: bool,
    /// Requests of this turn, refused ones included.
    asked: u32,
    /// Requests of the call that runs.
    reports: Vec<Arc<Report>>,
}

impl HttpHooks {
    pub(crate) fn new(plugin: Arc<Plugin>, turn_id: Arc<str>, transport: Option<Handle>) -> Self {
        Self { plugin, turn_id, transport, is_open: false, asked: 0, reports: Vec::new() }
    }

    /// Says whether the call that begins has a turn. Without one, every request is refused.
    pub(crate) fn open(&mut self, has_turn: bool) {
        self.is_open = has_turn;
    }

    /// Returns the requests of the call that ends.
    pub(crate) fn take_calls(&mut self) -> Vec<HttpCall> {
        self.reports.drain(..).map(|report| report.snapshot()).collect()
    }

    /// Decides a request: its URL, and the position of the grant that covers it.
    fn decide(&self, request: &http::Request<WasiBody>) -> Result<(Url, usize), Stop> {
        let limit = self.plugin.limits.http_requests_per_turn;
        if self.asked > limit {
            return Err(Stop::quota("http-requests-per-turn", limit));
        }
        if !self.is_open {
            return Err(Stop::denied("there is no turn in `describe`, nor in a dry run of a deployment"));
        }
        let url = url_of(request).map_err(Stop::invalid)?;
        let (grants, method) = (&self.plugin.grants.http, request.method().as_str());
        match grants.iter().position(|grant| grant.rule.covers(&url, method)) {
            Some(grant) => Ok((url, grant)),
            None => Err(Stop::denied(self.missing(&url, method))),
        }
    }

    /// Names the grant that a request lacks.
    fn missing(&self, url: &Url, method: &str) -> String {
        let rule = HttpRule::for_request(url, method);
        let is_wanted = self.plugin.manifest.wanted.http.iter().any(|wanted| wanted.rule.covers(url, method));
        let lacks = if is_wanted { "the operator's `grants.http`" } else { "the manifest's `wants.http`" };
        let of_origin = self.plugin.grants.http.iter().find(|grant| grant.rule.covers_origin(url));
        let has = of_origin.map(|HttpGrant { rule, .. }| format!(" of this path and method; it has {rule}"));
        format!("needs the grant http = [{rule}]; {lacks} does not cover the request{}", has.unwrap_or_default())
    }

    /// Begins the report of a request. Requests far over the limit get none, so that a guest cannot fill log and record.
    fn report(&mut self, request: &http::Request<WasiBody>) -> Option<OpenReport> {
        self.asked = self.asked.saturating_add(1);
        if self.asked > self.plugin.limits.http_requests_per_turn.saturating_add(1) {
            return None;
        }
        let report = Arc::new(Report::new(self.plugin.clone(), self.turn_id.clone(), request));
        self.reports.push(report.clone());
        Some(OpenReport(report))
    }
}

/// Reads the URL of a request as the HTTP client reads it.
fn url_of(request: &http::Request<WasiBody>) -> Result<Url, &'static str> {
    let uri = request.uri();
    if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
        return Err("a request needs a host, without a user name");
    }
    let url = Url::parse(&uri.to_string()).map_err(|_| "the URL is not usable")?;
    if url.host_str().is_none_or(str::is_empty) || !url.username().is_empty() || url.password().is_some() {
        return Err("a request needs a host, without a user name");
    }
    Ok(url)
}

impl WasiHttpHooks for HttpHooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _fut: Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ) -> Box<dyn Future<Output = Result<HttpExchange, HttpError>> + Send> {
        let report = self.report(&request);
        let decided = self.decide(&request);
        match (decided, report) {
            (Ok((url, grant)), Some(report)) => {
                let exchange = Exchange::new(self.plugin.clone(), grant, url, report, options.unwrap_or_default());
                let _transport = self.transport.as_ref().map(Handle::enter);
                Box::new(wasmtime_wasi::runtime::spawn(exchange.run(request)))
            }
            (Ok(_), None) => Box::new(async { Err(HttpError::HttpRequestDenied) }),
            (Err(stop), report) => {
                if let Some(report) = report {
                    report.refused(&stop);
                }
                Box::new(async { Err(stop.error) })
            }
        }
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        1
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        self.plugin.limits.http_body_bytes
    }
}
