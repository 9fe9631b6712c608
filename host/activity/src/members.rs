//! Converts member names to the casing of the protocol. Some senders' JSON libraries capitalise names and send
//! `{"Type":"message","From":{"Id":"u"}}`.
//!
//! Names that the protocol defines are accepted in any casing. The exact name wins; among several other spellings the
//! last one wins, as it does among equal names. Content that the protocol leaves open (`channelData`, `value`,
//! `content`, unknown members) is not changed.

use serde_json::Value;

use super::Object;

/// A member that the protocol defines, with the members of its value if that is an object or an array of objects.
pub struct Member {
    name: &'static str,
    inner: &'static [Member],
}

impl Member {
    /// The name, in the casing of the protocol.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The members of its value.
    pub(crate) fn inner(&self) -> &'static [Self] {
        self.inner
    }
}

/// Returns a member with a plain value, or with content that the protocol leaves open.
pub const fn plain(name: &'static str) -> Member {
    Member { name, inner: &[] }
}

/// Returns a member that holds an object, or an array of objects, with the members `inner`.
pub const fn with(name: &'static str, inner: &'static [Member]) -> Member {
    Member { name, inner }
}

const ACCOUNT: &[Member] =
    &[plain("id"), plain("name"), plain("aadObjectId"), plain("role"), plain("tenantId"), plain("properties")];
const CONVERSATION: &[Member] = &[
    plain("id"),
    plain("name"),
    plain("isGroup"),
    plain("conversationType"),
    plain("tenantId"),
    plain("aadObjectId"),
    plain("role"),
    plain("properties"),
];
const ENTITY: &[Member] = &[plain("type"), with("mentioned", ACCOUNT), plain("text")];
const ATTACHMENT: &[Member] =
    &[plain("contentType"), plain("contentUrl"), plain("content"), plain("name"), plain("thumbnailUrl")];
const ACTION: &[Member] = &[
    plain("type"),
    plain("title"),
    plain("image"),
    plain("imageAltText"),
    plain("text"),
    plain("displayText"),
    plain("value"),
    plain("channelData"),
];
const REFERENCE: &[Member] = &[
    plain("activityId"),
    with("user", ACCOUNT),
    with("bot", ACCOUNT),
    with("conversation", CONVERSATION),
    plain("channelId"),
    plain("serviceUrl"),
    plain("locale"),
];

/// Members of an activity.
pub const ACTIVITY: &[Member] = &[
    plain("type"),
    plain("id"),
    plain("timestamp"),
    plain("localTimestamp"),
    plain("localTimezone"),
    plain("serviceUrl"),
    plain("channelId"),
    with("from", ACCOUNT),
    with("conversation", CONVERSATION),
    with("recipient", ACCOUNT),
    plain("replyToId"),
    plain("deliveryMode"),
    plain("text"),
    plain("textFormat"),
    plain("locale"),
    plain("speak"),
    plain("inputHint"),
    plain("summary"),
    plain("attachmentLayout"),
    with("attachments", ATTACHMENT),
    with("entities", ENTITY),
    with("suggestedActions", &[plain("to"), with("actions", ACTION)]),
    with("membersAdded", ACCOUNT),
    with("membersRemoved", ACCOUNT),
    with("reactionsAdded", &[plain("type")]),
    with("reactionsRemoved", &[plain("type")]),
    with("textHighlights", &[plain("text"), plain("occurrence")]),
    with("semanticAction", &[plain("id"), plain("state"), plain("entities")]),
    with("relatesTo", REFERENCE),
    plain("channelData"),
    plain("value"),
    plain("valueType"),
    plain("expiration"),
    plain("importance"),
    plain("topicName"),
    plain("historyDisclosed"),
    plain("action"),
    plain("code"),
    plain("name"),
    plain("label"),
    plain("listenFor"),
    plain("callerId"),
];

/// Returns a member by its exact name, or else by its name in another casing.
pub fn get<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let object = value.as_object()?;
    let in_another_case = || object.iter().rev().find(|(found, _)| found.eq_ignore_ascii_case(name));
    object.get(name).filter(|value| !value.is_null()).or_else(|| in_another_case().map(|(_, value)| value))
}

/// Renames members to the names of the protocol and keeps their positions. Returns whether a name changed.
pub fn canonical(object: &mut Object, members: &[Member]) -> bool {
    let mut changed = rename(object, members);
    for member in members.iter().filter(|member| !member.inner.is_empty()) {
        match object.get_mut(member.name) {
            Some(Value::Object(inner)) => changed |= canonical(inner, member.inner),
            Some(Value::Array(items)) => {
                for item in items.iter_mut().filter_map(Value::as_object_mut) {
                    changed |= canonical(item, member.inner);
                }
            }
            _ => {}
        }
    }
    changed
}

fn rename(object: &mut Object, members: &[Member]) -> bool {
    let mut renamed: Vec<(&'static str, String)> = Vec::new();
    for key in object.keys() {
        let Some(member) = members.iter().find(|member| member.name.eq_ignore_ascii_case(key)) else { continue };
        if key == member.name || object.get(member.name).is_some_and(|value| !value.is_null()) {
            continue;
        }
        renamed.retain(|(name, _)| *name != member.name);
        renamed.push((member.name, key.clone()));
    }
    if renamed.is_empty() {
        return false;
    }
    let name_of = |key: String| match renamed.iter().find(|(_, from)| *from == key) {
        Some((name, _)) => (*name).to_owned(),
        None => key,
    };
    // A member with the exact name and the value null is dropped in favour of the other spelling, wherever it stands.
    let gives_way = |key: &String| renamed.iter().any(|(name, _)| name == key);
    let kept = std::mem::take(object).into_iter().filter(|(key, _)| !gives_way(key));
    *object = kept.map(|(key, value)| (name_of(key), value)).collect();
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(text: &str) -> (String, bool) {
        let mut object: Object = serde_json::from_str(text).unwrap();
        let changed = canonical(&mut object, ACTIVITY);
        (Value::Object(object).to_string(), changed)
    }

    #[test]
    fn names_of_the_protocol_count_in_any_case() {
        for (sent, wanted) in [
            (
                r#"{"Type":"message","FROM":{"Id":"u","Name":"U"},"conversation":{"ID":"c"},"Text":"Hi"}"#,
                r#"{"type":"message","from":{"id":"u","name":"U"},"conversation":{"id":"c"},"text":"Hi"}"#,
            ),
            (
                r#"{"Attachments":[{"ContentType":"a/b","Content":{"Title":1}},7],"MembersAdded":[{"Id":"u"}]}"#,
                r#"{"attachments":[{"contentType":"a/b","content":{"Title":1}},7],"membersAdded":[{"id":"u"}]}"#,
            ),
            (r#"{"ServiceURL":"http://a","channelid":"x"}"#, r#"{"serviceUrl":"http://a","channelId":"x"}"#),
            (
                r#"{"Value":{"Type":1,"n":1.10},"ChannelData":{"Text":2}}"#,
                r#"{"value":{"Type":1,"n":1.10},"channelData":{"Text":2}}"#,
            ),
            // The exact name wins. Among other spellings the last one wins.
            (r#"{"text":"a","Text":"b"}"#, r#"{"text":"a","Text":"b"}"#),
            (r#"{"Text":"a","text":null}"#, r#"{"text":"a"}"#),
            (r#"{"text":null,"Text":"a"}"#, r#"{"text":"a"}"#),
            (r#"{"Text":"a","text":"b"}"#, r#"{"Text":"a","text":"b"}"#),
            (r#"{"TEXT":"a","Text":"b"}"#, r#"{"TEXT":"a","text":"b"}"#),
            // Unknown members are not renamed, and neither are names with letters that only look alike.
            (
                r#"{"Own":{"Id":1},"channelDatA2":1,"te\u017ft":1}"#,
                "{\"Own\":{\"Id\":1},\"channelDatA2\":1,\"teſt\":1}",
            ),
        ] {
            let (found, changed) = named(sent);
            let compact = Value::to_string(&serde_json::from_str(sent).unwrap());
            assert_eq!((found.as_str(), changed), (wanted, compact != wanted), "{sent}");
        }
    }

    #[test]
    fn a_member_is_found_in_any_case_and_the_exact_one_first() {
        for (value, wanted) in [
            (json!({ "id": 1, "Id": 2 }), Some(1)),
            (json!({ "Id": 2, "id": 1 }), Some(1)),
            (json!({ "ID": 1, "Id": 2 }), Some(2)),
            (json!({ "ids": 1 }), None),
            (json!([1]), None),
        ] {
            assert_eq!(get(&value, "id").and_then(Value::as_i64), wanted, "{value}");
        }
    }
}
