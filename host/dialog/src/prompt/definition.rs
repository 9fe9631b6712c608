//! Reads a prompt's definition, and says by name what is wrong with it.

use jiff::tz::TimeZone;
use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use super::choice::Choice;
use super::date::{self, Bound};
use super::{Kind, Prompt, Say, Style};

/// Where the host stores the readings that its last question named.
pub const READINGS: &str = "readings";
const ATTEMPTS_MAX: u64 = 100;
const CHOICES_MAX: usize = 100;
/// Of all choices together: each answer is compared with every one.
const SYNONYMS_MAX: usize = 1_000;
/// Characters that name the choices of one prompt: each answer is compared with all of them, on the host's time.
const PHRASES_CHARS_MAX: usize = 20_000;
const PATTERN_BYTES_MAX: usize = 1024;
const PATTERN_PROGRAM_BYTES_MAX: usize = 1 << 20;

pub(super) fn read(definition: &Value) -> Result<Prompt, String> {
    let Some(object) = definition.as_object() else { return Err("the prompt is no object".into()) };
    let attempts_max = match number(object, "attempts")? {
        None => ATTEMPTS_MAX,
        Some(attempts) if (1.0..=100.0).contains(&attempts) && attempts.fract() == 0.0 => attempts as u64,
        Some(_) => return Err("`attempts` must be a whole number from 1 to 100".into()),
    };
    Ok(Prompt {
        kind: kind(object)?,
        prompt: say(object, "prompt")?,
        retry: say(object, "retry")?,
        attempts_max: u32::try_from(attempts_max).unwrap_or(u32::MAX),
        validator: text(object, "validator")?.map(ToOwned::to_owned),
        locale: text(object, "locale")?.map(ToOwned::to_owned),
        time_zone: text(object, "time-zone")?.map(time_zone).transpose()?,
        month_first: match text(object, "date-order")? {
            None => None,
            Some("day-month") => Some(false),
            Some("month-day") => Some(true),
            Some(other) => return Err(format!("`date-order` is `{other}`; the orders are day-month, month-day")),
        },
        readings: object.get(READINGS).and_then(Value::as_array).cloned().unwrap_or_default(),
    })
}

fn time_zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| format!("`time-zone` is `{name}`, which is no zone of the IANA time zone database"))
}

fn kind(object: &Map<String, Value>) -> Result<Kind, String> {
    match text(object, "kind")? {
        Some("text") => text_kind(object),
        Some("number") => {
            let min = number(object, "min")?.unwrap_or(f64::NEG_INFINITY);
            let max = number(object, "max")?.unwrap_or(f64::INFINITY);
            if min > max {
                return Err(format!("`min` ({min}) is above `max` ({max})"));
            }
            Ok(Kind::Number { min, max, integer: flag(object, "integer", false)? })
        }
        Some("confirm") => {
            let choices = choices(object)?;
            if choices.len() != 2 && object.get("choices").is_some_and(|choices| !choices.is_null()) {
                return Err("`choices` of a confirm must be two: the words for yes and for no".into());
            }
            Ok(Kind::Confirm { choices, style: style(object)? })
        }
        Some("choice") => {
            let choices = choices(object)?;
            if choices.is_empty() {
                return Err("`choices` is missing or empty: there is nothing to choose from".into());
            }
            let (ordinals, fuzzy) = (flag(object, "ordinals", true)?, flag(object, "fuzzy", true)?);
            Ok(Kind::Choice { choices, style: style(object)?, ordinals, fuzzy })
        }
        Some("date-time") => {
            let types = strings(object, "types")?;
            let types = types.iter().map(|name| date::Type::named(name)).collect::<Result<Vec<_>, _>>()?;
            let (earliest, latest) = (moment(object, "earliest")?, moment(object, "latest")?);
            if let (Some(earliest), Some(latest)) = (earliest, latest)
                && earliest.is_after(latest)
            {
                return Err(format!("`earliest` ({earliest}) is after `latest` ({latest})"));
            }
            Ok(Kind::DateTime { types, earliest, latest })
        }
        Some("attachment") => {
            let count_max = count(object, "max-count", 1)?.unwrap_or(usize::MAX);
            Ok(Kind::Attachment { content_types: strings(object, "content-types")?, count_max })
        }
        Some(other) => {
            Err(format!("`kind` is `{other}`; the kinds are text, number, confirm, choice, date-time, attachment"))
        }
        None => Err("`kind` is missing".into()),
    }
}

fn text_kind(object: &Map<String, Value>) -> Result<Kind, String> {
    let chars_min = count(object, "min-length", 0)?.unwrap_or(1);
    let chars_max = count(object, "max-length", 0)?.unwrap_or(usize::MAX);
    if chars_min > chars_max {
        return Err(format!("`min-length` ({chars_min}) is above `max-length` ({chars_max})"));
    }
    Ok(Kind::Text { chars_min, chars_max, pattern: text(object, "pattern")?.map(pattern).transpose()? })
}

/// An engine without backtracking and a bound on the program: no pattern is exponential.
fn pattern(text: &str) -> Result<Regex, String> {
    if text.len() > PATTERN_BYTES_MAX {
        return Err(format!("`pattern` is longer than {PATTERN_BYTES_MAX} bytes"));
    }
    let build = |text: &str| {
        let mut builder = RegexBuilder::new(text);
        builder.size_limit(PATTERN_PROGRAM_BYTES_MAX).dfa_size_limit(PATTERN_PROGRAM_BYTES_MAX).build()
    };
    build(text).and_then(|_| build(&format!(r"\A(?:{text})\z"))).map_err(|error| {
        let why = error.to_string();
        format!("`pattern` is not usable: {}", why.lines().last().unwrap_or_default())
    })
}

fn choices(object: &Map<String, Value>) -> Result<Vec<Choice>, String> {
    let entries = match object.get("choices") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err("`choices` must be an array".into()),
    };
    if entries.len() > CHOICES_MAX {
        return Err(format!("`choices` has {} entries, at most {CHOICES_MAX} are allowed", entries.len()));
    }
    let choice =
        |(position, entry): (usize, &Value)| Choice::read(entry).map_err(|why| format!("`choices[{position}]` {why}"));
    let choices: Vec<Choice> = entries.iter().enumerate().map(choice).collect::<Result<_, _>>()?;
    let count: usize = choices.iter().map(|choice| choice.synonyms.len()).sum();
    if count > SYNONYMS_MAX {
        return Err(format!("`choices` have {count} synonyms together, at most {SYNONYMS_MAX} are allowed"));
    }
    let chars: usize = choices.iter().flat_map(Choice::phrases).map(|phrase| phrase.chars().count()).sum();
    if chars > PHRASES_CHARS_MAX {
        return Err(format!("`choices` have {chars} characters together, at most {PHRASES_CHARS_MAX} are allowed"));
    }
    Ok(choices)
}

fn style(object: &Map<String, Value>) -> Result<Style, String> {
    match text(object, "style")? {
        None | Some("auto") => Ok(Style::Auto),
        Some("inline") => Ok(Style::Inline),
        Some("list") => Ok(Style::List),
        Some("suggested-action") => Ok(Style::SuggestedAction),
        Some("hero-card") => Ok(Style::HeroCard),
        Some("none") => Ok(Style::None),
        Some(other) => {
            Err(format!("`style` is `{other}`; the styles are auto, inline, list, suggested-action, hero-card, none"))
        }
    }
}

fn say(object: &Map<String, Value>, member: &str) -> Result<Option<Say>, String> {
    match object.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(Say::Text(text.clone()))),
        Some(Value::Object(activity)) if activity.get("type").is_some_and(Value::is_string) => {
            crate::activity::Activity::check_types(activity).map_err(|error| format!("`{member}`: {error}"))?;
            Ok(Some(Say::Activity(activity.clone())))
        }
        Some(_) => Err(format!("`{member}` must be a text or an activity with a `type`")),
    }
}

fn text<'a>(object: &'a Map<String, Value>, member: &str) -> Result<Option<&'a str>, String> {
    match object.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{member}` must be a string")),
    }
}

fn strings(object: &Map<String, Value>, member: &str) -> Result<Vec<String>, String> {
    match object.get(member) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(value) => {
            serde_json::from_value(value.clone()).map_err(|_| format!("`{member}` must be an array of strings"))
        }
    }
}

fn number(object: &Map<String, Value>, member: &str) -> Result<Option<f64>, String> {
    match object.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or_else(|| format!("`{member}` must be a number")),
    }
}

fn flag(object: &Map<String, Value>, member: &str, default: bool) -> Result<bool, String> {
    match object.get(member) {
        None | Some(Value::Null) => Ok(default),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(format!("`{member}` must be true or false")),
    }
}

/// A bound of a date-time prompt.
fn moment(object: &Map<String, Value>, member: &str) -> Result<Option<Bound>, String> {
    let Some(text) = text(object, member)? else { return Ok(None) };
    let bound = Bound::parse(text)
        .ok_or_else(|| format!("`{member}` is no ISO 8601 date, time or date-time, nor `today` or `now`: {text}"))?;
    Ok(Some(bound))
}

/// A whole number from `min` on.
fn count(object: &Map<String, Value>, member: &str, min: usize) -> Result<Option<usize>, String> {
    match number(object, member)? {
        None => Ok(None),
        Some(count) if count.fract() == 0.0 && count >= min as f64 => Ok(Some(count as usize)),
        Some(_) => Err(format!("`{member}` must be a whole number, {min} or more")),
    }
}
