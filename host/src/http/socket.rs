//! The socket of a connection: shared with requests that must learn when their client is gone, and closed with care.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::unread::{Abandoned, LINGER_BYTES_MAX, LINGER_MAX};

/// The client at the other end of a connection; an extension of every request of [`super::serve`].
///
/// A client may end its sending side when its request is sent, and read the answer (half-close). TCP does not tell that from a
/// client that closed its socket until something is sent to it.
#[derive(Debug, Clone)]
pub(super) struct Peer(Arc<TcpStream>);

impl Peer {
    /// Returns when the client certainly reads no more: it reset the connection, or something that was sent to it came back.
    pub(super) async fn gone(&self) {
        // An error of this call is one of the runtime, which then shuts down.
        let _ = self.0.ready(Interest::ERROR).await;
    }

    /// Returns when the client has ended its sending side, for answers that have no end themselves. Only for HTTP/1.1, where
    /// nothing else reads meanwhile. Where the client has sent another request already, this never returns.
    pub(super) async fn ended(&self) {
        match self.0.peek(&mut [0]).await {
            Ok(0) | Err(_) => {}
            Ok(_) => std::future::pending().await,
        }
    }
}

/// A socket that is not closed on unread bytes: the system would reset its connection, and the peer might lose the last answer.
///
/// After its own end it reads on and drops what it reads, until the peer ends too or a bound is reached; only where a
/// request was [`Abandoned`].
pub(super) struct Socket {
    stream: Arc<TcpStream>,
    abandoned: Abandoned,
    rest: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Socket {
    /// Wraps a stream. The peer and the flag are for its requests.
    pub(super) fn new(stream: TcpStream) -> (Self, Peer, Abandoned) {
        let (stream, abandoned) = (Arc::new(stream), Abandoned::default());
        (Self { stream: stream.clone(), abandoned: abandoned.clone(), rest: None }, Peer(stream), abandoned)
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
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, |stream| stream.try_write_vectored(parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing is buffered here.
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
                // The peer has ended, or is gone.
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
    fn poll_write_with(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match write(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}
