//! Request bodies that a route answered without reading.
//!
//! A client that is still sending when its connection is closed gets a broken pipe, or loses the answer that says why. So
//! the rest of a small body is read and dropped before the answer, and the connection goes on. Where the rest is large or
//! does not come, the answer says `Connection: close`, and [`super::socket::Socket`] reads on for a while after it. HTTP/2 reads on likewise,
//! in the one stream.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{CONNECTION, EXPECT};
use axum::http::{HeaderValue, StatusCode, Version};
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::timeout;

/// Bytes of an unread body that are read and dropped so that its connection can go on.
const DRAIN_BYTES_MAX: usize = 8 << 20;
/// How long that may take.
const DRAIN_MAX: Duration = Duration::from_millis(if cfg!(test) { 10 } else { 2_000 });
/// Bytes that are read and dropped after an answer that left a body unread.
pub(super) const LINGER_BYTES_MAX: usize = 64 << 20;
/// How long that may take.
pub(super) const LINGER_MAX: Duration = Duration::from_secs(5);

/// Whether a body of the connection stays unread; an extension of every request of [`super::serve`].
#[derive(Debug, Clone, Default)]
pub(super) struct Abandoned(Arc<AtomicBool>);

impl Abandoned {
    /// Whether one does.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Around everything that may answer: settles what becomes of the body that the answer leaves unread.
pub(super) async fn settle<F: Future<Output = Response>>(
    request: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    if request.body().is_end_stream() {
        return next(request).await;
    }
    let is_http_1 = request.version() < Version::HTTP_2;
    let waits_for_word = request.headers().contains_key(EXPECT);
    let abandoned = request.extensions().get::<Abandoned>().cloned();
    let left = Left::default();
    let request = request.map(|body| Body::new(Lent { body: Some(body), was_polled: false, left: left.clone() }));
    let mut response = next(request).await;
    let is_settled = match left.take() {
        None => true,
        Some(Rest::Broken) => false,
        // Its sender waits for «100 Continue» and may never send what is not asked for.
        Some(Rest::Unread { was_polled: false, .. }) if waits_for_word => false,
        Some(Rest::Unread { body, .. }) => drain_before_answer(body, is_http_1).await,
    };
    // HTTP/2 ends the stream alone, and has no such header.
    if !is_settled && is_http_1 && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        if let Some(Abandoned(abandoned)) = abandoned {
            abandoned.store(true, Ordering::Release);
        }
    }
    response
}

/// Reads the rest of a body and drops it. False: it is too large, comes too slowly, or broke off.
async fn drain_before_answer(mut body: Body, is_http_1: bool) -> bool {
    let is_small = body.size_hint().lower() <= DRAIN_BYTES_MAX as u64;
    let is_dropped = is_small && drain(&mut body, DRAIN_BYTES_MAX, DRAIN_MAX).await;
    if !is_dropped && !is_http_1 {
        // Without a reader the stream would be reset, and some clients then drop an answer that they have already.
        tokio::spawn(async move { drain(&mut body, LINGER_BYTES_MAX, LINGER_MAX).await });
    }
    is_dropped
}

/// Reads a body to its end within bounds. False: it did not end.
async fn drain(body: &mut Body, bytes_max: usize, time_max: Duration) -> bool {
    let all = async {
        let mut dropped = 0;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            dropped += frame.data_ref().map_or(0, Bytes::len);
            if dropped > bytes_max {
                return false;
            }
        }
        true
    };
    timeout(time_max, all).await.unwrap_or(false)
}

/// What a route left of a body that was lent to it, once it has let go of it.
#[derive(Clone, Default)]
struct Left(Arc<Mutex<Option<Rest>>>);

enum Rest {
    Unread {
        body: Body,
        was_polled: bool,
    },
    /// It broke off.
    Broken,
}

impl Left {
    fn take(&self) -> Option<Rest> {
        self.0.lock().take()
    }

    fn put(&self, rest: Rest) {
        *self.0.lock() = Some(rest);
    }
}

/// A body that comes back when it is dropped before its end.
struct Lent {
    /// None: it has ended.
    body: Option<Body>,
    was_polled: bool,
    left: Left,
}

impl hyper::body::Body for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        this.was_polled = true;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        match &frame {
            Some(Ok(_)) => {}
            Some(Err(_)) => {
                this.body = None;
                this.left.put(Rest::Broken);
            }
            None => this.body = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            self.left.put(Rest::Unread { body, was_polled: self.was_polled });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use axum::Router;
    use axum::middleware::{Next, from_fn};
    use axum::routing::any;
    use futures_util::stream;
    use tower::ServiceExt;

    use super::*;

    async fn settled(request: Request, next: Next) -> Response {
        settle(request, |request| next.run(request)).await
    }

    /// The `Connection` header of an answer that leaves a body unread.
    async fn connection(request: Request) -> Option<String> {
        let router = Router::new().fallback(any(async || StatusCode::NOT_FOUND)).layer(from_fn(settled));
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        response.headers().get(CONNECTION).map(|value| value.to_str().unwrap().to_owned())
    }

    fn chunks(count: usize, bytes: usize) -> Body {
        let chunk = Bytes::from(vec![0; bytes]);
        Body::from_stream(stream::iter((0..count).map(move |_| Ok::<_, io::Error>(chunk.clone()))))
    }

    #[tokio::test]
    async fn a_body_is_dropped_within_its_bounds_and_said_to_stay_unread_beyond() {
        let silent = || Body::from_stream(stream::pending::<io::Result<Bytes>>());
        let broken = || Body::from_stream(stream::iter([Ok(Bytes::from("a")), Err(io::Error::other("gone"))]));
        let close = Some("close".to_owned());
        for (what, body, wanted) in [
            ("no body", Body::empty(), None),
            ("a small one", Body::from("abc"), None),
            ("one in chunks", chunks(8, 1 << 20), None),
            ("as large as may be", Body::from(vec![0; DRAIN_BYTES_MAX]), None),
            ("announced as larger", Body::from(vec![0; DRAIN_BYTES_MAX + 1]), close.clone()),
            ("larger, in chunks", chunks(9, 1 << 20), close.clone()),
            ("without end", silent(), close.clone()),
            ("broken off", broken(), close.clone()),
        ] {
            assert_eq!(connection(Request::new(body)).await, wanted, "{what}");
        }
        let mut waiting = Request::new(Body::from("abc"));
        waiting.headers_mut().insert(EXPECT, HeaderValue::from_static("100-continue"));
        assert_eq!(connection(waiting).await, close, "nobody asked for the body");
        let mut second = Request::new(silent());
        *second.version_mut() = Version::HTTP_2;
        assert_eq!(connection(second).await, None, "HTTP/2 has no such header");
    }

    #[tokio::test]
    async fn a_route_gets_the_whole_body_and_its_end() {
        let echo = async |request: Request| request.into_body().collect().await.unwrap().to_bytes();
        let router = Router::new().fallback(any(echo)).layer(from_fn(settled));
        let response = router.oneshot(Request::new(Body::from("abc"))).await.unwrap();
        assert!(!response.headers().contains_key(CONNECTION));
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "abc");
    }
}
