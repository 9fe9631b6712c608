//! What an answer says: its text without what the channel puts around it, or what a button or a card submits.

use serde_json::Value;

use crate::activity::{Activity, trimmed, without_marks};

/// The part of an answer that is looked at for yes and no, numbers, choices and dates, in characters.
pub(super) const CHARS_MAX: usize = 500;

/// The text, whole.
pub(super) fn whole_text(answer: &Activity) -> String {
    let text = answer.spoken_text();
    if !text.is_empty() {
        return text;
    }
    trimmed(submitted(answer, "text").and_then(Value::as_str).unwrap_or_default()).to_owned()
}

/// The part of the text that recognition looks at; without a text, what is submitted as text or number.
pub(super) fn text(answer: &Activity, kind: &str) -> String {
    let text = answer.heard_text();
    let text = match submitted(answer, kind) {
        Some(Value::String(value)) if text.is_empty() => trimmed(&without_marks(value)).to_owned(),
        Some(Value::Number(number)) if text.is_empty() && kind == "choice" => number.to_string(),
        _ => text,
    };
    text.chars().take(CHARS_MAX).collect()
}

/// The value of a button or a card: itself, its member `value` or named like the kind of the prompt, or its only member.
pub(super) fn submitted<'a>(answer: &'a Activity, kind: &str) -> Option<&'a Value> {
    let value = answer.object().get("value")?;
    let Some(object) = value.as_object() else { return Some(value).filter(|value| !value.is_null()) };
    let named = [kind, "value", "choice"].into_iter().find_map(|member| object.get(member));
    let only = object.values().next().filter(|_| object.len() == 1);
    named.or(only).filter(|value| !value.is_null() && !value.is_object() && !value.is_array())
}

/// The date and the time that a card submits as two members of their own.
pub(super) fn picked(answer: &Activity) -> Option<String> {
    let object = answer.object().get("value")?.as_object()?;
    let part = |member: &str| object.get(member).and_then(Value::as_str);
    let (date, time) = (part("date")?, part("time")?);
    (date.len() + time.len() < 64).then(|| format!("{date}T{time}"))
}
