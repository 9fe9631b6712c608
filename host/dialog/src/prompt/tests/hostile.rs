//! Answers and definitions are hostile: recognition ends, soon, and does not panic.

use serde_json::{Value, json};

use super::{answer, now};
use crate::prompt::Prompt;

const LOCALES: [&str; 8] = ["", "en", "de-CH", "es-MX", "fr", "zz-ZZ", "🦀", "-_-"];
const KINDS: [&str; 6] = ["text", "number", "confirm", "choice", "date-time", "attachment"];

fn try_all(text: &str) {
    for kind in KINDS {
        let prompt = Prompt::parse(&json!({ "kind": kind, "choices": ["nine", "ten"] })).unwrap();
        // Understood or not, it comes back.
        for members in [json!({ "value": text }), json!({ "value": { "x": text } })] {
            let _ = prompt.recognize(&answer(&members), "en", now());
        }
        let said = answer(&json!({ "text": text }));
        for locale in LOCALES {
            let _ = prompt.recognize(&said, locale, now());
        }
    }
}

#[test]
fn any_answer_ends() {
    for text in [
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
        "9999 years ago",
        "in 9999 months",
        "in 9999 weeks on monday",
        "9999 hours ago",
        "9999-12-31",
        "0000-01-01",
        "the 0th",
        "½",
        "½½½",
        "a\u{301}",
        "\u{301}\u{301}",
        "100h",
        "٣/٤",
        "minus",
        "1/",
        "half past 99",
        "halb 0",
        "0 menos 59",
        "24 uhr",
        "einhalb",
        "k",
        "5kkkk",
    ] {
        try_all(text);
    }
}

/// Made of the pieces that the grammars know, in every order that a generator finds.
#[test]
fn pieces_in_any_order_end() {
    let pieces = [
        "1", "12", "99", "2026", ".", ",", "/", "-", ":", " ", "h", "uhr", "am", "pm", "half", "halb", "y media",
        "moins", "next", "week", "monday", "morgen", "mañana", "demain", "einhalb", "½", "million", "minus ", "in ",
        "ago", "é", "\u{301}", "👍", "no", "sí", "the last", "ſ", "K", "ǆ", "\u{2028}",
    ];
    // A fixed generator, so that what fails once fails again.
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..200 {
        let mut text = String::new();
        for _ in 0..6 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            text.push_str(pieces[usize::try_from(seed >> 33).unwrap() % pieces.len()]);
        }
        try_all(&text);
    }
}

/// What lies beyond the bound is not looked at, so that the work does not grow with the answer.
#[test]
fn only_the_beginning_of_a_long_answer_counts() {
    for (kind, said) in [("number", "7"), ("confirm", "yes"), ("choice", "nine"), ("date-time", "tomorrow")] {
        let prompt = Prompt::parse(&json!({ "kind": kind, "choices": ["nine", "ten"] })).unwrap();
        let recognize = |text: String| prompt.recognize(&answer(&json!({ "text": text })), "en", now()).is_ok();
        assert!(recognize(format!("{}{said}", "x ".repeat(200))), "{kind}");
        assert!(!recognize(format!("{}{said}", "x ".repeat(250))), "{kind}");
    }
    for piece in ["nine ", "9 ", "1/", "1.", "next week ", "é", "-", "a ", "halb 9 ", "in 3 days ", "yes no "] {
        try_all(&piece.repeat(20_000 / piece.len()));
    }
}

/// Each answer is compared with every phrase: a guest that defines megabytes of them must not keep the host busy.
#[test]
fn the_most_that_a_definition_may_hold_is_compared_and_more_is_refused() {
    let choices = |phrases: usize, chars: usize| {
        let synonym = |number: usize| Value::from(format!("{number:03}{}", "x".repeat(chars - 3)));
        let synonyms: Vec<Value> = (0..phrases).map(synonym).collect();
        let choices: Vec<Value> =
            (0..10).map(|number| json!({ "value": format!("v{number}"), "synonyms": synonyms })).collect();
        json!({ "kind": "choice", "choices": choices })
    };
    let most = Prompt::parse(&choices(3, 500)).unwrap();
    let guessed = Prompt::parse(&choices(30, 64)).unwrap();
    for text in ["x".repeat(64), "y x ".repeat(200)] {
        assert!(most.recognize(&answer(&json!({ "text": text })), "en", now()).is_err());
        assert!(guessed.recognize(&answer(&json!({ "text": text })), "en", now()).is_err());
    }
    let refusal = Prompt::parse(&choices(101, 10)).unwrap_err();
    assert!(refusal.contains("1010 synonyms"), "{refusal}");
    let refusal = Prompt::parse(&choices(100, 64)).unwrap_err();
    assert!(refusal.contains("characters together, at most 20000 are allowed"), "{refusal}");
    let refusal = Prompt::parse(&choices(1, 501)).unwrap_err();
    assert!(refusal.contains("`choices[0]` has a text of more than 500 characters"), "{refusal}");
}

#[test]
fn the_calendar_ends_without_a_panic() {
    let last = jiff::civil::DateTime::MAX;
    let first = jiff::civil::DateTime::MIN;
    let prompt = Prompt::parse(&json!({ "kind": "date-time" })).unwrap();
    for now in [first, last] {
        for text in [
            "tomorrow",
            "yesterday",
            "monday",
            "last monday",
            "24/12",
            "the 31st",
            "in 3 hours",
            "3 hours ago",
            "next year",
        ] {
            let _ = prompt.recognize(&answer(&json!({ "text": text })), "en", now);
        }
    }
}
