//! Failpoints: places in the store where a debug build ends or stalls its process, for the specs of what survives a crash.
//!
//! `TURNTABLE_CRASH=POINT:N` sends SIGKILL to the process when it reaches the point for the Nth time.
//! `TURNTABLE_CRASH=POINT:N:FILE` waits there until the file exists. A row of the outbox is sent between its claim (`send`)
//! and the note of its delivery (`sent`). A release build reads no such variable.

/// A place before or after a change of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    /// Before an activity is looked up.
    Accept,
    /// After an activity was claimed.
    Accepted,
    /// Before a turn is committed.
    Commit,
    /// After a turn was committed.
    Committed,
    /// After a row of the outbox was claimed.
    Send,
    /// Before a delivery is noted.
    Sent,
    /// After a delivery was noted.
    Noted,
    /// Before targets of a broadcast begin.
    Begin,
    /// After targets of a broadcast began.
    Begun,
}

#[cfg(not(debug_assertions))]
pub(super) async fn reach(_: Point) {}

#[cfg(debug_assertions)]
pub(super) use debug::reach;

#[cfg(debug_assertions)]
mod debug {
    use std::path::PathBuf;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::Point;

    /// Time between two looks for the file.
    const LOOK: Duration = Duration::from_millis(5);

    static CRASH: LazyLock<Option<Crash>> = LazyLock::new(|| Crash::read(&std::env::var("TURNTABLE_CRASH").ok()?));

    struct Crash {
        point: String,
        left: AtomicU64,
        /// The file that ends a stall; none kills the process.
        until: Option<PathBuf>,
    }

    impl Crash {
        fn read(wanted: &str) -> Option<Self> {
            let mut parts = wanted.splitn(3, ':');
            let point = parts.next().unwrap_or_default().to_owned();
            let Some(nth) = parts.next().and_then(|nth| nth.parse().ok()) else {
                tracing::error!(wanted, "TURNTABLE_CRASH is neither POINT:N nor POINT:N:FILE; nothing crashes");
                return None;
            };
            let until = parts.next().map(PathBuf::from);
            tracing::warn!(point, nth, ?until, "this process will kill itself, or stall until the file exists");
            Some(Self { point, left: AtomicU64::new(nth), until })
        }
    }

    /// Ends or stalls the process where the environment names this point and its turn has come.
    pub(crate) async fn reach(point: Point) {
        let Some(crash) = &*CRASH else { return };
        if !crash.point.eq_ignore_ascii_case(&format!("{point:?}")) || crash.left.fetch_sub(1, Ordering::SeqCst) != 1 {
            return;
        }
        let Some(until) = &crash.until else {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            return;
        };
        tracing::warn!(?point, "the store stalls");
        while !until.exists() {
            tokio::time::sleep(LOOK).await;
        }
    }
}
