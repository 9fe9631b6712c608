//! Checkpoints: a thread of its own writes the write-ahead log back into the file, because the writer would stand still
//! meanwhile.
//!
//! A page that many turns changed is written back once. What is committed while the thread works is little; the writer
//! brings it into the file itself, so that the log begins again at its start.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use parking_lot::Mutex;
use rusqlite::Connection;

use super::writer::Joined;

/// Pages of 4 KiB in the log from which on it is written back. A start after a kill reads as many.
pub(super) const PAGES_MAX: i32 = 8_192;

thread_local! {
    /// Pages in the log after the last commit of this thread.
    static PAGES: Cell<i32> = const { Cell::new(0) };
}

/// How far writing back is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Short,
    /// The thread works.
    Long,
    /// The rest is the writer's.
    WrittenBack,
}

/// The writer's handle to the thread, which ends with it.
pub(super) struct Checkpoints {
    wake: SyncSender<()>,
    stage: Arc<Mutex<Progress>>,
    /// Pages from which on it is too long; more than [`PAGES_MAX`] after it could not be written back.
    max: Cell<i32>,
    /// Dropped after the sender, whose end ends the thread.
    _thread: Joined,
}

impl Checkpoints {
    /// Starts the thread. The connection is its own.
    pub(super) fn start(connection: Connection) -> std::io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let stage = Arc::new(Mutex::new(Progress::Short));
        let seen = stage.clone();
        let thread = thread::Builder::new()
            .name("turntable-checkpoint".into())
            .spawn(move || work(&connection, &woken, &seen))?;
        Ok(Self { wake, stage, max: Cell::new(PAGES_MAX), _thread: Joined::new(thread) })
    }

    /// Counts the pages that this connection, the only one of its thread, leaves in the log.
    pub(super) fn watch(connection: &Connection) {
        connection.wal_hook(Some(|_, pages| {
            PAGES.set(pages);
            Ok(())
        }));
    }

    /// Keeps the log short. Called by the writer after each transaction, with its own connection.
    pub(super) fn after_commit(&self, connection: &Connection) {
        if PAGES.get() < self.max.get() {
            return;
        }
        let mut stage = self.stage.lock();
        match *stage {
            Progress::Short => {
                // Nothing waits in the channel at this stage, and the thread ends after the writer.
                if self.wake.try_send(()).is_ok() {
                    *stage = Progress::Long;
                }
            }
            Progress::Long => {}
            Progress::WrittenBack => {
                *stage = Progress::Short;
                // Waits for reads that began before; each is short.
                let begins_again = write_back(connection, "PRAGMA wal_checkpoint(RESTART)");
                let left = if begins_again { 0 } else { PAGES.get() };
                PAGES.set(left);
                self.max.set(left.saturating_add(PAGES_MAX));
            }
        }
    }
}

fn work(connection: &Connection, woken: &Receiver<()>, stage: &Mutex<Progress>) {
    while let Ok(()) = woken.recv() {
        write_back(connection, "PRAGMA wal_checkpoint(PASSIVE)");
        *stage.lock() = Progress::WrittenBack;
    }
}

/// Returns whether it is done. A failure loses nothing: the log grows, and is written back later.
fn write_back(connection: &Connection, sql: &str) -> bool {
    match connection.query_row(sql, [], |row| row.get::<_, bool>(0)) {
        Ok(busy) => !busy,
        Err(error) => {
            tracing::warn!(%error, "the log of the store could not be written back into its file; this is tried again");
            false
        }
    }
}
