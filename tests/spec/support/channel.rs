//! A connector, the part of a channel that accepts replies: a real HTTP server that records calls and misbehaves on request.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

use super::conversation::message;
use super::{tls, within};

/// One call that the host made.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// The path as sent, with percent-encoded ids.
    pub(crate) path: String,
    /// The `Authorization` header, or `""`.
    pub(crate) authorization: String,
    /// The activity; null for a delete.
    pub(crate) body: Value,
}

impl Call {
    /// The text of the activity, or `""`.
    pub(crate) fn text(&self) -> &str {
        self.body["text"].as_str().unwrap_or_default()
    }
}

/// How the connector answers one call. It always records the call.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    /// 201 with an id.
    Take,
    /// 202 without a body, as the Agents Playground answers.
    TakeWithoutId,
    /// This status with an error body.
    Status(u16),
    /// 429 with `Retry-After` in seconds.
    Throttle(u32),
    /// This status, with this `Content-Type` and `Content-Encoding`, and this body.
    Answer(u16, &'static str, &'static str, Vec<u8>),
    /// 201 with an id that is a number.
    TakeWithNumber(u64),
    /// 307 to this URL.
    Redirect(String),
    /// 201 with a chunked body that never ends.
    Endless(&'static str),
    /// Reads the body and closes the connection without an answer.
    HangUp,
    /// 200 with a body that is not JSON.
    Garbage,
    /// Never answers.
    Stall,
    /// Answers like `Take` when it is told to.
    TakeLater(Arc<Notify>),
}

/// A connector on a port of its own. It stops when its last clone is dropped.
#[derive(Clone)]
pub(crate) struct Connector {
    shared: Arc<Shared>,
    address: std::net::SocketAddr,
    scheme: &'static str,
}

struct Shared {
    calls: Mutex<Vec<Call>>,
    count: watch::Sender<usize>,
    /// How to answer the next calls. Later calls get [`Behaviour::Take`].
    plan: Mutex<VecDeque<Behaviour>>,
}

impl Connector {
    /// Starts a connector on a free port of loopback.
    pub(crate) async fn start() -> Self {
        Self::at("127.0.0.1:0").await
    }

    /// Starts a connector at this address, where nobody listens.
    pub(crate) async fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { calls: Mutex::default(), count: watch::Sender::new(0), plan: Mutex::default() });
        let router = Router::new().fallback(take).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { shared, address, scheme: "http" }
    }

    /// Starts a connector with TLS and this certificate.
    pub(crate) async fn with_tls(certificate: &tls::Certificate) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { calls: Mutex::default(), count: watch::Sender::new(0), plan: Mutex::default() });
        let router = Router::new().fallback(take).with_state(Arc::clone(&shared));
        tokio::spawn(tls::serve(listener, certificate.acceptor(), router));
        Self { shared, address, scheme: "https" }
    }

    /// Returns the `serviceUrl` of this connector.
    pub(crate) fn service_url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Returns a message whose replies go to this connector.
    pub(crate) fn message(&self, text: &str) -> Value {
        let mut activity = message(text);
        activity["serviceUrl"] = self.service_url().into();
        activity
    }

    /// Plans how to answer one more call, after the calls planned before.
    pub(crate) fn plan(&self, behaviour: Behaviour) -> &Self {
        self.shared.plan.lock().unwrap().push_back(behaviour);
        self
    }

    /// Waits until there are this many calls, and returns all calls.
    pub(crate) async fn calls(&self, at_least: usize) -> Vec<Call> {
        let mut count = self.shared.count.subscribe();
        let enough = async { count.wait_for(|count| *count >= at_least).await.map(|_| ()) };
        within(&format!("call {at_least} of the connector"), enough).await.unwrap();
        self.shared.calls.lock().unwrap().clone()
    }

    /// Returns the calls so far.
    pub(crate) fn calls_now(&self) -> Vec<Call> {
        self.shared.calls.lock().unwrap().clone()
    }
}

async fn take(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, 16 << 20).await.unwrap_or_default();
    let call = Call {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        authorization: parts.headers.get(header::AUTHORIZATION).map_or("", |value| value.to_str().unwrap()).to_owned(),
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    };
    let behaviour = shared.plan.lock().unwrap().pop_front().unwrap_or(Behaviour::Take);
    let number = {
        let mut calls = shared.calls.lock().unwrap();
        calls.push(call);
        calls.len()
    };
    shared.count.send_replace(number);
    match behaviour {
        Behaviour::Take => (StatusCode::CREATED, Json(json!({ "id": format!("channel-{number}") }))).into_response(),
        Behaviour::TakeWithoutId => StatusCode::ACCEPTED.into_response(),
        Behaviour::Status(status) => {
            let status = StatusCode::from_u16(status).unwrap();
            (status, Json(json!({ "error": { "code": "Planned", "message": "planned by the spec" } }))).into_response()
        }
        Behaviour::Throttle(seconds) => {
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds.to_string())]).into_response()
        }
        Behaviour::Answer(status, media, encoding, body) => {
            let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
            for (name, value) in [(header::CONTENT_TYPE, media), (header::CONTENT_ENCODING, encoding)] {
                response.headers_mut().remove(&name);
                if !value.is_empty() {
                    response.headers_mut().insert(name, value.parse().unwrap());
                }
            }
            response
        }
        Behaviour::TakeWithNumber(id) => (StatusCode::CREATED, Json(json!({ "id": id }))).into_response(),
        Behaviour::Redirect(to) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response(),
        Behaviour::Endless(start) => {
            let start = stream::iter([Ok::<_, std::io::Error>(start)]);
            (StatusCode::CREATED, Body::from_stream(start.chain(stream::pending()))).into_response()
        }
        // Ends the task of the connection without the output of a `panic!`.
        Behaviour::HangUp => std::panic::resume_unwind(Box::new("the connector hangs up")),
        Behaviour::Garbage => (StatusCode::OK, Body::from("<html>not JSON")).into_response(),
        Behaviour::Stall => std::future::pending().await,
        Behaviour::TakeLater(told) => {
            told.notified().await;
            (StatusCode::CREATED, Json(json!({ "id": format!("channel-{number}") }))).into_response()
        }
    }
}
