//! What people answer, and what it means, language by language.

use jiff::civil::{DateTime, date};
use serde_json::{Value, json};

use super::Prompt;
use crate::activity::Activity;

/// A Friday.
fn now() -> DateTime {
    date(2026, 11, 20).at(15, 30, 0, 0)
}

fn answer(members: &Value) -> Activity {
    let mut activity = json!({ "type": "message", "conversation": { "id": "c" } });
    for (member, value) in members.as_object().unwrap() {
        activity[member] = value.clone();
    }
    Activity::parse(&activity.to_string()).unwrap()
}

fn recognize(definition: &Value, locale: &str, text: &str) -> Option<Value> {
    let prompt = Prompt::parse(definition).unwrap();
    prompt.recognize(&answer(&json!({ "text": text })), locale, now()).ok()
}

#[test]
fn numbers() {
    let cases = [
        ("en", "12", json!(12)),
        ("en", "I need 1,234.5 of them", json!(1234.5)),
        ("en", "twelve", json!(12)),
        ("en", "one hundred twenty-three", json!(123)),
        ("en", "-7", json!(-7)),
        ("en", "minus seven", json!(-7)),
        ("en", "1,234", json!(1234)),
        ("de", "zwölf", json!(12)),
        ("de", "dreiundzwanzig bitte", json!(23)),
        ("de", "1.234,5", json!(1234.5)),
        ("de", "3,5", json!(3.5)),
        ("de", "3.5", json!(3.5)),
        ("de", "1.234", json!(1234)),
        ("de-AT", "minus 4", json!(-4)),
        ("es", "doce", json!(12)),
        ("es", "treinta y cinco", json!(35)),
        ("es", "1.234,56", json!(1234.56)),
        ("fr", "trois", json!(3)),
        ("fr", "quatre-vingt-dix-neuf", json!(99)),
        ("fr", "1 234,5", json!(1234.5)),
        ("fr", "1\u{202f}234,5", json!(1234.5)),
        ("xx", "5", json!(5)),
    ];
    for (locale, text, expected) in cases {
        assert_eq!(recognize(&json!({ "kind": "number" }), locale, text), Some(expected), "{locale}: {text}");
    }
    for text in ["", "none of your business", "¿?", "-"] {
        assert_eq!(recognize(&json!({ "kind": "number" }), "en", text), None, "{text}");
    }
    let bounded = json!({ "kind": "number", "min": 1, "max": 10, "integer": true });
    for (text, expected) in [("10", Some(json!(10))), ("11", None), ("0", None), ("2.5", None)] {
        assert_eq!(recognize(&bounded, "en", text), expected, "{text}");
    }
}

#[test]
fn yes_and_no() {
    let cases = [
        ("en", true, ["yes", "Yes, please!", "sure", "of course", "👍", "👍🏽", "OK"]),
        ("en", false, ["no", "No!", "nope", "do not", "never", "👎", "n"]),
        ("de", true, ["ja", "Ja, gerne", "klar", "auf jeden Fall", "natürlich", "jo", "ok"]),
        ("de", false, ["nein", "Nö", "auf keinen Fall", "lieber nicht", "nee", "niemals", "n"]),
        ("es", true, ["sí", "si", "claro", "por supuesto", "vale", "de acuerdo", "Sí!"]),
        ("es", false, ["no", "No.", "nunca", "para nada", "jamás", "n", "de ninguna manera"]),
        ("fr", true, ["oui", "bien sûr", "d'accord", "d’accord", "ouais", "ok", "Oui !"]),
        ("fr", false, ["non", "pas du tout", "jamais", "nan", "Non.", "n", "faux"]),
    ];
    for (locale, expected, texts) in cases {
        for text in texts {
            let found = recognize(&json!({ "kind": "confirm" }), locale, text);
            assert_eq!(found, Some(json!(expected)), "{locale}: {text}");
        }
    }
    for text in ["", "perhaps", "yes and no", "yesterday"] {
        assert_eq!(recognize(&json!({ "kind": "confirm" }), "en", text), None, "{text}");
    }
    let own = json!({ "kind": "confirm", "choices": ["Keep it", "Throw it away"] });
    for (text, expected) in [("keep it", true), ("throw it away", false), ("1", true), ("the second", false)] {
        assert_eq!(recognize(&own, "en", text), Some(json!(expected)), "{text}");
    }
    let prompt = Prompt::parse(&json!({ "kind": "confirm" })).unwrap();
    assert_eq!(prompt.recognize(&answer(&json!({ "value": true })), "en", now()), Ok(json!(true)), "a button");
}

#[test]
fn choices() {
    let colours = json!({ "kind": "choice", "choices": [
        { "value": "red", "synonyms": ["scarlet", "rot", "rouge"] },
        { "value": "green", "title": "Green as grass" },
        { "value": "dark green" },
        { "value": "turquoise" }
    ]});
    let cases = [
        ("en", "red", 0),
        ("en", " RED! ", 0),
        ("en", "scarlet", 0),
        ("en", "I'd take the red", 0),
        ("en", "green", 1),
        ("en", "green as grass", 1),
        ("en", "the dark green one", 2),
        ("en", "turquiose", 3),
        ("en", "2", 1),
        ("en", "the second one", 1),
        ("en", "third", 2),
        ("en", "the last one", 3),
        ("de", "die zweite", 1),
        ("de", "den letzten bitte", 3),
        ("de", "rot", 0),
        ("es", "el segundo", 1),
        ("es", "la última", 3),
        ("fr", "la deuxième", 1),
        ("fr", "la dernière", 3),
    ];
    for (locale, text, index) in cases {
        let found = recognize(&colours, locale, text);
        assert_eq!(found.as_ref().map(|found| &found["index"]), Some(&json!(index)), "{locale}: {text}: {found:?}");
    }
    for text in ["", "5", "0", "blue", "red or turquoise"] {
        assert_eq!(recognize(&colours, "en", text), None, "{text}");
    }
    let strict = json!({ "kind": "choice", "choices": ["turquoise"], "ordinals": false, "fuzzy": false });
    for text in ["1", "the first", "turquiose"] {
        assert_eq!(recognize(&strict, "en", text), None, "{text}");
    }
}

#[test]
fn a_button_chooses_by_its_value() {
    let definition = json!({ "kind": "choice", "choices": ["red", { "value": "g", "title": "Green" }] });
    let prompt = Prompt::parse(&definition).unwrap();
    for members in [
        json!({ "text": "Green" }),
        json!({ "text": "g" }),
        json!({ "value": "g" }),
        json!({ "value": { "choice": "g" } }),
        json!({ "text": "<at>Bot</at> g", "recipient": { "id": "bot" }, "entities":
            [{ "type": "mention", "text": "<at>Bot</at>", "mentioned": { "id": "bot" } }] }),
    ] {
        let found = prompt.recognize(&answer(&members), "en", now()).unwrap();
        assert_eq!(found["value"], "g", "{members}");
    }
}

#[test]
fn dates_and_times() {
    let cases = [
        ("en", "2026-12-24", "2026-12-24"),
        ("en", "2026-12-24T18:30", "2026-12-24T18:30:00"),
        ("en", "2026-12-24 18:30:15", "2026-12-24T18:30:15"),
        ("en", "today", "2026-11-20"),
        ("en", "tomorrow", "2026-11-21"),
        ("en", "the day after tomorrow", "2026-11-22"),
        ("en", "tomorrow at 8", "2026-11-21T08:00:00"),
        ("en", "tomorrow at 8pm", "2026-11-21T20:00:00"),
        ("en", "monday", "2026-11-23"),
        ("en", "friday", "2026-11-27"),
        ("en", "next monday", "2026-11-23"),
        ("en", "next friday", "2026-11-27"),
        ("en", "next week", "2026-11-27"),
        ("en", "in 3 days", "2026-11-23"),
        ("en", "in three weeks", "2026-12-11"),
        ("en", "in 20 minutes", "2026-11-20T15:50:00"),
        ("en", "12/24", "2026-12-24"),
        ("en", "24/12", "2026-12-24"),
        ("en-GB", "5/12/2027", "2027-12-05"),
        ("en-US", "5/12/2027", "2027-05-12"),
        ("en", "December 24th, 2027", "2027-12-24"),
        ("en", "24 December", "2026-12-24"),
        ("en", "the 3rd of march", "2027-03-03"),
        ("en", "6:30 pm", "18:30:00"),
        ("en", "at noon", "12:00:00"),
        ("de", "morgen um 8", "2026-11-21T08:00:00"),
        ("de", "übermorgen", "2026-11-22"),
        ("de", "24.12.", "2026-12-24"),
        ("de", "24.12.2027", "2027-12-24"),
        ("de", "24. Dezember", "2026-12-24"),
        ("de", "nächsten Montag um 18.30 Uhr", "2026-11-23T18:30:00"),
        ("de", "in drei Tagen", "2026-11-23"),
        ("es", "mañana a las 8", "2026-11-21T08:00:00"),
        ("es", "pasado mañana", "2026-11-22"),
        ("es", "24 de diciembre de 2027", "2027-12-24"),
        ("es", "el próximo lunes", "2026-11-23"),
        ("es", "24/12", "2026-12-24"),
        ("fr", "demain à 8h", "2026-11-21T08:00:00"),
        ("fr", "après-demain", "2026-11-22"),
        ("fr", "le 24 décembre", "2026-12-24"),
        ("fr", "lundi prochain à 18h30", "2026-11-23T18:30:00"),
        ("fr", "dans trois jours", "2026-11-23"),
    ];
    for (locale, text, expected) in cases {
        let found = recognize(&json!({ "kind": "date-time" }), locale, text);
        assert_eq!(found.as_ref().map(|found| &found["value"]), Some(&json!(expected)), "{locale}: {text}: {found:?}");
    }
    for text in ["", "sometime", "2026-13-45", "99/99"] {
        assert_eq!(recognize(&json!({ "kind": "date-time" }), "en", text), None, "{text}");
    }
    let date_only = json!({ "kind": "date-time", "types": ["date"], "earliest": "2026-11-20", "latest": "2026-12-31" });
    for (text, fits) in
        [("tomorrow at 8", true), ("at 8", false), ("yesterday", false), ("31 december", true), ("1/1", false)]
    {
        assert_eq!(recognize(&date_only, "en", text).is_some(), fits, "{text}");
    }
}

#[test]
fn texts_and_attachments() {
    let code = json!({ "kind": "text", "min-length": 2, "max-length": 4, "pattern": "[A-Z]+" });
    for (text, expected) in [(" AB ", Some(json!("AB"))), ("A", None), ("ABCDE", None), ("ab", None), ("", None)] {
        assert_eq!(recognize(&code, "en", text), expected, "{text}");
    }
    let prompt = Prompt::parse(&json!({ "kind": "attachment", "content-types": ["image/*"], "max-count": 1 })).unwrap();
    let image = json!({ "contentType": "image/png", "contentUrl": "data:," });
    for (attachments, fits) in [
        (json!([image]), true),
        (json!([]), false),
        (json!([image, image]), false),
        (json!([{ "contentType": "text/plain" }]), false),
    ] {
        let found = prompt.recognize(&answer(&json!({ "attachments": attachments })), "en", now());
        assert_eq!(found.is_ok(), fits, "{attachments}");
    }
}

#[test]
fn questions_show_their_choices_as_the_channel_can() {
    let ask = |style: &str, channel: &str, locale: &str| {
        let definition =
            json!({ "kind": "choice", "prompt": "Which?", "choices": ["red", "green", "blue"], "style": style });
        Value::Object(Prompt::parse(&definition).unwrap().ask(0, channel, locale).unwrap())
    };
    assert_eq!(ask("inline", "x", "en")["text"], "Which? (1) red, (2) green, or (3) blue");
    assert_eq!(ask("inline", "x", "de")["text"], "Which? (1) red, (2) green, oder (3) blue");
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

#[test]
fn definitions_that_break_a_rule_are_named() {
    for (definition, says) in [
        (json!(1), "no object"),
        (json!({}), "`kind` is missing"),
        (json!({ "kind": "poem" }), "`kind` is `poem`"),
        (json!({ "kind": "choice" }), "`choices` is missing or empty"),
        (json!({ "kind": "choice", "choices": [] }), "`choices` is missing or empty"),
        (json!({ "kind": "choice", "choices": [{ "title": "x" }] }), "`choices[0]` has no `value`"),
        (json!({ "kind": "choice", "choices": ["a"], "style": "neon" }), "`style` is `neon`"),
        (json!({ "kind": "confirm", "choices": ["a"] }), "must be two"),
        (json!({ "kind": "number", "min": 2, "max": 1 }), "`min` (2) is above `max` (1)"),
        (json!({ "kind": "text", "min-length": 2, "max-length": 1 }), "is above"),
        (json!({ "kind": "text", "pattern": "(" }), "`pattern` is not usable"),
        (json!({ "kind": "text", "pattern": "(a{1000}){1000}" }), "`pattern` is not usable"),
        (json!({ "kind": "date-time", "types": ["era"] }), "`types` has `era`"),
        (json!({ "kind": "date-time", "earliest": "soon" }), "`earliest` is no ISO 8601"),
        (json!({ "kind": "date-time", "earliest": "2026-02-01", "latest": "2026-01-01" }), "is after"),
        (json!({ "kind": "attachment", "max-count": 0 }), "`max-count`"),
        (json!({ "kind": "text", "attempts": 0 }), "`attempts`"),
        (json!({ "kind": "text", "prompt": {} }), "`prompt` must be a text or an activity"),
        (json!({ "kind": "text", "prompt": 1 }), "`prompt` must be"),
    ] {
        let error = Prompt::parse(&definition).unwrap_err();
        assert!(error.contains(says), "{definition}: {error}");
    }
}

/// What the schema calls a prompt, the parser takes; what the parser refuses by shape, the schema refuses.
#[test]
fn the_published_schema_and_the_parser_agree() {
    let schema: Value = serde_json::from_str(include_str!("../../../wit/prompt.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (definition, fits) in [
        (json!({ "kind": "text", "prompt": "Name?", "attempts": 3, "validator": "name" }), true),
        (json!({ "kind": "choice", "choices": ["a", { "value": "b", "synonyms": ["c"] }], "style": "list" }), true),
        (json!({ "kind": "date-time", "types": ["date"], "earliest": "2026-01-01" }), true),
        (json!({ "kind": "attachment", "content-types": ["image/*"], "later": true }), true),
        (json!({ "kind": "poem" }), false),
        (json!({ "kind": "choice", "choices": [] }), false),
        (json!({ "kind": "text", "attempts": 0 }), false),
        (json!({ "kind": "text", "prompt": "" }), false),
    ] {
        assert_eq!(validator.is_valid(&definition), fits, "schema: {definition}");
        assert_eq!(Prompt::parse(&definition).is_ok(), fits, "parser: {definition}");
    }
}

/// Answers are hostile: whatever is said, in whatever locale, recognition ends and does not panic.
#[test]
fn any_answer_ends() {
    let long = "nine ".repeat(10_000);
    let texts = [
        long.as_str(),
        "\u{0}",
        "🧑‍🚀🧑‍🚀",
        "１２",
        "١٢",
        "1.1.1.1.1.1",
        "99999999999999999999999999",
        "1e999",
        "--5",
        "ß",
        "İ",
        "0/0/0",
        "31.02.",
        "24:61",
        "in 9999 years",
        "in 9999 months",
        "the 0th",
        "½",
        "a\u{301}",
        "100h",
        "٣/٤",
    ];
    let kinds = ["text", "number", "confirm", "choice", "date-time", "attachment"];
    for kind in kinds {
        let prompt = Prompt::parse(&json!({ "kind": kind, "choices": ["nine", "ten"] })).unwrap();
        for locale in ["", "en", "de", "es", "fr", "zz-ZZ", "🦀"] {
            for text in texts {
                let _ = prompt.recognize(&answer(&json!({ "text": text })), locale, now());
            }
        }
    }
}
