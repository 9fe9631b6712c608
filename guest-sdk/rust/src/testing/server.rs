//! The servers of a test: a closure that answers HTTP requests.

use std::fmt;
use std::rc::Rc;

use crate::http::{Body, Reply, Request};
use crate::{Fault, Result};

/// The answer of a server in a test; see [`TestHost::serves`](super::TestHost::serves).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpReply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body, in the chunks in which the plugin gets it.
    pub chunks: Vec<Vec<u8>>,
    /// The fault after the last chunk, if the answer breaks off, or instead of an answer if there is no chunk.
    pub fault: Option<Fault>,
}

impl HttpReply {
    /// Creates an answer with a status and a body.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), chunks: vec![body.into()], fault: None }
    }

    /// Creates an answer whose body comes in these chunks.
    pub fn in_chunks<const N: usize>(status: u16, chunks: [&str; N]) -> Self {
        Self { chunks: chunks.map(|chunk| chunk.as_bytes().to_vec()).into(), ..Self::new(status, "") }
    }

    /// Creates a failure, such as `Fault::unavailable` for a server that is down.
    pub fn fails(fault: Fault) -> Self {
        Self { status: 0, headers: Vec::new(), chunks: Vec::new(), fault: Some(fault) }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into().to_ascii_lowercase(), value.into()));
        self
    }
}

/// What answers requests.
#[derive(Clone)]
pub(super) struct Server(pub(super) Rc<dyn Fn(&Request) -> HttpReply>);

impl Server {
    pub(super) fn answer(&self, request: &Request) -> Result<Reply> {
        let HttpReply { status, headers, chunks, fault } = (self.0)(request);
        match fault {
            Some(fault) if chunks.is_empty() => Err(fault),
            fault => Ok(Reply { status, headers, body: Box::new(Chunks { chunks: chunks.into_iter(), fault }) }),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Server")
    }
}

struct Chunks {
    chunks: std::vec::IntoIter<Vec<u8>>,
    fault: Option<Fault>,
}

impl Body for Chunks {
    fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        match self.chunks.find(|chunk| !chunk.is_empty()) {
            Some(chunk) => Ok(Some(chunk)),
            None => self.fault.take().map_or(Ok(None), Err),
        }
    }
}
