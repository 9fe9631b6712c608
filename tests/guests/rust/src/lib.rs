//! The portable handler, in Rust: what every guest language must do alike. `tests/guests/README.md` specifies it.

use turntable_sdk::json;
use turntable_sdk::prelude::*;

#[derive(Default)]
struct Portable;

impl Bot for Portable {
    fn manifest(&self) -> Manifest {
        Manifest::new().name("portable").version("0.1.0").activities(["message"])
    }

    fn on_message(&mut self, turn: &mut Turn) -> Result {
        match turn.text() {
            "card" => card(turn)?,
            "fault" => return Err(Fault::invalid("asked to fail")),
            "meta" => meta(turn)?,
            "config" => config(turn)?,
            "log" => {
                turn.log(Level::Info, "portable log", &[("text", &turn.text())]);
                turn.reply("logged")?;
            }
            "next" => return Ok(Next),
            "twice" => {
                let (one, two) = (turn.reply("one")?, turn.send("two")?);
                turn.reply(format!("{},{}", start(&one), start(&two)))?;
            }
            text => {
                let from = turn.activity().from.as_ref().map(ChannelAccount::display_name).unwrap_or_default();
                turn.reply(format!("{}, {from}: {text}", greeting(turn)?))?;
            }
        }
        Ok(Handled)
    }
}

fn card(turn: &Turn) -> Result<()> {
    let card = json!({
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [{ "type": "TextBlock", "text": greeting(turn)? }],
    });
    turn.reply(Activity::message("A card").attach(Attachment::adaptive_card(card)))?;
    Ok(())
}

fn meta(turn: &Turn) -> Result<()> {
    let meta = turn.meta();
    let locale = meta.locale.as_deref().unwrap_or("none");
    let text = format!("{} {} {} {locale} {}", meta.kind, meta.trigger, meta.channel_id, meta.conversation_id);
    turn.reply(text)?;
    Ok(())
}

fn config(turn: &Turn) -> Result<()> {
    let missing = match turn.config::<String>("missing")? {
        Some(value) => value,
        None => "none".to_owned(),
    };
    let keys = turn.config_keys().join(",");
    turn.reply(format!("greeting={} missing={missing} keys={keys}", greeting(turn)?))?;
    Ok(())
}

fn greeting(turn: &Turn) -> Result<String> {
    turn.required("greeting")
}

/// Returns the first three characters of an id.
fn start(id: &str) -> String {
    id.chars().take(3).collect()
}

turntable_sdk::register!(Portable);

#[cfg(test)]
mod tests {
    use turntable_sdk::testing::TestHost;

    use super::*;

    fn host() -> TestHost<Portable> {
        TestHost::<Portable>::new().setting("greeting", "Hello")
    }

    #[test]
    fn it_says_the_portable_conversation() {
        host().says("hi").replies("Hello, Ann: hi").handled();
        host().user(ChannelAccount::new("u1")).says("hi").replies("Hello, u1: hi").handled();
        host().says("fault").silent().fails("invalid");
        host().says("meta").replies("message activity test none conversation-1");
        host().locale("de").says("meta").replies("message activity test de conversation-1");
        host().setting("a", 1).says("config").replies("greeting=Hello missing=none keys=a,greeting");
        host().says("next").silent().passes();
        assert_eq!(host().says("twice").handled().texts(), ["one", "two", "tt-,tt-"]);
        host().takes(Activity::new("typing")).silent().passes();
    }

    #[test]
    fn it_sends_the_card() {
        let answer = host().says("card").replies("A card").handled();
        let message = serde_json::to_value(&answer.sent[0].activity).unwrap();
        let content = json!({ "type": "AdaptiveCard", "version": "1.4",
                              "body": [{ "type": "TextBlock", "text": "Hello" }] });
        let attachment = json!({ "contentType": "application/vnd.microsoft.card.adaptive", "content": content });
        assert_eq!(message["attachments"], json!([attachment]));
    }

    #[test]
    fn it_writes_to_the_log() {
        let answer = host().says("log").replies("logged").logs("portable log");
        assert_eq!(answer.log[0].level, "info");
        assert_eq!(answer.log[0].fields, [("text".to_owned(), "log".to_owned())]);
    }

    #[test]
    fn the_manifest_is_the_portable_one() {
        let manifest = host().manifest();
        let expected =
            json!({ "name": "portable", "version": "0.1.0", "roles": ["handler"], "activities": ["message"] });
        assert_eq!(manifest, expected);
    }
}
