//! How work reaches the database.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use rusqlite::Connection;

use super::failed;
use super::file::StoreFile;
use super::temporary::Temporary;
use super::writer::{Chain, Undo, Writer};
use crate::StorageError;

/// The database of a store.
pub(super) enum Database {
    /// A file that outlives the process. One thread writes; each thread that reads has a connection.
    File { writer: Writer, readers: Readers },
    /// A temporary database with one connection.
    Temporary(Temporary),
}

/// Connections that read, one for each thread that does so at the same time.
pub(super) struct Readers {
    file: StoreFile,
    idle: Mutex<Vec<Connection>>,
}

impl Database {
    pub(super) fn read<T>(
        &self,
        what: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StorageError> {
        let read = |connection: &Connection| read(connection).map_err(|error| failed(what, &error));
        match self {
            Self::File { readers, .. } => readers.with(what, read),
            Self::Temporary(temporary) => temporary.read(read),
        }
    }

    /// Runs work in a transaction and returns its result once the transaction is committed.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        self.write_then(Undo::Itself, false, work, |_| ()).await
    }

    /// Runs work in a transaction, then `follow` with its result, in the order of transactions. Work that only its caller
    /// waits for `can_wait`: in a file it shares the transaction of work that arrives soon.
    pub(super) async fn write_then<T: Send + 'static>(
        &self,
        undo: Undo,
        can_wait: bool,
        work: impl FnOnce(&Connection) -> Result<T, StorageError> + Send + 'static,
        follow: impl FnOnce(&mut T) + Send + 'static,
    ) -> Result<T, StorageError> {
        match self {
            Self::File { writer, .. } => writer.write(undo, can_wait, work, follow).await,
            Self::Temporary(temporary) => temporary.write(work, follow),
        }
    }

    /// Returns what a commit says of commits that build on it; none where each commit has a transaction of its own.
    pub(super) fn chain(&self) -> Option<Arc<Chain>> {
        match self {
            Self::File { writer, .. } => Some(writer.chain()),
            Self::Temporary(_) => None,
        }
    }

    pub(super) fn is_temporary(&self) -> bool {
        matches!(self, Self::Temporary(_))
    }
}

impl Readers {
    pub(super) fn new(file: StoreFile) -> Self {
        Self { file, idle: Mutex::default() }
    }

    fn with<T>(
        &self,
        what: &'static str,
        read: impl FnOnce(&Connection) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.file.connect().map_err(|error| failed(what, &error))?,
        };
        let result = read(&connection);
        self.idle().push(connection);
        result
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock()
    }
}
