//! Times of day, written or said.

use super::Question;
use super::days::is_on;
use super::read::Says;
use crate::prompt::lexicon::{Mean, Part, Unit};
use crate::prompt::number::{Whole, whole};
use crate::prompt::text::Text;

/// A time of day as it was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Hour {
    pub(super) hour: i8,
    pub(super) minute: i8,
    pub(super) second: i8,
    /// `am` or `pm`, written beside it.
    pub(super) part: Option<Part>,
    /// Minutes counted from the hour, as in «half past eight»: -30 for «halb».
    pub(super) offset: i16,
    /// Minutes east of Greenwich.
    pub(super) zone: Option<i16>,
    /// No number: noon, midnight.
    pub(super) is_named: bool,
}

/// `18:30`, `18h30`, `18.30 Uhr`, «half past eight», `6 pm`, «at 8», «noon», with the zone behind it.
pub(super) fn time(text: &Text<'_>, at: usize, _: &Question<'_>) -> Option<(Says, usize)> {
    let is_at = text.is(at, Mean::At);
    let from = text.skip(at, &[Mean::At]);
    let is_at = is_at.is_some();
    let readers = [written(text, from, is_at), counted(text, from, is_at), said(text, from), named(text, from)];
    let (mut hour, end) = readers.into_iter().flatten().max_by_key(|(_, end)| *end)?;
    let (zone, end) = zone(text, end).map_or((None, end), |(zone, end)| (Some(zone), end));
    hour.zone = zone;
    let is_valid =
        (0..=24).contains(&hour.hour) && (0..60).contains(&hour.minute) && (hour.hour < 24 || hour.minute == 0);
    Some((if is_valid { Says::Time(hour) } else { Says::Unfit }, end))
}

/// Digits: `18:30:15`, `18.30 Uhr`, `1830 Uhr`, `340pm`.
fn written(text: &Text<'_>, at: usize, is_at: bool) -> Option<(Hour, usize)> {
    if text.is_glued(at) && at > 0 && matches!(text.mark(at - 1), Some(':' | '.' | '/')) {
        return None;
    }
    if let Some(digits) = text.digits(at, 3..=4) {
        let (part, end) = part(text, at + 1);
        let end = text.is(end, Mean::Clock).unwrap_or(end);
        let is_free = !(text.mark(at + 1).is_some() && text.is_glued(at + 1) && text.is_glued(at + 2));
        let is_time = end > at + 1 || is_at && is_free && text.word(at).len() == 4;
        let (hour, minute) = (i8::try_from(digits / 100).ok()?, i8::try_from(digits % 100).ok()?);
        return is_time.then_some((Hour { hour, minute, part, ..Hour::default() }, end));
    }
    let hour = i8::try_from(text.digits(at, 1..=2)?).ok()?;
    let sign = text.mark(at + 1).filter(|sign| matches!(sign, ':' | '.'))?;
    let minute = i8::try_from(text.digits(at + 2, 2..=2)?).ok()?;
    let is_glued = text.is_glued(at + 2) && text.is_glued(at + 1);
    let mut end = at + 3;
    let mut second = 0;
    if sign == ':' && text.mark(end) == Some(':') && text.is_glued(end) {
        second = i8::try_from(text.digits(end + 1, 2..=2)?).ok()?;
        end += 2;
        if matches!(text.mark(end), Some('.' | ','))
            && text.is_glued(end)
            && text.is_glued(end + 1)
            && text.is_digits(end + 1)
        {
            end += 2;
        }
    }
    let (part, end_part) = part(text, end);
    let end_clock = text.is(end_part, Mean::Clock).unwrap_or(end_part);
    let (part, end_clock) = match part {
        None => self::part(text, end_clock),
        said => (said, end_clock),
    };
    // `8.30` alone is a time where dates have slashes, or where there is no such month; `18.30.2026` is none.
    let is_said = is_at || end_clock > end;
    let is_day = is_on(text, at) && !is_at && (13..32).contains(&minute);
    let is_dotted = sign == '.' && !is_day && (is_said || text.language.decimal("") == '.' || minute > 12);
    let goes_on = matches!(text.mark(end), Some('.' | '/' | '-' | ':'))
        && text.is_glued(end)
        && text.is_digits(end + 1)
        && text.is_glued(end + 1);
    let fits = (sign == ':' || is_dotted) && is_glued && !goes_on && second < 60;
    fits.then_some((Hour { hour, minute, second, part, ..Hour::default() }, end_clock))
}

/// «8 o'clock», «seven pm», «four thirty pm», `7p`, «18 Uhr und 20», «8 heures et demie», «at 8», «las nueve menos cuarto».
fn counted(text: &Text<'_>, at: usize, is_at: bool) -> Option<(Hour, usize)> {
    let said = whole(text, at).filter(|said| (0..=24).contains(&said.value) && said.digits <= 2 && !said.is_ordinal);
    let (hour, end) = match said {
        Some(said) => (Hour { hour: i8::try_from(said.value).ok()?, ..Hour::default() }, said.end),
        None => named(text, at)?,
    };
    let bare = said.and_then(|said| with_bare_minutes(text, hour, &said, is_at));
    if bare.is_some() {
        return bare;
    }
    let (mut found, mut end, mut is_time) = (hour, end, is_at || hour.is_named);
    (found.part, end) = part(text, end);
    is_time |= found.part.is_some();
    let mut has_minutes = false;
    if let Some(after) = text.is(end, Mean::Clock) {
        (is_time, end) = (true, after);
        let and = text.is(after, Mean::More).or_else(|| text.is(after, Mean::And)).unwrap_or(after);
        if let Some(minutes) = minutes(text, and).filter(|(_, end)| and == after || !is_share(text, *end)) {
            (found.minute, end, has_minutes) = (minutes.0, minutes.1, true);
        }
        if found.part.is_none() {
            (found.part, end) = part(text, end);
        }
    }
    // «a las 18 horas», «8 horas da manhã»
    if let Some(after) = text.is(end, Mean::Unit(Unit::Hour)).filter(|after| is_at || is_part(text, *after)) {
        (is_time, end) = (true, after);
    }
    if let Some((offset, after)) = shift(text, end, is_time).filter(|_| !has_minutes) {
        (found.offset, found.is_named, is_time) = (offset, false, true);
        end = text.is(after, Mean::Clock).unwrap_or(after);
        if found.part.is_none() {
            (found.part, end) = part(text, end);
        }
    }
    is_time.then_some((found, end))
}

/// «four thirty pm», «8 40 pm», «at eight forty», «huit quarante du matin».
fn with_bare_minutes(text: &Text<'_>, hour: Hour, said: &Whole, is_at: bool) -> Option<(Hour, usize)> {
    if part(text, said.end).0.is_some() {
        return None;
    }
    let minutes = bare_minutes(text, said.end, said.digits == 0)?;
    let (part, after) = part(text, minutes.end);
    let end = text.is(after, Mean::Clock).unwrap_or(after);
    let in_day = text.read(after, |mean| matches!(mean, Mean::DayPart(..)).then_some(())).is_some();
    let is_time = part.is_some() || end > after || is_at || in_day || is_part(text, after);
    is_time.then_some((Hour { minute: i8::try_from(minutes.value).ok()?, part, ..hour }, end))
}

/// «y media», «menos cuarto», «und 20 Minuten», «moins le quart».
fn shift(text: &Text<'_>, at: usize, is_time: bool) -> Option<(i16, usize)> {
    let (sign, from) = match text.is(at, Mean::Less) {
        Some(end) => (-1, end),
        None => (1, text.is(at, Mean::More)?),
    };
    let from = text.skip(from, &[Mean::The]);
    let share_at = text.is(from, Mean::Article).filter(|end| is_share(text, *end)).unwrap_or(from);
    if let Some((minutes, end)) = text.read(share_at, share_minutes) {
        return Some((sign * minutes, end));
    }
    let said = whole(text, from).filter(|said| is_time && (1..60).contains(&said.value) && !said.is_ordinal)?;
    let unit = text.is(said.end, Mean::Unit(Unit::Minute));
    // «a las 8 y 9» is two hours more likely than nine minutes.
    let is_usual = unit.is_some() || said.value % 5 == 0 || said.value > 12;
    let is_other = text.is(said.end, Mean::Clock).is_some() || matches!(text.mark(said.end), Some(':' | '/'));
    (is_usual && !is_other).then_some((sign * said.value, unit.unwrap_or(said.end)))
}

fn is_share(text: &Text<'_>, at: usize) -> bool {
    text.read(at, share_minutes).is_some()
}

fn share_minutes(mean: Mean) -> Option<i16> {
    match mean {
        Mean::Share(2) => Some(30),
        Mean::Share(4) | Mean::Ordinal(4) => Some(15),
        _ => None,
    }
}

/// Minutes after «Uhr» or `h`: two digits, or words.
fn minutes(text: &Text<'_>, at: usize) -> Option<(i8, usize)> {
    let said = whole(text, at).filter(|said| (0..60).contains(&said.value) && said.digits != 1 && !said.is_ordinal)?;
    let is_article = said.value == 1 && text.is(at, Mean::Article).is_some();
    let is_other = text.is(said.end, Mean::Clock).is_some()
        || matches!(text.mark(said.end), Some(':' | '.' | '/')) && text.is_digits(said.end + 1);
    let is_counted =
        text.read(said.end, |mean| matches!(mean, Mean::Unit(unit) if unit != Unit::Minute).then_some(())).is_some();
    let is_month =
        text.read(text.skip(said.end, &[Mean::Of]), |mean| matches!(mean, Mean::Month(_)).then_some(())).is_some();
    let end = text.is(said.end, Mean::Unit(Unit::Minute)).unwrap_or(said.end);
    (!is_other && !is_counted && !is_month && !is_article).then_some((i8::try_from(said.value).ok()?, end))
}

/// Minutes right after the hour: «thirty», `40`, «oh five».
fn bare_minutes(text: &Text<'_>, at: usize, is_word: bool) -> Option<Whole> {
    let said = whole(text, at).filter(|said| (0..60).contains(&said.value) && !said.is_ordinal)?;
    let fits = if said.digits == 0 { is_word && said.value >= 10 } else { said.digits == 2 && !text.is_glued(at) };
    let is_counted = text.read(said.end, |mean| matches!(mean, Mean::Unit(_)).then_some(())).is_some();
    let is_month =
        text.read(text.skip(said.end, &[Mean::Of]), |mean| matches!(mean, Mean::Month(_)).then_some(())).is_some();
    let is_other = matches!(text.mark(said.end), Some('.' | '/' | ':' | '-'));
    (fits && !is_counted && !is_month && !is_other).then_some(said)
}

/// «half past eight», «quarter to nine», «ten past seven», «halb neun», «fünf vor halb neun», «viertel neun».
fn said(text: &Text<'_>, at: usize) -> Option<(Hour, usize)> {
    if let Some(end) = text.is(at, Mean::HalfTo) {
        return offset_hour(text, end, -30);
    }
    if let Some(end) = text.is(at, Mean::QuarterTo) {
        return offset_hour(text, end, -15);
    }
    let share_at = text.is(at, Mean::Article).unwrap_or(at);
    let share = text.read(share_at, share_minutes).filter(|_| text.read(share_at, ordinal).is_none());
    let (minutes, end, is_sure) = match share {
        Some((minutes, end)) => (minutes, end, true),
        None => {
            let said = whole(text, at).filter(|said| (1..60).contains(&said.value) && !said.is_ordinal)?;
            let unit = text.is(said.end, Mean::Unit(Unit::Minute));
            (said.value, unit.unwrap_or(said.end), unit.is_some())
        }
    };
    let (sign, end) = match (text.is(end, Mean::PastHour), text.is(end, Mean::ToHour)) {
        (Some(end), _) => (1, end),
        (None, Some(end)) if is_sure || !is_range(text, at, end, minutes) => (-1, end),
        // «half eight», «viertel neun».
        (None, None) if share.is_some() && !text.language.compounds && minutes == 30 => {
            return offset_hour(text, end, 30);
        }
        (None, None) if share.is_some() && text.language.compounds && minutes == 15 => {
            return offset_hour(text, end, -45);
        }
        _ => return None,
    };
    match text.is(end, Mean::HalfTo) {
        Some(end) => offset_hour(text, end, sign * minutes - 30),
        None => offset_hour(text, end, sign * minutes),
    }
}

/// «3 to 5» is a range, «ten to five» is not, and neither is «10 minutes to 5». `end` is behind «to».
fn is_range(text: &Text<'_>, at: usize, end: usize, minutes: i16) -> bool {
    if text.is(end - 1, Mean::Bound).is_none() || end - 1 <= at {
        return false;
    }
    let after_hour = whole(text, end).map_or(end, |said| said.end);
    let is_bounded = at > 0 && text.senses(at - 1).iter().any(|sense| matches!(sense.mean, Mean::Bound | Mean::Open));
    is_bounded || is_part(text, after_hour) || ![5, 10, 20, 25].contains(&minutes)
}

/// The hour that minutes are counted from.
fn offset_hour(text: &Text<'_>, at: usize, offset: i16) -> Option<(Hour, usize)> {
    let from = text.skip(at, &[Mean::At, Mean::The]);
    let (hour, end, is_named) = match whole(text, from) {
        // «halb ein» is no hour, «la una» is.
        Some(said) if said.value == 1 && text.language.compounds && text.is(from, Mean::Article).is_some() => {
            return None;
        }
        Some(said) if (0..=24).contains(&said.value) && !said.is_ordinal && said.digits <= 2 => {
            (i8::try_from(said.value).ok()?, said.end, false)
        }
        _ => named(text, from).map(|(hour, end)| (hour.hour, end, true))?,
    };
    let end = text.is(end, Mean::Clock).unwrap_or(end);
    let is_written = matches!(text.mark(end), Some(':')) && text.is_digits(end + 1);
    let (part, end) = part(text, end);
    (!is_written).then_some((Hour { hour, offset, part, is_named, ..Hour::default() }, end))
}

fn is_part(text: &Text<'_>, at: usize) -> bool {
    text.read(at, |mean| matches!(mean, Mean::Part(_)).then_some(())).is_some()
}

fn ordinal(mean: Mean) -> Option<()> {
    matches!(mean, Mean::Ordinal(_)).then_some(())
}

fn named(text: &Text<'_>, at: usize) -> Option<(Hour, usize)> {
    let from = text.skip(at, &[Mean::The]);
    text.read(from, |mean| match mean {
        Mean::Noon => Some(Hour { hour: 12, is_named: true, ..Hour::default() }),
        Mean::Midnight => Some(Hour { is_named: true, ..Hour::default() }),
        Mean::Hour(hour) => Some(Hour { hour, is_named: true, ..Hour::default() }),
        _ => None,
    })
}

/// `am`, `pm`, `a` or `p` right behind digits.
fn part(text: &Text<'_>, at: usize) -> (Option<Part>, usize) {
    let letter = match text.word(at) {
        "a" | "p" if !text.is_glued(at) => None,
        "a" => Some(Part::Am),
        "p" => Some(Part::Pm),
        _ => None,
    };
    let said = letter
        .filter(|_| at > 0 && text.is_digits(at - 1) && (!text.is_glued(at + 1) || text.mark(at + 1).is_some()))
        .map(|part| (part, at + 1));
    let said = said.or_else(|| {
        text.read(at, |mean| match mean {
            Mean::Part(part @ (Part::Am | Part::Pm)) => Some(part),
            _ => None,
        })
    });
    said.map_or((None, at), |(part, end)| (Some(part), end))
}

/// `Z`, `UTC`, `EST`, `+02:00`, `GMT-5`, in minutes east of Greenwich.
fn zone(text: &Text<'_>, at: usize) -> Option<(i16, usize)> {
    let named = text.read(at, |mean| match mean {
        Mean::Zone(minutes) => Some(minutes),
        _ => None,
    });
    let named = named.filter(|_| text.word(at) != "z" || text.is_glued(at));
    let from = named.map_or(at, |(_, end)| end);
    match offset(text, from, named.is_some()).filter(|_| named.is_none_or(|(minutes, _)| minutes == 0)) {
        Some(offset) => Some(offset),
        None => named,
    }
}

fn offset(text: &Text<'_>, at: usize, is_named: bool) -> Option<(i16, usize)> {
    let sign = match text.mark(at)? {
        '+' => 1,
        '-' | '−' => -1,
        _ => return None,
    };
    if !text.is_glued(at) || !text.is_glued(at + 1) {
        return None;
    }
    let digits = i16::try_from(text.digits(at + 1, 1..=4)?).ok()?;
    let (hours, minutes, end) = match text.word(at + 1).len() {
        4 => (digits / 100, digits % 100, at + 2),
        2 if text.mark(at + 2) == Some(':') => (digits, i16::try_from(text.digits(at + 3, 2..=2)?).ok()?, at + 4),
        1 | 2 if is_named => (digits, 0, at + 2),
        _ => return None,
    };
    (hours <= 14 && minutes < 60).then_some((sign * (hours * 60 + minutes), end))
}

/// «in the evening», «tonight», «abends».
pub(super) fn part_of_day(text: &Text<'_>, at: usize, _: &Question<'_>) -> Option<(Says, usize)> {
    let from = text.skip(at, &[Mean::The]);
    text.read(from, |mean| match mean {
        Mean::Part(part) => Some(Says::Part { part, day: None }),
        Mean::DayPart(day, part) => Some(Says::Part { part, day: Some(day) }),
        _ => None,
    })
}

/// A number that may be an hour or a day, where another piece says which.
pub(super) fn bare(text: &Text<'_>, at: usize, _: &Question<'_>) -> Option<(Says, usize)> {
    let said = whole(text, at).filter(|said| (0..=31).contains(&said.value) && said.digits <= 2)?;
    if text.is(at, Mean::Article).is_some() && said.value == 1 {
        return None;
    }
    let minutes = bare_minutes(text, said.end, said.digits == 0);
    let hour = i8::try_from(said.value).ok()?;
    let day_point = said.digits > 0
        && text.language.compounds
        && text.mark(said.end) == Some('.')
        && text.is_glued(said.end)
        && !(text.is_digits(said.end + 1) && text.is_glued(said.end + 1));
    // «ten forty-five» is a time, «twenty twenty» may be a year.
    if let Some(minutes) =
        minutes.filter(|minutes| minutes.digits == 0 && said.digits == 0 && !said.is_ordinal && said.value < 19)
    {
        let hour = Hour { hour, minute: i8::try_from(minutes.value).ok()?, ..Hour::default() };
        return Some((Says::Time(hour), minutes.end));
    }
    match minutes.filter(|_| !said.is_ordinal) {
        Some(minutes) => Some((Says::Bare { hour, minute: i8::try_from(minutes.value).ok() }, minutes.end)),
        None => Some((Says::Bare { hour, minute: None }, said.end + usize::from(day_point))),
    }
}
