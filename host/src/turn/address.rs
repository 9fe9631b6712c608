//! Where an activity of the bot goes: the reference of the conversation, and who sees its suggested actions.

use serde_json::Value;

use crate::activity::{Activity, Object};

/// Members of accounts that the protocol names. A strict reader refuses them where they are null or empty.
const ACCOUNT_MEMBERS: &[&str] = &[
    "id",
    "name",
    "aadObjectId",
    "tenantId",
    "role",
    "isGroup",
    "conversationType",
    "agenticUserId",
    "agenticAppId",
    "agenticAppBlueprintId",
];

/// Fills in the reference of the conversation, and the activity that is answered.
pub(super) fn address(activity: &mut Object, inbound: &Activity, threaded: bool) {
    // A guest speaks in its own conversation and under its own name, whatever it writes.
    for (member, source) in [
        ("channelId", "channelId"),
        ("serviceUrl", "serviceUrl"),
        ("conversation", "conversation"),
        ("from", "recipient"),
    ] {
        match inbound.member(source).and_then(given) {
            Some(value) => activity.insert(member.into(), value),
            None => activity.shift_remove(member),
        };
    }
    for (member, source) in [("recipient", "from"), ("locale", "locale")] {
        if activity.get(member).is_some_and(says) {
            continue;
        }
        match inbound.member(source).and_then(given) {
            Some(value) => activity.insert(member.into(), value),
            None => activity.shift_remove(member),
        };
    }
    for member in ["id", "timestamp", "callerId"] {
        activity.shift_remove(member);
    }
    if threaded && threads(inbound) && is_empty(activity, "replyToId") {
        activity.insert("replyToId".into(), inbound.id().into());
    }
}

/// Whether an answer names the activity that it answers.
fn threads(inbound: &Activity) -> bool {
    let welcome = inbound.kind() == "conversationUpdate" && matches!(inbound.channel_id(), "directline" | "webchat");
    !inbound.id().is_empty() && !welcome
}

/// Says who sees the suggested actions of an activity, where its sender does not: the recipient, or everybody.
pub(super) fn address_suggestions(activity: &mut Object, is_for_all: bool) {
    let recipient = activity.get("recipient").and_then(|recipient| recipient.get("id")).and_then(Value::as_str);
    let user = recipient.filter(|user| !user.is_empty() && !is_for_all).map(ToOwned::to_owned);
    let Some(suggested) = activity.get_mut("suggestedActions").and_then(Value::as_object_mut) else { return };
    if suggested.get("to").is_none_or(Value::is_null) {
        // An empty list means everybody.
        suggested.insert("to".into(), user.into_iter().collect::<Vec<_>>().into());
    }
}

fn is_empty(activity: &Object, member: &str) -> bool {
    activity.get(member).and_then(Value::as_str).unwrap_or_default().is_empty()
}

fn says(value: &Value) -> bool {
    !value.is_null() && value.as_str() != Some("")
}

/// What a channel gave, without members that say nothing: absent, null and empty mean the same. None: it gave nothing.
fn given(mut value: Value) -> Option<Value> {
    if !says(&value) {
        return None;
    }
    if let Some(account) = value.as_object_mut() {
        account.retain(|member, value| says(value) || !ACCOUNT_MEMBERS.contains(&member.as_str()));
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn addressed(activity: &Value, inbound: &Value) -> Value {
        let inbound = Activity::parse(&inbound.to_string()).unwrap();
        let mut activity = activity.as_object().cloned().unwrap();
        address(&mut activity, &inbound, true);
        address_suggestions(&mut activity, false);
        activity.into()
    }

    #[test]
    fn an_answer_goes_back_to_the_channel_without_what_says_nothing() {
        let inbound = json!({
            "type": "message", "id": "1", "channelId": "test", "serviceUrl": "http://127.0.0.1:9", "locale": null,
            "conversation": { "id": "c", "tenantId": null, "name": "", "isGroup": null, "topic": null, "tags": [null, ""] },
            "from": { "id": "ann", "name": null, "aadObjectId": "" }, "recipient": { "id": "bot", "name": "Bot", "role": null }
        });
        let answer = json!({ "type": "message", "text": "", "locale": "", "value": null });
        assert_eq!(
            addressed(&answer, &inbound),
            json!({
                "type": "message", "text": "", "value": null, "channelId": "test", "serviceUrl": "http://127.0.0.1:9",
                "conversation": { "id": "c", "topic": null, "tags": [null, ""] },
                "from": { "id": "bot", "name": "Bot" }, "recipient": { "id": "ann" }, "replyToId": "1"
            })
        );
    }

    #[test]
    fn suggested_actions_are_for_the_recipient_unless_their_sender_says_otherwise() {
        let inbound = json!({ "type": "message", "conversation": { "id": "c" }, "from": { "id": "ann" } });
        let nobody = json!({ "type": "message", "conversation": { "id": "c" } });
        for (suggested, inbound, to) in [
            (json!({ "actions": [] }), &inbound, json!(["ann"])),
            (json!({ "to": null, "actions": [] }), &inbound, json!(["ann"])),
            (json!({ "to": [], "actions": [] }), &inbound, json!([])),
            (json!({ "to": ["ben"], "actions": [] }), &inbound, json!(["ben"])),
            (json!({ "actions": [] }), &nobody, json!([])),
        ] {
            let answer = addressed(&json!({ "type": "message", "suggestedActions": suggested }), inbound);
            assert_eq!(answer["suggestedActions"]["to"], to, "{suggested}");
        }
        let to_ben = json!({ "type": "message", "recipient": { "id": "ben" }, "suggestedActions": { "actions": [] } });
        assert_eq!(addressed(&to_ben, &inbound)["suggestedActions"]["to"], json!(["ben"]));
        let none = addressed(&json!({ "type": "message", "suggestedActions": null }), &inbound);
        assert_eq!(none["suggestedActions"], Value::Null);
    }
}
