//! Choices: by words, place, likeness, button.

use serde_json::{Value, json};

use super::{answer, now, recognize};
use crate::prompt::Prompt;

fn colours() -> Value {
    json!({ "kind": "choice", "choices": [
        { "value": "red", "synonyms": ["scarlet", "rot", "rouge"] },
        { "value": "green", "title": "Green as grass" },
        { "value": "dark green" },
        { "value": "turquoise" }
    ]})
}

/// The place of the choice that a text means.
fn chosen(definition: &Value, locale: &str, text: &str) -> Option<u64> {
    recognize(definition, locale, text)?["index"].as_u64()
}

#[test]
fn by_words_and_by_place() {
    for (locale, text, index) in [
        ("en", "red", 0),
        ("en", " RED! ", 0),
        ("en", "scarlet", 0),
        ("en", "I'd take the red", 0),
        ("en", "green", 1),
        ("en", "green as grass", 1),
        ("en", "grass", 1),
        ("en", "the dark green one", 2),
        ("en", "turquiose", 3),
        ("en", "turqoise", 3),
        ("en", "2", 1),
        ("en", "#2", 1),
        ("en", "number two", 1),
        ("en", "the second one", 1),
        ("en", "third", 2),
        ("en", "the last one", 3),
        ("en", "the last but one", 2),
        ("de", "die zweite", 1),
        ("de", "2.", 1),
        ("de", "Nummer drei", 2),
        ("de", "den letzten bitte", 3),
        ("de", "die vorletzte", 2),
        ("de", "rot", 0),
        ("es", "el segundo", 1),
        ("es", "la primera", 0),
        ("es", "el tercero", 2),
        ("es", "la última", 3),
        ("es", "la ultima", 3),
        ("es", "la penúltima", 2),
        ("fr", "la deuxième", 1),
        ("fr", "le premier", 0),
        ("fr", "le 3e", 2),
        ("fr", "la dernière", 3),
        ("fr", "l'avant-dernière", 2),
    ] {
        assert_eq!(chosen(&colours(), locale, text), Some(index), "{locale}: {text}");
    }
    for text in ["", "5", "0", "-1", "1.5", "blue", "red or turquoise", "1 or 2", "the first or the second", "reds"] {
        assert_eq!(chosen(&colours(), "en", text), None, "{text}");
    }
}

#[test]
fn places_and_likeness_can_be_switched_off() {
    let strict = json!({ "kind": "choice", "choices": ["turquoise"], "ordinals": false, "fuzzy": false });
    for text in ["1", "the first", "turquiose"] {
        assert_eq!(chosen(&strict, "en", text), None, "{text}");
    }
    assert_eq!(chosen(&strict, "en", "Turquoise"), Some(0));
}

/// Marks tell apart what has the same words.
#[test]
fn marks_count_where_words_are_the_same() {
    let languages = json!({ "kind": "choice", "choices": ["C++", "C#", "C", "+", "-"] });
    for (text, index) in [("C#", 1), ("c#", 1), ("C++", 0), ("C", 2), ("+", 3), ("-", 4)] {
        assert_eq!(chosen(&languages, "en", text), Some(index), "{text}");
    }
    let accents = json!({ "kind": "choice", "choices": ["papa", "papá", "café"] });
    for (text, index) in [("papa", 0), ("papá", 1), ("cafe", 2), ("cafe\u{301}", 2), ("CAFÉ", 2)] {
        assert_eq!(chosen(&accents, "es", text), Some(index), "{text}");
    }
}

#[test]
fn numbers_within_choices_come_before_places() {
    let tables = json!({ "kind": "choice", "choices": ["4 persons", "2 persons", "10 persons"] });
    for (text, index) in [("4 persons", 0), ("four persons", 0), ("2 persons please", 1), ("ten", 2), ("10", 2)] {
        assert_eq!(chosen(&tables, "en", text), Some(index), "{text}");
    }
    let years = json!({ "kind": "choice", "choices": ["1", "2", "4", "8"] });
    assert_eq!(chosen(&years, "en", "4"), Some(2), "its value, not its place");
}

/// «one» stands for the thing, and is the place only where it is said to be.
#[test]
fn the_small_one_is_not_the_first() {
    for (locale, text) in [
        ("en", "I want the blue one"),
        ("en", "the one in the middle"),
        ("en", "another one please"),
        ("de", "ich nehme ein blaues"),
        ("es", "quiero una azul"),
        ("fr", "j'en veux une bleue"),
    ] {
        assert_eq!(chosen(&colours(), locale, text), None, "{locale}: {text}");
    }
    for (locale, text) in [
        ("en", "one"),
        ("en", "number one, please"),
        ("en", "option one"),
        ("en", "the first one"),
        ("de", "eins"),
        ("de", "Nummer eins"),
        ("de", "die eins"),
        ("es", "el uno"),
        ("es", "número uno"),
        ("fr", "numéro un"),
        ("fr", "le 1"),
    ] {
        assert_eq!(chosen(&colours(), locale, text), Some(0), "{locale}: {text}");
    }
    assert_eq!(chosen(&colours(), "en", "the one before last"), Some(2));
}

#[test]
fn what_is_refused_is_not_chosen() {
    for (locale, text) in [
        ("en", "not the red one"),
        ("en", "I don't want red"),
        ("en", "anything but scarlet"),
        ("en", "not the second"),
        ("de", "nicht rot"),
        ("de", "kein rot bitte"),
        ("es", "no quiero rot"),
        ("fr", "pas le rouge"),
    ] {
        assert_eq!(chosen(&colours(), locale, text), None, "{locale}: {text}");
    }
    let when = json!({ "kind": "choice", "choices": ["Now", "Not now", "Kein Termin"] });
    for (locale, text, index) in
        [("en", "now", 0), ("en", "not now", 1), ("en", "not now please", 1), ("de", "kein Termin bitte", 2)]
    {
        assert_eq!(chosen(&when, locale, text), Some(index), "{text}");
    }
    assert_eq!(chosen(&colours(), "en", "no, the red one"), Some(0), "a correction");
}

#[test]
fn words_are_known_by_their_stems() {
    let choices = |names: &[&str]| json!({ "kind": "choice", "choices": names });
    let german = choices(&["Rot", "Grün", "Hellgrün"]);
    for (text, index) in [("das rote", 0), ("die grüne bitte", 1), ("ein hellgrünes", 2)] {
        assert_eq!(chosen(&german, "de", text), Some(index), "{text}");
    }
    assert_eq!(chosen(&choices(&["Rojo", "Azul"]), "es", "la roja"), Some(0));
    assert_eq!(chosen(&choices(&["Vert", "Bleu"]), "fr", "la verte"), Some(0));
    assert_eq!(chosen(&german, "de", "das rote oder das grüne"), None);
    assert_eq!(chosen(&choices(&["banco", "banca"]), "es", "los bancos"), None, "either may be meant");
}

#[test]
fn what_is_a_place_and_a_part_of_another_choice_is_neither() {
    let beds = json!({ "kind": "choice", "choices": ["2 beds", "3 beds", "4 beds"] });
    for (text, index) in
        [("2", None), ("3", None), ("4", Some(2)), ("the second", Some(1)), ("2 beds", Some(0)), ("1", Some(0))]
    {
        assert_eq!(chosen(&beds, "en", text), index, "{text}");
    }
    let classes = json!({ "kind": "choice", "choices": ["Economy", "Business", "Erste Klasse"] });
    for (text, index) in [("1. Klasse", Some(2)), ("erste Klasse bitte", Some(2)), ("2", Some(1))] {
        assert_eq!(chosen(&classes, "de", text), index, "{text}");
    }
    let cities = json!({ "kind": "choice", "choices": ["New York", "York"] });
    for (text, index) in
        [("New York", Some(0)), ("York", Some(1)), ("New York or York", None), ("York, New York", None)]
    {
        assert_eq!(chosen(&cities, "en", text), index, "{text}");
    }
}

#[test]
fn the_result_says_what_was_found() {
    let found = recognize(&colours(), "en", "I take scarlet").unwrap();
    assert_eq!((&found["value"], &found["index"], &found["synonym"]), (&json!("red"), &json!(0), &json!("scarlet")));
    let score = found["score"].as_f64().unwrap();
    assert!((0.5..1.0).contains(&score), "{score}");
    assert_eq!(recognize(&colours(), "en", "red").unwrap()["score"], 1.0);
}

#[test]
fn a_button_chooses_by_its_value() {
    let definition = json!({ "kind": "choice", "choices": [
        "red",
        { "value": "g", "title": "Green" },
        { "value": "b", "action": { "type": "messageBack", "title": "Blue", "value": { "id": 3 } } }
    ]});
    let prompt = Prompt::parse(&definition).unwrap();
    for (members, value) in [
        (json!({ "text": "Green" }), "g"),
        (json!({ "text": "g" }), "g"),
        (json!({ "value": "g" }), "g"),
        (json!({ "value": { "choice": "g" } }), "g"),
        (json!({ "value": { "choice": "g", "action": "submit" } }), "g"),
        (json!({ "value": { "colour": "g" } }), "g"),
        (json!({ "text": "pressed it", "value": { "id": 3 } }), "b"),
        (json!({ "text": "Blue" }), "b"),
        (
            json!({ "text": "<at>Bot</at> g", "recipient": { "id": "bot" }, "entities":
                [{ "type": "mention", "text": "<at>Bot</at>", "mentioned": { "id": "bot" } }] }),
            "g",
        ),
    ] {
        let found = prompt.recognize(&answer(&members), "en", now()).unwrap();
        assert_eq!(found["value"], value, "{members}");
    }
}

#[test]
fn texts_are_trimmed_measured_and_matched() {
    let code = json!({ "kind": "text", "min-length": 2, "max-length": 4, "pattern": "[A-Z]+" });
    for (text, expected) in [(" AB ", Some(json!("AB"))), ("A", None), ("ABCDE", None), ("ab", None), ("", None)] {
        assert_eq!(recognize(&code, "en", text), expected, "{text}");
    }
    let story = "é".repeat(5_000);
    assert_eq!(recognize(&json!({ "kind": "text" }), "en", &story), Some(json!(story)), "no length is said");
    let letters = json!({ "kind": "text", "pattern": r"\w+" });
    assert_eq!(recognize(&letters, "en", &story), None, "nothing so long is matched");
}

#[test]
fn attachments_are_counted_and_their_types_compared() {
    let prompt = Prompt::parse(&json!({ "kind": "attachment", "content-types": ["image/*"], "max-count": 1 })).unwrap();
    let image = json!({ "contentType": "image/png", "contentUrl": "data:," });
    let page = json!({ "contentType": "text/html", "content": "<p>the same text</p>" });
    for (attachments, fits) in [
        (json!([image]), true),
        (json!([image, page]), true),
        (json!([page]), false),
        (json!([]), false),
        (json!([image, image]), false),
        (json!([{ "contentType": "text/plain" }]), false),
        (json!([{ "contentType": "IMAGE/PNG; q=1" }]), true),
        (json!([7]), false),
    ] {
        let found = prompt.recognize(&answer(&json!({ "attachments": attachments })), "en", now());
        assert_eq!(found.is_ok(), fits, "{attachments}");
    }
}
