//! `turntable forget`: deletes what a running host stores about a conversation or a user.

use std::process::ExitCode;

use anyhow::bail;
use reqwest::Method;

use super::admin::{Admin, AdminArgs};
use super::terminal::{Terminal, printable};

/// Delete what a running host stores about a conversation or a user of a bot
///
/// Deletes state, dialogs, transcripts, references, timers, undelivered messages, dead letters, stored answers and ids.
/// For a user, deletes the conversations in which nobody else was active, and the user's own data in other
/// conversations. The README lists what remains.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    /// Bot whose data is deleted
    #[arg(value_name = "BOT")]
    bot: String,
    /// Channel, by its `channelId`, or `directline#local` for the host's own
    #[arg(long, value_name = "CHANNEL")]
    channel: String,
    /// Conversation to delete
    #[arg(long, value_name = "ID", required_unless_present = "user", conflicts_with = "user")]
    conversation: Option<String>,
    /// User to delete
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Print the response of the admin API as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Runs the command.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (route, member, id) = match (&args.conversation, &args.user) {
        (Some(conversation), _) => ("conversations", "conversation", conversation),
        (None, Some(user)) => ("users", "user", user),
        (None, None) => bail!("nothing to delete is named; give --conversation or --user"),
    };
    let query = [("channel", &*args.channel), (member, id)];
    let answer = Admin::find(&args.admin)?.ask(Method::DELETE, &args.bot, &[route], &query, None).await?;
    let terminal = Terminal::stdout();
    if args.json {
        terminal.line(serde_json::to_string_pretty(&answer)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let counts = answer["forgotten"].as_object().into_iter().flatten();
    let counts: Vec<String> = counts
        .filter(|(_, count)| count.as_u64() != Some(0))
        .map(|(what, count)| format!("{count} {}", what.replace('_', " ")))
        .collect();
    let counts = if counts.is_empty() { "there was nothing".to_owned() } else { counts.join(", ") };
    terminal.line(format!("{} is forgotten: {counts}", printable(id)))?;
    Ok(ExitCode::SUCCESS)
}
