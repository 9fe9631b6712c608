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
