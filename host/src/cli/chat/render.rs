//! Renders an activity as lines of text.

use serde_json::Value;

use crate::cli::terminal::printable;

/// Maximum depth to which adaptive cards are searched for text.
const CARD_DEPTH_MAX: usize = 16;

/// A line to display, without control characters.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line of the bot's text.
    Said(String),
    /// A line of a card or of another attachment.
    Card(String),
    /// The suggested actions.
    Actions(String),
    /// A remark about something other than a message.
    Note(String),
}

/// Returns the lines of an activity, or none if it has nothing to show.
pub(super) fn rendered(activity: &Value) -> Vec<Line> {
    match activity["type"].as_str().unwrap_or_default() {
        "message" => message(activity),
        "event" => vec![Line::Note(format!("(event {})", text_of(&activity["name"])))],
        "endOfConversation" => vec![Line::Note("(the bot ended the conversation)".to_owned())],
        _ => Vec::new(),
    }
}

fn message(activity: &Value) -> Vec<Line> {
    let mut lines: Vec<Line> = lines_of(&activity["text"]).map(Line::Said).collect();
    for attachment in each(&activity["attachments"]) {
        lines.extend(card(attachment).into_iter().map(Line::Card));
    }
    let actions = actions(&activity["suggestedActions"]["actions"]);
    if !actions.is_empty() {
        lines.push(Line::Actions(actions));
    }
    lines
}

fn card(attachment: &Value) -> Vec<String> {
    let content = &attachment["content"];
    let mut lines = Vec::new();
    match attachment["contentType"].as_str().unwrap_or_default() {
        "application/vnd.microsoft.card.adaptive" => adaptive(content, CARD_DEPTH_MAX, &mut lines),
        kind if kind.starts_with("application/vnd.microsoft.card.") => {
            for member in ["title", "subtitle", "text"] {
                lines.extend(lines_of(&content[member]));
            }
            let buttons = actions(&content["buttons"]);
            if !buttons.is_empty() {
                lines.push(buttons);
            }
        }
        kind => {
            let parts = [text_of(&attachment["name"]), text_of(&attachment["contentUrl"])];
            let described: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
            lines.push(format!("({} {})", printable(kind), described.join(" ")));
        }
    }
    lines
}

/// Collects the texts of an adaptive card in reading order, then its actions.
fn adaptive(element: &Value, depth: usize, lines: &mut Vec<String>) {
    if depth == 0 {
        return;
    }
    match element["type"].as_str().unwrap_or_default() {
        "TextBlock" | "TextRun" => lines.extend(lines_of(&element["text"])),
        "FactSet" => lines.extend(
            each(&element["facts"]).map(|fact| format!("{}: {}", text_of(&fact["title"]), text_of(&fact["value"]))),
        ),
        "Image" => lines.push(format!("(image {})", text_of(&element["altText"])).replace(" )", ")")),
        kind if kind.starts_with("Input.") => lines.push(format!("{}: ____", text_of(&element["label"]))),
        _ => {}
    }
    for member in ["body", "items", "columns", "inlines", "rows", "cells"] {
        each(&element[member]).for_each(|child| adaptive(child, depth - 1, lines));
    }
    let buttons = actions(&element["actions"]);
    if !buttons.is_empty() {
        lines.push(buttons);
    }
}

fn actions(actions: &Value) -> String {
    let titles = each(actions).map(|action| match text_of(&action["title"]) {
        title if title.is_empty() => text_of(&action["value"]),
        title => title,
    });
    titles.filter(|title| !title.is_empty()).map(|title| format!("[{title}]")).collect::<Vec<_>>().join(" ")
}

fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn lines_of(value: &Value) -> impl Iterator<Item = String> {
    printable(value.as_str().unwrap_or_default()).lines().map(ToOwned::to_owned).collect::<Vec<_>>().into_iter()
}

/// Returns a string on one line.
fn text_of(value: &Value) -> String {
    printable(value.as_str().unwrap_or_default()).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use similar_asserts::assert_eq;

    use super::*;

    fn shown(activity: &Value) -> String {
        let show = |line: &Line| match line {
            Line::Said(text) => format!("said {text}"),
            Line::Card(text) => format!("card {text}"),
            Line::Actions(text) => format!("actions {text}"),
            Line::Note(text) => format!("note {text}"),
        };
        rendered(activity).iter().map(show).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn activities_become_lines() {
        let cases = [
            (json!({"type": "message", "text": "a\nb\u{1b}[2J"}), "said a\nsaid b[2J"),
            (json!({"type": "typing"}), ""),
            (json!({"type": "message"}), ""),
            (json!({"type": "event", "name": "x"}), "note (event x)"),
            (json!({"type": "endOfConversation"}), "note (the bot ended the conversation)"),
            (
                json!({"type": "message", "text": "Sure?", "suggestedActions": {"actions": [{"title": "Yes"}, {"value": "no"}]}}),
                "said Sure?\nactions [Yes] [no]",
            ),
            (
                json!({"type": "message", "attachments": [
                    {"contentType": "application/vnd.microsoft.card.hero",
                     "content": {"title": "T", "text": "x", "buttons": [{"title": "Go"}]}},
                    {"contentType": "image/png", "name": "cat.png", "contentUrl": "http://h/cat"}
                ]}),
                "card T\ncard x\ncard [Go]\ncard (image/png cat.png http://h/cat)",
            ),
            (
                json!({"type": "message", "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": {
                    "type": "AdaptiveCard",
                    "body": [
                        {"type": "TextBlock", "text": "Title"},
                        {"type": "ColumnSet", "columns": [{"items": [{"type": "FactSet", "facts": [{"title": "a", "value": "b"}]}]}]},
                        {"type": "Input.Text", "label": "Name"}
                    ],
                    "actions": [{"type": "Action.Submit", "title": "OK"}]
                }}]}),
                "card Title\ncard a: b\ncard Name: ____\ncard [OK]",
            ),
        ];
        for (activity, lines) in cases {
            assert_eq!(shown(&activity), lines);
        }
    }
}
