//! Requests of the hostile guest, raw: whatever its message describes, as far as `wasi:http` lets it.

use serde_json::{Value, json};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    Scheme,
};
use wasip2::io::streams::StreamError;

/// Sends requests and returns what became of each. `asked` is an array of objects with `method`, `scheme`, `authority`, `path`,
/// `headers` (an array of pairs), `body`, and `read`, which is false for a response whose body is not read. All requests are
/// opened before the first response is awaited.
pub(crate) fn requests(asked: &str) -> Value {
    let asked: Vec<Value> = match serde_json::from_str(asked) {
        Ok(asked) => asked,
        Err(error) => return json!([{ "error": error.to_string() }]),
    };
    let opened: Vec<_> = asked.iter().map(open).collect();
    opened.into_iter().zip(&asked).map(|(opened, asked)| opened.map_or_else(failed, |it| outcome(&it, asked))).collect()
}

fn failed(error: String) -> Value {
    json!({ "error": error })
}

fn open(asked: &Value) -> Result<FutureIncomingResponse, String> {
    let text = |member: &str| asked[member].as_str().unwrap_or_default();
    let fields = Fields::new();
    for header in asked["headers"].as_array().into_iter().flatten() {
        let (name, value) = (header[0].as_str().unwrap_or_default(), header[1].as_str().unwrap_or_default());
        fields.append(name, value.as_bytes()).map_err(|error| format!("header {name}: {error:?}"))?;
    }
    let request = OutgoingRequest::new(fields);
    let method = match text("method") {
        "" | "GET" => Method::Get,
        "POST" => Method::Post,
        other => Method::Other(other.to_owned()),
    };
    let scheme = match text("scheme") {
        "" | "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    request.set_method(&method).map_err(|()| "method")?;
    request.set_scheme(Some(&scheme)).map_err(|()| "scheme")?;
    request.set_authority(Some(text("authority"))).map_err(|()| "authority")?;
    request.set_path_with_query(Some(text("path"))).map_err(|()| "path")?;
    let body = match &asked["body"] {
        Value::String(body) => Some((request.body().map_err(|()| "body")?, body)),
        _ => None,
    };
    let pending = handle(request, None).map_err(|code| name(&code))?;
    if let Some((outgoing, body)) = body {
        write(outgoing, body.as_bytes());
    }
    Ok(pending)
}

/// Writes a body as far as the host takes it.
fn write(body: OutgoingBody, mut bytes: &[u8]) {
    let Ok(stream) = body.write() else { return };
    while !bytes.is_empty() {
        match stream.check_write() {
            Ok(0) => stream.subscribe().block(),
            Ok(permitted) => {
                let (now, later) = bytes.split_at(bytes.len().min(usize::try_from(permitted).unwrap_or(usize::MAX)));
                if stream.write(now).is_err() {
                    return;
                }
                bytes = later;
            }
            Err(_) => return,
        }
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

fn outcome(pending: &FutureIncomingResponse, asked: &Value) -> Value {
    loop {
        match pending.get() {
            Some(Ok(Ok(response))) => return read(&response, asked["read"] != false),
            Some(Ok(Err(code))) => return failed(name(&code)),
            Some(Err(())) => return failed("taken twice".to_owned()),
            None => pending.subscribe().block(),
        }
    }
}

fn read(response: &IncomingResponse, reads: bool) -> Value {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers: Vec<Value> =
        response.headers().entries().iter().map(|(name, value)| json!([name, text(value)])).collect();
    let mut result = json!({ "status": response.status(), "headers": headers });
    let Ok(body) = response.consume() else { return result };
    if !reads {
        return result;
    }
    let mut bytes = Vec::new();
    if let Ok(stream) = body.stream() {
        loop {
            match stream.blocking_read(64 << 10) {
                Ok(chunk) => bytes.extend_from_slice(&chunk),
                Err(StreamError::Closed) => break,
                Err(StreamError::LastOperationFailed(error)) => {
                    result["broke"] = error.to_debug_string().lines().next().unwrap_or_default().into();
                    break;
                }
            }
        }
    }
    result["length"] = bytes.len().into();
    result["body"] = text(&bytes[..bytes.len().min(64 << 10)]).into();
    let trailers = IncomingBody::finish(body);
    trailers.subscribe().block();
    if let Some(Ok(Ok(Some(trailers)))) = trailers.get() {
        let trailers = trailers.entries();
        result["trailers"] = trailers.iter().map(|(name, value)| json!([name, text(value)])).collect();
    }
    result
}

fn name(code: &ErrorCode) -> String {
    format!("{code:?}")
}
