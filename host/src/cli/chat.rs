//! `turntable chat`: talks to a bot of a running host in development mode, over the local Direct Line channel.

mod conversation;
mod render;

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at};

use self::conversation::Conversation;
use self::render::rendered;
use super::admin::Refused;
use super::terminal::{Style, Terminal};

/// How often a conversation is looked at while nobody types.
const POLL: Duration = Duration::from_millis(500);
/// Lines from a pipe that are read ahead of the bot.
const LINES_AHEAD: usize = 16;

/// Talk to a bot of a running host in development mode
///
/// Sends each line as a message and prints what the bot answers: text, cards as text, suggested actions in brackets.
/// Works with piped input too: sends a line, waits for the replies of its turn, goes on, and ends with the input.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address of the host
    #[arg(
        long,
        env = "TURNTABLE_URL",
        hide_env_values = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:3978"
    )]
    url: String,
    /// Bot to talk to [default: the host's default bot]
    #[arg(long, value_name = "BOT")]
    bot: Option<String>,
    /// Name to talk as; the user's id is made of it
    #[arg(long, value_name = "NAME", default_value = "you")]
    user: String,
    /// Language to talk in, such as de-DE; by it the bot reads numbers, dates, yes and no
    #[arg(long, value_name = "TAG")]
    locale: Option<String>,
}

/// Runs the command; returns at the end of the input.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let interactive = io::stdin().is_terminal();
    let screen = Screen { terminal: Terminal::stdout(), prompt: interactive && io::stdout().is_terminal() };
    let mut conversation = Conversation::start(&args.url, args.bot.as_deref(), &args.user, args.locale).await?;
    screen.show(&conversation.settle(None).await?)?;
    screen.prompt()?;
    let mut lines = stdin_lines();
    let mut ticks = interval_at(Instant::now() + POLL, POLL);
    loop {
        tokio::select! {
            line = lines.recv() => {
                let Some(line) = line else { break };
                let line = line?;
                if !line.trim().is_empty() {
                    match conversation.say(&line).await {
                        Ok(sent) => screen.show(&conversation.settle(Some(&sent)).await?)?,
                        // A bot that is disabled or being repaired now; a script must learn of it, a person may wait.
                        Err(error) if interactive && is_of_the_bot(&error) => screen.complain(&error)?,
                        Err(error) => return Err(error),
                    }
                }
                screen.prompt()?;
            }
            // What a bot says unasked appears while the user thinks; a pipe sees it with the next replies.
            _ = ticks.tick(), if interactive => {
                let news = conversation.poll().await?;
                if !news.is_empty() {
                    screen.show_unasked(&news)?;
                    screen.prompt()?;
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the host refused a message, and not the conversation.
fn is_of_the_bot(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<Refused>();
    refused.is_some_and(|refused| !matches!(refused.code.as_str(), "NotFound" | "TokenExpired" | "Unauthorized"))
}

/// Returns the lines of stdin as they are typed. A thread reads them: a terminal cannot be waited for otherwise.
fn stdin_lines() -> mpsc::Receiver<io::Result<String>> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// What the user sees.
struct Screen {
    terminal: Terminal,
    prompt: bool,
}

impl Screen {
    fn prompt(&self) -> io::Result<()> {
        if self.prompt {
            let mut stdout = io::stdout().lock();
            write!(stdout, "{} ", self.terminal.paint(Style::Dim, ">"))?;
            stdout.flush()?;
        }
        Ok(())
    }

    fn show(&self, activities: &[serde_json::Value]) -> io::Result<()> {
        activities.iter().flat_map(rendered).try_for_each(|line| self.terminal.line(self.painted(&line)))
    }

    fn complain(&self, error: &anyhow::Error) -> io::Result<()> {
        self.terminal.line(self.terminal.paint(Style::Bad, format!("{error:#}")))
    }

    /// Shows activities on lines of their own, after a prompt that is already there.
    fn show_unasked(&self, activities: &[serde_json::Value]) -> io::Result<()> {
        if self.prompt {
            self.terminal.line("")?;
        }
        self.show(activities)
    }

    fn painted(&self, line: &render::Line) -> String {
        match line {
            render::Line::Said(text) => self.terminal.paint(Style::Strong, text),
            render::Line::Card(text) => format!("  {text}"),
            render::Line::Actions(text) | render::Line::Note(text) => self.terminal.paint(Style::Dim, text),
        }
    }
}
