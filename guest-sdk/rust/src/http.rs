//! HTTP requests to servers, sent by the host. They need the grant `http`: see
//! [`Manifest::wants_http`](crate::Manifest::wants_http).
//!
//! ```
//! use turntable_sdk::http::Request;
//! use turntable_sdk::prelude::*;
//!
//! fn temperature(turn: &Turn, city: &str) -> Result<f64> {
//!     let url = format!("https://weather.example/v1/now?city={city}");
//!     let answer = turn.http().send(Request::get(url).header("accept", "application/json"))?;
//!     let weather: Value = answer.expect_success()?.json()?;
//!     weather["celsius"].as_f64().ok_or_else(|| Fault::unavailable("the weather service sent no temperature"))
//! }
//! ```
//!
//! The host puts credentials on requests if the operator says so; a plugin never sees them. It follows no redirects. In a
//! [`StraightLine`](crate::StraightLine) dialog, send requests only inside
//! [`Dialogue::step`](crate::Dialogue::step), because everything else runs again at each event.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::turn::Host;
use crate::{Fault, Result, read};

/// A request to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method, in capitals.
    pub method: String,
    /// The URL, with scheme and host.
    pub url: String,
    /// The headers. The host sets `host` and those of the connection.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<Vec<u8>>,
}

/// A response whose body is read as it comes.
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Box<dyn Body>,
}

/// The body of a response, as the host gives it.
pub(crate) trait Body {
    /// Waits for the next bytes; none at the end.
    fn chunk(&mut self) -> Result<Option<Vec<u8>>>;
}

/// What the host returns for a request.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Box<dyn Body>,
}

/// Sends requests; see [`Turn::http`](crate::Turn::http).
#[derive(Clone, Copy)]
pub struct Http<'t> {
    host: &'t dyn Host,
}

impl<'t> Http<'t> {
    pub(crate) fn new(host: &'t dyn Host) -> Self {
        Self { host }
    }

    /// Sends a request and waits for the headers of the response, whatever its status.
    ///
    /// Faults: `denied` (no grant covers the request; the message names it), `invalid` (not a request), `quota` (a limit of
    /// the configuration is reached), `deadline` (the server is too slow), `unavailable` (no connection, or a broken answer).
    pub fn send(&self, request: Request) -> Result<Response> {
        let Reply { status, headers, body } = self.host.http(request)?;
        Ok(Response { status, headers, body })
    }
}

impl Request {
    /// Creates a request with any method.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self { method: method.into(), url: url.into(), headers: Vec::new(), body: None }
    }

    /// Creates a `GET` request.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// Creates a `POST` request.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets the body to a value as JSON, with its `content-type`. Fault `invalid`: the value cannot be written as JSON.
    pub fn json(self, value: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(value).map_err(|error| Fault::invalid(format!("the body: {error}")))?;
        Ok(self.header("content-type", "application/json").body(body))
    }
}

impl Response {
    /// Returns the status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the headers, with names in lower case.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Returns the first header of that name, which may have any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Returns the response if its status is 200 to 299. Otherwise a fault `unavailable` that names the status.
    pub fn expect_success(self) -> Result<Self> {
        match self.status {
            200..=299 => Ok(self),
            status => Err(Fault::unavailable(format!("the server answered {status}"))),
        }
    }

    /// Waits for the next bytes of the body. None at its end. Faults are as for [`Http::send`].
    pub fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        self.body.chunk()
    }

    /// Reads the rest of the body.
    pub fn bytes(mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk()? {
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Reads the rest of the body as text. Fault `unavailable`: it is not UTF-8.
    pub fn text(self) -> Result<String> {
        String::from_utf8(self.bytes()?).map_err(|_| Fault::unavailable("the answer of the server is not UTF-8 text"))
    }

    /// Reads the rest of the body as JSON. Fault `unavailable`: it is not JSON, or has another shape.
    pub fn json<T: DeserializeOwned>(self) -> Result<T> {
        read::text(&self.text()?).map_err(|error| Fault::unavailable(format!("the answer of the server: {error}")))
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("status", &self.status).field("headers", &self.headers).finish_non_exhaustive()
    }
}
