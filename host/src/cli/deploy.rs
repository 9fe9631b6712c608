//! Commands that change what a running host serves.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::admin::{Admin, AdminArgs, read_component};
use super::terminal::{Style, Terminal};
use crate::registry::{Rehearsal, Swap, WaitingFrames};

/// Swap one component of a bot of a running host
///
/// The host validates, compiles and probes the component while the old one serves. Turns in flight finish on the old
/// one, and the next turn runs on the new one. If the component is not fit to serve, nothing changes and all problems
/// are listed.
#[derive(Debug, clap::Args)]
pub(super) struct DeployArgs {
    #[command(flatten)]
    bot: BotArgs,
    /// Plugin of the bot to swap
    #[arg(value_name = "PLUGIN")]
    plugin: String,
    /// Component to deploy
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Validate, compile and probe only, and show what would happen to waiting dialogs
    #[arg(long)]
    dry_run: bool,
}

/// Arguments of all these commands.
#[derive(Debug, clap::Args)]
pub(super) struct BotArgs {
    /// Bot to change
    #[arg(value_name = "BOT")]
    bot: String,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Runs `deploy`.
pub(super) async fn deploy(args: DeployArgs) -> anyhow::Result<ExitCode> {
    let DeployArgs { bot, plugin, file, dry_run } = args;
    let component = read_component(&file)?;
    let admin = Admin::find(&bot.admin)?;
    // Check the bot first: a host that refuses closes the connection while the component is sent, and its answer may be
    // lost.
    admin.bot(&bot.bot).await.with_context(|| format!("{} was not deployed", file.display()))?;
    if dry_run {
        let rehearsal = admin.rehearse(&bot.bot, &plugin, component).await;
        return rehearsed(&rehearsal.with_context(|| format!("{} is not fit to serve", file.display()))?, bot.json);
    }
    let swap = admin
        .deploy(&bot.bot, &plugin, component)
        .await
        .with_context(|| format!("{} was not deployed; the previous component continues to serve", file.display()))?;
    report(&admin, &swap, bot.json).await
}

fn rehearsed(rehearsal: &Rehearsal, json: bool) -> anyhow::Result<ExitCode> {
    let terminal = Terminal::stdout();
    if json {
        terminal.line(serde_json::to_string_pretty(rehearsal)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Rehearsal { bot, plugin, digest, waiting } = rehearsal;
    terminal.line(
        terminal.paint(Style::Good, format!("{bot}: {plugin} {} is fit to serve; nothing was changed", short(digest))),
    )?;
    match waiting.is_empty() {
        true => terminal.line("  no dialogs are waiting")?,
        false => terminal.line(fates(terminal, waiting))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the fates of waiting dialogs, one line each.
fn fates(terminal: Terminal, waiting: &[WaitingFrames]) -> String {
    let row = |frames: &WaitingFrames| {
        let WaitingFrames { dialog, state_version, count, becomes, why } = frames;
        let fate = why.as_ref().map_or_else(|| becomes.clone(), |why| format!("{becomes}: {why}"));
        vec![format!("  {dialog}"), format!("state version {state_version}"), format!("{count} waiting"), fate]
    };
    terminal.aligned(&waiting.iter().map(row).collect::<Vec<_>>()).join("\n")
}

/// Runs `rollback` and `reload`. `action` is the name of the route.
pub(super) async fn swap(args: BotArgs, action: &str) -> anyhow::Result<ExitCode> {
    let admin = Admin::find(&args.admin)?;
    let failed = || format!("{action} of {} failed; the previous generation continues to serve", args.bot);
    let swap = admin.swap(&args.bot, action).await.with_context(failed)?;
    report(&admin, &swap, args.json).await
}

/// Runs `enable` and `disable`.
pub(super) async fn switch(args: BotArgs, enabled: bool) -> anyhow::Result<ExitCode> {
    let status = Admin::find(&args.admin)?.set_enabled(&args.bot, enabled).await?;
    let terminal = Terminal::stdout();
    if args.json {
        terminal.line(serde_json::to_string_pretty(&status)?)?;
    } else {
        let state = if status.enabled { "enabled" } else { "disabled: activities answer 503" };
        terminal.line(format!("{}: {state}", status.name))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn report(admin: &Admin, swap: &Swap, json: bool) -> anyhow::Result<ExitCode> {
    let terminal = Terminal::stdout();
    if json {
        terminal.line(serde_json::to_string_pretty(swap)?)?;
    } else {
        let status = admin.bot(&swap.bot).await?;
        let names: Vec<&str> = status.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
        terminal.line(described(swap, &names, terminal))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Describes a swap: old and new generation, and old and new digest of each plugin that changed.
fn described(swap: &Swap, names: &[&str], terminal: Terminal) -> String {
    if swap.from == Some(swap.to) {
        return format!("{}: nothing changed, generation {} continues to serve", swap.bot, swap.to);
    }
    let from = swap.from.map_or_else(|| "none".to_owned(), |from| from.to_string());
    let title = format!("{}: generation {from} → {} in {:.1} ms", swap.bot, swap.to, swap.duration_ms);
    let rows: Vec<Vec<String>> = swap
        .digests
        .iter()
        .enumerate()
        .map(|(index, digest)| {
            let name = names.get(index).map_or_else(|| format!("plugin {}", index + 1), |name| (*name).to_owned());
            let change = match swap.from_digests.get(index) {
                Some(before) if before == digest => format!("{} unchanged", short(digest)),
                Some(before) => format!("{} → {}", short(before), short(digest)),
                None => format!("new {}", short(digest)),
            };
            vec![format!("  {name}"), change]
        })
        .collect();
    std::iter::once(terminal.paint(Style::Good, title)).chain(terminal.aligned(&rows)).collect::<Vec<_>>().join("\n")
}

/// Returns a prefix of a digest that is long enough to identify it.
fn short(digest: &str) -> &str {
    const SHOWN: usize = "sha256:".len() + 12;
    digest.get(..SHOWN).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use similar_asserts::assert_eq;

    use super::*;

    fn swap_from(from: Option<u64>, to: u64) -> Swap {
        Swap {
            bot: "demo".to_owned(),
            from,
            to,
            from_digests: from
                .map_or_else(Vec::new, |_| vec!["sha256:1111111111112222".to_owned(), "sha256:5".to_owned()]),
            digests: vec!["sha256:3333333333334444".to_owned(), "sha256:5".to_owned()],
            duration_ms: 3.25,
        }
    }

    #[test]
    fn a_dry_run_says_what_would_become_of_each_dialog_and_why() {
        let row = |dialog: &str, count: u64, becomes: &str, why: Option<&str>| WaitingFrames {
            dialog: dialog.to_owned(),
            state_version: 2,
            count,
            becomes: becomes.to_owned(),
            why: why.map(str::to_owned),
        };
        let waiting = [row("order", 48, "continue", None), row("trip", 2, "reset", Some("its dialog is gone"))];
        let told = "  order  state version 2  48 waiting  continue\n  trip   state version 2  2 waiting   reset: its dialog is gone";
        assert_eq!(fates(Terminal::plain(), &waiting), told);
    }

    #[test]
    fn a_swap_is_told_with_old_and_new() {
        let cases = [
            (
                swap_from(Some(3), 4),
                "demo: generation 3 → 4 in 3.2 ms\n  help  sha256:111111111111 → sha256:333333333333\n  echo  sha256:5 unchanged",
            ),
            (
                swap_from(None, 1),
                "demo: generation none → 1 in 3.2 ms\n  help  new sha256:333333333333\n  echo  new sha256:5",
            ),
            (swap_from(Some(4), 4), "demo: nothing changed, generation 4 continues to serve"),
        ];
        for (swap, text) in cases {
            assert_eq!(described(&swap, &["help", "echo"], Terminal::plain()), text);
        }
    }
}
