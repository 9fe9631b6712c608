//! `turntable chat`: talks to a bot of a running host in development mode, over the local Direct Line channel.

mod conversation;
mod render;

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{anyhow, bail};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at};

use self::conversation::Conversation;
use self::render::rendered;
use super::admin::Refused;
use super::terminal::{Style, Terminal};
use crate::channel::directline::service_url;
use crate::config;

/// Interval of polls while the user types nothing.
const POLL: Duration = Duration::from_millis(500);
/// Maximum number of input lines that are read before the bot has answered.
const LINES_AHEAD: usize = 16;

/// Default address of a host without a configuration file.
const URL_DEFAULT: &str = "http://127.0.0.1:3978";
/// Default configuration file.
const CONFIG_DEFAULT: &str = "turntable.toml";

/// Talk to a bot of a running host in development mode
///
/// Sends each line as a message and prints the replies of the bot: text, cards as text, and suggested actions in
/// brackets. With piped input, waits for the replies to each line before it sends the next, and exits at the end of the
/// input.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address of the host [default: `server.listen` of the configuration]
    #[arg(long, env = "TURNTABLE_URL", hide_env_values = true, value_name = "URL")]
    url: Option<String>,
    /// Configuration of the host, to find its address; ignored with --url [default: turntable.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Bot to talk to [default: the host's default bot]
    #[arg(long, value_name = "BOT")]
    bot: Option<String>,
    /// Name of the user, from which the id of the user is derived
    #[arg(long, value_name = "NAME", default_value = "you")]
    user: String,
    /// Locale of the user, such as de-DE, by which the bot reads numbers, dates, yes and no
    #[arg(long, value_name = "TAG")]
    locale: Option<String>,
}

/// Runs the command until the end of the input.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let interactive = io::stdin().is_terminal();
    let screen = Screen { terminal: Terminal::stdout(), prompt: interactive && io::stdout().is_terminal() };
    // An empty environment variable counts as unset.
    let named = args.url.clone().filter(|url| !url.is_empty());
    let url = named.map_or_else(|| configured(args.config.as_deref()), Ok)?;
    let mut conversation = Conversation::start(&url, args.bot.as_deref(), &args.user, args.locale).await?;
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
                        // The bot may be disabled for a moment. An interactive user can wait, but a script must get the
                        // error.
                        Err(error) if interactive && is_of_the_bot(&error) => screen.complain(&error)?,
                        Err(error) => return Err(error),
                    }
                }
                screen.prompt()?;
            }
            // Show proactive messages to an interactive user at once. With piped input they appear with the next
            // replies.
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

/// Returns the address of the host with this configuration.
fn configured(config: Option<&Path>) -> anyhow::Result<String> {
    let path = config.unwrap_or(Path::new(CONFIG_DEFAULT));
    if config.is_none() && !path.exists() {
        return Ok(URL_DEFAULT.to_owned());
    }
    let config = config::load_sections(path, &["server"]).map_err(|problems| {
        anyhow!("{problems}\nthe address of the host is unknown; name its configuration with --config, or its address with --url")
    })?;
    if config.server.listen.port() == 0 {
        let path = path.display();
        bail!("{path} has no fixed port in `server.listen`; give the address that the host printed with --url");
    }
    Ok(service_url(config.server.listen).to_string())
}

/// Returns whether the error concerns the message only, so that the conversation can continue.
fn is_of_the_bot(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<Refused>();
    refused.is_some_and(|refused| !matches!(refused.code.as_str(), "NotFound" | "TokenExpired" | "Unauthorized"))
}

/// Reads lines from stdin and replaces invalid UTF-8 by U+FFFD. A thread reads them, because reading a terminal blocks.
fn stdin_lines() -> mpsc::Receiver<io::Result<String>> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    thread::spawn(move || {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim_end_matches('\r').to_owned();
        for line in io::stdin().lock().split(b'\n') {
            if sender.blocking_send(line.map(text)).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The output of the conversation.
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

    /// Shows activities below a prompt that is already displayed.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        std::fs::write(&path, text).unwrap();
        let prefix = format!("{}/", folder.path().display());
        configured(Some(&path)).map_err(|error| format!("{error:#}").replace(&prefix, ""))
    }

    #[test]
    fn the_configuration_says_where_the_host_is() {
        assert_eq!(address("").unwrap(), format!("{URL_DEFAULT}/"));
        for (listen, url) in [
            ("127.0.0.1:4000", "http://127.0.0.1:4000"),
            ("[::1]:4000", "http://[::1]:4000"),
            ("0.0.0.0:4000", "http://127.0.0.1:4000"),
            ("[::]:4000", "http://[::1]:4000"),
        ] {
            assert_eq!(address(&format!("server.listen = '{listen}'")).unwrap(), format!("{url}/"));
        }
        let told = address("server.listen = '127.0.0.1:0'").unwrap_err();
        assert_eq!(
            told,
            "t.toml has no fixed port in `server.listen`; give the address that the host printed with --url"
        );
        let told = address("[server]\nlisten = 7").unwrap_err();
        assert!(told.starts_with("t.toml:2:10: ") && told.ends_with("or its address with --url"), "{told}");
        let told = configured(Some(Path::new("/nowhere/t.toml"))).unwrap_err().to_string();
        assert!(told.contains("/nowhere/t.toml: the configuration cannot be read"), "{told}");
    }
}
