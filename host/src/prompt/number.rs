//! Numbers in answers: digits as the locale writes them, and words.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::language::{Language, words};

static DIGITS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[0-9](?:[0-9.,'’\x{a0}\x{202f}]*[0-9]|(?: [0-9]{3})+(?:[.,][0-9]+)?)?").ok());

/// Returns the first number in a text.
pub(super) fn find(text: &str, language: &Language) -> Option<f64> {
    let text = language.with_digits(text);
    let found = DIGITS.as_ref()?.find(&text)?;
    let number = parse(found.as_str(), language.decimal)?;
    let before = text.get(..found.start())?;
    let is_minus = before.ends_with(['-', '−'])
        && !before.trim_end_matches(['-', '−']).ends_with(|last: char| last.is_alphanumeric());
    let says_minus = words(before).last().is_some_and(|word| language.minus.contains(&word.as_str()));
    Some(if is_minus || says_minus { -number } else { number })
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
