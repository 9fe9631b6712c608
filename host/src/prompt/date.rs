//! Dates and times in answers: ISO 8601, the locale's way of writing them, and words.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{LazyLock, Mutex, PoisonError};

use jiff::civil::{Date, DateTime, Time, date};
use jiff::{Span, ToSpan};
use regex::{Captures, Regex};
use serde_json::{Value, json};

use super::language::Language;

/// What an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Date,
    Time,
    DateTime,
}

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Found {
    date: Option<Date>,
    time: Option<Time>,
}

impl Type {
    pub(super) fn named(name: &str) -> Result<Self, String> {
        match name {
            "date" => Ok(Self::Date),
            "time" => Ok(Self::Time),
            "date-time" => Ok(Self::DateTime),
            other => Err(format!("`types` has `{other}`; the types are date, time, date-time")),
        }
    }
}

/// A time without a date, as a bound.
pub(super) fn on_day_zero(time: Time) -> DateTime {
    date(0, 1, 1).to_datetime(time)
}

/// Returns the date and the time that a text says. `locale` tells `12/24` from `24/12`.
pub(super) fn find(text: &str, language: &Language, locale: &str, now: DateTime) -> Option<Found> {
    let mut search = Search { text: language.with_digits(&text.to_lowercase()), language, now };
    if let Some(found) = search.moment_from_now() {
        return Some(found);
    }
    let month_first = matches!(locale, "" | "en" | "en-US" | "en-us") && language.decimal == '.';
    let date = search.iso().or_else(|| search.month_by_name()).or_else(|| search.numeric(month_first));
    // A written time comes before words: «tomorrow at 8» has both.
    let date = date.or_else(|| search.relative()).or_else(|| search.weekday());
    let time = search.clock();
    (date.is_some() || time.is_some()).then_some(Found { date, time })
}

impl Found {
    /// Keeps what the prompt wants, if it is there.
    pub(super) fn narrowed(self, types: &[Type]) -> Option<Self> {
        let wants = |kind| types.is_empty() || types.contains(&kind);
        let date_only = Self { time: None, ..self };
        let time_only = Self { date: None, ..self };
        match (self.date, self.time) {
            (Some(_), Some(_)) if wants(Type::DateTime) => Some(self),
            (Some(_), _) if wants(Type::Date) => Some(date_only),
            (_, Some(_)) if wants(Type::Time) => Some(time_only),
            _ => None,
        }
    }

    pub(super) fn within(&self, earliest: Option<DateTime>, latest: Option<DateTime>) -> Option<()> {
        let fits = |bound: DateTime, is_latest: bool| {
            let order = match (self.date, self.time) {
                // A bound without a time is a whole day.
                (Some(date), Some(time)) if bound.time() != Time::midnight() => date.to_datetime(time).cmp(&bound),
                (Some(date), _) => date.cmp(&bound.date()),
                (None, Some(time)) => time.cmp(&bound.time()),
                (None, None) => return false,
            };
            if is_latest { order.is_le() } else { order.is_ge() }
        };
        let early = earliest.is_none_or(|bound| fits(bound, false));
        (early && latest.is_none_or(|bound| fits(bound, true))).then_some(())
    }

    /// The result of the prompt.
    pub(super) fn value(&self) -> Value {
        match (self.date, self.time) {
            (Some(date), Some(time)) => json!({ "type": "date-time", "value": date.to_datetime(time).to_string() }),
            (Some(date), None) => json!({ "type": "date", "value": date.to_string() }),
            (None, Some(time)) => json!({ "type": "time", "value": time.to_string() }),
            (None, None) => Value::Null,
        }
    }
}

/// The words for a unit of time, and so many of it.
type Step = (&'static [&'static str], fn(i64) -> Span);

/// Looks for one thing after the other, and takes what it found out of the text, so that nothing is read twice.
struct Search<'l> {
    text: String,
    language: &'l Language,
    now: DateTime,
}

impl Search<'_> {
    /// «in 20 minutes»: a moment, with date and time.
    fn moment_from_now(&self) -> Option<Found> {
        let units = &self.language.units;
        let steps: [Step; 2] = [(units.minute, |count| count.minutes()), (units.hour, |count| count.hours())];
        for (words, span) in steps {
            let pattern = format!(r"\b(?:{})\s+([0-9]{{1,4}})\s+(?:{})\b", any(self.language.within), any(words));
            if let Some(count) = number(compiled(&pattern)?.captures(&self.text), 1) {
                let moment = self.now.checked_add(span(count)).ok()?;
                return Some(Found {
                    date: Some(moment.date()),
                    time: Some(moment.time().round(jiff::Unit::Minute).ok()?),
                });
            }
        }
        None
    }

    fn iso(&mut self) -> Option<Date> {
        self.take(r"\b([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:t|\b)", |found, _| {
            Date::new(part(found, 1)?, part(found, 2)?, part(found, 3)?).ok()
        })
    }

    /// «24 December», «December 24th, 2026», «24. Dezember», «24 de diciembre de 2026», «1er mai».
    fn month_by_name(&mut self) -> Option<Date> {
        for (index, names) in self.language.months.into_iter().enumerate() {
            let month = i8::try_from(index + 1).ok()?;
            let names = any(names);
            let day = r"([0-9]{1,2})(?:st|nd|rd|th|\.|er|º)?";
            let year = r"(?:,?\s+(?:de\s+|del\s+)?([0-9]{4}))?";
            let before = format!(r"\b{day}\s*(?:of\s+|de\s+)?(?:{names})\b\.?{year}");
            let after = format!(r"\b(?:{names})\b\.?\s+(?:the\s+)?{day}\b{year}");
            for pattern in [before, after] {
                let found = self.take(&pattern, |found, today| dated(part(found, 2), month, part(found, 1)?, today));
                if found.is_some() {
                    return found;
                }
            }
        }
        None
    }

    /// `12/24`, `24.12.`, `24.12.2026`, `24-12-26`.
    fn numeric(&mut self, month_first: bool) -> Option<Date> {
        let clock = any(self.language.clock);
        // `18.30 Uhr` is a time.
        if compiled(&format!(r"\b[0-9]{{1,2}}\.[0-9]{{2}}\s*(?:{clock})\b"))?.is_match(&self.text) {
            return None;
        }
        self.take(r"\b([0-9]{1,2})[./-]([0-9]{1,2})(?:[./-]([0-9]{4}|[0-9]{2})?)?(?:\b|\s|$)", |found, today| {
            let (one, other): (i8, i8) = (part(found, 1)?, part(found, 2)?);
            let (month, day) = match () {
                () if month_first && one <= 12 => (one, other),
                () if !month_first && other <= 12 => (other, one),
                () => (one.min(other), one.max(other)),
            };
            let year = part::<i16>(found, 3).map(|year| if year < 100 { 2000 + year } else { year });
            dated(year, month, day, today)
        })
    }

    /// «tomorrow», «in 3 days», «next week».
    fn relative(&mut self) -> Option<Date> {
        let days = &self.language.days;
        // The longest first: «day after tomorrow» holds «tomorrow».
        for (words, offset) in [(days.day_after, 2), (days.tomorrow, 1), (days.today, 0), (days.yesterday, -1)] {
            let pattern = format!(r"(?:^|[^\p{{L}}])(?:{})(?:[^\p{{L}}]|$)", any(words));
            let found = self.take(&pattern, |_, today| today.checked_add(i64::from(offset).days()).ok());
            if found.is_some() {
                return found;
            }
        }
        let units = &self.language.units;
        let steps: [Step; 4] = [
            (units.day, |count| count.days()),
            (units.week, |count| count.weeks()),
            (units.month, |count| count.months()),
            (units.year, |count| count.years()),
        ];
        let (within, next) = (any(self.language.within), any(self.language.next));
        for (words, span) in steps {
            let words = any(words);
            let counted = format!(r"\b(?:{within})\s+([0-9]{{1,4}})\s+(?:{words})\b");
            let found = self.take(&counted, |found, today| today.checked_add(span(part(found, 1)?)).ok());
            let following = format!(r"(?:\b(?:{next})\s+(?:{words})\b|\b(?:{words})\s+(?:{next})\b)");
            let found = found.or_else(|| self.take(&following, |_, today| today.checked_add(span(1)).ok()));
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// The next such day after today; with «next», the one in next week.
    fn weekday(&mut self) -> Option<Date> {
        let next = any(self.language.next);
        for (index, names) in self.language.weekdays.into_iter().enumerate() {
            let names = any(names);
            let pattern = format!(r"(?:\b({next})\s+)?\b(?:{names})\b(?:\s+({next})\b)?");
            let wanted = i64::try_from(index).ok()?;
            let found = self.take(&pattern, |found, today| {
                let is_next = found.get(1).or(found.get(2)).is_some();
                let from = i64::from(today.weekday().to_monday_zero_offset());
                let ahead = match is_next {
                    true => 7 - from + wanted,
                    false => (wanted - from - 1).rem_euclid(7) + 1,
                };
                today.checked_add(ahead.days()).ok()
            });
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// `18:30`, `6:30 pm`, `6pm`, `18h30`, `18.30 Uhr`, «at 8», «noon».
    fn clock(&mut self) -> Option<Time> {
        let language = self.language;
        for (words, time) in [(language.noon, Time::constant(12, 0, 0, 0)), (language.midnight, Time::midnight())] {
            if compiled(&format!(r"\b(?:{})\b", any(words)))?.is_match(&self.text) {
                return Some(time);
            }
        }
        let (am, pm) = (any(language.am), any(language.pm));
        let half = format!(r"(?:\s*(?:({am})|({pm}))(?:[^\p{{L}}]|$))");
        let (clock, at) = (any(language.clock), any(language.at));
        let patterns = [
            format!(r"\b([0-9]{{1,2}})(?::|\s?h\s?|\.)([0-9]{{2}})(?::([0-9]{{2}}))?(?:\s*(?:{clock}))?{half}?"),
            format!(r"\b([0-9]{{1,2}})()()(?:\s*(?:{clock}))?{half}"),
            format!(r"\b([0-9]{{1,2}})()()\s*(?:{clock})(?:[^\p{{L}}]|$)()()"),
            format!(r"(?:^|[^\p{{L}}])(?:{at})\s+([0-9]{{1,2}})\b()()()()"),
        ];
        patterns.iter().find_map(|pattern| {
            let found = compiled(pattern)?.captures(&self.text)?;
            let hour: i8 = part(&found, 1)?;
            let said = |group| found.get(group).is_some_and(|words| !words.as_str().is_empty());
            let hour = match () {
                () if said(5) && hour < 12 => hour + 12,
                () if said(4) && hour == 12 => 0,
                () => hour,
            };
            Time::new(hour, part(&found, 2).unwrap_or(0), part(&found, 3).unwrap_or(0), 0).ok()
        })
    }

    /// Reads the first match, and blanks it out if it means a date.
    fn take(&mut self, pattern: &str, read: impl Fn(&Captures<'_>, Date) -> Option<Date>) -> Option<Date> {
        let regex = compiled(pattern)?;
        let found = regex.captures(&self.text)?;
        let date = read(&found, self.now.date())?;
        let range: Range<usize> = found.get(0)?.range();
        let blank = " ".repeat(range.len());
        self.text.replace_range(range, &blank);
        Some(date)
    }
}

/// A date; without a year the next such day from today on.
fn dated(year: Option<i16>, month: i8, day: i8, today: Date) -> Option<Date> {
    match year {
        Some(year) => Date::new(year, month, day).ok(),
        None => {
            let this_year = Date::new(today.year(), month, day).ok().filter(|date| *date >= today);
            this_year.or_else(|| Date::new(today.year() + 1, month, day).ok())
        }
    }
}

fn part<T: std::str::FromStr>(found: &Captures<'_>, group: usize) -> Option<T> {
    found.get(group)?.as_str().parse().ok()
}

fn number(found: Option<Captures<'_>>, group: usize) -> Option<i64> {
    part(&found?, group)
}

/// Compiles a pattern once: there are a few dozen for each language, whatever is answered.
fn compiled(pattern: &str) -> Option<Regex> {
    static COMPILED: LazyLock<Mutex<HashMap<String, Regex>>> = LazyLock::new(Mutex::default);
    let mut known = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(regex) = known.get(pattern) {
        return Some(regex.clone());
    }
    let regex = Regex::new(pattern).ok()?;
    known.insert(pattern.to_owned(), regex.clone());
    Some(regex)
}

/// A pattern for any of the phrases, the longest first.
fn any(phrases: &[&str]) -> String {
    let mut phrases: Vec<String> = phrases.iter().map(|phrase| regex::escape(phrase)).collect();
    phrases.sort_by_key(|phrase| std::cmp::Reverse(phrase.len()));
    phrases.join("|")
}
