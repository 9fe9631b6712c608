//! `turntable test`: holds the conversations of a project with its bot.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::replay;
use super::terminal::{Style, Terminal};

/// Hold the conversations in tests/ with the bot, and compare its replies
///
/// Each .chat file is a conversation of its own, with an empty store in memory. The bot runs in this process, and
/// nothing is sent. `turntable replay` does the same for one file and has more options.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 no difference, 1 differences, 2 could not run.")]
pub(super) struct Args {
    /// Conversations, or folders with conversations
    #[arg(value_name = "PATH", default_value = "tests")]
    paths: Vec<PathBuf>,
    /// Bot to talk to [default: the default bot of the configuration]
    #[arg(long, value_name = "BOT")]
    bot: Option<String>,
    /// Configuration of the bot
    #[arg(long, value_name = "FILE", default_value = "turntable.toml")]
    config: PathBuf,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut chats = Vec::new();
    for path in &args.paths {
        collect(path, &mut chats)?;
    }
    chats.sort();
    if chats.is_empty() {
        bail!("there are no conversations to hold: no .chat file in {}", shown(&args.paths));
    }
    let (terminal, mut different, mut broken) = (Terminal::stdout(), 0, 0);
    for chat in &chats {
        match replay::held(chat, &args.config, args.bot.as_deref()) {
            Ok((true, _)) => {
                terminal.line(format!("{} {}", terminal.paint(Style::Good, "same".to_owned()), chat.display()))?;
            }
            Ok((false, text)) => {
                different += 1;
                let word = terminal.paint(Style::Bad, "differs".to_owned());
                terminal.line(format!("{word} {}\n{text}", chat.display()))?;
            }
            Err(error) => {
                broken += 1;
                terminal.line(format!(
                    "{} {}: {error:#}",
                    terminal.paint(Style::Bad, "failed".to_owned()),
                    chat.display()
                ))?;
            }
        }
    }
    terminal.line(format!("{} conversations: {different} differ, {broken} could not run", chats.len()))?;
    Ok(match (different, broken) {
        (0, 0) => ExitCode::SUCCESS,
        (_, 0) => ExitCode::FAILURE,
        _ => ExitCode::from(replay::COULD_NOT_RUN),
    })
}

/// Adds a conversation, or those in a folder and its folders.
fn collect(path: &Path, chats: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if !path.is_dir() {
        if !path.exists() {
            bail!("{} does not exist", path.display());
        }
        chats.push(path.to_owned());
        return Ok(());
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("{} cannot be read", path.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("{} cannot be read", path.display()))?.path();
        if entry.is_dir() || entry.extension().is_some_and(|extension| extension == "chat") {
            collect(&entry, chats)?;
        }
    }
    Ok(())
}

fn shown(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
