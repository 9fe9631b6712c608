//! The store in PostgreSQL, for a host whose data must outlive its machine.
//!
//! One host at a time uses a database in this release (`members.rs`), and another one takes over when the first ends. The
//! database decides who that is, refuses what a host writes that lost it, and is the clock of leases and of ends.

mod broadcasts;
mod columns;
mod commit;
mod connect;
mod database;
mod members;
mod notifications;
mod operator;
mod outbox;
mod param;
mod privacy;
mod process;
mod schema;
mod storage;
mod transcripts;
mod undelivered;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::RwLock;
use tokio::time::Instant;

use self::columns::{Key, record_key};
use self::connect::Use;
use self::database::{Database, Session};
use self::members::{Heart, Other, Patience};
pub use self::operator::{Report, check, stats};
use self::param::{Columns, params};
use self::undelivered::Undelivered;
use super::claims::Claims;
use super::known::KnownConversations;
use super::{Accepted, Answer, DeduplicationKey, Fence, Owner, StorageError};
use turntable_config::{Channel, Storage as Settings, Tls};

/// A store in PostgreSQL.
pub struct PostgresStorage {
    database: Database,
    /// This host among those of the database.
    id: Arc<str>,
    claims: Claims,
    leases: Mutex<KeptLeases>,
    bounds: Bounds,
    /// Turns whose activity is in the inbox.
    inbox: Mutex<HashSet<Arc<str>>>,
    /// Read-locked by each activity on its way into the inbox.
    adding_to_inbox: Arc<RwLock<()>>,
    undelivered: Undelivered,
    known: KnownConversations,
    heart: Heart,
}

struct Bounds {
    outbox_rows_max: usize,
    dead_letters_max: usize,
    records: Kept,
    ids: Kept,
}

/// A table that keeps its newest rows: at least `max`, and a hundredth more until it is looked at again.
struct Kept {
    max: usize,
    added: AtomicUsize,
}

impl Kept {
    fn new(max: usize) -> Self {
        Self { max, added: AtomicUsize::new(0) }
    }

    /// Counts new rows, and returns whether the oldest should be deleted now.
    fn add(&self, rows: usize) -> bool {
        let step = (self.max / 100).max(1);
        let before = self.added.fetch_add(rows, Ordering::Relaxed);
        before / step != before.saturating_add(rows) / step
    }
}

/// Leases of this process that the database need not be asked for, with the time until which that holds. It is counted from
/// before the database was asked, so no lease ends later here than there.
type KeptLeases = HashMap<Key, (Owner, Fence, Instant)>;

/// What a look at the database led to.
enum Joined {
    Member,
    Waits(Other),
    TooNew(schema::Found),
}

impl PostgresStorage {
    /// Opens the store and migrates its schema. If another host was killed, this waits until that host counts as dead, at most 10 s.
    /// Connections are driven by `runtime`.
    ///
    /// # Errors
    /// The error says what is wrong with settings, database, schema or permissions, and what to do; or it names the host
    /// that uses the database.
    pub async fn open(settings: &Settings, tls: &Tls, channel: &Channel, runtime: Handle) -> anyhow::Result<Self> {
        let pool = connect::pool(settings, tls, &runtime, Use::Work)?;
        let pulse = connect::pool(settings, tls, &runtime, Use::Heart)?;
        let found = connect::look(&pool).await?;
        let id: Arc<str> = ulid::Ulid::new().to_string().into();
        let name = connect::name_of_this_host();
        let opening = Database::new(pool.clone(), runtime.clone(), "BEGIN".into());
        let mut patience = Patience::new();
        loop {
            let (id, name) = (id.clone(), name.clone());
            let join = move |session| join(session, id.clone(), name.clone());
            match opening.write("opening the database", false, join).await? {
                Joined::Member => break,
                Joined::Waits(other) => patience.wait(&other).await?,
                Joined::TooNew(found) => found.check()?,
            }
        }
        let begin = found.begin(settings.durability, &id);
        let database = Database::new(pool, runtime.clone(), begin);
        let pulse = Database::new(pulse, runtime.clone(), "BEGIN".into());
        let heart = Heart::start(pulse, id.clone(), &runtime);
        let undelivered = Undelivered::count(&database).await.context("counting undelivered messages")?;
        Ok(Self {
            database,
            id,
            claims: Claims::default(),
            leases: Mutex::default(),
            bounds: Bounds {
                outbox_rows_max: channel.outbox_rows_max,
                dead_letters_max: channel.dead_letters_max,
                records: Kept::new(channel.redelivery_marks_max),
                ids: Kept::new(channel.id_map_entries_max),
            },
            inbox: Mutex::default(),
            adding_to_inbox: Arc::default(),
            undelivered,
            known: KnownConversations::default(),
            heart,
        })
    }

    async fn claim(&self, key: &DeduplicationKey, turn_id: &Arc<str>) -> Result<Accepted, StorageError> {
        // Claimed before the database is asked, so that nobody else claims it meanwhile.
        if let Some(running) = self.claims.claim(key, turn_id) {
            return Ok(running);
        }
        match self.record_of(key).await {
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

    async fn record_of(&self, key: &DeduplicationKey) -> Result<Option<(Arc<str>, Answer)>, StorageError> {
        let sql = "SELECT turn_id, status, answer FROM turntable.records WHERE key = $1";
        self.first("accept", sql, &params![record_key(key)], |row| {
            let status = u16::try_from(row.number(1)?).unwrap_or(500);
            Ok((row.text(0)?, Answer { status, body: row.optional_text(2)? }))
        })
        .await
    }

    /// Reads the first row that a query returns.
    async fn first<T>(
        &self,
        what: &str,
        sql: &str,
        params: &[param::Param],
        read: impl Fn(&tokio_postgres::Row) -> Result<T, tokio_postgres::Error>,
    ) -> Result<Option<T>, StorageError> {
        Ok(self.all(what, sql, params, read).await?.into_iter().next())
    }

    /// Reads the rows that a query returns.
    async fn all<T>(
        &self,
        what: &str,
        sql: &str,
        params: &[param::Param],
        read: impl Fn(&tokio_postgres::Row) -> Result<T, tokio_postgres::Error>,
    ) -> Result<Vec<T>, StorageError> {
        let rows = self.database.read(what, sql, params).await?;
        rows.iter().map(read).collect::<Result<_, _>>().map_err(|error| database::Failure::from(error).told(what))
    }
}

async fn join(session: Session, id: Arc<str>, name: String) -> Result<Joined, database::Failure> {
    let found = schema::find(&session).await?;
    if found.check().is_err() {
        return Ok(Joined::TooNew(found));
    }
    if found.version > 0
        && let Some(other) = members::other(&session).await?
    {
        return Ok(Joined::Waits(other));
    }
    schema::migrate(&session, found.version).await?;
    members::join(&session, &id, &name).await?;
    Ok(Joined::Member)
}

#[cfg(test)]
mod tests;
