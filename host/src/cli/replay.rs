//! `turntable replay`: compares what a bot says now with what it said in a transcript.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use serde::Serialize;
use serde_json::json;

use super::terminal::{Style, Terminal, one_line, printable};
use crate::activity::Object;
use crate::app::replay::{ReplayHost, with_replay_host};
use crate::config::{self, Config};
use crate::telemetry::{self, LogFormat};
use crate::transcript::diff::{Line, Teller, compare};
use crate::transcript::steps::{Again, Step, split, strangers};
use crate::transcript::{self, Transcript};

/// Compare the present replies of a bot with those in a transcript
///
/// Starts the bot in this process, with the configured components, an empty store in memory and no listener. Nothing is
/// sent, and nothing is written. The activities of the file's users run through the bot one after the other. Texts,
/// attachments, suggested actions, updates, deletions and events are compared; ids, times, input hints, typing and
/// channel data are not. Responses to invokes are compared if the file contains any. Timers do not fire.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 no difference, 1 differences, 2 could not run.")]
pub(super) struct Args {
    /// Conversation to replay: a .transcript, or a .chat in the markup of chatdown
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Bot to talk to [default: the default bot of the configuration]
    #[arg(long, value_name = "BOT")]
    bot: Option<String>,
    /// Configuration of the bot
    #[arg(long, value_name = "FILE", default_value = "turntable.toml")]
    config: PathBuf,
    /// Locale of the users, such as de-DE, instead of the one in the file
    #[arg(long, value_name = "LOCALE")]
    locale: Option<String>,
    /// Channel of the users, such as msteams, instead of the one in the file
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
    /// Print one JSON object: `equal`, `bot`, `channels`, `channels_assumed` (those of `channels` that the file does not
    /// name), and `steps` with `user`, `lines` (each said `both`, `then` or `now`) and `failures`
    #[arg(long)]
    json: bool,
    /// Minimum level of log lines on stderr
    #[arg(long, env = "TURNTABLE_LOG", hide_env_values = true, value_name = "FILTER", default_value = "off")]
    log: String,
}

/// Result for one activity of a user. Without a user, what the bot said before any user did.
#[derive(Debug, Serialize)]
struct Compared {
    user: Vec<String>,
    lines: Vec<Line>,
    /// Failures of plugins.
    failures: Vec<String>,
}

/// A channel on which the bot got activities.
#[derive(PartialEq, Eq)]
struct Channel {
    id: String,
    /// True if neither the file nor the command line names the channel.
    is_assumed: bool,
}

/// A finished replay.
struct Replayed {
    bot: String,
    /// The channels on which the bot got activities.
    channels: Vec<Channel>,
    steps: Vec<Compared>,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let logged = telemetry::init(LogFormat::Text, &args.log);
    match logged.and_then(|_flush| replay(args)) {
        Ok(replayed) => {
            let terminal = Terminal::stdout();
            let equal = replayed.steps.iter().all(Compared::is_equal);
            terminal.line(if args.json { as_json(&replayed, equal)? } else { as_text(&replayed, terminal) })?;
            Ok(if equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Err(error) => {
            super::complain(&printable(&format!("error: {error:#}")));
            Ok(ExitCode::from(COULD_NOT_RUN))
        }
    }
}

/// Exit code for failures. It differs from the code for differences, so that scripts can tell them apart.
pub(super) const COULD_NOT_RUN: u8 = 2;

/// Replays a file with the defaults of the command. Returns whether the bot says the same, and the comparison as text.
pub(super) fn held(file: &Path, config: &Path, bot: Option<&str>) -> anyhow::Result<(bool, String)> {
    let args = Args {
        file: file.to_owned(),
        bot: bot.map(str::to_owned),
        config: config.to_owned(),
        locale: None,
        channel: None,
        json: false,
        log: "off".to_owned(),
    };
    let replayed = replay(&args)?;
    Ok((replayed.steps.iter().all(Compared::is_equal), as_text(&replayed, Terminal::stdout())))
}

fn replay(args: &Args) -> anyhow::Result<Replayed> {
    let Transcript { activities, warnings, channel_assumed } = transcript::read(&args.file)?;
    let in_file = || args.file.display().to_string();
    let strangers = strangers(&activities).into_iter().map(|warning| format!("{}: {warning}", in_file()));
    for warning in warnings.lines().into_iter().chain(strangers) {
        super::complain(&one_line(&warning));
    }
    let steps = split(activities).map_err(|why| anyhow!(why)).with_context(in_file)?;
    if steps.iter().all(|step| step.user.is_empty()) {
        return Err(anyhow!("no user says anything, so there is nothing to replay; check the roles in the file")
            .context(in_file()));
    }
    let config = config::load(&args.config)?;
    let bot = bot(args, &config)?;
    let again = Again::with(args.locale.clone(), args.channel.clone());
    let mut channels: Vec<Channel> = Vec::new();
    for activity in steps.iter().flat_map(|step| &step.user) {
        let id = again.channel_of(activity).to_owned();
        let is_assumed =
            again.assumes_channel_of(activity) || (args.channel.is_none() && channel_assumed == Some(id.as_str()));
        let channel = Channel { id, is_assumed };
        if !channels.contains(&channel) {
            channels.push(channel);
        }
    }
    let compared = with_replay_host(&config, bot, async |host| compare_all(host, steps, again).await)?;
    Ok(Replayed { bot: bot.to_owned(), channels, steps: compared })
}

fn bot<'a>(args: &'a Args, config: &'a Config) -> anyhow::Result<&'a str> {
    args.bot.as_deref().or(config.default_bot.as_deref()).with_context(|| {
        let known: Vec<&str> = config.bots.keys().map(String::as_str).collect();
        format!("{} has no default bot; choose one with --bot: {}", config.path.display(), known.join(", "))
    })
}

async fn compare_all(host: &mut ReplayHost, steps: Vec<Step>, mut again: Again) -> anyhow::Result<Vec<Compared>> {
    // Not every host stores its responses to invokes in transcripts.
    let keeps_answers = steps.iter().flat_map(|step| &step.then).any(is_answer);
    let (mut then_teller, mut now_teller, mut user_teller) = (Teller::default(), Teller::default(), Teller::default());
    let mut compared = Vec::new();
    for step in steps {
        let (mut said, mut now, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for activity in step.user {
            let user = user_teller.tell(name(&activity), &activity);
            let heard = host.hear(&again.of(activity)).await;
            let heard = heard.with_context(|| format!("after «{}»", user.first().map_or("…", String::as_str)))?;
            let answers: Vec<Object> =
                heard.said.into_iter().filter(|said| keeps_answers || !is_answer(said)).collect();
            let lines = tell(&mut now_teller, &answers);
            parts.push((Compared { user, lines: Vec::new(), failures: heard.failures }, lines.len()));
            now.extend(lines);
            said.extend(answers);
        }
        again.pair(&step.then, &said);
        compared.extend(divide(compare(&tell(&mut then_teller, &step.then), &now), parts));
    }
    Ok(compared)
}

fn tell(teller: &mut Teller, said: &[Object]) -> Vec<String> {
    said.iter().flat_map(|activity| teller.tell("bot", activity)).collect()
}

/// Assigns the lines of a step to its activities. The number of present lines of each activity is known. A line that
/// was said only in the transcript goes to the activity at its position.
fn divide(lines: Vec<Line>, parts: Vec<(Compared, usize)>) -> Vec<Compared> {
    let mut parts = parts.into_iter();
    let nobody = || (Compared { user: Vec::new(), lines: Vec::new(), failures: Vec::new() }, 0);
    let (mut part, mut left) = parts.next().unwrap_or_else(nobody);
    let mut divided = Vec::new();
    for line in lines {
        while left == 0
            && let Some((next, lines)) = parts.next()
        {
            divided.push(std::mem::replace(&mut part, next));
            left = lines;
        }
        left = left.saturating_sub(usize::from(!matches!(line, Line::Then(_))));
        part.lines.push(line);
    }
    divided.push(part);
    divided.extend(parts.map(|(part, _)| part));
    divided
}

/// Returns the displayed name of a user.
fn name(activity: &Object) -> &str {
    let name = activity.get("from").and_then(|from| from.get("name")).and_then(serde_json::Value::as_str);
    name.filter(|name| !name.is_empty()).unwrap_or("user")
}

fn is_answer(activity: &Object) -> bool {
    activity.get("type").is_some_and(|kind| kind == "invokeResponse")
}

impl Compared {
    fn is_equal(&self) -> bool {
        self.lines.iter().all(Line::is_equal)
    }
}

fn as_json(replayed: &Replayed, equal: bool) -> serde_json::Result<String> {
    let Replayed { bot, channels, steps } = replayed;
    let named: Vec<&str> = channels.iter().map(|channel| &*channel.id).collect();
    let assumed: Vec<&str> = channels.iter().filter(|channel| channel.is_assumed).map(|channel| &*channel.id).collect();
    let value = json!({
        "equal": equal, "bot": bot, "channels": named, "channels_assumed": assumed, "steps": steps,
    });
    serde_json::to_string_pretty(&value)
}

/// Returns the heading with bot and channels. The channel matters, because replies depend on what a channel can show.
fn heading(replayed: &Replayed) -> String {
    let Replayed { bot, channels, .. } = replayed;
    let names = channels.iter().map(|Channel { id, is_assumed }| match is_assumed {
        true => format!("{id} (assumed, because the file names none; choose one with --channel)"),
        false => id.clone(),
    });
    one_line(&format!("bot {bot}, channel {}", names.collect::<Vec<_>>().join(", ")))
}

fn as_text(replayed: &Replayed, terminal: Terminal) -> String {
    let compared = &replayed.steps;
    let mut lines = vec![terminal.paint(Style::Dim, heading(replayed)), String::new()];
    for step in compared {
        lines.extend(step.user.iter().map(|line| terminal.paint(Style::Strong, format!("  {}", one_line(line)))));
        lines.extend(step.lines.iter().map(|line| match line {
            Line::Both(line) => format!("  {}", one_line(line)),
            Line::Then(line) => terminal.paint(Style::Bad, format!("- {}", one_line(line))),
            Line::Now(line) => terminal.paint(Style::Good, format!("+ {}", one_line(line))),
        }));
        if !step.is_equal() {
            let failures = step.failures.iter().map(|failure| format!("! {}", one_line(failure)));
            lines.extend(failures.map(|line| terminal.paint(Style::Bad, line)));
        }
    }
    let (all, differing) = (compared.len(), compared.iter().filter(|step| !step.is_equal()).count());
    lines.push(String::new());
    lines.push(match differing {
        0 => terminal.paint(Style::Good, format!("no difference in {all} answers")),
        _ => terminal.paint(Style::Bad, format!("{differing} of {all} answers differ: - then, + now")),
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns lines as `=`, `-` and `+`, divided among activities with these numbers of present lines.
    fn divided(lines: &str, counts: &[usize]) -> String {
        let line = |sign| match sign {
            '-' => Line::Then("-".to_owned()),
            '+' => Line::Now("+".to_owned()),
            _ => Line::Both("=".to_owned()),
        };
        let part = |(index, count): (usize, &usize)| {
            (Compared { user: vec![index.to_string()], lines: Vec::new(), failures: Vec::new() }, *count)
        };
        let parts = counts.iter().enumerate().map(part).collect();
        let shown = |part: Compared| {
            let lines = part.lines.into_iter().map(|line| match line {
                Line::Both(text) | Line::Then(text) | Line::Now(text) => text,
            });
            format!("{}{}", part.user.join(""), lines.collect::<String>())
        };
        divide(lines.chars().map(line).collect(), parts).into_iter().map(shown).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn lines_stand_with_what_they_answer() {
        let cases: &[(&str, &[usize], &str)] = &[
            ("==", &[1, 1], "0= 1="),
            ("++=", &[2, 1], "0++ 1="),
            ("=-", &[0, 1, 0], "0 1= 2-"),
            ("-=", &[0, 1], "0 1-="),
            ("", &[0, 0], "0 1"),
            ("--", &[], "--"),
            ("", &[], ""),
        ];
        for (lines, counts, expected) in cases {
            assert_eq!(divided(lines, counts), *expected, "{lines} {counts:?}");
        }
    }
}
