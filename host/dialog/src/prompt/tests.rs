//! What people answer, and what it means, language by language.

mod attachments;
mod choices;
mod confirms;
mod dates;
mod definitions;
mod faults;
mod hostile;
mod numbers;
mod questions;

use jiff::civil::{DateTime, date};
use serde_json::{Value, json};

use super::Prompt;
use crate::activity::Activity;

/// A Friday.
fn now() -> DateTime {
    date(2026, 11, 20).at(15, 30, 0, 0)
}

fn answer(members: &Value) -> Activity {
    let mut activity = json!({ "type": "message", "conversation": { "id": "c" } });
    for (member, value) in members.as_object().unwrap() {
        activity[member] = value.clone();
    }
    Activity::parse(&activity.to_string()).unwrap()
}

/// What a text means to a prompt.
fn recognize(definition: &Value, locale: &str, text: &str) -> Option<Value> {
    let prompt = Prompt::parse(definition).unwrap();
    prompt.recognize(&answer(&json!({ "text": text })), locale, now()).ok()
}
