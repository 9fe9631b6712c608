//! Yes and no, by language.

use serde_json::json;

use super::{answer, now, recognize};
use crate::prompt::Prompt;

fn check(locale: &str, yes: &[&str], no: &[&str], neither: &[&str]) {
    for (texts, expected) in [(yes, Some(json!(true))), (no, Some(json!(false))), (neither, None)] {
        for text in texts {
            assert_eq!(recognize(&json!({ "kind": "confirm" }), locale, text), expected, "{locale}: {text}");
        }
    }
}

#[test]
fn english() {
    check(
        "en",
        &[
            "yes",
            "Yes, please!",
            "sure",
            "of course",
            "👍",
            "👍🏽",
            "👍👍",
            "OK",
            "no problem",
            "why not",
            "I think so",
            "1",
            "the first",
            "I guess so",
            "I'd love to",
            "go for it",
            "uh-huh",
            "not bad",
        ],
        &[
            "not good",
            "I do not",
            "I don't think so",
            "not yet",
            "no no no",
            "never mind",
            "no",
            "No!",
            "nope",
            "do not",
            "never",
            "👎",
            "n",
            "of course not",
            "not right",
            "No, thanks",
            "2",
            "don’t",
        ],
        &["", "perhaps", "yes and no", "yesterday", "I don't know", "not sure", "no idea", "3", "what?", "now", "none"],
    );
}

#[test]
fn german() {
    check(
        "de",
        &[
            "ja",
            "Ja, gerne",
            "klar",
            "auf jeden Fall",
            "natürlich",
            "natuerlich ja",
            "jo",
            "ok",
            "kein Problem",
            "warum nicht",
            "klaro",
            "jaja",
            "korrekt",
            "mach das",
            "nicht schlecht",
            "das möchte ich",
        ],
        &[
            "passt nicht",
            "das möchte ich nicht",
            "noch nicht",
            "geht nicht",
            "nein",
            "Nö",
            "auf keinen Fall",
            "lieber nicht",
            "nee",
            "niemals",
            "n",
            "natürlich nicht",
            "nein danke",
        ],
        &["weiß nicht", "weiss ich nicht", "keine Ahnung", "vielleicht", "wie bitte?", "jawohl nein", "Januar"],
    );
}

#[test]
fn spanish() {
    check(
        "es",
        &[
            "sí",
            "si",
            "si\u{301}",
            "claro",
            "por supuesto",
            "vale",
            "de acuerdo",
            "¡Sí!",
            "no hay problema",
            "claro que sí",
            "dale",
            "así es",
            "eso es",
        ],
        &[
            "ni hablar",
            "todavía no",
            "no quiero",
            "no",
            "No.",
            "nunca",
            "para nada",
            "jamas",
            "n",
            "de ninguna manera",
            "claro que no",
            "no, gracias",
        ],
        &["no sé", "no lo se", "ni idea", "quizás", "sí y no", "nombre"],
    );
}

#[test]
fn french() {
    check(
        "fr",
        &[
            "oui",
            "bien sûr",
            "d'accord",
            "d’accord",
            "ouais",
            "ok",
            "Oui !",
            "pas de problème",
            "pourquoi pas",
            "c'est ça",
            "carrément",
            "pas mal",
        ],
        &[
            "ce n'est pas ça",
            "ça ne va pas",
            "pas encore",
            "pas maintenant",
            "non",
            "pas du tout",
            "jamais",
            "nan",
            "Non.",
            "n",
            "faux",
            "bien sur que non",
            "pas d'accord",
        ],
        &["je ne sais pas", "aucune idée", "peut-être", "n'importe", "oui et non", "nom"],
    );
}

#[test]
fn words_of_its_own() {
    let own = json!({ "kind": "confirm", "choices": ["Keep it", "Throw it away"] });
    for (text, expected) in
        [("keep it", true), ("throw it away", false), ("1", true), ("the second", false), ("keep", true), ("no", false)]
    {
        assert_eq!(recognize(&own, "en", text), Some(json!(expected)), "{text}");
    }
    let book = json!({ "kind": "confirm", "choices": ["Book", "Wait"] });
    assert_eq!(recognize(&book, "en", "don't book"), Some(json!(false)));
    assert_eq!(recognize(&book, "de", "nicht Book"), Some(json!(false)));
    let accept = json!({ "kind": "confirm", "choices": ["Accept", "Do not accept"] });
    assert_eq!(recognize(&accept, "en", "I do not accept"), Some(json!(false)));
    assert_eq!(recognize(&accept, "en", "I accept"), Some(json!(true)));
}

#[test]
fn a_button_confirms() {
    let prompt = Prompt::parse(&json!({ "kind": "confirm" })).unwrap();
    for members in [
        json!({ "value": true }),
        json!({ "value": "true" }),
        json!({ "value": "Yes" }),
        json!({ "value": { "confirm": true } }),
        json!({ "value": { "agreed": "true" } }),
        json!({ "text": "Yes" }),
    ] {
        assert_eq!(prompt.recognize(&answer(&members), "en", now()), Ok(json!(true)), "{members}");
    }
    assert_eq!(prompt.recognize(&answer(&json!({ "value": false })), "en", now()), Ok(json!(false)));
}

/// The button was shown in French, and then the user's client changed its language.
#[test]
fn a_button_keeps_its_meaning_when_the_locale_changes() {
    for (title, expected) in [("Oui", true), ("Non", false), ("Ja", true), ("Nein", false), ("Sí", true), ("No", false)]
    {
        for locale in ["en", "de", "es", "fr", "pt"] {
            let found = recognize(&json!({ "kind": "confirm" }), locale, title);
            assert_eq!(found, Some(json!(expected)), "{title} in {locale}");
        }
    }
}
