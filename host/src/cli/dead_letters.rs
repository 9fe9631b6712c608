//! `turntable dead-letters`: lists, retries and deletes undelivered messages.

use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;
use reqwest::Method;
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
    /// Put dead letters at the end of the outbox: those with these numbers, or all of a bot, oldest first
    Retry(Retried),
    /// Delete dead letters
    Drop(Chosen),
}

#[derive(Debug, clap::Args)]
struct Retried {
    /// Retry all dead letters of this bot, oldest first
    #[arg(long = "bot", value_name = "BOT", conflicts_with_all = ["one_bot", "numbers"], required_unless_present = "one_bot")]
    all_of: Option<String>,
    /// Bot of the dead letters
    #[arg(value_name = "BOT", requires = "numbers")]
    one_bot: Option<String>,
    /// Numbers of the dead letters, as listed
    #[arg(value_name = "NUMBER")]
    numbers: Vec<u64>,
    #[command(flatten)]
    admin: AdminArgs,
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
        Action::Retry(Retried { all_of: Some(bot), admin, .. }) => retry_all(&Admin::find(&admin)?, &bot).await?,
        Action::Retry(Retried { one_bot, numbers, admin, .. }) => {
            let admin = Admin::find(&admin)?;
            for number in numbers {
                admin.end_dead_letter(&one_bot.clone().unwrap_or_default(), number, true).await?;
                Terminal::stdout().line(format!("{number} will be retried"))?;
            }
        }
        Action::Drop(chosen) => {
            let admin = Admin::find(&chosen.admin)?;
            for number in chosen.numbers {
                admin.end_dead_letter(&chosen.bot, number, false).await?;
                Terminal::stdout().line(format!("{number} was deleted"))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn retry_all(admin: &Admin, bot: &str) -> anyhow::Result<()> {
    let ended = admin.ask(Method::POST, bot, &["dead-letters", "retry"], &[], None).await?;
    let (retried, left) = (ended["retried"].as_u64().unwrap_or_default(), ended["left"].as_u64().unwrap_or_default());
    Terminal::stdout().line(format!("{retried} will be retried"))?;
    if left > 0 {
        bail!("the outbox has no room for {left} more; repeat the command when some are delivered");
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
