//! A lane: the connections of one grant, and one exchange over them.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use url::Url;

use crate::{Reach, Unreachable, client};

/// Idle connections are closed after this time, earlier than most servers do it.
const IDLE_MAX: Duration = Duration::from_secs(50);
/// The most headers of a response.
const HEADERS_MAX: usize = 100;

/// The connections of one grant. They are shared by no other grant, because another one may reach other addresses or trust
/// other certificates.
pub struct Lane {
    client: reqwest::Client,
    reach: Reach,
}

/// What a lane may do.
pub struct LaneOptions<'a> {
    /// The addresses that it may reach.
    pub reach: Reach,
    /// Whether its servers use TLS.
    pub tls: bool,
    /// Certificates in PEM format that are trusted besides those of the platform.
    pub roots: Option<&'a [u8]>,
    /// How long a name lookup, a connection and TLS may take together.
    pub connect: Duration,
    /// How many idle connections to an origin are kept.
    pub idle_max: usize,
    /// The size of a response's headers in HTTP/2.
    pub header_bytes_max: u32,
}

/// Why there is no response, or no more of one. No text contains a URL, a header or a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The address may not be reached. The text names it.
    Unreachable(String),
    /// The name has no address, or the lookup failed.
    Lookup(String),
    /// There was no connection in time.
    ConnectTimeout,
    /// The connection failed.
    Connect(String),
    /// The certificate is not valid for the name, or not trusted.
    Certificate(String),
    /// TLS failed in another way.
    Tls(String),
    /// The headers did not come in time.
    FirstByteTimeout,
    /// The headers are larger than an HTTP client accepts.
    HeadersTooLarge,
    /// The body of the request ended with an error.
    RequestBody,
    /// The connection ended before the response did.
    Incomplete,
    /// The server broke the protocol.
    Protocol(String),
}

/// The body of a response.
pub struct Body(reqwest::Body);

impl Lane {
    /// Starts a lane. It loads the certificates of the platform, so it should not run in a thread that others wait for.
    ///
    /// # Errors
    /// The certificates are not usable.
    pub fn new(options: LaneOptions<'_>) -> anyhow::Result<Self> {
        let mut builder = client(&options.reach)
            .connect_timeout(options.connect)
            .pool_max_idle_per_host(options.idle_max)
            .pool_idle_timeout(IDLE_MAX)
            .http1_max_headers(HEADERS_MAX)
            .http2_max_header_list_size(options.header_bytes_max)
            .https_only(options.tls);
        if let Some(roots) = options.roots {
            builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(roots)?);
        } else if !options.tls {
            // Nothing is verified, and a machine without certificates can call servers without TLS.
            builder = builder.tls_certs_only([]);
        }
        Ok(Self { client: builder.build()?, reach: options.reach })
    }

    /// Sends a request and returns the response as soon as its headers are there, with the address of the server.
    ///
    /// # Errors
    /// Why there is no response.
    pub async fn send<B>(
        &self,
        (method, url, headers): (Method, Url, HeaderMap),
        body: Option<B>,
        first_byte: Duration,
    ) -> Result<(Response<Body>, Option<SocketAddr>), Failure>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        self.reach.check_url(&url).map_err(|why| Failure::Unreachable(why.to_string()))?;
        let mut request = reqwest::Request::new(method, url);
        *request.headers_mut() = headers;
        *request.body_mut() = body.map(|body| reqwest::Body::wrap_stream(body.into_data_stream()));
        let response = match tokio::time::timeout(first_byte, self.client.execute(request)).await {
            Err(_) => return Err(Failure::FirstByteTimeout),
            Ok(Err(error)) => return Err(Failure::of(error)),
            Ok(Ok(response)) => response,
        };
        let address = response.remote_addr();
        Ok((Response::from(response).map(Body), address))
    }
}

/// Returns whether a response has a body that is not the text of the server itself: compressed by `content-encoding`, or by
/// `transfer-encoding` below the chunks.
#[must_use]
pub fn is_encoded(headers: &HeaderMap) -> bool {
    let codings = |name: &str, plain: &str| {
        headers.get_all(name).iter().any(|value| {
            value.to_str().map_or(true, |value| {
                value.split(',').map(str::trim).any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(plain))
            })
        })
    };
    codings("content-encoding", "identity") || codings("transfer-encoding", "chunked")
}

/// A lookup that found no address.
#[derive(Debug)]
pub(crate) struct LookupError(String);

impl LookupError {
    /// Keeps an [`Unreachable`] as it is.
    pub(crate) fn of(error: io::Error) -> Box<dyn Error + Send + Sync> {
        match error.get_ref().is_some_and(|inner| inner.is::<Unreachable>()) {
            true => Box::new(error),
            false => Box::new(Self(error.to_string())),
        }
    }
}

impl std::fmt::Display for LookupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for LookupError {}

impl Failure {
    /// Looks through the causes of an error for one that says what happened.
    fn of(error: reqwest::Error) -> Self {
        if error.is_connect() && error.is_timeout() {
            return Self::ConnectTimeout;
        }
        let (connects, error) = (error.is_connect(), error.without_url());
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        let mut innermost = String::new();
        while let Some(error) = cause {
            if let Some(failure) = Self::of_cause(error) {
                return failure;
            }
            innermost = error.to_string();
            cause = error.source();
        }
        if connects { Self::Connect(innermost) } else { Self::Protocol(innermost) }
    }

    fn of_cause(error: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(LookupError(why)) = error.downcast_ref() {
            return Some(Self::Lookup(why.clone()));
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) {
                return Some(Self::Incomplete);
            }
            let inner = error.get_ref()?;
            if let Some(Unreachable(why)) = inner.downcast_ref() {
                return Some(Self::Unreachable(why.clone()));
            }
            return inner.downcast_ref::<rustls::Error>().map(|error| match error {
                rustls::Error::InvalidCertificate(_) => Self::Certificate(error.to_string()),
                _ => Self::Tls(error.to_string()),
            });
        }
        let error = error.downcast_ref::<hyper::Error>()?;
        match error {
            _ if error.is_parse_too_large() => Some(Self::HeadersTooLarge),
            _ if error.is_incomplete_message() || error.is_closed() => Some(Self::Incomplete),
            _ if error.is_user() => Some(Self::RequestBody),
            _ => None,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "{why}"),
            Self::Lookup(why) => write!(f, "the name cannot be looked up: {why}"),
            Self::ConnectTimeout => f.write_str("there was no connection in time"),
            Self::Connect(why) => write!(f, "there is no connection: {why}"),
            Self::Certificate(why) | Self::Tls(why) => write!(f, "TLS: {why}"),
            Self::FirstByteTimeout => f.write_str("the response did not begin in time"),
            Self::HeadersTooLarge => f.write_str("the headers of the response are too large"),
            Self::RequestBody => f.write_str("the body of the request did not end as it should"),
            Self::Incomplete => f.write_str("the connection ended before the response did"),
            Self::Protocol(why) => write!(f, "the server broke the protocol: {why}"),
        }
    }
}

impl Error for Failure {}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        Pin::new(&mut self.0).poll_frame(context).map_err(Failure::of)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }
}
