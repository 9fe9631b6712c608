//! One moment of the pieces of an answer, or none where they contradict each other or leave it open.

use jiff::ToSpan;
use jiff::civil::{Date, Time};
use jiff::tz::{Offset, TimeZone};
use serde_json::Value;

use super::clock::Hour;
use super::read::{Day, Piece, Says, Year};
use super::{Bound, Found, Question, Type};
use crate::prompt::NotRecognized;
use crate::prompt::lexicon::{Mean, Part, Turn};
use crate::prompt::text::Text;

/// The pieces by what they say.
#[derive(Debug, Default)]
struct Pieces {
    dates: Vec<Date>,
    weekdays: Vec<(i8, Option<Turn>, usize, usize)>,
    numbers: Vec<i8>,
    weeks: Vec<i64>,
    months: Vec<i64>,
    counted: Vec<(Date, i64, usize)>,
    parts: Vec<(Part, Option<i8>)>,
    times: Vec<Hour>,
    bare: Vec<(i8, Option<i8>, usize)>,
}

/// Returns the moment that the pieces are together.
pub(super) fn moment(text: &Text<'_>, pieces: &[Piece], question: &Question<'_>) -> Result<Found, NotRecognized> {
    if let [Piece { says: Says::Moment(moment), .. }] = pieces {
        return Ok(Found::at(*moment));
    }
    let mut sorted = Pieces::default();
    for piece in pieces {
        if !sorted.take(piece, question) {
            return Err(NotRecognized::because("a part of the date or time is no single value"));
        }
    }
    sorted.place_bare(text, question)?;
    sorted.moment(question)
}

/// The values that are to be chosen from where «or» stands between pieces; none where they are not two.
pub(super) fn alternatives(text: &Text<'_>, pieces: &[Piece], question: &Question<'_>) -> Vec<Value> {
    let is_or = |piece: &&Piece| {
        let from = pieces.first().map_or(0, |first| first.spot.end);
        (from..piece.spot.start).any(|at| text.is(at, Mean::Or).is_some())
    };
    let Some(place) = pieces.iter().position(|piece| is_or(&piece)) else { return Vec::new() };
    let (left, right) = pieces.split_at(place);
    let found = [completed(left, right), completed(right, left)];
    let found = found.iter().filter_map(|pieces| moment(text, pieces, question).ok()?.narrowed(question.types));
    let values: Vec<Value> = found.map(|found| found.value()).collect();
    match &values[..] {
        [one, other] if one != other => values,
        _ => Vec::new(),
    }
}

/// One side of «or» with what it shares with the other: «5 or 15 March», «Monday or Tuesday at 8», «at 8 or 9».
fn completed(side: &[Piece], other: &[Piece]) -> Vec<Piece> {
    let mut pieces = side.to_vec();
    let has_day = other.iter().any(|piece| matches!(piece.says, Says::Day(_)));
    let bare = match *side {
        [Piece { says: Says::Bare { hour: number, minute: None }, spot }] => Some((number, spot)),
        [Piece { says: Says::Number(number), spot }] if has_day => Some((number, spot)),
        _ => None,
    };
    if let Some((number, spot)) = bare {
        for shared in other {
            let says = match shared.says {
                Says::Day(day) => Says::Day(Day { day: number, ..day }),
                Says::Number(_) => Says::Number(number),
                Says::Time(time) => Says::Time(Hour { hour: number, minute: 0, offset: 0, is_named: false, ..time }),
                says => says,
            };
            pieces.push(Piece { says, spot });
        }
        let is_placed = pieces.iter().any(|piece| matches!(piece.says, Says::Day(_) | Says::Number(_) | Says::Time(_)));
        if is_placed {
            pieces.remove(0);
        }
        return pieces;
    }
    let is_time = |piece: &&Piece| matches!(piece.says, Says::Time(_) | Says::Part { .. });
    if !side.iter().any(|piece| is_time(&piece)) {
        pieces.extend(other.iter().filter(is_time));
    } else if side.iter().all(|piece| is_time(&piece)) {
        pieces.extend(other.iter().filter(|piece| !is_time(piece)));
    }
    pieces
}

/// The day of one piece.
pub(super) fn day(says: Says, question: &Question<'_>) -> Option<Date> {
    let mut pieces = Pieces::default();
    let spot = crate::prompt::remains::Spot { start: 0, end: 0 };
    pieces.take(&Piece { spot, says }, question).then_some(())?;
    pieces.date(question).ok()?
}

impl Pieces {
    /// Sorts a piece in. False: it is no part of a moment.
    fn take(&mut self, piece: &Piece, question: &Question<'_>) -> bool {
        match piece.says {
            Says::Day(day) => match dated(day, question) {
                Some(date) => self.dates.push(date),
                None => return false,
            },
            Says::Date(date) => self.dates.push(date),
            Says::Weekday { day, turn } => self.weekdays.push((day, turn, piece.spot.start, piece.spot.end)),
            Says::Number(number) => self.numbers.push(number),
            Says::Week(weeks) => self.weeks.push(weeks),
            Says::Month(months) => self.months.push(months),
            Says::Weeks { date, weeks } => self.counted.push((date, weeks, piece.spot.start)),
            Says::Part { part, day } => self.parts.push((part, day)),
            Says::Time(time) => self.times.push(time),
            Says::Bare { hour, minute } => self.bare.push((hour, minute, piece.spot.start)),
            Says::Moment(_) | Says::Unfit => return false,
        }
        true
    }

    /// Makes an hour or a day of a number that is alone, where only one of them fits.
    fn place_bare(&mut self, text: &Text<'_>, question: &Question<'_>) -> Result<(), NotRecognized> {
        let Some((number, minute, start)) = self.bare.pop() else { return Ok(()) };
        let has_day = self.has_day();
        let unread = || Err(NotRecognized::because("a number beside the date or time was not understood"));
        if !self.bare.is_empty() {
            return unread();
        }
        let follows_weekday = self.weekdays.iter().any(|(.., end)| {
            *end <= start
                && (*end..start).all(|at| text.is(at, Mean::The).is_some() || matches!(text.mark(at), Some(',')))
        });
        let is_day_free =
            minute.is_none() && (1..=31).contains(&number) && self.numbers.is_empty() && self.dates.is_empty();
        let is_hour = (0..=24).contains(&number) && self.times.is_empty();
        // «all four afternoon classes» is no time.
        let next = text.read(start + 1, |mean| matches!(mean, Mean::Part(_)).then_some(())).map_or(0, |(_, end)| end);
        let is_counted = next == start + 2 && minute.is_none() && !text.language.compounds;
        let is_for = start > 0 && text.is(start - 1, Mean::For).is_some();
        let is_hour = is_hour && !is_counted && !is_for;
        let part = self.parts.iter().any(|(part, _)| !matches!(part, Part::Am | Part::Pm));
        let wants_day = question.wants_only(Type::Date)
            || question.wants_only(Type::DateTime)
            || !question.types.is_empty() && !question.types.contains(&Type::Time);
        match () {
            () if is_hour && part => {
                self.times.push(Hour { hour: number, minute: minute.unwrap_or(0), ..Hour::default() });
            }
            () if is_hour && !has_day && question.wants_only(Type::Time) => {
                self.times.push(Hour { hour: number, minute: minute.unwrap_or(0), ..Hour::default() });
            }
            () if follows_weekday && is_day_free => self.numbers.push(number),
            () if wants_day && !has_day && is_day_free && !self.times.is_empty() => self.numbers.push(number),
            () => return unread(),
        }
        Ok(())
    }

    fn has_day(&self) -> bool {
        !(self.dates.is_empty() && self.weekdays.is_empty() && self.numbers.is_empty() && self.counted.is_empty())
            || self.parts.iter().any(|(_, day)| day.is_some())
    }

    fn moment(&mut self, question: &Question<'_>) -> Result<Found, NotRecognized> {
        let date = self.date(question).map_err(|error| self.with_time(error, question))?;
        let part_day = self.parts.iter().find_map(|(_, day)| *day);
        let date_of_part = part_day.and_then(|days| question.today().checked_add(i64::from(days).days()).ok());
        if let (Some(date), Some(other)) = (date, date_of_part)
            && date != other
        {
            return Err(NotRecognized::because("two days contradict each other"));
        }
        let date = date.or(date_of_part);
        let is_day_wanted = question.wants_only(Type::Date);
        let time = match self.time(question.names_noon) {
            Ok(time) => time,
            Err(_) if is_day_wanted && self.times.is_empty() => None,
            Err(error) => return Err(error),
        };
        let zone = self.times.first().and_then(|time| time.zone);
        match (date, time, zone) {
            (_, Some(time), Some(zone)) => moved(date, time, zone, question),
            (Some(date), Some(time), None) => {
                let date = self.night_of(date, time, question)?;
                Ok(Found { date: Some(date), time: Some(time) })
            }
            (None, None, _) => Err(NotRecognized::because("there is no date or time")),
            (date, time, _) => Ok(Found { date, time }),
        }
    }

    /// The two days that an answer may mean, each with the time that it says; none where the time is not clear.
    fn with_time(&self, error: NotRecognized, question: &Question<'_>) -> NotRecognized {
        let time = match self.time(question.names_noon) {
            Ok(None) => return error,
            Ok(time) if self.times.iter().all(|time| time.zone.is_none()) => time,
            _ => return NotRecognized::because(error.why),
        };
        let dates = error.readings.iter().filter_map(|reading| reading.get("value")?.as_str()?.parse().ok());
        let readings = dates.map(|date: Date| Found { date: Some(date), time }.value()).collect();
        NotRecognized { readings, ..error }
    }

    /// The small hours of a night belong to the next day: «tonight at 2», «tomorrow night at 12».
    fn night_of(&self, date: Date, time: Time, question: &Question<'_>) -> Result<Date, NotRecognized> {
        let is_night = self.parts.iter().any(|(part, _)| *part == Part::Night);
        let is_past_tonight = date == question.today() && date.to_datetime(time) < question.local() && time.hour() < 5;
        let is_next_day =
            is_night && (time.hour() == 0 || is_past_tonight) || time.hour() == 0 && self.is_twenty_four();
        match is_next_day {
            true => date.tomorrow().map_err(|_| NotRecognized::because("the calendar ends there")),
            false => Ok(date),
        }
    }

    fn is_twenty_four(&self) -> bool {
        self.times.first().is_some_and(|time| time.hour == 24)
    }

    /// The day that is said, none where only a time is.
    fn date(&self, question: &Question<'_>) -> Result<Option<Date>, NotRecognized> {
        let open = || Err(NotRecognized::because("the day is not one day"));
        let today = question.today();
        let date = match (&self.dates[..], &self.counted[..], &self.weekdays[..], &self.numbers[..]) {
            ([], [], [], []) => return if self.weeks.is_empty() && self.months.is_empty() { Ok(None) } else { open() },
            ([date, others @ ..], [], weekdays, []) if others.iter().all(|other| other == date) => {
                if !self.weeks.is_empty() || !self.months.is_empty() {
                    return open();
                }
                return match weekdays {
                    [] => Ok(Some(*date)),
                    [(day, ..)] if *day == date.weekday().to_monday_zero_offset() => Ok(Some(*date)),
                    [(day, turn, ..)] => Err(contradiction(*date, &weekday(*day, *turn, today))),
                    _ => open(),
                };
            }
            ([], [(date, ..)], [], []) => Some(*date),
            ([], [(date, weeks, start)], [(day, turn, at, _)], []) => {
                in_weeks((*date, *weeks, *start), (*day, *turn, *at), today)
            }
            ([], [], [(day, turn, ..)], []) => match self.weeks[..] {
                [] => match weekday(*day, *turn, today) {
                    Dates::One(date) => Some(date),
                    Dates::Two(one, other) => return Err(either(one, other)),
                    Dates::None => None,
                },
                [weeks] if turn.is_none() => day_in_week(today, *day, weeks),
                _ => None,
            },
            ([], [], weekdays, [number]) => return self.of_month(*number, weekdays, question),
            _ => None,
        };
        match date {
            Some(date) if self.months.is_empty() && (self.weeks.is_empty() || !self.weekdays.is_empty()) => {
                Ok(Some(date))
            }
            _ => open(),
        }
    }

    /// «the 24th»: the next day of that number; with a weekday, the next that is one; «the 3rd of next month».
    fn of_month(
        &self,
        number: i8,
        weekdays: &[(i8, Option<Turn>, usize, usize)],
        question: &Question<'_>,
    ) -> Result<Option<Date>, NotRecognized> {
        let open = || Err(NotRecognized::because("the day is not one day"));
        let today = question.today();
        let first = today.first_of_month();
        let date = |months: i64| {
            let month = first.checked_add(months.months()).ok()?;
            Date::new(month.year(), month.month(), number).ok()
        };
        if !self.weeks.is_empty() {
            return open();
        }
        let found = match self.months[..] {
            [] => self.next_or_matching(&date, weekdays, today),
            [months] => date(months),
            _ => None,
        };
        match (found, weekdays) {
            (None, _) => open(),
            (Some(date), []) => Ok(Some(date)),
            (Some(date), [(day, ..)]) if date.weekday().to_monday_zero_offset() == *day => Ok(Some(date)),
            (Some(date), [(day, turn, ..)]) => Err(contradiction(date, &weekday(*day, *turn, today))),
            _ => open(),
        }
    }

    /// The next day of a number; with a weekday that it is not, this month's where that one is: «I went on Friday the 22nd».
    fn next_or_matching(
        &self,
        date: &dyn Fn(i64) -> Option<Date>,
        weekdays: &[(i8, Option<Turn>, usize, usize)],
        today: Date,
    ) -> Option<Date> {
        let next = (0..12).find_map(|months| date(months).filter(|date| *date >= today));
        let is = |date: Option<Date>| {
            date.zip(weekdays.first()).is_some_and(|(date, (day, ..))| date.weekday().to_monday_zero_offset() == *day)
        };
        let this = date(0);
        if !is(next) && is(this) { this } else { next }
    }

    /// The time that is said. Parts of the day tell the morning from the evening, and have to fit it.
    fn time(&self, names_noon: bool) -> Result<Option<Time>, NotRecognized> {
        let open = || Err(NotRecognized::because("the time is not one time"));
        let parts: Vec<Part> = self.parts.iter().map(|(part, _)| *part).collect();
        if self.times.is_empty() {
            return match parts[..] {
                [] => Ok(None),
                [Part::Noon] if names_noon => Ok(Some(Time::constant(12, 0, 0, 0))),
                _ => open(),
            };
        }
        let mut times = self.times.iter().map(|time| time.on_clock(&parts));
        match times.next().flatten() {
            Some(first) if times.all(|other| other == Some(first)) => Ok(Some(first)),
            _ => open(),
        }
    }
}

impl Hour {
    /// The time of the whole day, none where the parts of the day contradict it.
    fn on_clock(&self, parts: &[Part]) -> Option<Time> {
        let said: Vec<Part> = self.part.into_iter().chain(parts.iter().copied()).collect();
        let mut hour = i32::from(self.hour) % 24;
        if let Some(first) = said.first().filter(|_| !self.is_named) {
            hour = in_part(hour, *first)?;
        }
        // As «twelve» is noon, «halb eins» is half an hour later.
        if said.is_empty() && self.offset < 0 && hour == 1 {
            hour = 13;
        }
        let minutes = (hour * 60 + i32::from(self.minute) + i32::from(self.offset)).rem_euclid(24 * 60);
        let fits = said.iter().all(|part| covers(*part, minutes / 60, minutes % 60));
        let time =
            Time::new(i8::try_from(minutes / 60).ok()?, i8::try_from(minutes % 60).ok()?, self.second, 0).ok()?;
        fits.then_some(time)
    }
}

/// The hour of the whole day that a part of the day makes of an hour.
fn in_part(hour: i32, part: Part) -> Option<i32> {
    Some(match part {
        Part::Am | Part::Morning | Part::Night if hour == 12 => 0,
        Part::Am if hour > 12 => return None,
        Part::Noon if (1..5).contains(&hour) => hour + 12,
        Part::Pm | Part::Afternoon | Part::Evening if (1..12).contains(&hour) => hour + 12,
        Part::Evening if hour == 12 => 0,
        // Neither the evening nor the morning for sure.
        Part::Night if hour == 5 => return None,
        Part::Night if (6..12).contains(&hour) => hour + 12,
        _ => hour,
    })
}

/// Whether an hour lies in a part of the day.
fn covers(part: Part, hour: i32, minute: i32) -> bool {
    match part {
        Part::Am => hour < 12,
        Part::Pm => hour >= 12 || hour == 0 && minute == 0,
        Part::Morning => hour < 12 || hour == 12 && minute == 0,
        Part::Noon => (10..17).contains(&hour),
        Part::Afternoon => (12..22).contains(&hour),
        Part::Evening => hour >= 12 || hour == 0 && minute == 0,
        Part::Night => hour >= 17 || hour <= 6,
    }
}

/// The same moment on the user's clock.
fn moved(date: Option<Date>, time: Time, zone: i16, question: &Question<'_>) -> Result<Found, NotRecognized> {
    let beyond = || NotRecognized::because("the calendar ends there");
    let offset = Offset::from_seconds(i32::from(zone) * 60).map_err(|_| beyond())?;
    let there = question.local().to_zoned(question.now.zone.clone()).map_err(|_| beyond())?;
    let day = date.unwrap_or_else(|| there.with_time_zone(TimeZone::fixed(offset)).date());
    let moment = day.to_datetime(time).to_zoned(TimeZone::fixed(offset)).map_err(|_| beyond())?;
    let local = moment.with_time_zone(question.now.zone.clone()).datetime();
    Ok(Found { date: date.map(|_| local.date()), time: Some(local.time()) })
}

/// The days that a weekday may be.
enum Dates {
    None,
    One(Date),
    Two(Date, Date),
}

/// The next such day after today; with a turn that of a certain week. «Last Monday» is one day only where last week's is
/// also the last before today, and «this Monday» only while it is to come.
fn weekday(wanted: i8, turn: Option<Turn>, today: Date) -> Dates {
    let (wanted, from) = (i64::from(wanted), i64::from(today.weekday().to_monday_zero_offset()));
    let one = |days: i64| today.checked_add(days.days()).map_or(Dates::None, Dates::One);
    let coming = (wanted - from - 1).rem_euclid(7) + 1;
    let before = -((from - wanted - 1).rem_euclid(7) + 1);
    match turn {
        Some(Turn::Next) => one(7 - from + wanted),
        Some(Turn::AfterNext) => one(14 - from + wanted),
        Some(Turn::Past) => one(before),
        Some(Turn::Last) if before == wanted - from - 7 => one(before),
        Some(Turn::Last) => two(today, before, wanted - from - 7),
        Some(Turn::This) if wanted >= from => one(wanted - from),
        Some(Turn::This) => two(today, wanted - from, coming),
        Some(Turn::Coming) | None => one(coming),
    }
}

fn two(today: Date, one: i64, other: i64) -> Dates {
    match (today.checked_add(one.days()), today.checked_add(other.days())) {
        (Ok(one), Ok(other)) => Dates::Two(one, other),
        _ => Dates::None,
    }
}

fn day_in_week(date: Date, wanted: i8, weeks: i64) -> Option<Date> {
    let from = i64::from(date.weekday().to_monday_zero_offset());
    date.checked_add((7 * weeks + i64::from(wanted) - from).days()).ok()
}

/// «Tuesday in a week» is a week after Tuesday, «in a week, on Tuesday» that of the week.
fn in_weeks(counted: (Date, i64, usize), said: (i8, Option<Turn>, usize), today: Date) -> Option<Date> {
    let ((date, weeks, start), (day, turn, at)) = (counted, said);
    if at > start {
        return day_in_week(date, day, 0).filter(|_| turn.is_none());
    }
    match weekday(day, turn, today) {
        Dates::One(date) => date.checked_add((7 * weeks).days()).ok(),
        _ => None,
    }
}

/// A date; without a year the next such day from today on, with two digits of it as the bounds of the prompt say.
fn dated(day: Day, question: &Question<'_>) -> Option<Date> {
    let today = question.today();
    match day.year {
        Some(Year::Whole(year)) => Date::new(year, day.month, day.day).ok(),
        Some(Year::Short(year)) => in_bounds(year, day, question),
        // The 29th of February may be years ahead.
        None => (0..=8).find_map(|ahead| {
            let year = today.year().checked_add(ahead)?;
            Date::new(year, day.month, day.day).ok().filter(|date| *date >= today)
        }),
    }
}

/// The only century that lies within the bounds, else the one that ends 20 years from now.
fn in_bounds(year: i16, day: Day, question: &Question<'_>) -> Option<Date> {
    let dates = [1900, 2000].map(|century| Date::new(century + year, day.month, day.day).ok());
    let bound = |bound: Option<Bound>| match bound.map(|bound| bound.at(question.local())) {
        Some(Bound::Date(date)) => Some(date),
        Some(Bound::DateTime(moment)) => Some(moment.date()),
        _ => None,
    };
    let (earliest, latest) = (bound(question.earliest), bound(question.latest));
    let fits =
        |date: &Date| earliest.is_none_or(|earliest| *date >= earliest) && latest.is_none_or(|latest| *date <= latest);
    let mut fitting = dates.into_iter().flatten().filter(fits);
    if let (Some(date), None) = (fitting.next(), fitting.next()) {
        return Some(date);
    }
    let century = if 2000 + year <= question.today().year().saturating_add(20) { 2000 } else { 1900 };
    Date::new(century + year, day.month, day.day).ok()
}

fn contradiction(date: Date, other: &Dates) -> NotRecognized {
    match other {
        Dates::One(other) => either(*other, date),
        _ => NotRecognized::because("the weekday and the day contradict each other"),
    }
}

fn either(one: Date, other: Date) -> NotRecognized {
    let value = |date| Found { date: Some(date), time: None }.value();
    NotRecognized { why: "the day may be one of two", readings: vec![value(one), value(other)] }
}
