//! Client of bridged bots: posts an activity to a bot in a process of its own, and reads its answer.

use std::error::Error;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Response, StatusCode, redirect, retry};
use url::Url;

use crate::config::Tls;

/// Maximum time to establish a connection.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(3);
/// Idle time after which a connection is closed, shorter than that of usual servers (5 s in Node).
const IDLE_CONNECTION_MAX: Duration = Duration::from_secs(2);

/// Posts activities to bridged bots. A cheap handle.
#[derive(Clone)]
pub struct BridgeClient(Client);

/// One activity for a bridged bot.
pub struct Call {
    /// Its messaging endpoint.
    pub url: Url,
    /// The activity as JSON text.
    pub activity: String,
    /// The token for the `Authorization` header, if the bot demands one.
    pub token: Option<String>,
    /// The time for the whole call.
    pub time: Duration,
    /// The size of the largest body that is read.
    pub bytes_max: usize,
}

/// What a bridged bot answered.
#[derive(Debug)]
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// The body of at most `bytes_max` bytes.
    pub body: Body,
}

/// The body of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    /// The whole body.
    Whole(Bytes),
    /// The body is larger than `bytes_max`, or broke off.
    Cut,
    /// The body is compressed. It was not read, because the result could be far larger.
    Encoded,
}

/// Why a bridged bot did not answer. The text is for operators and contains no activity.
#[derive(Debug)]
pub enum Unanswered {
    /// The bot is not there, or went away during the call. Another call makes sense later.
    Down(String),
    /// The time is over. The bot may be at work still.
    TimedOut,
}

impl BridgeClient {
    /// Returns a client that trusts the configured certificates besides those of the platform.
    ///
    /// # Errors
    /// A file of certificates cannot be read, or the HTTP client cannot be created.
    pub fn new(tls: &Tls) -> anyhow::Result<Self> {
        let mut roots = Vec::new();
        for path in &tls.root_certificates {
            let pem = std::fs::read(path).with_context(|| format!("tls.root-certificates: {}", path.display()))?;
            roots.extend(reqwest::Certificate::from_pem_bundle(&pem)?);
        }
        let client = Client::builder()
            .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]))
            // The operator named this server and no other.
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .tls_certs_merge(roots)
            .user_agent(concat!("Turntable/", env!("CARGO_PKG_VERSION"), " (Activity protocol bridge)"))
            .connect_timeout(CONNECT_TIMEOUT_MAX)
            .pool_idle_timeout(IDLE_CONNECTION_MAX)
            .build();
        Ok(Self(client.context("cannot create the HTTP client of bridges")?))
    }

    /// Posts an activity and reads the answer, whatever its status.
    ///
    /// # Errors
    /// The bot is down, or the time is over.
    pub async fn post(&self, call: Call) -> Result<Answered, Unanswered> {
        let started = Instant::now();
        let mut request = self.0.post(call.url).timeout(call.time).body(call.activity);
        request = request.header(CONTENT_TYPE, "application/json; charset=utf-8");
        if let Some(token) = call.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.map_err(|error| unanswered(&error))?;
        let status = response.status();
        if matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT) {
            return Err(Unanswered::Down(format!("it answered {status}")));
        }
        let body = read(response, call.bytes_max).await;
        if body == Body::Cut && started.elapsed() >= call.time {
            return Err(Unanswered::TimedOut);
        }
        Ok(Answered { status: status.as_u16(), body })
    }
}

async fn read(mut response: Response, bytes_max: usize) -> Body {
    let encoding = response.headers().get(CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Body::Encoded;
    }
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= bytes_max => body.extend_from_slice(&chunk),
            Ok(None) => return Body::Whole(body.into()),
            Ok(Some(_)) | Err(_) => return Body::Cut,
        }
    }
}

fn unanswered(error: &reqwest::Error) -> Unanswered {
    if error.is_timeout() && !error.is_connect() {
        return Unanswered::TimedOut;
    }
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let why = if error.is_connect() { "it cannot be reached" } else { "it went away during the call" };
    Unanswered::Down(format!("{why}: {innermost}"))
}
