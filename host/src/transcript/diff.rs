//! Renders activities as readable lines, and compares two versions of them.
//!
//! Ids, times, accounts, channel data and input hints are left out, and so are `typing` activities and pieces of a
//! stream, which depend on the speed of a bot. The lines contain what the other side sees: text, attachments by kind,
//! title, text and buttons, suggested actions, updates and deletions of earlier messages, events, the end of the
//! conversation, and the response to an invoke.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use similar::{Algorithm, ChangeTag};

use super::steps::string;
use crate::activity::Object;

/// One line of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "said", content = "line")]
pub enum Line {
    /// The line is in both versions.
    Both(String),
    /// The line is only in the earlier version.
    Then(String),
    /// The line is only in the present version.
    Now(String),
}

impl Line {
    /// Returns whether the line is in both versions.
    pub fn is_equal(&self) -> bool {
        matches!(self, Self::Both(_))
    }
}

/// Time limit on the search for the shortest difference, which takes quadratic time. After it a longer one is returned.
const SHORTEST_SOUGHT_MAX: Duration = Duration::from_secs(2);

/// Compares the lines of the earlier version with those of the present one.
pub fn compare(then: &[String], now: &[String]) -> Vec<Line> {
    let deadline = Instant::now() + SHORTEST_SOUGHT_MAX;
    let operations = similar::capture_diff_slices_deadline(Algorithm::Myers, then, now, Some(deadline));
    let changes = operations.iter().flat_map(|operation| operation.iter_changes(then, now));
    let line = |change: similar::Change<String>| match change.tag() {
        ChangeTag::Equal => Line::Both(change.value()),
        ChangeTag::Delete => Line::Then(change.value()),
        ChangeTag::Insert => Line::Now(change.value()),
    };
    changes.map(line).collect()
}

/// Renders the activities of one side, and remembers messages that later activities refer to.
#[derive(Debug, Default)]
pub struct Teller {
    /// The first line of each message, by id.
    messages: HashMap<String, String>,
}

/// Maximum length of the quote of an earlier message, in characters.
const QUOTE_CHARS_MAX: usize = 40;

impl Teller {
    /// Returns the lines of an activity, the first of them after the name `who`. Empty for an activity that nobody
    /// sees.
    pub fn tell(&mut self, who: &str, activity: &Object) -> Vec<String> {
        let lines = self.lines(activity);
        if string(activity, "type") == "conversationUpdate" {
            // A conversation update comes from the channel, whatever its `from` is.
            return lines;
        }
        if string(activity, "type") == "message" && !string(activity, "id").is_empty() {
            let quote: String = lines.first().into_iter().flat_map(|line| line.chars()).take(QUOTE_CHARS_MAX).collect();
            self.messages.insert(string(activity, "id").to_owned(), quote);
        }
        let indent = " ".repeat(who.chars().count() + 2);
        let led = |(index, line): (usize, String)| match index {
            0 => format!("{who}: {line}"),
            _ => format!("{indent}{line}"),
        };
        lines.into_iter().enumerate().map(led).map(|line| line.trim_end().to_owned()).collect()
    }

    fn lines(&self, activity: &Object) -> Vec<String> {
        let text = |member| string(activity, member);
        let json = |member| match activity.get(member) {
            None | Some(Value::Null) => String::new(),
            Some(value) => format!(" {value}"),
        };
        match text("type") {
            "typing" | "trace" | "delay" => Vec::new(),
            "message" => content(activity),
            "messageUpdate" => {
                let mut lines = vec![format!("[update of {}]", self.quote(activity))];
                lines.extend(content(activity));
                lines
            }
            "messageDelete" => vec![format!("[deletion of {}]", self.quote(activity))],
            "conversationUpdate" => vec![members(activity)],
            "event" | "invoke" => vec![format!("[{} {}{}]", text("type"), text("name"), json("value"))],
            "invokeResponse" => {
                let value = |member| activity.get("value").and_then(|value| value.get(member)).unwrap_or(&Value::Null);
                vec![format!("[answer {} {}]", value("status"), value("body"))]
            }
            "endOfConversation" => {
                let mut lines = vec![bracketed(["end of conversation", text("code")])];
                lines.extend(content(activity));
                lines
            }
            kind => {
                let mut lines = vec![bracketed([kind, text("name")])];
                lines.extend(content(activity));
                lines
            }
        }
    }

    fn quote(&self, activity: &Object) -> String {
        let quote = self.messages.get(string(activity, "id"));
        quote.map_or_else(|| "an earlier message".to_owned(), |quote| format!("«{quote}»"))
    }
}

/// Returns the lines that the content of a message shows.
fn content(activity: &Object) -> Vec<String> {
    let text = string(activity, "text").trim();
    let mut lines: Vec<String> = text.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.extend(list(activity, "attachments").map(attachment));
    if string(activity, "attachmentLayout") == "carousel" {
        lines.push("[carousel]".to_owned());
    }
    let suggested = activity.get("suggestedActions").and_then(|suggested| suggested.get("actions"));
    let titles = titles(suggested);
    if !titles.is_empty() {
        lines.push(format!("[suggestions: {titles}]"));
    }
    if text.is_empty() && activity.get("value").is_some_and(|value| !value.is_null()) {
        lines.push(format!("[value {}]", activity.get("value").unwrap_or(&Value::Null)));
    }
    if lines.is_empty() && string(activity, "type") == "message" {
        lines.push("[nothing]".to_owned());
    }
    lines
}

/// Returns an attachment as one line with its kind, title, text and buttons.
fn attachment(attachment: &Value) -> String {
    let string = |pointer: &str| attachment.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let kind = match string("/contentType").rsplit_once("vnd.microsoft.card.") {
        Some((_, card)) => format!("{card} card"),
        None => string("/contentType").to_owned(),
    };
    // An adaptive card has no title, so its first text is used.
    let first_text = attachment.pointer("/content/body").and_then(first_text).unwrap_or_default();
    let title = [string("/content/title"), string("/name"), first_text].into_iter().find(|title| !title.is_empty());
    let mut told = vec![kind];
    told.extend(title.map(|title| format!("«{title}»")));
    let text = string("/content/text").split_whitespace().collect::<Vec<_>>().join(" ");
    told.extend(Some(text).filter(|text| !text.is_empty()));
    let titles = titles(attachment.pointer("/content/buttons").or_else(|| attachment.pointer("/content/actions")));
    told.extend(Some(titles).filter(|titles| !titles.is_empty()).map(|titles| format!("({titles})")));
    format!("[{}]", told.join(" "))
}

/// Returns the text of the first text block. The recursion is bounded, because JSON is nested at most 128 levels deep.
fn first_text(value: &Value) -> Option<&str> {
    match value {
        Value::Array(items) => items.iter().find_map(first_text),
        Value::Object(item) => match item.get("text").and_then(Value::as_str) {
            Some(text) => Some(text),
            None => ["items", "columns"].iter().find_map(|member| item.get(*member).and_then(first_text)),
        },
        _ => None,
    }
}

fn titles(actions: Option<&Value>) -> String {
    let actions = actions.and_then(Value::as_array).into_iter().flatten();
    let title = |action: &Value| action.get("title").and_then(Value::as_str).unwrap_or_default().to_owned();
    actions.map(title).collect::<Vec<_>>().join(" | ")
}

fn members(activity: &Object) -> String {
    let mut changes = Vec::new();
    for (member, verb) in [("membersAdded", "joins"), ("membersRemoved", "leaves")] {
        changes.extend(list(activity, member).map(|account| {
            let of = |member| account.get(member).and_then(Value::as_str).filter(|text| !text.is_empty());
            format!("{} {verb}", of("name").or_else(|| of("id")).unwrap_or("somebody"))
        }));
    }
    format!("[{}]", if changes.is_empty() { "conversation update".to_owned() } else { changes.join(", ") })
}

fn list<'a>(activity: &'a Object, member: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    activity.get(member).and_then(Value::as_array).into_iter().flatten()
}

fn bracketed(words: [&str; 2]) -> String {
    format!("[{}]", words.join(" ").trim_end())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use similar_asserts::assert_eq;

    use super::*;
    use crate::transcript::file;

    fn told(activities: &Value) -> Vec<String> {
        let mut teller = Teller::default();
        let activities = file::parse(&activities.to_string()).unwrap();
        activities.iter().flat_map(|activity| teller.tell("bot", activity)).collect()
    }

    #[test]
    fn an_activity_is_what_the_other_side_sees() {
        let card = |kind: &str, content: Value| json!({ "contentType": format!("application/vnd.microsoft.card.{kind}"), "content": content });
        let cases: &[(Value, &[&str])] = &[
            (json!({ "type": "message", "text": " a \r\n b\n\n" }), &["bot: a", "      b"]),
            (json!({ "type": "message" }), &["bot: [nothing]"]),
            (json!({ "type": "message", "text": "", "value": { "a": 1 } }), &["bot: [value {\"a\":1}]"]),
            (
                json!({ "type": "message", "text": "Where?", "attachmentLayout": "carousel",
                        "attachments": [
                            card("hero", json!({ "title": "T", "text": "a\nb", "buttons": [{ "title": "x" }, { "title": "y" }] })),
                            card("adaptive", json!({ "body": [{ "columns": [{ "items": [{ "text": "First" }] }] }] })),
                            { "contentType": "image/png", "contentUrl": "data:…", "name": "a.png" },
                        ],
                        "suggestedActions": { "actions": [{ "title": "Oslo" }, { "title": "Rome" }] } }),
                &[
                    "bot: Where?",
                    "     [hero card «T» a b (x | y)]",
                    "     [adaptive card «First»]",
                    "     [image/png «a.png»]",
                    "     [carousel]",
                    "     [suggestions: Oslo | Rome]",
                ],
            ),
            (json!({ "type": "event", "name": "e", "value": 1 }), &["bot: [event e 1]"]),
            (json!({ "type": "invokeResponse", "value": { "status": 200, "body": {} } }), &["bot: [answer 200 {}]"]),
            (
                json!({ "type": "endOfConversation", "code": "c", "text": "bye" }),
                &["bot: [end of conversation c]", "     bye"],
            ),
            (json!({ "type": "messageReaction" }), &["bot: [messageReaction]"]),
            (
                json!({ "type": "conversationUpdate", "membersAdded": [{ "id": "1", "name": "Ann" }], "membersRemoved": [{ "id": "2" }] }),
                &["[Ann joins, 2 leaves]"],
            ),
            (json!({ "type": "conversationUpdate" }), &["[conversation update]"]),
            (json!({ "type": "typing", "text": "piece", "entities": [{ "type": "streaminfo" }] }), &[]),
        ];
        for (activity, expected) in cases {
            assert_eq!(told(&json!([activity])), *expected, "{activity}");
        }
    }

    #[test]
    fn ids_times_and_channel_data_are_not_told() {
        let (then, now) = (
            json!([{ "type": "message", "text": "a", "id": "1", "timestamp": "x", "channelData": 1, "replyToId": "7", "inputHint": "ignoringInput" }]),
            json!([{ "type": "message", "text": "a", "id": "2" }]),
        );
        assert_eq!(told(&then), told(&now));
    }

    #[test]
    fn updates_and_deletions_name_what_they_change() {
        let log = json!([
            { "type": "message", "id": "1", "text": "one\nmore" },
            { "type": "messageUpdate", "id": "1", "text": "two" },
            { "type": "messageDelete", "id": "1" },
            { "type": "messageDelete", "id": "unknown" },
        ]);
        let expected = [
            "bot: one",
            "     more",
            "bot: [update of «one»]",
            "     two",
            "bot: [deletion of «one»]",
            "bot: [deletion of an earlier message]",
        ];
        assert_eq!(told(&log), expected);
    }

    #[test]
    fn lines_are_compared_in_their_order() {
        let lines = |text: &str| text.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>();
        let (both, then, now) = (
            |line: &str| Line::Both(line.to_owned()),
            |line: &str| Line::Then(line.to_owned()),
            |line: &str| Line::Now(line.to_owned()),
        );
        assert_eq!(compare(&lines("a b c"), &lines("a x c")), [both("a"), then("b"), now("x"), both("c")]);
        assert_eq!(compare(&lines("a"), &[]), [then("a")]);
        assert_eq!(compare(&lines("a b"), &lines("b a")), [now("b"), both("a"), then("b")]);
        assert!(compare(&lines("a b"), &lines("a b")).iter().all(Line::is_equal));
    }

    #[test]
    fn however_many_lines_there_are_the_comparison_ends() {
        let lines = |name: &str| (0..200_000).map(|number| format!("{name}{number}")).collect::<Vec<_>>();
        let compared = compare(&lines("then"), &lines("now"));
        assert_eq!(compared.iter().filter(|line| matches!(line, Line::Then(_))).count(), 200_000);
        assert_eq!(compared.len(), 400_000);
    }
}
