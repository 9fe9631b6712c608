//! Checkpoints: a thread of its own writes the write-ahead log back into the file, because the writer would stand still
//! meanwhile.
//!
//! A page that many turns changed is written back once. What is committed while the thread works is little; the writer
//! brings it into the file itself, so that the log begins again at its start. The log stays much smaller than the free
//! space of its disk, because writing it back may need as much again in the file.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use parking_lot::Mutex;
use rusqlite::Connection;
use rustix::fs::statvfs;

use super::writer::Joined;

/// Pages of 4 KiB in the log from which on it is written back. A start after a kill reads as many.
pub(super) const PAGES_MAX: i32 = 8_192;
/// The same on a disk that is nearly full.
const PAGES_MIN: i32 = 64;
/// Pages after which the free space of the disk is asked for again.
const PAGES_UNTIL_ASKED: i32 = 256;
/// Part of the free space that the log may have.
const FREE_PER_LOG: u64 = 4;
const PAGE_BYTES: u64 = 4_096;

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
    /// Pages that could not be written back the last time.
    left: Cell<i32>,
    /// Pages beyond those from which on the log is too long.
    allowed: Cell<i32>,
    /// Pages in the log when the disk was asked for its free space.
    asked_at: Cell<i32>,
    folder: PathBuf,
    /// Dropped after the sender, whose end ends the thread.
    _thread: Joined,
}

impl Checkpoints {
    /// Starts the thread for the store in a folder. The connection is its own.
    pub(super) fn start(connection: Connection, folder: PathBuf) -> std::io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let stage = Arc::new(Mutex::new(Progress::Short));
        let seen = stage.clone();
        let thread = thread::Builder::new()
            .name("turntable-checkpoint".into())
            .spawn(move || work(&connection, &woken, &seen))?;
        let (left, asked_at, allowed) = (Cell::new(0), Cell::new(0), Cell::new(pages_allowed(&folder)));
        Ok(Self { wake, stage, left, allowed, asked_at, folder, _thread: Joined::new(thread) })
    }

    /// Writes the log back and empties it, because a write failed: the disk may be full of it. Waits for reads, each of
    /// which is short.
    pub(super) fn make_room(&self, connection: &Connection) {
        if write_back(connection, "PRAGMA wal_checkpoint(TRUNCATE)") {
            PAGES.set(0);
            self.left.set(0);
        }
        self.ask();
    }

    fn ask(&self) {
        self.asked_at.set(PAGES.get());
        self.allowed.set(pages_allowed(&self.folder));
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
        if PAGES.get().abs_diff(self.asked_at.get()) >= PAGES_UNTIL_ASKED.unsigned_abs() {
            self.ask();
        }
        if PAGES.get() < self.left.get().saturating_add(self.allowed.get()) {
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
                self.left.set(left);
                self.ask();
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

/// The pages that the log of a store in this folder may have.
fn pages_allowed(folder: &Path) -> i32 {
    statvfs(folder).map_or(PAGES_MAX, |disk| pages_for(disk.f_bavail.saturating_mul(disk.f_frsize)))
}

fn pages_for(free_bytes: u64) -> i32 {
    let pages = i32::try_from(free_bytes / FREE_PER_LOG / PAGE_BYTES).unwrap_or(i32::MAX);
    pages.clamp(PAGES_MIN, PAGES_MAX)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_follows_the_size_of_the_disk() {
        assert_eq!(pages_for(u64::MAX), PAGES_MAX);
        assert_eq!(pages_for(24 << 20), 1_536, "6 of 24 MiB");
        assert_eq!(pages_for(0), PAGES_MIN);
    }
}
