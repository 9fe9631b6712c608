//! Removes quotes of the message that is replied to, which Teams and Skype insert into the text.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Opening and closing tags of quotes. Channels that escape the text write `&lt;`.
static TAGS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)(?:<|&lt;)(/?)(quoted|quote|blockquote)\b([^<>]*?)(/?)\s*(?:>|&gt;)").ok());
/// Any tag. Used if a quote shows that the text is HTML.
static MARKUP: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"</?([A-Za-z][A-Za-z0-9]*)[^<>]*>").ok());

/// Removes quotes from a text. Outside Teams a tag counts as a quote only with the attributes of a quote, because a user may
/// have typed the tag.
pub(super) fn without<'a>(text: Cow<'a, str>, is_teams: bool) -> Cow<'a, str> {
    let Some(tags) = TAGS.as_ref().filter(|_| text.contains(['<', '&'])) else { return text };
    let (mut said, mut rest_from) = (String::new(), 0);
    // `depth` counts the open quotes; `opened_at` is the end of the outermost opening tag.
    let (mut depth, mut opened_at, mut is_html) = (0_usize, 0, false);
    for tag in tags.captures_iter(&text) {
        let part = |place| tag.get(place).map_or("", |part| part.as_str());
        let Some(whole) = tag.get(0) else { continue };
        let (is_end, name, is_alone) = (!part(1).is_empty(), part(2), !part(4).is_empty());
        if depth == 0 {
            if is_end || !is_quote(name, part(3), is_teams) {
                continue;
            }
            said.push_str(text.get(rest_from..whole.start()).unwrap_or_default());
            opened_at = whole.end();
            is_html |= name.eq_ignore_ascii_case("blockquote");
            depth = 1;
        } else if !is_alone {
            depth = if is_end { depth - 1 } else { depth + 1 };
        }
        if is_alone && opened_at == whole.end() {
            depth = 0;
        }
        // If a quote is not closed, only its opening tag is removed.
        rest_from = if depth == 0 { whole.end() } else { opened_at };
    }
    if rest_from == 0 {
        return text;
    }
    said.push_str(text.get(rest_from..).unwrap_or_default());
    match MARKUP.as_ref().filter(|_| is_html) {
        Some(markup) => markup.replace_all(&said, blank).into_owned().into(),
        None => said.into(),
    }
}

/// Returns the replacement of a tag in text that is no longer HTML. Mentions stay, because they are removed later.
fn blank(tag: &Captures<'_>) -> String {
    let part = |place| tag.get(place).map_or("", |part| part.as_str());
    if part(1).eq_ignore_ascii_case("at") { part(0).to_owned() } else { " ".to_owned() }
}

fn is_quote(name: &str, attributes: &str, is_teams: bool) -> bool {
    let attributes = attributes.to_ascii_lowercase();
    match name.to_ascii_lowercase().as_str() {
        _ if is_teams => true,
        "quoted" => attributes.contains("messageid"),
        "quote" => attributes.contains("author") || attributes.contains("messageid"),
        _ => attributes.contains("schema.skype.com/reply"),
    }
}
