//! Reading request bodies: whole, bounded in size and time.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::EXPECT;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use tokio::time::timeout;

use super::error::{HttpError, code};

/// How long a body may take to arrive.
const READ_MAX: Duration = Duration::from_secs(30);
/// How much of a refused body is read and dropped, so that its sender gets to read the answer.
const DRAIN_BYTES_MAX: usize = 8 << 20;
/// How long that may take.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// Reads a whole body of at most `bytes_max` bytes; `bound` is the setting that says so, for the message.
///
/// # Errors
/// 413 where it is larger, 408 where it takes longer than 30 seconds, 400 where it breaks off.
pub async fn read(request: Request, bytes_max: usize, bound: &str) -> Result<Bytes, HttpError> {
    let wants_continue = request.headers().contains_key(EXPECT);
    let mut body = request.into_body();
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let result = match announced > bytes_max {
        true => Err(too_large(bytes_max, bound)),
        false => collect(&mut body, bytes_max, bound, READ_MAX).await,
    };
    if matches!(&result, Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE) && !wants_continue {
        // A connection closed on unread bytes is reset, and with it the answer that says why.
        let _ = timeout(DRAIN_MAX, drain(&mut body)).await;
    }
    result
}

async fn collect(body: &mut Body, bytes_max: usize, bound: &str, read_max: Duration) -> Result<Bytes, HttpError> {
    match timeout(read_max, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(bytes_max, bound)),
        Ok(Err(error)) => Err(HttpError::bad_syntax("the body broke off").detail(error)),
        Err(_) => Err(HttpError::new(
            StatusCode::REQUEST_TIMEOUT,
            code::REQUEST_TIMEOUT,
            format!("the body took longer than {} s", read_max.as_secs()),
        )),
    }
}

async fn drain(body: &mut Body) {
    let mut dropped = 0;
    while let Some(Ok(frame)) = body.frame().await {
        dropped += frame.data_ref().map_or(0, Bytes::len);
        if dropped > DRAIN_BYTES_MAX {
            break;
        }
    }
}

fn too_large(bytes_max: usize, bound: &str) -> HttpError {
    HttpError::too_large(u64::try_from(bytes_max).unwrap_or(u64::MAX), bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(chunks: &[&'static str]) -> Request {
        let chunks: Vec<Result<_, std::io::Error>> = chunks.iter().map(|chunk| Ok(Bytes::from(*chunk))).collect();
        Request::new(Body::from_stream(futures_util::stream::iter(chunks)))
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_bound() {
        assert_eq!(read(request(&["ab", "cd"]), 4, "limit").await.unwrap(), "abcd");
        let error = read(request(&["ab", "cde"]), 4, "limit").await.unwrap_err();
        assert_eq!(error.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let announced = Request::new(Body::from("abcde"));
        assert_eq!(read(announced, 4, "limit").await.unwrap_err().status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_the_callers_fault() {
        let chunks = [Ok(Bytes::from("ab")), Err(std::io::Error::other("gone"))];
        let body = Body::from_stream(futures_util::stream::iter(chunks));
        assert_eq!(read(Request::new(body), 9, "limit").await.unwrap_err().status(), StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_given_up() {
        let mut body = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let error = collect(&mut body, 9, "limit", Duration::ZERO).await.unwrap_err();
        assert_eq!(error.status(), StatusCode::REQUEST_TIMEOUT);
    }
}
