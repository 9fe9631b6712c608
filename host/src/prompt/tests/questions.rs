//! How questions look.

use serde_json::{Value, json};

use crate::prompt::Prompt;

#[test]
fn questions_show_their_choices_as_the_channel_can() {
    let ask = |style: &str, channel: &str, locale: &str| {
        let definition =
            json!({ "kind": "choice", "prompt": "Which?", "choices": ["red", "green", "blue"], "style": style });
        Value::Object(Prompt::parse(&definition).unwrap().ask(0, channel, locale).unwrap())
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
    assert_eq!(confirm.ask(0, "sms", "fr").unwrap()["text"], "Sure? (1) Oui ou (2) Non");
    assert_eq!(confirm.ask(1, "sms", "es").unwrap()["text"], "Really? (1) Sí o (2) No");
    assert!(Prompt::parse(&json!({ "kind": "text" })).unwrap().ask(0, "", "").is_none(), "the dialog asked itself");
}

/// As the Bot Framework chooses: what the channel can show, as many as fit, titles that fit on a button.
#[test]
fn the_style_follows_the_channel() {
    let style = |count: usize, title: &str, channel: &str| {
        let choices: Vec<String> = (0..count).map(|number| format!("{title}{number}")).collect();
        let definition = json!({ "kind": "choice", "prompt": "Which?", "choices": choices });
        let question = Prompt::parse(&definition).unwrap().ask(0, channel, "en").unwrap();
        let text = question.get("text").and_then(Value::as_str).unwrap_or_default();
        match () {
            () if question.contains_key("suggestedActions") => "suggested",
            () if question.contains_key("attachments") => "card",
            () if text.contains("(1)") => "inline",
            () => "list",
        }
    };
    for (count, title, channel, expected) in [
        (3, "a", "webchat", "suggested"),
        (30, "a", "directline", "suggested"),
        (10, "a", "facebook", "suggested"),
        (11, "a", "facebook", "list"),
        (3, "a", "msteams", "suggested"),
        (4, "a", "msteams", "card"),
        (51, "a", "msteams", "list"),
        (3, "a", "sms", "inline"),
        (4, "a", "sms", "list"),
        (2, "a title that does not fit", "webchat", "list"),
    ] {
        assert_eq!(style(count, title, channel), expected, "{count} on {channel}");
    }
}

#[test]
fn a_question_may_be_an_activity() {
    let definition = json!({
        "kind": "choice", "style": "hero-card", "choices": ["red", { "value": "b", "title": "Blue" }],
        "prompt": { "type": "message", "text": "Which?", "inputHint": "ignoringInput", "attachments": [{ "contentType": "x" }] },
        "retry": "Which one?"
    });
    let prompt = Prompt::parse(&definition).unwrap();
    let first = Value::Object(prompt.ask(0, "sms", "en").unwrap());
    assert_eq!(first["inputHint"], "ignoringInput", "what the author says stays");
    assert_eq!(first["attachments"][0]["contentType"], "x");
    assert_eq!(
        first["attachments"][1]["content"]["buttons"][1],
        json!({ "type": "imBack", "title": "Blue", "value": "b" })
    );
    assert_eq!(first["attachments"][1]["content"]["text"], "Which?");
    assert!(first.get("text").is_none(), "the card says it");
    let again = Value::Object(prompt.ask(1, "sms", "en").unwrap());
    assert_eq!(again["attachments"][0]["content"]["text"], "Which one?");
}
