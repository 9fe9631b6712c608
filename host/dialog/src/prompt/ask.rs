//! Questions as activities, with the choices shown as the channel can.

use serde_json::{Value, json};

use super::channels::{self, Place};
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
    place: &Place<'_>,
    language: &Language,
) -> Object {
    let mut question = plain(say);
    let text = question.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
    match shown(style, choices, place) {
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

/// The style in which the channel shows the choices: the wanted one where it can, else buttons of the other kind, else a list.
/// Buttons that a channel does not show would be lost. Of a channel that is not known, the author knows better.
fn shown(style: Style, choices: &[Choice], place: &Place<'_>) -> Style {
    let known = channels::buttons(place);
    let shows = |style: &Style| {
        known.is_none_or(|known| match style {
            Style::SuggestedAction => choices.len() <= known.suggested,
            Style::HeroCard => choices.len() <= known.card,
            _ => true,
        })
    };
    match style {
        Style::Auto if known.is_none() => best_text(choices),
        Style::Auto if !fit_on_buttons(choices) => best_text(choices),
        Style::Auto => [Style::SuggestedAction, Style::HeroCard].into_iter().find(shows).unwrap_or(best_text(choices)),
        Style::SuggestedAction | Style::HeroCard => {
            [style, Style::SuggestedAction, Style::HeroCard].into_iter().find(shows).unwrap_or(Style::List)
        }
        Style::Inline | Style::List | Style::None => style,
    }
}

/// The style for channels without buttons: within the sentence where it stays readable.
fn best_text(choices: &[Choice]) -> Style {
    if fit_on_buttons(choices) && choices.len() <= INLINE_MAX { Style::Inline } else { Style::List }
}

fn fit_on_buttons(choices: &[Choice]) -> bool {
    choices.iter().all(|choice| choice.shown().chars().count() <= TITLE_CHARS_MAX)
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
    // A button of its own needs no more than what is different; the protocol wants type, title and value.
    let button = |choice: &Choice| {
        let mut button = choice.action.clone().unwrap_or_else(|| json!({}));
        for (member, usual) in [("type", "imBack"), ("title", choice.shown()), ("value", &choice.value)] {
            let given = button.get(member).filter(|given| !given.is_null() && **given != "");
            if given.is_none() {
                button[member] = usual.into();
            }
        }
        button
    };
    choices.iter().map(button).collect()
}
