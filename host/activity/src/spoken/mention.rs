//! Removes mentions of the bot: `<at>Bot</at>` on Teams, `@bot` and other forms elsewhere.
//!
//! An entity of the activity names the text of the mention. Channels omit that text, escape it or the text of the
//! message once or twice, or write it with other casing, other blanks or in another Unicode normalization form. So all
//! these forms are searched for.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::blank::{composed, place_before_composing, trimmed};
use super::unescaped;
use crate::{Activity, ID_BYTES_MAX};

/// Maximum number of different mentions of the bot that are removed from a message.
const MENTIONS_MAX: usize = 50;
/// Maximum size of the regular expression, in bytes.
const PATTERN_BYTES_MAX: usize = 16 << 10;
/// An ampersand, literal or escaped any number of times.
const AMPERSAND: &str = "&(?:(?:amp|#0*38|#x0*26);)*";
/// A blank: literal, as an HTML reference, or an invisible character.
const BLANK: &str =
    r"(?:[\s\p{Cf}\x{115f}\x{1160}\x{2800}\x{3164}\x{ffa0}]|&(?:(?:amp|#0*38|#x0*26);)*(?:nbsp|#0*160|#x0*a0);)";
const HTML_BLANKS: &[&str] = &["&nbsp;", "&#160;", "&#xA0;", "&#xa0;"];
/// Maximum number of times that a name is unescaped.
const ESCAPED_MAX: usize = 4;

/// Removes the mentions of the bot from a text.
pub(super) fn without<'a>(text: Cow<'a, str>, activity: &Activity) -> Cow<'a, str> {
    let Some(mentions) = expression(activity) else { return text };
    let places = places(&mentions, &text);
    let mut rest_from = 0;
    let mut said = String::new();
    for found in places {
        said.push_str(text.get(rest_from..found.start).unwrap_or_default());
        let rest = text.get(found.end..).unwrap_or_default();
        rest_from = text.len() - joined(&mut said, rest).len();
    }
    match rest_from {
        0 => text,
        rest_from => (said + text.get(rest_from..).unwrap_or_default()).into(),
    }
}

/// Returns the ranges of the mentions in the text, whatever the Unicode normalization form of the text is.
fn places(mentions: &Regex, text: &str) -> Vec<Range<usize>> {
    match composed(text) {
        Cow::Borrowed(text) => mentions.find_iter(text).map(|found| found.range()).collect(),
        Cow::Owned(composed) => {
            let place = |place| place_before_composing(text, &composed, place);
            mentions.find_iter(&composed).map(|found| place(found.start())..place(found.end())).collect()
        }
    }
}

/// Replaces `&nbsp;` and its numeric forms by spaces.
pub(super) fn with_plain_blanks(text: Cow<'_, str>) -> Cow<'_, str> {
    match HTML_BLANKS.iter().any(|blank| text.contains(blank)) {
        true => HTML_BLANKS.iter().fold(text.into_owned(), |text, blank| text.replace(blank, " ")).into(),
        false => text,
    }
}

/// Closes the gap that a removed mention leaves between `said` and `rest`. Returns what remains of `rest`.
fn joined<'t>(said: &mut String, rest: &'t str) -> &'t str {
    let after = without_blanks(rest);
    if said.trim().is_empty() {
        // «@Bot, help» and «@Bot: help».
        let addressed = rest.strip_prefix([',', ';', ':', '،', '，', '：', '、']);
        let addressed = addressed.filter(|rest| rest.is_empty() || without_blanks(rest).len() < rest.len());
        return addressed.map_or(after, without_blanks);
    }
    if said.ends_with(char::is_whitespace) {
        if after.starts_with([',', '.', ';', ':', '!', '?', '،', '，', '：', '、', '。']) {
            said.truncate(said.trim_end().len());
        }
        return after;
    }
    if said.ends_with(char::is_alphanumeric) && rest.starts_with(char::is_alphanumeric) {
        said.push(' ');
    }
    rest
}

fn without_blanks(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        match HTML_BLANKS.iter().find_map(|blank| text.strip_prefix(blank)) {
            Some(rest) => text = rest,
            None => return text,
        }
    }
}

/// Returns the expression that matches the mentions of the bot, or none if the bot is not mentioned.
fn expression(activity: &Activity) -> Option<Regex> {
    let bot = Some(activity.account("recipient")).filter(|bot| !bot.is_empty())?;
    let entities = activity.member("entities")?;
    let recipient = activity.member("recipient")?;
    let of_recipient = recipient.get("name").and_then(Value::as_str).unwrap_or_default();
    let mut forms = Forms::default();
    let mut known = HashSet::new();
    for entity in entities.as_array()? {
        let string = |pointer: &str| entity.pointer(pointer).and_then(Value::as_str).unwrap_or_default().trim();
        if !string("/type").eq_ignore_ascii_case("mention") || string("/mentioned/id") != bot {
            continue;
        }
        let name = Some(string("/mentioned/name")).filter(|name| !name.is_empty()).unwrap_or(of_recipient.trim());
        let text = string("/text");
        if text.len().max(name.len()) <= ID_BYTES_MAX && known.insert((text, name)) {
            forms.add(&plain(text), &plain(name));
        }
        if known.len() == MENTIONS_MAX {
            break;
        }
    }
    forms.expression()
}

/// Patterns of the forms in which mentions may be written.
#[derive(Default)]
struct Forms {
    /// Names within tags: `<at>name</at>`.
    tagged: Vec<String>,
    bare: Vec<String>,
    bytes: usize,
}

impl Forms {
    fn add(&mut self, text: &str, name: &str) {
        for name in [within_tag(text), name] {
            self.push(literal(name), |forms| &mut forms.tagged);
        }
        if !text.is_empty() {
            self.push(literal(text), |forms| &mut forms.bare);
        } else if let Some(last) = name.chars().next_back() {
            let end = if last.is_alphanumeric() { r"\b" } else { "" };
            self.push(format!("@{}{end}", literal(name)), |forms| &mut forms.bare);
        }
    }

    fn push(&mut self, pattern: String, into: fn(&mut Self) -> &mut Vec<String>) {
        if pattern.is_empty() || into(self).contains(&pattern) || self.bytes + pattern.len() > PATTERN_BYTES_MAX {
            return;
        }
        self.bytes += pattern.len();
        into(self).push(pattern);
    }

    /// Builds the expression. The complete tag comes first, because the entity may have only the name.
    fn expression(self) -> Option<Regex> {
        let tagged = (!self.tagged.is_empty()).then(|| {
            let (open, close, names) = (character('<'), character('>'), self.tagged.join("|"));
            let attributes = format!("(?:[^<>&]|{AMPERSAND}(?:quot|apos|#0*3[49]|#x0*2[27]);)*");
            format!(r"{open}at\b{attributes}{close}{BLANK}*(?:{names}){BLANK}*{open}/at\s*{close}")
        });
        let patterns: Vec<String> = tagged.into_iter().chain(self.bare).collect();
        if patterns.is_empty() {
            return None;
        }
        RegexBuilder::new(&patterns.join("|")).case_insensitive(true).build().ok()
    }
}

/// Returns the name within `<at>name</at>`, or the text itself if it is not such a tag.
fn within_tag(text: &str) -> &str {
    let is_tag = text.get(..3).is_some_and(|tag| tag.eq_ignore_ascii_case("<at"));
    let inner = || text.split_once('>')?.1.rsplit_once("</").map(|(inner, _)| inner);
    is_tag.then(inner).flatten().unwrap_or(text)
}

/// Returns a pattern for the text, escaped or not, with any kind and number of blanks between its words.
fn literal(text: &str) -> String {
    let words = text.split_whitespace().map(|word| word.chars().map(character).collect::<String>());
    words.collect::<Vec<_>>().join(&format!("{BLANK}+"))
}

/// Returns a pattern for a character, escaped or not.
fn character(c: char) -> String {
    let reference = match c {
        '&' => return AMPERSAND.to_owned(),
        '<' => "lt|#0*60|#x0*3c",
        '>' => "gt|#0*62|#x0*3e",
        '"' => "quot|#0*34|#x0*22",
        '\'' => "apos|#0*39|#x0*27",
        c => return regex::escape(c.encode_utf8(&mut [0; 4])),
    };
    format!("(?:{c}|{AMPERSAND}(?:{reference});)")
}

/// Returns the text unescaped, in Unicode normalization form NFC, and trimmed of blanks and invisible characters.
fn plain(text: &str) -> String {
    let mut plain: Cow<'_, str> = text.into();
    for _ in 0..ESCAPED_MAX {
        if !plain.contains('&') {
            break;
        }
        plain = unescaped(&plain);
    }
    trimmed(&composed(&plain)).to_owned()
}
