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

/// Connections that one listener serves at once; further ones wait in the backlog of the system.
const CONNECTIONS_MAX: usize = 4_096;
/// How long a new connection may take to bring its first request head.
const FIRST_REQUEST_MAX: Duration = Duration::from_secs(10);
/// How long a kept-alive connection may take to bring the next head, idle time included.
const NEXT_REQUEST_MAX: Duration = Duration::from_secs(60);
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
/// Upgraded connections (WebSocket) are their handlers' and not waited for.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) {
    let server = Arc::new(builder());
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

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .keep_alive(true)
        .max_buf_size(HEAD_BYTES_MAX)
        .header_read_timeout(NEXT_REQUEST_MAX);
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
    let service = service_fn(|mut request: Request<Incoming>| {
        spoken.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(LocalAddress(local));
        // A router is always ready.
        router.clone().call(request.map(Body::new))
    });
    let served = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::select! {
        result = watcher.watch(served) => if let Err(error) = result {
            tracing::debug!(error = %error, "connection ended");
        },
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
