//! `turntable doctor`: checks what a host and its registered bots need from their machine and from other servers.

mod bot;
mod machine;

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

use super::terminal::{Style, Terminal, printable};
use crate::config;

/// Check what a host and its bots need: files, store, disk, clock, names, keys, tokens, connectors
///
/// Reads the configuration, and calls the servers of each bot with an `app-id` as the host would. Changes nothing. A check
/// that another one makes pointless is skipped. No secret is printed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 no check failed, 1 a check failed, 2 wrong usage.")]
pub(super) struct Args {
    /// Bot to check. Default: all bots
    bot: Option<String>,
    /// Configuration of the host
    #[arg(long, value_name = "FILE", default_value = "turntable.toml")]
    config: PathBuf,
    /// Messaging endpoint of the bot as channels reach it, to check it from outside
    #[arg(long, value_name = "URL", requires = "bot")]
    endpoint: Option<String>,
    /// Print one JSON object: `ok`, and `checks` with `check`, `bot`, `outcome`, `meaning` and `remedy`
    #[arg(long)]
    json: bool,
}

/// Result of one check.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    bot: Option<String>,
    outcome: Outcome,
    /// What was found.
    meaning: String,
    /// What to do. None if the check passed.
    remedy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Passed,
    Failed,
    Skipped,
}

impl Finding {
    fn passed(check: &'static str, meaning: impl Into<String>) -> Self {
        Self { check, bot: None, outcome: Outcome::Passed, meaning: meaning.into(), remedy: None }
    }

    fn failed(check: &'static str, meaning: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (meaning, remedy) = (meaning.into(), Some(remedy.into()));
        Self { check, bot: None, outcome: Outcome::Failed, meaning, remedy }
    }

    fn skipped(check: &'static str, meaning: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { outcome: Outcome::Skipped, ..Self::failed(check, meaning, remedy) }
    }

    fn of(self, bot: &str) -> Self {
        Self { bot: Some(bot.to_owned()), ..self }
    }
}

/// Runs the command.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let findings = match config::load(&args.config) {
        Ok(config) => {
            let mut findings = vec![Finding::passed("configuration", format!("{} is valid", args.config.display()))];
            findings.extend(machine::findings(&config).await);
            findings.extend(bot::findings(&config, args.bot.as_deref(), args.endpoint.as_deref()).await?);
            findings
        }
        Err(problems) => {
            let remedy = "Fix the problems; `turntable check` shows each with its line. The other checks need the configuration.";
            vec![Finding::failed("configuration", problems.to_string(), remedy)]
        }
    };
    let is_fine = findings.iter().all(|finding| finding.outcome != Outcome::Failed);
    let terminal = Terminal::stdout();
    terminal.line(match args.json {
        true => format!("{:#}", json!({ "ok": is_fine, "checks": findings })),
        false => findings.iter().map(|finding| shown(finding, terminal)).collect::<Vec<_>>().join("\n"),
    })?;
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn shown(finding: &Finding, terminal: Terminal) -> String {
    let (style, word) = match finding.outcome {
        Outcome::Passed => (Style::Good, "passed "),
        Outcome::Failed => (Style::Bad, "failed "),
        Outcome::Skipped => (Style::Dim, "skipped"),
    };
    let of = finding.bot.as_ref().map_or_else(String::new, |bot| format!(" {bot}"));
    let remedy = finding.remedy.as_ref().map_or_else(String::new, |remedy| format!("\n         {}", printable(remedy)));
    format!("{}  {}{of}: {}{remedy}", terminal.paint(style, word), finding.check, printable(&finding.meaning))
}
