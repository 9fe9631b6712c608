//! Whether the store takes writes, and whether its file is still the one that was opened.
//!
//! The writer notes what became of each transaction. After a failure it writes the log back, which makes room on a
//! small disk, and tries a write of its own until one succeeds: without it a host that is not ready would get no work,
//! and so never learn that the disk has room again. If somebody removes or replaces the file, SQLite goes on with a
//! file that nobody finds again. The store takes nothing then.

use std::cell::Cell;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, ffi};

use super::checkpoint::Checkpoints;
use super::writer::{Committed, end_transaction, execute};
use super::{failed, schema};

/// What readiness reads.
#[derive(Default)]
pub(super) struct Health(Mutex<State>);

#[derive(Default, Clone)]
enum State {
    #[default]
    Well,
    /// The last write failed.
    Failing(String),
    /// The file is not there any more. Only a restart ends this.
    Lost(String),
}

impl Health {
    /// Returns why the store takes no writes.
    pub(super) fn trouble(&self) -> Option<String> {
        match &*self.0.lock() {
            State::Well => None,
            State::Failing(why) | State::Lost(why) => Some(why.clone()),
        }
    }

    /// Fails if nothing that the store is given now could be found again. Says what became of the file.
    pub(super) fn check_not_lost(&self) -> Result<(), String> {
        match &*self.0.lock() {
            State::Lost(why) => Err(why.clone()),
            State::Well | State::Failing(_) => Ok(()),
        }
    }

    fn is_well(&self) -> bool {
        matches!(*self.0.lock(), State::Well)
    }

    /// Notes what became of a write, and logs a change.
    fn note(&self, written: &Committed) {
        let mut state = self.0.lock();
        match (&*state, written) {
            (State::Lost(_), _) | (State::Well, Ok(())) => {}
            (State::Failing(_), Ok(())) => {
                tracing::info!("the store takes writes again");
                *state = State::Well;
            }
            (before, Err(error)) => {
                let why = failed("write", error).to_string();
                if matches!(before, State::Well) {
                    tracing::error!(why, "the store takes no writes; the host is not ready until it does");
                }
                *state = State::Failing(why);
            }
        }
    }

    fn lose(&self, why: &str) {
        *self.0.lock() = State::Lost(why.to_owned());
        tracing::error!(why, "the store is lost; the host accepts nothing any more");
    }
}

/// Device and inode of a file.
type Identity = (u64, u64);

/// The writer's care for its file.
pub(super) struct Care {
    health: Arc<Health>,
    path: PathBuf,
    store: Option<Identity>,
    /// The write-ahead log, which appears with the first transaction.
    log: Cell<Option<Identity>>,
}

impl Care {
    /// Takes care of the file at this path, which was just opened.
    pub(super) fn of(path: &Path, health: Arc<Health>) -> Self {
        Self { health, path: path.to_owned(), store: identity(path).ok(), log: Cell::new(None) }
    }

    /// Fails if it was found out that the file is not at its place any more.
    pub(super) fn admit(&self) -> Committed {
        self.health.check_not_lost().map_err(lost)
    }

    /// Fails if the file is not at its place any more.
    pub(super) fn check_file(&self) -> Committed {
        self.admit()?;
        let wal = super::file::wal(&self.path);
        for (path, opened) in [(&self.path, self.store), (&wal, self.log.get())] {
            let Some(opened) = opened else { continue };
            let is_gone = match identity(path) {
                Ok(found) => found != opened,
                Err(kind) => kind == ErrorKind::NotFound,
            };
            if is_gone {
                let why = format!(
                    "{} was removed or replaced while the host runs, so the next start would not find what is written; \
                     put it back or restore a backup, then restart the host",
                    path.display()
                );
                self.health.lose(&why);
                return Err(lost(why));
            }
        }
        if self.log.get().is_none() {
            self.log.set(identity(&wal).ok());
        }
        Ok(())
    }

    /// Notes what became of a transaction. `work_failed`: SQLite failed in some of its work.
    pub(super) fn note(
        &self,
        connection: &Connection,
        checkpoints: &Checkpoints,
        committed: &Committed,
        work_failed: bool,
    ) {
        if self.health.check_not_lost().is_err() {
            return;
        }
        if (committed.is_ok() && !work_failed) || is_locked(committed) {
            self.health.note(committed);
        } else {
            self.health.note(&make_room(connection, checkpoints));
        }
    }

    /// Called while nothing else is to do.
    pub(super) fn idle(&self, connection: &Connection, checkpoints: &Checkpoints) {
        if self.check_file().is_err() || self.health.is_well() {
            return;
        }
        let written = write(connection);
        let is_decided = written.is_ok() || is_locked(&written);
        self.health.note(&if is_decided { written } else { make_room(connection, checkpoints) });
    }
}

fn identity(path: &Path) -> Result<Identity, ErrorKind> {
    fs::metadata(path).map(|found| (found.dev(), found.ino())).map_err(|error| error.kind())
}

fn lost(why: String) -> Arc<rusqlite::Error> {
    Arc::new(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_NOTFOUND), Some(why)))
}

/// Returns whether another program holds the file. Room on the disk does not help then.
fn is_locked(written: &Committed) -> bool {
    let code = written.as_ref().err().and_then(|error| error.sqlite_error_code());
    matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Empties the log, and finds out whether writes succeed then.
fn make_room(connection: &Connection, checkpoints: &Checkpoints) -> Committed {
    checkpoints.make_room(connection);
    write(connection)
}

/// Writes a page that says what it said before.
fn write(connection: &Connection) -> Committed {
    let write = || {
        execute(connection, "BEGIN IMMEDIATE")?;
        connection.pragma_update(None, "user_version", schema::VERSION)?;
        execute(connection, "COMMIT")
    };
    let written = write().map_err(Arc::new);
    end_transaction(connection);
    written
}
