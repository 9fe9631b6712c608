//! `turntable turns`: lists and stops the turns that run.

use std::process::ExitCode;

use clap::Subcommand;
use reqwest::Method;
use serde_json::Value;

use super::admin::{Admin, AdminArgs};
use super::terminal::Terminal;

/// List the turns of a bot of a running host that run now, or stop some of them
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the turns that run now, the longest running first
    List {
        /// Bot whose turns to list
        #[arg(value_name = "BOT")]
        bot: String,
        /// Print the response of the admin API as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Stop turns: what a turn staged is undone, and its stream is closed with the text so far
    Stop {
        /// Bot of the turns
        #[arg(value_name = "BOT")]
        bot: String,
        /// Ids of the turns, as listed
        #[arg(value_name = "TURN", required = true)]
        turns: Vec<String>,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Runs the command.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::List { bot, json, admin } => {
            let turns = Admin::find(&admin)?.ask(Method::GET, &bot, &["turns", "running"], &[], None).await?;
            let turns: Vec<Value> = turns.as_array().cloned().unwrap_or_default();
            let columns = ["turn_id", "kind", "running_ms", "channel", "conversation"];
            Terminal::stdout().list(&turns, &columns, "no turn runs", json)?;
        }
        Action::Stop { bot, turns, admin } => {
            let admin = Admin::find(&admin)?;
            for turn in turns {
                let answer = admin.ask(Method::DELETE, &bot, &["turns", "running", &turn], &[], None).await?;
                let stopped = answer["stopped"].as_bool().unwrap_or_default();
                let what = if stopped { "was stopped" } else { "was about to end, and ended by itself" };
                Terminal::stdout().line(format!("{turn} {what}"))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
