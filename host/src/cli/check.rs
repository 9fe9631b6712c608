//! `turntable check`: every problem of a configuration, without starting anything.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::terminal::{Style, Terminal};
use crate::config::{self, Config, Problems};

/// Report every problem of a configuration, each with its line
///
/// Checks keys, types, bounds, names and that the component files are there; it neither compiles them nor binds a port.
/// Exits with 1 where there is a problem.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Configuration to check
    #[arg(default_value = "turntable.toml", value_name = "CONFIG")]
    config: PathBuf,
    /// Print one JSON object: `ok`, `problems` with `line`, `column` and `message`, and `bots` with their `plugins`
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let terminal = Terminal::stdout();
    let result = config::load(&args.config);
    let code = if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    let text = match (&result, args.json) {
        (result, true) => as_json(result),
        (Ok(config), false) => terminal.paint(Style::Good, summary(config)),
        (Err(problems), false) => {
            let list = if std::io::stdout().is_terminal() { problems.excerpts() } else { format!("{problems}\n") };
            let count = problems.list().len();
            let total = format!("{count} problem{}", if count == 1 { "" } else { "s" });
            format!("{list}\n{}", terminal.paint(Style::Bad, total))
        }
    };
    terminal.line(text)?;
    Ok(code)
}

fn summary(config: &Config) -> String {
    let plugins: usize = config.bots.values().map(|bot| bot.plugins.len()).sum();
    let counted = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    format!(
        "{}: {} with {}, no problems",
        config.path.display(),
        counted(config.bots.len(), "bot"),
        counted(plugins, "plugin")
    )
}

fn as_json(result: &Result<Config, Problems>) -> String {
    let value = match result {
        Ok(config) => {
            let bots = config.bots.values().map(|bot| {
                let plugins: Vec<&str> = bot.plugins.iter().map(|plugin| &*plugin.name).collect();
                json!({ "name": &*bot.name, "plugins": plugins })
            });
            json!({ "ok": true, "problems": [], "bots": bots.collect::<Vec<_>>() })
        }
        Err(problems) => json!({ "ok": false, "problems": problems.list() }),
    };
    format!("{value:#}")
}
