//! `turntable broadcast`: sends one message to many conversations of a running host.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::admin::{Admin, AdminArgs};
use super::notifications::{ContentArgs, Listed};
use super::terminal::{Terminal, printable};
use crate::json;

/// Outcomes of targets, as named by the admin API.
const OUTCOMES: [&str; 8] = ["waiting", "delivered", "stopped", "expired", "failed", "gone", "unknown", "cancelled"];

/// Send one message from a bot of a running host to many conversations
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Start(Box<StartArgs>),
    /// List the broadcasts of a bot, newest first
    List(Listed),
    /// Show the progress of a broadcast
    Show(Of),
    /// List the targets that a broadcast did not reach, and why
    Failures(Of),
    /// Pause a broadcast; deliveries that have begun continue
    Pause(Of),
    /// Resume a paused broadcast
    Resume(Of),
    /// Cancel a broadcast; targets that still wait get nothing
    Cancel(Of),
}

/// Start a broadcast to all known conversations of a bot, to those of a channel, or to a list
///
/// The targets are stored when the broadcast starts. Conversations that begin later are not included, and a restart of
/// the host loses no target.
#[derive(Debug, clap::Args)]
struct StartArgs {
    /// Bot that sends the message
    #[arg(value_name = "BOT")]
    bot: String,
    /// Only conversations of this channel
    #[arg(long, value_name = "CHANNEL", conflicts_with = "list")]
    channel: Option<String>,
    /// Only targets in this file: a JSON array of {"channel", "conversation"} and {"channel", "user"}, at most 10,000
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    #[command(flatten)]
    content: ContentArgs,
    /// Maximum number of conversations per second [default: 20]
    #[arg(long, value_name = "NUMBER")]
    per_second: Option<u32>,
    /// Start in the paused state
    #[arg(long)]
    paused: bool,
    /// Print the response of the admin API as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Debug, clap::Args)]
struct Of {
    #[command(flatten)]
    bot: Listed,
    /// Id of the broadcast, as listed
    #[arg(value_name = "ID")]
    id: String,
}

/// Runs the command.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Start(args) => start(&args).await?,
        Action::List(of) => list(&of).await?,
        Action::Show(of) => one(&of, Method::GET, None).await?,
        Action::Pause(of) => one(&of, Method::POST, Some("pause")).await?,
        Action::Resume(of) => one(&of, Method::POST, Some("resume")).await?,
        Action::Cancel(of) => one(&of, Method::POST, Some("cancel")).await?,
        Action::Failures(of) => failures(&of).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn start(args: &StartArgs) -> anyhow::Result<()> {
    let mut body = args.content.body()?;
    if let Some(channel) = &args.channel {
        body["target"] = json!({ "channel": channel });
    }
    if let Some(path) = &args.list {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let list: Value = json::from_slice(&text).with_context(|| format!("{} is not JSON", path.display()))?;
        body["target"] = json!({ "list": list });
    }
    if let Some(per_second) = args.per_second {
        body["per-second"] = per_second.into();
    }
    body["paused"] = args.paused.into();
    let admin = Admin::find(&args.admin)?;
    let started = admin.ask(Method::POST, &args.bot, &["broadcasts"], &[], Some(body.to_string().into_bytes())).await?;
    print_one(&started, args.json)
}

async fn one(of: &Of, method: Method, switch: Option<&str>) -> anyhow::Result<()> {
    let route: Vec<&str> = ["broadcasts", of.id.as_str()].into_iter().chain(switch).collect();
    let broadcast = Admin::find(&of.bot.admin)?.ask(method, &of.bot.bot, &route, &[], None).await?;
    print_one(&broadcast, of.bot.json)
}

fn print_one(broadcast: &Value, as_json: bool) -> anyhow::Result<()> {
    let terminal = Terminal::stdout();
    if as_json {
        return Ok(terminal.line(serde_json::to_string_pretty(broadcast)?)?);
    }
    let counts = OUTCOMES.iter().filter_map(|outcome| {
        let count = broadcast[*outcome].as_u64().filter(|count| *count > 0)?;
        Some(format!(", {count} {outcome}"))
    });
    let [id, state] = ["id", "state"].map(|member| printable(broadcast[member].as_str().unwrap_or("-")));
    Ok(terminal.line(format!("{state} {id}: {} conversations{}", broadcast["total"], counts.collect::<String>()))?)
}

async fn list(of: &Listed) -> anyhow::Result<()> {
    let found = Admin::find(&of.admin)?.list(&of.bot, "broadcasts").await?;
    let columns = ["id", "state", "mode", "total", "waiting", "delivered", "failed", "gone"];
    Terminal::stdout().list(&found, &columns, "no broadcasts", of.json)
}

async fn failures(of: &Of) -> anyhow::Result<()> {
    let admin = Admin::find(&of.bot.admin)?;
    let (mut all, mut after) = (Vec::new(), "0".to_owned());
    loop {
        let route = ["broadcasts", of.id.as_str(), "failures"];
        let page = admin.ask(Method::GET, &of.bot.bot, &route, &[("after", &after)], None).await?;
        let Some(last) = page.as_array().and_then(|page| page.last()) else { break };
        after = last["place"].to_string();
        all.extend(page.as_array().into_iter().flatten().cloned());
    }
    let columns = ["channel", "conversation", "user", "outcome", "why"];
    Terminal::stdout().list(&all, &columns, "no failures", of.bot.json)
}
