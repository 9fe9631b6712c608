//! Converts deviations of other tools to the protocol. Activities that follow the protocol are not changed.
//!
//! - Members in `PascalCase`, from .NET programs that serialize an activity without its attributes.
//! - `role` as a number, 0 for the bot and 1 for the user, and `timestamp` in seconds or milliseconds, from Copilot
//!   Studio.
//! - Numeric ids, from adapters of channels with such ids.

use jiff::Timestamp;
use serde_json::Value;

use crate::activity::Object;

/// Members whose content belongs to the author and keeps its casing.
const OPAQUE: [&str; 4] = ["channelData", "value", "content", "properties"];
const ACCOUNTS: [&str; 3] = ["from", "recipient", "conversation"];
const TIMES: [&str; 3] = ["timestamp", "localTimestamp", "expiration"];
/// Smallest number that counts as milliseconds since 1970. As seconds it would be the year 5138.
const MILLISECONDS_MIN: i64 = 100_000_000_000;

/// Returns the activity in the form of the protocol.
pub(super) fn put_right(activity: Object) -> Object {
    let is_pascal = !activity.contains_key("type") && activity.contains_key("Type");
    let mut activity = if is_pascal { camel(activity) } else { activity };
    for name in TIMES {
        if let Some(time) = activity.get_mut(name)
            && let Some(text) = time.as_i64().and_then(text_of_time)
        {
            *time = text.into();
        }
    }
    put_id_right(&mut activity);
    for name in ACCOUNTS {
        if let Some(account) = activity.get_mut(name).and_then(Value::as_object_mut) {
            put_id_right(account);
            put_role_right(account);
        }
    }
    activity
}

fn put_id_right(object: &mut Object) {
    for name in ["id", "replyToId"] {
        if let Some(id) = object.get_mut(name).filter(|id| id.is_number()) {
            *id = id.to_string().into();
        }
    }
}

fn put_role_right(account: &mut Object) {
    if let Some(role) = account.get_mut("role") {
        match role.as_i64() {
            Some(0) => *role = "bot".into(),
            Some(1) => *role = "user".into(),
            _ => {}
        }
    }
}

fn text_of_time(number: i64) -> Option<String> {
    let time = if number.abs() < MILLISECONDS_MIN {
        Timestamp::from_second(number)
    } else {
        Timestamp::from_millisecond(number)
    };
    time.ok().map(|time| format!("{time:.3}"))
}

/// Renames `PascalCase` members to `camelCase`, except within opaque members.
fn camel(object: Object) -> Object {
    let renamed = |(name, value): (String, Value)| {
        let mut letters = name.chars();
        let name: String = letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect();
        let value = if OPAQUE.contains(&&*name) { value } else { camel_value(value) };
        (name, value)
    };
    object.into_iter().map(renamed).collect()
}

fn camel_value(value: Value) -> Value {
    match value {
        Value::Object(object) => camel(object).into(),
        Value::Array(items) => items.into_iter().map(camel_value).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use similar_asserts::assert_eq;

    use super::*;

    fn right(activity: Value) -> Value {
        let Value::Object(activity) = activity else { panic!("an activity is an object") };
        put_right(activity).into()
    }

    #[test]
    fn what_follows_the_protocol_stays() {
        let activity = json!({
            "type": "message", "id": "1", "timestamp": "2026-11-29T10:00:00Z", "from": { "id": "u", "role": "user" },
            "Extra": { "Role": 0 }, "value": 7, "channelData": { "timestamp": 7, "Id": 1 },
        });
        assert_eq!(right(activity.clone()), activity);
    }

    #[test]
    fn roles_and_times_of_copilot_studio_are_understood() {
        let activity = json!({
            "id": "x", "type": "message", "timestamp": 1663765489, "from": { "id": "u", "role": 1 },
            "recipient": { "id": "", "role": 0 }, "channelId": "pva-studio", "text": "hi",
        });
        let expected = json!({
            "id": "x", "type": "message", "timestamp": "2022-09-21T13:04:49.000Z", "from": { "id": "u", "role": "user" },
            "recipient": { "id": "", "role": "bot" }, "channelId": "pva-studio", "text": "hi",
        });
        assert_eq!(right(activity), expected);
        let milliseconds = right(json!({ "type": "message", "timestamp": 1_663_765_489_123_i64 }));
        assert_eq!(milliseconds["timestamp"], "2022-09-21T13:04:49.123Z");
        for odd in
            [json!({ "type": "message", "timestamp": i64::MAX }), json!({ "type": "message", "from": { "role": 9 } })]
        {
            assert_eq!(right(odd.clone()), odd);
        }
    }

    #[test]
    fn ids_that_are_numbers_become_texts() {
        let activity =
            json!({ "type": "message", "id": 12, "replyToId": 11, "conversation": { "id": -1001234567890123_i64 } });
        let expected =
            json!({ "type": "message", "id": "12", "replyToId": "11", "conversation": { "id": "-1001234567890123" } });
        assert_eq!(right(activity), expected);
    }

    #[test]
    fn members_in_pascal_case_are_renamed_except_what_is_the_authors() {
        let activity = json!({
            "Type": "message", "Text": "Hi", "From": { "Id": "u", "Role": "user", "AadObjectId": null },
            "SuggestedActions": { "To": null, "Actions": [{ "Type": "imBack", "Title": "Yes", "Value": { "A": 1 } }] },
            "Attachments": [{ "ContentType": "x/y", "Content": { "Title": "T" } }], "ChannelData": { "Tenant": { "Id": "t" } },
        });
        let expected = json!({
            "type": "message", "text": "Hi", "from": { "id": "u", "role": "user", "aadObjectId": null },
            "suggestedActions": { "to": null, "actions": [{ "type": "imBack", "title": "Yes", "value": { "A": 1 } }] },
            "attachments": [{ "contentType": "x/y", "content": { "Title": "T" } }], "channelData": { "Tenant": { "Id": "t" } },
        });
        assert_eq!(right(activity), expected);
    }
}
