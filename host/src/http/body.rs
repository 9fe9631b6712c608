//! Reading request bodies: whole, bounded in size, in time and in the memory of all requests together.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_ENCODING, TRANSFER_ENCODING};
use axum::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::time::timeout;

use super::client::client_of;
use super::error::{HttpError, code};
use crate::budget::{Budget, Claim, cost};
use crate::json;

/// How long a body may take to arrive.
const READ_MAX: Duration = Duration::from_secs(30);

/// Reads a whole body of at most `bytes_max` bytes; `bound` is the setting that says so, for the message.
///
/// # Errors
/// 415 where it is compressed, 413 where it is larger, 408 where it takes longer than 30 seconds, 400 where it breaks off.
pub async fn read(request: Request, bytes_max: usize, bound: &str) -> Result<Bytes, HttpError> {
    announced(&request, bytes_max, bound)?;
    collect(&mut request.into_body(), bytes_max, bound, READ_MAX, None).await
}

/// Reads a whole body like [`read`], and charges it to the memory of requests, for a bot and the client of the request. The
/// claim is the caller's: it must live as long as anything of the request is in memory.
///
/// # Errors
/// Those of [`read`]; 429 or 503 with `Retry-After` where the memory of requests has no room, before the body is read.
pub async fn read_charged(
    budget: &Arc<Budget>,
    bot: Option<&Arc<str>>,
    request: Request,
    bytes_max: usize,
    bound: &str,
) -> Result<(Bytes, Claim), HttpError> {
    let announced = announced(&request, bytes_max, bound)?;
    let mut claim = budget.open(bot, client_of(request.extensions()), announced)?;
    let bytes = collect(&mut request.into_body(), bytes_max, bound, READ_MAX, Some(&mut claim)).await?;
    Ok((bytes, claim))
}

/// Decodes a body of JSON that is going to be parsed, and charges what its tree may take.
///
/// # Errors
/// 400 where it is not UTF-8, 413 where it has more values than `server.json-values-max`, 429 or 503 where the memory of
/// requests has no room.
pub fn json_text<'b>(bytes: &'b [u8], values_max: usize, claim: &mut Claim) -> Result<&'b str, HttpError> {
    let text = json::decoded(bytes).map_err(|error| HttpError::bad_syntax(error.to_string()))?;
    let values = json::values(text);
    if values > values_max {
        let message = format!("the body has {values} JSON values, more than {values_max} (`server.json-values-max`)");
        return Err(HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, code::TOO_LARGE, message));
    }
    claim.grow(cost(text.len(), values).saturating_sub(bytes.len()))?;
    Ok(text)
}

/// Returns the announced size of a body that may be read.
fn announced(request: &Request, bytes_max: usize, bound: &str) -> Result<usize, HttpError> {
    refuse_encoded(request.headers())?;
    let announced = usize::try_from(request.body().size_hint().lower()).unwrap_or(usize::MAX);
    if announced > bytes_max { Err(too_large(bytes_max, bound)) } else { Ok(announced) }
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

async fn collect(
    body: &mut Body,
    bytes_max: usize,
    bound: &str,
    read_max: Duration,
    claim: Option<&mut Claim>,
) -> Result<Bytes, HttpError> {
    timeout(read_max, gather(body, bytes_max, bound, claim)).await.unwrap_or_else(|_| {
        let message = format!("the body took longer than {} s", read_max.as_secs());
        Err(HttpError::new(StatusCode::REQUEST_TIMEOUT, code::REQUEST_TIMEOUT, message))
    })
}

/// Puts the parts of a body together. Most bodies arrive in one part, which is not copied.
async fn gather(
    body: &mut Body,
    bytes_max: usize,
    bound: &str,
    mut claim: Option<&mut Claim>,
) -> Result<Bytes, HttpError> {
    let (mut first, mut all) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| HttpError::bad_syntax("the body broke off").detail(error))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + all.len() + data.len() > bytes_max {
            return Err(too_large(bytes_max, bound));
        }
        if let Some(claim) = &mut claim {
            claim.grow(data.len())?;
        }
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
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
        let error = collect(&mut body, 9, "limit", Duration::ZERO, None).await.unwrap_err();
        assert_eq!(error.status(), StatusCode::REQUEST_TIMEOUT);
    }
}
