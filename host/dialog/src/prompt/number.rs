//! Numbers in answers: digits as the locale writes them, and words.

use std::sync::LazyLock;

use regex::{Match, Regex};
use serde_json::Value;

use super::language::{Language, phrases, words};

/// Groups of three apart by a space, `1e3`, digits with marks, or a fraction without a whole.
static DIGITS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let spaced = r"[0-9]{1,3}(?:[ \x{a0}\x{202f}][0-9]{3})+\b(?:[.,][0-9]+)?";
    Regex::new(&format!(r"{spaced}|[0-9]+(?:\.[0-9]+)?[eE][0-9]{{1,2}}\b|[0-9](?:[0-9.,'’]*[0-9])?|[.,][0-9]+")).ok()
});
static FRACTION: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?:^|[^0-9/.,])(?:([0-9]{1,6}) )?([0-9]{1,6})\s?[/⁄]\s?([0-9]{1,6})(?:[^0-9/]|$)").ok()
});

/// A number, and whether the answer wrote it in digits.
#[derive(Debug, Clone, Copy)]
struct Found {
    number: f64,
    is_digits: bool,
}

/// Returns the number that a text says: the first, where «one» that may be an article counts only if there is no other.
pub(super) fn find(text: &str, language: &Language, locale: &str) -> Option<f64> {
    let found = all(text, language, locale);
    let articles = words(text).iter().any(|word| phrases(language.articles).any(|article| article == word));
    let is_article = |found: &&Found| articles && !found.is_digits && found.number == 1.0;
    found.iter().find(|found| !is_article(found)).or(found.first()).map(|found| found.number)
}

/// Returns the number if the text says exactly one.
pub(super) fn only(text: &str, language: &Language, locale: &str) -> Option<f64> {
    let found = all(text, language, locale);
    let first = found.first()?.number;
    found.iter().all(|other| other.number == first).then_some(first)
}

fn all(text: &str, language: &Language, locale: &str) -> Vec<Found> {
    if let Some((over, under)) = fraction(text) {
        let number = Some(over / under).filter(|number| number.is_finite());
        return number.map(|number| Found { number, is_digits: true }).into_iter().collect();
    }
    let written = language.with_digits(&halves_split(text, language));
    let Some(digits) = DIGITS.as_ref() else { return Vec::new() };
    let mut found: Vec<Found> = Vec::new();
    let mut rest_from = 0;
    for place in digits.find_iter(&written) {
        let Some(number) = parse(place.as_str(), language.decimal(locale)) else { continue };
        let between = written.get(rest_from..place.start()).unwrap_or_default();
        if let Some(last) = found.last_mut()
            && is_counted(between, language)
            && is_scale(number, place.as_str())
            && last.number.abs() < number
        {
            last.number *= number;
        } else {
            let is_digits = text.contains(place.as_str());
            let number = if is_negative(&written, place, language) { -number } else { number };
            let number =
                if is_digits || !is_scale(number, place.as_str()) { number } else { number * share(between, language) };
            found.push(Found { number, is_digits });
        }
        rest_from = place.end();
        let rest: String = written.get(rest_from..).unwrap_or_default().chars().take(40).collect();
        if words(&rest).first().is_some_and(|next| phrases(language.vague).any(|vague| vague == next)) {
            found.pop();
        } else if let Some(last) = found.last_mut() {
            last.number = scaled(last.number, &rest, language);
        }
    }
    if found.is_empty() {
        let said = words(text);
        let alone = language.scales.iter().filter(|(word, _)| word.len() > 1 && said.iter().any(|other| other == word));
        // «half a dozen» is six.
        let product = alone.map(|(_, number)| *number).reduce(|one, other| one * other);
        found.extend(product.map(|number| Found { number, is_digits: false }));
    }
    found
}

/// Writes «zweieinhalb» as «zwei einhalb» and `2½` as `2.5`, in the language's own way.
pub(super) fn halves_split(text: &str, language: &Language) -> String {
    let mut split = text.to_owned();
    for (sign, digits) in [('½', "5"), ('¼', "25"), ('¾', "75")] {
        if split.contains(sign) {
            let mark = language.decimal("");
            split = split.replace(&format!(" {sign}"), &sign.to_string()).replace(sign, &format!("{mark}{digits}"));
        }
    }
    let is_standalone = |word: &str| language.scales.iter().any(|(scale, _)| *scale == word);
    let split_word = |word: &str| match word.to_lowercase().strip_suffix("einhalb") {
        Some(whole) if !whole.is_empty() && !is_standalone(&word.to_lowercase()) => format!("{whole} einhalb"),
        _ => word.to_owned(),
    };
    match phrases(language.and_half).any(|phrase| phrase == "einhalb") {
        true => split.split(' ').map(split_word).collect::<Vec<_>>().join(" "),
        false => split,
    }
}

/// Half a number more, or so many dozens, as the words after it say. Half more than millions is half a million more.
fn scaled(number: f64, rest: &str, language: &Language) -> f64 {
    let is_glued = rest.starts_with(|c: char| c.is_alphabetic());
    let next = words(rest);
    let begins = |phrase: &str| next.starts_with(&words(phrase));
    if phrases(language.and_half).any(begins) {
        let unit = [1e9, 1e6].into_iter().find(|unit| number != 0.0 && number % unit == 0.0).unwrap_or(1.0);
        return number + (0.5 * unit).copysign(number);
    }
    let mut number = number;
    for (position, word) in next.iter().enumerate() {
        // `5k`, and not «5 k».
        let is_whole = word.len() > 1 || (is_glued && position == 0);
        match language.scales.iter().find(|(scale, _)| scale == word).filter(|_| is_whole) {
            // «anderthalb» stands alone.
            Some((_, scale)) if *scale != 1.5 => number *= scale,
            _ => break,
        }
    }
    number
}

/// Whether what stands between two numbers lets the one count the other: `2 million` has become `2 1000000`, and «two and
/// a half million» `2 and a half 1000000`.
fn is_counted(between: &str, language: &Language) -> bool {
    let said = words(between);
    let is_part = |word: &String| language.scales.iter().any(|(scale, _)| scale == word);
    between == " "
        || phrases(language.and_half).any(|half| words(half) == said)
        || !said.is_empty() && said.iter().all(is_part)
}

/// The part of a million that the words before it say: «half a million», «anderthalb Millionen».
fn share(before: &str, language: &Language) -> f64 {
    let is_article = |word: &str| matches!(word, "a" | "an") || phrases(language.articles).any(|known| known == word);
    let said = words(before);
    let last = said.iter().rev().find(|word| !is_article(word));
    let scale = language.scales.iter().find(|(word, scale)| *scale < 2.0 && last.is_some_and(|last| last == word));
    scale.map_or(1.0, |(_, scale)| *scale)
}

fn is_scale(number: f64, written: &str) -> bool {
    [1e3, 1e6, 1e9].contains(&number) && written.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_negative(text: &str, place: Match<'_>, language: &Language) -> bool {
    let before = text.get(..place.start()).unwrap_or_default();
    let signs = ['-', '−', '–'];
    if before.trim() == "-" {
        return true;
    }
    if before.ends_with(signs) {
        return !before.trim_end_matches(signs).ends_with(char::is_alphanumeric);
    }
    let word = before.trim_end().rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    before.ends_with(' ') && phrases(language.minus).any(|minus| minus == word.to_lowercase())
}

/// `1/2`, `2 1/2`, as what is divided and by what.
fn fraction(text: &str) -> Option<(f64, f64)> {
    let mut all = FRACTION.as_ref()?.captures_iter(text);
    let found = all.next()?;
    if all.next().is_some() {
        return None;
    }
    let part = |group: usize| found.get(group).and_then(|digits| digits.as_str().parse::<f64>().ok());
    let (whole, over, under) = (part(1).unwrap_or(0.0), part(2)?, part(3)?);
    Some((whole * under + over, under))
}

/// Reads digits with separators. Groups of three after the locale's own mark are thousands, anything else is a fraction:
/// people who write German type `3.5` too.
pub(super) fn parse(text: &str, decimal: char) -> Option<f64> {
    let thousands = if decimal == ',' { '.' } else { ',' };
    let mut plain: String = text.chars().filter(|c| !matches!(c, ' ' | '\'' | '’' | '\u{a0}' | '\u{202f}')).collect();
    let (points, commas) = (plain.matches('.').count(), plain.matches(',').count());
    let groups = |text: &str, mark: char| {
        let mut parts = text.split(mark);
        parts.next().is_some_and(|head| (1..=3).contains(&head.len())) && parts.all(|part| part.len() == 3)
    };
    if points > 0 && commas > 0 {
        let last = plain.rfind(['.', ','])?;
        let fraction = plain.get(last + 1..)?.to_owned();
        let whole: String = plain.get(..last)?.chars().filter(char::is_ascii_digit).collect();
        plain = format!("{whole}.{fraction}");
    } else if points + commas > 0 {
        let mark = if points > 0 { '.' } else { ',' };
        let is_grouped = groups(&plain, mark) && (mark == thousands || plain.matches(mark).count() > 1);
        plain = if is_grouped { plain.replace(mark, "") } else { plain.replace(mark, ".") };
    }
    plain.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// A whole number is one in JSON too.
pub(super) fn value(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 {
        return Value::from(number as i64);
    }
    Value::from(number)
}
