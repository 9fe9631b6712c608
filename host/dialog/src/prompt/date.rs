//! Dates and times in answers: ISO 8601, the locale's way of writing them, and words.

mod clock;
mod days;
mod grammar;
mod text;

use jiff::Unit;
use jiff::civil::{Date, DateTime, Time};
use serde_json::{Value, json};

use self::text::Text;
use super::language::{Language, Part, phrases, words};

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

/// The first or last moment that is accepted. Each kind bounds what it can be compared with and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Date(Date),
    Time(Time),
    DateTime(DateTime),
    /// The day of the answer.
    Today,
    /// The moment of the answer.
    Now,
}

/// Returns the date and the time that a text says, as far as the prompt wants them.
///
/// `locale` tells `12/24` from `24/12`. Words count from `now`; a day without a year, and a weekday, is the next one. A day
/// that no calendar has, a day that is refused, and two days of which one is to be chosen, are none.
pub(super) fn find(text: &str, language: &Language, locale: &str, types: &[Type], now: DateTime) -> Option<Found> {
    let said = words(text);
    if phrases(language.now).any(|phrase| words(phrase) == said) {
        return now.round(Unit::Minute).ok().map(Found::at);
    }
    if language.refuses(&said) {
        return None;
    }
    let mut text = Text::new(text, language, locale, now);
    if let Some(moment) = days::moment(&mut text) {
        return Some(moment);
    }
    let part = clock::part_of_day(&mut text);
    if days::is_impossible(&text) {
        return None;
    }
    let date = days::find(&mut text);
    if date.is_some() && text.offers_another() && days::find(&mut text).is_some_and(|other| Some(other) != date) {
        return None;
    }
    let date = date.or_else(|| part.and_then(|part| part.is_today.then(|| now.date())));
    let part = part.map(|part| part.part);
    let time = clock::find(&text, part).or_else(|| (types == [Type::Time]).then(|| clock::bare(&text)).flatten());
    let date = match (date, time) {
        (Some(date), Some(time)) => Some(night_of(date, time, part, now)?),
        (date, _) => date,
    };
    (date.is_some() || time.is_some()).then_some(Found { date, time })
}

/// The small hours of a night belong to the next day: «tonight at 2», «tomorrow night at 12».
fn night_of(date: Date, time: Time, part: Option<Part>, now: DateTime) -> Option<Date> {
    let is_past_tonight = date == now.date() && date.to_datetime(time) < now && time.hour() < 5;
    let is_next_day = part == Some(Part::Night) && (time.hour() == 0 || is_past_tonight);
    if is_next_day { date.tomorrow().ok() } else { Some(date) }
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

impl Found {
    fn at(moment: DateTime) -> Self {
        Self { date: Some(moment.date()), time: Some(moment.time()) }
    }

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

    /// Whether it lies between the bounds, both included.
    pub(super) fn is_within(&self, earliest: Option<Bound>, latest: Option<Bound>, now: DateTime) -> bool {
        let order = |bound: Bound| match (bound.at(now), self.date, self.time) {
            (Bound::DateTime(bound), Some(date), Some(time)) => Some(date.to_datetime(time).cmp(&bound)),
            (Bound::DateTime(bound), Some(date), None) => Some(date.cmp(&bound.date())),
            (Bound::Date(bound), Some(date), _) => Some(date.cmp(&bound)),
            (Bound::Time(bound), _, Some(time)) => Some(time.cmp(&bound)),
            _ => None,
        };
        let is_early = earliest.and_then(order).is_some_and(std::cmp::Ordering::is_lt);
        let is_late = latest.and_then(order).is_some_and(std::cmp::Ordering::is_gt);
        !is_early && !is_late
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

impl Bound {
    /// Reads ISO 8601 without an offset, `today` or `now`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "today" => return Some(Self::Today),
            "now" => return Some(Self::Now),
            _ => {}
        }
        if text.contains(['T', 't', ' ']) {
            return text.parse().ok().map(Self::DateTime);
        }
        if text.contains(':') {
            return text.parse().ok().map(Self::Time);
        }
        text.parse().ok().map(Self::Date)
    }

    /// The bound that holds at a moment.
    fn at(self, now: DateTime) -> Self {
        match self {
            Self::Today => Self::Date(now.date()),
            Self::Now => Self::DateTime(now),
            fixed => fixed,
        }
    }

    /// Whether nothing lies between the two, whenever that is.
    pub(super) fn is_after(self, other: Self) -> bool {
        match (self, other) {
            (Self::Time(one), Self::Time(other)) => one > other,
            (Self::Date(one), Self::Date(other)) => one > other,
            (Self::DateTime(one), Self::DateTime(other)) => one > other,
            (Self::Date(one), Self::DateTime(other)) => one > other.date(),
            (Self::DateTime(one), Self::Date(other)) => one.date() > other,
            _ => false,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Date(date) => date.fmt(f),
            Self::Time(time) => time.fmt(f),
            Self::DateTime(moment) => moment.fmt(f),
            Self::Today => f.write_str("today"),
            Self::Now => f.write_str("now"),
        }
    }
}
