//! `turntable transcripts`: conversations as files.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;

use super::terminal::{Terminal, printable};
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
    Convert(ConvertArgs),
}

/// Make a .transcript of a .chat, the markup of chatdown in which people write conversations
///
/// The same file always gives the same activities: times, ids and the id of the conversation follow from its text. Files
/// that it attaches are taken from its folder. Every problem is told with its line.
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
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.action {
        Action::Convert(args) => convert(args),
    }
}

fn convert(args: &ConvertArgs) -> anyhow::Result<ExitCode> {
    let activities = match transcript::read(&args.file) {
        Ok(activities) => activities,
        Err(problems) => {
            super::complain(&printable(&problems.to_string()));
            return Ok(ExitCode::FAILURE);
        }
    };
    let text = transcript::file::print(&activities)?;
    match &args.output {
        Some(path) => std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?,
        None => Terminal::stdout().line(text.trim_end())?,
    }
    Ok(ExitCode::SUCCESS)
}
