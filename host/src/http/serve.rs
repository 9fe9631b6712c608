//! Connections: from a bound listener to requests, until told to stop.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tower::Service;

use super::guard::LocalAddress;
use super::socket::Socket;

/// Connections that one listener serves at once; further ones wait in the backlog of the system.
const CONNECTIONS_MAX: usize = 4_096;
/// How long a new connection may take to bring its first request head.
const FIRST_REQUEST_MAX: Duration = Duration::from_secs(10);
/// Bytes of a request head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;
/// After so much silence an HTTP/2 peer is asked whether it is there.
const PING_AFTER: Duration = Duration::from_secs(20);
/// How long accepting pauses where the system has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves HTTP/1.1 and HTTP/2 (by prior knowledge), upgrades included, until `shutdown`; then accepts nothing more,
/// closes idle connections and returns when requests under way are answered. The caller bounds that wait.
///
/// A client may close its sending side and still read its answer. A client that is gone is detected when it resets the
/// connection, at the latest when the host sends to it. The deadlines of answers limit how long that takes.
///
/// A connection of HTTP/1.1 is closed where it does not bring the next request head within `keep_alive`, idle time included.
/// Upgraded connections (WebSocket) are their handlers' and not waited for.
pub async fn serve(listener: TcpListener, router: Router, keep_alive: Duration, shutdown: impl Future<Output = ()>) {
    let server = Arc::new(builder(keep_alive));
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &connections) => accepted,
            () = &mut shutdown => break,
        };
        let Some((permit, stream, local)) = accepted else { break };
        tokio::spawn(connection(server.clone(), stream, local, router.clone(), graceful.watcher(), permit));
    }
    drop(listener);
    graceful.shutdown().await;
}

fn builder(keep_alive: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .keep_alive(true)
        .half_close(true)
        .max_buf_size(HEAD_BYTES_MAX)
        .header_read_timeout(keep_alive);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_AFTER);
    builder
}

/// Accepts the next connection that has a place. None: the listener's semaphore is closed, which nobody does.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(OwnedSemaphorePermit, TcpStream, SocketAddr)> {
    let permit = connections.clone().acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match stream.local_addr() {
                Ok(local) => return Some((permit, stream, local)),
                // The peer is gone already.
                Err(error) => tracing::debug!(%error, "connection lost while it was accepted"),
            },
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection to its end.
async fn connection(
    server: Arc<Builder<TokioExecutor>>,
    stream: TcpStream,
    local: SocketAddr,
    router: Router,
    watcher: Watcher,
    _permit: OwnedSemaphorePermit,
) {
    // Answers are small and whole; waiting to fill a segment only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot switch off send coalescing");
    }
    let spoken = AtomicBool::new(false);
    let (stream, peer, abandoned) = Socket::new(stream);
    let service = service_fn(|mut request: Request<Incoming>| {
        spoken.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(LocalAddress(local));
        request.extensions_mut().insert(peer.clone());
        request.extensions_mut().insert(abandoned.clone());
        // A router is always ready.
        router.clone().call(request.map(Body::new))
    });
    let served = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::select! {
        result = watcher.watch(served) => if let Err(error) = result {
            tracing::debug!(error = %error, "connection ended");
        },
        () = peer.gone() => tracing::debug!("connection reset by its peer"),
        () = silence(&spoken) => tracing::debug!("connection closed: no request came"),
    }
}

/// Ends when a connection had its time and brought no request; else never.
async fn silence(spoken: &AtomicBool) {
    sleep(FIRST_REQUEST_MAX).await;
    if spoken.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::WebSocketUpgrade;
    use axum::extract::ws::Message;
    use axum::response::Response;
    use axum::routing::get;
    use axum::{Extension, Router};
    use futures_util::{SinkExt, StreamExt};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;
    use tokio_tungstenite::tungstenite;

    use super::*;

    const KEEP_ALIVE: Duration = Duration::from_secs(600);

    /// Returns the address of a running server, what stops it, and its end.
    async fn start(router: Router) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let server = serve(listener, router, KEEP_ALIVE, async move { stopped.await.unwrap_or_default() });
        (address, stop, tokio::spawn(server))
    }

    /// Sends one request and reads one answer of known length.
    async fn exchange(stream: &mut TcpStream, request: &str, answer_ends: &str) -> String {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let mut buffer = [0; 1024];
        while !answer.ends_with(answer_ends) {
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(read > 0, "closed after {answer:?}");
            answer.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
        answer
    }

    #[tokio::test]
    async fn a_connection_serves_several_requests_and_knows_its_address() {
        let handler = async |Extension(LocalAddress(local)): Extension<LocalAddress>| format!("{local}!");
        let (address, _stop, _server) = start(Router::new().route("/", get(handler))).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        for _ in 0..2 {
            let answer = exchange(&mut stream, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", "!").await;
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&format!("{address}!")), "{answer}");
        }
    }

    #[tokio::test]
    async fn a_connection_without_a_next_request_is_closed_after_its_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "hi"));
        tokio::spawn(serve(listener, router, Duration::from_millis(50), std::future::pending()));
        // On a slow machine the time may be over before the request is there; then it is asked again.
        loop {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut all = Vec::new();
            let request = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
            let is_closed = stream.write_all(request).await.is_ok() && stream.read_to_end(&mut all).await.is_ok();
            if is_closed && all.starts_with(b"HTTP/1.1 200") {
                break;
            }
        }
    }

    #[tokio::test]
    async fn http_2_is_spoken_by_prior_knowledge() {
        let (address, _stop, _server) = start(Router::new()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let empty_settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        stream.write_all(&empty_settings).await.unwrap();
        let mut header = [0; 9];
        stream.read_exact(&mut header).await.unwrap();
        assert_eq!(header[3], 4, "the first frame is SETTINGS: {header:?}");
    }

    #[tokio::test]
    async fn stopping_finishes_what_is_under_way_and_closes_what_is_idle() {
        let (started, mut starts) = tokio::sync::mpsc::channel(1);
        let gate = Arc::new(Semaphore::new(0));
        let opened = gate.clone();
        let slow = async move || {
            started.send(()).await.unwrap();
            opened.acquire().await.unwrap().forget();
            "done"
        };
        let router = Router::new().route("/slow", get(slow)).route("/", get(async || "quick"));
        let (address, stop, server) = start(router).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        exchange(&mut idle, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", "quick").await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let caller = tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            exchange(&mut stream, "GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n", "done").await
        });
        starts.recv().await.unwrap();

        stop.send(()).unwrap();
        assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0, "the idle connection is closed");
        assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0, "and the one that never said anything");
        assert!(!server.is_finished());
        gate.add_permits(1);
        assert!(caller.await.unwrap().starts_with("HTTP/1.1 200"));
        server.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "nothing listens any more");
    }

    /// The answer is large, so that it is still being sent after the client has closed its side.
    #[tokio::test]
    async fn a_client_that_ends_its_side_reads_the_whole_answer() {
        let gate = Arc::new(Semaphore::new(0));
        let opened = gate.clone();
        let (started, mut starts) = tokio::sync::mpsc::channel(1);
        let handler = async move |body: String| {
            started.send(()).await.unwrap();
            opened.acquire().await.unwrap().forget();
            body.repeat(1 << 20)
        };
        let (address, _stop, _server) = start(Router::new().route("/", axum::routing::post(handler))).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
        stream.shutdown().await.unwrap();
        starts.recv().await.unwrap();
        gate.add_permits(1);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"hihi"));
        assert!(answer.len() > 2 << 20, "{}", answer.len());
    }

    #[tokio::test]
    async fn a_client_that_is_gone_holds_no_connection() {
        /// Reports when the handler of a request is dropped.
        struct Held(tokio::sync::mpsc::UnboundedSender<&'static str>);
        impl Drop for Held {
            fn drop(&mut self) {
                self.0.send("given up").unwrap();
            }
        }
        let (told, mut tells) = tokio::sync::mpsc::unbounded_channel();
        let handler = async move || {
            let _held = Held(told.clone());
            told.send("begun").unwrap();
            std::future::pending::<()>().await;
        };
        let (address, _stop, _server) = start(Router::new().route("/", get(handler))).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        assert_eq!(tells.recv().await, Some("begun"));
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        drop(stream);
        assert_eq!(tells.recv().await, Some("given up"));
    }

    #[tokio::test]
    async fn a_connection_can_become_a_web_socket() {
        async fn echo(upgrade: WebSocketUpgrade) -> Response {
            upgrade.on_upgrade(async |mut socket| {
                while let Some(Ok(Message::Text(text))) = socket.recv().await {
                    socket.send(Message::Text(text)).await.unwrap();
                }
            })
        }
        let (address, _stop, _server) = start(Router::new().route("/socket", get(echo))).await;
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut socket, _) = tokio_tungstenite::client_async("ws://localhost/socket", stream).await.unwrap();
        socket.send(tungstenite::Message::text("hi")).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), tungstenite::Message::text("hi"));
    }
}
