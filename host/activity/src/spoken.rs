//! Extracts what the user said: the text of a message without the parts that a channel adds to it.
//!
//! Channels add mentions of the bot, quotes of the message that is replied to, escapes and invisible characters. E-mail
//! adds signatures and the earlier conversation. The activity itself is not changed.

mod blank;
mod html;
mod mail;
mod mention;
mod quote;
mod tags;

use std::borrow::Cow;

pub use self::blank::{composed, is_mark, trimmed, without_marks};
use super::Activity;

/// Channels that escape `&`, `<` and `>` in all text of users. On other channels a user may have typed `&gt;`.
const ESCAPES: &[&str] = &["slack"];
const TEAMS: &[&str] = &["msteams"];
/// Longest character reference that is decoded, such as `&nbsp;`, in bytes.
const REFERENCE_BYTES_MAX: usize = 10;

impl Activity {
    /// Returns what the user said, in a form that a bot may store: without mentions of the bot, quotes, tags for files
    /// and pictures, and the escapes of the channel. On the channel `email` markup, signature and quoted text are removed
    /// too. The result is trimmed of blanks and invisible characters.
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

    /// Returns what the user said, in a form to compare with commands and choices. On every channel this form also has
    /// no escapes, signature, quoted text and invisible characters. It is in Unicode normalization form NFC.
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

    /// Returns whether the channel is one of these. A part such as `msteams:COPILOT` counts as its channel `msteams`.
    fn is_on(&self, channels: &[&str]) -> bool {
        let channel = self.channel_id().split(':').next().unwrap_or_default();
        channels.contains(&channel)
    }
}

/// Decodes character references such as `&gt;` and `&#62;`. Decodes once: `&amp;gt;` becomes `&gt;`.
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

/// Returns the character of a reference and the text after it. `text` starts behind the `&`.
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
