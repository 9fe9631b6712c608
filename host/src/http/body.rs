//! Reading request bodies: whole, bounded in size and time.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_ENCODING, TRANSFER_ENCODING};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use tokio::time::timeout;

use super::error::{HttpError, code};

/// How long a body may take to arrive.
const READ_MAX: Duration = Duration::from_secs(30);
/// Reads a whole body of at most `bytes_max` bytes; `bound` is the setting that says so, for the message.
///
/// # Errors
/// 415 where it is compressed, 413 where it is larger, 408 where it takes longer than 30 seconds, 400 where it breaks off.
pub async fn read(request: Request, bytes_max: usize, bound: &str) -> Result<Bytes, HttpError> {
    refuse_encoded(request.headers())?;
    let mut body = request.into_body();
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > bytes_max {
        return Err(too_large(bytes_max, bound));
    }
    collect(&mut body, bytes_max, bound, READ_MAX).await
}

/// Refuses what is compressed. `identity` means that it is not, and `chunked` is how it is sent.
fn refuse_encoded(headers: &HeaderMap) -> Result<(), HttpError> {
    for (header, harmless) in [(CONTENT_ENCODING, "identity"), (TRANSFER_ENCODING, "chunked")] {
        for value in headers.get_all(&header) {
            let value = String::from_utf8_lossy(value.as_bytes());
            let mut encodings = value.split(',').map(str::trim).filter(|encoding| !encoding.is_empty());
            if let Some(encoding) = encodings.find(|encoding| !encoding.eq_ignore_ascii_case(harmless)) {
                return Err(HttpError::encoded(&header, encoding));
            }
        }
    }
    Ok(())
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
    async fn only_a_body_that_is_not_compressed_is_read() {
        for (encodings, wanted) in [
            (&["identity"][..], None),
            (&["IDENTITY", " identity , identity"], None),
            (&["", ","], None),
            (&["gzip"], Some("`gzip`")),
            (&["GZIP"], Some("`GZIP`")),
            (&["br"], Some("`br`")),
            (&["deflate, gzip"], Some("`deflate`")),
            (&["identity, zstd"], Some("`zstd`")),
            (&["identity", "x-gzip"], Some("`x-gzip`")),
            (&["*"], Some("`*`")),
        ] {
            let mut request = request(&["ab"]);
            for encoding in encodings {
                request.headers_mut().append(CONTENT_ENCODING, encoding.parse().unwrap());
            }
            let refused =
                read(request, 4, "limit").await.err().map(|error| (error.status().as_u16(), error.to_string()));
            match (&refused, wanted) {
                (None, None) => {}
                (Some((415, said)), Some(name)) if said.contains(name) && said.contains("Content-Encoding") => {}
                _ => panic!("{encodings:?}: {refused:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_body_is_sent_in_chunks_at_most() {
        for (encoding, is_read) in [("chunked", true), ("Chunked", true), ("gzip, chunked", false)] {
            let mut request = request(&["ab"]);
            request.headers_mut().insert(TRANSFER_ENCODING, encoding.parse().unwrap());
            assert_eq!(read(request, 4, "limit").await.is_ok(), is_read, "{encoding}");
        }
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
