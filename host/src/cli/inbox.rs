//! `turntable inbox`: lists, retries and drops accepted activities that no start of the host could end.

use std::process::ExitCode;

use clap::Subcommand;
use reqwest::Method;
use serde_json::Value;

use super::admin::{Admin, AdminArgs};
use super::terminal::Terminal;

/// List, retry or drop accepted activities that a running host does not run any more
///
/// A host that answered 202 runs the activity, also after a restart. If the process ended each time that an activity
/// ran, the host gives it up, so that the others can run.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the activities that were given up, oldest first
    List {
        /// Bot whose activities to list
        #[arg(value_name = "BOT")]
        bot: String,
        /// Print the response of the admin API as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Run activities again; an activity that ends the process again is run alone once more and then given up
    Retry(Chosen),
    /// Delete activities; their conversations get no reply
    Drop(Chosen),
}

#[derive(Debug, clap::Args)]
struct Chosen {
    /// Bot of the activities
    #[arg(value_name = "BOT")]
    bot: String,
    /// Numbers of the activities, as listed
    #[arg(value_name = "NUMBER", required = true)]
    numbers: Vec<u64>,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Runs the command.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::List { bot, json, admin } => {
            let given_up: Vec<Value> = Admin::find(&admin)?.ask_for(Method::GET, &bot, &["inbox"], &[], None).await?;
            let columns = ["number", "kind", "conversation", "id", "timestamp"];
            Terminal::stdout().list(&given_up, &columns, "no activity was given up", json)?;
        }
        Action::Retry(chosen) => end(chosen, true).await?,
        Action::Drop(chosen) => end(chosen, false).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn end(chosen: Chosen, retry: bool) -> anyhow::Result<()> {
    let admin = Admin::find(&chosen.admin)?;
    for number in chosen.numbers {
        let number = number.to_string();
        let route = ["inbox", &number, "retry"];
        let (method, route) = if retry { (Method::POST, &route[..]) } else { (Method::DELETE, &route[..2]) };
        admin.ask(method, &chosen.bot, route, &[], None).await?;
        let what = if retry { "runs again" } else { "was deleted" };
        Terminal::stdout().line(format!("{number} {what}"))?;
    }
    Ok(())
}
