//! How work reaches PostgreSQL.
//!
//! A statement states the types of its parameters and is not prepared, so a connection has no state between transactions and
//! may be a pooler's (PgBouncer in transaction mode). What a transaction needs is set with `SET LOCAL`.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Object, Pool, PoolError};
use futures_util::future::join_all;
use futures_util::{TryStreamExt, pin_mut};
use tokio::runtime::Handle;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::param::Param;
use crate::StorageError;

/// Another host has declared this host dead.
const LOST: &str = "TT001";
/// The lease of the turn has another fence by now.
const FENCED: &str = "TT002";
/// A value that the turn relied on has changed.
const CONFLICT: &str = "TT003";

/// Pauses before a transaction is tried again: together long enough for a restart of the server.
const PAUSES: [Duration; 6] = [
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_millis(1_000),
    Duration::from_millis(2_000),
];
/// How often a commit whose answer was lost is looked up while the database is away: for some minutes in all.
const LOOKS_MAX: usize = 60;
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Statements that are sent at once.
const PIPELINE_MAX: usize = 24;

/// Why work failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The work refused.
    Refused(StorageError),
    /// The database refused, or the connection broke.
    Database(tokio_postgres::Error),
    /// There is no connection.
    Pool(PoolError),
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::Refused(error)
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        Self::Pool(error)
    }
}

impl Failure {
    /// Whether trying again may help, if nothing was committed.
    fn is_transient(&self) -> bool {
        let error = match self {
            Self::Refused(_) => return false,
            Self::Pool(PoolError::Backend(error)) | Self::Database(error) => error,
            Self::Pool(error) => return matches!(error, PoolError::Timeout(_)),
        };
        match error.code() {
            // The connection broke, or could not be made.
            None => true,
            Some(code) => {
                let again = [
                    SqlState::T_R_SERIALIZATION_FAILURE,
                    SqlState::T_R_DEADLOCK_DETECTED,
                    SqlState::ADMIN_SHUTDOWN,
                    SqlState::CRASH_SHUTDOWN,
                    SqlState::CANNOT_CONNECT_NOW,
                    SqlState::TOO_MANY_CONNECTIONS,
                    SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                ];
                code.code().starts_with("08") || again.contains(code)
            }
        }
    }

    /// Whether the connection is broken, so that the fate of a COMMIT that was sent is unknown.
    fn is_broken(&self) -> bool {
        matches!(self, Self::Database(error) if error.as_db_error().is_none_or(|error| {
            let code = error.code().code();
            code.starts_with("08") || code.starts_with("57P")
        }))
    }

    /// What the failure means for the rest of the host.
    pub(super) fn told(self, what: &str) -> StorageError {
        let error = match self {
            Self::Refused(error) => return error,
            Self::Pool(error) => return unavailable(what, &pool_hint(&error)),
            Self::Database(error) => error,
        };
        let Some(told) = error.as_db_error() else {
            return unavailable(what, &format!("the connection to PostgreSQL broke: {}", causes(&error)));
        };
        match told.code().code() {
            FENCED => StorageError::Fenced,
            CONFLICT => StorageError::Conflict,
            LOST => unavailable(what, super::members::LOST),
            code => unavailable(what, &format!("{}{} ({code})", hint(told.code()), told.message())),
        }
    }
}

fn unavailable(what: &str, why: &str) -> StorageError {
    StorageError::Unavailable(anyhow::anyhow!("{what}: {why}"))
}

fn pool_hint(error: &PoolError) -> String {
    match error {
        PoolError::Timeout(_) => {
            "no connection to PostgreSQL became free in time; the database is slow, or `storage.connections` is too small"
                .to_owned()
        }
        PoolError::Backend(error) => format!("cannot connect to PostgreSQL: {}", causes(error)),
        error => error.to_string(),
    }
}

/// An error of the driver with its causes, of which it shows only the last.
pub(super) fn causes(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(told) => format!("{}{} ({})", hint(told.code()), told.message(), told.code().code()),
        None => error.to_string(),
    }
}

/// What an error of the server means for an operator.
fn hint(code: &SqlState) -> &'static str {
    match code.code() {
        "53100" => "the disk of PostgreSQL is full; make room, and the host goes on: ",
        "53300" => "PostgreSQL has no connection left; raise its `max_connections` or lower `storage.connections`: ",
        "25006" => "the database is read-only, as a standby is; name the primary in `storage.url`: ",
        "28P01" | "28000" => "the user or the password is wrong: ",
        "3D000" => "the database does not exist; create it: ",
        "42501" => "the user of `storage.url` must own the database, or the schema `turntable` in it: ",
        "42P01" | "42883" | "3F000" => "the tables of the host are missing or damaged: ",
        _ => "",
    }
}

/// One connection, in a transaction that its owner ends.
#[derive(Clone)]
pub(super) struct Session(Arc<Connection>);

/// A connection that goes back to its pool only when its transaction has ended: otherwise it is closed.
struct Connection {
    object: Option<Object>,
    has_ended: std::sync::atomic::AtomicBool,
}

impl Connection {
    fn client(&self) -> Result<&tokio_postgres::Client, Failure> {
        let object = self.object.as_ref().ok_or(Failure::Pool(PoolError::Closed))?;
        Ok(object)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(object) = self.object.take()
            && !self.has_ended.load(std::sync::atomic::Ordering::Relaxed)
        {
            drop(Object::take(object));
        }
    }
}

/// What a statement returned, and how many rows it changed.
pub(super) struct Ran {
    pub(super) rows: Vec<Row>,
    pub(super) changed: u64,
}

impl Session {
    /// Runs a statement.
    pub(super) async fn run(&self, sql: &str, params: &[Param]) -> Result<Ran, Failure> {
        run(self.0.client()?, sql, params).await
    }

    /// Runs a statement and returns its rows.
    pub(super) async fn rows(&self, sql: &str, params: &[Param]) -> Result<Vec<Row>, Failure> {
        Ok(self.run(sql, params).await?.rows)
    }

    /// Runs a statement and returns its first row.
    pub(super) async fn first(&self, sql: &str, params: &[Param]) -> Result<Option<Row>, Failure> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// Runs a statement and returns how many rows it changed.
    pub(super) async fn changed(&self, sql: &str, params: &[Param]) -> Result<u64, Failure> {
        Ok(self.run(sql, params).await?.changed)
    }

    /// Runs statements without parameters.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), Failure> {
        Ok(self.0.client()?.batch_execute(sql).await?)
    }

    fn ended(&self) {
        self.0.has_ended.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

async fn run(client: &tokio_postgres::Client, sql: &str, params: &[Param]) -> Result<Ran, Failure> {
    let typed = params.iter().map(|param| (param, param.kind()));
    let stream = client.query_typed_raw(sql, typed).await?;
    pin_mut!(stream);
    let mut rows = Vec::new();
    while let Some(row) = stream.try_next().await? {
        rows.push(row);
    }
    let changed = stream.rows_affected().unwrap_or_default();
    Ok(Ran { rows, changed })
}

/// Statements of a transaction that do not depend on each other's results. Each must fail where it must not take effect.
#[derive(Default)]
pub(super) struct Batch(Vec<(&'static str, Vec<Param>)>);

impl Batch {
    pub(super) fn push(&mut self, sql: &'static str, params: impl Into<Vec<Param>>) {
        self.0.push((sql, params.into()));
    }
}

/// The database. A cheap handle.
#[derive(Clone)]
pub(super) struct Database {
    pool: Pool,
    /// Runs transactions, so that a caller that goes away does not cut them.
    runtime: Handle,
    begin: Arc<str>,
}

impl Database {
    /// `begin` are the statements that begin a transaction.
    pub(super) fn new(pool: Pool, runtime: Handle, begin: String) -> Self {
        Self { pool, runtime, begin: begin.into() }
    }

    /// Runs a statement that changes nothing.
    pub(super) async fn read(&self, what: &str, sql: &str, params: &[Param]) -> Result<Vec<Row>, StorageError> {
        let mut pauses = PAUSES.iter();
        loop {
            let ran = async { run(&*self.pool.get().await?, sql, params).await };
            match (ran.await, pauses.next()) {
                (Ok(ran), _) => return Ok(ran.rows),
                (Err(failure), Some(pause)) if failure.is_transient() => tokio::time::sleep(*pause).await,
                (Err(failure), _) => return Err(failure.told(what)),
            }
        }
    }

    /// Runs work in a transaction. It runs again where PostgreSQL says that nothing of it was stored and trying again may help.
    /// Work that is `idempotent` also runs again where nobody knows whether it was stored.
    pub(super) async fn write<T, W, F>(&self, what: &'static str, idempotent: bool, work: W) -> Result<T, StorageError>
    where
        T: Send + 'static,
        W: Fn(Session) -> F + Send + Sync + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let database = self.clone();
        self.detached(what, async move { database.write_here(what, idempotent, work).await }).await
    }

    async fn write_here<T, W, F>(&self, what: &str, idempotent: bool, work: W) -> Result<T, StorageError>
    where
        W: Fn(Session) -> F,
        F: Future<Output = Result<T, Failure>>,
    {
        let mut pauses = PAUSES.iter();
        loop {
            let (failure, was_sent) = match self.attempt(&work).await {
                Ok(done) => return Ok(done),
                Err(failed) => failed,
            };
            let is_unknown = was_sent && failure.is_broken() && !idempotent;
            match pauses.next() {
                Some(pause) if !is_unknown && failure.is_transient() => tokio::time::sleep(*pause).await,
                _ => return Err(failure.told(what)),
            }
        }
    }

    /// Returns why it failed, and whether a COMMIT was sent.
    async fn attempt<T, W, F>(&self, work: &W) -> Result<T, (Failure, bool)>
    where
        W: Fn(Session) -> F,
        F: Future<Output = Result<T, Failure>>,
    {
        let session = self.session().await.map_err(|failure| (failure, false))?;
        let done = async {
            session.batch(&self.begin).await?;
            work(session.clone()).await
        };
        match done.await {
            Ok(done) => {
                session.batch("COMMIT").await.map_err(|failure| (failure, true))?;
                session.ended();
                Ok(done)
            }
            Err(failure) => {
                if session.batch("ROLLBACK").await.is_ok() {
                    session.ended();
                }
                Err((failure, false))
            }
        }
    }

    /// Runs one statement in a transaction, sent as one. It runs again like the work of [`Database::write`].
    pub(super) async fn run(
        &self,
        what: &'static str,
        idempotent: bool,
        sql: &'static str,
        params: impl Into<Vec<Param>>,
    ) -> Result<Ran, StorageError> {
        let database = self.clone();
        let batch = Batch(vec![(sql, params.into())]);
        self.detached(what, async move {
            let mut pauses = PAUSES.iter();
            loop {
                let failure = match database.send(&batch).await {
                    Ok(ran) => return ran.into_iter().next().ok_or_else(|| unavailable(what, "no answer")),
                    Err(failure) => failure,
                };
                match pauses.next() {
                    Some(pause) if failure.is_transient() && (idempotent || !failure.is_broken()) => {
                        tokio::time::sleep(*pause).await;
                    }
                    _ => return Err(failure.told(what)),
                }
            }
        })
        .await
    }

    /// Commits a batch, sent as one. `was_committed` is a query that returns a row if it was, for the case that the answer is
    /// lost. The batch itself must fail if it is committed already.
    pub(super) async fn commit(
        &self,
        what: &'static str,
        batch: Batch,
        was_committed: (&'static str, Vec<Param>),
    ) -> Result<(), StorageError> {
        let database = self.clone();
        self.detached(what, async move { database.commit_here(what, &batch, was_committed).await }).await
    }

    async fn commit_here(
        &self,
        what: &str,
        batch: &Batch,
        was_committed: (&'static str, Vec<Param>),
    ) -> Result<(), StorageError> {
        let (mut pauses, mut may_be_committed) = (PAUSES.iter(), false);
        loop {
            let Err(failure) = self.send(batch).await else { return Ok(()) };
            may_be_committed |= failure.is_broken();
            if may_be_committed && self.finds(what, was_committed.0, &was_committed.1).await? {
                return Ok(());
            }
            match pauses.next() {
                Some(pause) if failure.is_transient() => tokio::time::sleep(*pause).await,
                _ => return Err(failure.told(what)),
            }
        }
    }

    /// Returns whether a query has rows. It waits for a database that is away, because a turn whose commit is unknown must neither
    /// be answered nor run again.
    async fn finds(&self, what: &str, sql: &str, params: &[Param]) -> Result<bool, StorageError> {
        for _ in 1..LOOKS_MAX {
            if let Ok(rows) = self.read(what, sql, params).await {
                return Ok(!rows.is_empty());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        self.read(what, sql, params).await.map(|rows| !rows.is_empty())
    }

    async fn send(&self, batch: &Batch) -> Result<Vec<Ran>, Failure> {
        let session = self.session().await?;
        let client = session.0.client()?;
        let chunks: Vec<_> = batch.0.chunks(PIPELINE_MAX).collect();
        let mut results = Vec::new();
        for (number, chunk) in chunks.iter().enumerate() {
            let begin = (number == 0).then_some(&*self.begin);
            let end = (number + 1 == chunks.len()).then_some("COMMIT");
            match pipeline(client, begin, chunk, end).await {
                Ok(ran) => results.extend(ran),
                Err(failure) => {
                    // After an error COMMIT rolls back.
                    let has_ended = end.is_some() && !failure.is_broken();
                    if has_ended || session.batch("ROLLBACK").await.is_ok() {
                        session.ended();
                    }
                    return Err(failure);
                }
            }
        }
        session.ended();
        Ok(results)
    }

    async fn session(&self) -> Result<Session, Failure> {
        let object = self.pool.get().await?;
        Ok(Session(Arc::new(Connection { object: Some(object), has_ended: false.into() })))
    }

    async fn detached<T: Send + 'static>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, StorageError>> + Send + 'static,
    ) -> Result<T, StorageError> {
        match self.runtime.spawn(work).await {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(%error, "work of the store panicked; it is undone");
                Err(unavailable(what, "work of the store panicked"))
            }
        }
    }
}

/// Sends statements at once, in the order in which they are polled first. After an error PostgreSQL refuses the rest. Returns the
/// first error.
async fn pipeline(
    client: &tokio_postgres::Client,
    begin: Option<&str>,
    statements: &[(&'static str, Vec<Param>)],
    end: Option<&str>,
) -> Result<Vec<Ran>, Failure> {
    let (began, ran, ended) = futures_util::join!(
        simple(client, begin),
        join_all(statements.iter().map(|(sql, params)| run(client, sql, params))),
        simple(client, end),
    );
    began?;
    let ran = ran.into_iter().collect::<Result<_, _>>()?;
    ended.map(|()| ran)
}

async fn simple(client: &tokio_postgres::Client, sql: Option<&str>) -> Result<(), Failure> {
    match sql {
        Some(sql) => Ok(client.batch_execute(sql).await?),
        None => Ok(()),
    }
}
