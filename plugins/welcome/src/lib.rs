//! Greets every member who joins, with a card and with suggestions of what to say.

use turntable_sdk::prelude::*;
use turntable_sdk::{Value, json};

/// The default greeting.
const GREETING: &str = "Welcome";

#[derive(Default)]
struct Welcome;

impl Bot for Welcome {
    fn manifest(&self) -> Manifest {
        Manifest::new().description("Greets who joins").activities(["conversationUpdate"]).settings(settings_schema())
    }

    fn on_members_added(&mut self, turn: &mut Turn, members: &[ChannelAccount]) -> Result {
        let greeting: Option<String> = turn.config("greeting")?;
        let greeting = greeting.as_deref().unwrap_or(GREETING);
        let suggestions: Vec<String> = turn.config("suggestions")?.unwrap_or_else(|| vec!["help".to_owned()]);
        for member in members {
            turn.reply(greet(greeting, member, &suggestions))?;
        }
        // Other plugins may also handle members who join.
        Ok(Next)
    }
}

fn greet(greeting: &str, member: &ChannelAccount, suggestions: &[String]) -> Activity {
    let title = match &member.name {
        Some(name) if !name.is_empty() => format!("{greeting}, {name}!"),
        _ => format!("{greeting}!"),
    };
    let card = suggestions
        .iter()
        .fold(HeroCard::new(&title).text("Say something, or choose one of these."), |card, suggestion| {
            card.button(suggestion.as_str())
        });
    suggestions
        .iter()
        .fold(Activity::message(title).attach(card), |message, suggestion| message.suggest(suggestion.as_str()))
}

fn settings_schema() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "greeting": { "type": "string", "minLength": 1, "description": "What stands before the name." },
            "suggestions": {
                "type": "array", "maxItems": 5, "items": { "type": "string", "minLength": 1 },
                "description": "What a user can say with one tap. Default: help."
            }
        }
    })
}

turntable_sdk::register!(Welcome);

#[cfg(test)]
mod tests {
    use turntable_sdk::testing::TestHost;

    use super::*;

    #[test]
    fn it_greets_each_member_and_not_the_bot() {
        let answer = TestHost::<Welcome>::new().joins(["bot", "u1", "u2"]).passes();
        assert_eq!(answer.texts(), ["Welcome!", "Welcome!"]);
    }

    #[test]
    fn it_greets_by_name_in_the_words_of_the_operator() {
        let host = TestHost::<Welcome>::new().setting("greeting", "Hello").setting("suggestions", json!(["Tickets"]));
        let members_added = vec![ChannelAccount::new("u1").named("Ann")];
        let answer = host.takes(Activity { members_added, ..Activity::new("conversationUpdate") });
        let answer = answer.replies("Hello, Ann!");

        let message = serde_json::to_value(&answer.sent[0].activity).unwrap();
        let action = json!({ "type": "imBack", "title": "Tickets", "value": "Tickets" });
        assert_eq!(message["suggestedActions"]["actions"], json!([action]));
        assert_eq!(message["attachments"][0]["contentType"], "application/vnd.microsoft.card.hero");
        assert_eq!(message["attachments"][0]["content"]["title"], "Hello, Ann!");
        assert_eq!(message["attachments"][0]["content"]["buttons"], json!([action]));
    }

    #[test]
    fn it_is_silent_when_the_bot_itself_joins_or_somebody_leaves() {
        let host = TestHost::<Welcome>::new();
        host.joins(["bot"]).silent().passes();
        host.leaves(["u1"]).silent().passes();
        host.says("hello").silent().passes();
    }

    #[test]
    fn a_setting_of_another_type_is_a_fault_that_names_it() {
        let answer = TestHost::<Welcome>::new().setting("greeting", 7).joins(["u1"]).silent().fails("invalid");
        assert!(answer.result.unwrap_err().message.contains("`greeting`"));
    }

    #[test]
    fn the_manifest_asks_for_conversation_updates_only() {
        let manifest = TestHost::<Welcome>::new().manifest();
        assert_eq!(manifest["activities"], json!(["conversationUpdate"]));
        assert_eq!(manifest["settings"]["properties"]["greeting"]["type"], "string");
    }
}
