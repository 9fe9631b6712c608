//! How questions look.

use serde_json::{Value, json};

use crate::activity::Activity;
use crate::prompt::{Place, Prompt};

/// A conversation of a channel; on Teams `TYPE` says of which kind, as in `msteams/personal`.
fn place(channel: &str) -> Place<'_> {
    let (channel, conversation_type) = channel.split_once('/').unwrap_or((channel, ""));
    Place { channel, conversation_type }
}

#[test]
fn questions_show_their_choices_as_the_channel_can() {
    let ask = |style: &str, channel: &str, locale: &str| {
        let definition =
            json!({ "kind": "choice", "prompt": "Which?", "choices": ["red", "green", "blue"], "style": style });
        Value::Object(Prompt::parse(&definition).unwrap().ask(0, &place(channel), locale).unwrap())
    };
    assert_eq!(ask("inline", "x", "en")["text"], "Which? (1) red, (2) green, or (3) blue");
    assert_eq!(ask("inline", "x", "de")["text"], "Which? (1) red, (2) green oder (3) blue");
    assert_eq!(ask("list", "x", "en")["text"], "Which?\n\n   1. red\n   2. green\n   3. blue");
    assert_eq!(ask("suggested-action", "x", "en")["suggestedActions"]["actions"][1]["value"], "green");
    assert_eq!(ask("hero-card", "x", "en")["attachments"][0]["content"]["buttons"][2]["title"], "blue");
    assert_eq!(ask("none", "x", "en")["text"], "Which?");
    assert!(ask("auto", "webchat", "en")["suggestedActions"].is_object());
    assert_eq!(ask("auto", "sms", "en")["text"], "Which? (1) red, (2) green, or (3) blue");
    assert_eq!(ask("auto", "webchat", "en")["inputHint"], "expectingInput");
    let confirm = Prompt::parse(&json!({ "kind": "confirm", "prompt": "Sure?", "retry": "Really?" })).unwrap();
    assert_eq!(confirm.ask(0, &place("sms"), "fr").unwrap()["text"], "Sure? (1) Oui ou (2) Non");
    assert_eq!(confirm.ask(1, &place("sms"), "es").unwrap()["text"], "Really? (1) Sí o (2) No");
    assert!(
        Prompt::parse(&json!({ "kind": "text" })).unwrap().ask(0, &place(""), "").is_none(),
        "the dialog asked itself"
    );
}

/// The style in which a channel gets so many choices, asked for as `wanted`.
fn style(count: usize, title: &str, channel: &str, wanted: &str) -> &'static str {
    let choices: Vec<String> = (0..count).map(|number| format!("{title}{number}")).collect();
    let definition = json!({ "kind": "choice", "prompt": "Which?", "choices": choices, "style": wanted });
    let question = Prompt::parse(&definition).unwrap().ask(0, &place(channel), "en").unwrap();
    let text = question.get("text").and_then(Value::as_str).unwrap_or_default();
    match () {
        () if question.contains_key("suggestedActions") => "suggested",
        () if question.contains_key("attachments") => "card",
        () if text.contains("(1)") => "inline",
        () => "list",
    }
}

/// As the Bot Framework chooses: what the channel can show, as many as fit, titles that fit on a button.
#[test]
fn the_style_follows_the_channel() {
    for (count, title, channel, expected) in [
        (3, "a", "webchat", "suggested"),
        (30, "a", "directline", "suggested"),
        (10, "a", "facebook", "suggested"),
        (11, "a", "facebook", "list"),
        (3, "a", "msteams/personal", "suggested"),
        (4, "a", "msteams/personal", "card"),
        (51, "a", "msteams/personal", "list"),
        (2, "a", "msteams/groupChat", "card"),
        (50, "a", "msteams/channel", "card"),
        (51, "a", "msteams/groupChat", "list"),
        (2, "a", "msteams", "card"),
        (3, "a", "msteams:COPILOT/personal", "suggested"),
        (3, "a", "slack", "card"),
        (13, "a", "line", "suggested"),
        (14, "a", "line", "card"),
        (3, "a", "sms", "inline"),
        (4, "a", "sms", "list"),
        (3, "a", "nobody knows", "inline"),
        (2, "a title that does not fit", "webchat", "list"),
        (2, "a title that does not fit", "msteams/groupChat", "list"),
    ] {
        assert_eq!(style(count, title, channel, "auto"), expected, "{count} on {channel}");
    }
}

/// Buttons that a channel does not show would be lost, whoever asked for them.
#[test]
fn buttons_are_of_a_kind_that_the_channel_shows() {
    for (wanted, count, channel, expected) in [
        ("suggested-action", 2, "msteams/groupChat", "card"),
        ("suggested-action", 2, "msteams/channel", "card"),
        ("suggested-action", 2, "msteams/Personal", "suggested"),
        ("suggested-action", 4, "msteams/personal", "card"),
        ("suggested-action", 2, "slack", "card"),
        ("suggested-action", 2, "email", "list"),
        ("suggested-action", 51, "msteams/groupChat", "list"),
        ("suggested-action", 2, "nobody knows", "suggested"),
        ("hero-card", 2, "nobody knows", "card"),
        ("hero-card", 2, "msteams/personal", "card"),
        ("hero-card", 2, "kik", "suggested"),
        ("hero-card", 2, "sms", "list"),
        ("hero-card", 4, "facebook", "suggested"),
        ("inline", 2, "msteams/groupChat", "inline"),
        ("list", 2, "webchat", "list"),
    ] {
        assert_eq!(style(count, "a", channel, wanted), expected, "{wanted} of {count} on {channel}");
    }
}

#[test]
fn a_confirmation_in_a_group_of_teams_is_a_card_whose_buttons_say_yes_and_no() {
    let group = json!({
        "type": "message", "channelId": "msteams",
        "conversation": { "id": "19:a@thread.v2", "isGroup": true, "conversationType": "groupChat" }
    });
    let group = Activity::parse(&group.to_string()).unwrap();
    let confirm = Prompt::parse(&json!({ "kind": "confirm", "prompt": "Sure?" })).unwrap();
    let question = Value::Object(confirm.ask(0, &Place::of(&group), "en").unwrap());
    let buttons = json!([
        { "type": "imBack", "title": "Yes", "value": "Yes" }, { "type": "imBack", "title": "No", "value": "No" }
    ]);
    assert_eq!(question["attachments"][0]["contentType"], "application/vnd.microsoft.card.hero");
    assert_eq!(question["attachments"][0]["content"], json!({ "text": "Sure?", "buttons": buttons }));
    assert!(question.get("suggestedActions").is_none());
}

#[test]
fn a_button_has_type_title_and_value_whatever_its_author_left_out() {
    let choices = json!([
        { "value": "a", "action": { "title": "A" } },
        { "value": "b", "title": "Blue", "action": { "type": "messageBack", "title": "", "text": "blue" } },
        { "value": "c", "action": { "type": "openUrl", "title": "C", "value": "https://example.org" } }
    ]);
    let prompt = json!({ "kind": "choice", "prompt": "?", "choices": choices, "style": "suggested-action" });
    let question = Value::Object(Prompt::parse(&prompt).unwrap().ask(0, &place("x"), "en").unwrap());
    assert_eq!(
        question["suggestedActions"]["actions"],
        json!([
            { "title": "A", "type": "imBack", "value": "a" },
            { "type": "messageBack", "title": "Blue", "text": "blue", "value": "b" },
            { "type": "openUrl", "title": "C", "value": "https://example.org" }
        ])
    );
}

#[test]
fn a_question_may_be_an_activity() {
    let definition = json!({
        "kind": "choice", "style": "hero-card", "choices": ["red", { "value": "b", "title": "Blue" }],
        "prompt": { "type": "message", "text": "Which?", "inputHint": "ignoringInput", "attachments": [{ "contentType": "x" }] },
        "retry": "Which one?"
    });
    let prompt = Prompt::parse(&definition).unwrap();
    let first = Value::Object(prompt.ask(0, &place("x"), "en").unwrap());
    assert_eq!(first["inputHint"], "ignoringInput", "what the author says stays");
    assert_eq!(first["attachments"][0]["contentType"], "x");
    assert_eq!(
        first["attachments"][1]["content"]["buttons"][1],
        json!({ "type": "imBack", "title": "Blue", "value": "b" })
    );
    assert_eq!(first["attachments"][1]["content"]["text"], "Which?");
    assert!(first.get("text").is_none(), "the card says it");
    let again = Value::Object(prompt.ask(1, &place("x"), "en").unwrap());
    assert_eq!(again["attachments"][0]["content"]["text"], "Which one?");
}
