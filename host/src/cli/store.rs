//! `turntable store`: works on the store of a stopped host.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use clap::Subcommand;

use super::terminal::{Style, Terminal};
use crate::config::{self, StorageKind};
use crate::storage::sqlite;

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

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let terminal = Terminal::stdout();
    match &args.action {
        Action::Check(place) => {
            let path = place.path()?;
            let found = sqlite::check(&path)?;
            if found.is_empty() {
                terminal.line(terminal.paint(Style::Good, format!("{}: no damage", path.display())))?;
                return Ok(ExitCode::SUCCESS);
            }
            terminal.line(found.join("\n"))?;
            terminal.line(terminal.paint(
                Style::Bad,
                "damaged: replace it with a backup, or move it away to start with an empty store",
            ))?;
            return Ok(ExitCode::FAILURE);
        }
        Action::Compact(place) => {
            let path = place.path()?;
            let before = sqlite::stats(&path)?.bytes;
            sqlite::compact(&path)?;
            let after = sqlite::stats(&path)?.bytes;
            terminal.line(format!("{}: {before} bytes before, {after} now", path.display()))?;
        }
        Action::Stats { place, json } => {
            let report = sqlite::stats(&place.path()?)?;
            if *json {
                terminal.line(serde_json::to_string_pretty(&report)?)?;
                return Ok(ExitCode::SUCCESS);
            }
            let mut rows = vec![vec!["bytes".to_owned(), report.bytes.to_string()]];
            rows.push(vec!["free bytes".to_owned(), report.free_bytes.to_string()]);
            rows.extend(report.entries.iter().map(|(table, count)| vec![table.replace('_', " "), count.to_string()]));
            terminal.line(terminal.aligned(&rows).join("\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Place {
    fn path(&self) -> anyhow::Result<PathBuf> {
        let config = config::load_sections(&self.config, &["storage", "runtime"]).map_err(|problems| {
            anyhow!("{problems}\nthe location of the store is unknown; name its configuration with --config")
        })?;
        if config.storage.kind == StorageKind::Memory {
            bail!("{} sets storage.kind = \"memory\", so there is no file", self.config.display());
        }
        Ok(config.storage.path)
    }
}
