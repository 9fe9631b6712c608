//! Helpers that tests of storage, channels and delivery share: keys, settings, and a peer on a real socket.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::Address;
use crate::activity::{ChannelInstance, ConversationKey, Object};
use crate::config::Channel;

pub(crate) fn conversation(id: &str) -> ConversationKey {
    ConversationKey { bot: "bot".into(), channel: ChannelInstance::Wire("test".into()), conversation: id.into() }
}

pub(crate) fn address(id: &str, service_url: &str) -> Address {
    Address { conversation: conversation(id), service_url: service_url.into() }
}

pub(crate) fn object(text: &str) -> Object {
    serde_json::from_str(text).unwrap()
}

/// Returns settings with small limits and a short timeout that allow every port of this machine.
pub(crate) fn settings() -> Channel {
    Channel {
        connector_origins: vec!["http://localhost:*".to_owned()],
        outbox_rows_max: 8,
        dead_letters_max: 4,
        redelivery_marks_max: 4,
        id_map_entries_max: 8,
        ..Channel::default()
    }
}

/// A peer that answers each connection with the same bytes and exposes the requests that it read.
pub(crate) struct Peer {
    pub(crate) url: String,
    requests: mpsc::Receiver<String>,
}

impl Peer {
    /// Starts a peer that writes exactly `answer` and closes the connection.
    pub(crate) async fn answering(answer: &str) -> Self {
        Self::start(Some(answer.into()), false).await
    }

    /// Starts a peer that writes its answer and keeps the connection open.
    pub(crate) async fn holding(answer: &str) -> Self {
        Self::start(Some(answer.into()), true).await
    }

    /// Starts a peer that reads requests and never answers.
    pub(crate) async fn silent() -> Self {
        Self::start(None, true).await
    }

    /// Returns the next request, head and body, as text.
    pub(crate) async fn request(&mut self) -> String {
        self.requests.recv().await.unwrap()
    }

    /// Returns whether no request has arrived.
    pub(crate) fn unheard(&mut self) -> bool {
        self.requests.try_recv().is_err()
    }

    async fn start(answer: Option<Arc<str>>, holds: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer.clone(), holds, sender.clone()));
            }
        });
        Self { url, requests }
    }
}

async fn serve(mut stream: TcpStream, answer: Option<Arc<str>>, holds: bool, requests: mpsc::Sender<String>) {
    let mut read = Vec::new();
    while !is_whole(&read) {
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return;
        }
    }
    requests.send(String::from_utf8(read).unwrap()).await.unwrap();
    if let Some(answer) = answer {
        drop(stream.write_all(answer.as_bytes()).await);
    }
    if holds {
        // Wait until the client closes the connection.
        drop(stream.read(&mut [0]).await);
    }
}

fn is_whole(read: &[u8]) -> bool {
    let text = String::from_utf8_lossy(read);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// Formats an HTTP response with a body.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}
