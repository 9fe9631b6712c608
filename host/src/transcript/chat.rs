//! `.chat` files: conversations as people write them, in the markup of chatdown.
//!
//! ```text
//! user=Ann
//! bot=Travel
//!
//! > A comment.
//! Ann: book
//! Travel: [Typing][Delay=3000]
//! Where to?
//! [Suggestions=Lisbon|Oslo]
//! ```
//!
//! The header names the parties: `user=` or `users=A,B`, `bot=`, and `channelId=`. A line that begins with a name (or
//! with `user` or `bot`) and a colon begins a message of that party, which continues until the next such line.
//! `bot->Ann:` also names the recipient. Tags are in brackets: `Typing`, `Delay` (milliseconds), `ConversationUpdate`
//! (`Added=`, `Removed=`), `Attachment`, `AttachmentLayout`, `Suggestions`, `InputHint`, and cards: `HeroCard`,
//! `ThumbnailCard`, `AnimationCard`, `AudioCard`, `VideoCard`, `MediaCard`, `SigninCard`, `OAuthCard`. Other text in
//! brackets is plain text.
//!
//! The first activity is a conversation update that adds the bot, as in chatdown. Times, ids and the id of the
//! conversation are derived from the text alone, so that the same file always yields the same activities.

mod markup;
mod message;

use std::collections::HashSet;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::markup::{Kind, Piece, Tag, pieces};
use self::message::Draft;
use super::{ACTIVITIES_MAX, Problem};
use crate::activity::Object;

/// Time of the first activity: 2020-01-01, so that the times are recognizably artificial.
const BEGINS_SECONDS: i64 = 1_577_836_800;
/// Time before a message without a `Delay`, and before another activity.
const MESSAGE_GAP_MS: i64 = 2_000;
const OTHER_GAP_MS: i64 = 100;
/// Maximum `Delay`: one day.
const DELAY_MS_MAX: i64 = 24 * 60 * 60 * 1_000;
/// `channelId` and `serviceUrl` as chatdown writes them. The channel is used if the header has no `channelId`.
const CHANNEL_ASSUMED: &str = "chatdown";
const SERVICE_URL: &str = "https://chatdown";

/// The result of converting a `.chat`.
#[derive(Debug)]
pub struct Converted {
    /// The activities, in the order of the text.
    pub activities: Vec<Object>,
    /// Passages that the author may have meant differently.
    pub warnings: Vec<Problem>,
    /// The channel that the activities were given, if the header has no `channelId`.
    pub channel_assumed: Option<&'static str>,
}

/// Converts the text of a `.chat`. Attachments are read from the folder of `path`.
///
/// # Errors
/// All problems of the text, in no particular order.
pub fn parse(text: &str, path: &Path) -> Result<Converted, Vec<Problem>> {
    let mut chat = Chat::new(text, path);
    let body = chat.read_header(text);
    chat.open();
    for block in chat.blocks(body) {
        chat.play(&block);
    }
    if chat.activities.len() > ACTIVITIES_MAX {
        chat.problems.push(Problem::at(0, format!("expands to more than {ACTIVITIES_MAX} activities; split it")));
    }
    let Chat { activities, warnings, problems, channel_id, .. } = chat;
    let channel_assumed = channel_id.is_none().then_some(CHANNEL_ASSUMED);
    if problems.is_empty() { Ok(Converted { activities, warnings, channel_assumed }) } else { Err(problems) }
}

/// A party of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Account {
    name: String,
    is_bot: bool,
}

/// The text of one party up to the next speaker, with its tags.
struct Block {
    /// The line on which the block begins, counted from 1.
    line: usize,
    /// Index in `Chat::accounts`. None for text before the first speaker.
    speaker: Option<usize>,
    to: Option<usize>,
    text: String,
}

struct Chat<'a> {
    path: &'a Path,
    /// `channelId` of the header, if there is one.
    channel_id: Option<String>,
    conversation: String,
    /// The bot, then the users of the header, then users who join later.
    accounts: Vec<Account>,
    /// Number of accounts that the header names. Only these can speak.
    speakers: usize,
    /// Index of the user who spoke last.
    user: usize,
    now: Timestamp,
    /// Delay before the next message, if set.
    delay: Option<i64>,
    /// Id of the last message of a user, which the bot answers.
    answered: Option<String>,
    /// Number of bytes that further attachments may have.
    attachments_left: u64,
    activities: Vec<Object>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

const BOT: usize = 0;

/// Maximum number of parties, because each name is compared with all others.
const ACCOUNTS_MAX: usize = 1_000;
/// Maximum number of warnings about unknown names, and maximum length of such a name, in characters.
const STRANGERS_MAX: usize = 20;
const NAME_CHARS_MAX: usize = 30;
/// Maximum number of problems that are collected.
const PROBLEMS_MAX: usize = 1_000;

impl<'a> Chat<'a> {
    fn new(text: &str, path: &'a Path) -> Self {
        let digest = hex::encode(Sha256::digest(text.as_bytes()));
        Self {
            path,
            channel_id: None,
            conversation: format!("chat-{}", digest.get(..16).unwrap_or_default()),
            accounts: Vec::new(),
            speakers: 0,
            user: 1,
            now: Timestamp::from_second(BEGINS_SECONDS).unwrap_or_default(),
            delay: None,
            answered: None,
            attachments_left: message::ATTACHMENTS_BYTES_MAX,
            activities: Vec::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Reads the header and returns the remaining lines with their numbers.
    fn read_header<'t>(&mut self, text: &'t str) -> impl Iterator<Item = (usize, &'t str)> + use<'t> {
        let (mut bot, mut users) = ("bot".to_owned(), vec!["user".to_owned()]);
        let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.starts_with('>')).peekable();
        while let Some((number, line)) = lines.next_if(|(_, line)| line.trim().is_empty() || setting(line).is_some()) {
            let Some((key, value)) = setting(line) else { continue };
            match (key.to_ascii_lowercase().as_str(), value) {
                (_, "") => self.problem(number, format!("`{key}=` is empty; give a name")),
                ("user" | "users", value) => users = value.split(',').map(|name| name.trim().to_owned()).collect(),
                ("bot", value) => bot = value.to_owned(),
                ("channelid", value) => self.channel_id = Some(value.to_owned()),
                _ => self.problem(number, format!("`{key}` is not a header; use user, users, bot or channelId")),
            }
        }
        self.accounts.push(Account { name: bot, is_bot: true });
        if users.len() >= ACCOUNTS_MAX {
            self.problem(1, format!("more than {ACCOUNTS_MAX} parties; remove some"));
        }
        for name in users.into_iter().take(ACCOUNTS_MAX) {
            let taken = self.accounts.iter().any(|account| account.name.eq_ignore_ascii_case(&name));
            if name.is_empty() || name.contains(':') || taken {
                self.problem(1, format!("user \"{name}\": the name must be unique and contain no colon"));
            }
            self.accounts.push(Account { name, is_bot: false });
        }
        self.speakers = self.accounts.len();
        lines
    }

    /// Splits lines into blocks.
    fn blocks<'t>(&mut self, lines: impl Iterator<Item = (usize, &'t str)>) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut strangers = HashSet::new();
        for (number, line) in lines {
            match (self.begins(line), blocks.last_mut()) {
                (Some((speaker, to, said)), _) => {
                    blocks.push(Block { line: number, speaker: Some(speaker), to, text: said.to_owned() });
                }
                (None, Some(block)) => {
                    if let Some(name) = stranger(line)
                        && !is_in_tag(&block.text)
                        && strangers.len() < STRANGERS_MAX
                        && strangers.insert(name)
                    {
                        let message = self.told_of(name, block.speaker);
                        self.warnings.push(Problem::at(number, message));
                    }
                    block.text.extend(["\n", line]);
                }
                (None, None) => {
                    blocks.push(Block { line: number, speaker: None, to: None, text: line.to_owned() });
                }
            }
        }
        blocks
    }

    /// Returns the warning for a line that looks like a message of a party that the header does not name.
    fn told_of(&self, name: &str, speaker: Option<usize>) -> String {
        let known: Vec<&str> = self.accounts.iter().take(self.speakers).map(|account| &*account.name).collect();
        let speaker = speaker.and_then(|speaker| self.accounts.get(speaker)).map_or("nobody", |account| &account.name);
        format!(
            "warning: the header does not name `{name}`, so this line continues the message of {speaker}; add the name to \
             `users=` if it is a party (known: {})",
            known.join(", ")
        )
    }

    /// Parses a line that begins a block: the speaker, the recipient if named, and the rest of the line.
    fn begins<'t>(&self, line: &'t str) -> Option<(usize, Option<usize>, &'t str)> {
        let (head, said) = line.split_once(':')?;
        let (speaker, to) = match head.split_once("->") {
            Some((speaker, to)) => (speaker, Some(self.speaker(to)?)),
            None => (head, None),
        };
        Some((self.speaker(speaker)?, to, said))
    }

    fn speaker(&self, name: &str) -> Option<usize> {
        let named =
            self.accounts.iter().take(self.speakers).position(|account| account.name.eq_ignore_ascii_case(name));
        named.or_else(|| match name.to_ascii_lowercase().as_str() {
            "bot" => Some(BOT),
            "user" => Some(1),
            _ => None,
        })
    }

    /// Appends the conversation update that adds the bot.
    fn open(&mut self) {
        self.push("conversationUpdate", self.user, BOT, OTHER_GAP_MS, |chat| {
            vec![("membersAdded", json!([chat.account(BOT)])), ("membersRemoved", json!([]))]
        });
    }

    /// Appends the activities of a block.
    fn play(&mut self, block: &Block) {
        let mut draft = Draft::default();
        let (from, to) = self.parties(block);
        for piece in pieces(&block.text, block.line, &mut self.problems) {
            // Stop at the limits. The caller reports them at the end.
            if self.activities.len() > ACTIVITIES_MAX || self.problems.len() > PROBLEMS_MAX {
                return;
            }
            match piece {
                Piece::Text(text) => draft.text.push_str(text),
                Piece::Tag(Tag { kind: Kind::Delay, line, value }) => self.set_delay(line, value),
                Piece::Tag(Tag { kind: Kind::Typing, .. }) => {
                    self.flush(&mut draft, block, from, to);
                    self.push("typing", from, to, OTHER_GAP_MS, |_| Vec::new());
                }
                Piece::Tag(Tag { kind: Kind::ConversationUpdate, line, value }) => {
                    self.flush(&mut draft, block, from, to);
                    self.update_members(line, value);
                }
                Piece::Tag(tag) => {
                    if let Err(problem) = draft.take(&tag, self.path, &mut self.attachments_left) {
                        self.problems.push(problem);
                    }
                }
            }
        }
        self.flush(&mut draft, block, from, to);
    }

    /// Returns sender and recipient of a block. The bot answers the user who spoke last.
    fn parties(&mut self, block: &Block) -> (usize, usize) {
        match block.speaker {
            Some(BOT) => (BOT, block.to.unwrap_or(self.user)),
            Some(user) => {
                self.user = user;
                (user, block.to.unwrap_or(BOT))
            }
            None => (self.user, BOT),
        }
    }

    /// Appends the collected message, unless it is empty.
    fn flush(&mut self, draft: &mut Draft, block: &Block, from: usize, to: usize) {
        let Some(members) = std::mem::take(draft).members() else { return };
        if block.speaker.is_none() {
            let names: Vec<String> =
                self.accounts.iter().take(self.speakers).map(|account| format!("`{}:`", account.name)).collect();
            let names = names.join(" or ");
            return self.problem(block.line, format!("this text has no speaker; begin the line with {names}"));
        }
        let gap = self.delay.take().unwrap_or(MESSAGE_GAP_MS);
        self.push("message", from, to, gap, |_| members);
    }

    fn set_delay(&mut self, line: usize, value: &str) {
        match value.parse() {
            Ok(delay @ 0..=DELAY_MS_MAX) => self.delay = Some(delay),
            _ => {
                self.problem(line, format!("`[Delay={value}]`: give a number of milliseconds, at most {DELAY_MS_MAX}"));
            }
        }
    }

    /// Reads `Added=A,B` and `Removed=C`, and appends the conversation update.
    fn update_members(&mut self, line: usize, value: &str) {
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for change in value.lines().map(str::trim).filter(|change| !change.is_empty()) {
            let (key, names) = change.split_once('=').unwrap_or((change, ""));
            let (list, joins) = match key.trim().to_ascii_lowercase().as_str() {
                "added" | "membersadded" => (&mut added, true),
                "removed" | "membersremoved" => (&mut removed, false),
                _ => {
                    let message =
                        format!("`{change}` is not a conversation update; write `Added=NAMES` or `Removed=NAMES`");
                    self.problem(line, message);
                    continue;
                }
            };
            for name in names.split(',').map(str::trim) {
                if self.accounts.len() > ACCOUNTS_MAX {
                    return self.problem(line, format!("more than {ACCOUNTS_MAX} parties; remove some"));
                }
                let known = self.accounts.iter().position(|account| account.name.eq_ignore_ascii_case(name));
                match (known.or_else(|| self.speaker(name)), joins) {
                    (Some(position), _) => list.push(position),
                    (None, _) if name.is_empty() => {
                        self.problems.push(Problem::at(line, format!("`{change}` has no name; give one")));
                    }
                    (None, true) => {
                        list.push(self.accounts.len());
                        self.accounts.push(Account { name: name.to_owned(), is_bot: false });
                    }
                    (None, false) => {
                        self.problems.push(Problem::at(
                            line,
                            format!("\"{name}\" cannot leave, because no party has this name; check the spelling"),
                        ));
                    }
                }
            }
        }
        self.push("conversationUpdate", self.user, BOT, OTHER_GAP_MS, |chat| {
            let accounts = |list: &[usize]| list.iter().map(|position| chat.account(*position)).collect::<Vec<_>>();
            vec![("membersAdded", accounts(&added).into()), ("membersRemoved", accounts(&removed).into())]
        });
    }

    /// Appends an activity.
    fn push(
        &mut self,
        kind: &str,
        from: usize,
        to: usize,
        gap_ms: i64,
        members: impl FnOnce(&Self) -> Vec<(&'static str, Value)>,
    ) {
        self.now = self.now.saturating_add(SignedDuration::from_millis(gap_ms)).unwrap_or(self.now);
        let id = (self.activities.len() + 1).to_string();
        let common = json!({
            "type": kind,
            "id": &id,
            "timestamp": format!("{:.3}", self.now),
            "channelId": self.channel_id.as_deref().unwrap_or(CHANNEL_ASSUMED),
            "serviceUrl": SERVICE_URL,
            "conversation": { "id": &self.conversation },
            "from": self.account(from),
            "recipient": self.account(to),
        });
        let Value::Object(mut activity) = common else { return };
        activity.extend(members(self).into_iter().map(|(name, value)| (name.to_owned(), value)));
        let is_bot = self.accounts.get(from).is_some_and(|account| account.is_bot);
        match &self.answered {
            Some(answered) if is_bot => _ = activity.insert("replyToId".to_owned(), Value::from(answered.as_str())),
            _ if !is_bot && kind == "message" => self.answered = Some(id),
            _ => {}
        }
        self.activities.push(activity);
    }

    fn account(&self, position: usize) -> Value {
        let Some(Account { name, is_bot }) = self.accounts.get(position) else { return Value::Null };
        json!({ "id": name.to_lowercase(), "name": name, "role": if *is_bot { "bot" } else { "user" } })
    }

    fn problem(&mut self, line: usize, message: String) {
        self.problems.push(Problem::at(line, message));
    }
}

/// Returns the word before the colon in a line such as `Bob: hi`.
fn stranger(line: &str) -> Option<&str> {
    let (head, said) = line.split_once(':')?;
    let name = head.split_once("->").map_or(head, |(name, _)| name).trim_end();
    let is_word =
        name.starts_with(char::is_alphabetic) && name.chars().all(|char| char.is_alphanumeric() || "_-".contains(char));
    let is_followed = said.is_empty() || said.starts_with(char::is_whitespace) || said.starts_with('[');
    (is_word && is_followed && name.chars().count() <= NAME_CHARS_MAX).then_some(name)
}

/// Returns whether the text ends within a tag, so that the next line is a property of the tag.
fn is_in_tag(text: &str) -> bool {
    text.rfind('[') > text.rfind(']')
}

/// Parses a header line `key=value`.
fn setting(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.trim().split_once('=')?;
    let key = key.trim_end();
    let is_word = !key.is_empty() && key.chars().all(char::is_alphanumeric);
    is_word.then_some((key, value.trim()))
}

#[cfg(test)]
mod tests;
