//! Questions as activities, with the choices shown as the channel can.

use serde_json::{Value, json};

use super::choice::Choice;
use super::language::Language;
use super::{Say, Style};
use crate::activity::Object;

/// Longer titles do not fit on a button of every channel.
const TITLE_CHARS_MAX: usize = 20;
/// More choices than this are unreadable within a sentence.
const INLINE_MAX: usize = 3;

pub(super) fn plain(say: &Say) -> Object {
    let mut question = match say {
        Say::Text(text) => json!({ "type": "message", "text": text }).as_object().cloned().unwrap_or_default(),
        Say::Activity(activity) => activity.clone(),
    };
    question.entry("inputHint").or_insert_with(|| "expectingInput".into());
    question
}

pub(super) fn with_choices(
    say: &Say,
    choices: &[Choice],
    style: Style,
    channel_id: &str,
    language: &Language,
) -> Object {
    let mut question = plain(say);
    let text = question.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
    match if style == Style::Auto { best(choices, channel_id) } else { style } {
        Style::Inline => _ = question.insert("text".into(), inline(&text, choices, language).into()),
        Style::List => _ = question.insert("text".into(), list(&text, choices).into()),
        Style::HeroCard => {
            question.shift_remove("text");
            let card = json!({ "text": text, "buttons": buttons(choices) });
            let card = json!({ "contentType": "application/vnd.microsoft.card.hero", "content": card });
            match question.get_mut("attachments").and_then(Value::as_array_mut) {
                Some(attachments) => attachments.push(card),
                None => _ = question.insert("attachments".into(), json!([card])),
            }
        }
        Style::SuggestedAction => {
            question.insert("suggestedActions".into(), json!({ "actions": buttons(choices) }));
        }
        Style::Auto | Style::None => {}
    }
    question
}

/// What the channel shows best (the rules of the Bot Framework's `ChoiceFactory.forChannel`).
fn best(choices: &[Choice], channel_id: &str) -> Style {
    let count = choices.len();
    let fits = choices.iter().all(|choice| choice.shown().chars().count() <= TITLE_CHARS_MAX);
    let suggested_max = match channel_id {
        "facebook" | "skype" => 10,
        "line" => 13,
        "kik" => 20,
        "msteams" => 3,
        "directline" | "webchat" | "emulator" | "telegram" | "slack" | "directlinespeech" => 100,
        _ => 0,
    };
    let buttons_max = match channel_id {
        "facebook" | "skype" => 3,
        "msteams" => 50,
        "line" | "directline" | "webchat" | "emulator" | "telegram" | "slack" => 99,
        _ => 0,
    };
    match () {
        () if fits && count <= suggested_max => Style::SuggestedAction,
        () if fits && count <= buttons_max => Style::HeroCard,
        () if fits && count <= INLINE_MAX => Style::Inline,
        () => Style::List,
    }
}

fn inline(text: &str, choices: &[Choice], language: &Language) -> String {
    let mut line = text.to_owned();
    for (position, choice) in choices.iter().enumerate() {
        let separator = match position {
            0 if line.is_empty() => String::new(),
            0 => " ".to_owned(),
            last if last + 1 == choices.len() && choices.len() == 2 => language.or.to_owned(),
            last if last + 1 == choices.len() => language.or_last.to_owned(),
            _ => ", ".to_owned(),
        };
        line.push_str(&format!("{separator}({}) {}", position + 1, choice.shown()));
    }
    line
}

fn list(text: &str, choices: &[Choice]) -> String {
    let lines = choices.iter().enumerate().map(|(position, choice)| format!("   {}. {}", position + 1, choice.shown()));
    std::iter::once(format!("{text}\n")).chain(lines).collect::<Vec<_>>().join("\n")
}

fn buttons(choices: &[Choice]) -> Vec<Value> {
    let button = |choice: &Choice| match &choice.action {
        Some(action) => action.clone(),
        None => json!({ "type": "imBack", "title": choice.shown(), "value": choice.value }),
    };
    choices.iter().map(button).collect()
}
