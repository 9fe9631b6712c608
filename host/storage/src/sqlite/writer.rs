//! The one writer: commits the work of many turns at once.
//!
//! A piece of work that fails undoes only itself, or else the whole transaction ([`Undo`]). It learns that it succeeded
//! after the transaction is on the disk.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ffi};
use tokio::sync::oneshot;

use super::checkpoint::Checkpoints;
use super::failed;
use super::health::Care;
use crate::StorageError;

/// A transaction is committed when nothing more waits, or after this time.
const BATCH_TIME_MAX: Duration = Duration::from_millis(2);
/// Work that can wait begins a transaction of its own only after this time.
const PATIENCE: Duration = Duration::from_millis(2);
/// While turns come fast, a transaction waits so long for more of them: they share its pages, its flush and its wakeups.
const GATHERING: Duration = Duration::from_micros(300);
/// Turns come fast where the transaction before had as much work.
const BUSY_FROM: usize = 4;
/// How long a transaction waits for work that builds on work in it. It saves a flush of the disk for each link of such a
/// chain: turns that change the same value come one after the other.
const CHAIN_WAIT: Duration = Duration::from_millis(1);
/// Work that waits for the writer; turns wait beyond it.
const QUEUE_MAX: usize = 4_096;

/// While there is no work, the file is looked after so often.
const CARE_EVERY: Duration = Duration::from_secs(1);

/// What became of the transaction.
pub(super) type Committed = Result<(), Arc<rusqlite::Error>>;
/// Runs in the transaction, and returns what to do once it is known what became of that.
type Run = Box<dyn FnOnce(&Connection) -> Ran + Send>;

struct Ran {
    /// Whether what it left half-done can only go with the transaction.
    spoiled: bool,
    /// Whether SQLite failed.
    failed: bool,
    tell: Box<dyn FnOnce(&Committed) + Send>,
}

/// What is undone when work fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undo {
    /// What the work itself did: it runs in a savepoint.
    Itself,
    /// Nothing where it was refused, as it must have changed nothing then; the whole transaction where SQLite failed
    /// ([`StorageError::Unavailable`]). For statements that nobody's content makes fail: a savepoint costs a fifth of
    /// what a turn does in the file.
    Transaction,
}

struct Job {
    run: Run,
    /// Whether it rides with what comes soon.
    can_wait: bool,
}

/// A handle to the writer's thread, which ends with the last handle.
pub(super) struct Writer {
    jobs: SyncSender<Job>,
    chain: Arc<Chain>,
    /// Dropped after the sender, whose end ends the thread.
    _thread: Joined,
}

/// Work that builds on work of the transaction and is still to come.
#[derive(Default)]
pub(super) struct Chain {
    expected: AtomicUsize,
}

impl Chain {
    /// Work that builds on this one comes soon.
    pub(super) fn expect(&self) {
        self.expected.fetch_add(1, Ordering::Relaxed);
    }

    /// This is work that builds on other work.
    pub(super) fn arrived(&self) {
        // Only the writer's thread changes the number, so nothing comes between the two steps.
        self.expected.store(self.expected.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
    }

    /// Returns the next work of the transaction: what is there, or what comes soon where some is expected.
    fn next(&self, queue: &Receiver<Job>) -> Option<Job> {
        if self.expected.load(Ordering::Relaxed) == 0 {
            return queue.try_recv().ok();
        }
        queue.recv_timeout(CHAIN_WAIT).ok()
    }
}

/// Waits for the end of the thread: whoever dropped the store may open its file again, or look into it.
pub(super) struct Joined(Option<JoinHandle<()>>);

impl Joined {
    pub(super) fn new(thread: JoinHandle<()>) -> Self {
        Self(Some(thread))
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        let Some(thread) = self.0.take().filter(|thread| thread.thread().id() != thread::current().id()) else {
            return;
        };
        if thread.join().is_err() {
            tracing::error!("a thread of the store panicked");
        }
    }
}

impl Writer {
    pub(super) fn start(connection: Connection, checkpoints: Checkpoints, care: Care) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(QUEUE_MAX);
        let chain = Arc::<Chain>::default();
        let links = chain.clone();
        let thread = thread::Builder::new()
            .name("turntable-store".into())
            .spawn(move || work(&connection, &queue, &links, checkpoints, &care))?;
        Ok(Self { jobs, chain, _thread: Joined::new(thread) })
    }

    /// What work says of work that builds on it.
    pub(super) fn chain(&self) -> Arc<Chain> {
        self.chain.clone()
    }

    /// Runs work in a transaction and returns its result once the transaction is on the disk. `follow` gets the result first,
    /// on the writer's thread and so in the order of transactions. Work that only its caller waits for `can_wait`: it shares the
    /// transaction of work that arrives soon.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        undo: Undo,
        can_wait: bool,
        work: impl FnOnce(&Connection) -> Result<T, StorageError> + Send + 'static,
        follow: impl FnOnce(&mut T) + Send + 'static,
    ) -> Result<T, StorageError> {
        let (sender, receiver) = oneshot::channel();
        let run: Run = Box::new(move |connection| {
            // Where there is no transaction, nothing is done.
            let result = (!connection.is_autocommit()).then(|| match undo {
                Undo::Itself => savepoint(connection, work),
                Undo::Transaction => work(connection),
            });
            let failed = matches!(result, Some(Err(StorageError::Unavailable(_))));
            let spoiled = undo == Undo::Transaction && failed;
            let tell = Box::new(move |committed: &Committed| {
                let result = match (result, committed) {
                    (Some(result), Ok(())) => result.map(|mut done| {
                        follow(&mut done);
                        done
                    }),
                    // What failed by itself says so.
                    (Some(Err(error)), Err(_)) => Err(error),
                    // What succeeded is undone with the transaction.
                    (Some(Ok(_)), Err(error)) => Err(super::failed("commit", error)),
                    (None, Err(error)) => Err(super::failed("begin", error)),
                    (None, Ok(())) => Err(gone()),
                };
                let _ = sender.send(result);
            });
            Ran { spoiled, failed, tell }
        });
        let mut job = Job { run, can_wait };
        // Bounded: where the disk is slower than the turns, they wait here and not in memory.
        while let Err(refused) = self.jobs.try_send(job) {
            match refused {
                TrySendError::Full(waiting) => {
                    job = waiting;
                    tokio::time::sleep(BATCH_TIME_MAX).await;
                }
                TrySendError::Disconnected(_) => return Err(gone()),
            }
        }
        receiver.await.map_err(|_| gone())?
    }
}

fn gone() -> StorageError {
    StorageError::Unavailable(anyhow::anyhow!("the store's writer has ended; restart the host"))
}

fn work(connection: &Connection, queue: &Receiver<Job>, chain: &Chain, checkpoints: Checkpoints, care: &Care) {
    Checkpoints::watch(connection);
    let mut before = 0;
    while let Some(first) = first(connection, queue, &checkpoints, care) {
        let mut pending = gathered(first, queue);
        if before >= BUSY_FROM {
            // Not a wait for each: whoever brings work would have to wake this thread.
            thread::sleep(GATHERING);
        }
        let mut waiting = Vec::new();
        let mut has_failed = false;
        let mut committed = care.admit().and_then(|()| execute(connection, "BEGIN IMMEDIATE").map_err(Arc::new));
        let until = Instant::now() + BATCH_TIME_MAX;
        while let Some(job) = pending.pop_front() {
            match catch_unwind(AssertUnwindSafe(|| (job.run)(connection))) {
                Ok(ran) => {
                    waiting.push(ran.tell);
                    has_failed |= ran.failed;
                    if ran.spoiled {
                        committed = committed.and_then(|()| Err(undone(ffi::SQLITE_ABORT, "other work in it failed")));
                    }
                }
                // A defect of the host; who waits for it learns that its answer is gone. Whatever it left half-done goes
                // with the transaction, and the writer goes on.
                Err(_) => {
                    tracing::error!("work of the store panicked; the turns of its transaction are undone");
                    committed = committed.and(Err(Arc::new(rusqlite::Error::InvalidQuery)));
                }
            }
            // SQLite ends the whole transaction where the disk is full or broken.
            if committed.is_ok() && connection.is_autocommit() {
                committed = Err(undone(ffi::SQLITE_FULL, "the disk is full, or cannot be written"));
            }
            // Nothing more joins a transaction that is undone; what has joined learns it.
            if committed.is_ok() && pending.is_empty() && Instant::now() < until {
                pending.extend(chain.next(queue));
            }
        }
        if committed.is_ok() {
            // Nobody is told that something is kept which went into a file that was removed.
            committed = execute(connection, "COMMIT").map_err(Arc::new).and_then(|()| care.check_file());
        }
        end_transaction(connection);
        chain.expected.store(0, Ordering::Relaxed);
        before = waiting.len();
        for tell in waiting {
            tell(&committed);
        }
        care.note(connection, &checkpoints, &committed, has_failed);
        checkpoints.after_commit(connection);
    }
    drop(checkpoints);
    // A clean end leaves no log to check at the next start.
    let _ = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
}

/// Waits for work, and looks after the file meanwhile. None: the store is closed.
fn first(connection: &Connection, queue: &Receiver<Job>, checkpoints: &Checkpoints, care: &Care) -> Option<Job> {
    loop {
        match queue.recv_timeout(CARE_EVERY) {
            Ok(job) => return Some(job),
            Err(RecvTimeoutError::Timeout) => care.idle(connection, checkpoints),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}

fn undone(code: i32, why: &str) -> Arc<rusqlite::Error> {
    let text = format!("the transaction was undone: {why}");
    Arc::new(rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(text)))
}

/// The work that begins a transaction: what can wait, with what comes soon.
fn gathered(first: Job, queue: &Receiver<Job>) -> VecDeque<Job> {
    let until = Instant::now() + PATIENCE;
    let mut gathered = VecDeque::from([first]);
    while gathered.back().is_some_and(|job| job.can_wait) {
        match queue.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(job) => gathered.push_back(job),
            Err(_) => break,
        }
    }
    gathered
}

fn savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, StorageError>,
) -> Result<T, StorageError> {
    let savepoint = |text: &str| execute(connection, text).map_err(|error| failed("savepoint", &error));
    savepoint("SAVEPOINT turn")?;
    let result = work(connection);
    if connection.is_autocommit() {
        return result.and_then(|_| Err(StorageError::Unavailable(anyhow::anyhow!("the transaction was undone"))));
    }
    if result.is_err() {
        savepoint("ROLLBACK TO turn")?;
    }
    savepoint("RELEASE turn")?;
    result
}

/// Undoes a transaction that could not be committed.
pub(super) fn end_transaction(connection: &Connection) {
    if !connection.is_autocommit() {
        let _ = connection.execute_batch("ROLLBACK");
    }
}

/// Runs a statement that is parsed once for the connection.
pub(super) fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
