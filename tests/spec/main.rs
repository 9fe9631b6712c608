//! Specs: tests that drive the built host from outside, through its ports, its files and its command line.
//!
//! All specs are in one binary, so that it is linked once. Each file has one subject. `support` starts hosts and acts as
//! channels and users. A spec that needs something that this machine lacks prints that it is skipped, see `support::skip`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a spec fails by panicking")]

mod support;

mod admin;
mod authentication;
mod bounds;
mod bridge;
mod broadcast;
mod cli;
mod clients;
mod clock;
mod compiled;
mod config;
mod connections;
mod contract;
mod conversation;
mod crash;
mod credentials;
mod delivery;
mod dialogs;
mod directline;
mod doctor;
mod doors;
mod edited;
mod frozen;
mod groups;
mod hostile;
mod inbox;
mod input;
mod instances;
mod log;
mod messages;
mod middleware;
mod notify;
mod old_bots;
mod opening;
mod outage;
mod outbound;
mod parity;
mod portable;
mod postgres;
mod privacy;
mod projects;
mod prompts;
mod references;
mod refusals;
mod registered;
mod reload;
mod replay;
mod routes;
mod schema;
mod sdk;
mod sdks;
mod shutdown;
mod sites;
mod state;
mod stop;
mod storage;
mod streams;
mod swap;
mod temporary;
mod terminal;
mod tidy;
mod transcripts;
mod travel;
mod wire;

/// A file that is not listed above would not run.
#[test]
fn no_file_is_forgotten() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/spec");
    let listed: Vec<&str> =
        include_str!("main.rs").lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';')).collect();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.strip_suffix(".rs").unwrap_or(&name);
        assert!(module == "main" || listed.contains(&module), "`mod {module};` is missing in main.rs");
    }
}
