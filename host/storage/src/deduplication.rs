//! Deduplication of activities: the key of one, what became of its first run, and its answer.

use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use turntable_activity::{ConversationKey, Inbound, Object};

/// The HTTP answer of a turn, stored for redeliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON text, or none for an empty body.
    pub body: Option<Arc<str>>,
}

/// What `accept` found.
#[derive(Debug)]
pub enum Accepted {
    /// Not seen before: the caller runs the turn, and must `commit` with the key or `release` it.
    New,
    /// The first run is still going on.
    Running {
        /// Its turn.
        turn_id: Arc<str>,
        /// Yields its answer, or closes without one when the run was released.
        answer: watch::Receiver<Option<Answer>>,
    },
    /// Done before.
    Duplicate {
        /// The turn that ran; empty where an earlier version of the host did not keep it.
        turn_id: Arc<str>,
        /// What it answered.
        answer: Answer,
    },
}

/// Identifies one delivery of one activity: a redelivery has the same key.
///
/// Activities without an id have none, and are never taken for duplicates.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeduplicationKey {
    /// The conversation.
    pub conversation: ConversationKey,
    /// `type`.
    pub kind: Arc<str>,
    /// `id`.
    pub id: Arc<str>,
    /// SHA-256 of the body with its timestamp, for the types whose `id` comes again with other events.
    pub body: Option<[u8; 32]>,
}

/// Types whose `id` may come again with another event. Those of messages name another activity: two edits share it, and a
/// reaction that is given, taken back and given again has the same body twice. The others are about the conversation, which
/// some channels take the id from. A redelivery repeats the timestamp.
const BODY_TELLS_APART: &[&str] = &[
    "messageUpdate",
    "messageDelete",
    "messageReaction",
    "conversationUpdate",
    "installationUpdate",
    "contactRelationUpdate",
];

impl DeduplicationKey {
    /// Returns the key of an incoming activity, or `None` where it has no id.
    pub fn of(inbound: &Inbound) -> Option<Self> {
        let activity = &inbound.activity;
        let body = BODY_TELLS_APART.contains(&activity.kind()).then(|| body_hash(activity.object()));
        (!activity.id().is_empty()).then(|| Self {
            conversation: inbound.key.clone(),
            kind: activity.kind().into(),
            id: activity.id().into(),
            body,
        })
    }
}

/// Hashes what the activity says and when, whatever the order of its members and the notation of the time.
fn body_hash(activity: &Object) -> [u8; 32] {
    let mut body = activity.clone();
    let times = ["timestamp", "localTimestamp"].map(|member| body.shift_remove(member).filter(|time| !time.is_null()));
    if let Some(time) = times.into_iter().flatten().next() {
        body.insert("timestamp".into(), instant(time));
    }
    let mut body = Value::Object(body);
    body.sort_all_objects();
    Sha256::digest(body.to_string()).into()
}

/// The same for every notation of an instant: `10:00:00Z`, `10:00:00.000+00:00`, `12:00:00+02:00`. A time that cannot be read
/// is its own notation.
fn instant(time: Value) -> Value {
    let read = time.as_str().and_then(|time| time.trim().parse::<jiff::Timestamp>().ok());
    read.map_or(time, |instant| instant.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::conversation;
    use turntable_activity::Activity;

    fn key(text: &str) -> Option<DeduplicationKey> {
        let activity = Arc::new(Activity::parse(text).unwrap());
        DeduplicationKey::of(&Inbound { key: conversation("c"), activity, request_id: "r".into() })
    }

    #[test]
    fn a_message_is_known_by_its_id_alone() {
        let first = key(r#"{"type":"message","id":"1","text":"a","conversation":{"id":"c"}}"#).unwrap();
        let again = key(r#"{"type":"message","id":"1","text":"b","conversation":{"id":"c"}}"#).unwrap();
        assert_eq!(first, again);
        let other = key(r#"{"type":"message","id":"2","text":"a","conversation":{"id":"c"}}"#).unwrap();
        assert_ne!(first, other);
        let event = key(r#"{"type":"event","id":"1","conversation":{"id":"c"}}"#).unwrap();
        assert_ne!(first, event);
    }

    #[test]
    fn two_edits_of_one_message_are_not_redeliveries_of_each_other() {
        for kind in BODY_TELLS_APART {
            let edit = |text: &str, at: &str| {
                key(&format!(
                    r#"{{"type":"{kind}","id":"1","timestamp":"{at}","text":"{text}","conversation":{{"id":"c"}}}}"#
                ))
                .unwrap()
            };
            let first = edit("one", "2026-01-01T00:00:00Z");
            assert_ne!(first, edit("two", "2026-01-01T00:00:00Z"), "{kind}");
            for later in
                ["2026-01-01T00:00:07Z", "2026-01-01T00:00:00.0000001Z", "2026-01-01T00:00:00-01:00", "now", ""]
            {
                assert_ne!(first, edit("one", later), "{kind} at {later}");
            }
            for notation in
                ["2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.0000000+00:00", "2026-01-01t02:00:00+02:00"]
            {
                assert_eq!(first, edit("one", notation), "{kind} at {notation}");
            }
            assert_eq!(edit("one", "now"), edit("one", "now"), "{kind}");
        }
    }

    /// A redelivery may be stamped anew by the sender's clock; only where the channel sends no other time does that count.
    #[test]
    fn the_local_time_tells_apart_where_there_is_no_other() {
        let reaction = |times: &str| {
            key(&format!(r#"{{"type":"messageReaction","id":"1",{times}"conversation":{{"id":"c"}}}}"#)).unwrap()
        };
        let utc = r#""timestamp":"2026-01-01T00:00:00Z","#;
        let (local, later) =
            (r#""localTimestamp":"2026-01-01T02:00:00+02:00","#, r#""localTimestamp":"2026-01-01T02:00:07+02:00","#);
        assert_eq!(reaction(&format!("{utc}{local}")), reaction(&format!("{utc}{later}")));
        assert_ne!(reaction(local), reaction(later));
        assert_eq!(reaction(utc), reaction(local), "the same instant");
        assert_eq!(reaction(""), reaction(r#""timestamp":null,"#), "without a time, the body tells");
        assert_ne!(reaction(""), reaction(utc));
    }

    #[test]
    fn the_order_of_members_does_not_tell_bodies_apart() {
        let one = key(r#"{"type":"messageUpdate","id":"1","text":"a","conversation":{"id":"c","name":"n"}}"#);
        let other = key(r#"{"conversation":{"name":"n","id":"c"},"text":"a","type":"messageUpdate","id":"1"}"#);
        assert_eq!(one, other);
    }

    #[test]
    fn without_an_id_there_is_no_key() {
        assert_eq!(key(r#"{"type":"message","conversation":{"id":"c"}}"#), None);
        assert_eq!(key(r#"{"type":"messageReaction","id":"","conversation":{"id":"c"}}"#), None);
    }
}
