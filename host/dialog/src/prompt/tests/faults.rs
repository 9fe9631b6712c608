//! Answers that were taken wrong once: each is read as it was meant, or asked again.

use jiff::civil::{DateTime, date};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{answer, recognize};
use crate::prompt::{NotRecognized, Now, Place, Prompt};

/// A Monday, six weeks before a change of the clock.
fn monday() -> DateTime {
    date(2026, 11, 30).at(10, 0, 0, 0)
}

fn said(definition: &Value, locale: &str, text: &str, now: impl Into<Now>) -> Result<Value, NotRecognized> {
    Prompt::parse(definition).unwrap().recognize(&answer(&json!({ "text": text })), locale, now)
}

fn when(locale: &str, text: &str) -> String {
    let found = said(&json!({ "kind": "date-time" }), locale, text, monday());
    found.ok().and_then(|found| Some(found["value"].as_str()?.to_owned())).unwrap_or_default()
}

#[test]
fn numbers() {
    for (locale, text, number) in [
        ("en", "4 hundred", json!(400)),
        ("en", "2 thousand 5 hundred", json!(2500)),
        ("fr", "3 cents", json!(300)),
        ("en", "5 lakh", json!(500_000)),
        ("en", "-3/4", json!(-0.75)),
        ("en", "six and a quarter", json!(6.25)),
        ("es-419", "1,234", json!(1234)),
        ("en", "10k", json!(10_000)),
        ("en", "4 bn", json!(4_000_000_000_i64)),
        ("en", "⅔", json!(2.0 / 3.0)),
        ("fr", "onzième", json!(11)),
        ("es", "vigésimo quinto", json!(25)),
    ] {
        assert_eq!(recognize(&json!({ "kind": "number" }), locale, text), Some(number), "{locale}: {text}");
    }
    for (locale, text) in
        [("en", "5 or 6"), ("de", "nicht 5"), ("fr", "un ou deux"), ("en", "it is 5-7"), ("en", "5 pm")]
    {
        assert_eq!(recognize(&json!({ "kind": "number" }), locale, text), None, "{locale}: {text}");
    }
}

#[test]
fn dates_on_a_monday() {
    for (locale, text, value) in [
        ("en", "this coming friday", "2026-12-04"),
        ("es", "el próximo viernes", "2026-12-04"),
        ("en", "next friday", "2026-12-11"),
        ("en", "11pm tonight", "2026-11-30T23:00:00"),
        ("en", "tomorrow morning at 9am", "2026-12-01T09:00:00"),
        ("en", "saturday 5th at 7pm", "2026-12-05T19:00:00"),
        ("de", "Sonntag, der 6.", "2026-12-06"),
        ("fr", "samedi le 5", "2026-12-05"),
        ("en", "2 weeks after 5 january", "2027-01-19"),
        ("de", "18 Uhr und 20", "18:20:00"),
        ("es", "9pm menos cuarto", "20:45:00"),
        ("en", "in 1 month and 10 days", "2027-01-09"),
        ("en", "14 march of 1990", "1990-03-14"),
        ("en", "18:30 december 27th", "2026-12-27T18:30:00"),
        ("fr", "7:45 pm", "19:45:00"),
        ("en", "24-Dec-2026", "2026-12-24"),
        ("es", "24/dic", "2026-12-24"),
        ("en", "20261224", "2026-12-24"),
        ("en", "340pm", "15:40:00"),
        ("en", "7p", "19:00:00"),
        ("de", "diesen Morgen um 7", "2026-11-30T07:00:00"),
        ("es", "anoche a las 9", "2026-11-29T21:00:00"),
        ("en", "this friday", "2026-12-04"),
        // To be asked again.
        ("en", "tomorrow 2-4pm", ""),
        ("de", "16-18 Uhr", ""),
        ("de", "jeden Montag", ""),
        ("en", "before 6pm", ""),
        ("fr", "samedi le 27", ""),
        ("es", "tres horas", ""),
        ("en", "15 at 8pm", ""),
        ("en", "table for 4 tomorrow at 8", ""),
        ("en", "tomorrow at the latest", ""),
    ] {
        assert_eq!(when(locale, text), value, "{locale}: {text}");
    }
    let day = json!({ "kind": "date-time", "types": ["date-time"] });
    assert_eq!(said(&day, "en", "15 at 8pm", monday()).unwrap()["value"], "2026-12-15T20:00:00");
    assert_eq!(
        said(&json!({ "kind": "date-time", "types": ["time"] }), "fr", "8 et demie", monday()).unwrap()["value"],
        "08:30:00"
    );
}

#[test]
fn a_year_of_two_digits_lies_within_the_bounds() {
    let born = json!({ "kind": "date-time", "types": ["date"], "latest": "today" });
    for (text, value) in [("14.3.71", "1971-03-14"), ("14.3.27", "1927-03-14"), ("14.3.26", "2026-03-14")] {
        assert_eq!(said(&born, "de", text, monday()).unwrap()["value"], value, "{text}");
    }
    let expires = json!({ "kind": "date-time", "types": ["date"], "earliest": "today" });
    assert_eq!(said(&expires, "de", "14.3.71", monday()).unwrap()["value"], "2071-03-14");
}

#[test]
fn moments_of_other_zones_are_moved_to_the_clock_of_the_user() {
    let berlin = || monday().to_zoned(TimeZone::get("Europe/Berlin").unwrap()).unwrap();
    for (text, value) in [
        ("2026-12-24T18:30:00.000Z", "2026-12-24T19:30:00"),
        ("2026-07-24T18:30:00Z", "2026-07-24T20:30:00"),
        ("tomorrow 3 PM EST", "2026-12-01T21:00:00"),
        ("2026-12-24T18:30:00+05:30", "2026-12-24T14:00:00"),
        ("tomorrow 15:00 GMT+2", "2026-12-01T14:00:00"),
    ] {
        let found = said(&json!({ "kind": "date-time" }), "en", text, berlin());
        assert_eq!(found.unwrap()["value"], value, "{text}");
    }
}

#[test]
fn the_prompt_may_say_the_order_of_dates() {
    for (order, value) in [("day-month", "2027-12-05"), ("month-day", "2027-05-12")] {
        let definition = json!({ "kind": "date-time", "date-order": order });
        assert_eq!(said(&definition, "en-US", "5/12/2027", monday()).unwrap()["value"], value);
    }
    for (locale, value) in [("en-001", "2027-12-05"), ("en-840", "2027-05-12"), ("es-419", "2027-12-05")] {
        assert_eq!(
            said(&json!({ "kind": "date-time" }), locale, "5/12/2027", monday()).unwrap()["value"],
            value,
            "{locale}"
        );
    }
    assert!(Prompt::parse(&json!({ "kind": "date-time", "date-order": "year" })).unwrap_err().contains("`date-order`"));
    assert!(
        Prompt::parse(&json!({ "kind": "date-time", "time-zone": "Mars/Base" })).unwrap_err().contains("`time-zone`")
    );
}

#[test]
fn choices() {
    let colours = json!({ "kind": "choice", "choices": ["red", "green", "blue"] });
    for (locale, text) in [
        ("en", "the red and blue ones"),
        ("en", "first or last"),
        ("en", "red or something else"),
        ("en", "call me in 2 hours"),
        ("en", "in a second"),
        ("fr", "les deux"),
        ("en", "the first and third one please."),
    ] {
        assert_eq!(recognize(&colours, locale, text), None, "{locale}: {text}");
    }
    let spanish = json!({ "kind": "choice", "choices": ["rojo", "azul"] });
    assert_eq!(recognize(&spanish, "es", "el rojo no"), None);
    let send = json!({ "kind": "choice", "choices": ["Send", "Cancel"] });
    assert_eq!(recognize(&send, "en", "call me in 2 hours"), None);
    for (text, index) in [
        ("the red one please.", 0),
        ("I would like the green one", 1),
        ("the first one please.", 0),
        ("the last one", 2),
        ("3", 2),
        ("third one", 2),
    ] {
        assert_eq!(recognize(&colours, "en", text).unwrap()["index"], index, "{text}");
    }
    let breads = json!({ "kind": "choice", "choices": ["bread", "bread pudding", "pudding"] });
    for (text, value) in [("the bread pudding please", "bread pudding"), ("bread", "bread")] {
        assert_eq!(recognize(&breads, "en", text).unwrap()["value"], value, "{text}");
    }
}

#[test]
fn yes_and_no() {
    for (locale, text, value) in [
        ("en", "i'm good thanks", Some(false)),
        ("en", "agree", Some(true)),
        ("en", "deal", Some(true)),
        ("en", "no, please", Some(false)),
        ("de", "na logo", Some(true)),
        ("es", "afirmativo", Some(true)),
        ("fr", "évidemment", Some(true)),
        ("en", "please", Some(true)),
        ("en", "yes, I am sure it is not", None),
        ("de", "guten Tag", None),
    ] {
        assert_eq!(recognize(&json!({ "kind": "confirm" }), locale, text), value.map(Value::Bool), "{locale}: {text}");
    }
}

/// What is asked where an answer may mean either of two values.
fn asked(definition: &Value, locale: &str, text: &str, channel: &str) -> Value {
    let prompt = Prompt::parse(definition).unwrap();
    let readings = said(definition, locale, text, monday()).unwrap_err().readings;
    let place = Place { channel, conversation_type: "" };
    Value::Object(prompt.ask_which(&readings, &place, locale).unwrap())
}

#[test]
fn two_readings_are_named() {
    let dates = json!({ "kind": "date-time" });
    for (locale, text, question) in [
        ("en", "5 or 15 March", "Do you mean (1) 5 March 2027 or (2) 15 March 2027?"),
        ("de", "am 5. oder 15. März", "Meinen Sie (1) 5. März 2027 oder (2) 15. März 2027?"),
        (
            "es",
            "lunes o martes a las 8",
            "¿Quiere decir (1) 7 de diciembre de 2026, 08:00 o (2) 1 de diciembre de 2026, 08:00?",
        ),
        ("fr", "lundi ou mardi", "Voulez-vous dire (1) 7 décembre 2026 ou (2) 1 décembre 2026\u{a0}?"),
        ("pt", "segunda ou terça", "Quer dizer (1) 7 de dezembro de 2026 ou (2) 1 de dezembro de 2026?"),
        ("en", "tomorrow at 8 or 9", "Do you mean (1) 1 December 2026, 08:00 or (2) 1 December 2026, 09:00?"),
        ("en", "saturday the 6th at 7pm", "Do you mean (1) 5 December 2026, 19:00 or (2) 6 December 2026, 19:00?"),
    ] {
        assert_eq!(asked(&dates, locale, text, "sms")["text"], question, "{locale}: {text}");
    }
    let buttons = asked(&dates, "en", "5 or 15 March", "webchat");
    assert_eq!(buttons["text"], "Do you mean 5 March 2027 or 15 March 2027?");
    assert_eq!(buttons["suggestedActions"]["actions"][1]["value"], "15 March 2027");
    assert_eq!(when("en", "15 March 2027"), "2027-03-15", "a button is read back");
    assert_eq!(asked(&json!({ "kind": "number" }), "en", "5 or 6", "sms")["text"], "Do you mean 5 or 6?");
    let colours = json!({ "kind": "choice", "choices": ["red", "green", "blue"] });
    assert_eq!(asked(&colours, "en", "red or blue", "sms")["text"], "Do you mean (1) red or (2) blue?");
    let readings = said(&colours, "en", "red or blue", monday()).unwrap_err().readings;
    assert_eq!((&readings[0]["synonym"], &readings[1]["synonym"]), (&"red".into(), &"blue".into()));
}

#[test]
fn the_reading_is_chosen_by_its_place() {
    let readings = said(&json!({ "kind": "date-time" }), "en", "5 or 15 March", monday()).unwrap_err().readings;
    let stored = json!({ "kind": "date-time", "readings": readings });
    for (text, value) in [("2", "2027-03-15"), ("1", "2027-03-05"), ("20 march", "2027-03-20")] {
        assert_eq!(said(&stored, "en", text, monday()).unwrap()["value"], value, "{text}");
    }
}

/// Every weekday, both sides of a change of the clock, the last of February and New Year's Eve.
#[test]
fn words_count_from_any_day() {
    let days = (23..30).map(|day| date(2026, 11, day));
    let others = [
        date(2027, 3, 27),
        date(2027, 3, 28),
        date(2026, 10, 25),
        date(2028, 2, 28),
        date(2027, 2, 28),
        date(2026, 12, 31),
    ];
    for today in days.chain(others) {
        let now = today.at(1, 30, 0, 0);
        let on = |text: &str| {
            let found = said(&json!({ "kind": "date-time" }), "en", text, now).unwrap();
            found["value"].as_str().unwrap().to_owned()
        };
        assert_eq!(on("tomorrow"), today.tomorrow().unwrap().to_string());
        assert_eq!(on("yesterday"), today.yesterday().unwrap().to_string());
        for (weekday, name) in
            ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"].iter().enumerate()
        {
            let found: jiff::civil::Date = on(name).parse().unwrap();
            let ahead = today.until(found).unwrap().get_days();
            assert!((1..=7).contains(&ahead), "{name} from {today}: {found}");
            assert_eq!(usize::try_from(found.weekday().to_monday_zero_offset()).unwrap(), weekday);
        }
        assert_eq!(on("in 3 hours"), today.at(4, 30, 0, 0).to_string());
    }
}
