//! How long prompts take to read an answer: `cargo run --release -p turntable-dialog --example speed`.
//!
//! With `-- fuzz SECONDS` it reads random answers instead, made of what the grammars know, and prints the slowest.
//!
//! Prints the first date of each language in this process, the median for each kind, a choice among 100, and the slowest of
//! the hostile texts.

use std::time::{Duration, Instant};

use jiff::civil::{DateTime, date};
use serde_json::{Value, json};
use turntable_dialog::Activity;
use turntable_dialog::prompt::Prompt;

const PIECES: &[&str] = &[
    "1",
    "12",
    "99",
    "2026",
    "28",
    ".",
    ",",
    "/",
    "-",
    ":",
    " ",
    " ",
    " ",
    "h",
    "uhr",
    "am",
    "pm",
    "half",
    "halb",
    "y media",
    "moins",
    "next ",
    "week",
    "monday",
    "morgen",
    "mañana",
    "demain",
    "einhalb",
    "½",
    "million",
    "minus ",
    "in ",
    "ago",
    "é",
    "\u{301}",
    "👍",
    "no",
    "sí",
    "the last",
    "the ",
    "of ",
    "and ",
    "or ",
    "three ",
    "days ",
    "hours",
    "march ",
    "of march",
    "first ",
    "quarter to ",
    "EST",
    "+02:00",
    "Z",
    "T18:30",
    "hundred ",
    "thousand",
    "vingt ",
    "quatre-vingt",
    "dreiund",
    "zwanzig",
    "segunda",
    "de ",
    "às ",
    "tonight",
    "every ",
    "until ",
    "2 weeks after ",
    "le ",
    "am ",
    "9999",
    "e9",
    "ſ",
    "K",
    "ǆ",
];

/// Reads random answers for so long. A fixed generator, so that what fails once fails again.
fn fuzz(seconds: u64) {
    let (end, mut seed, mut count) = (Instant::now() + Duration::from_secs(seconds), 0x2545_f491_4f6c_dd1d_u64, 0_u64);
    let mut slowest = (Duration::ZERO, String::new());
    while Instant::now() < end {
        let mut next = |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed >> 33).unwrap_or(0) % below
        };
        let length = 1 + next(30);
        let text: String = (0..length).filter_map(|_| PIECES.get(next(PIECES.len()))).copied().collect();
        let locale = ["en", "de", "es-419", "fr", "pt", "zz"].get(next(6)).copied().unwrap_or("en");
        for kind in ["number", "confirm", "choice", "date-time"] {
            if once(&definition(kind), locale, &text) > slowest.0 {
                // The least of some runs: a busy machine interrupts others.
                let took = (0..5).map(|_| once(&definition(kind), locale, &text)).min().unwrap_or_default();
                slowest = slowest.max((took, text.clone()));
            }
            count += 1;
        }
    }
    println!("{count} answers, the slowest took {:?}: «{}»", slowest.0, slowest.1);
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("fuzz") {
        return fuzz(arguments.next().and_then(|seconds| seconds.parse().ok()).unwrap_or(600));
    }
    println!("the first text of the process, before any prompt: {:?}", heard("hello"));
    for locale in ["en", "de", "es", "fr", "pt"] {
        let took = once(&json!({ "kind": "date-time" }), locale, "tomorrow at 8");
        println!("first date, {locale}: {took:?}");
    }
    for (kind, text) in [
        ("text", "Ann"),
        ("number", "two thousand five hundred, please"),
        ("confirm", "yes, please do"),
        ("date-time", "next friday at half past eight in the evening"),
        ("date-time", "24.12.2027 18:30"),
    ] {
        println!("{kind}, «{text}»: {:?}", median(&json!({ "kind": kind }), text));
    }
    let choices: Vec<String> = (0..100).map(|number| format!("Table {number} by the window")).collect();
    let choice = json!({ "kind": "choice", "choices": choices });
    for text in ["Table 77 by the window", "the second one", "I would like table 77 by the window", "none of that"] {
        println!("choice among 100, «{text}»: {:?}", median(&choice, text));
    }
    let pieces = [
        "nine ",
        "9 ",
        "1/",
        "1.",
        "next week ",
        "é",
        "-",
        "a ",
        "halb 9 ",
        "in 3 days ",
        "yes no ",
        "the ",
        "or ",
        "hundred ",
        "20 and ",
        "2 hours and ",
        "1:1:",
        "'",
        "a.m. ",
    ];
    let mut slowest = (Duration::ZERO, "");
    for piece in pieces {
        let text = piece.repeat(65_536 / piece.len());
        slowest = slowest.max(((0..9).map(|_| heard(&text)).min().unwrap_or_default(), piece));
    }
    println!("64 KB, the text alone: at most {:?}, of «{}»", slowest.0, slowest.1);
    for kind in ["number", "confirm", "choice", "date-time"] {
        let mut slowest = (Duration::ZERO, "");
        for piece in pieces {
            let text = piece.repeat(65_536 / piece.len());
            // The least of some runs: a busy machine interrupts others.
            let took = (0..9).map(|_| once(&definition(kind), "en", &text)).min().unwrap_or_default();
            slowest = slowest.max((took, piece));
        }
        println!("64 KB, {kind}: at most {:?}, of «{}»", slowest.0, slowest.1);
    }
}

/// What the text of an activity costs before any prompt looks at it.
fn heard(text: &str) -> Duration {
    let answer = json!({ "type": "message", "conversation": { "id": "c" }, "text": text }).to_string();
    let Ok(answer) = Activity::parse(&answer) else { return Duration::ZERO };
    let start = Instant::now();
    std::hint::black_box(answer.heard_text());
    start.elapsed()
}

fn definition(kind: &str) -> Value {
    json!({ "kind": kind, "choices": ["nine", "ten"] })
}

fn now() -> DateTime {
    date(2026, 11, 20).at(15, 30, 0, 0)
}

fn once(definition: &Value, locale: &str, text: &str) -> Duration {
    let answer = json!({ "type": "message", "conversation": { "id": "c" }, "text": text }).to_string();
    let Ok(answer) = Activity::parse(&answer) else { return Duration::ZERO };
    let start = Instant::now();
    if let Ok(prompt) = Prompt::parse(definition) {
        let _ = std::hint::black_box(prompt.recognize(&answer, locale, now()));
    }
    start.elapsed()
}

fn median(definition: &Value, text: &str) -> Duration {
    let mut took: Vec<Duration> = (0..1001).map(|_| once(definition, "en", text)).collect();
    took.sort_unstable();
    took.get(took.len() / 2).copied().unwrap_or_default()
}
