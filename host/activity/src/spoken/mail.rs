//! What mail programs put around an answer: a signature, and what was said before.
//!
//! Nothing is taken for such where no words of the user would be left.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// The longest text that is looked at, in lines, and its longest line, in bytes. Others stay as they are.
const LINES_MAX: usize = 2_000;
const LINE_BYTES_MAX: usize = 400;
/// Lines in which the header of a quoted message stands.
const HEADER_LINES: usize = 6;
/// Lines over which «On 1 May, Ann wrote:» may be broken.
const INTRODUCTION_LINES: usize = 3;

/// What mail programs write, in English, German, French and Spanish.
struct Rules {
    /// «On 1 May, Ann wrote:»
    introduction: Regex,
    /// «-----Original Message-----»
    divider: Regex,
    /// «Sent from my iPhone»
    device: Regex,
    /// «From: Ann», and the lines below it.
    from: Regex,
    header: Regex,
}

static RULES: LazyLock<Option<Rules>> = LazyLock::new(|| {
    let rule = |alternatives: &[&str]| Regex::new(&format!("(?i)^(?:{})$", alternatives.join("|"))).ok();
    Some(Rules {
        introduction: rule(&[
            r"on\b.+\bwrote\s*:",
            r"am\b.+\bschrieb\b.*:",
            r".+\bschrieb am\b.+:",
            r"le\b.+\ba écrit\s*:",
            r"el\b.+\bescribió\s*:",
            r".*\d{4}.*<\S+@\S+>\s*:",
        ])?,
        divider: rule(&[
            r"-{2,}\s*(?:original message|forwarded message)\s*-{2,}",
            r"-{2,}\s*(?:ursprüngliche nachricht|originalnachricht|weitergeleitete nachricht)\s*-{2,}",
            r"-{2,}\s*(?:message d['’]origine|message original|message transféré)\s*-{2,}",
            r"-{2,}\s*(?:mensaje original|mensaje reenviado)\s*-{2,}",
        ])?,
        device: rule(&[
            r"sent (?:from|via|with) (?:my |mail |outlook|yahoo|proton|gmail|samsung|an? ).*",
            r"get outlook for .+",
            r"von mein(?:em|er) .+ (?:gesendet|gesendet\.)",
            r"gesendet (?:von|mit|über) .+",
            r"(?:holen sie sich )?outlook für .+",
            r"envoyé (?:de|depuis|à partir de) .+",
            r"(?:obtenir|obtenez|télécharger) outlook pour .+",
            r"enviado (?:desde|de) .+",
            r"(?:obtener|obtén|descargar) outlook para .+",
        ])?,
        from: rule(&[r"\*{0,2}(?:from|von|de|expéditeur|remitente)\s*:.*"])?,
        header: rule(&[
            r"\*{0,2}(?:sent|date|to|subject)\s*:.*",
            r"\*{0,2}(?:gesendet|datum|an|betreff)\s*:.*",
            r"\*{0,2}(?:envoyé|envoyé le|date|à|objet)\s*:.*",
            r"\*{0,2}(?:enviado|enviado el|fecha|para|asunto)\s*:.*",
        ])?,
    })
});

/// Returns what the user wrote, without signature and quoted text.
pub(super) fn own_words(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.contains('\n') {
        return text;
    }
    let lines: Vec<&str> = text.lines().take(LINES_MAX + 1).collect();
    if lines.len() > LINES_MAX {
        return text;
    }
    // Where all lines are quoted, they are the answer: «> 2».
    let own = kept(&lines, true).or_else(|| kept(&lines, false));
    match own {
        Some(own) if own.len() < lines.len() => own.join("\n").into(),
        _ => text,
    }
}

/// Returns what follows the delimiter of a signature that nothing stands above, as that cannot end the user's words.
pub(super) fn after_delimiter(text: &str) -> &str {
    match text.trim_start().split_once('\n') {
        Some((first, rest)) if is_delimiter(first) && !rest.trim().is_empty() => rest,
        _ => text,
    }
}

/// The lines of the user. None: there are no words in them.
fn kept<'t>(lines: &[&'t str], without_quoted: bool) -> Option<Vec<&'t str>> {
    let (mut own, mut has_words, mut place) = (Vec::new(), false, 0);
    while let Some((line, rest)) = lines.get(place..).and_then(<[_]>::split_first) {
        place += 1;
        let introduced = introduction(line, rest);
        match ends_words(line, rest) {
            true if has_words => break,
            // Only quoted lines are above the signature, so they are the answer.
            true if own.iter().map(|line: &&str| line.trim()).all(str::is_empty) && own.len() + 1 < place => {
                return None;
            }
            _ if has_words && introduced.is_some() => break,
            _ => {}
        }
        match introduced {
            // The answer is below what it quotes.
            Some(more) if without_quoted && rest.get(more).is_some_and(|next| is_quoted(next)) => place += more,
            _ if without_quoted && is_quoted(line) => {}
            _ => {
                has_words |= !line.trim().is_empty();
                own.push(*line);
            }
        }
    }
    has_words.then_some(own)
}

fn is_quoted(line: &str) -> bool {
    line.trim_start().starts_with('>')
}

/// Whether a line and those below it are a signature or the header of a quoted message.
fn ends_words(line: &str, rest: &[&str]) -> bool {
    let line = line.trim();
    let Some(rules) = RULES.as_ref().filter(|_| line.len() <= LINE_BYTES_MAX) else { return false };
    let has_headers = || {
        let below = rest.iter().take(HEADER_LINES).map(|line| line.trim()).filter(|line| line.len() <= LINE_BYTES_MAX);
        below.filter(|line| rules.header.is_match(line)).count() >= 2
    };
    is_delimiter(line)
        || rules.divider.is_match(line)
        || rules.device.is_match(line)
        || (rules.from.is_match(line) && has_headers())
}

/// `-- `, which many programs write without its blank, a dash, and the line that Outlook draws.
fn is_delimiter(line: &str) -> bool {
    let line = line.trim();
    matches!(line, "--" | "—") || (line.len() >= 10 && line.bytes().all(|byte| byte == b'_'))
}

/// Whether lines introduce quoted text, and how many more than the first: by a date, or by the quoted text below.
fn introduction(line: &str, rest: &[&str]) -> Option<usize> {
    let rules = RULES.as_ref()?;
    let mut parts = std::iter::once(&line).chain(rest).take(INTRODUCTION_LINES).map(|line| line.trim());
    let more = parts.position(|part| part.ends_with(':'))?;
    let parts: Vec<&str> = std::iter::once(&line).chain(rest).take(more + 1).map(|line| line.trim()).collect();
    let sentence = parts.join(" ");
    if sentence.len() > LINE_BYTES_MAX || parts.iter().any(|part| part.is_empty()) {
        return None;
    }
    let mut below = rest.get(more..)?.iter().filter(|line| !line.trim().is_empty());
    let is_certain =
        sentence.contains(|c: char| c.is_ascii_digit()) || below.next().is_some_and(|next| is_quoted(next));
    (is_certain && rules.introduction.is_match(&sentence)).then_some(more)
}
