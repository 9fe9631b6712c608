//! Every answer that `docs/prompts.md` lists is read as it says: alone, between polite words, and not with a second value
//! beside it.

#![allow(clippy::unwrap_used, reason = "a test")]

use jiff::civil::{DateTime, date};
use serde_json::{Value, json};
use turntable_dialog::Activity;
use turntable_dialog::prompt::Prompt;

const LIST: &str = include_str!("../docs/prompts.md");

/// A line of the list.
struct Listed {
    section: &'static str,
    language: &'static str,
    answers: Vec<&'static str>,
    value: &'static str,
}

fn listed() -> Vec<Listed> {
    let mut section = "";
    let mut lines = Vec::new();
    for line in LIST.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title;
        }
        let Some(row) = line.strip_prefix("| ").filter(|row| row.contains('`')) else { continue };
        let [language, answers, value] = row.trim_end_matches(" |").split(" | ").collect::<Vec<_>>()[..] else {
            continue;
        };
        let answers = answers.split(" · ").map(|answer| answer.trim_matches('`')).collect();
        lines.push(Listed { section, language, answers, value: value.trim_matches('`') });
    }
    assert!(lines.len() > 100, "the list has moved");
    lines
}

/// A Friday.
fn now() -> DateTime {
    date(2026, 11, 20).at(15, 30, 0, 0)
}

fn definition(section: &str, language: &str) -> Value {
    let choices = match language {
        "de" => ["rot", "grün", "blau"],
        "es" => ["rojo", "verde", "azul"],
        "fr" => ["rouge", "vert", "bleu"],
        "pt" => ["vermelho", "verde", "azul"],
        _ => ["red", "green", "blue"],
    };
    match section {
        "Numbers" | "number" => json!({ "kind": "number" }),
        "Yes and no" | "confirm" => json!({ "kind": "confirm" }),
        "Choices" | "choice" => json!({ "kind": "choice", "choices": choices }),
        _ => json!({ "kind": "date-time" }),
    }
}

fn understood(section: &str, language: &str, text: &str) -> Option<String> {
    let prompt = Prompt::parse(&definition(section, language)).unwrap();
    let answer = json!({ "type": "message", "conversation": { "id": "c" }, "text": text });
    let answer = Activity::parse(&answer.to_string()).unwrap();
    let found = prompt.recognize(&answer, language, now()).ok()?;
    Some(match (&found["index"], &found["value"]) {
        (Value::Number(index), _) => {
            ["red", "green", "blue"][usize::try_from(index.as_u64().unwrap()).unwrap()].to_owned()
        }
        (_, Value::String(value)) => value.clone(),
        _ => found.to_string(),
    })
}

/// Polite words before and behind.
fn filler(language: &str) -> [(&'static str, &'static str); 3] {
    match language {
        "de" => [("ähm, ", ""), ("", " bitte"), ("hallo, ", ", danke 🙂")],
        "es" => [("eh, ", ""), ("", " por favor"), ("hola, ", ", gracias 🙂")],
        "fr" => [("euh, ", ""), ("", " s'il vous plaît"), ("bonjour, ", ", merci 🙂")],
        "pt" => [("então, ", ""), ("", " por favor"), ("olá, ", ", obrigado 🙂")],
        _ => [("um, ", ""), ("", " please"), ("hello, ", ", thanks 🙂")],
    }
}

fn or(language: &str) -> &'static str {
    match language {
        "de" => "oder",
        "es" => "o",
        "fr" | "pt" => "ou",
        _ => "or",
    }
}

/// Another value of the same kind in digits.
fn other(section: &str) -> Option<&'static str> {
    match section {
        "Numbers" => Some("77"),
        "Dates" => Some("2031-05-06"),
        "Times" => Some("05:17"),
        "Dates with times" => Some("2031-05-06 05:17"),
        _ => None,
    }
}

#[test]
fn every_listed_answer_is_read() {
    let mut missed = Vec::new();
    for Listed { section, language, answers, value } in listed() {
        for answer in answers {
            if section == "Asked again" {
                if let Some(found) = understood(value, language, answer) {
                    missed.push(format!("{language} {value}: «{answer}» is {found}, and should be asked again"));
                }
                continue;
            }
            let mut said = vec![answer.to_owned()];
            said.extend(filler(language).map(|(before, behind)| format!("{before}{answer}{behind}")));
            for text in said {
                let found = understood(section, language, &text);
                if found.as_deref() != Some(value) {
                    missed.push(format!("{language} {section}: «{text}» is {found:?}, not {value}"));
                }
            }
        }
    }
    assert!(missed.is_empty(), "{} missed\n{}", missed.len(), missed.join("\n"));
}

#[test]
fn a_second_value_beside_a_listed_one_is_asked_about() {
    let mut missed = Vec::new();
    for Listed { section, language, answers, .. } in listed() {
        let Some(other) = other(section) else { continue };
        for answer in answers {
            for text in [
                format!("{answer} {} {other}", or(language)),
                format!("{answer}, {other}"),
                format!("{other} {} {answer}", or(language)),
            ] {
                if let Some(found) = understood(section, language, &text) {
                    missed.push(format!("{language} {section}: «{text}» is {found}"));
                }
            }
        }
    }
    assert!(missed.is_empty(), "{} missed\n{}", missed.len(), missed.join("\n"));
}
