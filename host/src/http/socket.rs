//! The socket of a connection. Requests share it to detect that their client is gone, and it is closed so that the client
//! can read the last answer.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::places::Place;
use super::unread::{Abandoned, LINGER_BYTES_MAX, LINGER_MAX};

/// The client of a connection. [`super::serve`] adds it to every request as an extension.
///
/// A client may close its sending side after its request and still read the answer (half-close). TCP cannot distinguish
/// such a client from one that closed its socket until the host sends something.
#[derive(Debug, Clone)]
pub(super) struct Peer(Arc<TcpStream>);

impl Peer {
    /// Returns when the client certainly does not read any more: it reset the connection or rejected sent data.
    pub(super) async fn gone(&self) {
        // This call fails only if the runtime shuts down.
        let _ = self.0.ready(Interest::ERROR).await;
    }

    /// Returns when the client has closed its sending side. For answers without an end, on HTTP/1.1 only, where nothing else
    /// reads from the socket meanwhile. Never returns if the client has already sent another request.
    pub(super) async fn ended(&self) {
        match self.0.peek(&mut [0]).await {
            Ok(0) | Err(_) => {}
            Ok(_) => std::future::pending().await,
        }
    }
}

/// A socket that is not closed while it has unread bytes, because the system would then reset the connection, and the peer
/// could lose the last answer.
///
/// If a request was [`Abandoned`], the socket closes its sending side, then reads and drops bytes until the peer closes its
/// side too or a limit is reached.
pub(super) struct Socket {
    stream: Arc<TcpStream>,
    abandoned: Abandoned,
    rest: Option<(Pin<Box<Sleep>>, usize)>,
    /// How long the peer may read nothing of what is written, and the end of that time while it reads nothing.
    write_stall: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    /// The place of the connection, also after it became a `WebSocket`.
    _place: Arc<Place>,
}

impl Socket {
    /// Wraps a stream. The caller adds the returned peer and flag to the requests of the connection.
    pub(super) fn new(stream: TcpStream, write_stall: Duration, place: Arc<Place>) -> (Self, Peer, Abandoned) {
        let (stream, abandoned) = (Arc::new(stream), Abandoned::default());
        let socket = Self {
            stream: stream.clone(),
            abandoned: abandoned.clone(),
            rest: None,
            write_stall,
            stalled: None,
            _place: place,
        };
        (socket, Peer(stream), abandoned)
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read_buf(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(drop)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |stream| stream.try_write_vectored(parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing, because the socket has no buffer.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.rest.is_none() {
            SockRef::from(&*self.stream).shutdown(Shutdown::Write)?;
            if !self.abandoned.is_set() {
                return Poll::Ready(Ok(()));
            }
        }
        let (mut end, mut dropped) = self.rest.take().unwrap_or_else(|| (Box::pin(sleep(LINGER_MAX)), 0));
        let mut scratch = [0; 16 * 1024];
        while dropped <= LINGER_BYTES_MAX && end.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut scratch);
            match self.as_mut().poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => dropped += buffer.filled().len(),
                // The peer closed its side or is gone.
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    self.rest = Some((end, dropped));
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Socket {
    /// Writes what the peer takes. The error says that it takes nothing for too long.
    fn poll_write_with(
        &mut self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        while self.stream.poll_write_ready(cx)?.is_ready() {
            match write(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => {
                    self.stalled = None;
                    return Poll::Ready(written);
                }
            }
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.write_stall)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer reads nothing (`server.write-stall-ms`)")))
    }
}
