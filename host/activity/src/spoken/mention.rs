//! Mentions of the bot: `<at>Bot</at>` on Teams, `@bot` and others elsewhere.
//!
//! An entity names what stands in the text. Channels leave its text out, escape it or the text of the message, write it in
//! another case or with other blanks, so it is looked for in all these forms.

use std::borrow::Cow;
use std::collections::HashSet;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::unescaped;
use crate::{Activity, ID_BYTES_MAX};

/// So many different mentions of the bot are taken out of a message.
const MENTIONS_MAX: usize = 50;
/// What is looked for at once, in bytes of the expression.
const PATTERN_BYTES_MAX: usize = 16 << 10;
/// A blank, as it is or as HTML writes one.
const BLANK: &str = r"(?:\s|&nbsp;|&#160;)";

/// Takes the mentions of the bot out of a text.
pub(super) fn without<'a>(text: Cow<'a, str>, activity: &Activity) -> Cow<'a, str> {
    let Some(mentions) = expression(activity) else { return text };
    let mut rest_from = 0;
    let mut said = String::new();
    for found in mentions.find_iter(&text) {
        said.push_str(text.get(rest_from..found.start()).unwrap_or_default());
        let rest = text.get(found.end()..).unwrap_or_default();
        rest_from = text.len() - joined(&mut said, rest).len();
    }
    match rest_from {
        0 => text,
        rest_from => (said + text.get(rest_from..).unwrap_or_default()).into(),
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
        match text.strip_prefix("&nbsp;").or_else(|| text.strip_prefix("&#160;")) {
            Some(rest) => text = rest,
            None => return text,
        }
    }
}

/// What finds the mentions of the bot in the text. None: it is not mentioned.
fn expression(activity: &Activity) -> Option<Regex> {
    let bot = Some(activity.account("recipient")).filter(|bot| !bot.is_empty())?;
    let of_recipient = activity.object().get("recipient")?.get("name").and_then(Value::as_str).unwrap_or_default();
    let mut patterns = Vec::new();
    let mut known = HashSet::new();
    for entity in activity.object().get("entities")?.as_array()? {
        let string = |pointer: &str| entity.pointer(pointer).and_then(Value::as_str).unwrap_or_default().trim();
        if !string("/type").eq_ignore_ascii_case("mention") || string("/mentioned/id") != bot {
            continue;
        }
        let name = Some(string("/mentioned/name")).filter(|name| !name.is_empty()).unwrap_or(of_recipient.trim());
        let text = string("/text");
        if text.len().max(name.len()) <= ID_BYTES_MAX && known.insert((text, name)) {
            forms(text, name, &mut patterns);
        }
        if known.len() == MENTIONS_MAX {
            break;
        }
    }
    let mut bytes = 0;
    patterns.retain(|pattern: &String| {
        bytes += pattern.len();
        bytes <= PATTERN_BYTES_MAX
    });
    if patterns.is_empty() {
        return None;
    }
    RegexBuilder::new(&patterns.join("|")).case_insensitive(true).build().ok()
}

/// Adds how a mention may be written: the whole tag first, as the text of the entity may be the name alone.
fn forms(text: &str, name: &str, patterns: &mut Vec<String>) {
    let text = unescaped(&text.into());
    for name in [within_tag(&text), name] {
        if !name.trim().is_empty() {
            patterns.push(format!(
                r"(?:<|&lt;)at\b[^<>&]*(?:>|&gt;){BLANK}*{}{BLANK}*(?:<|&lt;)/at\s*(?:>|&gt;)",
                literal(name)
            ));
        }
    }
    if !text.trim().is_empty() {
        patterns.push(literal(&text));
    } else if let Some(last) = name.chars().next_back() {
        let end = if last.is_alphanumeric() { r"\b" } else { "" };
        patterns.push(format!("@{}{end}", literal(name)));
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
    let text = unescaped(&text.into());
    let words = text.split_whitespace().map(|word| {
        let mut pattern = String::with_capacity(word.len());
        for c in word.chars() {
            match c {
                '&' => pattern.push_str("(?:&amp;|&#38;|&#x26;|&)"),
                '<' => pattern.push_str("(?:&lt;|<)"),
                '>' => pattern.push_str("(?:&gt;|>)"),
                '"' => pattern.push_str("(?:&quot;|&#34;|&#x22;|\")"),
                '\'' => pattern.push_str("(?:&apos;|&#0?39;|&#x27;|')"),
                c => pattern.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
            }
        }
        pattern
    });
    words.collect::<Vec<_>>().join(&format!("{BLANK}+"))
}
