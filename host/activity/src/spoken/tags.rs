//! Removes tags of files, pictures, emoji and system notes, which Teams and Skype insert into the text.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::unescaped;

/// A tag with its content. Channels that escape the text write `&lt;`.
static TAGS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let (open, close) = ("(?:<|&lt;)", r"\s*(?:>|&gt;)");
    let attributes = r#"(?:[^<>"']|"[^"<]*"|'[^'<]*')*?"#;
    Regex::new(&format!(
        r"(?i){open}(?<name>attachment|systemEventMessage|(?:custom)?emoji|ss|img)\b(?<attributes>{attributes})/?{close}(?:(?<inner>[^<>&]*){open}/(?:attachment|systemEventMessage|(?:custom)?emoji|ss|img){close})?",
    ))
    .ok()
});
/// The `alt` attribute: the text that replaces a picture.
static ALT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?i)\balt\s*=\s*(?:"([^"]*)"|'([^']*)'|&quot;(.*?)&quot;)"#).ok());

/// Removes the tags from a text. The tag of an emoji is replaced by its character.
pub(super) fn without<'a>(text: &'a str, is_teams: bool) -> Cow<'a, str> {
    match TAGS.as_ref().filter(|_| text.contains(['<', '&'])) {
        Some(tags) => tags.replace_all(text, |tag: &Captures<'_>| meant(tag, is_teams)),
        None => text.into(),
    }
}

/// Returns the replacement of a tag. A tag that a user may have typed stays.
fn meant(tag: &Captures<'_>, is_teams: bool) -> String {
    let part = |name: &str| tag.name(name).map_or("", |part| part.as_str());
    let attributes = part("attributes").to_lowercase();
    let has = |attribute: &str| attributes.contains(attribute);
    let is_emoji = has("schema.skype.com/emoji") || has("schema.skype.com/customemoji");
    match &*part("name").to_lowercase() {
        "attachment" if has("id=") => String::new(),
        "systemeventmessage" => String::new(),
        "ss" if has("type=") => part("inner").to_owned(),
        "emoji" | "customemoji" if has("alt=") || has("id=") => {
            alternative(part("attributes")).unwrap_or_else(|| part("inner").to_owned())
        }
        "img" if is_emoji => alternative(part("attributes")).unwrap_or_default(),
        "img" if has("schema.skype.com/") || (is_teams && has("=")) => String::new(),
        _ => tag.get(0).map_or("", |whole| whole.as_str()).to_owned(),
    }
}

fn alternative(attributes: &str) -> Option<String> {
    let found = ALT.as_ref()?.captures(attributes)?;
    let alternative = (1..=3).find_map(|place| found.get(place))?.as_str();
    Some(unescaped(&alternative.into()).into_owned())
}
