//! Days, written or said.

use jiff::ToSpan;
use jiff::civil::Date;

use super::Question;
use super::read::{Day, Says, Year};
use crate::prompt::lexicon::{Mean, Turn, Unit};
use crate::prompt::number::{Whole, whole};
use crate::prompt::text::Text;

/// `2026-12-24`, `2026/12/24`, `20261224`, `2020/Sep/23`, `2026 12 24`; a `T` before a time belongs to it.
pub(super) fn iso(text: &Text<'_>, at: usize, _: &Question<'_>) -> Option<(Says, usize)> {
    if follows_digits(text, at) {
        return None;
    }
    let (year, month, day, end) = if text.word(at).len() == 8 && text.is_digits(at) {
        let part = |range: std::ops::Range<usize>| text.word(at).get(range).and_then(|part| part.parse().ok());
        let (year, month, day): (u32, u32, u32) = (part(0..4)?, part(4..6)?, part(6..8)?);
        if !(1900..2200).contains(&year) {
            return None;
        }
        (year, month, day, at + 1)
    } else if let Some((year, month, day)) = spaced(text, at) {
        (year, month, day, at + 3)
    } else {
        let (year, sign) = (text.digits(at, 4..=4)?, text.mark(at + 1).filter(|sign| matches!(sign, '-' | '/' | '.'))?);
        let month =
            text.digits(at + 2, 1..=2).or_else(|| month(text, at + 2).map(|(month, _)| month.unsigned_abs().into()));
        let day = text.digits(at + 4, 1..=2).filter(|_| text.mark(at + 3) == Some(sign))?;
        (year, month?, day, at + 5)
    };
    let date = Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    let end = if text.word(end) == "t" && text.is_digits(end + 1) { end + 1 } else { end };
    Some((date.map_or(Says::Unfit, Says::Date), end))
}

/// `2026 12 24`: a year, and two digits each for month and day.
fn spaced(text: &Text<'_>, at: usize) -> Option<(u32, u32, u32)> {
    let year = text.digits(at, 4..=4).filter(|year| (1900..2200).contains(year))?;
    let (month, day) = (text.digits(at + 1, 2..=2)?, text.digits(at + 2, 2..=2)?);
    let goes_on = text.is_digits(at + 3) || matches!(text.mark(at + 3), Some(':' | '/' | '-')) && text.is_glued(at + 3);
    (!goes_on).then_some((year, month, day))
}

/// `12/24`, `24.12.`, `24.12.2026`, `24-12-26`, `24. 12. 2027`.
pub(super) fn numeric(text: &Text<'_>, at: usize, question: &Question<'_>) -> Option<(Says, usize)> {
    let (one, sign) = (text.digits(at, 1..=2)?, text.mark(at + 1).filter(|sign| matches!(sign, '.' | '/' | '-'))?);
    let other = text.digits(at + 2, 1..=2)?;
    if follows_digits(text, at) || !text.is_glued(at + 1) {
        return None;
    }
    let is_apart = !text.is_glued(at + 2);
    let is_comma =
        text.mark(at + 3) == Some(',') && text.word(at + 4).len() >= 2 && text.is_glued(at + 4) && sign == '/';
    let is_ended = (text.mark(at + 3) == Some(sign) || is_comma) && text.is_glued(at + 3);
    let year = year_digits(text, at + 4).filter(|_| is_ended && (text.is_glued(at + 4) || sign == '.'));
    // `5 Uhr` is no year: «24. 12. 18 Uhr».
    let year = year.filter(|_| text.is_glued(at + 4) || text.word(at + 4).len() == 4);
    let (one, other) = (i8::try_from(one).ok()?, i8::try_from(other).ok()?);
    // `8.30` is a time where dates have slashes, or where there is no such month, and `2-3` a range.
    let is_no_date = text.language.decimal("") == '.' || other > 12;
    let is_time = sign == '.' && !is_ended && is_no_date && one < 24 && text.word(at + 2).len() == 2 && other < 60;
    let is_day_said = is_on(text, at) && other > 12;
    if is_time && !is_day_said || sign == '-' && year.is_none() || is_apart && !is_ended {
        return None;
    }
    let end = match year {
        Some(_) => at + 5,
        // The point after the month is not the end of a sentence.
        None if is_ended && sign == '.' => at + 4,
        None => at + 3,
    };
    let goes_on = matches!(text.mark(end), Some('.' | '/' | '-' | ':'))
        && text.is_glued(end)
        && text.is_digits(end + 1)
        && text.is_glued(end + 1);
    let (month, day) = match question.month_first {
        true if one <= 12 => (one, other),
        false if other <= 12 => (other, one),
        _ => (one.min(other), one.max(other)),
    };
    if goes_on || text.is_glued(end) && text.is_digits(end) {
        return None;
    }
    Some((day_of(year, month, day), end))
}

/// `24-Dec-2026`, `24/dic`, `Oct-2`, `September-2020-23`.
pub(super) fn by_names(text: &Text<'_>, at: usize, _: &Question<'_>) -> Option<(Says, usize)> {
    let sign = |at: usize| text.mark(at).filter(|sign| matches!(sign, '/' | '-' | '.') && text.is_glued(at));
    if follows_digits(text, at) {
        return None;
    }
    if let Some((month, end)) = month(text, at) {
        let first = sign(end)?;
        if let Some(year) = text.digits(end + 1, 4..=4) {
            let day = text.digits(end + 3, 1..=2).filter(|_| sign(end + 2) == Some(first))?;
            return Some((
                day_of(Some(Year::Whole(i16::try_from(year).ok()?)), month, i8::try_from(day).ok()?),
                end + 4,
            ));
        }
        let day = text.digits(end + 1, 1..=2).filter(|_| first != '.')?;
        let year = year_digits(text, end + 3).filter(|_| sign(end + 2) == Some(first));
        let end = if year.is_some() { end + 4 } else { end + 2 };
        return Some((day_of(year, month, i8::try_from(day).ok()?), end));
    }
    let day = text.digits(at, 1..=2)?;
    let first = sign(at + 1)?;
    let (month, end) = month(text, at + 2).filter(|_| text.is_glued(at + 2))?;
    let year = year_digits(text, end + 1).filter(|_| sign(end) == Some(first) && text.is_glued(end + 1));
    let end = if year.is_some() { end + 2 } else { end };
    Some((day_of(year, month, i8::try_from(day).ok()?), end))
}

/// «24 December», «December 24th, 2026», «24. Dezember», «24 de diciembre de 2026», «1er mai», «the twenty-fourth of May».
pub(super) fn named(text: &Text<'_>, at: usize, _: &Question<'_>) -> Option<(Says, usize)> {
    if follows_digits(text, at) {
        return None;
    }
    let from = text.skip(at, &[Mean::The]);
    if let Some((month, end)) = month(text, from) {
        let end = after_point(text, end);
        let end = if text.mark(end) == Some(',') { end + 1 } else { end };
        let day = day_number(text, text.skip(end, &[Mean::The, Mean::Of]))?;
        if is_time_next(text, day.end) && !day.is_ordinal && day.digits > 0 {
            return None;
        }
        let (year, end) = year(text, day.end, true);
        return Some((day_of(year, month, i8::try_from(day.value).ok()?), end));
    }
    let from = text.is(from, Mean::Unit(Unit::Day)).unwrap_or(from);
    let day = day_number(text, from)?;
    let month_at = text.skip(after_unit(text, day.end), &[Mean::Of, Mean::The, Mean::On]);
    let (month, end) = month(text, month_at).or_else(|| numbered_month(text, &day, month_at))?;
    let (year, end) = year(text, after_point(text, end), false);
    Some((day_of(year, month, i8::try_from(day.value).ok()?), end))
}

/// «next 6th of April», which is the next one as it is without the word.
pub(super) fn next_day(text: &Text<'_>, at: usize, question: &Question<'_>) -> Option<(Says, usize)> {
    let from = text.skip(at, &[Mean::The]);
    let (turn, day_at) = text.read(from, turn_of)?;
    let read = numeric(text, day_at, question).or_else(|| by_names(text, day_at, question));
    match read.or_else(|| named(text, day_at, question))? {
        (says @ Says::Day(Day { year: None, .. }), end) if matches!(turn, Turn::Next | Turn::Coming) => {
            Some((says, end))
        }
        _ => None,
    }
}

/// «den siebten vierten», «el 17 del 11»: a month by its number.
fn numbered_month(text: &Text<'_>, day: &Whole, at: usize) -> Option<(i8, usize)> {
    let is_said = text.is(day.end, Mean::Of).is_some() || day.is_ordinal && text.language.compounds;
    let month = day_number(text, at).filter(|month| is_said && (1..=12).contains(&month.value))?;
    let is_same_kind = month.is_ordinal || text.is(day.end, Mean::Of).is_some() && month.digits > 0;
    let is_counted = text.read(month.end, unit).is_some() || is_time_next(text, month.end);
    (is_same_kind && !is_counted).then_some((i8::try_from(month.value).ok()?, month.end))
}

fn unit(mean: Mean) -> Option<Unit> {
    match mean {
        Mean::Unit(unit) => Some(unit),
        _ => None,
    }
}

/// «the 15th day of next month»
fn after_unit(text: &Text<'_>, at: usize) -> usize {
    text.is(at, Mean::Unit(Unit::Day)).filter(|end| text.is(*end, Mean::Of).is_some()).unwrap_or(at)
}

/// A number from 1 to 31 with the point that some languages write after it.
fn day_number(text: &Text<'_>, at: usize) -> Option<Whole> {
    // In Portuguese a weekday may be named like an ordinal: «sexta».
    let is_weekday = text.read(at, |mean| matches!(mean, Mean::Weekday(_)).then_some(())).is_some();
    let mut day =
        whole(text, at).filter(|_| !is_weekday).filter(|day| (1..=31).contains(&day.value) && day.digits <= 2)?;
    if day.digits > 0 && text.mark(day.end) == Some('.') && text.is_glued(day.end) && !text.is_digits(day.end + 1)
        || day.digits > 0 && text.mark(day.end) == Some('.') && text.is_glued(day.end) && !text.is_glued(day.end + 1)
    {
        day.end += 1;
        day.is_ordinal = text.language.compounds || day.is_ordinal;
    }
    let is_feminine = day.is_ordinal && day.digits > 0 && matches!(text.word(day.end - 1), "a" | "ª");
    (!is_feminine).then_some(day)
}

/// The year after a month or a day; four digits, two after a mark, or words.
fn year(text: &Text<'_>, at: usize, after_day: bool) -> (Option<Year>, usize) {
    let comma = if matches!(text.mark(at), Some(',' | '.' | '\'')) { at + 1 } else { at };
    let from = text.skip(comma, &[Mean::Of]);
    let is_marked = comma > at || from > comma;
    if let Some(year) = text.digits(from, 4..=4).filter(|year| (1000..3000).contains(year)) {
        let is_other =
            matches!(text.mark(from + 1), Some(':' | '/' | '-')) && text.is_glued(from + 1) && text.is_digits(from + 2);
        if !is_other {
            return (i16::try_from(year).ok().map(Year::Whole), from + 1);
        }
    }
    let short = from + usize::from(matches!(text.mark(from), Some('\'' | '’')));
    let is_free = !is_time_next(text, short + 1)
        && text
            .read(short + 1, |mean| {
                Some(mean).filter(|mean| {
                    matches!(
                        mean,
                        Mean::Month(_)
                            | Mean::Unit(_)
                            | Mean::PastHour
                            | Mean::ToHour
                            | Mean::More
                            | Mean::Less
                            | Mean::Or
                    )
                })
            })
            .is_none();
    let digits = text
        .digits(short, 2..=2)
        .filter(|_| is_free && (is_marked || short > from || !after_day) && !text.is_glued(short + 1));
    if let Some(year) = digits.and_then(|year| i16::try_from(year).ok()) {
        return (Some(Year::Short(year)), short + 1);
    }
    match year_in_words(text, from) {
        Some((year, end)) => (Some(Year::Whole(year)), end),
        None => (None, at),
    }
}

/// «two thousand sixteen», «nineteen ninety», «dos mil veinte».
fn year_in_words(text: &Text<'_>, at: usize) -> Option<(i16, usize)> {
    let first = whole(text, at).filter(|first| first.digits == 0 && !first.is_ordinal)?;
    if (1500..2200).contains(&first.value) {
        return Some((first.value, first.end));
    }
    let century = (15..=21).contains(&first.value);
    let rest = whole(text, first.end).filter(|rest| century && rest.digits == 0 && (10..100).contains(&rest.value))?;
    Some((first.value * 100 + rest.value, rest.end))
}

fn year_digits(text: &Text<'_>, at: usize) -> Option<Year> {
    let year = i16::try_from(text.digits(at, 2..=4)?).ok()?;
    match text.word(at).len() {
        2 => Some(Year::Short(year)),
        4 => Some(Year::Whole(year)),
        _ => None,
    }
}

/// A day that some year has; the 31st of November is none.
fn day_of(year: Option<Year>, month: i8, day: i8) -> Says {
    let known = match year {
        Some(Year::Whole(year)) => year,
        _ => 2028,
    };
    match Date::new(known, month, day) {
        Ok(_) => Says::Day(Day { year, month, day }),
        Err(_) => Says::Unfit,
    }
}

fn month(text: &Text<'_>, at: usize) -> Option<(i8, usize)> {
    text.read(at, |mean| match mean {
        Mean::Month(month) => Some(month),
        _ => None,
    })
}

/// The place after the point of an abbreviation: «dec.».
fn after_point(text: &Text<'_>, at: usize) -> usize {
    if text.mark(at) == Some('.') && text.is_glued(at) { at + 1 } else { at }
}

/// Whether the number before a token is an hour, by what follows it.
fn is_time_next(text: &Text<'_>, at: usize) -> bool {
    let is_clock = |mean: Mean| matches!(mean, Mean::Clock | Mean::Part(_)).then_some(());
    matches!(text.mark(at), Some(':')) && text.is_digits(at + 1) || text.read(at, is_clock).is_some()
}

/// Whether «on» or «the» stands before: `4.22` is a day then.
pub(super) fn is_on(text: &Text<'_>, at: usize) -> bool {
    at > 0
        && text
            .senses(at - 1)
            .iter()
            .any(|sense| matches!(sense.mean, Mean::On | Mean::The | Mean::In) && sense.len == 1)
}

/// Whether digits and a mark stand right before: `1.1.1.1` holds no date.
fn follows_digits(text: &Text<'_>, at: usize) -> bool {
    at > 1
        && text.is_glued(at)
        && text.mark(at - 1).is_some_and(|mark| matches!(mark, '.' | '/' | ':'))
        && text.is_digits(at - 2)
}

/// «Monday», «next Monday», «lundi prochain».
pub(super) fn weekday(text: &Text<'_>, at: usize, _: &Question<'_>) -> Option<(Says, usize)> {
    let mut at = text.skip(at, &[Mean::The]);
    let mut turn = None;
    while let Some((said, end)) = text.read(at, turn_of) {
        turn = Some(said);
        at = end;
    }
    let (day, end) = text.read(at, |mean| match mean {
        Mean::Weekday(day) => Some(day),
        _ => None,
    })?;
    // «the sun will set»
    let is_weak = text.senses(at).iter().any(|sense| sense.is_weak && matches!(sense.mean, Mean::Weekday(_)));
    let goes_on = text.word(end).starts_with(char::is_alphabetic) && text.senses(end).is_empty();
    if is_weak && goes_on && turn.is_none() && !(at > 0 && text.is(at - 1, Mean::On).is_some()) {
        return None;
    }
    let mut end = if text.mark(end) == Some('.') && text.is_glued(end) { end + 1 } else { end };
    // «friday next week» has its own piece for the week.
    while let Some((said, next)) = text.read(end, turn_of).filter(|(_, next)| text.read(*next, unit).is_none()) {
        // «este próximo viernes» is the coming one, as is «este viernes que viene».
        turn = Some(said);
        end = next;
    }
    Some((Says::Weekday { day, turn }, end))
}

pub(super) fn turn_of(mean: Mean) -> Option<Turn> {
    match mean {
        Mean::Turn(turn) => Some(turn),
        _ => None,
    }
}

/// «the first Friday of July», «the second Monday of next month».
pub(super) fn in_month(text: &Text<'_>, at: usize, question: &Question<'_>) -> Option<(Says, usize)> {
    let at = text.skip(at, &[Mean::The]);
    let place = whole(text, at).filter(|place| place.is_ordinal && (1..=5).contains(&place.value))?;
    let (day, end) = text.read(place.end, |mean| match mean {
        Mean::Weekday(day) => Some(day),
        _ => None,
    })?;
    let from = text.skip(end, &[Mean::Of, Mean::The, Mean::On, Mean::In]);
    let first = question.today().first_of_month();
    let (first, end, is_said) = match month(text, from).filter(|_| from > end) {
        Some((month, end)) => match year(text, end, false) {
            (Some(Year::Whole(year)), end) => (Date::new(year, month, 1).ok()?, end, true),
            _ => (Date::new(first.year(), month, 1).ok()?, end, false),
        },
        None => match relative(text, from, question)? {
            (Says::Month(months), end) => (first.checked_add(months.months()).ok()?, end, true),
            _ => return None,
        },
    };
    let in_month = |first: Date| {
        let ahead = (day - first.weekday().to_monday_zero_offset()).rem_euclid(7);
        let date = first.checked_add((i64::from(ahead) + 7 * i64::from(place.value - 1)).days()).ok()?;
        (date.month() == first.month()).then_some(date)
    };
    let date = in_month(first).filter(|date| is_said || *date >= question.today());
    let date = date.or_else(|| if is_said { None } else { in_month(first.checked_add(1.years()).ok()?) });
    Some((date.map_or(Says::Unfit, Says::Date), end))
}

/// «tomorrow»; «next week», «la semaine prochaine», «this month», of which another piece names the day.
pub(super) fn relative(text: &Text<'_>, at: usize, question: &Question<'_>) -> Option<(Says, usize)> {
    let day = |mean: Mean| match mean {
        Mean::Day(days) => Some(days),
        _ => None,
    };
    let date = |days: i64| question.today().checked_add(days.days()).ok();
    // «Dienstagmorgen» is a part of Tuesday.
    let is_part = at > 0
        && text.read(at - 1, |mean| matches!(mean, Mean::Weekday(_)).then_some(())).is_some()
        && text.read(at, |mean| matches!(mean, Mean::Part(_)).then_some(())).is_some();
    if let Some((days, end)) = text.read(at, day).filter(|_| !is_part) {
        return Some((Says::Date(date(days.into())?), end));
    }
    let at = text.skip(at, &[Mean::The]);
    let (turn, unit, end) = match text.read(at, turn_of) {
        Some((turn, end)) => text.read(end, unit).map(|(unit, end)| (turn, unit, end))?,
        None => {
            let (unit, end) = text.read(at, unit)?;
            text.read(end, turn_of).map(|(turn, end)| (turn, unit, end))?
        }
    };
    let count = match turn {
        Turn::Next | Turn::Coming => 1,
        Turn::This => 0,
        Turn::Last | Turn::Past => -1,
        Turn::AfterNext => 2,
    };
    match unit {
        Unit::Week => Some((Says::Week(count), end)),
        Unit::Month => Some((Says::Month(count), end)),
        Unit::Day => Some((Says::Date(date(count)?), end)),
        _ => Some((Says::Unfit, end)),
    }
}

/// «the 24th», «le 24», «am 24.», «el día 24», «24th».
pub(super) fn of_month(text: &Text<'_>, at: usize, question: &Question<'_>) -> Option<(Says, usize)> {
    let after_article = text.skip(at, &[Mean::The, Mean::On]);
    // «am 24. Dezember» has its own reader.
    let whole_day = numeric(text, after_article, question)
        .or_else(|| by_names(text, after_article, question))
        .or_else(|| named(text, after_article, question));
    if whole_day.is_some() {
        return None;
    }
    let from = text.is(after_article, Mean::Unit(Unit::Day)).unwrap_or(after_article);
    let day = day_number(text, from)?;
    let is_marked = from > at || day.is_ordinal && day.digits > 0;
    // «the nineteen seventies», «para dos noches»
    let is_cardinal = day.digits == 0 && !day.is_ordinal;
    let goes_on = text.word(day.end).starts_with(char::is_alphabetic) && text.senses(day.end).is_empty();
    let has_article =
        text.senses(from.saturating_sub(1)).iter().any(|sense| matches!(sense.mean, Mean::The | Mean::Unit(_)));
    let is_other = is_time_next(text, day.end)
        || is_cardinal && (goes_on || !has_article)
        || text.read(day.end, turn_of).is_some_and(|(_, end)| text.is(end, Mean::Unit(Unit::Month)).is_none())
        || text
            .read(day.end, |mean| {
                matches!(mean, Mean::Less | Mean::PastHour | Mean::ToHour | Mean::Share(_)).then_some(())
            })
            .is_some()
        || is_cardinal && day.value == 1 && text.is(from, Mean::Article).is_some()
        || matches!(text.mark(day.end), Some('/' | '.' | ':')) && text.is_digits(day.end + 1)
        || text.read(day.end, unit).is_some_and(|(unit, _)| unit != Unit::Day);
    let end = after_unit(text, day.end);
    (is_marked && !is_other).then_some((Says::Number(i8::try_from(day.value).ok()?), end))
}
