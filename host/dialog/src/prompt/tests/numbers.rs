//! Numbers, by language and region.

use serde_json::{Value, json};

use super::{answer, now, recognize};
use crate::prompt::Prompt;

/// What a text means as a number, in a locale; `Null` is not understood.
fn check(locale: &str, cases: &[(&str, Value)]) {
    for (text, expected) in cases {
        let found = recognize(&json!({ "kind": "number" }), locale, text).unwrap_or_default();
        assert_eq!(&found, expected, "{locale}: {text}");
    }
}

#[test]
fn english() {
    check(
        "en",
        &[
            ("12", json!(12)),
            ("I need 1,234.5 of them", json!(1234.5)),
            ("twelve", json!(12)),
            ("one hundred twenty-three", json!(123)),
            ("-7", json!(-7)),
            ("minus seven", json!(-7)),
            ("minus 1,234", json!(-1234)),
            ("it is 5-7", Value::Null),
            ("1,234", json!(1234)),
            (".5", json!(0.5)),
            ("$3.50", json!(3.5)),
            ("12 345", json!(12345)),
            ("two and a half", json!(2.5)),
            ("2½", json!(2.5)),
            ("½", json!(0.5)),
            ("1/2", json!(0.5)),
            ("2 1/2", json!(2.5)),
            ("two million", json!(2_000_000)),
            ("2 million", json!(2_000_000)),
            ("2.5 million", json!(2_500_000)),
            ("5k", json!(5000)),
            ("a dozen", json!(12)),
            ("two dozen", json!(24)),
            ("half a dozen", json!(6)),
            ("three quarters", json!(0.75)),
            ("a couple", json!(2)),
            ("half", json!(0.5)),
            ("half a million", json!(500_000)),
            ("two and a half million", json!(2_500_000)),
            ("a million and a half", json!(1_500_000)),
            ("two thousand five hundred", json!(2500)),
            ("- 5", json!(-5)),
            ("1e3", json!(1000)),
            ("one half", json!(0.5)),
            ("zero", json!(0)),
            ("three point five", json!(3.5)),
            ("one", json!(1)),
            ("", Value::Null),
            ("some of your business", Value::Null),
            ("¿?", Value::Null),
            ("-", Value::Null),
            ("1/0", Value::Null),
        ],
    );
}

#[test]
fn german() {
    check(
        "de",
        &[
            ("zwölf", json!(12)),
            ("dreiundzwanzig bitte", json!(23)),
            ("1.234,5", json!(1234.5)),
            ("3,5", json!(3.5)),
            ("3.5", json!(3.5)),
            ("1.234", json!(1234)),
            ("minus 4", json!(-4)),
            ("zweieinhalb", json!(2.5)),
            ("anderthalb", json!(1.5)),
            ("einen Tisch für vier", json!(4)),
            ("ein Dutzend", json!(12)),
            ("drei Viertel", json!(0.75)),
            ("ein halb", json!(0.5)),
            ("zwoelf", json!(12)),
            ("zu zweit", json!(2)),
            ("ein paar", Value::Null),
            ("2 Mio", json!(2_000_000)),
            ("drei Komma fünf", json!(3.5)),
            ("eins", json!(1)),
            ("gar nichts", Value::Null),
            ("zwölfeinhalb", json!(12.5)),
            ("zwölf und ein halb", json!(12.5)),
            ("ein halbes", json!(0.5)),
            ("anderthalb Millionen", json!(1_500_000)),
            ("zweieinhalb Millionen", json!(2_500_000)),
            ("eine halbe Million", json!(500_000)),
            ("zu fünft", json!(5)),
            ("Fuenf", json!(5)),
            ("ein bisschen", Value::Null),
        ],
    );
}

#[test]
fn spanish() {
    check(
        "es",
        &[
            ("doce", json!(12)),
            ("treinta y cinco", json!(35)),
            ("1.234,56", json!(1234.56)),
            ("una mesa para cuatro", json!(4)),
            ("una", json!(1)),
            ("dos y medio", json!(2.5)),
            ("una docena", json!(12)),
            ("media docena", json!(6)),
            ("tres cuartos", json!(0.75)),
            ("menos tres", json!(-3)),
            ("nada", Value::Null),
            ("dos mil", json!(2000)),
            ("mil quinientos", json!(1500)),
            ("medio millón", json!(500_000)),
            ("dos millones y medio", json!(2_500_000)),
            ("Veintidos", json!(22)),
            ("veintiún días", json!(21)),
            ("un par", json!(2)),
            ("un poco", Value::Null),
        ],
    );
}

#[test]
fn french() {
    check(
        "fr",
        &[
            ("trois", json!(3)),
            ("quatre-vingt-dix-neuf", json!(99)),
            ("septante", json!(70)),
            ("1 234,5", json!(1234.5)),
            ("12 345,6", json!(12345.6)),
            ("1\u{202f}234,5", json!(1234.5)),
            ("une table pour quatre", json!(4)),
            ("deux et demi", json!(2.5)),
            ("une douzaine", json!(12)),
            ("trois quarts", json!(0.75)),
            ("moins trois", json!(-3)),
            ("rien", Value::Null),
            ("deux mille", json!(2000)),
            ("un demi-million", json!(500_000)),
            ("un million et demi", json!(1_500_000)),
            ("une demi-douzaine", json!(6)),
            ("une vingtaine", json!(20)),
            ("deux dizaines", json!(20)),
            ("un peu", Value::Null),
        ],
    );
}

#[test]
fn the_region_says_which_mark_is_which() {
    check("de-AT", &[("1.234", json!(1234)), ("1,5", json!(1.5))]);
    check("de-CH", &[("1'234.50", json!(1234.5)), ("1.234", json!(1.234))]);
    check("es-MX", &[("1.234", json!(1.234)), ("1,234", json!(1234))]);
    check("es-ES", &[("1.234", json!(1234)), ("1,234", json!(1.234))]);
    check("xx", &[("5", json!(5))]);
}

#[test]
fn a_number_keeps_to_its_range() {
    let bounded = json!({ "kind": "number", "min": 1, "max": 10, "integer": true });
    for (text, expected) in [("10", Some(json!(10))), ("11", None), ("0", None), ("2.5", None), ("1", Some(json!(1)))] {
        assert_eq!(recognize(&bounded, "en", text), expected, "{text}");
    }
}

#[test]
fn a_card_submits_a_number() {
    let prompt = Prompt::parse(&json!({ "kind": "number" })).unwrap();
    for members in [
        json!({ "value": 7 }),
        json!({ "value": "7" }),
        json!({ "value": { "number": 7 } }),
        json!({ "value": { "number": "7", "id": "form-1" } }),
        json!({ "value": { "guests": "seven" } }),
        json!({ "text": "7", "value": { "number": 8 } }),
    ] {
        assert_eq!(prompt.recognize(&answer(&members), "en", now()), Ok(json!(7)), "{members}");
    }
    for members in
        [json!({ "value": null }), json!({ "value": { "a": 1, "b": 2 } }), json!({ "value": [7] }), json!({})]
    {
        assert!(prompt.recognize(&answer(&members), "en", now()).is_err(), "{members}");
    }
}
