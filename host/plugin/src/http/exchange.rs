//! One allowed request, from its grant to the headers of the response.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http_body::Body as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use turntable_outbound::{Body, Failure, Scrubber, is_encoded};
use url::Url;
use wasmtime_wasi_http::{Error as HttpError, RequestOptions, WasiBody};

use super::HttpExchange;
use super::body::{RequestBody, ResponseBody, clean};
use super::record::OpenReport;
use super::stop::Stop;
use crate::{Limits, Plugin};

/// Headers that belong to the connection or that the host sets itself.
const HOSTS_OWN: [HeaderName; 11] = [
    header::HOST,
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// A request that a grant covers.
pub(super) struct Exchange {
    plugin: Arc<Plugin>,
    /// The position of the grant.
    grant: usize,
    url: Url,
    report: OpenReport,
    options: RequestOptions,
    /// When `http-ms` is over.
    deadline: Instant,
}

type Permits = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// A response whose headers are there.
struct Begun {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
    scrubber: Option<Scrubber>,
    permits: Permits,
}

impl Exchange {
    pub(super) fn new(
        plugin: Arc<Plugin>,
        grant: usize,
        url: Url,
        report: OpenReport,
        options: RequestOptions,
    ) -> Self {
        let deadline = Instant::now() + plugin.limits.http_whole;
        Self { plugin, grant, url, report, options, deadline }
    }

    /// Sends the request and returns the response when its headers are there.
    pub(super) async fn run(mut self, request: http::Request<WasiBody>) -> Result<HttpExchange, HttpError> {
        match self.attempt(request).await {
            Ok(begun) => Ok((self.response(begun), Box::new(async { Ok(()) }))),
            Err(stop) => {
                self.report.failed(&stop);
                Err(stop.error)
            }
        }
    }

    /// Does everything that can fail. The report stays with the exchange, so that it gets the reason.
    async fn attempt(&mut self, request: http::Request<WasiBody>) -> Result<Begun, Stop> {
        let plugin = self.plugin.clone();
        let denied = || Stop::denied("the grant is not of this generation");
        let (grant, lane) =
            plugin.grants.http.get(self.grant).zip(plugin.outbound.of(self.grant)).ok_or_else(denied)?;
        let place = lane.credential.as_ref().map(turntable_outbound::CredentialSource::place);
        self.report.allowed(&self.url, grant.rule.url(), place);
        let permits = self.permits().await?;
        let (parts, body) = request.into_parts();
        let mut headers = parts.headers;
        HOSTS_OWN.iter().for_each(|name| drop(headers.remove(name)));
        let mut scrubber = None;
        if let Some(source) = &lane.credential {
            let secret = source.secret().map_err(|error| no_credential(source, &error))?;
            source.put(&secret, &mut self.url, &mut headers).map_err(|error| no_credential(source, &error))?;
            // What is compressed cannot be cleaned.
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            scrubber = Some(secret.scrubber().clone());
        }
        let body = (!body.is_end_stream()).then(|| RequestBody {
            inner: body,
            report: self.report.0.clone(),
            bytes_max: plugin.limits.http_request_bytes,
            sent: 0,
        });
        let connections = lane.lane().await.map_err(|error| Stop::configuration(&error))?;
        let message = (parts.method, self.url.clone(), headers);
        let sent = connections.send(message, body, self.wait()).await;
        let (response, address) = sent.map_err(|failure| self.stopped(&failure))?;
        self.report.update(|call| {
            call.address = address;
            call.status = Some(response.status().as_u16());
        });
        let (mut parts, body) = response.into_parts();
        self.check_headers(&mut parts.headers, scrubber.as_ref())?;
        Ok(Begun { status: parts.status, headers: parts.headers, body, scrubber, permits })
    }

    /// Waits until the plugin and the bot have fewer requests in progress than they may have.
    async fn permits(&self) -> Result<Permits, Stop> {
        let limits = &self.plugin.limits;
        let take = async |semaphore: &Arc<Semaphore>, key: &str, max: usize| {
            let wait = limits.http_connect;
            match timeout(wait, semaphore.clone().acquire_owned()).await {
                Ok(Ok(permit)) => Ok(permit),
                Ok(Err(_)) | Err(_) => Err(Stop::limit(HttpError::ConnectionLimitReached, key, max)),
            }
        };
        let share = &self.plugin.share;
        let of_plugin =
            take(&self.plugin.outbound.at_once, "http-requests-at-once", limits.http_requests_at_once).await?;
        Ok((of_plugin, take(&share.http, "runtime.http-requests-per-bot-max", share.http_max).await?))
    }

    /// Returns how long the headers of the response may take: the limits of the plugin, or what the guest said if it is less.
    fn wait(&self) -> Duration {
        let Limits { http_connect, http_first_byte, .. } = &self.plugin.limits;
        let least = |limit: &Duration, own: Option<Duration>| own.map_or(*limit, |own| own.min(*limit));
        let connect = least(http_connect, self.options.connect_timeout);
        let first_byte = least(http_first_byte, self.options.first_byte_timeout);
        (connect + first_byte).min(self.deadline.saturating_duration_since(Instant::now()))
    }

    /// Returns the end of a call that failed, with the name of the limit that ended it.
    fn stopped(&self, failure: &Failure) -> Stop {
        let limits = &self.plugin.limits;
        match failure {
            Failure::ConnectTimeout => Stop::time(HttpError::ConnectionTimeout, "http-connect-ms", limits.http_connect),
            Failure::FirstByteTimeout if self.report.elapsed() >= limits.http_whole => {
                Stop::time(HttpError::HttpResponseTimeout, "http-ms", limits.http_whole)
            }
            Failure::FirstByteTimeout => {
                Stop::time(HttpError::ConnectionReadTimeout, "http-first-byte-ms", limits.http_first_byte)
            }
            Failure::HeadersTooLarge => too_large(limits),
            Failure::RequestBody if self.report.snapshot().bytes_out > limits.http_request_bytes => {
                let max = limits.http_request_bytes;
                Stop::limit(HttpError::HttpRequestBodySize(Some(max)), "http-request-bytes", max)
            }
            failure => Stop::failed(failure),
        }
    }

    /// Checks the headers of a response and removes the credential from them.
    fn check_headers(&self, headers: &mut HeaderMap, scrubber: Option<&Scrubber>) -> Result<(), Stop> {
        let limits = &self.plugin.limits;
        let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if bytes > limits.http_response_fields_bytes {
            return Err(too_large(limits));
        }
        if let Some(scrubber) = scrubber {
            check_encoding(headers)?;
            let found = clean(headers, scrubber);
            self.report.update(|call| call.redacted += found);
        }
        Ok(())
    }

    /// Returns the response for the guest: status, headers and body, and nothing else of the message.
    fn response(self, begun: Begun) -> http::Response<WasiBody> {
        let body = ResponseBody {
            inner: begun.body,
            report: self.report,
            deadline: Box::pin(sleep_until(self.deadline)),
            pause: self.options.between_bytes_timeout.map(|limit| (limit, Box::pin(sleep(limit)))),
            plugin: self.plugin,
            received: 0,
            scrub: begun.scrubber.map(|scrubber| (scrubber.clone(), scrubber.body())),
            permits: Some(begun.permits),
            ended: false,
        };
        let mut response = http::Response::new(body.boxed());
        (*response.status_mut(), *response.headers_mut()) = (begun.status, begun.headers);
        response
    }
}

/// A compressed answer to a request with a credential is refused, because the host cannot see what it contains.
fn check_encoding(headers: &HeaderMap) -> Result<(), Stop> {
    if !is_encoded(headers) {
        return Ok(());
    }
    let why = "the server compressed the answer to a request with a credential although it was asked not to";
    Err(Stop::new(HttpError::HttpResponseContentCoding(None), why))
}

fn too_large(limits: &Limits) -> Stop {
    let max = limits.http_response_fields_bytes;
    let shown = u32::try_from(max).ok();
    Stop::limit(HttpError::HttpResponseHeaderSectionSize(shown), "http-response-fields-bytes", max)
}

fn no_credential(source: &turntable_outbound::CredentialSource, error: &anyhow::Error) -> Stop {
    let why = format!("the credential for the {} cannot be used: {error:#}", source.place());
    Stop::new(HttpError::ConfigurationError, why)
}
