//! `turntable notify`, `notifications` and `references`: proactive messages, and the conversations they can reach.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::admin::{Admin, AdminArgs};
use super::terminal::{Terminal, printable};
use crate::json;

/// Send a proactive message from a bot of a running host to a conversation or user that it knows
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    /// Bot that sends the message
    #[arg(value_name = "BOT")]
    bot: String,
    /// Channel, by its `channelId`, or `directline#local` for the host's own
    #[arg(long, value_name = "CHANNEL")]
    channel: String,
    /// Target conversation
    #[arg(long, value_name = "ID", required_unless_present = "user", conflicts_with = "user")]
    conversation: Option<String>,
    /// Target user, in the conversation in which the user was active last
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Create a new conversation with the user
    #[arg(long, requires = "user")]
    new: bool,
    #[command(flatten)]
    content: ContentArgs,
    /// Time of delivery: RFC 3339 with an offset, or a cron expression with a time zone
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Name of the timer, which replaces one of the same name in the conversation
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Print the response of the admin API as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

/// The content of a notification and its delivery.
#[derive(Debug, clap::Args)]
pub(super) struct ContentArgs {
    /// How the content is delivered
    #[arg(long, value_name = "MODE", default_value = "when-idle", value_parser = ["now", "when-idle", "interrupt", "cancel"])]
    mode: String,
    /// Send a message with this text
    #[arg(long, value_name = "TEXT", group = "content")]
    text: Option<String>,
    /// Send this activity
    #[arg(long, value_name = "JSON", group = "content")]
    activity: Option<String>,
    /// Run the bot's handlers with an event of this name and the value of `--value`
    #[arg(long, value_name = "NAME", group = "content")]
    event: Option<String>,
    /// Begin this dialog, with the options of `--options`
    #[arg(long, value_name = "PLUGIN/ID", group = "content")]
    dialog: Option<String>,
    /// Value of the event
    #[arg(long, value_name = "JSON", requires = "event")]
    value: Option<String>,
    /// Options of the dialog
    #[arg(long, value_name = "JSON", requires = "dialog")]
    options: Option<String>,
    /// Time after which nothing is delivered, RFC 3339
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
}

/// List or cancel the pending notifications of a bot of a running host
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct NotificationsArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List pending notifications and timers, by time
    List(Listed),
    /// Cancel a notification or timer
    Cancel {
        /// Bot of the notification
        #[arg(value_name = "BOT")]
        bot: String,
        /// Id of the notification, as listed
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// List or forget the known conversations of a bot of a running host
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct ReferencesArgs {
    #[command(subcommand)]
    action: ReferencesAction,
}

#[derive(Debug, Subcommand)]
enum ReferencesAction {
    /// List known conversations, the most recent last
    List(Listed),
    /// Forget a conversation and cancel its notifications
    Forget {
        /// Bot that knows the conversation
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
    },
}

/// Arguments of commands that list entries of a bot.
#[derive(Debug, clap::Args)]
pub(super) struct Listed {
    /// Bot of the listed entries
    #[arg(value_name = "BOT")]
    pub(super) bot: String,
    /// Print the response of the admin API as JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) admin: AdminArgs,
}

/// Runs `turntable notify`.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let answer = Admin::find(&args.admin)?.notify(&args.bot, &body(&args)?).await?;
    let terminal = Terminal::stdout();
    if args.json {
        terminal.line(serde_json::to_string_pretty(&answer)?)?;
    } else {
        let text = |member: &str| printable(answer[member].as_str().unwrap_or("-")).to_string();
        terminal.line(format!("{} {}", text("status"), text("id")))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn body(args: &Args) -> anyhow::Result<Value> {
    let mut body = args.content.body()?;
    body["target"] = json!({ "channel": args.channel });
    let members = [("conversation", &args.conversation), ("user", &args.user)];
    for (member, id) in members.iter().filter_map(|(member, id)| Some((member, id.as_ref()?))) {
        body["target"][*member] = id.as_str().into();
    }
    if args.new {
        body["target"]["new"] = true.into();
    }
    let members = [("at", &args.at), ("name", &args.name)];
    for (member, text) in members.iter().filter_map(|(member, text)| Some((member, text.as_ref()?))) {
        body[*member] = text.as_str().into();
    }
    Ok(body)
}

impl ContentArgs {
    /// Returns the members of the request body.
    pub(super) fn body(&self) -> anyhow::Result<Value> {
        let json = |name: &str, text: &Option<String>| match text {
            None => Ok(Value::Null),
            Some(text) => json::from_str::<Value>(text).with_context(|| format!("`{name}` is not JSON")),
        };
        let mut body = match (&self.text, &self.activity, &self.event, &self.dialog) {
            (Some(text), ..) => json!({ "activity": { "type": "message", "text": text } }),
            (_, Some(_), ..) => json!({ "activity": json("--activity", &self.activity)? }),
            (.., Some(name), _) => json!({ "event": { "name": name, "value": json("--value", &self.value)? } }),
            (.., Some(dialog)) => {
                let (plugin, id) = dialog.split_once('/').context("`--dialog` must have the form PLUGIN/ID")?;
                json!({ "dialog": { "plugin": plugin, "id": id }, "options": json("--options", &self.options)? })
            }
            _ => bail!("no content is given; use --text, --activity, --event or --dialog"),
        };
        body["mode"] = self.mode.as_str().into();
        if let Some(expires) = &self.expires {
            body["expires"] = expires.as_str().into();
        }
        Ok(body)
    }
}

/// Runs `turntable notifications`.
pub(super) async fn notifications(args: NotificationsArgs) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::List(listed) => {
            let columns = ["id", "mode", "brings", "conversation", "name", "cron"];
            list(listed, "notifications", &columns, "no pending notifications").await?;
        }
        Action::Cancel { bot, id, admin } => {
            Admin::find(&admin)?.cancel_notification(&bot, &id).await?;
            Terminal::stdout().line(format!("{} is cancelled", printable(&id)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `turntable references`.
pub(super) async fn references(args: ReferencesArgs) -> anyhow::Result<ExitCode> {
    match args.action {
        ReferencesAction::List(listed) => {
            let columns = ["channel", "conversation", "user", "service_url", "gone"];
            list(listed, "references", &columns, "no known conversations").await?;
        }
        ReferencesAction::Forget { bot, channel, conversation, admin } => {
            let of = [("channel", &*channel), ("conversation", &*conversation)];
            Admin::find(&admin)?.ask(Method::DELETE, &bot, &["references"], &of, None).await?;
            Terminal::stdout().line(format!("{} is forgotten", printable(&conversation)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(args: Listed, what: &str, columns: &[&str], none: &str) -> anyhow::Result<()> {
    let entries = Admin::find(&args.admin)?.list(&args.bot, what).await?;
    Terminal::stdout().list(&entries, columns, none, args.json)
}
