//! Definitions that are refused, and the schema that says so too.

use serde_json::{Value, json};

use crate::prompt::Prompt;

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

/// What the schema calls a prompt, the parser takes; what breaks a rule that a schema can say, both refuse.
#[test]
fn the_published_schema_and_the_parser_agree() {
    let schema: Value = serde_json::from_str(include_str!("../../../../../wit/prompt.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let long = "x".repeat(501);
    for (definition, fits) in [
        (json!({ "kind": "text", "prompt": "Name?", "attempts": 3, "validator": "name" }), true),
        (json!({ "kind": "text", "prompt": { "type": "message", "text": "Name?" }, "retry": "Again?" }), true),
        (json!({ "kind": "text", "min-length": 2, "max-length": 40, "pattern": "[a-z]+", "locale": "de-AT" }), true),
        (json!({ "kind": "number", "min": -1.5, "max": 3, "integer": true, "attempts": 3.0 }), true),
        (json!({ "kind": "confirm" }), true),
        (json!({ "kind": "confirm", "choices": ["aye", "nay"], "style": "none" }), true),
        (json!({ "kind": "choice", "choices": ["a", { "value": "b", "synonyms": ["c"] }], "style": "list" }), true),
        (
            json!({ "kind": "choice", "choices": [{ "value": "b", "title": "B", "action": { "type": "imBack" } }] }),
            true,
        ),
        (json!({ "kind": "choice", "choices": ["a"], "ordinals": false, "fuzzy": false }), true),
        (json!({ "kind": "date-time", "types": ["date"], "earliest": "2026-01-01" }), true),
        (json!({ "kind": "attachment", "content-types": ["image/*"], "max-count": 2, "later": true }), true),
        (json!({}), false),
        (json!([]), false),
        (json!({ "kind": "poem" }), false),
        (json!({ "kind": 1 }), false),
        (json!({ "kind": "choice" }), false),
        (json!({ "kind": "choice", "choices": [] }), false),
        (json!({ "kind": "choice", "choices": [""] }), false),
        (json!({ "kind": "choice", "choices": [1] }), false),
        (json!({ "kind": "choice", "choices": "a" }), false),
        (json!({ "kind": "choice", "choices": [{ "title": "a" }] }), false),
        (json!({ "kind": "choice", "choices": [{ "value": "a", "title": 1 }] }), false),
        (json!({ "kind": "choice", "choices": [{ "value": "a", "synonyms": "b" }] }), false),
        (json!({ "kind": "choice", "choices": [{ "value": "a", "action": "b" }] }), false),
        (json!({ "kind": "choice", "choices": [long] }), false),
        (json!({ "kind": "choice", "choices": vec!["a"; 101] }), false),
        (json!({ "kind": "choice", "choices": ["a"], "style": "neon" }), false),
        (json!({ "kind": "choice", "choices": ["a"], "fuzzy": "yes" }), false),
        (json!({ "kind": "confirm", "choices": [] }), false),
        (json!({ "kind": "confirm", "choices": ["a"] }), false),
        (json!({ "kind": "confirm", "choices": ["a", "b", "c"] }), false),
        (json!({ "kind": "number", "min": "1" }), false),
        (json!({ "kind": "text", "min-length": -1 }), false),
        (json!({ "kind": "text", "max-length": 1.5 }), false),
        (json!({ "kind": "text", "pattern": "x".repeat(1025) }), false),
        (json!({ "kind": "text", "attempts": 0 }), false),
        (json!({ "kind": "text", "attempts": 101 }), false),
        (json!({ "kind": "text", "attempts": 1.5 }), false),
        (json!({ "kind": "text", "prompt": "" }), false),
        (json!({ "kind": "text", "retry": { "text": "no type" } }), false),
        (json!({ "kind": "date-time", "types": ["era"] }), false),
        (json!({ "kind": "attachment", "max-count": 0 }), false),
        (json!({ "kind": "attachment", "content-types": "image/*" }), false),
    ] {
        assert_eq!(validator.is_valid(&definition), fits, "schema: {definition}");
        assert_eq!(Prompt::parse(&definition).is_ok(), fits, "parser: {definition}");
    }
}
