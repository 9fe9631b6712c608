//! How well prompts understand what people say, measured: `make prompts` prints a figure for each language and kind.
//!
//! `data/said.tsv` holds facts, one a line: language, kind, the time when it was said, what was said, and the values that are
//! right, none where no single value is and the prompt has to ask again. The facts are those of the public test data of
//! Microsoft Recognizers-Text (MIT licence), rewritten. A holiday and a time that the data has as two values are one moment here.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use turntable_dialog::Activity;
use turntable_dialog::prompt::Prompt;

const SAID: &str = include_str!("data/said.tsv");

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Right,
    Asked,
    Wrong,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    right: u32,
    asked: u32,
    wrong: u32,
}

impl Count {
    fn all(&self) -> u32 {
        self.right + self.asked + self.wrong
    }

    fn percent(&self, part: u32) -> f64 {
        100.0 * f64::from(part) / f64::from(self.all().max(1))
    }

    fn add(&mut self, fate: Fate) {
        match fate {
            Fate::Right => self.right += 1,
            Fate::Asked => self.asked += 1,
            Fate::Wrong => self.wrong += 1,
        }
    }
}

/// What a prompt makes of an answer, as text; none where it asks again.
fn understood(kind: &str, locale: &str, at: &str, text: &str) -> Option<String> {
    let definition = match kind {
        "single" | "range" | "several" | "none" => json!({ "kind": "date-time" }),
        "confirm" => json!({ "kind": "confirm" }),
        _ => json!({ "kind": "number" }),
    };
    let prompt = Prompt::parse(&definition).unwrap();
    let answer = json!({ "type": "message", "conversation": { "id": "c" }, "text": text });
    let answer = Activity::parse(&answer.to_string()).unwrap();
    let now: jiff::civil::DateTime = at.parse().unwrap();
    let found = prompt.recognize(&answer, locale, now).ok()?;
    Some(match &found["value"] {
        Value::String(value) => value.clone(),
        _ => found.to_string(),
    })
}

fn same(found: &str, right: &str) -> bool {
    match (found.parse::<f64>(), right.parse::<f64>()) {
        (Ok(found), Ok(right)) => (found - right).abs() <= 1e-9 * right.abs().max(1.0),
        _ => found == right,
    }
}

fn fate(found: Option<&str>, right: &[&str]) -> Fate {
    match found {
        None if right.is_empty() => Fate::Right,
        None => Fate::Asked,
        Some(found) if right.iter().any(|right| same(found, right)) => Fate::Right,
        Some(_) => Fate::Wrong,
    }
}

/// The least percentage that is right and the most that is wrong. Asking again costs a second, a wrong value books the wrong
/// flight: few may be wrong in any language.
fn target(language: &str, kind: &str) -> (f64, f64) {
    match (kind, language) {
        ("single", "en") => (80.0, 1.0),
        ("single", _) => (78.0, 1.0),
        ("range", _) => (0.0, 1.0),
        ("number", _) => (66.0, 2.5),
        ("confirm", _) => (60.0, 0.0),
        ("number-range", _) => (0.0, 1.0),
        _ => (0.0, 100.0),
    }
}

#[test]
fn what_is_said_is_right_or_asked_again() {
    let show = std::env::var("TURNTABLE_PROMPTS_SHOW").unwrap_or_default();
    let mut counts: BTreeMap<(&str, &str), Count> = BTreeMap::new();
    for line in SAID.lines().filter(|line| !line.starts_with('#')) {
        let [language, kind, at, text, right] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let right: Vec<&str> = right.split('|').filter(|right| !right.is_empty()).collect();
        let found = understood(kind, language, at, text);
        let fate = fate(found.as_deref(), &right);
        counts.entry((language, kind)).or_default().add(fate);
        if show.contains(&format!("{fate:?}")) {
            println!("{fate:?}\t{language}\t{kind}\t{at}\t{text}\t{}\t{}", found.unwrap_or_default(), right.join("|"));
        }
    }
    println!("{:<10}{:<14}{:>6}{:>8}{:>8}{:>8}", "language", "kind", "texts", "right", "asked", "wrong");
    let mut missed = Vec::new();
    for ((language, kind), count) in &counts {
        let percent = |part| format!("{:.1}%", count.percent(part));
        let (right, asked, wrong) = (percent(count.right), percent(count.asked), percent(count.wrong));
        println!("{language:<10}{kind:<14}{:>6}{right:>8}{asked:>8}{wrong:>8}", count.all());
        let (right_min, wrong_max) = target(language, kind);
        if count.percent(count.right) < right_min || count.percent(count.wrong) > wrong_max {
            missed.push(format!(
                "{language} {kind}: {right} right (at least {right_min}), {wrong} wrong (at most {wrong_max})"
            ));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
