//! PostgreSQL for hosts: a server that all specs share, and a database for each.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) use server::Server;

use super::{Config, skip};

#[path = "../../../host/storage/src/testing/server.rs"]
#[allow(dead_code, reason = "the unit tests of the store use the rest of it")]
mod server;

static SERVER: LazyLock<Option<Server>> = LazyLock::new(Server::start);

/// Returns the shared server, and the name of a new database. None: PostgreSQL is not installed, which is reported.
pub(crate) fn database() -> Option<(&'static Server, String)> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let Some(server) = &*SERVER else {
        skip("PostgreSQL is not installed");
        return None;
    };
    let name = format!("spec{}", COUNT.fetch_add(1, Ordering::Relaxed));
    server.database(&name);
    Some((server, name))
}

/// A configuration whose store is at this URL.
pub(crate) fn config(url: &str) -> Config {
    let config = Config::new().set("storage.kind", "'postgres'").set("storage.url", "'file:url'");
    config.write_secret("url", url);
    config
}
