//! Answers «cancel» for any bot: cancels every dialog of the conversation, whichever plugin owns it.

use turntable_sdk::prelude::*;
use turntable_sdk::{After, json};

/// What it says in one language: after cancelling, and where there was nothing to cancel.
struct Words {
    language: &'static str,
    pattern: &'static str,
    cancelled: &'static str,
    nothing: &'static str,
}

/// The first is for users of other languages, and of none.
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

#[derive(Default)]
struct Cancel;

impl Bot for Cancel {
    fn manifest(&self) -> Manifest {
        let manifest =
            Manifest::new().description("Cancels what goes on").activities([]).wants_dialogs().settings(json!({
                "type": "object", "additionalProperties": false, "properties": {}
            }));
        LANGUAGES.iter().enumerate().fold(manifest, |manifest, (position, words)| {
            let route = Route::new(words.language, words.pattern).score(1.0).after(After::None);
            // English words work for everyone.
            manifest.route(if position == 0 { route } else { route.locales([words.language]) })
        })
    }

    fn on_route(&mut self, turn: &mut Turn, _name: &str) -> Result {
        let words = words_for(turn.meta().locale.as_deref());
        let text = if turn.dialogs().cancel_all()? > 0 { words.cancelled } else { words.nothing };
        turn.reply(text)?;
        Ok(Handled)
    }
}

fn words_for(locale: Option<&str>) -> &'static Words {
    let language = locale.and_then(|locale| locale.split('-').next()).unwrap_or_default();
    LANGUAGES.iter().find(|words| words.language.eq_ignore_ascii_case(language)).unwrap_or(&LANGUAGES[0])
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
