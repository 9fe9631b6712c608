//! Prompts of the host: a definition (`prompt.schema.json`) asks, and recognizes the answer, in every language alike.
//!
//! Nothing here does I/O or keeps state: the dialog engine stores the definition and the number of the attempt.
//!
//! **The rule.** What remains in an answer after a value was found is looked at (`remains`): a number, a month, a unit, «or»,
//! «not», «until» that was not read means that the answer is not understood, and the prompt asks again. Where an answer may mean
//! one of two values, the question names both ([`NotRecognized::readings`]). What each kind understands is listed in `docs/prompts.md`.
//!
//! **Libraries.** Taken: `strsim` for likeness of words, `jiff` for calendars, `regex` because it never backtracks. Considered
//! and not taken:
//!
//! - `text2num` for number words: it writes digits into the text, after which «4 hundred» and «4100» are hard to tell apart.
//! - `duckling` 0.4, a port of Facebook's: measured, it reads «vorgestern» as yesterday, «après-demain» as tomorrow and «halb
//!   neun» not at all, and needs a quarter of a second for 55 hostile characters.
//! - `interim`, `two_timer`, `chrono-english`, `fuzzydate`, `parse_datetime` and others know English only.
//! - The ports of Recognizers-Text are for JavaScript, Python, Java and .NET. ICU4X formats numbers and dates and parses
//!   neither.
//!
//! So the recognisers are ours: one grammar (`number`, `date`) over a table of words for each language (`language`).
//!
//! **Bounds.** Recognition looks at the first 500 characters of an answer, a bounded number of times for each word; likeness is
//! computed for short phrases only. A text is taken whole, of up to 2,000 characters where a pattern must match it.

mod answer;
mod ask;
mod attachment;
mod channels;
mod choice;
mod confirm;
mod date;
mod definition;
mod either;
mod language;
mod lexicon;
mod number;
mod remains;
mod text;

use jiff::Zoned;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use regex::Regex;
use serde_json::Value;

pub use self::channels::Place;
use self::choice::Choice;
pub use self::definition::READINGS;
use self::language::Language;
use crate::activity::{Activity, Object, composed, without_marks};

/// A prompt: what to ask, what answers it, and how often. Cheap to parse again for each turn.
#[derive(Debug)]
pub struct Prompt {
    kind: Kind,
    prompt: Option<Say>,
    retry: Option<Say>,
    attempts_max: u32,
    validator: Option<String>,
    locale: Option<String>,
    time_zone: Option<TimeZone>,
    /// `12/24` begins with the month, or not, whatever the locale says.
    month_first: Option<bool>,
    /// The values of which the question names two; the host stores them with the definition.
    readings: Vec<Value>,
}

/// A question.
#[derive(Debug, Clone)]
enum Say {
    Text(String),
    Activity(Object),
}

#[derive(Debug)]
enum Kind {
    Text {
        chars_min: usize,
        chars_max: usize,
        pattern: Option<Regex>,
    },
    Number {
        min: f64,
        max: f64,
        integer: bool,
    },
    /// The words for yes and no, where they are not the locale's.
    Confirm {
        choices: Vec<Choice>,
        style: Style,
    },
    Choice {
        choices: Vec<Choice>,
        style: Style,
        ordinals: bool,
        fuzzy: bool,
    },
    DateTime {
        types: Vec<date::Type>,
        earliest: Option<date::Bound>,
        latest: Option<date::Bound>,
    },
    Attachment {
        content_types: Vec<String>,
        count_max: usize,
    },
}

/// How choices are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Auto,
    Inline,
    List,
    SuggestedAction,
    HeroCard,
    None,
}

/// Why an answer does not fit. For logs; says nothing of what the user wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRecognized {
    /// The rule that it breaks.
    pub why: &'static str,
    /// The values of which the answer may mean either, as results of the prompt: two, or none.
    pub readings: Vec<Value>,
}

/// The time from which «tomorrow» counts, and how dates are written there.
#[derive(Debug, Clone)]
pub struct Now {
    /// The time on the user's clock.
    pub local: DateTime,
    /// The user's zone, for answers that name a moment in another one.
    pub zone: TimeZone,
    /// Whether `12/24` begins with the month where the prompt does not say so. None: as the locale writes it.
    pub month_first: Option<bool>,
}

/// The longest text that a pattern is tried on, in characters.
const MATCHED_CHARS_MAX: usize = 2_000;

impl Prompt {
    /// Reads a definition. The error names the member that breaks a rule.
    pub fn parse(definition: &Value) -> Result<Self, String> {
        definition::read(definition)
    }

    /// `text`, `number`, `confirm`, `choice`, `date-time` or `attachment`.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Text { .. } => "text",
            Kind::Number { .. } => "number",
            Kind::Confirm { .. } => "confirm",
            Kind::Choice { .. } => "choice",
            Kind::DateTime { .. } => "date-time",
            Kind::Attachment { .. } => "attachment",
        }
    }

    /// The zone that holds where the user's is not known.
    pub fn time_zone(&self) -> Option<&TimeZone> {
        self.time_zone.as_ref()
    }

    /// The readings that a stored definition holds, of which the last question named two.
    pub fn readings(&self) -> &[Value] {
        &self.readings
    }

    /// After so many answers that do not fit, the prompt fails.
    pub fn attempts_max(&self) -> u32 {
        self.attempts_max
    }

    /// The name of the guest's validator.
    pub fn validator(&self) -> Option<&str> {
        self.validator.as_deref()
    }

    /// Returns the question as an activity: `prompt` for attempt 0, then `retry`, or `prompt` again. None where the
    /// definition has none.
    pub fn ask(&self, attempt: u32, place: &Place<'_>, locale: &str) -> Option<Object> {
        let retry = self.retry.as_ref().filter(|_| attempt > 0);
        let say = retry.or(self.prompt.as_ref())?;
        let language = self.language(locale);
        let question = match &self.kind {
            Kind::Choice { choices, style, .. } => ask::with_choices(say, choices, *style, place, language),
            Kind::Confirm { choices, style } if choices.is_empty() => {
                ask::with_choices(say, &confirm::titles(language), *style, place, language)
            }
            Kind::Confirm { choices, style } => ask::with_choices(say, choices, *style, place, language),
            _ => ask::plain(say),
        };
        Some(question)
    }

    /// Returns what the answer means, as `prompt.schema.json` shapes it.
    ///
    /// `locale` is the answer's; where it is empty the prompt's own holds, then English. `now` is the user's local time,
    /// from which «tomorrow» counts, with their zone.
    pub fn recognize(&self, answer: &Activity, locale: &str, now: impl Into<Now>) -> Result<Value, NotRecognized> {
        let locale = self.locale(locale);
        let language = Language::of(locale);
        let text = || answer::text(answer, self.kind());
        if !self.readings.is_empty()
            && let Some(chosen) = self.chosen(&text())
        {
            return Ok(chosen.clone());
        }
        match &self.kind {
            Kind::Text { chars_min, chars_max, pattern } => {
                within_lengths_seen(&answer::whole_text(answer), *chars_min, *chars_max, pattern.as_ref())
            }
            Kind::Number { min, max, integer } => {
                let submitted = answer::submitted(answer, "number").and_then(Value::as_f64);
                let submitted = submitted.filter(|_| answer.spoken_text().is_empty());
                let number = match submitted {
                    Some(number) => number,
                    None => number::find(&text(), language, locale)?,
                };
                if *integer && number.fract() != 0.0 {
                    return Err(not("the number is not whole"));
                }
                if !(*min..=*max).contains(&number) {
                    return Err(not("the number is out of range"));
                }
                Ok(number::value(number))
            }
            Kind::Confirm { choices, .. } => {
                let found = confirm::find(answer, choices, language, locale);
                found.map(Value::Bool).ok_or_else(|| not("neither yes nor no"))
            }
            Kind::Choice { choices, ordinals, fuzzy, .. } => {
                let rules = choice::Rules { ordinals: *ordinals, fuzzy: *fuzzy };
                let found = choice::find(answer, &text(), choices, language, locale, &rules);
                found.map(|found| found.value(choices))
            }
            Kind::DateTime { types, earliest, latest } => {
                let picked = answer::picked(answer).filter(|_| answer.spoken_text().is_empty());
                let text = picked.unwrap_or_else(text);
                let now: Now = now.into();
                let question = date::Question {
                    types,
                    earliest: *earliest,
                    latest: *latest,
                    month_first: self
                        .month_first
                        .or(now.month_first)
                        .unwrap_or_else(|| language.is_month_first(locale)),
                    names_noon: language.compounds,
                    now: &now,
                };
                date::answer(&text, language, &question)
            }
            Kind::Attachment { content_types, count_max } => attachment::find(answer, content_types, *count_max),
        }
    }

    fn language(&self, locale: &str) -> &'static Language {
        Language::of(self.locale(locale))
    }

    fn locale<'a>(&'a self, locale: &'a str) -> &'a str {
        if locale.is_empty() { self.locale.as_deref().unwrap_or_default() } else { locale }
    }
}

/// The text where it fits, as it was written or as it is seen: without invisible characters and in normalization form NFC,
/// because the author of a pattern rarely considers them.
fn within_lengths_seen(text: &str, min: usize, max: usize, pattern: Option<&Regex>) -> Result<Value, NotRecognized> {
    let seen = without_marks(text);
    let seen = composed(&seen);
    match within_lengths(text, min, max, pattern) {
        Err(_) if pattern.is_some() => within_lengths(&seen, min, max, pattern).map(|()| Value::from(&*seen)),
        other => other.map(|()| Value::from(text)),
    }
}

fn within_lengths(text: &str, min: usize, max: usize, pattern: Option<&Regex>) -> Result<(), NotRecognized> {
    let chars = text.chars().count();
    if text.is_empty() || chars < min {
        return Err(not("the text is too short"));
    }
    if chars > max {
        return Err(not("the text is too long"));
    }
    // A pattern costs its size times the length of the text.
    match pattern {
        Some(_) if chars > MATCHED_CHARS_MAX => Err(not("the text is too long for a pattern")),
        Some(pattern) if !pattern.is_match(text) => Err(not("the text does not match the pattern")),
        _ => Ok(()),
    }
}

fn not(why: &'static str) -> NotRecognized {
    NotRecognized::because(why)
}

impl NotRecognized {
    fn because(why: &'static str) -> Self {
        Self { why, readings: Vec::new() }
    }
}

impl From<DateTime> for Now {
    /// A clock of which no zone is known: moments of other zones are read as of Greenwich.
    fn from(local: DateTime) -> Self {
        Self { local, zone: TimeZone::UTC, month_first: None }
    }
}

impl From<Zoned> for Now {
    fn from(now: Zoned) -> Self {
        Self { local: now.datetime(), zone: now.time_zone().clone(), month_first: None }
    }
}

impl std::fmt::Display for NotRecognized {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.why)
    }
}

impl std::error::Error for NotRecognized {}

#[cfg(test)]
mod tests;
