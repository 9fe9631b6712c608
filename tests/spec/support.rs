//! The harness of the specs: hosts, connectors, conversations, components.

pub(crate) mod channel;
pub(crate) mod command;
pub(crate) mod components;
pub(crate) mod conversation;
pub(crate) mod host;
pub(crate) mod issuer;
pub(crate) mod old_bot;
pub(crate) mod postgres;
pub(crate) mod raw;
pub(crate) mod server;
pub(crate) mod tls;

use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;

pub(crate) use channel::{Behaviour, Connector};
pub(crate) use command::turntable;
pub(crate) use components::{compile_bomb, component};
pub(crate) use conversation::{Answer, expecting_replies, message};
pub(crate) use host::{Config, Host};
pub(crate) use issuer::{APP, Issuer, Token};

/// How long a spec waits for something that must happen. Only a broken host exceeds it, so it measures nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// Reports that the current spec cannot run on this machine, and why. `.ci/run` fails if any spec was skipped.
///
/// The line goes to stderr, bypassing the capture of the test harness, and to the file in `TURNTABLE_SKIPPED`.
pub(crate) fn skip(why: &str) {
    let thread = std::thread::current();
    let line = format!("SKIPPED: {}: {why}\n", thread.name().unwrap_or("a spec"));
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("TURNTABLE_SKIPPED") {
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}

/// Returns how often a spec repeats what it proves: `short` times in `make test`, `long` times in `make prove`, which sets
/// `TURNTABLE_PROVE`.
pub(crate) fn rounds(short: usize, long: usize) -> usize {
    if std::env::var_os("TURNTABLE_PROVE").is_some() { long } else { short }
}

/// Waits for something that must happen, and fails the spec if it does not.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen within {PATIENCE:?}"),
    }
}
