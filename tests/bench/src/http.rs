//! An HTTP/1.1 client with one connection.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::stats::now;

/// Timeout of a request, long enough for a deploy that compiles.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// A connection that is opened again if the server closed it.
pub(crate) struct Connection {
    address: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    /// Returns a connection that opens with its first request.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, sender: None }
    }

    /// Returns another connection to the same address.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.address)
    }

    /// Sends a request with a JSON body, or with bytes under a bearer token, and returns status and body.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Bytes,
    ) -> anyhow::Result<(u16, Bytes)> {
        let host = self.address.to_string();
        let sender = self.ready().await?;
        let kind = if method == Method::PUT { "application/wasm" } else { "application/json" };
        let mut request = Request::builder().method(method).uri(path).header("content-type", kind);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.header("host", host).body(Full::new(body))?;
        let answer = async {
            let response = sender.send_request(request).await.context("the request failed")?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.context("the answer broke off")?;
            anyhow::Ok((status, body.to_bytes()))
        };
        tokio::time::timeout(ANSWER_MAX, answer).await.context("no answer came")?
    }

    /// Sends a message to a bot with `expectReplies`, and returns the text of its first reply.
    pub(crate) async fn ask(&mut self, bot: &str, text: &str) -> anyhow::Result<String> {
        self.ask_in(bot, "questions", text).await
    }

    /// Like `says`, in a given conversation.
    pub(crate) async fn ask_in(&mut self, bot: &str, conversation: &str, text: &str) -> anyhow::Result<String> {
        let activity = json!({"type": "message", "id": format!("ask-{}", now()), "channelId": "bench", "text": text,
            "deliveryMode": "expectReplies", "from": {"id": "user"}, "recipient": {"id": "bot"},
            "conversation": {"id": conversation}});
        let path = format!("/api/bots/{bot}/messages");
        let (status, body) = self.send(Method::POST, &path, None, activity.to_string().into()).await?;
        ensure!(status == 200, "the bot answered {status}: {}", String::from_utf8_lossy(&body));
        let body: Value = serde_json::from_slice(&body)?;
        Ok(body["activities"][0]["text"].as_str().unwrap_or_default().to_owned())
    }

    async fn ready(&mut self) -> anyhow::Result<&mut SendRequest<Full<Bytes>>> {
        let mut kept = self.sender.take();
        if let Some(sender) = &mut kept
            && sender.ready().await.is_err()
        {
            kept = None;
        }
        let sender = match kept {
            Some(sender) => sender,
            None => connect(self.address).await?,
        };
        Ok(self.sender.insert(sender))
    }
}

async fn connect(address: SocketAddr) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // A broken connection is reported by the request that uses it.
        let _ = connection.await;
    });
    Ok(sender)
}
