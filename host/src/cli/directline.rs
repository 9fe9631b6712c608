//! `turntable directline`: manages the secrets by which sites talk to a bot.

use std::process::ExitCode;

use clap::Subcommand;

use super::admin::{Admin, AdminArgs};
use super::terminal::Terminal;

/// Manage the Direct Line secrets of a bot of a running host
///
/// A site presents a secret to talk to the bot, or to get tokens for its visitors. A bot has two secrets: change the site to
/// the second before you replace the first.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List, replace or revoke the secrets of a bot
    #[command(arg_required_else_help = true)]
    Secrets {
        #[command(subcommand)]
        action: Action,
    },
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the secrets that exist, with the time when they were made
    List {
        /// Bot whose secrets to list
        #[arg(value_name = "BOT")]
        bot: String,
        /// Print the response of the admin API as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Make a new secret and print it, this once; the secret in its place and its tokens end at once
    Rotate(Chosen),
    /// Remove a secret; it and its tokens end at once
    Revoke(Chosen),
}

#[derive(Debug, clap::Args)]
struct Chosen {
    /// Bot of the secret
    #[arg(value_name = "BOT")]
    bot: String,
    /// Number of the secret
    #[arg(value_name = "1|2", value_parser = clap::value_parser!(u8).range(1..=2))]
    slot: u8,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Runs the command.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let What::Secrets { action } = args.what;
    let terminal = Terminal::stdout();
    match action {
        Action::List { bot, json, admin } => {
            let secrets = Admin::find(&admin)?.site_secrets(&bot).await?;
            terminal.list(&secrets, &["slot", "created"], "no secrets", json)?;
        }
        Action::Rotate(Chosen { bot, slot, admin }) => {
            let made = Admin::find(&admin)?.site_secret(&bot, slot, true).await?;
            terminal.line(made["secret"].as_str().unwrap_or_default())?;
        }
        Action::Revoke(Chosen { bot, slot, admin }) => {
            Admin::find(&admin)?.site_secret(&bot, slot, false).await?;
            terminal.line(format!("secret {slot} of {bot} was revoked"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
