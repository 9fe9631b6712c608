//! What of a turn goes into the transcript of its conversation, by the rules of `protocol/semantics.md` §5.
//!
//! What came in is as the layers of middleware let it in, what left is as the last of them let it leave. Left out: events
//! of the host's own, such as `ContinueConversation` of a notification, and the pieces of a stream but the last, which
//! holds what they said.

use std::sync::Arc;

use serde_json::{Value, json};

use super::proactive::now_ms;
use crate::activity::{Activity, Object};
use crate::storage::transcripts::TranscriptItem;
use crate::storage::{Answer, OutboxAction};

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
    pub(super) fn answered(&mut self, answer: &Answer, address: impl FnOnce(&mut Object)) {
        if !self.kept {
            return;
        }
        let body: Value = answer.body.as_deref().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
        let mut activity =
            object(json!({ "type": "invokeResponse", "value": { "status": answer.status, "body": body } }));
        address(&mut activity);
        self.items.push(own(activity, now_ms(), "".into()));
    }

    /// All that is to be stored with a commit that does these things. `address` fills in the reference of the conversation.
    pub(super) fn with(&self, actions: &[OutboxAction], address: impl Fn(&mut Object)) -> Vec<TranscriptItem> {
        if !self.kept {
            return Vec::new();
        }
        let now = now_ms();
        let left = actions.iter().map(|action| match action {
            OutboxAction::Send { host_id, activity } => sent(host_id, activity.clone(), now),
            OutboxAction::Update { target, activity } => {
                let mut activity = activity.clone();
                activity.insert("type".into(), "messageUpdate".into());
                activity.insert("id".into(), (&**target).into());
                own(activity, now, "".into())
            }
            OutboxAction::Delete { target } => {
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
