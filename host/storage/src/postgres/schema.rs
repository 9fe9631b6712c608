//! The schema, and the migrations that lead to it.

use anyhow::bail;

use super::database::{Failure, Session};
use super::param::params;

/// Each migration brings the schema from its position to the next.
const MIGRATIONS: &[&str] = &[include_str!("migrations/1.sql")];

/// The version that the last migration leaves.
pub(super) const VERSION: usize = MIGRATIONS.len();
/// The oldest version of the schema whose hosts may write into the newest one. A migration that old hosts do not survive raises
/// it.
const WRITABLE_FROM: usize = 1;
/// Hosts that start at once migrate one after the other. The lock ends with its transaction. The number is `turntable` in ASCII,
/// as far as it fits.
const LOCK: &str = "SELECT pg_advisory_xact_lock(8391171955061662316)";

/// The tables of the store.
pub(super) const TABLES: &[&str] = &[
    "state",
    "stacks",
    "frames",
    "outbox",
    "dead_letters",
    "ids",
    "records",
    "inbox",
    "contacts",
    "contact_users",
    "notifications",
    "transcripts",
    "transcript_items",
    "transcript_users",
    "broadcasts",
    "broadcast_targets",
    "proofs",
    "leases",
    "hosts",
];

/// What is there before this host begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Migrations that were done.
    pub(super) version: usize,
    /// Hosts of this version and later ones may write.
    pub(super) writable_from: usize,
}

impl Found {
    /// Fails if this release may not write into the schema.
    pub(super) fn check(self) -> anyhow::Result<()> {
        if self.writable_from > VERSION {
            bail!(
                "the database has schema {}, which only hosts that know schema {} may write; this release knows schema {VERSION}. \
                 Run a newer release",
                self.version,
                self.writable_from
            );
        }
        Ok(())
    }
}

/// Takes the lock of migrations and returns what is there.
pub(super) async fn find(session: &Session) -> Result<Found, Failure> {
    session.batch(LOCK).await?;
    let has_schema = "SELECT 1 FROM pg_namespace WHERE nspname = 'turntable'";
    if session.first(has_schema, &[]).await?.is_none() {
        session.batch("CREATE SCHEMA turntable").await?;
    }
    let table =
        "CREATE TABLE IF NOT EXISTS turntable.schema_version (version bigint NOT NULL, writable_from bigint NOT NULL)";
    session.batch(&format!("SET LOCAL client_min_messages = warning; {table}")).await?;
    let sql = "SELECT version, writable_from FROM turntable.schema_version";
    let Some(row) = session.first(sql, &[]).await? else { return Ok(Found { version: 0, writable_from: 0 }) };
    let number = |column| row.try_get(column).map(|number: i64| usize::try_from(number).unwrap_or_default());
    Ok(Found { version: number(0)?, writable_from: number(1)? })
}

/// Brings the schema from a version to the newest one. A newer one stays.
pub(super) async fn migrate(session: &Session, from: usize) -> Result<(), Failure> {
    if from >= VERSION {
        return Ok(());
    }
    for migration in MIGRATIONS.iter().skip(from) {
        session.batch(migration).await?;
    }
    session.run("DELETE FROM turntable.schema_version", &[]).await?;
    let sql = "INSERT INTO turntable.schema_version (version, writable_from) VALUES ($1, $2)";
    session.run(sql, &params![VERSION, WRITABLE_FROM]).await?;
    Ok(())
}
