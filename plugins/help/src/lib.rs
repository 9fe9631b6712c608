//! A global handler of «help» for any bot. It answers with a configured text, or with the text for the dialog that waits.

use std::collections::BTreeMap;

use turntable_sdk::json;
use turntable_sdk::prelude::*;

/// «help» in several languages, with or without a punctuation mark after it.
const PATTERN: &str = r"(?:help|hilfe|ayuda|aide)[ .!?]*|\?+";

#[derive(Default)]
struct Help;

impl Bot for Help {
    fn manifest(&self) -> Manifest {
        Manifest::new()
            .description("Answers a call for help")
            .activities([])
            .route(Route::new("help", PATTERN).score(0.9))
            .wants_dialogs()
            .settings(json!({
                "type": "object",
                "additionalProperties": false,
                "required": ["text"],
                "properties": {
                    "text": { "type": "string", "minLength": 1, "description": "What the bot can do." },
                    "dialogs": {
                        "type": "object",
                        "additionalProperties": { "type": "string", "minLength": 1 },
                        "description": "The answers while a dialog waits, by PLUGIN/DIALOG, or by PLUGIN for all dialogs of a plugin."
                    }
                }
            }))
    }

    fn on_route(&mut self, turn: &mut Turn, _name: &str) -> Result {
        let texts: BTreeMap<String, String> = turn.config("dialogs")?.unwrap_or_default();
        let found = active_dialogs(turn)?.iter().find_map(|name| texts.get(name).cloned());
        let text = match found {
            Some(text) => text,
            None => turn.required("text")?,
        };
        // The dialog that waits then repeats its question, because the route's `after` is `reprompt`.
        turn.reply(text)?;
        Ok(Handled)
    }
}

/// Returns the keys of the setting `dialogs` for the waiting dialogs, the most specific first.
fn active_dialogs(turn: &Turn) -> Result<Vec<String>> {
    let frames = match turn.dialogs().frames() {
        Ok(frames) => frames,
        // Without the grant the general text is the answer.
        Err(fault) if fault.code == "denied" => return Ok(Vec::new()),
        Err(fault) => return Err(fault),
    };
    Ok(frames.iter().flat_map(|frame| [format!("{}/{}", frame.plugin, frame.dialog), frame.plugin.clone()]).collect())
}

turntable_sdk::register!(Help);

#[cfg(test)]
mod tests {
    use turntable_sdk::testing::{Call, TestHost};

    use super::*;

    fn host() -> TestHost<Help> {
        let dialogs = json!({ "travel/book": "I need your destination.", "travel": "I book trips." });
        TestHost::new().setting("text", "I open tickets.").setting("dialogs", dialogs)
    }

    #[test]
    fn it_answers_with_the_configured_text() {
        let host = TestHost::<Help>::new().setting("text", "I open tickets.");
        host.takes_route("help", "hilfe").replies("I open tickets.").handled();
    }

    #[test]
    fn while_a_dialog_waits_it_explains_that_one_and_the_question_comes_again() {
        let host = host();
        host.interrupts("travel", "book", "prompt:text");
        let answer = host.takes_route("help", "help").replies("I need your destination.").waits_in("book");
        assert_eq!(answer.reprompts, 1);
    }

    #[test]
    fn a_dialog_without_a_text_of_its_own_is_explained_by_its_plugin_then_by_what_is_below() {
        let nested = host();
        nested.interrupts("travel", "traveller", "prompt:text");
        nested.takes_route("help", "?").replies("I book trips.");
        let over = host();
        over.interrupts("travel", "book", "prompt:text");
        over.interrupts("settings", "preferences", "prompt:text");
        over.takes_route("help", "?").replies("I need your destination.");
        let other = host();
        other.interrupts("shop", "order", "prompt:text");
        other.takes_route("help", "?").replies("I open tickets.");
    }

    #[test]
    fn without_the_grant_it_gives_the_general_answer() {
        let host = host().refuses(Call::Stack, Fault::denied("no grant `dialogs`"));
        host.takes_route("help", "help").replies("I open tickets.");
    }

    #[test]
    fn it_is_called_as_people_call_for_help() {
        for text in ["help", "Help!", "HILFE", "help ?", "?", "???", "ayuda.", "Aide !"] {
            host().says(text).replies("I open tickets.").handled();
        }
    }

    #[test]
    fn it_sees_no_ordinary_message() {
        host().says("help me").silent().passes();
    }

    #[test]
    fn without_its_text_it_fails_and_says_what_is_missing() {
        let answer = TestHost::<Help>::new().takes_route("help", "help").silent().fails("invalid");
        assert_eq!(answer.result.unwrap_err().message, "the setting `text` is not set");
    }

    #[test]
    fn the_manifest_has_one_route_and_needs_the_text() {
        let manifest = TestHost::<Help>::new().manifest();
        assert_eq!(manifest["activities"], json!([]));
        assert_eq!(manifest["routes"], json!([{ "name": "help", "pattern": PATTERN, "score": 0.9 }]));
        assert_eq!(manifest["settings"]["required"], json!(["text"]));
        assert_eq!(manifest["wants"], json!({ "dialogs": true }));
    }
}
