//! Extracts the visible text of a message that is HTML, which is common in e-mail.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use super::unescaped;

/// Tags that identify HTML. A plain text contains one of them only if it is about HTML.
static IS_HTML: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)<br\s*/?>|</(?:p|div|body|html|table|ul|ol)\s*>").ok());
/// Parts of a document that are not shown.
static HIDDEN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?is)<!--.*?-->|<!doctype[^<>]*>|<(?:head|style|script|title)\b[^<>]*>.*?</(?:head|style|script|title)\s*>",
    )
    .ok()
});
static TAG: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"<(/?)([A-Za-z][A-Za-z0-9]*)\b[^<>]*>").ok());

/// Elements that begin or end a line.
const BLOCKS: &[&str] = &[
    "address",
    "blockquote",
    "body",
    "br",
    "center",
    "dd",
    "div",
    "dl",
    "dt",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "html",
    "li",
    "ol",
    "p",
    "pre",
    "table",
    "td",
    "th",
    "tr",
    "ul",
];

/// Returns whether the text is HTML.
pub(super) fn is_html(text: &str) -> bool {
    IS_HTML.as_ref().is_some_and(|html| text.contains('<') && html.is_match(text))
}

/// Returns the visible text of the HTML, with `>` before quoted lines. Mentions keep their tags, because they are removed
/// later.
pub(super) fn shown(html: &str) -> String {
    let Some((hidden, tags)) = HIDDEN.as_ref().zip(TAG.as_ref()) else { return html.to_owned() };
    let html = hidden.replace_all(html, "");
    let (mut shown, mut depth, mut rest_from) = (Shown::default(), 0_usize, 0);
    for tag in tags.captures_iter(&html) {
        let part = |place| tag.get(place).map_or("", |part| part.as_str());
        let Some(whole) = tag.get(0) else { continue };
        let (is_end, name) = (!part(1).is_empty(), part(2).to_ascii_lowercase());
        if name == "at" {
            continue;
        }
        shown.text(html.get(rest_from..whole.start()).unwrap_or_default(), depth);
        rest_from = whole.end();
        if name == "blockquote" {
            depth = if is_end { depth.saturating_sub(1) } else { depth + 1 };
        }
        if BLOCKS.contains(&name.as_str()) {
            shown.ends_line |= name != "br";
            if name == "br" {
                shown.lines.push('\n');
            }
        }
    }
    shown.text(html.get(rest_from..).unwrap_or_default(), depth);
    shown.lines
}

/// The visible text that was read so far.
#[derive(Default)]
struct Shown {
    lines: String,
    /// True if the next text begins a new line.
    ends_line: bool,
}

impl Shown {
    /// Adds the text between two tags. Its line ends are kept, because a mail may be partly plain text.
    fn text(&mut self, text: &str, depth: usize) {
        let text = match self.lines.ends_with('\n') {
            true => text.strip_prefix("\r\n").or_else(|| text.strip_prefix('\n')).unwrap_or(text),
            false => text,
        };
        if text.trim().is_empty() && (text.is_empty() || self.ends_line || self.lines.ends_with('\n')) {
            return;
        }
        if std::mem::take(&mut self.ends_line) && !self.lines.is_empty() && !self.lines.ends_with('\n') {
            self.lines.push('\n');
        }
        if depth > 0 && (self.lines.is_empty() || self.lines.ends_with('\n')) {
            self.lines.push_str("> ");
        }
        self.lines.push_str(&unescaped(&Cow::Borrowed(text)));
    }
}
