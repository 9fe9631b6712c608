//! A database that ends with the process, for `storage.kind = "memory"`.
//!
//! This is SQLite's own temporary database: its file holds what the page cache does not, only this user may read it, and
//! SQLite removes the file's name as soon as the file is made. So nothing is left behind, not even after SIGKILL, and
//! nothing that happens to the folder later reaches the file. Nobody can open such a file twice, so one connection serves
//! every read and write. Nothing has to survive a crash, so commits write nothing: a turn costs a third of what it costs
//! in a file with a write-ahead log that is never flushed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::Context;
use parking_lot::{Mutex, MutexGuard};
use rusqlite::{Connection, OpenFlags};

use super::writer::execute;
use super::{failed, schema};
use crate::StorageError;

/// Pages of 4 KiB in memory. Each commit walks the list of changed pages, which SQLite writes to the file once they are a
/// quarter of the cache: with more pages the walk costs more than the writes.
const CACHE_PAGES: i64 = 512;
/// Pages in memory while the tables are made: so few that SQLite makes its file. A folder in which it cannot do so ends
/// the start, not a later turn.
const FIRST_CACHE_PAGES: i64 = 1;

/// Where the file is, for an operator who gets an error of it.
const PLACE: &str = "the temporary file of `storage.kind = \"memory\"`, in the first folder of SQLITE_TMPDIR, TMPDIR, \
                     /var/tmp and /tmp that this user may write";

/// The one connection to a temporary database.
pub(super) struct Temporary(Mutex<Connection>);

impl Temporary {
    /// Makes the database with its tables.
    pub(super) fn open() -> anyhow::Result<Self> {
        let connection = open().map_err(|error| failed("cannot make it", &error));
        Ok(Self(Mutex::new(connection.with_context(|| format!("{PLACE}; set TMPDIR to a folder with room"))?)))
    }

    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock()
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, StorageError>) -> Result<T, StorageError> {
        read(&self.connection()).map_err(located)
    }

    /// Runs work in a transaction of its own, then `follow` before any other work begins.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StorageError>,
        follow: impl FnOnce(&mut T),
    ) -> Result<T, StorageError> {
        let connection = self.connection();
        let mut done = in_transaction(&connection, work).map_err(located)?;
        follow(&mut done);
        Ok(done)
    }
}

fn open() -> rusqlite::Result<Connection> {
    // No name is SQLite's name for a temporary database.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut connection = Connection::open_with_flags("", flags)?;
    // Undoing a transaction needs its old pages, though no crash does.
    connection.pragma_update(None, "journal_mode", "MEMORY")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "foreign_keys", "OFF")?;
    connection.pragma_update(None, "cache_size", FIRST_CACHE_PAGES)?;
    connection.set_prepared_statement_cache_capacity(128);
    schema::migrate(&mut connection, 0)?;
    connection.pragma_update(None, "cache_size", CACHE_PAGES)?;
    Ok(connection)
}

fn in_transaction<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, StorageError>,
) -> Result<T, StorageError> {
    execute(connection, "BEGIN").map_err(|error| failed("begin", &error))?;
    let result = match catch_unwind(AssertUnwindSafe(|| work(connection))) {
        // SQLite ends the whole transaction where the folder is full.
        Ok(Ok(_)) if connection.is_autocommit() => {
            Err(StorageError::Unavailable(anyhow::anyhow!("the transaction was undone")))
        }
        Ok(Ok(done)) => execute(connection, "COMMIT").map(|()| done).map_err(|error| failed("commit", &error)),
        Ok(Err(error)) => Err(error),
        Err(_) => {
            tracing::error!("work of the store panicked; its turn is undone");
            Err(StorageError::Unavailable(anyhow::anyhow!("work of the store panicked")))
        }
    };
    if result.is_err() && !connection.is_autocommit() {
        let _ = connection.execute_batch("ROLLBACK");
    }
    result
}

/// Says where the file is.
fn located(error: StorageError) -> StorageError {
    match error {
        StorageError::Unavailable(error) => StorageError::Unavailable(error.context(PLACE)),
        other => other,
    }
}
