//! `turntable import`: takes over what bots of other SDKs have stored.

mod documents;
mod keys;
mod store;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use clap::Subcommand;
use serde::Serialize;

use self::documents::Documents;
use super::terminal::Terminal;
use crate::config::{self, BotSpec, Config, StorageKind};

/// Take over what a bot of another SDK has stored
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    BotState(BotState),
}

/// Import BotState documents and conversation references into the store of a stopped host
///
/// FILE is an array or lines of Cosmos DB documents, the `state.json` of a file storage, a file with references, or a folder
/// of blobs. Each property of a document becomes a value of the plugin, under the name of the property, in the scope of the
/// document: user, conversation or private. Each conversation reference that is found anywhere becomes a conversation that
/// the bot has met. What the store has already is left as it is, so the command can be repeated.
#[derive(Debug, clap::Args)]
struct BotState {
    /// File or folder to read
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// Bot that takes the state over
    #[arg(long, value_name = "BOT")]
    bot: String,
    /// Plugin that gets the values; with the grant `shared-state`, the namespace of that grant gets them
    #[arg(long, value_name = "PLUGIN")]
    plugin: String,
    /// Configuration of the host
    #[arg(long, value_name = "FILE", default_value = "turntable.toml")]
    config: PathBuf,
    /// Say what would be imported, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What an import found and did.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Documents of users, conversations, and users in conversations.
    documents: usize,
    users: usize,
    conversations: usize,
    private: usize,
    /// Older documents with the same key as another one.
    orphans: usize,
    /// Documents with sign-in state, which is not imported.
    sign_ins: usize,
    /// Documents and lines that are not understood, each with its place and the reason.
    unknown: Vec<String>,
    values: Taken,
    references: Taken,
}

/// What became of values or references.
#[derive(Debug, Default, Serialize)]
struct Taken {
    imported: usize,
    /// In the store already.
    known: usize,
    /// Larger than a limit, each with its place and the reason.
    refused: Vec<String>,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let What::BotState(args) = &args.what;
    let config = args.config()?;
    let namespace = args.namespace(bot_of(&config, &args.bot)?)?;
    let mut report = Report::default();
    let documents = Documents::read(&args.from, &mut report)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let target = store::Target { bot: args.bot.as_str().into(), namespace, limits: args.limits(&config)? };
    runtime.block_on(store::import(&config, &target, &documents, args.dry_run, &mut report))?;
    args.show(&report)?;
    let is_whole =
        report.unknown.is_empty() && report.values.refused.is_empty() && report.references.refused.is_empty();
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn bot_of<'c>(config: &'c Config, bot: &str) -> anyhow::Result<&'c BotSpec> {
    config.bots.get(bot).ok_or_else(|| {
        let known: Vec<&str> = config.bots.keys().map(String::as_str).collect();
        anyhow!("{} has no bot `{bot}`; it has {}", config.path.display(), known.join(", "))
    })
}

impl BotState {
    fn config(&self) -> anyhow::Result<Config> {
        let config = config::load(&self.config).map_err(|problems| anyhow!("{problems}"))?;
        if config.storage.kind == StorageKind::Memory {
            bail!("{} sets storage.kind = \"memory\", so there is no store to import into", self.config.display());
        }
        Ok(config)
    }

    fn namespace(&self, bot: &BotSpec) -> anyhow::Result<String> {
        let found = bot.plugins.iter().find(|plugin| *plugin.name == *self.plugin);
        let plugin = found.ok_or_else(|| {
            let known: Vec<&str> = bot.plugins.iter().map(|plugin| &*plugin.name).collect();
            anyhow!("the bot `{}` has no plugin `{}`; it has {}", self.bot, self.plugin, known.join(", "))
        })?;
        Ok(match &plugin.grants.shared_state {
            Some(shared) => format!("shared:{shared}"),
            None => format!("plugin:{}", plugin.name),
        })
    }

    /// Returns how many bytes the plugin may have in one scope.
    fn limits(&self, config: &Config) -> anyhow::Result<usize> {
        let bot = bot_of(config, &self.bot)?;
        let plugin = bot.plugins.iter().find(|plugin| *plugin.name == *self.plugin);
        Ok(plugin.map_or(0, |plugin| plugin.limits.state_bytes_per_scope))
    }

    fn show(&self, report: &Report) -> anyhow::Result<()> {
        let terminal = Terminal::stdout();
        if self.json {
            terminal.line(serde_json::to_string_pretty(report)?)?;
            return Ok(());
        }
        let done = if self.dry_run { "would be imported" } else { "imported" };
        let mut lines = vec![
            format!(
                "{} documents: {} of users, {} of conversations, {} of users in conversations",
                report.documents, report.users, report.conversations, report.private
            ),
            format!("{} values {done}, {} were known", report.values.imported, report.values.known),
            format!("{} references {done}, {} were known", report.references.imported, report.references.known),
            format!("{} older documents and {} sign-ins left out", report.orphans, report.sign_ins),
        ];
        let wrong = [&report.unknown, &report.values.refused, &report.references.refused];
        lines.extend(wrong.into_iter().flatten().map(|why| format!("not imported: {why}")));
        terminal.line(lines.join("\n"))?;
        Ok(())
    }
}
