//! Middleware that removes card and phone numbers from everything that enters and leaves a bot. Other plugins never see a number,
//! so no number is sent, streamed, stored or kept in dead letters.
//!
//! It checks every text of an activity, including cards and values, except ids and addresses. If in doubt, it removes the number.
//! It cannot detect a number that is spread over several messages.

mod numbers;

use turntable_sdk::prelude::*;
use turntable_sdk::{Object, Value};

/// The plugin.
#[derive(Debug, Default)]
pub struct Redact;

/// Members of an activity that identify accounts, places and times. All other texts are checked.
const ADDRESSES: &[&str] = &[
    "type",
    "id",
    "from",
    "recipient",
    "conversation",
    "channelId",
    "serviceUrl",
    "replyToId",
    "timestamp",
    "localTimestamp",
    "relatesTo",
];

/// The same for nested objects, if the member is a text without blanks. Members that a form submits may have any other name.
const IDS: &[&str] = &["id", "streamId"];

impl Bot for Redact {
    fn manifest(&self) -> Manifest {
        Manifest::new()
            .description("Removes card and phone numbers from everything that enters and leaves the bot")
            .activities([])
            .intercepts(["receive", "send", "update"])
    }
}

impl Middleware for Redact {
    fn on_receive(&mut self, turn: &mut Turn) -> Result<Passage> {
        redacted(turn.activity())
    }

    fn on_send(&mut self, _turn: &mut Turn, activity: &Activity) -> Result<Passage> {
        redacted(activity)
    }

    fn on_update(&mut self, _turn: &mut Turn, activity: &Activity) -> Result<Passage> {
        redacted(activity)
    }
}

/// Replaces the activity by one without numbers, or passes it if it contains none.
fn redacted(activity: &Activity) -> Result<Passage> {
    let before = activity.clone().into_object();
    let mut object = before.clone();
    redact_members(&mut object, |name, _| ADDRESSES.contains(&name));
    if is_unfinished_stream(&object)
        && let Some(Value::String(text)) = object.get_mut("text")
    {
        // The next piece of the stream repeats this one and continues it, possibly within a number.
        numbers::hold_back(text);
    }
    if object == before {
        return Ok(Passage::Pass);
    }
    Ok(Passage::replace(Activity::from_object(object)))
}

fn redact_members(object: &mut Object, stays: impl Fn(&str, &Value) -> bool) {
    for (name, value) in object.iter_mut() {
        if !stays(name, value) {
            redact(value);
        }
    }
    let names: Vec<_> = object.keys().filter_map(|name| Some((name.clone(), numbers::without(name)?))).collect();
    for (name, without) in names {
        let value = object.remove(&name).unwrap_or_default();
        object.insert(without, value);
    }
}

fn redact(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(without) = numbers::without(text) {
                *text = without;
            }
        }
        Value::Number(number) => {
            if let Some(without) = numbers::without(&number.to_string()) {
                *value = without.into();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(redact),
        Value::Object(object) => redact_members(object, is_id),
        Value::Null | Value::Bool(_) => {}
    }
}

fn is_id(name: &str, value: &Value) -> bool {
    IDS.contains(&name) && value.as_str().is_some_and(|id| !id.contains(char::is_whitespace))
}

fn is_unfinished_stream(object: &Object) -> bool {
    let entities = object.get("entities").and_then(Value::as_array);
    entities.into_iter().flatten().any(|entity| {
        let is =
            |member: &str, wanted: &str| entity[member].as_str().is_some_and(|text| text.eq_ignore_ascii_case(wanted));
        is("type", "streaminfo") && !is("streamType", "final")
    })
}

turntable_sdk::register!(Redact, middleware);

#[cfg(test)]
mod tests {
    use turntable_sdk::json;
    use turntable_sdk::prelude::*;
    use turntable_sdk::testing::TestHost;

    use super::Redact;

    #[test]
    fn every_text_of_an_activity_is_looked_at() {
        let card = HeroCard::new("4111 1111 1111 1111").text("call +49 171 1234567");
        let sent = Activity { speak: Some("+49 171 1234567".to_owned()), ..Activity::from(card) };
        let passage = TestHost::<Redact>::new().intercepts_send("shop", sent).unwrap();
        let Passage::Replace(activity) = passage else { panic!("{passage:?}") };
        let text = Value::Object(activity.into_object()).to_string();
        assert!(text.contains("[card]") && text.contains("call [phone]") && !text.contains("4111"), "{text}");
    }

    #[test]
    fn what_has_no_number_passes_untouched_and_addresses_stay() {
        let host = TestHost::<Redact>::new().user(ChannelAccount::new("+49 171 1234567"));
        assert_eq!(host.receives("hello").unwrap(), Passage::Pass);
        let Ok(Passage::Replace(activity)) = host.receives("I am at 0171 1234567") else { panic!() };
        assert_eq!(activity.text.as_deref(), Some("I am at [phone]"));
        assert_eq!(activity.from.unwrap().id, "+49 171 1234567");
    }

    #[test]
    fn what_a_form_sends_back_is_looked_at_whatever_its_names() {
        let host = TestHost::<Redact>::new();
        let form = json!({ "from": "+49 171 1234567", "conversation": { "id": "Ann", "timestamp": "4111111111111111" },
            "4111111111111111": 4111111111111111_u64, "exact": 4111111111111111.0, "id": "+491711234567",
            "card": { "id": "4111 1111 1111 1111", "type": "4111111111111111" } });
        let sent = Activity { value: Some(form), ..Activity::message("a form") };
        let Ok(Passage::Replace(activity)) = host.intercepts_send("shop", sent) else { panic!() };
        let expected = json!({ "from": "[phone]", "conversation": { "id": "Ann", "timestamp": "[card]" },
            "[card]": "[card]", "exact": "[card].0", "id": "+491711234567",
            "card": { "id": "[card]", "type": "[card]" } });
        assert_eq!(activity.value, Some(expected));
    }

    #[test]
    fn a_piece_of_a_stream_does_not_end_within_a_number() {
        let piece = |kind: &str| {
            let entities = json!([{ "type": "streaminfo", "streamType": kind, "streamSequence": 2 }]);
            let activity = json!({ "type": "typing", "text": "It is 4111 11", "entities": entities });
            Activity::from_object(activity.as_object().unwrap().clone())
        };
        let host = TestHost::<Redact>::new();
        let Ok(Passage::Replace(activity)) = host.intercepts_send("shop", piece("streaming")) else { panic!() };
        assert_eq!(activity.text.as_deref(), Some("It is "));
        assert_eq!(host.intercepts_send("shop", piece("final")).unwrap(), Passage::Pass);
    }
}
