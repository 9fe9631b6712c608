//! What words mean: the vocabulary in which a language's table is written, and the index by which words are found.

use std::collections::HashMap;

use super::text::split;

/// One meaning of a word or a phrase. A word may have several: «mañana» is tomorrow and the morning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mean {
    /// A whole number below 1,000.
    Num(u16),
    /// Multiplies the number before it: «hundred», «lakh», «dozen».
    Scale(f64),
    /// The same only right behind digits: `10k`.
    Glued(f64),
    /// «third».
    Ordinal(u16),
    /// One part of so many: «half» is 2.
    Share(u16),
    /// «einhalb»: half more than the number before it.
    HalfMore,
    /// «anderthalb».
    OneAndHalf,
    /// one «over» three.
    Over,
    /// «drei Komma fünf».
    Point,
    /// «minus five».
    Minus,
    /// Counts as one where nothing else is a number.
    Article,
    /// 1 is January.
    Month(i8),
    /// 0 is Monday.
    Weekday(i8),
    /// Days from today.
    Day(i8),
    /// A unit of time.
    Unit(Unit),
    /// «next».
    Turn(Turn),
    /// A part of the day.
    Part(Part),
    /// A part of a day, so many days from today: «tonight», «last night».
    DayPart(i8, Part),
    /// Noon.
    Noon,
    /// Midnight.
    Midnight,
    /// A named hour: «mid-morning».
    Hour(i8),
    /// A day that each year has: «Christmas».
    Feast(Feast),
    /// This moment.
    Now,
    /// «at» eight.
    At,
    /// eight «o'clock».
    Clock,
    /// «halb» neun.
    HalfTo,
    /// «dreiviertel» neun.
    QuarterTo,
    /// ten «past» nine.
    PastHour,
    /// ten «to» nine.
    ToHour,
    /// nine «y» diez.
    More,
    /// nine «menos» diez.
    Less,
    /// «in» three days.
    In,
    /// «for» three days, which is no moment.
    For,
    /// «hace» tres días.
    Since,
    /// three days «ago».
    Ago,
    /// three days «from now».
    Later,
    /// three days «after» Monday.
    After,
    /// three days «before» Monday.
    Before,
    /// A zone, in minutes east of Greenwich.
    Zone(i16),
    /// «or».
    Or,
    /// «not».
    Not,
    /// «and».
    And,
    /// «of».
    Of,
    /// «on» Monday.
    On,
    /// «the».
    The,
    /// Stands between values or before one and makes it a range: «to», «from».
    Bound,
    /// Is never part of a single value: «every», «between», «until», «at least», «weekend», «Christmas».
    Open,
    /// Means nothing beside a value: «please».
    Filler,
}

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Fortnight,
    Month,
    Year,
}

/// A day of each year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feast {
    /// A month and a day of it.
    On(i8, i8),
    /// Days from Easter Sunday.
    Easter(i8),
}

/// Which of the days or weeks of a name is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Of the next week.
    Next,
    /// The first after today.
    Coming,
    /// Of this week.
    This,
    /// The last before today, or that of last week.
    Last,
    /// The last before today.
    Past,
    /// Of the week after next.
    AfterNext,
}

/// A part of the day, which tells 8:00 from 20:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Before noon, as `am`.
    Am,
    /// After noon, as `pm`.
    Pm,
    Morning,
    Noon,
    Afternoon,
    Evening,
    Night,
}

/// How much a word that was not read matters to the value beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// Not at all.
    None,
    /// Beside a value, or beside another word that matters.
    Near,
    /// Wherever it stands.
    Always,
}

/// A meaning of a phrase of some words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sense {
    /// The number of words.
    pub(super) len: usize,
    pub(super) mean: Mean,
    /// The word is more often another one: «may», «second», «sun».
    pub(super) is_weak: bool,
}

/// The table of a language by the first word of each phrase.
pub(super) struct Lexicon {
    entries: HashMap<String, Vec<Entry>>,
}

struct Entry {
    /// The words after the first.
    rest: Vec<String>,
    mean: Mean,
    is_weak: bool,
}

impl Mean {
    /// How much it matters where it is left over.
    pub(super) fn weight(self) -> Weight {
        match self {
            Self::Article
            | Self::The
            | Self::Of
            | Self::On
            | Self::At
            | Self::And
            | Self::Over
            | Self::In
            | Self::For
            | Self::More
            | Self::Filler
            | Self::Now
            | Self::Zone(_)
            | Self::Point => Weight::None,
            Self::Turn(_)
            | Self::Unit(Unit::Day)
            | Self::Bound
            | Self::Since
            | Self::Later
            | Self::After
            | Self::Before
            | Self::PastHour
            | Self::ToHour
            | Self::Less
            | Self::Minus
            | Self::HalfMore
            | Self::Glued(_) => Weight::Near,
            _ => Weight::Always,
        }
    }

    /// Whether it matters behind a value too, and not only before one: «friday next».
    pub(super) fn looks_back(self) -> bool {
        matches!(self, Self::Turn(_) | Self::Later | Self::Less | Self::HalfMore | Self::Glued(_))
            || self.weight() == Weight::Always
    }

    /// Whether German writes it as a part of a longer word: «dreiundzwanzig», «Samstagabend».
    fn compounds(self) -> bool {
        matches!(
            self,
            Self::Num(_)
                | Self::Scale(_)
                | Self::Ordinal(_)
                | Self::Share(_)
                | Self::HalfMore
                | Self::And
                | Self::In
                | Self::For
                | Self::Weekday(_)
                | Self::Part(_)
                | Self::Day(_)
                | Self::Unit(_)
        )
    }
}

impl Sense {
    pub(super) fn weight(self) -> Weight {
        match self.mean.weight() {
            Weight::Always if self.is_weak => Weight::Near,
            weight => weight,
        }
    }
}

impl Lexicon {
    /// Indexes tables of phrases, separated by `|`. A `?` before a phrase makes it weak.
    pub(super) fn new<'t>(tables: impl IntoIterator<Item = (Mean, &'t str)>) -> Self {
        let mut entries: HashMap<String, Vec<Entry>> = HashMap::with_capacity(1024);
        for (mean, phrases) in tables {
            for phrase in phrases.split('|') {
                let weak = phrase.strip_prefix('?');
                let mut words = split(weak.unwrap_or(phrase)).into_iter();
                let Some(first) = words.next() else { continue };
                let entry = Entry { rest: words.collect(), mean, is_weak: weak.is_some() };
                entries.entry(first).or_default().push(entry);
            }
        }
        for known in entries.values_mut() {
            known.sort_by_key(|entry| std::cmp::Reverse(entry.rest.len()));
        }
        Self { entries }
    }

    /// Appends the meanings of the phrases that begin with these words, the longest first.
    pub(super) fn senses<'w>(&self, words: impl Iterator<Item = &'w str> + Clone, into: &mut Vec<Sense>) {
        let mut words = words;
        let Some(known) = words.next().and_then(|first| self.entries.get(first)) else { return };
        let is_said = |entry: &&Entry| {
            let mut said = words.clone();
            entry.rest.iter().all(|word| said.next() == Some(word.as_str()))
        };
        into.extend(known.iter().filter(is_said).map(|entry| Sense {
            len: entry.rest.len() + 1,
            mean: entry.mean,
            is_weak: entry.is_weak,
        }));
    }

    /// Whether a number may begin with this word.
    pub(super) fn may_count(&self, word: &str) -> bool {
        let counts = |mean| {
            matches!(
                mean,
                Mean::Num(_) | Mean::Scale(_) | Mean::Ordinal(_) | Mean::Share(_) | Mean::OneAndHalf | Mean::Minus
            )
        };
        self.entries.get(word).is_some_and(|known| known.iter().any(|entry| counts(entry.mean)))
    }

    /// Returns where a word divides into known ones, none where it does not. Each part is a number, a day or a part of it.
    pub(super) fn parts(&self, word: &str) -> Option<Vec<usize>> {
        if self.entries.contains_key(word) || !(5..=60).contains(&word.len()) || !word.is_ascii() {
            return None;
        }
        let is_part = |part: &str| {
            let entries = self.entries.get(part);
            entries.is_some_and(|known| known.iter().any(|entry| entry.rest.is_empty() && entry.mean.compounds()))
        };
        // The best division of each beginning of the word: where its last part starts.
        let mut last: Vec<Option<usize>> = vec![None; word.len() + 1];
        for end in 2..=word.len() {
            let starts = (0..end - 1).filter(|start| *start == 0 || last.get(*start).is_some_and(Option::is_some));
            let start = starts.into_iter().find(|start| word.get(*start..end).is_some_and(is_part));
            if let Some(slot) = last.get_mut(end) {
                *slot = start;
            }
        }
        let mut cuts = Vec::new();
        let mut end = word.len();
        while let Some(start) = last.get(end).copied().flatten() {
            if start == 0 {
                cuts.reverse();
                return Some(cuts);
            }
            cuts.push(start);
            end = start;
        }
        None
    }
}
