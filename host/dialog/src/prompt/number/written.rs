//! Numbers in digits: separators, exponents, fractions.

use super::Number;
use crate::prompt::text::Text;

/// The longest number in digits, with its separators.
const LITERAL_BYTES_MAX: usize = 40;

/// `3/4`, `2 1/2`.
pub(super) fn slashed(text: &Text<'_>, at: usize) -> Option<Number> {
    let over = |at: usize| {
        let is_slash = matches!(text.mark(at + 1), Some('/' | '⁄')) && !matches!(text.mark(at + 3), Some('/'));
        let (over, under) = (text.digits(at, 1..=6)?, text.digits(at + 2, 1..=6)?);
        (is_slash && under != 0).then(|| f64::from(over) / f64::from(under))
    };
    let is_after_mark = at > 0 && text.is_glued(at) && matches!(text.mark(at - 1), Some('/' | '.' | ','));
    if is_after_mark {
        return None;
    }
    let number = |value, end| Number { value, end, is_digits: true, is_ordinal: false, is_article: false };
    if let Some(share) = over(at) {
        return Some(number(share, at + 3));
    }
    let whole = text.digits(at, 1..=6).filter(|_| !text.is_glued(at + 1))?;
    over(at + 1).map(|share| number(f64::from(whole) + share, at + 4))
}

/// A fraction of one sign.
pub(super) fn glyph(mark: char) -> Option<f64> {
    Some(match mark {
        '½' => 0.5,
        '⅓' => 1.0 / 3.0,
        '⅔' => 2.0 / 3.0,
        '¼' => 0.25,
        '¾' => 0.75,
        '⅕' => 0.2,
        '⅖' => 0.4,
        '⅗' => 0.6,
        '⅘' => 0.8,
        '⅙' => 1.0 / 6.0,
        '⅚' => 5.0 / 6.0,
        '⅐' => 1.0 / 7.0,
        '⅑' => 1.0 / 9.0,
        '⅒' => 0.1,
        '⅛' => 0.125,
        '⅜' => 0.375,
        '⅝' => 0.625,
        '⅞' => 0.875,
        _ => return None,
    })
}

/// Digits with their separators, groups of three apart by a space, and `1e3`.
pub(super) fn literal(text: &Text<'_>, start: usize, decimal: char) -> Option<(f64, usize)> {
    let mut written = String::new();
    let mut end = start;
    if !text.is_digits(start) {
        // `.5`
        let is_alone = start == 0 || !text.is_glued(start);
        if !is_alone || !text.is_glued(start + 1) || !text.is_digits(start + 1) {
            return None;
        }
        written.push_str(text.word(start));
        end += 1;
    }
    written.push_str(text.word(end));
    let is_group = text.word(end).len() <= 3;
    end += 1;
    // A longer one is no number, and each place of it would be read again.
    while written.len() <= LITERAL_BYTES_MAX {
        let separates =
            matches!(text.mark(end), Some('.' | ',' | '\'')) && text.is_glued(end) && text.is_glued(end + 1);
        if separates && text.is_digits(end + 1) {
            written.push_str(text.word(end));
            written.push_str(text.word(end + 1));
            end += 2;
        } else if is_group && text.is_digits(end) && text.word(end).len() == 3 && !text.is_glued(end) {
            written.push_str(text.word(end));
            end += 1;
        } else {
            break;
        }
    }
    let value = parse(&written, decimal)?;
    let exponent =
        text.digits(end + 1, 1..=2).filter(|_| text.word(end) == "e" && text.is_glued(end) && text.is_glued(end + 1));
    match exponent {
        Some(exponent) => Some((value * 10f64.powi(i32::try_from(exponent).ok()?), end + 2)),
        None => Some((value, end)),
    }
}

/// Reads digits with separators. Groups of three after the locale's own mark are thousands, anything else is a fraction:
/// people who write German type `3.5` too.
fn parse(text: &str, decimal: char) -> Option<f64> {
    let thousands = if decimal == ',' { '.' } else { ',' };
    let mut plain: String = text.chars().filter(|c| *c != '\'').collect();
    let (points, commas) = (plain.matches('.').count(), plain.matches(',').count());
    let groups = |text: &str, mark: char| {
        let mut parts = text.split(mark);
        parts.next().is_some_and(|head| (1..=3).contains(&head.len())) && parts.all(|part| part.len() == 3)
    };
    if points > 0 && commas > 0 {
        let last = plain.rfind(['.', ','])?;
        let (whole, fraction) = (plain.get(..last)?, plain.get(last + 1..)?);
        let other = if plain.get(last..)?.starts_with('.') { ',' } else { '.' };
        if !groups(whole, other) {
            return None;
        }
        plain = format!("{}.{fraction}", whole.replace(other, ""));
    } else if points + commas > 0 {
        let mark = if points > 0 { '.' } else { ',' };
        let is_grouped = groups(&plain, mark) && (mark == thousands || plain.matches(mark).count() > 1);
        plain = if is_grouped { plain.replace(mark, "") } else { plain.replace(mark, ".") };
    }
    plain.parse::<f64>().ok().filter(|number| number.is_finite())
}
