//! HTTP requests as bytes, which a normal HTTP client would not send.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::within;

/// An answer that was read from a socket.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    /// Headers by name in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl RawAnswer {
    /// Returns the `code` of an error body, or an empty text. Checks that an error body has exactly the expected members.
    pub(crate) fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or(Value::Null);
        assert!(body["error"]["message"].is_string() || self.status < 400, "{self:?}");
        body["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Returns an HTTP/1.1 request with these headers, and with `Content-Length` if there is a body.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    format!("{text}\r\n{body}")
}

/// Opens a connection to `http://ADDRESS…`.
pub(crate) async fn connect(url: &str) -> TcpStream {
    let address = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    within("a connection", TcpStream::connect(address)).await.unwrap()
}

/// Writes a request and reads its answer. The connection stays open.
pub(crate) async fn exchange(stream: &mut TcpStream, request: &str) -> RawAnswer {
    stream.write_all(request.as_bytes()).await.unwrap();
    within("an answer on the socket", read(stream)).await
}

/// Sends a request on a new connection and returns the answer.
pub(crate) async fn send(url: &str, request: &str) -> RawAnswer {
    exchange(&mut connect(url).await, request).await
}

async fn read(stream: &mut TcpStream) -> RawAnswer {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        fill(stream, &mut bytes).await;
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let pairs = lines.map(|line| line.split_once(':').unwrap());
    let headers: BTreeMap<String, String> =
        pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < end + 4 + length {
        fill(stream, &mut bytes).await;
    }
    RawAnswer { status, headers, body: String::from_utf8(bytes.split_off(end + 4)).unwrap() }
}

async fn fill(stream: &mut TcpStream, bytes: &mut Vec<u8>) {
    let mut chunk = [0; 4096];
    let count = stream.read(&mut chunk).await.unwrap();
    assert!(count > 0, "the host closed the connection after {:?}", String::from_utf8_lossy(bytes));
    bytes.extend_from_slice(&chunk[..count]);
}
