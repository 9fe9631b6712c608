//! Sinks for a guest's stdout and stderr: never full, never failing, keeping the last bytes.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// The tail of one output stream of a guest.
///
/// A pipe that fails when full would turn a chatty guest into a failing one, so this one drops the oldest bytes.
#[derive(Clone)]
pub(super) struct Tail {
    bytes: Arc<Mutex<VecDeque<u8>>>,
    capacity: usize,
}

/// What one `write` may carry; the guest's libc splits larger ones.
const WRITE_BYTES_MAX: usize = 64 << 10;

impl Tail {
    pub(super) fn new(capacity: usize) -> Self {
        Self { bytes: Arc::default(), capacity }
    }

    fn push(&self, new: &[u8]) {
        let mut bytes = self.bytes.lock();
        let new = &new[new.len().saturating_sub(self.capacity)..];
        let excess = (bytes.len() + new.len()).saturating_sub(self.capacity);
        bytes.drain(..excess);
        bytes.extend(new);
    }

    /// Takes what was kept, as text, and empties the sink. Rust's advice to set a variable goes: guests have no environment.
    pub(super) fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.bytes.lock());
        let text = String::from_utf8_lossy(&Vec::from(bytes)).into_owned();
        if !text.contains(ADVICE) {
            return text;
        }
        text.split_inclusive('\n').filter(|line| !line.starts_with(ADVICE)).collect()
    }
}

/// How the advice begins that Rust prints after the message of a panic.
const ADVICE: &str = "note: run with `RUST_BACKTRACE=";
/// The longest part of what a guest said that goes into an error, in characters.
const WORDS_CHARS_MAX: usize = 500;

/// Returns on one line what a guest said on stderr before it died: the place and message of its last panic, or its last line.
pub(super) fn last_words(stderr: &str) -> Option<String> {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let panic = lines.iter().rposition(|line| line.contains(PANICKED));
    let words = match panic.and_then(|position| lines.get(position..)) {
        Some(message) => {
            let ends = |line: &&&str| line.starts_with("note: ") || **line == "stack backtrace:";
            let message: Vec<&str> = message.iter().take_while(|line| !ends(line)).copied().collect();
            let message = message.join(" ");
            // Before it stands the name of the thread, of which a guest has one.
            message.find(PANICKED).and_then(|start| message.get(start..)).unwrap_or_default().to_owned()
        }
        None => format!("its stderr ends with «{}»", lines.last()?),
    };
    let printable = words.chars().map(|char| if char.is_control() { ' ' } else { char });
    let mut shown: String = printable.take(WORDS_CHARS_MAX).collect();
    if words.chars().nth(WORDS_CHARS_MAX).is_some() {
        shown.push('…');
    }
    Some(shown)
}

/// Rust's word for a panic, before its place.
const PANICKED: &str = "panicked at ";

impl IsTerminal for Tail {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Tail {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Tail {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[async_trait::async_trait]
impl Pollable for Tail {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Tail {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Tail, WORDS_CHARS_MAX, last_words};

    #[test]
    fn keeps_the_last_bytes() {
        let tail = Tail::new(4);
        tail.push(b"ab");
        tail.push(b"cdef");
        assert_eq!(tail.take(), "cdef");
        tail.push(b"0123456789");
        assert_eq!(tail.take(), "6789");
        assert_eq!(tail.take(), "");
    }

    #[test]
    fn the_advice_to_set_a_variable_goes() {
        let tail = Tail::new(1_000);
        let note = "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        tail.push(format!("before\nthread 'main' panicked at src/lib.rs:1:2:\nno\n{note}after\n").as_bytes());
        assert_eq!(tail.take(), "before\nthread 'main' panicked at src/lib.rs:1:2:\nno\nafter\n");
    }

    #[test]
    fn the_last_words_of_a_guest_are_found() {
        for (stderr, words) in [
            ("", None),
            ("\n \n", None),
            (
                "\nthread '<unnamed>' (1) panicked at src/lib.rs:3:9:\nno luck\n",
                Some("panicked at src/lib.rs:3:9: no luck"),
            ),
            (
                "log\nthread 'main' panicked at src/lib.rs:3:9:\nassertion failed\n  left: 1\n right: 2\nnote: more\n",
                Some("panicked at src/lib.rs:3:9: assertion failed left: 1 right: 2"),
            ),
            ("panicked at a:1:1:\nfirst\npanicked at b:2:2:\nsecond", Some("panicked at b:2:2: second")),
            ("thread 'main' panicked at 'old', src/lib.rs:1:2", Some("panicked at 'old', src/lib.rs:1:2")),
            (
                "Traceback (most recent call last):\n  File \"app.py\"\nValueError: no\n",
                Some("its stderr ends with «ValueError: no»"),
            ),
            ("\u{1b}[31mred", Some("its stderr ends with « [31mred»")),
        ] {
            assert_eq!(last_words(stderr).as_deref(), words, "{stderr}");
        }
        let long = last_words(&format!("panicked at a:1:1:\n{}", "ü".repeat(2_000))).unwrap();
        assert_eq!((long.chars().count(), long.ends_with('…')), (WORDS_CHARS_MAX + 1, true));
    }
}
