use serde_json::{Value, json};

use super::*;

/// Reads and writes an activity, and asserts that nothing changed.
#[track_caller]
fn keeps(value: &Value) {
    let activity: Activity = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(&serde_json::to_value(&activity).unwrap(), value);
}

#[test]
fn everything_that_arrives_leaves_unchanged() {
    // One entry per way in which a channel can surprise.
    let cases = [
        json!({ "type": "message", "text": "hi", "unknown": { "deep": [1, { "x": null }] } }),
        json!({ "type": "message", "text": "", "locale": null, "membersAdded": [], "attachments": null }),
        json!({ "type": "message", "text": 7, "from": "not an object", "attachments": { "no": "list" } }),
        json!({ "type": "message", "attachments": [{ "contentType": "x/y" }, "no attachment", { "a": 1 }] }),
        json!({ "type": "message", "from": { "id": "u", "name": null, "email": "a@example.org" } }),
        json!({ "type": "message", "conversation": { "id": "c", "isGroup": "perhaps", "topic": "x" } }),
        json!({ "type": "message", "entities": [{ "type": "clientInfo", "country": "DE" }, { "no": "type" }] }),
        json!({ "type": "message", "suggestedActions": { "to": ["u"], "actions": [{ "type": "imBack", "value": "A" }] } }),
        json!({ "type": "event", "name": "x", "value": null, "relatesTo": { "bot": { "id": "b" }, "x": 1 } }),
        json!({ "type": "messageReaction", "reactionsAdded": [{ "type": "like", "by": 1 }] }),
        json!({ "no type": true }),
        json!({}),
    ];
    for case in &cases {
        keeps(case);
    }
}

#[test]
fn every_member_is_under_its_name_on_the_wire() {
    let text = include_str!("../../tests/data/every-member.json");
    let value: Value = serde_json::from_str(text).unwrap();
    let activity: Activity = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(activity.extra.keys().collect::<Vec<_>>(), Vec::<&String>::new());
    keeps(&value);
}

#[test]
fn what_is_no_object_is_no_activity() {
    for text in ["[]", "1", "\"message\"", "null", "{"] {
        assert!(serde_json::from_str::<Activity>(text).is_err(), "{text}");
    }
}

#[test]
fn a_typed_member_wins_over_one_that_was_left() {
    let mut activity: Activity = serde_json::from_value(json!({ "type": "message", "text": null })).unwrap();
    activity.text = Some("set".to_owned());
    assert_eq!(serde_json::to_value(&activity).unwrap(), json!({ "type": "message", "text": "set" }));
}

#[test]
fn a_member_that_is_cleared_is_gone() {
    let mut activity: Activity = serde_json::from_value(json!({ "type": "message", "text": "x" })).unwrap();
    activity.text = None;
    assert_eq!(serde_json::to_value(&activity).unwrap(), json!({ "type": "message" }));
}

#[test]
fn builders_write_what_the_protocol_wants() {
    let card = HeroCard::new("Title")
        .subtitle("Under it")
        .text("Text")
        .image("https://example.org/a.png", "A")
        .button("Yes")
        .button(CardAction::message_back("No", "no", json!({ "answer": false })))
        .tap(CardAction::open_url("More", "https://example.org"));
    let activity = Activity::message("Choose")
        .suggest("Red")
        .suggest(CardAction::im_back_with("Blue, please", "blue"))
        .suggest(CardAction::post_back("Green", "g"))
        .attach(card)
        .attach(Attachment::adaptive_card(json!({ "type": "AdaptiveCard", "version": "1.4" })))
        .attach(Attachment::file("image/png", "https://example.org/b.png").named("b.png"))
        .carousel()
        .locale("en")
        .speak("Choose one")
        .input_hint("expectingInput")
        .channel_data(json!({ "x": 1 }));
    let expected = json!({
        "type": "message", "text": "Choose", "locale": "en", "speak": "Choose one", "inputHint": "expectingInput",
        "attachments": [
            { "contentType": "application/vnd.microsoft.card.hero", "content": {
                "title": "Title", "subtitle": "Under it", "text": "Text",
                "images": [{ "url": "https://example.org/a.png", "alt": "A" }],
                "buttons": [
                    { "type": "imBack", "title": "Yes", "value": "Yes" },
                    { "type": "messageBack", "title": "No", "text": "no", "displayText": "No", "value": { "answer": false } }
                ],
                "tap": { "type": "openUrl", "title": "More", "value": "https://example.org" } } },
            { "contentType": "application/vnd.microsoft.card.adaptive", "content": { "type": "AdaptiveCard", "version": "1.4" } },
            { "contentType": "image/png", "contentUrl": "https://example.org/b.png", "name": "b.png" }
        ],
        "attachmentLayout": "carousel",
        "suggestedActions": { "actions": [
            { "type": "imBack", "title": "Red", "value": "Red" },
            { "type": "imBack", "title": "Blue, please", "value": "blue" },
            { "type": "postBack", "title": "Green", "value": "g" }
        ] },
        "channelData": { "x": 1 },
    });
    assert_eq!(serde_json::to_value(&activity).unwrap(), expected);
}

#[test]
fn a_mention_stands_in_text_and_entities() {
    let ann = ChannelAccount::new("29:ann").named("Ann");
    let activity = Activity::message("Thanks").mention(&ann);
    assert_eq!(activity.text.as_deref(), Some("Thanks <at>Ann</at>"));
    let mention = activity.mentions().next().unwrap();
    assert_eq!((mention.mentioned, mention.text.as_str()), (ann, "<at>Ann</at>"));
    assert_eq!(serde_json::to_value(&activity).unwrap()["entities"][0]["type"], "mention");
}

#[test]
fn the_mention_of_the_bot_is_removed_and_others_stay() {
    // text, text of the bot's mention, what is left
    let cases = [
        ("<at>Bot</at> hello", "<at>Bot</at>", "hello"),
        ("hello <at>Bot</at>", "<at>Bot</at>", "hello"),
        ("<at>Bot</at> ask <at>Ann</at>", "<at>Bot</at>", "ask <at>Ann</at>"),
        ("<at>Bot</at> and <at>Bot</at> again", "<at>Bot</at>", "and  again"),
        ("<at>Bot</at> hello", "Bot", "hello"),
        ("<at id=\"0\">Bot</at> hello", "Bot", "hello"),
        ("@Bot hello", "@Bot", "hello"),
        ("<at>Bot</at> hello", "", "hello"),
        ("a > Bot", "Bot", "a >"),
        ("hello", "<at>Bot</at>", "hello"),
        ("Größe <at>Bot</at> über", "<at>Bot</at>", "Größe  über"),
        ("<at>Q&amp;A &lt;1&gt;</at> hello", "<at>Q&A <1></at>", "hello"),
        ("<at>Q&amp;A</at> hello", "Q&A", "hello"),
        ("<at>Q&amp;amp;A &#39;1&#39;</at> hello", "<at>Q&A '1'</at>", "hello"),
        ("<at id=\"0\">Q&amp;amp;A</at> hello", "Q&amp;A", "hello"),
        ("</at> <at>Q&amp;A</at> <at>Ann</at> hello </at>", "Q&A", "</at>  <at>Ann</at> hello </at>"),
    ];
    for (text, mention, left) in cases {
        let activity: Activity = serde_json::from_value(json!({
            "type": "message", "text": text, "recipient": { "id": "b", "name": "Bot" },
            "entities": [
                { "type": "mention", "mentioned": { "id": "b", "name": "Bot" }, "text": mention },
                { "type": "mention", "mentioned": { "id": "a", "name": "Ann" }, "text": "<at>Ann</at>" }
            ]
        }))
        .unwrap();
        assert_eq!(activity.text_without_recipient(), left, "{text} without {mention}");
    }
}

#[test]
fn numbers_beyond_all_floats_are_passed_on() {
    let digits = "9".repeat(60);
    for (sent, left) in [
        ("1e400", "1e+400"),
        ("1E5", "1e+5"),
        ("-1E-400", "-1e-400"),
        ("-2.50E-9", "-2.50e-9"),
        (digits.as_str(), digits.as_str()),
        ("1.10", "1.10"),
    ] {
        let with = |number: &str| {
            format!(r#"{{"type":"message","channelData":{{"n":[{number}]}},"value":{number},"x":{{"n":{number}}}}}"#)
        };
        let activity: Activity = serde_json::from_str(&with(sent)).unwrap();
        assert_eq!(serde_json::to_string(&activity).unwrap(), with(left), "another notation, the same number");
        let again = Activity::from_object(activity.clone().into_object());
        assert_eq!(again, activity);
        let read: Activity = crate::read::value(&serde_json::to_value(&activity).unwrap()).unwrap();
        assert_eq!(read, activity);
    }
}
