//! Answers «help» for any bot, from a text in the configuration.

use turntable_sdk::json;
use turntable_sdk::prelude::*;

/// «help» in some languages.
const PATTERN: &str = r"help|\?|hilfe|ayuda|aide";

#[derive(Default)]
struct Help;

impl Bot for Help {
    fn manifest(&self) -> Manifest {
        Manifest::new()
            .description("Answers a call for help")
            .activities([])
            .route(Route::new("help", PATTERN).score(0.9))
            .settings(json!({
                "type": "object",
                "additionalProperties": false,
                "required": ["text"],
                "properties": { "text": { "type": "string", "minLength": 1, "description": "What the bot can do." } }
            }))
    }

    fn on_route(&mut self, turn: &mut Turn, _name: &str) -> Result {
        let text: String = turn.required("text")?;
        turn.reply(text)?;
        Ok(Handled)
    }
}

turntable_sdk::register!(Help);

#[cfg(test)]
mod tests {
    use turntable_sdk::testing::TestHost;

    use super::*;

    #[test]
    fn it_answers_with_the_configured_text() {
        let host = TestHost::<Help>::new().setting("text", "I open tickets.");
        host.takes_route("help", "hilfe").replies("I open tickets.").handled();
    }

    #[test]
    fn it_sees_no_ordinary_message() {
        TestHost::<Help>::new().setting("text", "I open tickets.").says("help me").silent().passes();
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
    }
}
