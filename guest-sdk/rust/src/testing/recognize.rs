//! Prompts in a test: the question, and answers in their simplest form.

use std::cmp::Ordering;

use regex::Regex;
use serde_json::{Value, json};

use crate::Activity;

/// Returns what is wrong with a prompt, if anything is.
pub(super) fn problem(definition: &Value) -> Option<String> {
    let choices = definition["choices"].as_array().map_or(0, Vec::len);
    match definition["kind"].as_str() {
        Some("choice") if choices == 0 => Some("`choices` is missing or empty: there is nothing to choose from".into()),
        Some("confirm") if !matches!(choices, 0 | 2) => {
            Some("`choices` of a confirm must be two: the words for yes and for no".into())
        }
        Some("text") => definition["pattern"].as_str().and_then(|pattern| whole(pattern).err()),
        Some("number" | "confirm" | "choice" | "date-time" | "attachment") => None,
        Some(other) => Some(format!("the kind of prompt `{other}` is unknown")),
        None => Some("`kind` is missing".into()),
    }
}

/// Returns the question of a prompt, with its choices as suggested actions; none where it has none.
pub(super) fn question(definition: &Value, attempt: u32) -> Option<Activity> {
    let retry = definition.get("retry").filter(|_| attempt > 0);
    let mut question = match retry.or_else(|| definition.get("prompt"))? {
        Value::String(text) => Activity::message(text.as_str()),
        Value::Object(activity) => Activity::from_object(activity.clone()),
        _ => return None,
    };
    let shown = |choice: &Value| match choice {
        Value::String(text) => text.clone(),
        _ => choice["title"].as_str().or_else(|| choice["value"].as_str()).unwrap_or_default().to_owned(),
    };
    for choice in definition["choices"].as_array().into_iter().flatten() {
        question = question.suggest(shown(choice));
    }
    Some(question)
}

/// Returns what an answer means, or none where it does not fit. `now` is in milliseconds since 1970, where the answer does
/// not say when it was written.
pub(super) fn recognize(definition: &Value, answer: &Activity, now: u64) -> Option<Value> {
    let text = answer.text.as_deref().unwrap_or_default().trim();
    match definition["kind"].as_str()? {
        "text" => {
            let least = definition["min-length"].as_u64().unwrap_or(1).max(1);
            let most = definition["max-length"].as_u64().unwrap_or(u64::MAX);
            let fits = (least..=most).contains(&(text.chars().count() as u64));
            let matches = |pattern: &str| whole(pattern).is_ok_and(|pattern| pattern.is_match(text));
            (fits && definition["pattern"].as_str().is_none_or(matches)).then(|| text.into())
        }
        "number" => number(definition, text),
        "confirm" => confirm(definition, text),
        "choice" => choice(definition, text),
        "date-time" => moment(definition, text, &answer.local_timestamp.clone().unwrap_or_else(|| iso(now))),
        "attachment" => attachments(definition, answer),
        _ => None,
    }
}

/// A pattern that must match a whole text.
fn whole(pattern: &str) -> Result<Regex, String> {
    Regex::new(&format!(r"\A(?:{pattern})\z")).map_err(|error| format!("`pattern` is not usable: {error}"))
}

fn number(definition: &Value, text: &str) -> Option<Value> {
    let number: f64 = text.parse().ok()?;
    let least = definition["min"].as_f64().unwrap_or(f64::NEG_INFINITY);
    let most = definition["max"].as_f64().unwrap_or(f64::INFINITY);
    if !(least..=most).contains(&number) {
        return None;
    }
    match text.parse::<i64>() {
        Ok(whole) => Some(whole.into()),
        Err(_) if definition["integer"] == true => None,
        Err(_) => Some(number.into()),
    }
}

fn confirm(definition: &Value, text: &str) -> Option<Value> {
    if definition["choices"].is_array() {
        return choice(definition, text).map(|chosen| (chosen["index"] == 0).into());
    }
    match text.to_lowercase().as_str() {
        "yes" | "y" => Some(true.into()),
        "no" | "n" => Some(false.into()),
        _ => None,
    }
}

fn choice(definition: &Value, text: &str) -> Option<Value> {
    let choices = definition["choices"].as_array()?;
    let value = |choice: &Value| choice.as_str().or_else(|| choice["value"].as_str()).unwrap_or_default().to_owned();
    let says = |choice: &Value| {
        let synonyms = choice["synonyms"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let words = choice["title"].as_str().into_iter().chain(synonyms);
        words.chain([value(choice).as_str()]).any(|word| word.eq_ignore_ascii_case(text))
    };
    let by_number = || text.parse::<usize>().ok()?.checked_sub(1).filter(|index| *index < choices.len());
    let index = choices.iter().position(says).or_else(by_number)?;
    Some(json!({ "value": value(&choices[index]), "index": index, "score": 1.0, "synonym": text }))
}

/// ISO 8601 only. `now` is a moment of that form.
fn moment(definition: &Value, text: &str, now: &str) -> Option<Value> {
    let form = |pattern: &str| {
        text.len() == pattern.len()
            && text.bytes().zip(pattern.bytes()).all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                other => byte == other,
            })
    };
    let kind = match () {
        () if form("0000-00-00") => "date",
        () if form("00:00:00") => "time",
        () if form("0000-00-00T00:00:00") => "date-time",
        () => return None,
    };
    let types = definition["types"].as_array();
    let wanted = types.is_none_or(|types| types.is_empty() || types.iter().any(|known| known == kind));
    let order = |bound: &str| {
        let bound = match definition[bound].as_str()? {
            "today" => now.get(..10)?,
            "now" => now.get(..19)?,
            fixed => fixed,
        };
        // A date and a moment compare by their dates; a time bounds times only.
        let length = text.len().min(bound.len());
        let is_time = |moment: &str| moment.as_bytes().get(2) == Some(&b':');
        (is_time(text) == is_time(bound)).then(|| text.get(..length).cmp(&bound.get(..length)))
    };
    let within = order("earliest").is_none_or(Ordering::is_ge) && order("latest").is_none_or(Ordering::is_le);
    (wanted && within).then(|| json!({ "type": kind, "value": text }))
}

/// ISO 8601 of a time in milliseconds since 1970, without offset.
fn iso(milliseconds: u64) -> String {
    let (days, seconds) = (milliseconds / 86_400_000, milliseconds / 1000 % 86_400);
    // Days are counted in eras of 400 years that begin with a March.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let (from_march, day) = ((5 * of_year + 2) / 153, of_year - (153 * ((5 * of_year + 2) / 153) + 2) / 5 + 1);
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn attachments(definition: &Value, answer: &Activity) -> Option<Value> {
    let most = definition["max-count"].as_u64().unwrap_or(u64::MAX);
    let types: Vec<&str> =
        definition["content-types"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let fits = |kind: &str| {
        let covers = |wanted: &&str| match wanted.strip_suffix('*') {
            Some(group) => *wanted == "*/*" || kind.starts_with(group),
            None => *wanted == kind,
        };
        types.is_empty() || types.iter().any(covers)
    };
    let all = &answer.attachments;
    let good = !all.is_empty() && all.len() as u64 <= most && all.iter().all(|file| fits(&file.content_type));
    good.then(|| json!(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_a_day_of_the_calendar() {
        for (milliseconds, moment) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_400_000, "2000-02-29T00:00:00"),
            (1_798_761_599_999, "2026-12-31T23:59:59"),
            (4_107_542_400_000, "2100-03-01T00:00:00"),
        ] {
            assert_eq!(iso(milliseconds), moment);
        }
    }

    #[test]
    fn moments_keep_within_their_bounds() {
        for (bound, text, fits) in [
            ("2026-06-01", "2026-05-31", false),
            ("2026-06-01", "2026-06-01T08:00:00", true),
            ("2026-06-01T12:00:00", "2026-06-01", true),
            ("2026-06-01T12:00:00", "2026-06-01T08:00:00", false),
            ("09:00:00", "08:00:00", false),
            ("09:00:00", "2026-06-01", true),
            ("today", "2026-05-31", false),
            ("today", "2026-06-01", true),
            ("now", "2026-06-01T11:59:59", false),
        ] {
            let definition = json!({ "kind": "date-time", "earliest": bound });
            let found = moment(&definition, text, "2026-06-01T12:00:00+02:00");
            assert_eq!(found.is_some(), fits, "{text} from {bound}");
        }
    }
}
