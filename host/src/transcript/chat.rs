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
//! The header names who speaks: `user=` or `users=A,B`, `bot=`, and `channelId=`. A line that begins with a name (or with
//! `user`, `bot`) and a colon begins what that party says, until the next; `bot->Ann:` says to whom. Tags stand in brackets:
//! `Typing`, `Delay` (milliseconds), `ConversationUpdate` (`Added=`, `Removed=`), `Attachment`, `AttachmentLayout`,
//! `Suggestions`, `InputHint`, and cards: `HeroCard`, `ThumbnailCard`, `AnimationCard`, `AudioCard`, `VideoCard`, `MediaCard`,
//! `SigninCard`, `OAuthCard`. Other text in brackets is text.
//!
//! The first activity is a conversation update by which the bot joins, as in chatdown. Times, ids and the id of the
//! conversation follow from the text alone, so that the same file always gives the same activities.

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

/// When the conversation begins: 2020-01-01, so that nothing looks as if it had really been said.
const BEGINS_SECONDS: i64 = 1_577_836_800;
/// Between messages without a `Delay`, and before other activities.
const MESSAGE_GAP_MS: i64 = 2_000;
const OTHER_GAP_MS: i64 = 100;
/// The longest `Delay`: a day.
const DELAY_MS_MAX: i64 = 24 * 60 * 60 * 1_000;
/// `channelId` and `serviceUrl` as chatdown writes them, where the header names no channel.
const CHANNEL_ASSUMED: &str = "chatdown";
const SERVICE_URL: &str = "https://chatdown";

/// A chat that was read.
#[derive(Debug)]
pub struct Converted {
    /// Its activities, in their order.
    pub activities: Vec<Object>,
    /// What may be meant otherwise than it was read.
    pub warnings: Vec<Problem>,
    /// The channel of its activities, where its header names none.
    pub channel_assumed: Option<&'static str>,
}

/// Reads the text of the chat in this file, and converts it. Attachments are read from the chat's folder.
///
/// # Errors
/// Everything that is wrong with it, in no order.
pub fn parse(text: &str, path: &Path) -> Result<Converted, Vec<Problem>> {
    let mut chat = Chat::new(text, path);
    let body = chat.read_header(text);
    chat.open();
    for block in chat.blocks(body) {
        chat.play(&block);
    }
    if chat.activities.len() > ACTIVITIES_MAX {
        chat.problems.push(Problem::at(0, format!("makes more than {ACTIVITIES_MAX} activities; split it")));
    }
    let Chat { activities, warnings, problems, channel_id, .. } = chat;
    let channel_assumed = channel_id.is_none().then_some(CHANNEL_ASSUMED);
    if problems.is_empty() { Ok(Converted { activities, warnings, channel_assumed }) } else { Err(problems) }
}

/// Who takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Account {
    name: String,
    is_bot: bool,
}

/// What one party says at once, tags included.
struct Block {
    /// The line on which it begins, from 1.
    line: usize,
    /// Positions in `Chat::accounts`; none before anyone speaks.
    speaker: Option<usize>,
    to: Option<usize>,
    text: String,
}

struct Chat<'a> {
    path: &'a Path,
    /// None: the header names none.
    channel_id: Option<String>,
    conversation: String,
    /// The bot, then the users; then who joins later.
    accounts: Vec<Account>,
    /// How many of them speak in this chat.
    speakers: usize,
    /// Who spoke last of the users.
    user: usize,
    now: Timestamp,
    /// Before the next message.
    delay: Option<i64>,
    /// The id of the last message of a user.
    answered: Option<String>,
    /// Bytes that attachments may still have.
    attachments_left: u64,
    activities: Vec<Object>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

const BOT: usize = 0;

/// Who takes part, at most: each name is looked for among all.
const ACCOUNTS_MAX: usize = 1_000;
/// Words that are told as unknown names, and the longest such word, in characters.
const STRANGERS_MAX: usize = 20;
const NAME_CHARS_MAX: usize = 30;
/// So many problems are noted; nobody reads more.
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

    /// Reads who speaks, and returns the lines that follow, with their numbers.
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
                _ => self.problem(number, format!("`{key}` is no header; there are user, users, bot and channelId")),
            }
        }
        self.accounts.push(Account { name: bot, is_bot: true });
        if users.len() >= ACCOUNTS_MAX {
            self.problem(1, format!("more than {ACCOUNTS_MAX} parties"));
        }
        for name in users.into_iter().take(ACCOUNTS_MAX) {
            let taken = self.accounts.iter().any(|account| account.name.eq_ignore_ascii_case(&name));
            if name.is_empty() || name.contains(':') || taken {
                self.problem(1, format!("user \"{name}\": each party needs a name of its own, without a colon"));
            }
            self.accounts.push(Account { name, is_bot: false });
        }
        self.speakers = self.accounts.len();
        lines
    }

    /// Splits lines into what each party says.
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

    /// What to say of a line that looks as if a party said it whom the header does not name.
    fn told_of(&self, name: &str, speaker: Option<usize>) -> String {
        let known: Vec<&str> = self.accounts.iter().take(self.speakers).map(|account| &*account.name).collect();
        let speaker = speaker.and_then(|speaker| self.accounts.get(speaker)).map_or("nobody", |account| &account.name);
        format!(
            "warning: the header does not name `{name}`, so this line is part of what {speaker} says; add the name to `users=` \
             if it is a party (known: {})",
            known.join(", ")
        )
    }

    /// Whether a line begins what a party says: the party, to whom, and the rest.
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

    /// The bot joins.
    fn open(&mut self) {
        self.push("conversationUpdate", self.user, BOT, OTHER_GAP_MS, |chat| {
            vec![("membersAdded", json!([chat.account(BOT)])), ("membersRemoved", json!([]))]
        });
    }

    /// Makes the activities of a block.
    fn play(&mut self, block: &Block) {
        let mut draft = Draft::default();
        let (from, to) = self.parties(block);
        for piece in pieces(&block.text, block.line, &mut self.problems) {
            // What is too much is told at the end, and must not be made before.
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

    /// From whom a block is, and to whom: the bot answers who spoke last.
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

    /// Ends a message, if there is anything in it.
    fn flush(&mut self, draft: &mut Draft, block: &Block, from: usize, to: usize) {
        let Some(members) = std::mem::take(draft).members() else { return };
        if block.speaker.is_none() {
            let names: Vec<String> =
                self.accounts.iter().take(self.speakers).map(|account| format!("`{}:`", account.name)).collect();
            let names = names.join(" or ");
            return self.problem(block.line, format!("nobody says this; begin the line with {names}"));
        }
        let gap = self.delay.take().unwrap_or(MESSAGE_GAP_MS);
        self.push("message", from, to, gap, |_| members);
    }

    fn set_delay(&mut self, line: usize, value: &str) {
        match value.parse() {
            Ok(delay @ 0..=DELAY_MS_MAX) => self.delay = Some(delay),
            _ => self.problem(line, format!("`[Delay={value}]`: give milliseconds, at most {DELAY_MS_MAX}")),
        }
    }

    /// Reads `Added=A,B` and `Removed=C`.
    fn update_members(&mut self, line: usize, value: &str) {
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for change in value.lines().map(str::trim).filter(|change| !change.is_empty()) {
            let (key, names) = change.split_once('=').unwrap_or((change, ""));
            let (list, joins) = match key.trim().to_ascii_lowercase().as_str() {
                "added" | "membersadded" => (&mut added, true),
                "removed" | "membersremoved" => (&mut removed, false),
                _ => {
                    let message = format!("`{change}`: a conversation update has `Added=NAMES` or `Removed=NAMES`");
                    self.problem(line, message);
                    continue;
                }
            };
            for name in names.split(',').map(str::trim) {
                if self.accounts.len() > ACCOUNTS_MAX {
                    return self.problem(line, format!("more than {ACCOUNTS_MAX} parties take part"));
                }
                let known = self.accounts.iter().position(|account| account.name.eq_ignore_ascii_case(name));
                match (known.or_else(|| self.speaker(name)), joins) {
                    (Some(position), _) => list.push(position),
                    (None, _) if name.is_empty() => {
                        self.problems.push(Problem::at(line, format!("`{change}` names nobody")));
                    }
                    (None, true) => {
                        list.push(self.accounts.len());
                        self.accounts.push(Account { name: name.to_owned(), is_bot: false });
                    }
                    (None, false) => {
                        self.problems.push(Problem::at(line, format!("\"{name}\" leaves, but was never there")));
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

/// The word before the colon, of a line such as `Bob: hi`.
fn stranger(line: &str) -> Option<&str> {
    let (head, said) = line.split_once(':')?;
    let name = head.split_once("->").map_or(head, |(name, _)| name).trim_end();
    let is_word =
        name.starts_with(char::is_alphabetic) && name.chars().all(|char| char.is_alphanumeric() || "_-".contains(char));
    let is_followed = said.is_empty() || said.starts_with(char::is_whitespace) || said.starts_with('[');
    (is_word && is_followed && name.chars().count() <= NAME_CHARS_MAX).then_some(name)
}

/// Whether a text ends within a tag, so that the next line is a property.
fn is_in_tag(text: &str) -> bool {
    text.rfind('[') > text.rfind(']')
}

/// Reads `key=value`, as it stands in the header.
fn setting(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.trim().split_once('=')?;
    let key = key.trim_end();
    let is_word = !key.is_empty() && key.chars().all(char::is_alphanumeric);
    is_word.then_some((key, value.trim()))
}

#[cfg(test)]
mod tests;
