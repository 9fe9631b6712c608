//! Reads server-sent events from bytes that come in any pieces.

use turntable_sdk::{Fault, Result};

/// The longest line of an event, in bytes.
const LINE_BYTES_MAX: usize = 256 << 10;

/// A reader of server-sent events. Only their `data` counts here.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// Bytes of a line that has not ended.
    line: Vec<u8>,
    /// The data of an event that has not ended.
    data: Option<String>,
    /// The last byte ended a line with a carriage return, so a line feed after it belongs to the same end.
    after_return: bool,
}

impl Events {
    /// Takes the next bytes and returns the data of the events that they complete. Fault `unavailable`: a line is too long, or is
    /// not UTF-8.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>> {
        let mut complete = Vec::new();
        for &byte in bytes {
            let continues_end = std::mem::take(&mut self.after_return) && byte == b'\n';
            match byte {
                _ if continues_end => {}
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    complete.extend(self.end_line(&line)?);
                }
                _ if self.line.len() >= LINE_BYTES_MAX => {
                    return Err(Fault::unavailable("the model sent a line that is too long"));
                }
                _ => self.line.push(byte),
            }
        }
        Ok(complete)
    }

    fn end_line(&mut self, line: &[u8]) -> Result<Option<String>> {
        let line =
            std::str::from_utf8(line).map_err(|_| Fault::unavailable("the model sent text that is not UTF-8"))?;
        let line = line.trim_start_matches('\u{feff}');
        if line.is_empty() {
            return Ok(self.data.take());
        }
        if let Some(value) = line.strip_prefix("data:") {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut self.data {
                Some(data) if data.len() + value.len() > LINE_BYTES_MAX => {
                    return Err(Fault::unavailable("the model sent an event that is too long"));
                }
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            }
        }
        Ok(None)
    }
}
