//! Storage in one SQLite file: durable, with one writer that commits many turns at once.
//!
//! A lock file makes this process the only one with the file, so leases and claims of running activities are kept in
//! memory. Reads have connections of their own and see the last commit.

mod broadcasts;
mod cache;
mod columns;
mod commit;
mod database;
mod deliveries;
mod file;
mod index;
mod log;
mod notifications;
mod operator;
mod privacy;
mod schema;
mod temporary;
mod transcripts;
mod turns;
mod writer;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::watch;

use self::cache::{Cache, UNDELIVERED};
use self::columns::{ROW, channel_column, channel_of, columns, conversation_of, place, row_of, scope_columns};
use self::database::{Database, Readers};
use self::file::StoreFile;
use self::index::Found;
use self::log::Log;
pub use self::operator::{Report, check, compact, stats};
use self::temporary::Temporary;
use self::writer::{Joined, Undo, Writer};
use super::failpoints::{self, Point};
use super::leases::Leases;
use super::met::Met;
use super::{
    Accepted, Answer, DeadLetter, Delivery, FrameTag, KeptActivity, Lease, Leftovers, OutboxAction, OutboxRow, Owner,
    RedeliveryKey, STARTS_MAX, StateScope, StateValue, Storage, StorageError, TurnCommit,
};
use crate::activity::ConversationKey;
use crate::config::{self, Durability};

/// The durable store.
pub struct SqliteStorage {
    database: Database,
    running: Arc<Mutex<Running>>,
    leases: Arc<Mutex<Leases>>,
    bounds: Arc<Bounds>,
    cache: Arc<Cache>,
    /// Learns where marks and ids are in a file that is opened again.
    _learner: Option<Joined>,
    /// Rows in the outbox, so that its bound costs no counting.
    outbox_rows: Arc<AtomicUsize>,
    /// Whether there may be a transcript: else no delivery looks for its item.
    has_transcripts: AtomicBool,
    /// Whether there may be a broadcast: else no delivery looks for its target.
    has_broadcasts: AtomicBool,
    met: Met,
}

struct Bounds {
    /// Of the next row of the outbox. SQLite's own way to never give a number again writes another row each time.
    next_sequence: AtomicI64,
    outbox_rows_max: usize,
    dead_letters_max: usize,
    marks_max: usize,
    ids_max: usize,
}

impl Bounds {
    fn next_sequence(&self) -> i64 {
        self.next_sequence.fetch_add(1, Ordering::Relaxed)
    }
}

/// Activities whose first run is going on.
type Running = HashMap<RedeliveryKey, Run>;

struct Run {
    turn_id: Arc<str>,
    /// Dropped without a value when the run is released.
    answer: watch::Sender<Option<Answer>>,
    /// The answer of the last flush.
    flushed: Option<Answer>,
}

impl SqliteStorage {
    /// Opens the store, or makes it. The error says what is wrong with the file, and what to do.
    pub fn open(path: &Path, durability: Durability, channel: &config::Channel) -> anyhow::Result<Self> {
        let file = StoreFile::open(path, durability)?;
        let connection = file.connect()?;
        let found = Opened::read(&connection, channel)?;
        let learner = learn(found.cache.clone(), file.connect()?)?;
        let writer = Writer::start(connection, Log::start(file.connect()?)?)?;
        Ok(Self::over(Database::File { writer, readers: Readers::new(file) }, found, Some(learner)))
    }

    /// Makes a store that ends with this process and leaves nothing behind. The error says what is wrong with the folder of
    /// its temporary file, and what to do.
    pub fn temporary(channel: &config::Channel) -> anyhow::Result<Self> {
        let temporary = Temporary::open()?;
        let found = Opened::read(&temporary.connection(), channel)?;
        found.cache.load(&temporary.connection())?;
        Ok(Self::over(Database::Temporary(temporary), found, None))
    }

    fn over(database: Database, found: Opened, learner: Option<Joined>) -> Self {
        let Opened { cache, bounds, outbox_rows, has_transcripts, has_broadcasts } = found;
        Self {
            database,
            _learner: learner,
            cache,
            running: Arc::default(),
            leases: Arc::default(),
            bounds: Arc::new(bounds),
            outbox_rows: Arc::new(AtomicUsize::new(outbox_rows)),
            has_transcripts: AtomicBool::new(has_transcripts),
            has_broadcasts: AtomicBool::new(has_broadcasts),
            met: Met::default(),
        }
    }

    fn read<T>(
        &self,
        what: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StorageError> {
        self.database.read(what, read)
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        // Nothing under this lock panics half-way through a change, so a poisoned state is a whole one.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claim(&self, key: &RedeliveryKey, turn_id: &Arc<str>) -> Result<Accepted, StorageError> {
        // Claimed before the file is asked, so that nobody else claims it meanwhile.
        {
            let mut running = self.running();
            if let Some(run) = running.get(key) {
                return Ok(Accepted::Running { turn_id: run.turn_id.clone(), answer: run.answer.subscribe() });
            }
            let run = Run { turn_id: turn_id.clone(), answer: watch::Sender::new(None), flushed: None };
            running.insert(key.clone(), run);
        }
        let found = self.cache.marks.find(key);
        if found == Found::Nowhere {
            return Ok(Accepted::New);
        }
        match self.read("accept", |connection| commit::mark_of(connection, key, found)) {
            Ok(None) => Ok(Accepted::New),
            Ok(Some((turn_id, answer))) => {
                self.finish(key, answer.clone());
                Ok(Accepted::Duplicate { turn_id, answer })
            }
            Err(error) => {
                self.running().remove(key);
                Err(error)
            }
        }
    }

    fn finish(&self, key: &RedeliveryKey, answer: Answer) {
        if let Some(run) = self.running().remove(key) {
            run.answer.send_replace(Some(answer));
        }
    }
}

/// What a store knows of its database when it opens it.
struct Opened {
    cache: Arc<Cache>,
    bounds: Bounds,
    outbox_rows: usize,
    has_transcripts: bool,
    has_broadcasts: bool,
}

impl Opened {
    fn read(connection: &Connection, channel: &config::Channel) -> rusqlite::Result<Self> {
        let sql = "SELECT 1 + max((SELECT ifnull(max(sequence), 0) FROM outbox), (SELECT ifnull(max(sequence), 0) FROM dead_letters))";
        let next_sequence = connection.query_row(sql, [], |row| row.get(0))?;
        Ok(Self {
            cache: Arc::new(Cache::new(connection, channel.redelivery_marks_max, channel.id_map_entries_max)?),
            bounds: Bounds {
                next_sequence: AtomicI64::new(next_sequence),
                outbox_rows_max: channel.outbox_rows_max,
                dead_letters_max: channel.dead_letters_max,
                marks_max: channel.redelivery_marks_max,
                ids_max: channel.id_map_entries_max,
            },
            outbox_rows: connection.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))?,
            has_transcripts: transcripts::any(connection)?,
            has_broadcasts: broadcasts::any(connection)?,
        })
    }
}

#[async_trait]
impl Storage for SqliteStorage {
    async fn accept(&self, key: &RedeliveryKey, turn_id: &Arc<str>) -> Result<Accepted, StorageError> {
        failpoints::reach(Point::Accept).await;
        let accepted = self.claim(key, turn_id);
        failpoints::reach(Point::Accepted).await;
        accepted
    }

    async fn release(&self, key: &RedeliveryKey) {
        let run = self.running().remove(key);
        // A flush has left its mark in the file already.
        if let Some(Run { answer, flushed: Some(flushed), .. }) = run {
            answer.send_replace(Some(flushed));
        }
    }

    async fn keep(&self, kept: KeptActivity) -> Result<(), StorageError> {
        // No start could run it.
        if self.database.is_temporary() {
            return Ok(());
        }
        self.cache.kept.add(&kept.turn_id);
        self.database
            .write(move |connection| {
                let sql =
                    "INSERT OR IGNORE INTO kept (turn_id, bot, channel, conversation, activity) VALUES (?, ?, ?, ?, ?)";
                let (bot, channel, conversation) = columns(&kept.conversation);
                run(connection, sql, params![kept.turn_id, bot, channel, conversation, kept.activity]).map(drop)
            })
            .await
    }

    async fn forget_kept(&self, turn_id: &Arc<str>) -> Result<(), StorageError> {
        if self.database.is_temporary() {
            return Ok(());
        }
        let turn = turn_id.clone();
        self.database.write(move |connection| commit::forget_kept(connection, &turn)).await?;
        self.cache.kept.forget(turn_id);
        Ok(())
    }

    async fn leftovers(&self) -> Result<Leftovers, StorageError> {
        let found = self.database.write(|connection| {
            run(connection, "UPDATE kept SET starts = starts + 1", [])?;
            // Whether a dialog still waits is found out again.
            run(connection, "UPDATE notifications SET held = 0 WHERE held = 1", [])?;
            leftovers(connection).map_err(|error| failed("leftovers", &error))
        });
        found.await
    }

    async fn lease(&self, conversation: &ConversationKey, owner: &Owner, ttl: Duration) -> Result<Lease, StorageError> {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(leases.lease(conversation, owner, ttl, Instant::now()))
    }

    async fn load_state(&self, scope: &StateScope) -> Result<HashMap<Arc<str>, StateValue>, StorageError> {
        if let Some(values) = self.cache.values.get(scope) {
            return Ok(values);
        }
        let (name, channel, conversation, user) = scope_columns(&scope.owner);
        let read = self.read("load_state", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT key, value, etag FROM state WHERE bot = ? AND namespace = ? AND scope = ? AND channel = ? \
                 AND conversation = ? AND user = ?",
            )?;
            let found = params![scope.bot, scope.namespace, name, channel, conversation, user];
            let rows = statement
                .query_map(found, |row| Ok((row.get(0)?, StateValue { value: row.get(1)?, etag: row.get(2)? })))?;
            rows.collect()
        });
        self.cache.values.loaded(scope, read.as_ref().ok());
        read
    }

    async fn load_stack(&self, conversation: &ConversationKey) -> Result<Option<Arc<str>>, StorageError> {
        if let Some(stack) = self.cache.stacks.get(conversation) {
            return Ok(stack);
        }
        let (bot, channel, id) = columns(conversation);
        let read = self.read("load_stack", |connection| {
            let sql = "SELECT text FROM stacks WHERE bot = ? AND channel = ? AND conversation = ?";
            connection.prepare_cached(sql)?.query_row(params![bot, channel, id], |row| row.get(0)).optional()
        });
        self.cache.stacks.loaded(conversation, read.as_ref().ok());
        read
    }

    async fn frames(&self, bot: &str) -> Result<Vec<(FrameTag, u64)>, StorageError> {
        self.read("frames", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT plugin, dialog, state_version, count(*) FROM frames WHERE bot = ? GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            )?;
            let rows = statement.query_map([bot], |row| {
                let tag = FrameTag { plugin: row.get(0)?, dialog: row.get(1)?, state_version: row.get(2)? };
                Ok((tag, row.get(3)?))
            })?;
            rows.collect()
        })
    }

    async fn waiting_in(&self, bot: &str, frame: &FrameTag, max: usize) -> Result<Vec<ConversationKey>, StorageError> {
        self.read("waiting_in", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT DISTINCT bot, channel, conversation FROM frames \
                 WHERE bot = ? AND plugin = ? AND dialog = ? AND state_version = ? LIMIT ?",
            )?;
            let of = params![bot, frame.plugin, frame.dialog, place(frame.state_version), place(max as u64)];
            let rows = statement.query_map(of, conversation_of)?;
            rows.collect()
        })
    }

    async fn commit(&self, commit: TurnCommit) -> Result<(), StorageError> {
        failpoints::reach(Point::Commit).await;
        let committed = self.commit_turn(commit).await;
        failpoints::reach(Point::Committed).await;
        committed
    }

    async fn claim_outbox(&self, conversation: &ConversationKey) -> Result<Option<OutboxRow>, StorageError> {
        let row = self.oldest_row(conversation)?;
        if row.is_some() {
            failpoints::reach(Point::Send).await;
        }
        Ok(row)
    }

    async fn note_delivery(&self, row: &OutboxRow, delivery: Delivery) -> Result<(), StorageError> {
        failpoints::reach(Point::Sent).await;
        let noted = self.end_delivery(row, delivery).await;
        failpoints::reach(Point::Noted).await;
        noted
    }

    async fn map_id(
        &self,
        conversation: &ConversationKey,
        host_id: &Arc<str>,
        channel_id: &Arc<str>,
    ) -> Result<(), StorageError> {
        let (conversation, host_id, channel_id) = (conversation.clone(), host_id.clone(), channel_id.clone());
        let (cache, known, ids_max) = (self.cache.clone(), self.cache.clone(), self.bounds.ids_max);
        let has_transcripts = self.has_transcripts.load(Ordering::Relaxed);
        let (key, host, to) = (conversation.clone(), host_id.clone(), channel_id.clone());
        let work = move |connection: &Connection| {
            let number = commit::map_id(connection, &conversation, &host_id, &channel_id, &known.ids, ids_max)?;
            if has_transcripts {
                transcripts::note_id(connection, &host_id, &channel_id)?;
            }
            Ok(number)
        };
        let follow = move |number: &mut i64| cache.ids.insert(&key, &host, &to, *number);
        self.database.write_then(Undo::Itself, work, follow).await.map(drop)
    }

    async fn channel_id(
        &self,
        conversation: &ConversationKey,
        host_id: &str,
    ) -> Result<Option<Arc<str>>, StorageError> {
        match self.cache.ids.of_host(conversation, host_id) {
            Found::At(UNDELIVERED) => Ok(Some("".into())),
            found => self.read("channel_id", |connection| commit::channel_id(connection, conversation, host_id, found)),
        }
    }

    async fn host_id(
        &self,
        conversation: &ConversationKey,
        channel_id: &str,
    ) -> Result<Option<Arc<str>>, StorageError> {
        if channel_id.is_empty() {
            return Ok(None);
        }
        let found = self.cache.ids.of_channel(conversation, channel_id);
        self.read("host_id", |connection| commit::host_id(connection, conversation, channel_id, found))
    }

    async fn dead_letters(&self, bot: &str) -> Result<Vec<DeadLetter>, StorageError> {
        self.read("dead_letters", |connection| {
            let sql = format!(
                "SELECT {ROW}, why, at_ms, channel, conversation FROM dead_letters WHERE bot = ? ORDER BY sequence DESC"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map([bot], |row| {
                let conversation = ConversationKey {
                    bot: bot.into(),
                    channel: channel_of(&row.get::<_, String>(8)?),
                    conversation: row.get(9)?,
                };
                Ok(DeadLetter { row: row_of(row, conversation)?, why: row.get(6)?, at_ms: row.get(7)? })
            })?;
            rows.collect()
        })
    }

    async fn retry_dead_letter(&self, bot: &str, sequence: u64) -> Result<Option<ConversationKey>, StorageError> {
        let bot: Arc<str> = bot.into();
        let (cache, bounds) = (self.cache.clone(), self.bounds.clone());
        let follow = move |retried: &mut Option<ConversationKey>| {
            if let Some(conversation) = retried {
                cache.outbox.count(conversation, 1);
            }
        };
        let retry = move |connection: &Connection| commit::retry(connection, &bot, place(sequence), &bounds);
        let retried = self.database.write_then(Undo::Itself, retry, follow).await?;
        if retried.is_some() {
            self.outbox_rows.fetch_add(1, Ordering::Relaxed);
        }
        Ok(retried)
    }

    async fn drop_dead_letter(&self, bot: &str, sequence: u64) -> Result<bool, StorageError> {
        let bot: Arc<str> = bot.into();
        self.database
            .write(move |connection| {
                let sql = "DELETE FROM dead_letters WHERE bot = ? AND sequence = ?";
                run(connection, sql, params![bot, place(sequence)]).map(|dropped| dropped > 0)
            })
            .await
    }

    async fn outbox_depth(&self) -> Result<u64, StorageError> {
        Ok(u64::try_from(self.outbox_rows.load(Ordering::Relaxed)).unwrap_or(u64::MAX))
    }

    async fn close(&self) -> Result<(), StorageError> {
        if self.database.is_temporary() {
            return Ok(());
        }
        // Behind what waits for the writer. It would do this at its own end, which the process does not wait for.
        self.database.write(|_| Ok(())).await?;
        self.read("close", |connection| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())))
    }
}

/// Starts the thread that reads where all marks and ids are; until it is done, each is looked for in the whole table.
fn learn(cache: Arc<Cache>, connection: Connection) -> std::io::Result<Joined> {
    let learn = move || {
        if let Err(error) = cache.load(&connection) {
            tracing::warn!(%error, "marks and ids of the store could not be read; each activity is looked for in the file");
        }
    };
    Ok(Joined::new(std::thread::Builder::new().name("turntable-learner".into()).spawn(learn)?))
}

fn leftovers(connection: &Connection) -> rusqlite::Result<Leftovers> {
    let sql = "SELECT bot, channel, conversation, turn_id, activity FROM kept WHERE starts <= ? ORDER BY number";
    let mut kept = connection.prepare(sql)?;
    let kept = kept.query_map([STARTS_MAX], |row| {
        Ok(KeptActivity { conversation: conversation_of(row)?, turn_id: row.get(3)?, activity: row.get(4)? })
    })?;
    let sql = "SELECT turn_id FROM kept WHERE starts > ? ORDER BY number";
    let mut given_up = connection.prepare(sql)?;
    let given_up = given_up.query_map([STARTS_MAX], |row| row.get(0))?;
    let mut rows = connection.prepare("SELECT bot, channel, conversation, count(*) FROM outbox GROUP BY 1, 2, 3")?;
    let rows = rows.query_map([], |row| Ok((conversation_of(row)?, row.get(3)?)))?;
    Ok(Leftovers {
        activities: kept.collect::<Result<_, _>>()?,
        given_up: given_up.collect::<Result<_, _>>()?,
        outbox: rows.collect::<Result<_, _>>()?,
    })
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
