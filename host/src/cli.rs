//! The command line: arguments, help texts, and one file per command.

mod admin;
mod arguments;
mod bots;
mod broadcast;
mod build;
mod chat;
mod check;
mod dead_letters;
mod deploy;
mod directline;
mod doctor;
mod forget;
mod import;
mod inbox;
mod inspect;
mod new;
mod notifications;
mod replay;
mod serve;
mod store;
mod terminal;
mod test;
mod testbed;
mod transcripts;
mod turns;

use std::io::{self, ErrorKind};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::colours::has_colours;

/// Maximum time to write an error line to stderr.
const COMPLAINT_MAX: Duration = Duration::from_secs(2);

/// Host bots whose logic is sandboxed WebAssembly that can be replaced while they serve
#[derive(Debug, Parser)]
#[command(name = "turntable", version, max_term_width = 100, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage. Colours appear on a terminal only, and not with NO_COLOR, CLICOLOR=0 or TERM=dumb.";

#[derive(Debug, Subcommand)]
enum Command {
    New(new::Args),
    Build(build::Args),
    Test(test::Args),
    Testbed(testbed::Args),
    Serve(serve::Args),
    Check(check::Args),
    Doctor(doctor::Args),
    Inspect(inspect::Args),
    Chat(chat::Args),
    Bots(bots::Args),
    Deploy(deploy::DeployArgs),
    /// Restore the previous generation of a bot of a running host; a second call restores the newer one
    ///
    /// The restored components serve until their files change, also after restarts. Settings, grants and limits are
    /// restored only until the configuration is read again.
    Rollback(deploy::BotArgs),
    /// Read a bot's section of the configuration and its components again, and swap if anything changed
    Reload(deploy::BotArgs),
    /// Enable a disabled bot of a running host
    Enable(deploy::BotArgs),
    /// Disable a bot of a running host: it answers 503 until it is enabled or the host restarts, and finishes accepted
    /// turns
    Disable(deploy::BotArgs),
    Notify(Box<notifications::Args>),
    Broadcast(broadcast::Args),
    Notifications(notifications::NotificationsArgs),
    References(notifications::ReferencesArgs),
    Forget(forget::Args),
    DeadLetters(dead_letters::Args),
    Inbox(inbox::Args),
    Directline(directline::Args),
    Transcripts(transcripts::Args),
    Turns(turns::Args),
    Replay(replay::Args),
    Store(store::Args),
    Import(import::Args),
}

/// Runs the command line of this process and returns its exit code: 0 done, 1 failed, 2 wrong usage.
pub fn main() -> ExitCode {
    match run(command()) {
        Ok(code) => code,
        // The reader of the output has closed it early, which is not a failure.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Parses the arguments of this process. Exits if they are invalid or ask for help.
fn command() -> Command {
    let colours = has_colours(&io::stdout()) && has_colours(&io::stderr());
    let mut command = Cli::command().color(if colours { ColorChoice::Always } else { ColorChoice::Never });
    command.build();
    let arguments = arguments::joined(&command, std::env::args_os());
    let matches = command.clone().get_matches_from(arguments);
    match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli.command,
        Err(error) => error.format(&mut command).exit(),
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::New(args) => new::run(&args),
        Command::Build(args) => build::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Testbed(args) => testbed::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => wait_for(check::run(args)),
        Command::Doctor(args) => wait_for(doctor::run(args)),
        Command::Inspect(args) => wait_for(inspect::run(args)),
        Command::Chat(args) => wait_for(chat::run(args)),
        Command::Bots(args) => wait_for(bots::run(args)),
        Command::Deploy(args) => wait_for(deploy::deploy(args)),
        Command::Rollback(args) => wait_for(deploy::swap(args, "rollback")),
        Command::Reload(args) => wait_for(deploy::swap(args, "reload")),
        Command::Enable(args) => wait_for(deploy::switch(args, true)),
        Command::Disable(args) => wait_for(deploy::switch(args, false)),
        Command::Broadcast(args) => wait_for(broadcast::run(args)),
        Command::Notify(args) => wait_for(notifications::run(*args)),
        Command::Notifications(args) => wait_for(notifications::notifications(args)),
        Command::References(args) => wait_for(notifications::references(args)),
        Command::Forget(args) => wait_for(forget::run(args)),
        Command::DeadLetters(args) => wait_for(dead_letters::run(args)),
        Command::Inbox(args) => wait_for(inbox::run(args)),
        Command::Directline(args) => wait_for(directline::run(args)),
        Command::Turns(args) => wait_for(turns::run(args)),
        Command::Replay(args) => replay::run(&args),
        Command::Transcripts(args) => wait_for(transcripts::run(args)),
        Command::Store(args) => store::run(&args),
        Command::Import(args) => import::run(&args),
    }
}

/// Runs a command that talks to a host, on the current thread.
fn wait_for(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(command);
    // Do not wait for the thread that reads stdin, because it may be blocked.
    runtime.shutdown_background();
    result
}

/// Prints a line to stderr. A closed stderr must not cause a panic, and a blocked one must not keep the process from
/// ending with its exit code.
fn complain(text: &str) {
    use io::Write;
    let line = format!("{text}\n");
    let (written, is_written) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = io::stderr().lock().write_all(line.as_bytes());
        let _ = written.send(());
    });
    let _ = is_written.recv_timeout(COMPLAINT_MAX);
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests;
