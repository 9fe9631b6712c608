//! What every request gets: an id, a span, a place in the metrics.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{self, FromRequestParts, MatchedPath, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::response::Response;
use serde::de::DeserializeOwned;
use tracing::Instrument;
use ulid::Ulid;

use super::error::HttpError;
use crate::telemetry;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest request id that is taken from a caller, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;
/// Route of requests that match none.
const NO_ROUTE: &str = "none";

/// The id of a request: the caller's where it is usable, else a new one. An extension of every request.
#[derive(Debug, Clone)]
pub struct RequestId(pub Arc<str>);

/// The query of a request. One that does not fit is told like every other mistake.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        let read = extract::Query::try_from_uri(&parts.uri);
        read.map(|extract::Query(query)| Self(query))
            .map_err(|rejection| HttpError::bad_argument(rejection.body_text()))
    }
}

/// Gives the request its id and span, echoes the id, counts the answer.
pub(super) async fn observe<F: Future<Output = Response>>(
    listener: &'static str,
    mut request: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    let started = Instant::now();
    let id = accepted_id(request.headers()).unwrap_or_else(|| Ulid::new().to_string().into());
    let method = method_label(request.method());
    let path = request.extensions().get::<MatchedPath>().cloned();
    let route = path.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let span = tracing::info_span!("request", id = %id, listener, method, route);
    request.extensions_mut().insert(RequestId(id.clone()));

    let mut response = next(request).instrument(span.clone()).await;

    let (status, elapsed) = (response.status(), started.elapsed());
    telemetry::request_ended(listener, method, route, status.as_u16(), elapsed);
    span.in_scope(|| {
        tracing::debug!(status = status.as_u16(), duration_us = telemetry::microseconds(elapsed), "request answered");
    });
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    response
}

/// An id goes into logs and headers: only letters, digits and a few marks, and not too many.
fn accepted_id(headers: &HeaderMap) -> Option<Arc<str>> {
    let id = headers.get(X_REQUEST_ID)?.to_str().ok()?;
    let usable = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:+/=|".contains(&byte);
    (!id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX && id.bytes().all(usable)).then(|| id.into())
}

/// Callers may invent methods, and each would be a metric of its own.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::middleware::{Next, from_fn};
    use axum::routing::get;
    use axum::{Extension, Router};
    use tower::ServiceExt;

    use super::*;

    async fn observed(request: Request, next: Next) -> Response {
        observe("test", request, |request| next.run(request)).await
    }

    /// Returns the id that the handler saw and the one that the caller got.
    async fn ids(sent: Option<&str>) -> (String, String) {
        let handler = async |Extension(id): Extension<RequestId>| id.0.to_string();
        let router = Router::new().route("/", get(handler)).layer(from_fn(observed));
        let mut request = Request::builder().uri("/");
        if let Some(sent) = sent {
            request = request.header(X_REQUEST_ID, sent);
        }
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let echoed = response.headers()[X_REQUEST_ID].to_str().unwrap().to_owned();
        let seen = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
        (String::from_utf8(seen.to_vec()).unwrap(), echoed)
    }

    #[tokio::test]
    async fn a_usable_id_is_kept_and_echoed() {
        for id in ["abc-123", "0HMV:0001", &"x".repeat(128)] {
            assert_eq!(ids(Some(id)).await, (id.to_owned(), id.to_owned()));
        }
    }

    #[tokio::test]
    async fn any_other_is_replaced() {
        for id in [None, Some(""), Some("a b"), Some("<script>"), Some(&*"x".repeat(129))] {
            let (seen, echoed) = ids(id).await;
            assert_eq!(seen, echoed);
            assert!(Ulid::from_string(&seen).is_ok(), "{id:?} became {seen}");
        }
    }
}
