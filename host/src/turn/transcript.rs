//! What of a turn goes into the transcript of its conversation, by the rules of the SDKs' transcript loggers: an update
//! is stored as a `messageUpdate`, a deletion as a `messageDelete` without content.
//!
//! What came in is as the layers of middleware let it in, what left is as the last of them let it leave. Left out: events
//! of the host's own, such as `ContinueConversation` of a notification, and the pieces of a stream but the last, which
//! holds what they said.

use std::sync::Arc;

use serde_json::{Value, json};

use super::staging::Staged;
use crate::activity::{Activity, Object};
use crate::clock::now_ms;
use crate::json;
use crate::storage::Answer;
use crate::storage::transcripts::TranscriptItem;

/// What was said in a turn and is not stored yet.
#[derive(Default)]
pub(super) struct Said {
    /// Whether the bot keeps transcripts.
    kept: bool,
    /// What came in, and what left at once.
    items: Vec<TranscriptItem>,
}

impl Said {
    pub(super) fn new(kept: bool) -> Self {
        Self { kept, items: Vec::new() }
    }

    /// The activity that the layers let in.
    pub(super) fn received(&mut self, activity: &Activity) {
        if !self.kept {
            return;
        }
        let object = activity.object();
        let is_whole =
            object.contains_key("timestamp") && object.get("from").is_none_or(|from| from.get("role").is_some());
        let at_ms = now_ms();
        let text = match is_whole {
            true => activity.text().clone(),
            false => text(completed(object.clone(), "user", at_ms)),
        };
        let user = activity.account("from").into();
        self.items.push(TranscriptItem { at_ms, user, host_id: "".into(), activity: text });
    }

    /// An activity that left at once.
    pub(super) fn left_at_once(&mut self, host_id: &Arc<str>, activity: &Object, is_piece: bool) {
        if self.kept && !is_piece {
            self.items.push(sent(host_id, activity.clone(), now_ms()));
        }
    }

    /// The answer to an invoke.
    pub(super) fn answered(&mut self, answer: &Answer, address: impl Fn(&mut Object)) {
        if !self.kept {
            return;
        }
        let said = |body: Value| {
            let mut activity = json!({ "type": "invokeResponse", "value": { "status": answer.status } });
            activity["value"]["body"] = body;
            let mut activity = object(activity);
            address(&mut activity);
            own(activity, now_ms(), "".into())
        };
        let text = answer.body.as_deref().unwrap_or("null");
        let item = said(json::value(text).unwrap_or_default());
        // A body that is nested as deep as JSON may be is too deep within an activity; nobody could read it again.
        let is_readable = serde_json::from_str::<Object>(&item.activity).is_ok();
        self.items.push(if is_readable { item } else { said(text.into()) });
    }

    /// All that is to be stored with a commit that does these things. `address` fills in the reference of the conversation.
    pub(super) fn with(&self, actions: &[Staged], address: impl Fn(&mut Object)) -> Vec<TranscriptItem> {
        if !self.kept {
            return Vec::new();
        }
        let now = now_ms();
        let left = actions.iter().map(|action| match action {
            Staged::Send { host_id, activity } => sent(host_id, Object::clone(activity), now),
            Staged::Update { target, activity } => {
                let mut activity = Object::clone(activity);
                activity.insert("type".into(), "messageUpdate".into());
                activity.insert("id".into(), (&**target).into());
                own(activity, now, "".into())
            }
            Staged::Delete { target } => {
                let mut activity = object(json!({ "type": "messageDelete" }));
                address(&mut activity);
                activity.insert("id".into(), (&**target).into());
                own(activity, now, "".into())
            }
        });
        self.items.iter().cloned().chain(left).collect()
    }

    /// It is stored.
    pub(super) fn stored(&mut self) {
        self.items.clear();
    }
}

fn sent(host_id: &Arc<str>, mut activity: Object, at_ms: u64) -> TranscriptItem {
    activity.insert("id".into(), (&**host_id).into());
    own(activity, at_ms, host_id.clone())
}

fn own(activity: Object, at_ms: u64, host_id: Arc<str>) -> TranscriptItem {
    let user = activity.get("recipient").and_then(|recipient| recipient.get("id")).and_then(Value::as_str);
    let user = user.unwrap_or_default().into();
    TranscriptItem { at_ms, user, host_id, activity: text(completed(activity, "bot", at_ms)) }
}

/// Says when, and who is who, where the activity does not.
fn completed(mut activity: Object, role: &str, at_ms: u64) -> Object {
    if !activity.contains_key("timestamp") {
        activity.insert("timestamp".into(), timestamp(at_ms).into());
    }
    if let Some(Value::Object(from)) = activity.get_mut("from")
        && !from.contains_key("role")
    {
        from.insert("role".into(), role.into());
    }
    activity
}

fn timestamp(at_ms: u64) -> String {
    let time = jiff::Timestamp::from_millisecond(i64::try_from(at_ms).unwrap_or(i64::MAX)).unwrap_or_default();
    time.to_string()
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

fn text(activity: Object) -> Arc<str> {
    Value::Object(activity).to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_nested_too_deep_is_kept_as_text() {
        for (depth, is_text) in [(3, false), (127, true)] {
            let body = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            let mut said = Said::new(true);
            said.answered(&Answer { status: 200, body: Some(body.as_str().into()) }, |_| {});
            let kept: Object = serde_json::from_str(&said.items[0].activity).unwrap();
            assert_eq!(kept["value"]["body"] == body.as_str(), is_text, "{depth}");
        }
    }
}
