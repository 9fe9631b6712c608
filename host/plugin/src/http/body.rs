//! Bodies on their way: counted, bounded in bytes and time, and cleaned of the credential.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use turntable_outbound::{Scrub, Scrubber};
use wasmtime_wasi_http::{Error as HttpError, WasiBody};

use super::record::{OpenReport, Report};
use super::stop::Stop;
use crate::Plugin;

/// The body of a request.
pub(super) struct RequestBody {
    pub(super) inner: WasiBody,
    pub(super) report: Arc<Report>,
    /// `http-request-bytes`
    pub(super) bytes_max: u64,
    pub(super) sent: u64,
}

/// The body of a response. It holds the permits of the request until it ends or the guest drops it.
pub(super) struct ResponseBody {
    pub(super) inner: turntable_outbound::Body,
    pub(super) report: OpenReport,
    pub(super) plugin: Arc<Plugin>,
    /// When `http-ms` is over.
    pub(super) deadline: Pin<Box<Sleep>>,
    /// The guest's own limit of time between two chunks.
    pub(super) pause: Option<(Duration, Pin<Box<Sleep>>)>,
    pub(super) received: u64,
    /// If the request had a credential.
    pub(super) scrub: Option<(Scrubber, Scrub)>,
    pub(super) permits: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
    /// Whether no more frames follow.
    pub(super) ended: bool,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
        self.sent += bytes as u64;
        let (sent, max) = (self.sent, self.bytes_max);
        self.report.update(|call| call.bytes_out = sent);
        if sent > max {
            let stop = Stop::limit(HttpError::HttpRequestBodySize(Some(max)), "http-request-bytes", max);
            self.report.failed(&stop);
            return Poll::Ready(Some(Err(stop.error)));
        }
        Poll::Ready(frame)
    }
}

impl ResponseBody {
    /// Returns whether a time is over.
    fn is_late(&mut self, context: &mut Context<'_>) -> Option<Stop> {
        if self.deadline.as_mut().poll(context).is_ready() {
            let limit = self.plugin.limits.http_whole;
            return Some(Stop::time(HttpError::HttpResponseTimeout, "http-ms", limit));
        }
        let (limit, pause) = self.pause.as_mut()?;
        let late = pause.as_mut().poll(context).is_ready();
        let why = format!("the guest's limit of time between two chunks ({} ms) is over", limit.as_millis());
        late.then(|| Stop::new(HttpError::ConnectionReadTimeout, why))
    }

    /// Counts and cleans a chunk.
    fn received(&mut self, chunk: Bytes) -> Result<Bytes, Stop> {
        self.received += chunk.len() as u64;
        let (received, max) = (self.received, self.plugin.limits.http_response_bytes);
        if received > max {
            return Err(Stop::limit(HttpError::HttpResponseBodySize(Some(max)), "http-response-bytes", max));
        }
        if let Some((limit, pause)) = &mut self.pause {
            pause.as_mut().reset(Instant::now() + *limit);
        }
        self.report.update(|call| call.bytes_in = received);
        Ok(match &mut self.scrub {
            Some((_, scrub)) => scrub.chunk(&chunk),
            None => chunk,
        })
    }

    /// Ends the body: nothing more is read, the permits go back.
    fn stop(&mut self, stop: Option<&Stop>) {
        self.ended = true;
        self.permits = None;
        let found = self.scrub.as_ref().map_or(0, |(_, scrub)| scrub.found());
        self.report.update(|call| call.redacted += found);
        match stop {
            Some(stop) => self.report.failed(stop),
            None => self.report.end("answered", None),
        }
    }

    /// Ends the body with an error. A guest gets the error of a stream as text only, so the text names the limit.
    fn fails(&mut self, stop: Stop) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        self.stop(Some(&stop));
        Poll::Ready(Some(Err(HttpError::InternalError(Some(stop.why)))))
    }

    fn trailers(&mut self, mut trailers: HeaderMap) -> HeaderMap {
        if let Some((scrubber, _)) = &self.scrub {
            let found = clean(&mut trailers, scrubber);
            self.report.update(|call| call.redacted += found);
        }
        trailers
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            let frame = match Pin::new(&mut self.inner).poll_frame(context) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    return match self.is_late(context) {
                        Some(stop) => self.fails(stop),
                        None => Poll::Pending,
                    };
                }
            };
            let frame = match frame {
                Some(Err(failure)) => return self.fails(Stop::failed(&failure)),
                Some(Ok(frame)) => frame,
                None => {
                    let rest = self.scrub.as_mut().map(|(_, scrub)| scrub.end()).unwrap_or_default();
                    self.stop(None);
                    return Poll::Ready((!rest.is_empty()).then(|| Ok(Frame::data(rest))));
                }
            };
            match frame.into_data().map(|chunk| self.received(chunk)) {
                // The scrubber holds back what may become the secret.
                Ok(Ok(chunk)) if chunk.is_empty() => {}
                Ok(Ok(chunk)) => return Poll::Ready(Some(Ok(Frame::data(chunk)))),
                Ok(Err(stop)) => return self.fails(stop),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    let trailers = self.trailers(trailers);
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
            }
        }
    }
}

impl ResponseBody {
    pub(super) fn boxed(self) -> WasiBody {
        self.boxed_unsync()
    }
}

/// Removes a secret from headers, and returns how often it was there. A header whose name contains the secret is left out.
pub(super) fn clean(headers: &mut HeaderMap, scrubber: &Scrubber) -> usize {
    let mut found = 0;
    for value in headers.values_mut() {
        let mut text = value.as_bytes().to_vec();
        let here = scrubber.scrub(&mut text);
        if here > 0 {
            found += here;
            *value = http::HeaderValue::from_bytes(&text).unwrap_or(http::HeaderValue::from_static("*"));
        }
    }
    let named: Vec<_> =
        headers.keys().filter(|name| scrubber.scrub(&mut name.as_str().as_bytes().to_vec()) > 0).cloned().collect();
    for name in named {
        headers.remove(name);
        found += 1;
    }
    found
}
