//! A reply that grows while the user reads it.

use std::fmt;

use serde_json::Value;

use crate::turn::Host;
use crate::{Activity, Result};

/// A reply that grows while the user reads it; see [`Turn::stream`](crate::Turn::stream).
///
/// The last message has everything that was appended. If the stream is dropped without [`close`](Self::close), the host closes it
/// when the handler returns, also if the handler fails.
pub struct TextStream<'t> {
    host: &'t dyn Host,
    id: String,
}

impl<'t> TextStream<'t> {
    pub(crate) fn open(host: &'t dyn Host, informative: Option<&str>) -> Result<Self> {
        Ok(Self { host, id: host.stream_open(informative)? })
    }

    /// Appends text. The host sends it at the pace of the channel, so append whatever is there.
    ///
    /// Faults: `unavailable` (the user stopped the stream: return), `quota` (the text is longer than `bytes-per-send`).
    pub fn append(&mut self, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.host.stream_append(&self.id, text)
    }

    /// Ends the stream with what was appended.
    pub fn close(self) -> Result<()> {
        self.close_with(Activity::new("message"))
    }

    /// Ends the stream with a message, such as one with suggested actions or attachments. If the message has no text, its text is
    /// what was appended. Faults: `invalid` (not a message), `quota`.
    pub fn close_with(self, message: impl Into<Activity>) -> Result<()> {
        self.host.stream_close(&self.id, &Value::Object(message.into().into_object()).to_string())
    }
}

impl fmt::Debug for TextStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextStream").field("id", &self.id).finish_non_exhaustive()
    }
}
