//! `turntable check`: reports all problems of a configuration without starting a host.

mod probe;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use self::probe::Findings;
use super::terminal::{Style, Terminal, printable};
use crate::config::{self, Config, Problems};

/// Report every problem of a configuration, each with its line
///
/// Checks keys, types, limits, names and that files exist. Then compiles each component in a sandboxed child process,
/// reads its manifest, and checks settings and grants against it. Skips the components of plugins whose own section has
/// a problem, and all components if the file has syntax errors. Binds no port, writes nothing, and does not disturb a
/// host that runs with the same configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 no problem (warnings do not count), 1 a problem, 2 wrong usage.")]
pub(super) struct Args {
    /// Configuration to check
    #[arg(default_value = "turntable.toml", value_name = "CONFIG")]
    config: PathBuf,
    /// Check the configuration only, without compiling components
    #[arg(long)]
    offline: bool,
    /// Print one JSON object: `ok`, `problems` and `warnings` with `line`, `column` and `message`, and `bots` with
    /// their `plugins`
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let terminal = Terminal::stdout();
    let reading = config::read(&args.config);
    let findings = probe::findings(&args.config, &reading, args.offline).await?;
    let is_fine = findings.problems.list().is_empty();
    // If the file has problems, bots and plugins may be missing from the parts that were read, so they are not listed.
    let config = reading.config.filter(|_| reading.problems.list().is_empty());
    terminal.line(match args.json {
        true => as_json(config.as_ref(), &findings),
        false => as_text(config.as_ref(), &findings, terminal),
    })?;
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn as_text(config: Option<&Config>, findings: &Findings, terminal: Terminal) -> String {
    let listed = |problems: &Problems| match problems.list() {
        [] => String::new(),
        _ if std::io::stdout().is_terminal() => printable(&problems.excerpts()),
        _ => format!("{}\n", printable(&problems.to_string())),
    };
    let (problems, warnings) = (&findings.problems, &findings.warnings);
    let text = format!("{}{}", listed(warnings), listed(problems));
    match (config, problems.list().len()) {
        (Some(config), 0) => {
            let end = if text.is_empty() { "" } else { "\n" };
            format!("{text}{end}{}", terminal.paint(Style::Good, summary(config, warnings.list().len())))
        }
        (_, count) => format!("{text}\n{}", terminal.paint(Style::Bad, counted(count, "problem"))),
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn summary(config: &Config, warnings: usize) -> String {
    let plugins: usize = config.bots.values().map(|bot| bot.plugins.len()).sum();
    let (path, bots, plugins) = (config.path.display(), counted(config.bots.len(), "bot"), counted(plugins, "plugin"));
    let warnings = if warnings == 0 { String::new() } else { format!(", {}", counted(warnings, "warning")) };
    format!("{path}: {bots} with {plugins}, no problems{warnings}")
}

fn as_json(config: Option<&Config>, findings: &Findings) -> String {
    let mut value = json!({
        "ok": findings.problems.list().is_empty(),
        "problems": findings.problems.list(),
        "warnings": findings.warnings.list(),
    });
    if let Some(config) = config {
        let bots = config.bots.values().map(|bot| {
            let plugins: Vec<&str> = bot.plugins.iter().map(|plugin| &*plugin.name).collect();
            json!({ "name": &*bot.name, "plugins": plugins })
        });
        value["bots"] = bots.collect();
    }
    format!("{value:#}")
}
