//! What the user said: the text of a message without what a channel puts into it.
//!
//! Channels put mentions of the bot into the text, quotes of the message that it replies to, escapes and invisible marks;
//! e-mail has signatures and all that was said before. The activity itself stays verbatim.

mod mail;
mod mention;
mod quote;

use std::borrow::Cow;

use super::Activity;

/// Channels that escape `&`, `<` and `>` in whatever users write. On others `&gt;` may be what the user wrote.
const ESCAPES: &[&str] = &["slack"];
/// The longest reference to a character that is read, such as `&nbsp;`, in bytes.
const REFERENCE_BYTES_MAX: usize = 10;

impl Activity {
    /// Returns what the user said, as a bot may keep it: without mentions of the bot, quotes, the escapes of the channel and,
    /// on the channel `email`, without signature and quoted text. No blanks and no invisible characters are around it.
    pub fn spoken_text(&self) -> String {
        let said = self.without_markup();
        let said = if self.is_on(ESCAPES) { unescaped(&said) } else { said };
        let said = if self.is_on(&["email"]) { mail::own_words(said) } else { said };
        trimmed(&said).to_owned()
    }

    /// Returns what the user said, as it is compared with commands and choices: besides, on any channel, without escapes,
    /// signature, quoted text and invisible characters.
    pub fn heard_text(&self) -> String {
        let said = self.without_markup();
        let heard = mail::own_words(unescaped(&said));
        let heard = without_marks(mail::after_delimiter(&heard));
        trimmed(&heard).to_owned()
    }

    fn without_markup(&self) -> Cow<'_, str> {
        let said = quote::without(self.str("text"), self.is_on(&["msteams"]));
        mention::without(said, self)
    }

    /// Whether the channel is one of these. `msteams:COPILOT` is a part of `msteams`.
    fn is_on(&self, channels: &[&str]) -> bool {
        let channel = self.channel_id().split(':').next().unwrap_or_default();
        channels.contains(&channel)
    }
}

/// Returns the text without characters that show nothing; blanks of any kind become spaces.
pub fn without_marks(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| is_mark(c) || is_wide_blank(c)) {
        return text.into();
    }
    let seen = text.chars().filter(|c| !is_mark(*c));
    seen.map(|c| if is_wide_blank(c) { ' ' } else { c }).collect::<String>().into()
}

fn trimmed(text: &str) -> &str {
    // Joiners matter between characters only.
    text.trim_matches(|c: char| c.is_whitespace() || is_mark(c) || matches!(c, '\u{200c}' | '\u{200d}'))
}

/// Marks of direction, and characters without any width.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{2066}'..='\u{206f}' | '\u{feff}')
}

fn is_wide_blank(c: char) -> bool {
    c != ' ' && c.is_whitespace() && !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}')
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
