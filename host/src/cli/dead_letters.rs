//! `turntable dead-letters`: lists, retries and deletes undelivered messages.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

use super::admin::{Admin, AdminArgs};
use super::terminal::Terminal;

/// List, retry or delete the messages that a bot of a running host could not deliver
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List dead letters, newest first, with their destination and the cause
    List {
        /// Bot whose dead letters to list
        #[arg(value_name = "BOT")]
        bot: String,
        /// Print the response of the admin API as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Put dead letters at the end of the outbox
    Retry(Chosen),
    /// Delete dead letters
    Drop(Chosen),
}

#[derive(Debug, clap::Args)]
struct Chosen {
    /// Bot of the dead letters
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
        let what = if retry { "will be retried" } else { "was deleted" };
        Terminal::stdout().line(format!("{number} {what}"))?;
    }
    Ok(())
}

/// Returns a dead letter with the members that the table shows.
fn shown(letter: &Value) -> Value {
    let mut shown = letter.clone();
    let kind = letter["kind"].as_str().unwrap_or("-");
    shown["what"] = format!("{} {kind}", letter["action"].as_str().unwrap_or("-")).into();
    shown["number"] = letter["sequence"].clone();
    shown
}
