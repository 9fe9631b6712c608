//! The store in SQLite: in a file, or in a temporary database that ends with the process.
//!
//! A lock file makes this process the only one with the file, so leases and claims of running activities are kept in memory.

mod broadcasts;
mod cache;
mod checkpoint;
mod columns;
mod commit;
mod database;
mod deduplication;
mod file;
mod health;
mod ids;
mod inbox;
mod index;
mod notifications;
mod numbered;
mod operator;
mod outbox;
mod privacy;
mod schema;
mod storage;
mod temporary;
mod transcripts;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::Mutex;
use rusqlite::Connection;

use self::cache::Cache;
use self::checkpoint::Checkpoints;
use self::database::{Database, Readers};
use self::file::StoreFile;
use self::health::{Care, Health};
use self::index::Lookup;
pub use self::operator::{Report, check, compact, stats};
use self::temporary::Temporary;
use self::writer::{Joined, Writer};
use super::claims::Claims;
use super::known::KnownConversations;
use super::leases::Leases;
use super::{Accepted, DeduplicationKey, StorageError};
use turntable_config::{Channel, Durability};

/// A store in SQLite.
pub struct SqliteStorage {
    database: Database,
    claims: Claims,
    leases: Arc<Mutex<Leases>>,
    bounds: Arc<Bounds>,
    cache: Arc<Cache>,
    /// Learns where marks and ids are in a file that is opened again.
    _rebuilding: Option<Joined>,
    /// Whether there may be a transcript: else no delivery looks for its item.
    has_transcripts: AtomicBool,
    /// Whether there may be a broadcast: else no delivery looks for its target.
    has_broadcasts: AtomicBool,
    known: KnownConversations,
    health: Arc<Health>,
}

struct Bounds {
    /// Of the next row of the outbox. SQLite's own way to never give a number again writes another row each time.
    next_sequence: AtomicI64,
    outbox_rows_max: usize,
    dead_letters_max: usize,
    records_max: usize,
    ids_max: usize,
}

impl Bounds {
    fn next_sequence(&self) -> i64 {
        self.next_sequence.fetch_add(1, Ordering::Relaxed)
    }
}

impl SqliteStorage {
    /// Opens the store, or makes it. The error says what is wrong with the file, and what to do.
    pub fn open(path: &Path, durability: Durability, channel: &Channel) -> anyhow::Result<Self> {
        let file = StoreFile::open(path, durability)?;
        let connection = file.connect()?;
        let found = Opened::read(&connection, channel)?;
        let rebuilding = rebuild_index(found.cache.clone(), file.connect()?)?;
        let health = Arc::<Health>::default();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let checkpoints = Checkpoints::start(file.connect()?, folder.to_owned())?;
        let writer = Writer::start(connection, checkpoints, Care::of(file.path(), health.clone()))?;
        let database = Database::File { writer, readers: Readers::new(file) };
        Ok(Self { health, ..Self::over(database, found, Some(rebuilding)) })
    }

    /// Makes a store that ends with this process and leaves nothing behind. The error says what is wrong with the folder of
    /// its temporary file, and what to do.
    pub fn temporary(channel: &Channel) -> anyhow::Result<Self> {
        let temporary = Temporary::open()?;
        let found = Opened::read(&temporary.connection(), channel)?;
        found.cache.load(&temporary.connection())?;
        Ok(Self::over(Database::Temporary(temporary), found, None))
    }

    fn over(database: Database, found: Opened, rebuilding: Option<Joined>) -> Self {
        let Opened { cache, bounds, has_transcripts, has_broadcasts } = found;
        Self {
            database,
            _rebuilding: rebuilding,
            cache,
            claims: Claims::default(),
            leases: Arc::default(),
            bounds: Arc::new(bounds),
            has_transcripts: AtomicBool::new(has_transcripts),
            has_broadcasts: AtomicBool::new(has_broadcasts),
            known: KnownConversations::default(),
            health: Arc::default(),
        }
    }

    fn read<T>(
        &self,
        what: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StorageError> {
        self.database.read(what, read)
    }

    fn claim(&self, key: &DeduplicationKey, turn_id: &Arc<str>) -> Result<Accepted, StorageError> {
        self.health.check_not_lost().map_err(|why| StorageError::Unavailable(anyhow::anyhow!(why)))?;
        // Claimed before the file is asked, so that nobody else claims it meanwhile.
        if let Some(running) = self.claims.claim(key, turn_id) {
            return Ok(running);
        }
        let found = self.cache.records.find(key);
        if found == Lookup::Absent {
            return Ok(Accepted::New);
        }
        match self.read("accept", |connection| deduplication::record_of(connection, key, found)) {
            Ok(None) => Ok(Accepted::New),
            Ok(Some((turn_id, answer))) => {
                self.claims.finish(key, answer.clone());
                Ok(Accepted::Duplicate { turn_id, answer })
            }
            Err(error) => {
                self.claims.release(key);
                Err(error)
            }
        }
    }
}

/// What a store knows of its database when it opens it.
struct Opened {
    cache: Arc<Cache>,
    bounds: Bounds,
    has_transcripts: bool,
    has_broadcasts: bool,
}

impl Opened {
    fn read(connection: &Connection, channel: &Channel) -> rusqlite::Result<Self> {
        let sql = "SELECT 1 + max((SELECT ifnull(max(sequence), 0) FROM outbox), (SELECT ifnull(max(sequence), 0) FROM dead_letters))";
        let next_sequence = connection.query_row(sql, [], |row| row.get(0))?;
        Ok(Self {
            cache: Arc::new(Cache::new(connection, channel.redelivery_marks_max, channel.id_map_entries_max)?),
            bounds: Bounds {
                next_sequence: AtomicI64::new(next_sequence),
                outbox_rows_max: channel.outbox_rows_max,
                dead_letters_max: channel.dead_letters_max,
                records_max: channel.redelivery_marks_max,
                ids_max: channel.id_map_entries_max,
            },
            has_transcripts: transcripts::any(connection)?,
            has_broadcasts: broadcasts::any(connection)?,
        })
    }
}

/// Starts the thread that reads where all marks and ids are; until it is done, each is looked for in the whole table.
fn rebuild_index(cache: Arc<Cache>, connection: Connection) -> std::io::Result<Joined> {
    let rebuild = move || {
        if let Err(error) = cache.load(&connection) {
            tracing::warn!(%error, "marks and ids of the store could not be read; each activity is looked for in the file");
        }
    };
    Ok(Joined::new(std::thread::Builder::new().name("turntable-index".into()).spawn(rebuild)?))
}

/// Runs one statement and returns the number of rows that it changed.
fn run(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<usize, StorageError> {
    let mut statement = connection.prepare_cached(sql).map_err(|error| failed("prepare", &error))?;
    statement.execute(params).map_err(|error| failed("write", &error))
}

/// Our own lock keeps other hosts out; SQLite's shell and programs that copy databases do not ask for it.
const LOCKED: &str = "another program has locked the file; end it: ";

/// What an error of SQLite means for an operator.
fn failed(what: &str, error: &rusqlite::Error) -> StorageError {
    let hint = match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => "the disk is full; make room, and the host goes on: ",
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => LOCKED,
        Some(rusqlite::ErrorCode::ReadOnly) => "the file or its folder is read-only: ",
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            "the file is damaged; stop the host and run `turntable store check`: "
        }
        Some(rusqlite::ErrorCode::SystemIoFailure) => "the disk cannot be read or written: ",
        _ => "",
    };
    StorageError::Unavailable(anyhow::anyhow!("{what}: {hint}{error}"))
}

#[cfg(test)]
mod tests;
