//! `turntable transcripts`: works with transcripts of a running host and with files of conversations.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::admin::{Admin, AdminArgs};
use super::terminal::{Terminal, one_line, printable};
use crate::activity::Object;
use crate::json;
use crate::transcript;

/// Work with transcripts of conversations
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(ListArgs),
    /// Show the transcript of a conversation of a running host, one line per activity
    Show(ShowArgs),
    /// Write the transcript of a conversation of a running host to a .transcript
    Export(ExportArgs),
    Import(ImportArgs),
    /// Delete the transcript of a conversation of a running host
    Delete(Of),
    Convert(ConvertArgs),
}

/// List the transcripts of a bot of a running host
///
/// The host stores transcripts of bots that have a table `transcripts` in the configuration.
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Bot of the listed entries
    #[arg(value_name = "BOT")]
    bot: String,
    /// Print the response of the admin API as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Debug, clap::Args)]
struct Of {
    /// Bot of the transcript
    #[arg(value_name = "BOT")]
    bot: String,
    /// Channel, as listed
    #[arg(long, value_name = "CHANNEL")]
    channel: String,
    /// Conversation, as listed
    #[arg(long, value_name = "ID")]
    conversation: String,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    #[command(flatten)]
    of: Of,
    /// Only activities since this time, RFC 3339 with an offset
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Print the activities, as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct ExportArgs {
    #[command(flatten)]
    of: Of,
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Import a .transcript or a .chat as the transcript of a conversation that has none
#[derive(Debug, clap::Args)]
struct ImportArgs {
    #[command(flatten)]
    of: Of,
    /// File to import
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Convert a .chat, the chatdown markup for conversations written by hand, to a .transcript
///
/// The same file always yields the same activities, because times, ids and the id of the conversation are derived from
/// its text. Attached files are read from its folder. Every problem is printed with its line.
#[derive(Debug, clap::Args)]
struct ConvertArgs {
    /// Chat to convert; a .transcript is checked and indented
    #[arg(value_name = "FILE.chat")]
    file: PathBuf,
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::List(args) => list(args).await,
        Action::Show(args) => show(args).await,
        Action::Export(args) => {
            let text = transcript::file::print(&activities(&args.of, None).await?)?;
            write(&text, args.output.as_deref())
        }
        Action::Import(args) => import(args).await,
        Action::Delete(of) => {
            let query = of.query();
            Admin::find(&of.admin)?.ask(Method::DELETE, &of.bot, &["transcripts"], &query, None).await?;
            Terminal::stdout().line(format!("the transcript of {} is deleted", printable(&of.conversation)))?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Convert(args) => convert(&args),
    }
}

async fn list(args: ListArgs) -> anyhow::Result<ExitCode> {
    let found = pages(&Admin::find(&args.admin)?, &args.bot, &["transcripts"], &[]).await?;
    let columns = ["channel", "conversation", "created", "last", "activities", "bytes"];
    Terminal::stdout().list(&found, &columns, "no transcripts", args.json)?;
    Ok(ExitCode::SUCCESS)
}

async fn show(args: ShowArgs) -> anyhow::Result<ExitCode> {
    let found = activities(&args.of, args.since.as_deref()).await?;
    let terminal = Terminal::stdout();
    if args.json {
        terminal.line(serde_json::to_string_pretty(&found)?)?;
    } else if found.is_empty() {
        terminal.line("this conversation has no transcript")?;
    } else {
        terminal.line(found.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn import(args: ImportArgs) -> anyhow::Result<ExitCode> {
    let Some(activities) = read(&args.file) else { return Ok(ExitCode::FAILURE) };
    let (of, body) = (&args.of, serde_json::to_vec(&activities)?);
    Admin::find(&of.admin)?.ask(Method::PUT, &of.bot, &["transcripts", "file"], &of.query(), Some(body)).await?;
    Terminal::stdout().line(format!("imported {} activities", activities.len()))?;
    Ok(ExitCode::SUCCESS)
}

impl Of {
    fn query(&self) -> [(&str, &str); 2] {
        [("channel", &self.channel), ("conversation", &self.conversation)]
    }
}

async fn activities(of: &Of, since: Option<&str>) -> anyhow::Result<Vec<Object>> {
    let since = since.map(|since| ("since", since));
    let query: Vec<(&str, &str)> = of.query().into_iter().chain(since).collect();
    let found = pages(&Admin::find(&of.admin)?, &of.bot, &["transcripts", "activities"], &query).await?;
    let object = |activity| match activity {
        Value::Object(activity) => Ok(activity),
        _ => Err(anyhow::anyhow!("the response of the host contains an item that is not an activity")),
    };
    found.into_iter().map(object).collect()
}

/// A page of items. Items are parsed one by one, because each may be nested as deeply as the parser allows.
#[derive(Deserialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    #[serde(rename = "continuationToken")]
    token: Option<String>,
}

/// Returns the items of all pages.
async fn pages(admin: &Admin, bot: &str, route: &[&str], query: &[(&str, &str)]) -> anyhow::Result<Vec<Value>> {
    let (mut items, mut token) = (Vec::new(), "0".to_owned());
    loop {
        let query = [query, &[("limit", "500"), ("continuation", &token)]].concat();
        let page: Page = admin.ask_for(Method::GET, bot, route, &query, None).await?;
        for item in page.items {
            items.push(json::value(item.get())?);
        }
        match page.token {
            Some(next) => token = next,
            None => return Ok(items),
        }
    }
}

/// Formats an activity as one line.
fn line(activity: &Object) -> String {
    let text = |member: &str| activity.get(member).and_then(Value::as_str).unwrap_or_default();
    let from = activity.get("from").unwrap_or(&Value::Null);
    let who = ["role", "name", "id"].iter().find_map(|member| from[*member].as_str()).unwrap_or("?");
    let count = |member: &str| activity.get(member).and_then(Value::as_array).map_or(0, Vec::len);
    let mut said = text("text").to_owned();
    if count("attachments") > 0 {
        said.push_str(&format!(" [{} attachments]", count("attachments")));
    }
    let kind = if text("type") == "message" {
        String::new()
    } else {
        format!(" [{}]", [text("type"), text("name")].join(" ").trim())
    };
    one_line(format!("{} {who}{kind}: {said}", text("timestamp")).trim_end())
}

/// Reads a file and prints its problems or warnings.
fn read(path: &Path) -> Option<Vec<Object>> {
    let (read, said) = match transcript::read(path) {
        Ok(read) => (Some(read.activities), read.warnings),
        Err(problems) => (None, problems),
    };
    for line in said.lines() {
        super::complain(&one_line(&line));
    }
    read
}

fn convert(args: &ConvertArgs) -> anyhow::Result<ExitCode> {
    let Some(activities) = read(&args.file) else { return Ok(ExitCode::FAILURE) };
    write(&transcript::file::print(&activities)?, args.output.as_deref())
}

fn write(text: &str, output: Option<&Path>) -> anyhow::Result<ExitCode> {
    match output {
        Some(path) => std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?,
        None => Terminal::stdout().line(text.trim_end())?,
    }
    Ok(ExitCode::SUCCESS)
}
