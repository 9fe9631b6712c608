//! The pieces of an answer: each is a weekday, a day, a time of day and so on, with the words that it covers.

use jiff::civil::{Date, DateTime};

use super::clock::{self, Hour};
use super::{Question, counted, days, feast};
use crate::prompt::lexicon::{Part, Turn};
use crate::prompt::remains::Spot;
use crate::prompt::text::Text;

/// A piece of an answer and the words that say it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Piece {
    pub(super) spot: Spot,
    pub(super) says: Says,
}

/// What a piece says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Says {
    /// A day of a month, with its year or without.
    Day(Day),
    /// A day that is counted from today, or from another.
    Date(Date),
    Weekday {
        day: i8,
        turn: Option<Turn>,
    },
    /// «the 24th».
    Number(i8),
    /// «next week», in weeks or months from this one.
    Week(i64),
    Month(i64),
    /// «in a week», of which a weekday may be meant.
    Weeks {
        date: Date,
        weeks: i64,
    },
    /// «in 20 minutes».
    Moment(DateTime),
    Part {
        part: Part,
        day: Option<i8>,
    },
    Time(Hour),
    /// A number that is nothing by itself: «15».
    Bare {
        hour: i8,
        minute: Option<i8>,
    },
    /// Words that are a day, a time or a span that no single value has: «in May», «3 hours», the 31st of November.
    Unfit,
}

/// A day of a month.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Day {
    pub(super) year: Option<Year>,
    pub(super) month: i8,
    pub(super) day: i8,
}

/// A year, whole or by its last two digits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Year {
    Whole(i16),
    Short(i16),
}

/// A reader: the piece that begins at a token, and where it ends.
type Reader = fn(&Text<'_>, usize, &Question<'_>) -> Option<(Says, usize)>;

/// Where two pieces are as long, the first reader's counts.
const READERS: [Reader; 14] = [
    days::iso,
    days::numeric,
    days::by_names,
    days::named,
    days::next_day,
    feast::feast,
    clock::time,
    counted::counted,
    days::in_month,
    days::weekday,
    days::relative,
    days::of_month,
    clock::part_of_day,
    clock::bare,
];

/// Returns the pieces of a text from its beginning, each time the longest.
pub(super) fn pieces(text: &Text<'_>, question: &Question<'_>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match piece(text, at, question) {
            Some(piece) => {
                at = piece.spot.end;
                pieces.push(piece);
            }
            // A phrase hides the words within it: «why not» is no «not».
            None => at += text.senses(at).first().map_or(1, |sense| sense.len),
        }
    }
    pieces
}

fn piece(text: &Text<'_>, at: usize, question: &Question<'_>) -> Option<Piece> {
    if text.senses(at).is_empty() && !text.is_digits(at) {
        return None;
    }
    let mut best: Option<(Says, usize)> = None;
    for read in READERS {
        if let Some((says, end)) = read(text, at, question)
            && best.is_none_or(|(_, longest)| end > longest)
        {
            best = Some((says, end));
        }
    }
    let known = text.senses(at).first().map_or(0, |sense| sense.len);
    let (says, end) = best.filter(|(_, end)| *end >= at + known)?;
    Some(Piece { spot: Spot { start: at, end }, says })
}
