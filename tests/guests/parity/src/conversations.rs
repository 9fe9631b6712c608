//! Reads `conversations.txt`. The spec of the host (`tests/spec/parity.rs`) and the native tests of this crate include this
//! file, so that both hold the same conversations.
//!
//! | line | meaning |
//! | --- | --- |
//! | `== TITLE` | a conversation begins |
//! | `NAME> TEXT` | a user says something |
//! | `NAME+ TYPE` | a user sends a file of this content type |
//! | `NAME! EVENT` | an event with this name arrives |
//! | `< TEXT` | the bot answers; `< @NAME TEXT` where the answer is addressed to somebody else than who spoke |
//! | `< FAILED` | the turn fails; what follows was said after the failure |
//! | `- locale TAG`, `- channel ID`, `- group` | holds from here to the end of the conversation |
//! | `- release N` | another release of the plugin serves from here; a conversation begins with release 1 |

use serde_json::{Value, json};

/// How an answer is written that stands for the failure of a turn.
pub(crate) const FAILED: &str = "FAILED";

/// One conversation.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) title: String,
    pub(crate) items: Vec<Item>,
}

/// What happens in a conversation.
#[derive(Debug)]
pub(crate) enum Item {
    /// Another release of the plugin serves.
    Release(u8),
    /// An activity arrives, and the bot gives these answers.
    Turn { activity: Value, answers: Vec<String> },
}

/// Returns every conversation.
pub(crate) fn all() -> Vec<Conversation> {
    let mut conversations: Vec<Conversation> = Vec::new();
    let mut about = json!({});
    for line in include_str!("../conversations.txt").lines().filter(|line| !line.is_empty()) {
        if let Some(title) = line.strip_prefix("== ") {
            about = json!({ "channelId": "test", "conversation": { "id": title } });
            conversations.push(Conversation { title: title.to_owned(), items: Vec::new() });
            continue;
        }
        let items = &mut conversations.last_mut().expect("a title comes first").items;
        match line.split_once(' ').unwrap_or((line, "")) {
            ("-", setting) => items.extend(set(&mut about, setting)),
            ("<", answer) => match items.last_mut() {
                Some(Item::Turn { answers, .. }) => answers.push(answer.to_owned()),
                _ => panic!("an answer to nothing: {line}"),
            },
            (user, said) => items.push(Item::Turn { activity: sent(&about, user, said), answers: Vec::new() }),
        }
    }
    conversations
}

fn set(about: &mut Value, setting: &str) -> Option<Item> {
    match setting.split_once(' ').unwrap_or((setting, "")) {
        ("locale", tag) => about["locale"] = tag.into(),
        ("channel", id) => about["channelId"] = id.into(),
        ("group", _) => about["conversation"]["isGroup"] = true.into(),
        ("release", number) => return Some(Item::Release(number.parse().expect("a release is a digit"))),
        _ => panic!("there is no setting `{setting}`"),
    }
    None
}

fn sent(about: &Value, user: &str, said: &str) -> Value {
    let (name, mark) = user.split_at(user.len() - 1);
    let mut activity = about.clone();
    activity["from"] = json!({ "id": name });
    activity["recipient"] = json!({ "id": "bot" });
    activity["localTimestamp"] = "2026-06-01T12:00:00".into();
    activity["type"] = if mark == "!" { "event" } else { "message" }.into();
    match mark {
        ">" => activity["text"] = said.into(),
        "+" => activity["attachments"] = json!([{ "contentType": said, "contentUrl": "https://example.org/file" }]),
        "!" => activity["name"] = said.into(),
        _ => panic!("what is `{user} {said}`?"),
    }
    activity
}

/// Writes the messages of a turn as `conversations.txt` has them.
pub(crate) fn answers(activity: &Value, replies: &[Value]) -> Vec<String> {
    let speaker = activity["from"]["id"].as_str().unwrap_or_default();
    let answer = |reply: &Value| {
        let (text, to) = (reply["text"].as_str().unwrap_or_default(), reply["recipient"]["id"].as_str());
        match to.filter(|to| *to != speaker) {
            Some(to) => format!("@{to} {text}"),
            None => text.to_owned(),
        }
    };
    replies.iter().filter(|reply| reply["type"] == "message").map(answer).collect()
}
