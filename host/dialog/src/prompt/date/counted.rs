//! So many units from now or from a day: «in 3 days», «2 weeks after 5 January», «in 1 month and 10 days».

use jiff::civil::{Date, DateTime};
use jiff::{Span, ToSpan, Unit as Rounding};

use super::read::Says;
use super::{Question, combine, days, feast};
use crate::prompt::lexicon::{Mean, Unit};
use crate::prompt::number;
use crate::prompt::text::Text;

/// How long, in units of time.
#[derive(Debug, Clone, Copy, Default)]
struct Length {
    minutes: f64,
    days: i64,
    weeks: i64,
    months: i64,
    has_clock: bool,
}

/// Reads what counts from today, from now, or from another day. A length alone is no moment.
pub(super) fn counted(text: &Text<'_>, at: usize, question: &Question<'_>) -> Option<(Says, usize)> {
    let ahead = text.is(at, Mean::In);
    let back = text.is(at, Mean::Since);
    let span = text.is(at, Mean::For).or_else(|| text.read(at, days::turn_of).map(|(_, end)| end));
    let from = ahead.or(back).or(span).unwrap_or(at);
    // «dans les 2 h»
    let is_span = ahead.is_some() && text.is(from, Mean::The).is_some();
    let (length, end) = length(text, text.skip(from, &[Mean::The]))?;
    let unfit = |end| Some((Says::Unfit, end));
    // «for 3 days», «the last 3 days», «los 2 días siguientes»
    if span.is_some() || is_span || text.read(end, days::turn_of).is_some() {
        return unfit(end);
    }
    // «in 2 weeks», where «vor» and «in» differ; a word may be both.
    if let Some((length, end)) = Some((length, end)).filter(|_| ahead.is_some() || back.is_some()) {
        let end = text.is(end, Mean::Later).unwrap_or(end);
        let sign = if back.is_some() && ahead.is_none() { -1 } else { 1 };
        return length.since_now(sign, question).map(|says| (says, end)).or(unfit(end));
    }
    if let Some(end) = text.is(end, Mean::Ago) {
        return length.since_now(-1, question).map(|says| (says, end)).or(unfit(end));
    }
    // «2 days after tomorrow» before «2 days later».
    let bases = [(Mean::After, 1), (Mean::Before, -1), (Mean::On, 1)];
    let base = bases.into_iter().find_map(|(mean, sign)| {
        let from = text.is(end, mean)?;
        let (base, end) = day(text, from, question)?;
        Some((length.since_day(base, sign), end))
    });
    if let Some((date, end)) = base {
        return date.map(|date| (Says::Date(date), end)).or(unfit(end));
    }
    if let Some(end) = text.is(end, Mean::Later) {
        return length.since_now(1, question).map(|says| (says, end)).or(unfit(end));
    }
    unfit(end)
}

/// The day that others count from.
fn day(text: &Text<'_>, at: usize, question: &Question<'_>) -> Option<(Date, usize)> {
    let at = text.skip(at, &[Mean::On]);
    let read = days::iso(text, at, question)
        .or_else(|| days::numeric(text, at, question))
        .or_else(|| days::by_names(text, at, question))
        .or_else(|| days::named(text, at, question))
        .or_else(|| feast::feast(text, at, question))
        .or_else(|| days::weekday(text, at, question))
        .or_else(|| days::relative(text, at, question))
        .or_else(|| days::of_month(text, at, question));
    let (says, end) = read?;
    Some((combine::day(says, question)?, end))
}

/// «2 hours and 30 minutes», «an hour and a half», «media hora», «2 years 21 days».
fn length(text: &Text<'_>, at: usize) -> Option<(Length, usize)> {
    let mut length = Length::default();
    let mut end = at;
    while let Some(next) = length.add(text, end) {
        end = next;
        let and = text.skip(end, &[Mean::And, Mean::More]);
        let and = if text.mark(and) == Some(',') { and + 1 } else { and };
        if number::at(text, and, '.').is_some() && length.clone().add(text, and).is_some() {
            end = and;
        } else {
            break;
        }
    }
    (end > at).then_some((length, end))
}

impl Length {
    /// Adds a count with its unit.
    fn add(&mut self, text: &Text<'_>, at: usize) -> Option<usize> {
        let decimal = if text.language.decimal("") == ',' { ',' } else { '.' };
        let counted =
            number::at(text, at, decimal).filter(|number| !number.is_ordinal).map(|number| (number.value, number.end));
        let (count, after) = counted.or_else(|| text.is(at, Mean::Article).map(|end| (1.0, end)))?;
        let after = if count.fract() == 0.0 { after } else { text.skip(after, &[Mean::Of, Mean::Article, Mean::The]) };
        let (unit, mut end) = text.read(after, |mean| match mean {
            Mean::Unit(unit) => Some(unit),
            _ => None,
        })?;
        if !(0.0..=10_000.0).contains(&count) {
            return None;
        }
        let mut count = count;
        // «an hour and a half»
        let and = text.skip(end, &[Mean::And, Mean::More]);
        let half = text.skip(and, &[Mean::Article]);
        if and > end
            && let Some(after_half) = text.is(half, Mean::Share(2))
        {
            (count, end) = (count + 0.5, after_half);
        }
        let whole = count as i64;
        let is_whole = count.fract() == 0.0;
        match unit {
            Unit::Second => self.minutes += count / 60.0,
            Unit::Minute => self.minutes += count,
            Unit::Hour => self.minutes += count * 60.0,
            Unit::Day if is_whole => self.days += whole,
            Unit::Day => self.minutes += count * 24.0 * 60.0,
            Unit::Week if is_whole => self.weeks += whole,
            Unit::Fortnight if is_whole => self.weeks += 2 * whole,
            Unit::Month if is_whole => self.months += whole,
            Unit::Year if (count * 12.0).fract() == 0.0 => self.months += (count * 12.0) as i64,
            _ => return None,
        }
        self.has_clock |= matches!(unit, Unit::Second | Unit::Minute | Unit::Hour) || unit == Unit::Day && !is_whole;
        Some(end)
    }

    fn days(&self, sign: i64) -> Option<Span> {
        let span = Span::new().try_months(sign * self.months).ok()?;
        span.try_weeks(sign * self.weeks).ok()?.try_days(sign * self.days).ok()
    }

    fn since_now(&self, sign: i64, question: &Question<'_>) -> Option<Says> {
        let span = self.days(sign)?;
        if self.has_clock {
            let seconds = (self.minutes * 60.0).round() as i64;
            let moment: DateTime = question.local().checked_add(span).ok()?;
            let moment = moment.checked_add((sign * seconds).seconds()).ok()?;
            return moment.round(Rounding::Minute).ok().map(Says::Moment);
        }
        let date = question.today().checked_add(span).ok()?;
        let is_weeks = self.weeks > 0 && self.days == 0 && self.months == 0;
        Some(if is_weeks { Says::Weeks { date, weeks: sign * self.weeks } } else { Says::Date(date) })
    }

    fn since_day(&self, base: Date, sign: i64) -> Option<Date> {
        if self.has_clock {
            return None;
        }
        base.checked_add(self.days(sign)?).ok()
    }
}
