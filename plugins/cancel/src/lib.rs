//! A global handler of «cancel» for any bot. It cancels every dialog of the conversation, whichever plugin owns it.

use std::collections::BTreeMap;

use serde::Deserialize;
use turntable_sdk::prelude::*;
use turntable_sdk::{After, Value, json};

/// The words that cancel in one language, and the default replies: after cancelling, and if there is nothing to cancel.
struct Words {
    language: &'static str,
    pattern: &'static str,
    cancelled: &'static str,
    nothing: &'static str,
}

/// The first language is the default for users of other or unknown languages.
const LANGUAGES: &[Words] = &[
    Words {
        language: "en",
        pattern: r"(?:please )?(?:cancel|quit|stop|abort|never ?mind)(?: (?:it|that|this|please))*[ .!]*",
        cancelled: "OK, I have cancelled that.",
        nothing: "There is nothing to cancel.",
    },
    Words {
        language: "de",
        pattern: r"(?:bitte )?(?:abbrechen|abbruch|stopp?)(?:,? bitte)?[ .!]*",
        cancelled: "Gut, ich habe das abgebrochen.",
        nothing: "Es gibt nichts abzubrechen.",
    },
    Words {
        language: "es",
        pattern: r"(?:por favor,? )?(?:cancelar?|salir)(?:,? por favor)?[ .!]*",
        cancelled: "De acuerdo, lo he cancelado.",
        nothing: "No hay nada que cancelar.",
    },
    Words {
        language: "fr",
        pattern: r"(?:annuler?|arr[êe]ter?)(?:,? s.il (?:te|vous) pla[iî]t)?[ .!]*",
        cancelled: "D'accord, j'ai annulé.",
        nothing: "Il n'y a rien à annuler.",
    },
];

/// A setting: one text for everyone, or texts by language, such as `de`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    ByLanguage(BTreeMap<String, String>),
}

impl Texts {
    /// The JSON schema of such a setting.
    fn schema(description: &str) -> Value {
        let text = json!({ "type": "string", "minLength": 1 });
        let languages = json!({
            "type": "object", "additionalProperties": false, "patternProperties": { "^[a-z]{2,3}$": text }
        });
        json!({ "description": description, "anyOf": [text, languages] })
    }

    fn text(self, language: &str) -> Option<String> {
        match self {
            Self::One(text) => Some(text),
            Self::ByLanguage(mut texts) => texts.remove(language),
        }
    }
}

#[derive(Default)]
struct Cancel;

impl Bot for Cancel {
    fn manifest(&self) -> Manifest {
        let manifest =
            Manifest::new().description("Cancels what goes on").activities([]).wants_dialogs().settings(json!({
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "cancelled": Texts::schema("What to say after cancelling: a text, or texts by language."),
                    "nothing": Texts::schema("What to say where there is nothing to cancel, the same way.")
                }
            }));
        LANGUAGES.iter().enumerate().fold(manifest, |manifest, (position, words)| {
            let route = Route::new(words.language, words.pattern).score(1.0).after(After::None).control();
            // English words cancel in every language.
            manifest.route(if position == 0 { route } else { route.locales([words.language]) })
        })
    }

    fn on_route(&mut self, turn: &mut Turn, _name: &str) -> Result {
        let did = turn.dialogs().cancel_all()? > 0;
        let text = if did {
            text(turn, "cancelled", |words| words.cancelled)
        } else {
            text(turn, "nothing", |words| words.nothing)
        };
        turn.reply(text?)?;
        Ok(Handled)
    }
}

/// Returns the text of a setting in the language of the user, or the default text.
fn text(turn: &Turn, setting: &str, default: fn(&Words) -> &'static str) -> Result<String> {
    let locale = turn.meta().locale.as_deref().unwrap_or_default();
    let language = locale.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    let configured = turn.config::<Texts>(setting)?.and_then(|texts| texts.text(&language));
    let words = LANGUAGES.iter().find(|words| words.language == language).unwrap_or(&LANGUAGES[0]);
    Ok(configured.unwrap_or_else(|| default(words).to_owned()))
}

turntable_sdk::register!(Cancel);

#[cfg(test)]
mod tests {
    use turntable_sdk::testing::{Call, TestHost};

    use super::*;

    #[test]
    fn it_cancels_the_dialogs_of_every_plugin() {
        let host = TestHost::<Cancel>::new();
        host.interrupts("travel", "book", "child");
        host.interrupts("travel", "traveller", "prompt:text");
        host.interrupts("settings", "preferences", "prompt:choice");
        host.says("cancel").replies("OK, I have cancelled that.").handled().ends_dialogs();
        host.says("quit").replies("There is nothing to cancel.").handled();
    }

    #[test]
    fn it_speaks_the_language_of_the_user() {
        let host = TestHost::<Cancel>::new().locale("de-AT");
        host.interrupts("travel", "book", "prompt:text");
        host.says("abbrechen").replies("Gut, ich habe das abgebrochen.");
        host.clone().locale("fr").says("annuler").replies("Il n'y a rien à annuler.");
        host.clone().locale("fr").says("abbrechen").silent().passes();
        host.locale("nl").says("stop").replies("There is nothing to cancel.");
    }

    #[test]
    fn its_texts_are_settings() {
        let host = TestHost::<Cancel>::new().setting("nothing", "Nichts da.").locale("de");
        host.says("abbrechen").replies("Nichts da.");
        host.clone().locale("en-GB").says("cancel").replies("Nichts da.");
        for (locale, said, reply) in [
            ("de-AT", "abbrechen", "Schluss damit."),
            ("nl", "stop", "Geannuleerd."),
            ("fr", "annuler", "D'accord, j'ai annulé."),
            ("en", "cancel", "OK, I have cancelled that."),
        ] {
            let texts = json!({ "de": "Schluss damit.", "nl": "Geannuleerd." });
            let host = TestHost::<Cancel>::new().setting("cancelled", texts).locale(locale);
            host.interrupts("travel", "book", "prompt:text");
            host.says(said).replies(reply);
        }
    }

    #[test]
    fn it_is_told_as_people_tell_it() {
        for (locale, texts) in [
            ("en", ["Cancel!", "please cancel it", "stop that please", "Never mind."]),
            ("de", ["Abbrechen!", "bitte abbrechen", "Stop", "abbrechen, bitte"]),
            ("es", ["cancela", "Cancelar.", "salir, por favor", "cancel"]),
            ("fr", ["annule", "Arrêter !", "arrete", "annuler s'il vous plaît"]),
        ] {
            for text in texts {
                let host = TestHost::<Cancel>::new().locale(locale);
                host.interrupts("travel", "book", "prompt:text");
                assert!(host.says(text).handled().stack.is_empty(), "{locale}: {text}");
            }
        }
        for text in ["cancel my trip to Rome", "don't stop", "I cannot stop"] {
            TestHost::<Cancel>::new().says(text).silent().passes();
        }
    }

    #[test]
    fn without_its_grant_it_fails_instead_of_saying_that_it_cancelled() {
        let host = TestHost::<Cancel>::new().refuses(Call::Stack, Fault::denied("no grant `dialogs`"));
        host.takes_route("en", "cancel").silent().fails("denied");
    }

    #[test]
    fn the_manifest_has_a_route_for_each_language_and_asks_for_dialogs() {
        let manifest = TestHost::<Cancel>::new().manifest();
        assert_eq!(manifest["activities"], json!([]));
        assert_eq!(manifest["wants"], json!({ "dialogs": true }));
        assert_eq!(manifest["routes"][0]["locales"], json!(null));
        assert_eq!(manifest["routes"][1]["locales"], json!(["de"]));
        assert_eq!(manifest["routes"].as_array().map(Vec::len), Some(LANGUAGES.len()));
    }
}
