//! A server that guests call: real sockets on loopback, and bytes as the spec wants them, however wrong they are.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

/// What the server sends for one request.
pub(crate) struct Sends {
    /// The pieces, each in a write of its own.
    pub(crate) pieces: Vec<Vec<u8>>,
    pub(crate) then: Then,
}

/// What the server does after that.
pub(crate) enum Then {
    /// It reads the next request.
    GoOn,
    /// It closes the connection.
    Close,
    /// It sends nothing more, and waits for the client to close.
    Hang,
    /// It sends these bytes until the client closes.
    Repeat(Vec<u8>),
}

/// A running server. It ends with the spec.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    requests: Vec<String>,
}

impl Server {
    /// Starts a server. `respond` gets the text of each request, with its body.
    pub(crate) async fn start(respond: impl Fn(&str) -> Sends + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::<Mutex<Seen>>::default());
        let (respond, noted) = (Arc::new(respond), seen.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                noted.lock().unwrap().connections += 1;
                let (respond, seen) = (respond.clone(), noted.clone());
                tokio::spawn(async move { serve(socket, &*respond, &seen).await });
            }
        });
        Self { address, seen }
    }

    /// Returns how many connections there were, and the requests.
    pub(crate) fn seen(&self) -> (usize, Vec<String>) {
        let seen = self.seen.lock().unwrap();
        (seen.connections, seen.requests.clone())
    }

    /// Returns the address as a part of a URL.
    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }
}

impl Sends {
    /// Sends a whole answer with these headers, each with its line break.
    pub(crate) fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len());
        Self { pieces: vec![[head.as_bytes(), body].concat()], then: Then::GoOn }
    }

    /// Sends these bytes.
    pub(crate) fn bytes(bytes: impl AsRef<[u8]>, then: Then) -> Self {
        Self { pieces: vec![bytes.as_ref().to_vec()], then }
    }

    /// Sends a body in chunks of so many bytes.
    pub(crate) fn chunked(headers: &str, body: &[u8], size: usize, trailers: &str) -> Self {
        let mut pieces = vec![format!("HTTP/1.1 200 OK\r\n{headers}transfer-encoding: chunked\r\n\r\n").into_bytes()];
        pieces
            .extend(body.chunks(size).map(|part| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat()));
        pieces.push(format!("0\r\n{trailers}\r\n").into_bytes());
        Self { pieces, then: Then::GoOn }
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut socket: S, respond: &dyn Responds, seen: &Mutex<Seen>) {
    while let Some(request) = read(&mut socket).await {
        seen.lock().unwrap().requests.push(request.clone());
        let Sends { pieces, then } = respond.respond(&request);
        for piece in pieces {
            if socket.write_all(&piece).await.is_err() || socket.flush().await.is_err() {
                return;
            }
        }
        match then {
            Then::GoOn => {}
            Then::Close => return,
            Then::Hang => drop(socket.read_to_end(&mut Vec::new()).await),
            Then::Repeat(bytes) => while socket.write_all(&bytes).await.is_ok() {},
        }
    }
}

trait Responds: Send + Sync {
    fn respond(&self, request: &str) -> Sends;
}

impl<F: Fn(&str) -> Sends + Send + Sync> Responds for F {
    fn respond(&self, request: &str) -> Sends {
        self(request)
    }
}

/// Reads one request with a body of known length or in chunks.
async fn read(socket: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            let chunked = head.contains("transfer-encoding: chunked");
            if body.len() >= length.unwrap_or(0) && (!chunked || body.ends_with("0\r\n\r\n")) {
                return Some(text);
            }
        }
        let mut part = vec![0; 16 << 10];
        match socket.read(&mut part).await {
            Ok(count) if count > 0 => bytes.extend_from_slice(&part[..count]),
            _ => return None,
        }
    }
}
