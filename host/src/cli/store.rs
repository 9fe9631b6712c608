//! `turntable store`: works on the store of a stopped host, or looks into a database that a host uses.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use clap::Subcommand;
use serde::Serialize;

use super::terminal::{Style, Terminal};
use crate::config::{self, Config, StorageKind};
use crate::storage::{postgres, sqlite};

/// Check, compact or measure the store of a stopped host
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read the whole store and report damage; exits with 1 if there is any
    Check(Place),
    /// Return the space of deleted data to the file system; needs as much free space as the store occupies
    Compact(Place),
    /// Show the number of entries and the size of the store
    Stats {
        #[command(flatten)]
        place: Place,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Place {
    /// Configuration that names the store
    #[arg(long, value_name = "FILE", default_value = "turntable.toml")]
    config: PathBuf,
}

/// The store that a configuration names.
enum Store {
    File(PathBuf),
    Database(Box<Config>),
}

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let terminal = Terminal::stdout();
    match &args.action {
        Action::Check(place) => {
            let (name, found) = match place.store()? {
                Store::File(path) => (path.display().to_string(), sqlite::check(&path)?),
                Store::Database(config) => {
                    ("the database of storage.url".to_owned(), wait_for(postgres::check(&config.storage, &config.tls))?)
                }
            };
            if found.is_empty() {
                terminal.line(terminal.paint(Style::Good, format!("{name}: no damage")))?;
                return Ok(ExitCode::SUCCESS);
            }
            terminal.line(found.join("\n"))?;
            terminal.line(terminal.paint(
                Style::Bad,
                "damaged: replace it with a backup, or move it away to start with an empty store",
            ))?;
            return Ok(ExitCode::FAILURE);
        }
        Action::Compact(place) => match place.store()? {
            Store::File(path) => {
                let before = sqlite::stats(&path)?.bytes;
                sqlite::compact(&path)?;
                let after = sqlite::stats(&path)?.bytes;
                terminal.line(format!("{}: {before} bytes before, {after} now", path.display()))?;
            }
            Store::Database(_) => {
                bail!("PostgreSQL reuses free space itself (autovacuum); there is nothing to compact")
            }
        },
        Action::Stats { place, json } => {
            let counted = match place.store()? {
                Store::File(path) => Counted::File(sqlite::stats(&path)?),
                Store::Database(config) => Counted::Database(wait_for(postgres::stats(&config.storage, &config.tls))?),
            };
            if *json {
                terminal.line(serde_json::to_string_pretty(&counted)?)?;
                return Ok(ExitCode::SUCCESS);
            }
            terminal.line(terminal.aligned(&counted.rows()).join("\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is in a store.
#[derive(Serialize)]
#[serde(untagged)]
enum Counted {
    File(sqlite::Report),
    Database(postgres::Report),
}

impl Counted {
    fn rows(&self) -> Vec<Vec<String>> {
        let (bytes, entries) = match self {
            Self::File(report) => (report.bytes, &report.entries),
            Self::Database(report) => (report.bytes, &report.entries),
        };
        let mut rows = vec![vec!["bytes".to_owned(), bytes.to_string()]];
        match self {
            Self::File(report) => rows.push(vec!["free bytes".to_owned(), report.free_bytes.to_string()]),
            Self::Database(report) => {
                rows.push(vec!["host".to_owned(), report.host.clone().unwrap_or_else(|| "none runs".to_owned())]);
            }
        }
        rows.extend(entries.iter().map(|(table, count)| vec![table.replace('_', " "), count.to_string()]));
        rows
    }
}

impl Place {
    fn store(&self) -> anyhow::Result<Store> {
        let config = config::load_sections(&self.config, &["storage", "runtime", "tls"]).map_err(|problems| {
            anyhow!("{problems}\nthe location of the store is unknown; name its configuration with --config")
        })?;
        match config.storage.kind {
            StorageKind::Memory => {
                bail!("{} sets storage.kind = \"memory\", so there is no file", self.config.display())
            }
            StorageKind::Sqlite => Ok(Store::File(config.storage.path)),
            StorageKind::Postgres => Ok(Store::Database(Box::new(config))),
        }
    }
}

/// Waits for work of the network.
fn wait_for<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
