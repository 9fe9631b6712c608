//! `turntable test`: holds the conversations of a project with its bot.

mod junit;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};

use super::replay;
use super::terminal::{Style, Terminal};
use junit::{Case, Outcome};

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
    /// Also write the results to a file, in the JUnit format that CI servers read
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
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
    let (terminal, mut cases) = (Terminal::stdout(), Vec::new());
    for chat in &chats {
        let begun = Instant::now();
        let outcome = match replay::held(chat, &args.config, args.bot.as_deref()) {
            Ok((true, _)) => Outcome::Same,
            Ok((false, text)) => Outcome::Differs(text),
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        let case = Case { name: chat.display().to_string(), took: begun.elapsed(), outcome };
        show(terminal, &case)?;
        cases.push(case);
    }
    if let Some(file) = &args.junit {
        std::fs::write(file, junit::report(&cases)).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    let count = |is: fn(&Outcome) -> bool| cases.iter().filter(|case| is(&case.outcome)).count();
    let different = count(|outcome| matches!(outcome, Outcome::Differs(_)));
    let broken = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    terminal.line(format!("{} conversations: {different} differ, {broken} could not run", chats.len()))?;
    Ok(match (different, broken) {
        (0, 0) => ExitCode::SUCCESS,
        (_, 0) => ExitCode::FAILURE,
        _ => ExitCode::from(replay::COULD_NOT_RUN),
    })
}

fn show(terminal: Terminal, case: &Case) -> anyhow::Result<()> {
    let word = |style, word: &str| terminal.paint(style, word.to_owned());
    Ok(terminal.line(match &case.outcome {
        Outcome::Same => format!("{} {}", word(Style::Good, "same"), case.name),
        Outcome::Differs(text) => format!("{} {}\n{text}", word(Style::Bad, "differs"), case.name),
        Outcome::Failed(text) => format!("{} {}: {text}", word(Style::Bad, "failed"), case.name),
    })?)
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
