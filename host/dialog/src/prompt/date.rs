//! Dates and times in answers: ISO 8601, the locale's way of writing them, and words.
//!
//! `read` finds the pieces of an answer, such as a weekday, a day of a month or a time of day; `combine` makes one moment of
//! them, or none where they contradict each other.

mod clock;
mod combine;
mod counted;
mod days;
mod feast;
mod read;
mod value;

use jiff::Unit;
use jiff::civil::DateTime;
use serde_json::Value;

pub(super) use self::value::{Bound, Found, Type};
use super::language::Language;
use super::lexicon::Mean;
use super::remains::{self, Spot};
use super::text::Text;
use super::{NotRecognized, Now};

/// What a prompt asks, and from where it counts.
pub(super) struct Question<'q> {
    pub(super) types: &'q [Type],
    /// A two-digit year is read so that it lies between them.
    pub(super) earliest: Option<Bound>,
    pub(super) latest: Option<Bound>,
    /// `12/24` begins with the month.
    pub(super) month_first: bool,
    /// The word for noon is one for a part of the day: «mittags».
    pub(super) names_noon: bool,
    pub(super) now: &'q Now,
}

/// Returns the result of the prompt: what a text says, as far as the prompt wants it and within its bounds.
pub(super) fn answer(text: &str, language: &Language, question: &Question<'_>) -> Result<Value, NotRecognized> {
    let fits = |found: &Found| found.is_within(question.earliest, question.latest, question.local());
    let found = find(text, language, question).map_err(|error| {
        let taken = |reading: &Value| Found::read(reading).and_then(|found| found.narrowed(question.types));
        let is_whole = |reading: &Value| taken(reading).is_some_and(|found| fits(&found) && found.value() == *reading);
        // Only values that the prompt takes may be chosen from.
        match error.readings.iter().all(is_whole) {
            true => error,
            false => NotRecognized::because(error.why),
        }
    })?;
    let found = found.narrowed(question.types);
    let found = found.ok_or_else(|| NotRecognized::because("a date or a time is missing"))?;
    match fits(&found) {
        true => Ok(found.value()),
        false => Err(NotRecognized::because("the date or time is out of range")),
    }
}

/// Returns the date and the time that a text says, as far as the prompt wants them.
///
/// Words count from `now`; a day without a year, and a weekday, is the next one. What is not read of the text, a day that no
/// calendar has, and two days of which one is to be chosen, are no answer.
fn find(text: &str, language: &Language, question: &Question<'_>) -> Result<Found, NotRecognized> {
    let text = Text::new(text, language);
    let pieces = read::pieces(&text, question);
    let spots: Vec<Spot> = pieces.iter().map(|piece| piece.spot).collect();
    if spots.is_empty() {
        return now(&text, question).ok_or_else(|| NotRecognized::because("there is no date or time"));
    }
    if remains::offers_any(&text, &spots) {
        let readings = combine::alternatives(&text, &pieces, question);
        return Err(NotRecognized { why: "there is more than one date or time", readings });
    }
    // Prices and shares are no hours.
    let is_price = (0..text.len()).any(|at| matches!(text.mark(at), Some('$' | '€' | '£' | '%')));
    if is_price || remains::unread(&text, &spots, &|_| false) {
        return Err(NotRecognized::because("something beside the date or time was not understood"));
    }
    combine::moment(&text, &pieces, question)
}

/// This moment, where nothing else is said.
fn now(text: &Text<'_>, question: &Question<'_>) -> Option<Found> {
    let start = (0..text.len()).find(|at| text.is(*at, Mean::Now).is_some())?;
    let end = text.is(start, Mean::Now)?;
    let is_all = !remains::unread(text, &[Spot { start, end }], &|_| false);
    let minute = question.now.local.round(Unit::Minute).ok()?;
    is_all.then(|| Found::at(minute))
}

impl Question<'_> {
    fn local(&self) -> DateTime {
        self.now.local
    }

    fn today(&self) -> jiff::civil::Date {
        self.now.local.date()
    }

    /// Whether the answer is to be of this kind and no other.
    fn wants_only(&self, kind: Type) -> bool {
        self.types == [kind]
    }
}
