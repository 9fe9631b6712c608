//! Sends requests with `wasi:http/outgoing-handler`.

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};
use wasip2::io::streams::{InputStream, StreamError};

use crate::http::{Body, Reply, Request};
use crate::{Fault, Result};

/// The most bytes that one call reads.
const CHUNK_BYTES: u64 = 64 << 10;

/// Sends a request and waits for the headers of the response.
pub(super) fn send(request: &Request) -> Result<Reply> {
    let (outgoing, written) = outgoing(request)?;
    let denied = |code: &ErrorCode| fault(code, request);
    // The body is written after the request has begun, because the host buffers only a little of it.
    let pending = handle(outgoing, None).map_err(|code| denied(&code))?;
    let sent = match (&request.body, written) {
        (Some(bytes), Some(body)) => write(body, bytes),
        _ => Ok(()),
    };
    let response = loop {
        match pending.get() {
            Some(Ok(Ok(response))) => break response,
            Some(Ok(Err(code))) => return Err(denied(&code)),
            Some(Err(())) => return Err(Fault::internal("the response was taken twice")),
            None => pending.subscribe().block(),
        }
    };
    // A server may answer without reading the whole body.
    if response.status() < 400 {
        sent?;
    }
    reply(response)
}

fn outgoing(request: &Request) -> Result<(OutgoingRequest, Option<OutgoingBody>)> {
    let invalid = |what: &str| Fault::invalid(format!("the request cannot be sent: {what}"));
    let (scheme, rest) = request.url.split_once("://").ok_or_else(|| invalid("its URL has no scheme"))?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let path = path.split('#').next().unwrap_or_default();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "https" => Scheme::Https,
        "http" => Scheme::Http,
        _ => return Err(invalid("the scheme of its URL is not http or https")),
    };
    let fields = Fields::new();
    for (name, value) in &request.headers {
        fields.append(name, value.as_bytes()).map_err(|_| invalid(&format!("the header `{name}`")))?;
    }
    if let Some(body) = &request.body {
        let length = body.len().to_string();
        fields.append("content-length", length.as_bytes()).map_err(|_| invalid("the length of its body"))?;
    }
    let outgoing = OutgoingRequest::new(fields);
    outgoing.set_method(&method(&request.method)).map_err(|()| invalid("its method"))?;
    outgoing.set_scheme(Some(&scheme)).map_err(|()| invalid("the scheme of its URL"))?;
    outgoing.set_authority(Some(authority)).map_err(|()| invalid("the host of its URL"))?;
    outgoing.set_path_with_query(Some(&path)).map_err(|()| invalid("the path of its URL"))?;
    let body = match request.body.is_some() {
        true => Some(outgoing.body().map_err(|()| invalid("its body"))?),
        false => None,
    };
    Ok((outgoing, body))
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

fn write(body: OutgoingBody, mut bytes: &[u8]) -> Result<()> {
    let failed = || Fault::unavailable("the server did not read the body of the request");
    let stream = body.write().map_err(|()| failed())?;
    while !bytes.is_empty() {
        match stream.check_write() {
            Ok(0) => stream.subscribe().block(),
            Ok(permitted) => {
                let count = bytes.len().min(usize::try_from(permitted).unwrap_or(usize::MAX));
                let (now, later) = bytes.split_at(count);
                stream.write(now).map_err(|_| failed())?;
                bytes = later;
            }
            Err(_) => return Err(failed()),
        }
    }
    // The host has all bytes now. Once the server has answered, the host may close the stream before this guest does.
    let _ = stream.flush();
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
    Ok(())
}

fn reply(response: IncomingResponse) -> Result<Reply> {
    let headers = response.headers().entries();
    let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
    let headers = headers.into_iter().map(|(name, value)| (name, text(value))).collect();
    let taken = || Fault::internal("the body of the response was taken twice");
    let body = response.consume().map_err(|()| taken())?;
    let stream = body.stream().map_err(|()| taken())?;
    let status = response.status();
    Ok(Reply { status, headers, body: Box::new(Incoming { stream, _body: body, _response: response }) })
}

/// A body that is being read. Fields are dropped in order, children first.
struct Incoming {
    stream: InputStream,
    _body: IncomingBody,
    _response: IncomingResponse,
}

impl Body for Incoming {
    fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            match self.stream.blocking_read(CHUNK_BYTES) {
                Ok(chunk) if chunk.is_empty() => {}
                Ok(chunk) => return Ok(Some(chunk)),
                Err(StreamError::Closed) => return Ok(None),
                Err(StreamError::LastOperationFailed(error)) => return Err(broken(&error.to_debug_string())),
            }
        }
    }
}

/// Returns the fault of a body that broke off. The host says why in the first line.
fn broken(text: &str) -> Fault {
    let why = text.lines().next().unwrap_or_default();
    match why.split_once("the limit ") {
        Some((_, limit)) => Fault::quota(format!("the limit {limit}")),
        None => Fault::unavailable(format!("the answer broke off: {why}")),
    }
}

/// Returns the fault of a request. A denial names the grant.
fn fault(code: &ErrorCode, request: &Request) -> Fault {
    match code {
        ErrorCode::HttpRequestDenied => {
            let end = request.url.find("://").map_or(0, |at| at + 3);
            let end = request.url[end..].find(['/', '?', '#']).map_or(request.url.len(), |at| end + at);
            let (origin, method) = (&request.url[..end], &request.method);
            Fault::denied(format!(
                "needs the grant http = [{{ url = \"{origin}/\", methods = [\"{method}\"] }}], wanted by the manifest and \
                 given by the operator; the turn's record says which is missing"
            ))
        }
        code => of(code),
    }
}

fn of(code: &ErrorCode) -> Fault {
    let reached = |key: &str, limit: Option<u64>| {
        let limit = limit.map(|limit| format!(" ({limit})")).unwrap_or_default();
        format!("the limit {key}{limit} is reached")
    };
    match code {
        ErrorCode::HttpRequestUriInvalid => Fault::invalid("the URL of the request is not usable"),
        ErrorCode::DestinationIpProhibited => {
            Fault::denied("the host has an inner address, which the grant `http` does not list in `addresses`")
        }
        ErrorCode::InternalError(Some(why)) => Fault::quota(why.clone()),
        ErrorCode::HttpRequestBodySize(limit) => Fault::quota(reached("http-request-bytes", *limit)),
        ErrorCode::HttpResponseBodySize(limit) => Fault::quota(reached("http-response-bytes", *limit)),
        ErrorCode::HttpResponseHeaderSectionSize(limit) => {
            Fault::quota(reached("http-response-fields-bytes", limit.map(u64::from)))
        }
        ErrorCode::ConnectionLimitReached => Fault::quota(reached("http-requests-at-once", None)),
        ErrorCode::ConnectionTimeout => Fault::deadline(reached("http-connect-ms", None)),
        ErrorCode::ConnectionReadTimeout => Fault::deadline(reached("http-first-byte-ms", None)),
        ErrorCode::HttpResponseTimeout => Fault::deadline(reached("http-ms", None)),
        other => Fault::unavailable(format!("the request failed: {other:?}")),
    }
}
