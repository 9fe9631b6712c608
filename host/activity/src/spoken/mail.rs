//! Removes what mail programs add to an answer: a signature and the earlier conversation.
//!
//! If nothing of the user's text would be left, the text stays as it is.
//!
//! The only Rust crate for this task, `email_reply_parser`, supports English alone. Other libraries are not for Rust.

mod phrases;

use std::borrow::Cow;

use self::phrases::RULES;
use super::blank::{composed, trimmed, without_marks};

/// Limits on the text that is searched, in lines and in bytes of a line. Longer texts and lines are not changed.
const LINES_MAX: usize = 2_000;
const LINE_BYTES_MAX: usize = 400;
/// Number of lines below the first field of a quoted header that are searched for the other fields.
const HEADER_LINES: usize = 8;
/// Maximum number of lines of an introduction such as «On 1 May, Ann wrote:».
const INTRODUCTION_LINES: usize = 3;
/// Maximum number of lines with text below «Kind regards»: a name and an address.
const CLOSING_LINES: usize = 8;

struct Line<'t> {
    written: &'t str,
    /// The line, trimmed and without invisible characters, which programs insert around right-to-left text. Empty if the
    /// line is too long.
    seen: String,
}

/// Returns the text that the user wrote, without signature and quoted text.
pub(super) fn own_words(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.contains(is_line_end) {
        return text;
    }
    let lines: Vec<Line<'_>> = lines(&text).take(LINES_MAX + 1).map(Line::new).collect();
    if lines.len() > LINES_MAX {
        return text;
    }
    // If every line is quoted, the quoted lines are the answer: «> 2».
    let own = kept(&lines, true).or_else(|| kept(&lines, false));
    match own {
        Some(own) if own.len() < lines.len() => own.join("\n").into(),
        _ => text,
    }
}

/// Skips a signature delimiter in the first line: with no text above it, it does not end the user's text.
pub(super) fn after_delimiter(text: &str) -> &str {
    match text.trim_start().split_once(is_line_end) {
        Some((first, rest)) if is_delimiter(trimmed(first)) && !trimmed(rest).is_empty() => rest,
        _ => text,
    }
}

/// Matches the line ends of every operating system and those of Unicode, which editors write for a soft line break.
fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text).filter(|text| !text.is_empty());
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let Some((line, after)) = text.split_once(is_line_end) else { return Some(text) };
        let is_pair = text.get(line.len()..).is_some_and(|end| end.starts_with("\r\n"));
        let after = if is_pair { after.strip_prefix('\n').unwrap_or(after) } else { after };
        rest = Some(after).filter(|after| !after.is_empty());
        Some(line)
    })
}

impl<'t> Line<'t> {
    fn new(written: &'t str) -> Self {
        let seen = match written.len() {
            0..=LINE_BYTES_MAX => trimmed(&composed(&without_marks(written))).to_owned(),
            _ => String::new(),
        };
        Self { written, seen }
    }

    fn is_blank(&self) -> bool {
        self.seen.is_empty() && trimmed(self.written).is_empty()
    }

    fn is_quoted(&self) -> bool {
        self.seen.starts_with('>') || self.written.trim_start().starts_with('>')
    }
}

/// Returns the lines that the user wrote, or none if they contain no words.
fn kept<'t>(lines: &[Line<'t>], without_quoted: bool) -> Option<Vec<&'t str>> {
    let (mut own, mut has_words, mut place) = (Vec::new(), false, 0);
    while let Some((line, rest)) = lines.get(place..).and_then(<[_]>::split_first) {
        place += 1;
        let introduced = introduction(line, rest);
        match ends_words(line, rest) {
            true if has_words => break,
            // Only quoted lines stand above the signature, so they are the answer.
            true if own.iter().copied().map(trimmed).all(str::is_empty) && own.len() + 1 < place => {
                return None;
            }
            _ if has_words && introduced.is_some() => break,
            _ => {}
        }
        match introduced {
            // Skip the introduction: the answer is below the text that it quotes.
            Some(more) if without_quoted && rest.get(more).is_some_and(Line::is_quoted) => place += more,
            _ if without_quoted && line.is_quoted() => {}
            _ => {
                has_words |= !line.is_blank();
                own.push(line.written);
            }
        }
    }
    has_words.then_some(own)
}

/// Returns whether a signature or the header of a quoted message begins at this line.
fn ends_words(line: &Line<'_>, rest: &[Line<'_>]) -> bool {
    let Some(rules) = RULES.as_ref().filter(|_| !line.seen.is_empty()) else { return false };
    let is_from = |line: &Line<'_>| rules.from.is_match(&line.seen);
    let is_header = |line: &Line<'_>| rules.header.is_match(&line.seen);
    // In most programs the sender is the first field of the header, in some the subject.
    let begins_headers = || {
        let below = rest.get(..HEADER_LINES.min(rest.len())).unwrap_or_default();
        let count = below.iter().filter(|line| is_header(line)).count();
        (is_from(line) && count >= 2) || (is_header(line) && count >= 1 && below.iter().any(is_from))
    };
    let ends_letter = || rest.iter().filter(|line| !line.is_blank()).count() <= CLOSING_LINES;
    is_delimiter(&line.seen)
        || rules.divider.is_match(&line.seen)
        || rules.device.is_match(&line.seen)
        || rules.headers_in_a_line.is_match(&line.seen)
        || begins_headers()
        || (rules.closing.is_match(&line.seen) && ends_letter())
}

/// Matches `-- `, which many programs write without the blank, a dash, and the line of underscores that Outlook writes.
fn is_delimiter(line: &str) -> bool {
    let line = line.trim();
    matches!(line, "--" | "—" | "–") || (line.len() >= 10 && line.bytes().all(|byte| byte == b'_'))
}

/// Returns the number of further lines of an introduction to quoted text that begins at `line`. A date in the
/// introduction or quoted text below it is required.
fn introduction(line: &Line<'_>, rest: &[Line<'_>]) -> Option<usize> {
    let rules = RULES.as_ref()?;
    let mut parts = std::iter::once(line).chain(rest).take(INTRODUCTION_LINES);
    let more = parts.position(|part| part.seen.ends_with([':', '：']))?;
    let parts: Vec<&str> = std::iter::once(line).chain(rest).take(more + 1).map(|line| &*line.seen).collect();
    let sentence = parts.join(" ");
    if sentence.len() > LINE_BYTES_MAX || parts.iter().any(|part| part.is_empty()) {
        return None;
    }
    let mut below = rest.get(more..)?.iter().filter(|line| !line.is_blank());
    let is_certain = sentence.contains(char::is_numeric) || below.next().is_some_and(Line::is_quoted);
    (is_certain && rules.introduction.is_match(&sentence)).then_some(more)
}
