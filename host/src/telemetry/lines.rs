//! Queue between code that logs and stderr, so that a turn never waits for stderr.
//!
//! The process that reads stderr may be slow, stopped or gone. Lines wait in a queue of [`QUEUE_BYTES_MAX`] for a
//! thread that writes them. If the queue is full or stderr refuses a line, the line is dropped. Dropped lines are
//! counted in the metric `turntable_log_lines_dropped_total`, and reported in the log as soon as it can be written
//! again.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use metrics::counter;
use tracing_subscriber::fmt::MakeWriter;

use super::name;

/// Maximum size of the lines that wait for stderr, in bytes.
const QUEUE_BYTES_MAX: usize = 4 << 20;
/// Maximum time that the end of the process waits for the remaining lines.
const FLUSH_MAX: Duration = Duration::from_secs(1);
/// Time between attempts to write to a non-blocking stderr that accepts nothing.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Sends lines to the thread that writes them. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lines {
    shared: Arc<Shared>,
}

/// Waits on drop, for at most a second, until stderr has accepted the remaining lines.
#[must_use = "lines that are left when the process ends are lost without it"]
pub struct Flush {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Signalled when there are lines to write.
    filled: Condvar,
    /// Signalled when all lines have been written.
    emptied: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<u8>,
    /// Number of lines in `waiting`.
    lines: u64,
    /// Size of the lines that wait or are being written, in bytes.
    bytes: usize,
    /// Number of dropped lines that the log has not reported yet.
    dropped: u64,
}

impl Lines {
    /// Starts a thread that writes lines to `out`.
    pub(super) fn to(out: impl Write + Send + 'static) -> io::Result<(Self, Flush)> {
        let shared = Arc::new(Shared::default());
        let writer = shared.clone();
        thread::Builder::new().name("turntable-log".into()).spawn(move || writer.run(out))?;
        Ok((Self { shared: shared.clone() }, Flush { shared }))
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// Accepts one line per call, which is how `tracing_subscriber` writes. Never fails and never waits for stderr.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut queue = self.shared.lock();
        if queue.bytes + line.len() > QUEUE_BYTES_MAX {
            queue.drop_lines(1);
        } else {
            queue.waiting.extend_from_slice(line);
            queue.bytes += line.len();
            queue.lines += 1;
            self.shared.filled.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn run(&self, mut out: impl Write) {
        loop {
            let (text, lines) = self.next();
            let written = write_all(&mut out, &text);
            let mut queue = self.lock();
            queue.bytes -= text.len();
            if written.is_err() {
                queue.drop_lines(lines);
            }
            let dropped = if written.is_ok() { std::mem::take(&mut queue.dropped) } else { 0 };
            if queue.bytes == 0 {
                self.emptied.notify_all();
            }
            drop(queue);
            if dropped > 0 {
                tracing::warn!(dropped, "log lines were dropped because stderr did not accept them");
            }
        }
    }

    /// Waits for lines and takes all of them.
    fn next(&self) -> (Vec<u8>, u64) {
        let queue = self.lock();
        let mut queue = self.filled.wait_while(queue, |queue| queue.lines == 0).unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut queue.waiting), std::mem::take(&mut queue.lines))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn drop_lines(&mut self, lines: u64) {
        self.dropped += lines;
        counter!(name::LOG_LINES_DROPPED).increment(lines);
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        let queue = self.shared.lock();
        let _ = self.shared.emptied.wait_timeout_while(queue, FLUSH_MAX, |queue| queue.bytes > 0);
    }
}

/// Writes a whole text. Retries if stderr is in non-blocking mode, which the parent process may have set.
fn write_all(out: &mut impl Write, mut text: &[u8]) -> io::Result<()> {
    while !text.is_empty() {
        match out.write(text) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => text = &text[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(LOOK_AGAIN),
            Err(error) => return Err(error),
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Accepts or refuses a text each time the test says so.
    struct Gate {
        taken: Sender<String>,
        answers: Receiver<io::Result<()>>,
    }

    impl Write for Gate {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.answers.recv().unwrap_or_else(|_| Err(ErrorKind::BrokenPipe.into()))?;
            self.taken.send(String::from_utf8_lossy(text).into_owned()).unwrap();
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gate() -> (Lines, Receiver<String>, Sender<io::Result<()>>) {
        let (taken, written) = channel();
        let (open, answers) = channel();
        let (lines, _) = Lines::to(Gate { taken, answers }).unwrap();
        (lines, written, open)
    }

    #[test]
    fn lines_are_written_in_order() {
        let (lines, written, open) = gate();
        for line in ["one\n", "two\n", "three\n"] {
            (&lines).write_all(line.as_bytes()).unwrap();
        }
        let mut text = String::new();
        while text.len() < "one\ntwo\nthree\n".len() {
            open.send(Ok(())).unwrap();
            text.push_str(&written.recv().unwrap());
        }
        assert_eq!(text, "one\ntwo\nthree\n");
    }

    #[test]
    fn a_reader_that_stands_still_costs_lines_and_nothing_else() {
        let (lines, written, open) = gate();
        let line = [b'x'; 1 << 20];
        for _ in 0..50 {
            (&lines).write_all(&line).unwrap();
        }
        {
            let queue = lines.shared.lock();
            assert_eq!((queue.bytes, queue.dropped), (QUEUE_BYTES_MAX, 46));
        }
        // stderr accepts text again, so the next lines are written.
        let mut bytes = 0;
        while bytes < QUEUE_BYTES_MAX {
            open.send(Ok(())).unwrap();
            bytes += written.recv().unwrap().len();
        }
        let queue = lines.shared.lock();
        drop(lines.shared.emptied.wait_while(queue, |queue| queue.bytes > 0).unwrap());
        (&lines).write_all(b"again\n").unwrap();
        open.send(Ok(())).unwrap();
        assert_eq!(written.recv().unwrap(), "again\n");
    }

    #[test]
    fn a_reader_that_is_gone_ends_no_thread() {
        let (lines, written, open) = gate();
        open.send(Err(ErrorKind::BrokenPipe.into())).unwrap();
        (&lines).write_all(b"lost\n").unwrap();
        let queue = lines.shared.lock();
        drop(lines.shared.emptied.wait_while(queue, |queue| queue.bytes > 0).unwrap());
        // A write to a non-blocking stderr that accepts nothing is retried.
        open.send(Err(ErrorKind::WouldBlock.into())).unwrap();
        open.send(Ok(())).unwrap();
        (&lines).write_all(b"kept\n").unwrap();
        assert!(written.recv().unwrap().ends_with("kept\n"));
    }
}
