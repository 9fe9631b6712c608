//! Numbers in answers: digits as the locale writes them, and words.

mod written;

use serde_json::Value;

use self::written::{glyph, literal, slashed};
use super::NotRecognized;
use super::language::Language;
use super::lexicon::{Mean, Unit};
use super::remains::{self, Spot};
use super::text::Text;

/// A number, and where it ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number {
    pub(super) value: f64,
    pub(super) end: usize,
    /// Written in digits.
    pub(super) is_digits: bool,
    /// A place: «third».
    pub(super) is_ordinal: bool,
    /// An article, which is «one» where nothing else is a number.
    pub(super) is_article: bool,
}

/// Why a text is no number.
const NONE: &str = "there is no number";

/// Returns the number that a text says, if it says one and nothing that changes it.
pub(super) fn find(text: &str, language: &Language, locale: &str) -> Result<f64, NotRecognized> {
    let text = Text::new(text, language);
    let found = all(&text, language.decimal(locale));
    let spots: Vec<Spot> = found.iter().map(|(start, number)| Spot { start: *start, end: number.end }).collect();
    let Some((_, first)) = found.first() else { return Err(NotRecognized::because(NONE)) };
    if found.iter().any(|(_, other)| other.value != first.value) {
        let values: Vec<Value> = found.iter().map(|(_, number)| value(number.value)).collect();
        let is_choice = values.len() == 2 && remains::offers(&text, &spots);
        let readings = if is_choice { values } else { Vec::new() };
        return Err(NotRecognized { why: "there is more than one number", readings });
    }
    let counts = |mean| match mean {
        Mean::Unit(unit) => unit != Unit::Second,
        // «il y a 12 mots»
        mean => mean == Mean::Since,
    };
    // «tres veintiunavos»
    let is_share = found.iter().any(|(_, number)| {
        let after = text.word(number.end);
        let is_known = !text.senses(number.end).is_empty();
        !is_known
            && super::language::phrases(language.share_endings)
                .any(|ending| after.len() >= ending.len() && after.ends_with(ending))
    });
    match is_share || remains::unread(&text, &spots, &counts) {
        true => Err(NotRecognized::because("something beside the number was not understood")),
        false => Ok(first.value),
    }
}

/// All numbers of a text with their places. Articles count where there is nothing else.
pub(super) fn all(text: &Text<'_>, decimal: char) -> Vec<(usize, Number)> {
    let mut found: Vec<(usize, Number)> = Vec::new();
    let mut start = 0;
    while start < text.len() {
        match at(text, start, decimal) {
            Some(number) => {
                found.push((start, number));
                start = number.end;
            }
            // A longer phrase that holds a number word is no number: «a few».
            None => start += phrase(text, start),
        }
    }
    shares(text, &mut found);
    if found.iter().any(|(_, number)| !number.is_article) {
        found.retain(|(_, number)| !number.is_article);
    }
    found
}

/// Makes one number of two that are a fraction: «one over three», «un octavo», «a fifth».
fn shares(text: &Text<'_>, found: &mut Vec<(usize, Number)>) {
    let mut at = 0;
    while let Some((start, number)) = found.get(at).copied() {
        let next = found.get(at + 1).copied();
        let is_counted = |end: usize| text.read(end, |mean| matches!(mean, Mean::Unit(_)).then_some(())).is_some();
        let is_over = |(start, under): &(usize, Number)| {
            text.is(number.end, Mean::Over) == Some(*start) && under.value > number.value && !is_counted(under.end)
        };
        let is_part = |(start, under): &(usize, Number)| *start == number.end && under.is_ordinal && under.value > 2.0;
        if let Some((_, under)) =
            next.filter(|next| is_over(next) || is_part(next) && number.value < 20.0 && !number.is_ordinal)
        {
            let value = number.value / under.value;
            let share = Number { value, end: under.end, is_ordinal: false, is_article: false, ..number };
            found.splice(at..at + 2, [(start, share)]);
            at = joined(text, found, at);
        } else if number.is_ordinal
            && !number.is_digits
            && start > 0
            && number.value > 2.0
            && text.is(start - 1, Mean::Article) == Some(start)
        {
            let share = Number { value: 1.0 / number.value, is_ordinal: false, ..number };
            found.splice(at..=at, [(start - 1, share)]);
            at = joined(text, found, at);
        }
        at += 1;
    }
}

/// Adds a share to the whole number before it, as in «un et un quatrième». Returns the place of the number.
fn joined(text: &Text<'_>, found: &mut Vec<(usize, Number)>, at: usize) -> usize {
    let whole = at.checked_sub(1).and_then(|before| Some((*found.get(before)?, *found.get(at)?)));
    let Some(((from, whole), (start, share))) = whole else { return at };
    let is_whole = !whole.is_ordinal && whole.value.fract() == 0.0;
    if !is_whole || share.value >= 1.0 || text.is(whole.end, Mean::And) != Some(start) {
        return at;
    }
    let sum = Number { value: whole.value + share.value, end: share.end, is_article: false, ..whole };
    found.splice(at - 1..=at, [(from, sum)]);
    at - 1
}

fn phrase(text: &Text<'_>, at: usize) -> usize {
    text.senses(at).first().map_or(1, |sense| sense.len)
}

/// Reads the number that begins at a token.
pub(super) fn at(text: &Text<'_>, start: usize, decimal: char) -> Option<Number> {
    let from = sign(text, start);
    let mut number = slashed(text, from.unwrap_or(start))
        .or_else(|| part(text, from.unwrap_or(start)))
        .or_else(|| amount(text, from.unwrap_or(start), decimal))?;
    if from.is_some() {
        number.value = -number.value;
        number.is_article = false;
    }
    Some(number).filter(|number| number.value.is_finite())
}

/// The token after a sign.
fn sign(text: &Text<'_>, at: usize) -> Option<usize> {
    if let Some(end) = text.is(at, Mean::Minus) {
        return Some(end);
    }
    let is_apart = at == 0 || !text.is_glued(at) || text.mark(at - 1).is_some();
    let is_sign = matches!(text.mark(at), Some('-' | '−' | '–')) && is_apart;
    (is_sign && (at == 0 || text.is_glued(at + 1))).then_some(at + 1)
}

/// «half», «half a million», «a quarter», «anderthalb».
fn part(text: &Text<'_>, at: usize) -> Option<Number> {
    let number = |value, end| Number { value, end, is_digits: false, is_ordinal: false, is_article: false };
    let glyph = text.mark(at).and_then(glyph).map(|share| (share, at + 1));
    let share = glyph.or_else(|| {
        let from = text.is(at, Mean::Article).unwrap_or(at);
        text.read(from, share).or_else(|| text.read(from, |mean| (mean == Mean::OneAndHalf).then_some(1.5)))
    });
    let (share, end) = share?;
    let mut next = text.skip(end, &[Mean::Of, Mean::Article]);
    if text.is_glued(next) && next == end && glyph.is_none() && !text.language.compounds {
        next = end;
    }
    match text.read(next, scale) {
        Some((scale, end)) => Some(number(share * scale, end)),
        None => Some(number(share, end)),
    }
}

fn share(mean: Mean) -> Option<f64> {
    match mean {
        Mean::Share(parts) => Some(1.0 / f64::from(parts)),
        _ => None,
    }
}

fn scale(mean: Mean) -> Option<f64> {
    match mean {
        Mean::Scale(scale) => Some(scale),
        _ => None,
    }
}

/// A whole number of few digits or of words, without fractions: hours, days, minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) value: i16,
    pub(super) end: usize,
    /// So many digits; none where it is said in words.
    pub(super) digits: usize,
    pub(super) is_ordinal: bool,
}

/// Reads a whole number up to 9,999.
pub(super) fn whole(text: &Text<'_>, at: usize) -> Option<Whole> {
    if let Some(value) = text.digits(at, 1..=4) {
        let mut sum = Sum { group: Some(f64::from(value)), is_digits: true, ..Sum::new() };
        let end = sum.ordinal_sign(text, at + 1).unwrap_or(at + 1);
        let value = i16::try_from(value).ok()?;
        return Some(Whole { value, end, digits: text.word(at).len(), is_ordinal: sum.is_ordinal });
    }
    let mut sum = Sum::new();
    let mut end = at;
    while let Some(next) = sum.step_in_words(text, end) {
        end = next;
        if sum.is_ordinal && !sum.goes_on(text, end) {
            break;
        }
    }
    let value = sum.total + sum.group.unwrap_or(0.0);
    let is_small = end > at && (0.0..10_000.0).contains(&value) && value.fract() == 0.0;
    is_small.then_some(Whole { value: value as i16, end, digits: 0, is_ordinal: sum.is_ordinal })
}

/// A number as it is read word by word.
struct Sum {
    total: f64,
    /// What was multiplied, with its scale: the parts of the total.
    terms: Vec<(f64, f64)>,
    /// What the next scale multiplies.
    group: Option<f64>,
    /// Only what is less may follow: a unit after tens, tens after hundreds.
    room: f64,
    /// The scale that was read last.
    scale: f64,
    is_digits: bool,
    is_ordinal: bool,
}

fn amount(text: &Text<'_>, start: usize, decimal: char) -> Option<Number> {
    let mut sum = Sum::new();
    let is_article = text.is(start, Mean::Article).is_some();
    let mut end = start;
    while let Some(next) = sum.step(text, end, decimal) {
        end = next;
        if sum.is_ordinal && !sum.goes_on(text, end) {
            break;
        }
    }
    if end == start {
        // «a hundred»
        let from = text.is(start, Mean::Article)?;
        text.read(from, scale)?;
        return amount(text, from, decimal);
    }
    let value = sum.total + sum.group.unwrap_or(0.0);
    let is_article = is_article && end == start + 1 && value == 1.0 && !sum.is_digits;
    let number = Number { value, end, is_digits: sum.is_digits, is_ordinal: sum.is_ordinal, is_article };
    Some(if number.is_ordinal { number } else { with_part(text, with_point(text, number)) })
}

impl Sum {
    fn new() -> Self {
        Self {
            total: 0.0,
            terms: Vec::new(),
            group: None,
            room: f64::INFINITY,
            scale: f64::INFINITY,
            is_digits: false,
            is_ordinal: false,
        }
    }

    /// Whether a second ordinal belongs to the first: «vigésimo quinto».
    fn goes_on(&self, text: &Text<'_>, at: usize) -> bool {
        self.room >= 10.0 && text.read(at, ordinal).is_some_and(|(place, _)| place < self.room)
    }

    /// Reads on from a token. None: the number ends before it.
    fn step(&mut self, text: &Text<'_>, at: usize, decimal: char) -> Option<usize> {
        if text.is_digits(at) || text.mark(at).is_some_and(|mark| matches!(mark, '.' | ',')) {
            let (value, end) = literal(text, at, decimal).filter(|(value, _)| *value < self.room)?;
            (self.group, self.room, self.is_digits) = (Some(value), 0.0, true);
            return self.ordinal_sign(text, end).or(Some(end));
        }
        self.step_in_words(text, at)
    }

    fn step_in_words(&mut self, text: &Text<'_>, at: usize) -> Option<usize> {
        if let Some((scale, end)) = self.scale_at(text, at) {
            self.multiply(scale);
            return Some(end);
        }
        if let Some((number, end)) = self.word(text, at) {
            self.add(number, text.language);
            return Some(end);
        }
        if let Some((place, end)) = text.read(at, ordinal).filter(|(place, _)| *place < self.room && self.takes_place())
        {
            self.add(place, text.language);
            self.is_ordinal = true;
            return Some(end);
        }
        self.after_and(text, at)
    }

    /// «hundred and five», «treinta y cinco».
    fn after_and(&mut self, text: &Text<'_>, at: usize) -> Option<usize> {
        let joins = self.room.is_finite() && (self.room >= 100.0 || self.room >= 10.0 && text.language.tens_and);
        let next = text.is(at, Mean::And).filter(|_| joins && !(self.is_digits && self.room < 100.0))?;
        if let Some(digits) = text.digits(next, 1..=2).map(f64::from).filter(|digits| *digits < self.room) {
            let is_literal = !matches!(text.mark(next + 1), Some('/' | ':' | '.' | ','));
            let is_share = text.read(next + 1, share).is_some();
            if !is_literal || is_share {
                return None;
            }
            self.add(digits, text.language);
            self.room = 0.0;
            return Some(next + 1);
        }
        if let Some((number, end)) = self.word(text, next).filter(|(number, _)| *number > 0.0) {
            // «six million and two thirds»
            if text.read(end, share).is_some()
                || text.is(next, Mean::Article).is_some() && text.read(end, share).is_some()
            {
                return None;
            }
            self.add(number, text.language);
            return Some(end);
        }
        let (place, end) = text.read(next, ordinal).filter(|(place, _)| *place < self.room)?;
        self.add(place, text.language);
        self.is_ordinal = true;
        Some(end)
    }

    fn takes_place(&self) -> bool {
        self.group.is_none_or(|group| group != 0.0) && !self.is_digits
    }

    /// A number word that may stand here; in German the unit comes before the tens.
    fn word(&self, text: &Text<'_>, at: usize) -> Option<(f64, usize)> {
        let (number, end) = text.read(at, word)?;
        if number < 10.0
            && let Some(and) = text.is(end, Mean::And)
            && text.language.compounds
            && let Some((tens, end)) = text.read(and, word).filter(|(tens, _)| *tens >= 20.0 && tens % 10.0 == 0.0)
        {
            return (tens + number < self.room).then_some((tens + number, end));
        }
        (number < self.room).then_some((number, end))
    }

    fn add(&mut self, number: f64, language: &Language) {
        self.group = Some(self.group.unwrap_or(0.0) + number);
        self.room = match number {
            n if n >= 100.0 && n % 100.0 == 0.0 => 100.0,
            60.0 | 80.0 if language.scores => 20.0,
            n if (20.0..100.0).contains(&n) && n % 10.0 == 0.0 => 10.0,
            _ => 0.0,
        };
    }

    fn scale_at(&self, text: &Text<'_>, at: usize) -> Option<(f64, usize)> {
        let glued = |mean| match mean {
            Mean::Glued(scale) => Some(scale),
            _ => None,
        };
        let behind_digits = || text.read(at, glued).filter(|_| text.is_glued(at) && at > 0 && text.is_digits(at - 1));
        text.read(at, scale).or_else(behind_digits).filter(|(scale, _)| self.takes_scale(*scale))
    }

    fn takes_scale(&self, scale: f64) -> bool {
        if scale < 100.0 {
            return self.total == 0.0
                && self.group.is_none_or(|group| group > 0.0 && (group < 100.0 || self.is_digits));
        }
        // «nineteen hundred» and «mil millones», not «five hundred hundred».
        let group = self.group.unwrap_or(1.0);
        group != 0.0
            && (self.is_digits || scale > 100.0 || group < 100.0)
            && (self.group.is_some() || self.total == 0.0 || scale > self.scale || scale < self.room)
    }

    fn multiply(&mut self, scale: f64) {
        if scale < 1e3 {
            let group = self.group.unwrap_or(1.0) * scale;
            (self.group, self.room) = (Some(group), if scale < 100.0 { 0.0 } else { 100.0 });
            return;
        }
        // «mil millones»: a greater scale multiplies all that is less than it.
        let mut group = self.group.take();
        while let Some((value, _)) = self.terms.pop_if(|(_, other)| *other < scale) {
            group = Some(group.unwrap_or(0.0) + value);
        }
        self.terms.push((group.unwrap_or(1.0) * scale, scale));
        self.total = self.terms.iter().map(|(value, _)| value).sum();
        (self.scale, self.room) = (scale, scale.min(1e6));
    }

    /// `2nd`, `3º`; in German `2.`, which is a place only beside other words.
    fn ordinal_sign(&mut self, text: &Text<'_>, at: usize) -> Option<usize> {
        let is_whole = self.group.is_some_and(|group| group.fract() == 0.0) && self.total == 0.0;
        let known = |word: &str| super::language::phrases(text.language.ordinal_endings).any(|ending| ending == word);
        let is_ending = text.is_glued(at) && (matches!(text.mark(at), Some('º' | 'ª' | '°')) || known(text.word(at)));
        if !is_whole || !is_ending {
            return None;
        }
        self.is_ordinal = true;
        Some(at + 1)
    }
}

fn word(mean: Mean) -> Option<f64> {
    match mean {
        Mean::Num(number) => Some(f64::from(number)),
        _ => None,
    }
}

fn ordinal(mean: Mean) -> Option<f64> {
    match mean {
        Mean::Ordinal(place) => Some(f64::from(place)),
        _ => None,
    }
}

/// «three point five», «drei Komma zwei fünf».
fn with_point(text: &Text<'_>, number: Number) -> Number {
    let Some(mut end) = text.is(number.end, Mean::Point) else { return number };
    let mut digits = String::new();
    while digits.len() < 15 {
        if let Some((said, next)) = text.read(end, word) {
            let unit = text
                .read(next, word)
                .filter(|(unit, _)| (1.0..10.0).contains(unit) && said >= 20.0 && said % 10.0 == 0.0);
            let (said, next) = unit.map_or((said, next), |(unit, next)| (said + unit, next));
            digits.push_str(&said.to_string());
            end = next;
        } else if text.is_digits(end) && digits.is_empty() {
            digits.push_str(text.word(end));
            end += 1;
            break;
        } else {
            break;
        }
    }
    let Ok(fraction) = format!("0.{digits}").parse::<f64>() else { return number };
    if digits.is_empty() {
        return number;
    }
    let value = number.value + fraction;
    match text.read(end, scale) {
        Some((scale, end)) => Number { value: value * scale, end, ..number },
        None => Number { value, end, ..number },
    }
}

/// «two and a half», «three quarters», «zweieinhalb Millionen», `2½`.
fn with_part(text: &Text<'_>, number: Number) -> Number {
    let with = |value: f64, end: usize| match text.read(end, scale) {
        Some((scale, end)) => Number { value: value * scale, end, is_article: false, ..number },
        None => Number { value, end, is_article: false, ..number },
    };
    if let Some(share) = text.mark(number.end).and_then(glyph) {
        return with(number.value + share, number.end + 1);
    }
    if text.is(number.end, Mean::HalfMore).is_some() {
        return with(number.value + 0.5, number.end + 1);
    }
    // «one hundred thirty fifths» may be two fractions.
    if let Some((part, end)) = text.read(number.end, share).filter(|_| number.value <= 20.0) {
        return with(number.value * part, end);
    }
    let Some(and) = text.is(number.end, Mean::And).or_else(|| text.is(number.end, Mean::More)) else { return number };
    let counted = text.read(and, word);
    let count = counted.or_else(|| text.digits(and, 1..=2).map(|count| (f64::from(count), and + 1)));
    let article = text.is(and, Mean::Article);
    let part = count.and_then(|(count, at)| text.read(at, share).map(|(part, end)| (count * part, end)));
    let part = part.or_else(|| text.read(article.unwrap_or(and), share));
    let Some((part, end)) = part.filter(|(part, _)| *part < 1.0) else { return number };
    // «ciento treinta y dos quintos» may be a part of 132.
    if counted.is_some() && text.language.tens_and && number.value >= 20.0 && number.value % 10.0 == 0.0 {
        return number;
    }
    // Half more than millions is half a million more.
    let ends_in_scale = number.end > 0 && text.read(number.end - 1, scale).is_some();
    let is_of_scale = |unit: &f64| number.value != 0.0 && number.value % unit == 0.0 && ends_in_scale;
    let unit = [1e18, 1e12, 1e9, 1e6].into_iter().find(is_of_scale).unwrap_or(1.0);
    // «one billion and a half million» is a sum.
    if number.value >= 1e3 && text.read(end, scale).is_some() {
        return number;
    }
    with(number.value + part * unit, end)
}

/// A whole number is one in JSON too.
pub(super) fn value(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 {
        return Value::from(number as i64);
    }
    Value::from(number)
}
