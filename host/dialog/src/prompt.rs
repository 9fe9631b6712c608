//! Prompts of the host: a definition (`prompt.schema.json`) asks, and recognizes the answer, in every language alike.
//!
//! Nothing here does I/O or keeps state: the dialog engine stores the definition and the number of the attempt.
//!
//! **Libraries.** Taken: `text2num` for number words (English, German, Spanish, French; maintained; linear), `strsim` for
//! likeness of words, `jiff` for calendars, `regex` because it never backtracks. Considered for dates and not taken:
//!
//! - `duckling` 0.4, a port of Facebook's, maintained, speaks all four languages: measured, it reads «vorgestern» as
//!   yesterday, «après-demain» as tomorrow, «heute morgen» as tomorrow and «halb neun» not at all, and needs a quarter of a
//!   second for 55 hostile characters. A wrong date is worse than none, and the host must stay quick.
//! - `interim`, `two_timer`, `chrono-english`, `fuzzydate`, `parse_datetime`, `date_time_parser` and
//!   `date_time_parser_multi_language` (whose languages are one) know English only, `whenparse` English and Russian.
//! - The ports of Recognizers-Text are for JavaScript, Python, Java and .NET. ICU4X formats numbers and dates and parses
//!   neither.
//!
//! So `date` and `language` are ours: one grammar over a table of words for each language.
//!
//! **Bounds.** Recognition looks at the first 500 characters of an answer, once for each pattern of the language and each
//! phrase of the choices; likeness is computed for short phrases only. A text is taken whole, of up to 2,000 characters where a
//! pattern must match it.

mod answer;
mod ask;
mod attachment;
mod channels;
mod choice;
mod confirm;
mod date;
mod definition;
mod language;
mod number;

use jiff::civil::DateTime;
use regex::Regex;
use serde_json::Value;

pub use self::channels::Place;
use self::choice::Choice;
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
    /// from which «tomorrow» counts.
    pub fn recognize(&self, answer: &Activity, locale: &str, now: DateTime) -> Result<Value, NotRecognized> {
        let locale = self.locale(locale);
        let language = Language::of(locale);
        let text = || answer::text(answer, self.kind());
        match &self.kind {
            Kind::Text { chars_min, chars_max, pattern } => {
                let text = answer::whole_text(answer);
                let fits = |text: &str| within_lengths(text, *chars_min, *chars_max, pattern.as_ref());
                let seen = without_marks(&text);
                let seen = composed(&seen);
                match pattern {
                    // Match also without invisible characters and in normalization form NFC, because the author of a
                    // pattern rarely considers them.
                    Some(_) if fits(&text).is_err() => fits(&seen).map(|()| Value::from(&*seen)),
                    _ => fits(&text).map(|()| Value::from(text.as_str())),
                }
            }
            Kind::Number { min, max, integer } => {
                let submitted = answer::submitted(answer, "number").and_then(Value::as_f64);
                let submitted = submitted.filter(|_| answer.spoken_text().is_empty());
                let number = submitted.or_else(|| number::find(&text(), language, locale));
                let number = number.ok_or_else(|| not("there is no number"))?;
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
                found.map(|found| found.value(choices)).ok_or_else(|| not("none of the choices, or more than one"))
            }
            Kind::DateTime { types, earliest, latest } => {
                let picked = answer::picked(answer).filter(|_| answer.spoken_text().is_empty());
                let text = picked.unwrap_or_else(text);
                let found = date::find(&text, language, locale, types, now);
                let found = found.ok_or_else(|| not("there is no date or time"))?;
                let fit = found.narrowed(types).ok_or_else(|| not("a date or a time is missing"))?;
                match fit.is_within(*earliest, *latest, now) {
                    true => Ok(fit.value()),
                    false => Err(not("the date or time is out of range")),
                }
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
    NotRecognized { why }
}

impl std::fmt::Display for NotRecognized {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.why)
    }
}

impl std::error::Error for NotRecognized {}

#[cfg(test)]
mod tests;
