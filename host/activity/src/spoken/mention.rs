//! Mentions of the bot: `<at>Bot</at>` on Teams, `@bot` and others elsewhere.
//!
//! An entity names what stands in the text. Channels leave its text out, escape it or the text of the message, once or twice,
//! write it in another case, with other blanks or composed in another way, so it is looked for in all these forms.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::blank::{composed, place_before_composing, trimmed};
use super::unescaped;
use crate::{Activity, ID_BYTES_MAX};

/// So many different mentions of the bot are taken out of a message.
const MENTIONS_MAX: usize = 50;
/// What is looked for at once, in bytes of the expression.
const PATTERN_BYTES_MAX: usize = 16 << 10;
/// An ampersand, as it is or escaped, any number of times.
const AMPERSAND: &str = "&(?:(?:amp|#0*38|#x0*26);)*";
/// A blank, as it is, as HTML writes one, or one that shows nothing.
const BLANK: &str =
    r"(?:[\s\p{Cf}\x{115f}\x{1160}\x{2800}\x{3164}\x{ffa0}]|&(?:(?:amp|#0*38|#x0*26);)*(?:nbsp|#0*160|#x0*a0);)";
const HTML_BLANKS: &[&str] = &["&nbsp;", "&#160;", "&#xA0;", "&#xa0;"];
/// So often a name may be escaped.
const ESCAPED_MAX: usize = 4;

/// Takes the mentions of the bot out of a text.
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

/// Where the text has a mention, however its characters are composed.
fn places(mentions: &Regex, text: &str) -> Vec<Range<usize>> {
    match composed(text) {
        Cow::Borrowed(text) => mentions.find_iter(text).map(|found| found.range()).collect(),
        Cow::Owned(composed) => {
            let place = |place| place_before_composing(text, &composed, place);
            mentions.find_iter(&composed).map(|found| place(found.start())..place(found.end())).collect()
        }
    }
}

/// Returns the text with blanks where HTML has `&nbsp;`.
pub(super) fn with_plain_blanks(text: Cow<'_, str>) -> Cow<'_, str> {
    match HTML_BLANKS.iter().any(|blank| text.contains(blank)) {
        true => HTML_BLANKS.iter().fold(text.into_owned(), |text, blank| text.replace(blank, " ")).into(),
        false => text,
    }
}

/// Closes the gap that a mention leaves between what was said before it and the rest, which is returned.
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

/// What finds the mentions of the bot in the text. None: it is not mentioned.
fn expression(activity: &Activity) -> Option<Regex> {
    let bot = Some(activity.account("recipient")).filter(|bot| !bot.is_empty())?;
    let of_recipient = activity.object().get("recipient")?.get("name").and_then(Value::as_str).unwrap_or_default();
    let mut forms = Forms::default();
    let mut known = HashSet::new();
    for entity in activity.object().get("entities")?.as_array()? {
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

/// How mentions may be written, as patterns.
#[derive(Default)]
struct Forms {
    /// Within tags: `<at>name</at>`.
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

    /// The whole tag first, as the text of an entity may be the name alone.
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

/// The name in `<at>name</at>`, or the text as it is.
fn within_tag(text: &str) -> &str {
    let is_tag = text.get(..3).is_some_and(|tag| tag.eq_ignore_ascii_case("<at"));
    let inner = || text.split_once('>')?.1.rsplit_once("</").map(|(inner, _)| inner);
    is_tag.then(inner).flatten().unwrap_or(text)
}

/// What matches the text itself, escaped or not, with blanks of any kind and number.
fn literal(text: &str) -> String {
    let words = text.split_whitespace().map(|word| word.chars().map(character).collect::<String>());
    words.collect::<Vec<_>>().join(&format!("{BLANK}+"))
}

/// What matches a character, escaped or not.
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

/// The text without any escape, in the form NFC, without what shows nothing around it.
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
