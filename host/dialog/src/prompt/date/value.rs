//! The value of a date prompt, and the bounds that it keeps to.

use jiff::civil::{Date, DateTime, Time};
use serde_json::{Value, json};

/// What an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::prompt) enum Type {
    Date,
    Time,
    DateTime,
}

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::prompt) struct Found {
    pub(super) date: Option<Date>,
    pub(super) time: Option<Time>,
}

/// The first or last moment that is accepted. Each kind bounds what it can be compared with and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::prompt) enum Bound {
    Date(Date),
    Time(Time),
    DateTime(DateTime),
    /// The day of the answer.
    Today,
    /// The moment of the answer.
    Now,
}

impl Type {
    pub(in crate::prompt) fn named(name: &str) -> Result<Self, String> {
        match name {
            "date" => Ok(Self::Date),
            "time" => Ok(Self::Time),
            "date-time" => Ok(Self::DateTime),
            other => Err(format!("`types` has `{other}`; the types are date, time, date-time")),
        }
    }
}

impl Found {
    pub(super) fn at(moment: DateTime) -> Self {
        Self { date: Some(moment.date()), time: Some(moment.time()) }
    }

    /// Keeps what the prompt wants, if it is there.
    pub(in crate::prompt) fn narrowed(self, types: &[Type]) -> Option<Self> {
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
    pub(in crate::prompt) fn is_within(&self, earliest: Option<Bound>, latest: Option<Bound>, now: DateTime) -> bool {
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

    /// Reads a result of the prompt.
    pub(super) fn read(value: &Value) -> Option<Self> {
        let said = value.get("value")?.as_str()?;
        match value.get("type")?.as_str()? {
            "date" => Some(Self { date: Some(said.parse().ok()?), time: None }),
            "time" => Some(Self { date: None, time: Some(said.parse().ok()?) }),
            _ => said.parse().ok().map(Self::at),
        }
    }

    /// The result of the prompt.
    pub(in crate::prompt) fn value(&self) -> Value {
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
    pub(in crate::prompt) fn parse(text: &str) -> Option<Self> {
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
    pub(super) fn at(self, now: DateTime) -> Self {
        match self {
            Self::Today => Self::Date(now.date()),
            Self::Now => Self::DateTime(now),
            fixed => fixed,
        }
    }

    /// Whether nothing lies between the two, whenever that is.
    pub(in crate::prompt) fn is_after(self, other: Self) -> bool {
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
