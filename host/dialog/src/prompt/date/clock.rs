//! Times of day, written or said.

use jiff::civil::Time;

use super::text::{Text, part};
use crate::prompt::language::{Offset, Part};

/// A part of the day that an answer names.
#[derive(Debug, Clone, Copy)]
pub(super) struct PartOfDay {
    pub(super) part: Part,
    /// «tonight», «this morning».
    pub(super) is_today: bool,
}

/// Takes the part of the day out of the text, before «mañana» is read as tomorrow and «après-midi» as noon.
pub(super) fn part_of_day(text: &mut Text) -> Option<PartOfDay> {
    let grammar = text.grammar;
    grammar.parts.iter().find_map(|(pattern, part, is_today)| {
        text.take(pattern, |_, _| Some(PartOfDay { part: *part, is_today: *is_today }))
    })
}

/// `18:30`, `18h30`, `18.30 Uhr`, «half past eight», `6 pm`, «at 8», «noon».
pub(super) fn find(text: &Text, part_of_day: Option<Part>) -> Option<Time> {
    said(text, part_of_day)
        .or_else(|| written(text, part_of_day))
        .or_else(|| named(text))
        .or_else(|| part_of_day.and_then(|part| hour(text, part)))
        .or_else(|| (part_of_day == Some(Part::Noon)).then_some(Time::constant(12, 0, 0, 0)))
}

/// A text that is an hour and nothing else.
pub(super) fn bare(text: &Text) -> Option<Time> {
    let found = text.grammar.number.captures(&text.text)?;
    if found.get(0)?.as_str() != text.text.trim() {
        return None;
    }
    Time::new(part(&found, "h")?, part(&found, "m").unwrap_or(0), 0, 0).ok()
}

fn said(text: &Text, part_of_day: Option<Part>) -> Option<Time> {
    text.grammar.clock_phrases.iter().find_map(|(pattern, offset)| {
        let found = pattern.captures(&text.text).filter(|found| found.name("range").is_none())?;
        let hour: i32 = part(&found, "h")?;
        let minutes = match offset {
            Offset::Fixed(minutes) => *minutes,
            Offset::After => part(&found, "m")?,
            Offset::Before => -part::<i32>(&found, "m")?,
            Offset::AfterHalf => part::<i32>(&found, "m")? - 30,
            Offset::BeforeHalf => -part::<i32>(&found, "m")? - 30,
        };
        if !(0..=24).contains(&hour) || !(-60..60).contains(&minutes) {
            return None;
        }
        let hour = match i32::from(in_part(i8::try_from(hour).ok()?, part_of_day)) {
            // As «twelve» is noon, «halb eins» is half an hour later.
            1 if minutes < 0 && part_of_day.is_none() => 13,
            hour => hour,
        };
        let minutes = (hour * 60 + minutes).rem_euclid(24 * 60);
        Time::new(i8::try_from(minutes / 60).ok()?, i8::try_from(minutes % 60).ok()?, 0, 0).ok()
    })
}

fn written(text: &Text, part_of_day: Option<Part>) -> Option<Time> {
    let grammar = text.grammar;
    grammar.clock.iter().chain(&grammar.hour).find_map(|pattern| {
        pattern.captures_iter(&text.text).find_map(|found| {
            if text.goes_on(found.get(0)?.end()) {
                return None;
            }
            let hour = in_part(part(&found, "h")?, part_of_day);
            let minute = found.name("m").map_or(Some(0), |minute| minute.as_str().parse().ok())?;
            Time::new(hour, minute, part(&found, "s").unwrap_or(0), 0).ok()
        })
    })
}

fn named(text: &Text) -> Option<Time> {
    match () {
        () if text.grammar.noon.is_match(&text.text) => Some(Time::constant(12, 0, 0, 0)),
        () if text.grammar.midnight.is_match(&text.text) => Some(Time::midnight()),
        () => None,
    }
}

/// «8 in the evening»: any number is the hour then.
fn hour(text: &Text, part_of_day: Part) -> Option<Time> {
    let found = text.grammar.number.captures(&text.text)?;
    Time::new(in_part(part(&found, "h")?, Some(part_of_day)), part(&found, "m").unwrap_or(0), 0, 0).ok()
}

/// The hour of the whole day.
fn in_part(hour: i8, part: Option<Part>) -> i8 {
    match part {
        Some(Part::Morning | Part::Night) if hour == 12 => 0,
        Some(Part::Noon) if (1..5).contains(&hour) => hour + 12,
        Some(Part::Evening) if (1..12).contains(&hour) => hour + 12,
        Some(Part::Night) if (5..12).contains(&hour) => hour + 12,
        _ => hour,
    }
}
