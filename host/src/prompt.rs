//! Prompts of the host: a definition (`prompt.schema.json`) asks, and recognizes the answer, in every language alike.
//!
//! Nothing here does I/O or keeps state: the dialog engine stores the definition and the number of the attempt.
//!
//! **Libraries.** Number words come from `text2num` (English, German, Spanish and French; maintained). Likeness of words
//! comes from `strsim`, calendars from `jiff`. For dates in words there is nothing kept that speaks the four languages:
//! `interim`, `two_timer`, `chrono-english`, `fuzzydate` and `parse_datetime` know English only, `event_parser` and the
//! Rust ports of Recognizers-Text are abandoned, and ICU4X formats but does not parse. So `date` and `language` are ours:
//! one grammar over a table of words for each language.

mod ask;
mod choice;
mod date;
mod definition;
mod language;
mod number;

use jiff::civil::DateTime;
use regex::Regex;
use serde_json::{Value, json};

use self::choice::Choice;
use self::language::Language;
use crate::activity::{Activity, Object};

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
        earliest: Option<DateTime>,
        latest: Option<DateTime>,
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

/// The part of an answer that is looked at, in characters.
const ANSWER_CHARS_MAX: usize = 2_000;

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
    pub fn ask(&self, attempt: u32, channel_id: &str, locale: &str) -> Option<Object> {
        let retry = self.retry.as_ref().filter(|_| attempt > 0);
        let say = retry.or(self.prompt.as_ref())?;
        let language = self.language(locale);
        let question = match &self.kind {
            Kind::Choice { choices, style, .. } => ask::with_choices(say, choices, *style, channel_id, language),
            Kind::Confirm { choices, style } if choices.is_empty() => {
                let choices = [language.yes_title, language.no_title].map(Choice::of);
                ask::with_choices(say, &choices, *style, channel_id, language)
            }
            Kind::Confirm { choices, style } => ask::with_choices(say, choices, *style, channel_id, language),
            _ => ask::plain(say),
        };
        Some(question)
    }

    /// Returns what the answer means, as `prompt.schema.json` shapes it.
    ///
    /// `locale` is the answer's; where it is empty the prompt's own holds, then English. `now` is the user's local time,
    /// from which «tomorrow» counts.
    pub fn recognize(&self, answer: &Activity, locale: &str, now: DateTime) -> Result<Value, NotRecognized> {
        let language = self.language(locale);
        let text: String = answer.spoken_text().chars().take(ANSWER_CHARS_MAX).collect();
        match &self.kind {
            Kind::Text { chars_min, chars_max, pattern } => {
                let chars = text.chars().count();
                if text.is_empty() || chars < *chars_min {
                    return Err(not("the text is too short"));
                }
                if chars > *chars_max || answer.str("text").chars().count() > ANSWER_CHARS_MAX {
                    return Err(not("the text is too long"));
                }
                match pattern {
                    Some(pattern) if !pattern.is_match(&text) => Err(not("the text does not match the pattern")),
                    _ => Ok(Value::from(text)),
                }
            }
            Kind::Number { min, max, integer } => {
                let spoken = answer.object().get("value").and_then(Value::as_f64).filter(|_| text.is_empty());
                let number =
                    spoken.or_else(|| number::find(&text, language)).ok_or_else(|| not("there is no number"))?;
                if *integer && number.fract() != 0.0 {
                    return Err(not("the number is not whole"));
                }
                if !(*min..=*max).contains(&number) {
                    return Err(not("the number is out of range"));
                }
                Ok(number::value(number))
            }
            Kind::Confirm { choices, .. } => confirm(answer, &text, choices, language),
            Kind::Choice { choices, ordinals, fuzzy, .. } => {
                let found = choice::find(answer, &text, choices, language, *ordinals, *fuzzy);
                found.ok_or_else(|| not("none of the choices, or more than one"))
            }
            Kind::DateTime { types, earliest, latest } => {
                let locale = if locale.is_empty() { self.locale.as_deref().unwrap_or_default() } else { locale };
                let text = match answer.object().get("value").and_then(Value::as_str) {
                    Some(value) if text.is_empty() => value.to_owned(),
                    _ => text,
                };
                let found = date::find(&text, language, locale, now).ok_or_else(|| not("there is no date or time"))?;
                let fit = found.narrowed(types).ok_or_else(|| not("a date or a time is missing"))?;
                fit.within(*earliest, *latest).ok_or_else(|| not("the date or time is out of range"))?;
                Ok(fit.value())
            }
            Kind::Attachment { content_types, count_max } => attachments(answer, content_types, *count_max),
        }
    }

    fn language(&self, locale: &str) -> &'static Language {
        let locale = if locale.is_empty() { self.locale.as_deref().unwrap_or_default() } else { locale };
        Language::of(locale)
    }
}

fn confirm(answer: &Activity, text: &str, choices: &[Choice], language: &Language) -> Result<Value, NotRecognized> {
    if let Some(Value::Bool(pressed)) = answer.object().get("value") {
        return Ok(Value::Bool(*pressed));
    }
    if !choices.is_empty()
        && let Some(found) = choice::find(answer, text, choices, language, true, true)
    {
        return Ok(Value::Bool(found["index"] == 0));
    }
    let words = language::words(text);
    let (yes, no) = (language::says(&words, language.yes), language::says(&words, language.no));
    match (yes, no) {
        (true, false) => Ok(Value::Bool(true)),
        (false, true) => Ok(Value::Bool(false)),
        _ => Err(not("neither yes nor no")),
    }
}

fn attachments(answer: &Activity, content_types: &[String], count_max: usize) -> Result<Value, NotRecognized> {
    let all = answer.object().get("attachments").and_then(Value::as_array).cloned().unwrap_or_default();
    if all.is_empty() {
        return Err(not("there is no attachment"));
    }
    let fits = |attachment: &Value| {
        let kind = attachment["contentType"].as_str().unwrap_or_default();
        content_types.is_empty() || content_types.iter().any(|wanted| covers(wanted, kind))
    };
    if !all.iter().all(fits) {
        return Err(not("an attachment is of another type"));
    }
    if all.len() > count_max {
        return Err(not("there are too many attachments"));
    }
    Ok(json!(all))
}

/// Whether `image/*` or `*/*` or a media type covers another.
fn covers(wanted: &str, kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    match wanted.split_once('/') {
        Some(("*", "*")) => true,
        Some((group, "*")) => kind.split('/').next().is_some_and(|other| other.eq_ignore_ascii_case(group)),
        _ => wanted.eq_ignore_ascii_case(kind),
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
