//! A global handler of «settings» for any bot. It asks for the user's preferences; a dialog that it interrupts continues
//! afterwards.

use serde::{Deserialize, Serialize};
use turntable_sdk::json;
use turntable_sdk::prelude::*;
use turntable_sdk::prompt::{Chosen, choice, text};

/// «settings» in several languages, with or without a punctuation mark after it.
const PATTERN: &str = "(?:settings|preferences|einstellungen|ajustes|param[eè]tres|préférences)[ .!?]*";
/// The key of the preferences in the state of the user.
const KEY: &str = "preferences";

/// The preferences of a user.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Preferences {
    name: Option<String>,
    units: Option<String>,
}

#[derive(Default)]
struct Settings;

impl Bot for Settings {
    fn manifest(&self) -> Manifest {
        Manifest::new()
            .description("Asks for preferences")
            .activities([])
            .route(Route::new("settings", PATTERN).score(0.9))
            .wants_state([Scope::User])
            .settings(json!({ "type": "object", "additionalProperties": false, "properties": {} }))
    }

    fn on_route(&mut self, turn: &mut Turn, _name: &str) -> Result {
        // If this dialog runs already, the host repeats its question.
        let own = turn.meta().extra("plugin");
        let open = turn.dialogs().top()?.is_some_and(|top| top.dialog == "preferences" && Some(&*top.plugin) == own);
        if !open {
            turn.dialogs().begin("preferences", ())?;
        }
        Ok(Handled)
    }
}

impl Dialogs for Settings {
    fn dialogs(&self) -> DialogSet {
        DialogSet::new().with(preferences())
    }
}

fn preferences() -> Waterfall {
    Waterfall::new("preferences")
        .step(|step| {
            let known: Preferences = step.turn().state().user(KEY).get()?.unwrap_or_default();
            let question = match &known.name {
                Some(name) => format!("I call you {name}. What shall I call you?"),
                None => "What shall I call you?".to_owned(),
            };
            step.prompt(text(question).max_length(80))
        })
        .step(|step| {
            let name: String = step.result()?;
            step.set("name", name)?;
            step.prompt(choice("Kilometres or miles?", ["kilometres", "miles"]))
        })
        .step(|step| {
            let (name, units): (String, Chosen) = (step.get("name")?, step.result()?);
            let text = format!("Saved: {name}, {}.", units.value);
            let chosen = Preferences { name: Some(name), units: Some(units.value) };
            step.turn().state().user::<Preferences>(KEY).update(|preferences| *preferences = chosen)?;
            step.turn().reply(text)?;
            step.done(())
        })
        .on_cancelled(|turn, _| turn.reply("The settings stay as they were.").map(drop))
}

turntable_sdk::register!(Settings, dialogs);

#[cfg(test)]
mod tests {
    use turntable_sdk::testing::TestHost;

    use super::*;

    fn host() -> TestHost<Settings> {
        TestHost::with_dialogs()
    }

    #[test]
    fn it_asks_and_remembers() {
        let host = host();
        host.says("Settings!").replies("What shall I call you?").waits_in("preferences");
        host.says("Ann").replies("Kilometres or miles?");
        host.says("furlongs").replies("Kilometres or miles?");
        host.says("miles").replies("Saved: Ann, miles.").ends_dialogs();
        assert_eq!(host.stored(Scope::User, KEY), Some(json!({ "name": "Ann", "units": "miles" })));
        host.takes_route("settings", "settings").replies("I call you Ann. What shall I call you?");
    }

    #[test]
    fn what_it_interrupted_goes_on_with_its_question() {
        let host = host();
        host.interrupts("travel", "book", "prompt:text");
        host.takes_route("settings", "settings").replies("What shall I call you?");
        host.says("Ann").replies("Kilometres or miles?");
        let answer = host.says("1").replies("Saved: Ann, kilometres.").waits_in("book");
        assert_eq!(answer.reprompts, 1);
    }

    #[test]
    fn asked_for_again_it_repeats_its_question_only() {
        let host = host();
        host.takes_route("settings", "settings").replies("What shall I call you?");
        let answer = host.takes_route("settings", "settings").replies("What shall I call you?");
        assert_eq!(answer.stack.len(), 1);
    }

    #[test]
    fn a_dialog_of_the_same_name_of_another_plugin_is_interrupted_like_any_other() {
        let host = host();
        host.interrupts("shop", "preferences", "prompt:text");
        let answer = host.takes_route("settings", "settings").replies("What shall I call you?");
        assert_eq!(answer.stack.len(), 2);
    }

    #[test]
    fn preferences_of_an_older_version_still_read() {
        let host = host();
        host.store(Scope::User, KEY, json!({ "name": "Ann", "gone": true }));
        host.takes_route("settings", "settings").replies("I call you Ann. What shall I call you?");
    }

    #[test]
    fn the_manifest_lists_its_dialog_and_what_it_needs() {
        let manifest = host().manifest();
        assert_eq!(manifest["roles"], json!(["handler", "dialogs"]));
        assert_eq!(manifest["wants"], json!({ "state": ["user"], "dialogs": true }));
    }
}
