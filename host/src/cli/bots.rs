//! `turntable bots`: shows the bots of a running host.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::admin::{Admin, AdminArgs};
use super::terminal::{Style, Terminal, printable};
use crate::registry::BotStatus;

/// Show the bots of a running host: state, generation, plugins, and why a load failed
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Show this bot only, with digest and size of each plugin
    #[arg(value_name = "BOT")]
    bot: Option<String>,
    /// Print the response of the admin API as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Runs the command.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let admin = Admin::find(&args.admin)?;
    let terminal = Terminal::stdout();
    match args.bot {
        Some(name) => {
            let bot = admin.bot(&name).await?;
            terminal.line(if args.json { serde_json::to_string_pretty(&bot)? } else { detail(&bot, terminal) })?;
        }
        None => {
            let bots = admin.bots().await?;
            terminal.line(if args.json { serde_json::to_string_pretty(&bots)? } else { overview(&bots, terminal) })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn overview(bots: &[BotStatus], terminal: Terminal) -> String {
    let rows: Vec<Value> = bots
        .iter()
        .map(|bot| {
            let plugins: Vec<&str> = bot.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
            json!({
                "bot": bot.name, "state": state(bot), "generation": bot.generation,
                "since": bot.serving_since.as_deref().map(to_seconds), "plugins": plugins.join(", "),
            })
        })
        .collect();
    let mut lines = vec![terminal.table(&rows, &["bot", "state", "generation", "since", "plugins"])];
    lines.extend(bots.iter().flat_map(|bot| failure(bot, terminal).into_iter().chain(refused(bot, terminal))));
    lines.join("\n")
}

fn detail(bot: &BotStatus, terminal: Terminal) -> String {
    let mut lines = vec![format!("{}  {}", terminal.paint(Style::Strong, &bot.name), printable(&bot.title))];
    let style = if state(bot) == "serving" { Style::Good } else { Style::Bad };
    let mut state = terminal.paint(style, state(bot));
    if let (Some(generation), Some(since)) = (bot.generation, &bot.serving_since) {
        state.push_str(&format!(", generation {generation} since {}", to_seconds(since)));
    }
    if let Some(previous) = bot.previous_generation {
        state.push_str(&format!(", generation {previous} kept for a rollback"));
    }
    lines.push(state);
    let rows: Vec<Vec<String>> = bot
        .plugins
        .iter()
        .map(|plugin| {
            vec![
                format!("  {}", plugin.name),
                plugin.describes.clone().unwrap_or_else(|| "-".to_owned()),
                plugin.digest.clone().unwrap_or_else(|| without_digest(&plugin.source).to_owned()),
                plugin.bytes.map_or_else(String::new, |bytes| format!("{bytes} bytes")),
                format!("from {}", plugin.source),
            ]
        })
        .collect();
    lines.extend(terminal.aligned(&rows));
    lines.extend(failure(bot, terminal));
    lines.extend(refused(bot, terminal));
    lines.join("\n")
}

/// Returns what stands where the digest of a component would.
fn without_digest(source: &str) -> &'static str {
    if source == "bridge" { "a process of its own" } else { "not loaded" }
}

fn state(bot: &BotStatus) -> &'static str {
    match (bot.enabled, bot.generation) {
        (false, _) => "disabled",
        (true, Some(_)) => "serving",
        (true, None) => "not loaded",
    }
}

/// Returns lines about the newest failed load, or none.
fn failure(bot: &BotStatus, terminal: Terminal) -> Vec<String> {
    let Some(failure) = &bot.last_failure else { return Vec::new() };
    let title = format!("{}: load ({}) failed at {}", bot.name, failure.cause, to_seconds(&failure.at));
    let problems = failure.problems.iter().map(|problem| format!("  - {}", printable(problem)));
    std::iter::once(terminal.paint(Style::Bad, title)).chain(problems).collect()
}

/// Returns lines about the origins to which replies were not sent, or none.
fn refused(bot: &BotStatus, terminal: Terminal) -> Vec<String> {
    if bot.refused_origins.is_empty() {
        return Vec::new();
    }
    let title = format!("{}: replies were not sent; `turntable dead-letters list {0}` shows them", bot.name);
    let origins = bot.refused_origins.iter().map(|refused| {
        format!("  - {} times, last at {}: {}", refused.count, to_seconds(&refused.last), printable(&refused.why))
    });
    std::iter::once(terminal.paint(Style::Bad, title)).chain(origins).collect()
}

/// Returns an RFC 3339 time in UTC without the fraction of its second.
fn to_seconds(time: &str) -> String {
    time.split_once('.').map_or_else(|| time.to_owned(), |(seconds, _)| format!("{seconds}Z"))
}

#[cfg(test)]
mod tests {
    use similar_asserts::assert_eq;

    use super::*;

    fn bots() -> Vec<BotStatus> {
        serde_json::from_value(json!([
            {
                "name": "demo", "title": "Demo", "enabled": true, "generation": 3, "previous_generation": 2,
                "serving_since": "2026-11-20T20:00:00.123Z", "last_failure": {
                    "at": "2026-11-20T20:01:00Z", "cause": "watch", "problems": ["echo: imports wasi:nn", "help: traps"]
                },
                "plugins": [
                    { "name": "help", "digest": "sha256:aa", "describes": "help 0.1.0", "bytes": 90000, "since": null, "source": "file" },
                    { "name": "echo", "digest": "sha256:bb", "describes": "echo 0.1.0", "bytes": 80, "since": null, "source": "deploy" }
                ]
            },
            {
                "name": "b", "title": "B", "enabled": false, "generation": null, "previous_generation": null,
                "serving_since": null, "last_failure": null, "refused_origins": [
                    { "origin": "http://x:1", "why": "http://x:1 is not listed", "count": 2, "last": "2026-11-20T20:02:00.5Z" }
                ],
                "plugins": [ { "name": "echo", "digest": null, "describes": null, "bytes": null, "since": null, "source": "file" } ]
            }
        ]))
        .unwrap()
    }

    #[test]
    fn the_overview_aligns_bots_and_lists_failures() {
        let expected = "\
BOT   STATE     GENERATION  SINCE                 PLUGINS
demo  serving   3           2026-11-20T20:00:00Z  help, echo
b     disabled  -           -                     echo
demo: load (watch) failed at 2026-11-20T20:01:00Z
  - echo: imports wasi:nn
  - help: traps
b: replies were not sent; `turntable dead-letters list b` shows them
  - 2 times, last at 2026-11-20T20:02:00Z: http://x:1 is not listed";
        assert_eq!(overview(&bots(), Terminal::plain()), expected);
    }

    #[test]
    fn the_detail_shows_each_plugin() {
        let expected = "\
demo  Demo
serving, generation 3 since 2026-11-20T20:00:00Z, generation 2 kept for a rollback
  help  help 0.1.0  sha256:aa  90000 bytes  from file
  echo  echo 0.1.0  sha256:bb  80 bytes     from deploy
demo: load (watch) failed at 2026-11-20T20:01:00Z
  - echo: imports wasi:nn
  - help: traps";
        assert_eq!(detail(&bots()[0], Terminal::plain()), expected);
        let expected = "\
b  B
disabled
  echo  -  not loaded    from file
b: replies were not sent; `turntable dead-letters list b` shows them
  - 2 times, last at 2026-11-20T20:02:00Z: http://x:1 is not listed";
        assert_eq!(detail(&bots()[1], Terminal::plain()), expected);
    }
}
