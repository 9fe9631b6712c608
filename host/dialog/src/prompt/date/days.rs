//! Dates, written or said.

use jiff::civil::Date;
use jiff::{Span, ToSpan, Unit};
use regex::Captures;

use super::Found;
use super::text::{Text, part};
use crate::prompt::language::{Words, fold, phrases};

/// «in 20 minutes»: a moment, with date and time.
pub(super) fn moment(text: &mut Text) -> Option<Found> {
    let grammar = text.grammar;
    grammar.counted.iter().find_map(|pattern| {
        text.take(pattern, |found, text| {
            let unit = [("minute", 1.0), ("hour", 60.0)].into_iter().find(|(unit, _)| found.name(unit).is_some());
            let more: i64 = part(found, "more").unwrap_or(0);
            let minutes = (count(found) * unit?.1).round() as i64 + more;
            let moment = text.now.checked_add(signed(found, minutes).minutes()).ok()?;
            moment.round(Unit::Minute).ok().map(Found::at)
        })
    })
}

/// The date that a text says.
pub(super) fn find(text: &mut Text) -> Option<Date> {
    iso(text)
        .or_else(|| month_by_name(text))
        .or_else(|| numeric(text))
        .or_else(|| counted_from_today(text))
        .or_else(|| weekday(text))
        .or_else(|| day_of_month(text))
}

/// Whether a day is written that does not exist, or that is not understood: the 31st of November is not the 31st of another
/// month.
pub(super) fn is_impossible(text: &Text) -> bool {
    let grammar = text.grammar;
    let of_month = |found: &Captures<'_>| {
        let month = found.name("month").and_then(|month| entry(&grammar.language.months, month.as_str()));
        let month = month.and_then(|month| i8::try_from(month + 1).ok());
        month
            .zip(part(found, "d"))
            .is_none_or(|(month, day)| dated(part(found, "y"), month, day, text.today()).is_none())
    };
    let in_numbers = |found: &Captures<'_>| {
        let (one, other): (Option<i8>, Option<i8>) = (part(found, "one"), part(found, "other"));
        let (Some(one), Some(other)) = (one, other) else { return false };
        let is_date = found.name("y").is_some() || found.name("end").is_some() && one.min(other) <= 12;
        // In February 2028 there is a 29th.
        let exists = |month, day| Date::new(2028, month, day).is_ok();
        is_date && found.name("space").is_none() && !exists(one, other) && !exists(other, one)
    };
    // «the first Monday in May»
    grammar.month_without_day.is_match(&text.text)
        || grammar.months.iter().any(|pattern| pattern.captures_iter(&text.text).any(|found| of_month(&found)))
        || grammar.numeric.captures_iter(&text.text).any(|found| in_numbers(&found))
}

fn iso(text: &mut Text) -> Option<Date> {
    let grammar = text.grammar;
    text.take(&grammar.iso, |found, _| Date::new(part(found, "y")?, part(found, "mo")?, part(found, "d")?).ok())
}

/// «24 December», «December 24th, 2026», «24. Dezember», «24 de diciembre de 2026», «1er mai».
fn month_by_name(text: &mut Text) -> Option<Date> {
    let grammar = text.grammar;
    grammar.months.iter().find_map(|pattern| {
        text.take(pattern, |found, text| {
            let month = entry(&grammar.language.months, found.name("month")?.as_str())?;
            dated(part(found, "y"), i8::try_from(month + 1).ok()?, part(found, "d")?, text.today())
        })
    })
}

/// `12/24`, `24.12.`, `24.12.2026`, `24-12-26`.
fn numeric(text: &mut Text) -> Option<Date> {
    let grammar = text.grammar;
    let times: Vec<_> = grammar.dotted.find_iter(&text.text).map(|time| time.range()).collect();
    text.take(&grammar.numeric, |found, text| {
        if times.iter().any(|time| time.contains(&found.get(0).map_or(0, |date| date.start()))) {
            return None;
        }
        let (one, other): (i8, i8) = (part(found, "one")?, part(found, "other")?);
        let (mark, end) = (found.name("mark")?.as_str(), found.name("end").map(|end| end.as_str()));
        let year = part::<i16>(found, "y").map(|year| if year < 100 { 2000 + year } else { year });
        let two_digits = found.name("other").is_some_and(|other| other.len() == 2);
        // `8.30` is a time where dates have slashes, or where there is no such month, and `2-3` a range.
        let is_no_date = text.decimal == '.' || other > 12;
        let is_time = mark == "." && end.is_none() && is_no_date && one < 24 && two_digits && other < 60;
        let is_range = mark == "-" && year.is_none() || found.name("space").is_some() && end.is_none();
        let is_mixed = year.is_some() && end != Some(mark);
        if is_time || is_range || is_mixed || text.goes_on(found.get(0)?.end()) {
            return None;
        }
        let (month, day) = match () {
            () if text.month_first && one <= 12 => (one, other),
            () if !text.month_first && other <= 12 => (other, one),
            () => (one.min(other), one.max(other)),
        };
        dated(year, month, day, text.today())
    })
}

/// «in 3 days», «a week from tomorrow», «next month on the 3rd», «friday next week», «tomorrow».
fn counted_from_today(text: &mut Text) -> Option<Date> {
    let grammar = text.grammar;
    if let Some((span, place)) = counted(text) {
        // «Tuesday in a week» and «a week from Tuesday» are a week after Tuesday, «in a week, on Tuesday» that of the week.
        let before = text.text.get(..place.start).unwrap_or_default().trim_end().len();
        let after = place.end + text.text.get(place.end..).map_or(0, |rest| rest.len() - rest.trim_start().len());
        let mut days = grammar.weekday.find_iter(&text.text);
        if span.get_weeks() > 0 && days.any(|day| day.end() == before || place.is_from && day.start() == after) {
            return weekday(text)?.checked_add(span).ok();
        }
        let from = day_by_name(text).unwrap_or(text.today());
        let date = from.checked_add(span).ok()?;
        return Some(day_of_its_week(text, span, date).unwrap_or(date));
    }
    let weeks = text.take(&grammar.week_after_next, |_, _| Some(2.weeks()));
    let Some(span) = weeks.or_else(|| following(text)) else { return day_by_name(text) };
    let date = text.today().checked_add(span).ok()?;
    if span.get_months() != 0 {
        let of_month = |found: &Captures<'_>, _: &Text| Date::new(date.year(), date.month(), part(found, "d")?).ok();
        return grammar.day_of_month.iter().find_map(|pattern| text.take(pattern, of_month)).or(Some(date));
    }
    let day = day_of_its_week(text, span, date).or_else(|| day_by_name(text));
    day.or((!span.is_zero()).then_some(date))
}

/// «tomorrow» and its like.
fn day_by_name(text: &mut Text) -> Option<Date> {
    let grammar = text.grammar;
    grammar
        .days
        .iter()
        .find_map(|(pattern, offset)| text.take(pattern, |_, text| text.today().checked_add(offset.days()).ok()))
}

/// With a weekday, weeks from now are that day of the week: «friday next week».
fn day_of_its_week(text: &mut Text, span: Span, date: Date) -> Option<Date> {
    let grammar = text.grammar;
    let in_week = |found: &Captures<'_>, _: &Text| day_in_week(date, found, &grammar.language.weekdays);
    let is_week = span.get_weeks() != 0 || span.is_zero();
    if is_week { text.take(&grammar.weekday, in_week) } else { None }
}

/// Where a time from now stands, and whether it ends with «from», so that what follows may be when it begins.
struct Place {
    start: usize,
    end: usize,
    is_from: bool,
}

/// A time from now in days or more.
fn counted(text: &mut Text) -> Option<(Span, Place)> {
    let grammar = text.grammar;
    grammar.counted.iter().find_map(|pattern| {
        text.take(pattern, |found, _| {
            let count = Some(count(found)).filter(|count| count.fract() == 0.0)?;
            let (all, is_from) = (found.get(0)?, found.name("ahead"));
            let is_from = is_from.is_some_and(|from| from.end() == all.end());
            Some((span(found, signed(found, count as i64))?, Place { start: all.start(), end: all.end(), is_from }))
        })
    })
}

fn following(text: &mut Text) -> Option<Span> {
    let grammar = text.grammar;
    grammar.following.iter().find_map(|pattern| {
        text.take(pattern, |found, _| match () {
            () if found.name("next").is_some() => span(found, 1),
            () if found.name("past").is_some() => span(found, -1),
            // «this week» needs a weekday to be a date; «this month» is none.
            () => found.name("week").map(|_| Span::new()),
        })
    })
}

fn span(found: &Captures<'_>, count: i64) -> Option<Span> {
    let has = |unit: &str| found.name(unit).is_some();
    match () {
        () if has("day") => Some(count.days()),
        () if has("week") => Some(count.weeks()),
        () if has("month") => Some(count.months()),
        () if has("year") => Some(count.years()),
        () => None,
    }
}

fn signed(found: &Captures<'_>, count: i64) -> i64 {
    if found.name("back").is_some() { -count } else { count }
}

/// How many; an article is one, and half of one may come with it.
fn count(found: &Captures<'_>) -> f64 {
    let count = found.name("n").and_then(|count| count.as_str().replace(',', ".").parse().ok()).unwrap_or(1.0);
    let has_half = ["half", "half_after"].into_iter().any(|half| found.name(half).is_some());
    if has_half { count + 0.5 } else { count }
}

/// The next such day after today; with «next» the one in next week, with «this» today's too, with «last» the one before.
fn weekday(text: &mut Text) -> Option<Date> {
    let grammar = text.grammar;
    text.take(&grammar.weekday, |found, text| {
        let wanted = i64::try_from(entry(&grammar.language.weekdays, found.name("weekday")?.as_str())?).ok()?;
        let from = i64::from(text.today().weekday().to_monday_zero_offset());
        let has = |turn: &str| found.name(turn).is_some() || found.name(&format!("{turn}_after")).is_some();
        let ahead = match () {
            () if has("next") => 7 - from + wanted,
            () if has("past") => -((from - wanted - 1).rem_euclid(7) + 1),
            () if has("this") => (wanted - from).rem_euclid(7),
            () => (wanted - from - 1).rem_euclid(7) + 1,
        };
        text.today().checked_add(ahead.days()).ok()
    })
}

fn day_in_week(date: Date, found: &Captures<'_>, weekdays: &[Words; 7]) -> Option<Date> {
    let wanted = i64::try_from(entry(weekdays, found.name("weekday")?.as_str())?).ok()?;
    let from = i64::from(date.weekday().to_monday_zero_offset());
    date.checked_add((wanted - from).days()).ok()
}

/// «the 24th»: the next day of that number.
fn day_of_month(text: &mut Text) -> Option<Date> {
    let grammar = text.grammar;
    grammar.day_of_month.iter().find_map(|pattern| {
        text.take(pattern, |found, text| {
            let day: i8 = part(found, "d")?;
            let first = text.today().first_of_month();
            let date = |months: i64| {
                let month = first.checked_add(months.months()).ok()?;
                Date::new(month.year(), month.month(), day).ok().filter(|date| *date >= text.today())
            };
            (0..12).find_map(date)
        })
    })
}

/// The place of the entry that holds a word.
fn entry(table: &[Words], said: &str) -> Option<usize> {
    table.iter().position(|words| phrases(words).any(|phrase| fold(phrase) == said))
}

/// A date; without a year the next such day from today on.
fn dated(year: Option<i16>, month: i8, day: i8, today: Date) -> Option<Date> {
    match year {
        Some(year) => Date::new(year, month, day).ok(),
        // The 29th of February may be years ahead.
        None => (0..=8).find_map(|ahead| {
            let year = today.year().checked_add(ahead)?;
            Date::new(year, month, day).ok().filter(|date| *date >= today)
        }),
    }
}
