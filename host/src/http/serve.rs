//! Connections: from a bound listener to requests, until told to stop.

use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tower::Service;

use super::client::{PeerAddress, Proxies, proxy_header};
use super::guard::LocalAddress;
use super::places::{InProgress, Place, Places};
use super::socket::Socket;
use crate::config;

/// How long a new connection may take to bring its first request head, and what a proxy says before that.
const FIRST_REQUEST_MAX: Duration = Duration::from_secs(10);
/// Bytes of a request head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;
/// Bytes that an HTTP/2 client may send before somebody reads them, in one request and in a connection.
const STREAM_BYTES_MAX: u32 = 128 * 1024;
const CONNECTION_BYTES_MAX: u32 = 256 * 1024;
/// Bytes of answers of one HTTP/2 request that are written ahead.
const AHEAD_BYTES_MAX: usize = 64 * 1024;
/// After so much silence an HTTP/2 peer is asked whether it is there.
const PING_AFTER: Duration = Duration::from_secs(20);
/// How long accepting pauses where the system has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a connection whose place is needed may take to end in good order.
const LEAVE_MAX: Duration = Duration::from_secs(1);
/// An answer of at most this size is written at once, so its request has ended when the answer is made.
const WRITTEN_AT_ONCE: u64 = 64 * 1024;

/// What a listener asks of its connections.
#[derive(Debug, Clone)]
pub struct Connections {
    /// `server.connections-max`
    pub max: usize,
    /// `server.connections-per-peer-max`
    pub per_peer_max: usize,
    /// `server.keep-alive-ms`
    pub keep_alive: Duration,
    /// `server.write-stall-ms`
    pub write_stall: Duration,
    proxies: Proxies,
}

impl Connections {
    /// Those of the public listener.
    pub fn public(server: &config::Server) -> Self {
        Self { proxies: Proxies::of(server), ..Self::admin(server) }
    }

    /// Those of the admin listener, which no proxy is in front of.
    pub fn admin(server: &config::Server) -> Self {
        Self {
            max: server.connections_max,
            per_peer_max: server.connections_per_peer_max,
            keep_alive: server.keep_alive,
            write_stall: server.write_stall,
            proxies: Proxies::default(),
        }
    }
}

/// What the connections of one listener share.
struct Listening {
    server: Builder<TokioExecutor>,
    router: Router,
    connections: Connections,
}

/// Serves HTTP/1.1 and HTTP/2 (by prior knowledge), upgrades included, until `shutdown`; then accepts nothing more,
/// closes idle connections and returns when requests under way are answered. The caller bounds that wait.
///
/// A client may close its sending side and still read its answer. A client that is gone is detected when it resets the
/// connection, at the latest when the host sends to it. The deadlines of answers limit how long that takes.
///
/// A connection that has no request in progress for `keep_alive` is closed, and also one that lacks the next request head for
/// that time. If all places are taken, the connection that has been idle longest is closed for a new one.
/// Upgraded connections (WebSocket) are their handlers' and not waited for.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    connections: Connections,
    shutdown: impl Future<Output = ()>,
) {
    let places = Places::new(connections.max, connections.per_peer_max, connections.proxies.clone());
    let listening = Arc::new(Listening { server: builder(connections.keep_alive), router, connections });
    let (stop, stopping) = watch::channel(false);
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = &mut shutdown => break,
        };
        tokio::spawn(listening.clone().connection(accepted, stopping.clone()));
    }
    drop((listener, stopping));
    stop.send_replace(true);
    stop.closed().await;
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
        .initial_stream_window_size(STREAM_BYTES_MAX)
        .initial_connection_window_size(CONNECTION_BYTES_MAX)
        .max_send_buf_size(AHEAD_BYTES_MAX)
        .keep_alive_interval(PING_AFTER);
    builder
}

/// A connection that has a place, where it comes from, and where it arrived.
struct Accepted {
    place: Arc<Place>,
    stream: TcpStream,
    peer: IpAddr,
    local: SocketAddr,
}

/// Accepts the next connection that gets a place. One whose address has its share is dropped.
async fn accept(listener: &TcpListener, places: &Arc<Places>) -> Accepted {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => match stream.local_addr() {
                Ok(local) => {
                    let peer = peer.ip();
                    if let Some(place) = places.take(peer).await {
                        return Accepted { place, stream, peer, local };
                    }
                    tracing::debug!(%peer, "connection refused: its address has `server.connections-per-peer-max`");
                }
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

impl Listening {
    /// Serves one connection to its end.
    async fn connection(self: Arc<Self>, accepted: Accepted, mut stopping: watch::Receiver<bool>) {
        let Accepted { place, mut stream, peer, local } = accepted;
        // Answers are small and whole; waiting to fill a segment only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot switch off send coalescing");
        }
        let proxies = &self.connections.proxies;
        if !(proxies.speak_first && proxies.has(peer)) {
            return self.requests(stream, place, (peer, local), stopping).await;
        }
        let named = tokio::select! {
            named = timeout(FIRST_REQUEST_MAX, proxy_header(&mut stream)) => named,
            () = place.needed() => return,
            () = told_to_stop(&mut stopping) => return,
        };
        match named {
            Ok(Ok(None)) => self.requests(stream, place, (peer, local), stopping).await,
            Ok(Ok(Some(client))) if place.is_of(client) => {
                self.requests(stream, place, (client, local), stopping).await;
            }
            Ok(Ok(Some(client))) => {
                tracing::debug!(%client, "connection refused: its address has `server.connections-per-peer-max`");
            }
            Ok(Err(error)) => tracing::warn!(%error, %peer, "connection refused: `server.proxy-protocol` is true"),
            Err(_) => tracing::debug!(%peer, "connection closed: its proxy said nothing"),
        }
    }

    async fn requests(
        &self,
        stream: TcpStream,
        place: Arc<Place>,
        (peer, local): (IpAddr, SocketAddr),
        mut stopping: watch::Receiver<bool>,
    ) {
        let spoken = AtomicBool::new(false);
        let (stream, socket, abandoned) = Socket::new(stream, self.connections.write_stall, place.clone());
        let service = service_fn(|mut request: Request<Incoming>| {
            spoken.store(true, Ordering::Relaxed);
            let in_progress = place.begin();
            request.extensions_mut().insert(LocalAddress(local));
            request.extensions_mut().insert(PeerAddress(peer));
            request.extensions_mut().insert(socket.clone());
            request.extensions_mut().insert(abandoned.clone());
            // A router is always ready.
            let answered = self.router.clone().call(request.map(Body::new));
            async move { answered.await.map(|response| in_progress.until_written(response)) }
        });
        let mut served = pin!(self.server.serve_connection_with_upgrades(TokioIo::new(stream), service));
        let ends = async {
            tokio::select! {
                () = told_to_stop(&mut stopping) => false,
                () = place.idle_for(self.connections.keep_alive) => true,
                () = place.needed() => true,
            }
        };
        let leaves_soon = tokio::select! {
            result = served.as_mut() => return ended(result),
            () = socket.gone() => return tracing::debug!("connection reset by its peer"),
            () = silence(&spoken) => return tracing::debug!("connection closed: no request came"),
            leaves_soon = ends => leaves_soon,
        };
        served.as_mut().graceful_shutdown();
        tokio::select! {
            result = served => ended(result),
            () = socket.gone() => tracing::debug!("connection reset by its peer"),
            () = sleep(LEAVE_MAX), if leaves_soon => tracing::debug!("connection closed for another one, or idle"),
        }
    }
}

async fn told_to_stop(stopping: &mut watch::Receiver<bool>) {
    // A dropped sender means that the host is being torn down, which must stop connections too.
    let _ = stopping.wait_for(|stop| *stop).await;
}

fn ended(result: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}

/// Ends when a connection had its time and brought no request; else never.
async fn silence(spoken: &AtomicBool) {
    sleep(FIRST_REQUEST_MAX).await;
    if spoken.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

impl InProgress {
    /// Counts the request until its answer is written.
    fn until_written(self, response: Response) -> Response {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.for_good();
            return response;
        }
        if response.body().size_hint().upper().is_some_and(|bytes| bytes <= WRITTEN_AT_ONCE) {
            return response;
        }
        response.map(|body| Body::new(Writing { body, _in_progress: self }))
    }
}

/// The body of an answer that is being written.
struct Writing {
    body: Body,
    _in_progress: InProgress,
}

impl hyper::body::Body for Writing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
