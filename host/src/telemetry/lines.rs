//! Log lines on their way to stderr: a turn hands its line over and goes on, whatever becomes of stderr.
//!
//! The process that reads stderr may be slow, stand still or be gone. Lines wait in a queue of [`QUEUE_BYTES_MAX`] for a
//! thread that writes them. A line that finds the queue full is dropped, and so is one that stderr refuses. Dropped lines
//! are counted in the metric `turntable_log_lines_dropped_total`, and in the log itself once it is written again.

use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use metrics::counter;
use tracing_subscriber::fmt::MakeWriter;

use super::name;

/// Bytes of lines that wait for stderr.
const QUEUE_BYTES_MAX: usize = 4 << 20;
/// How long the end of the process waits for stderr to take what is left.
const FLUSH_MAX: Duration = Duration::from_secs(1);
/// How long the writer waits for a stderr that is set to non-blocking mode and takes nothing now.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Hands lines to the thread that writes them. A cheap handle.
#[derive(Clone)]
pub(super) struct Lines {
    shared: Arc<Shared>,
}

/// Waits at its end, for a second at most, until stderr has taken the lines that are left.
#[must_use = "lines that are left when the process ends are lost without it"]
pub struct Flush {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Told when there is something to write.
    filled: Condvar,
    /// Told when all was written.
    emptied: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<u8>,
    /// Lines among what waits.
    lines: u64,
    /// Bytes of what waits and of what is being written.
    bytes: usize,
    /// Lines that were dropped and not yet mentioned in the log.
    dropped: u64,
}

impl Lines {
    /// Starts the thread that writes lines to `out`.
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

/// Takes one line a call, as `tracing_subscriber` writes them. It never fails and never waits for stderr.
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
                tracing::warn!(dropped, "log lines were dropped because stderr did not take them");
            }
        }
    }

    /// Waits for lines, and takes all that wait.
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

/// Writes all of a text. Whoever started the host may have set stderr to non-blocking mode.
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

    /// Takes a text each time the test lets it, or fails.
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
        // It reads again: the next lines are written.
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
        // A non-blocking stderr that takes nothing now is tried again.
        open.send(Err(ErrorKind::WouldBlock.into())).unwrap();
        open.send(Ok(())).unwrap();
        (&lines).write_all(b"kept\n").unwrap();
        assert!(written.recv().unwrap().ends_with("kept\n"));
    }
}
