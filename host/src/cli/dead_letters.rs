//! `turntable dead-letters`: what could not be delivered, and what shall become of it.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

use super::admin::{Admin, AdminArgs};
use super::terminal::Terminal;

/// List what a bot of a running host could not deliver, try it again, or forget it
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List dead letters, newest first: where they went, and why they did not arrive
    List {
        /// Bot whose dead letters to list
        #[arg(value_name = "BOT")]
        bot: String,
        /// Print what the admin API says, as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Put dead letters back into the outbox, behind what waits there
    Retry(Chosen),
    /// Forget dead letters
    Drop(Chosen),
}

#[derive(Debug, clap::Args)]
struct Chosen {
    /// Bot whose dead letters they are
    #[arg(value_name = "BOT")]
    bot: String,
    /// Numbers of the dead letters, as listed
    #[arg(value_name = "NUMBER", required = true)]
    numbers: Vec<u64>,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Runs the command.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::List { bot, json, admin } => {
            let letters = Admin::find(&admin)?.dead_letters(&bot).await?;
            let letters = if json { letters } else { letters.iter().map(shown).collect() };
            let columns = ["number", "what", "conversation", "service_url", "why"];
            Terminal::stdout().list(&letters, &columns, "no dead letters", json)?;
        }
        Action::Retry(chosen) => end(chosen, true).await?,
        Action::Drop(chosen) => end(chosen, false).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn end(chosen: Chosen, retry: bool) -> anyhow::Result<()> {
    let admin = Admin::find(&chosen.admin)?;
    for number in chosen.numbers {
        admin.end_dead_letter(&chosen.bot, number, retry).await?;
        let what = if retry { "is tried again" } else { "is forgotten" };
        Terminal::stdout().line(format!("{number} {what}"))?;
    }
    Ok(())
}

/// Returns a dead letter with what it was in one member, as the table shows it.
fn shown(letter: &Value) -> Value {
    let mut shown = letter.clone();
    let kind = letter["kind"].as_str().unwrap_or("-");
    shown["what"] = format!("{} {kind}", letter["action"].as_str().unwrap_or("-")).into();
    shown["number"] = letter["sequence"].clone();
    shown
}
