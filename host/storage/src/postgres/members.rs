//! The hosts of a database: one at a time in this release.
//!
//! A host has a row that it renews. A host that ends deletes its row. A row that was not renewed in time, or whose process has
//! ended on the machine of the host that comes next, is deleted by that host. Every transaction that writes locks the row of its
//! host, so a host that was declared dead, perhaps because it was frozen, stores nothing when it wakes. All times are those of the
//! database.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::database::{Database, Failure, Session};
use super::param::params;
use super::process;

/// A host that was not heard from for this time is dead.
const TTL: Duration = Duration::from_secs(8);
/// A host says so often that it lives.
const BEAT: Duration = Duration::from_secs(2);
/// How often a host that starts looks whether the one before it has ended.
const LOOK: Duration = Duration::from_millis(250);
/// Leases that ended this long ago are deleted.
const LEASES_KEPT: Duration = Duration::from_secs(3_600);

/// What every write of a host that lost the store says.
pub(super) const LOST: &str = "another host has taken over the database, because it heard nothing of this one for 8 s; this host \
                               stores nothing any more";

/// Another host that lives, or has not been dead for long enough.
#[derive(Debug)]
pub(super) struct Other {
    id: String,
    name: String,
    version: String,
    beats: i64,
}

/// Returns another host of the database that is not known to be dead, and forgets those that are.
pub(super) async fn other(session: &Session) -> Result<Option<Other>, Failure> {
    session.run("DELETE FROM turntable.hosts WHERE expires <= clock_timestamp()", &[]).await?;
    let sql = "SELECT id, name, version, beats, process FROM turntable.hosts ORDER BY started";
    for row in session.rows(sql, &[]).await? {
        let (id, process): (String, String) = (row.try_get(0)?, row.try_get(4)?);
        if !process::has_ended(&process) {
            return Ok(Some(Other { id, name: row.try_get(1)?, version: row.try_get(2)?, beats: row.try_get(3)? }));
        }
        session.run("DELETE FROM turntable.hosts WHERE id = $1", &params![&id]).await?;
    }
    Ok(None)
}

/// Makes this host a host of the database.
pub(super) async fn join(session: &Session, id: &str, name: &str) -> Result<(), Failure> {
    let sql = "INSERT INTO turntable.hosts (id, name, version, process, expires) \
               VALUES ($1, $2, $3, $4, clock_timestamp() + $5 * interval '1 ms')";
    let row = params![id, name, env!("CARGO_PKG_VERSION"), &process::this(), milliseconds(TTL)];
    session.run(sql, &row).await?;
    Ok(())
}

/// Waits for the end of hosts that hold the database, while none of them shows that it lives.
pub(super) struct Patience {
    until: Instant,
    seen: Option<(String, i64)>,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { until: Instant::now() + TTL + BEAT, seen: None }
    }

    /// Waits before another look. It fails if the other host lives.
    pub(super) async fn wait(&mut self, other: &Other) -> anyhow::Result<()> {
        let Other { id, name, version, beats } = other;
        let lives = self.seen.as_ref().is_some_and(|(seen, before)| seen == id && before != beats);
        if lives || Instant::now() > self.until {
            bail!(
                "the database is in use by another host: {name}, version {version}. One host at a time may use a database. Stop \
                 that host, or give this one a database of its own in `storage.url`"
            );
        }
        if self.seen.is_none() {
            tracing::info!(host = name, "waiting for the end of another host of the database, at most 8 s");
        }
        self.seen = Some((id.clone(), *beats));
        sleep(LOOK).await;
        Ok(())
    }
}

/// Says every two seconds that the host lives, until it is dropped or the host was declared dead.
pub(super) struct Heart {
    task: AbortHandle,
    lives: watch::Receiver<bool>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Heart {
    pub(super) fn start(database: Database, id: Arc<str>, runtime: &Handle) -> Self {
        let (alive, lives) = watch::channel(true);
        let trouble = Arc::default();
        let beats = beat(database, id, alive, Arc::clone(&trouble));
        Self { task: runtime.spawn(beats).abort_handle(), lives, trouble }
    }

    /// Returns why the last beat failed. None: it reached the database.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Returns once the host was declared dead.
    pub(super) async fn stopped(&self) {
        let mut lives = self.lives.clone();
        if lives.wait_for(|lives| !lives).await.is_err() {
            // The host closes the store itself.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn beat(database: Database, id: Arc<str>, alive: watch::Sender<bool>, trouble: Arc<Mutex<Option<String>>>) {
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut fails = false;
    loop {
        ticks.tick().await;
        let renewed = renew(&database, &id).await;
        let failed = renewed.is_err();
        *trouble.lock() = renewed.as_ref().err().map(|error| format!("the database cannot be reached: {error:#}"));
        match renewed {
            Ok(true) if fails => tracing::info!("the database is back"),
            Ok(true) => {}
            Ok(false) => {
                alive.send_replace(false);
                return;
            }
            Err(error) if !fails => tracing::error!(error = format!("{error:#}"), "the database cannot be reached"),
            Err(_) => {}
        }
        fails = failed;
    }
}

/// Returns false if the host was declared dead.
async fn renew(database: &Database, id: &str) -> anyhow::Result<bool> {
    let sql = "UPDATE turntable.hosts SET expires = clock_timestamp() + $2 * interval '1 ms', beats = beats + 1 \
               WHERE id = $1 RETURNING 1";
    let renewed =
        database.read("renew", sql, &params![id, milliseconds(TTL)]).await.context("renewing the host's row")?;
    let sql = "DELETE FROM turntable.leases WHERE place IN (SELECT place FROM turntable.leases \
               WHERE expires < clock_timestamp() - $1 * interval '1 ms' ORDER BY expires LIMIT 500 FOR UPDATE SKIP LOCKED)";
    database.read("renew", sql, &params![milliseconds(LEASES_KEPT)]).await?;
    Ok(!renewed.is_empty())
}

/// Ends the host's use of the database, so that another can begin at once.
pub(super) async fn leave(database: &Database, id: &str) -> Result<(), crate::StorageError> {
    database.read("close", "DELETE FROM turntable.hosts WHERE id = $1", &params![id]).await.map(drop)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
