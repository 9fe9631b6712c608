//! What the user said: the text of a message without what a channel puts into it.
//!
//! Channels put mentions of the bot into the text, quotes of the message that it replies to, escapes and invisible marks;
//! e-mail has signatures and all that was said before. The activity itself stays verbatim.

mod blank;
mod html;
mod mail;
mod mention;
mod quote;
mod tags;

use std::borrow::Cow;

pub use self::blank::{composed, is_mark, trimmed, without_marks};
use super::Activity;

/// Channels that escape `&`, `<` and `>` in whatever users write. On others `&gt;` may be what the user wrote.
const ESCAPES: &[&str] = &["slack"];
const TEAMS: &[&str] = &["msteams"];
/// The longest reference to a character that is read, such as `&nbsp;`, in bytes.
const REFERENCE_BYTES_MAX: usize = 10;

impl Activity {
    /// Returns what the user said, as a bot may keep it: without mentions of the bot, quotes, marks for files and pictures, the
    /// escapes of the channel and, on the channel `email`, without markup, signature and quoted text. No blanks and no
    /// invisible characters are around it.
    pub fn spoken_text(&self) -> String {
        let said = self.without_marks_of_channel();
        let said = match () {
            () if self.is_on(ESCAPES) => unescaped(&said),
            () if self.is_on(&["email"]) && html::is_html(&said) => mail::own_words(html::shown(&said).into()),
            () if self.is_on(&["email"]) => mail::own_words(said),
            () if self.is_on(TEAMS) => mention::with_plain_blanks(said),
            () => said,
        };
        trimmed(&said).to_owned()
    }

    /// Returns what the user said, as it is compared with commands and choices: besides, on any channel, without escapes,
    /// signature, quoted text and invisible characters, and in the form NFC.
    pub fn heard_text(&self) -> String {
        let said = self.without_marks_of_channel();
        let plain = match (self.is_on(&["email"]) || self.is_on(TEAMS)) && html::is_html(&said) {
            true => html::shown(&said).into(),
            false => unescaped(&said),
        };
        let heard = mail::own_words(plain);
        let heard = without_marks(mail::after_delimiter(&heard));
        trimmed(&composed(&heard)).to_owned()
    }

    fn without_marks_of_channel(&self) -> Cow<'_, str> {
        let is_teams = self.is_on(TEAMS);
        let said = quote::without(tags::without(self.str("text"), is_teams), is_teams);
        mention::without(said, self)
    }

    /// Whether the channel is one of these. `msteams:COPILOT` is a part of `msteams`.
    fn is_on(&self, channels: &[&str]) -> bool {
        let channel = self.channel_id().split(':').next().unwrap_or_default();
        channels.contains(&channel)
    }
}

/// Returns the text with the characters that `&gt;`, `&#62;` and such stand for. Each is read once: `&amp;gt;` is `&gt;`.
fn unescaped<'a>(text: &Cow<'a, str>) -> Cow<'a, str> {
    if !text.contains('&') {
        return text.clone();
    }
    let (mut plain, mut rest) = (String::with_capacity(text.len()), &**text);
    while let Some((before, reference)) = rest.split_once('&') {
        plain.push_str(before);
        match referred(reference) {
            Some((c, after)) => {
                plain.push(c);
                rest = after;
            }
            None => {
                plain.push('&');
                rest = reference;
            }
        }
    }
    (plain + rest).into()
}

/// The character that a reference without its `&` stands for, and what follows it.
fn referred(text: &str) -> Option<(char, &str)> {
    let end = text.bytes().take(REFERENCE_BYTES_MAX).position(|byte| byte == b';')?;
    let (name, after) = (text.get(..end)?, text.get(end + 1..)?);
    let c = match (name, name.strip_prefix('#')) {
        ("amp", _) => '&',
        ("lt", _) => '<',
        ("gt", _) => '>',
        ("quot", _) => '"',
        ("apos", _) => '\'',
        ("nbsp", _) => '\u{a0}',
        (_, Some(number)) => {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
                None => number.parse(),
            };
            code.ok().and_then(char::from_u32).filter(|c| !c.is_control())?
        }
        _ => return None,
    };
    Some((c, after))
}

#[cfg(test)]
mod tests;
