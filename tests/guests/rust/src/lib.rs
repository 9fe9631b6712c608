//! The portable handler in Rust. `tests/guests/README.md` specifies it for all guest languages.

use turntable_sdk::prelude::*;
use turntable_sdk::prompt::number;
use turntable_sdk::{After, Delivery, When, json};

#[derive(Default)]
struct Portable;

impl Bot for Portable {
    fn manifest(&self) -> Manifest {
        Manifest::new()
            .name("portable")
            .version("0.1.0")
            .activities(["message", "event"])
            .route(Route::new("stop", "stop").after(After::None))
            .wants_state([Scope::Conversation, Scope::User])
            .wants_conversations()
            .intercepts(["receive", "send"])
    }

    fn on_route(&mut self, turn: &mut Turn, _name: &str) -> Result {
        let frames = turn.dialogs().frames()?;
        let waiting: String = frames.iter().map(|frame| format!(" {}:{}", frame.dialog, frame.waits_for)).collect();
        let count = turn.dialogs().cancel_all()?;
        turn.reply(format!("stopped {count}{waiting}"))?;
        Ok(Handled)
    }

    fn on_event(&mut self, turn: &mut Turn) -> Result {
        if turn.meta().trigger == "notify" { Self::came_later(turn) } else { Ok(Next) }
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
            "recall" => {
                let note: Option<String> = turn.state().user("note").get()?;
                turn.reply(format!("note {}", note.as_deref().unwrap_or("none")))?;
            }
            "forget" => {
                turn.state().user::<String>("note").remove()?;
                turn.reply("forgotten")?;
            }
            "count" => count(turn)?,
            "later" => {
                let conversations = turn.conversations();
                let here = conversations.reference()?;
                conversations.notify(&here, When::Idle, Delivery::event("later", "now"))?;
                let id = conversations.schedule(
                    "far",
                    "2999-01-01T00:00:00Z",
                    &here,
                    When::Interrupt,
                    Delivery::dialog("age", ())?,
                )?;
                turn.reply(format!("cancelled {}", conversations.cancel(&id)?))?;
            }
            "ask" => drop(turn.dialogs().begin("age", ())?),
            text if text.starts_with("note ") => {
                turn.state().user("note").overwrite(&text["note ".len()..].to_owned())?;
                turn.reply("noted")?;
            }
            text => {
                let from = turn.activity().from.as_ref().map(ChannelAccount::display_name).unwrap_or_default();
                turn.reply(format!("{}, {from}: {text}", greeting(turn)?))?;
            }
        }
        Ok(Handled)
    }
}

impl Portable {
    fn came_later(turn: &Turn) -> Result {
        let value = turn.activity().value.clone().unwrap_or_default();
        turn.send(format!("{} {}", turn.meta().trigger, value.as_str().unwrap_or_default()))?;
        Ok(Handled)
    }
}

impl Dialogs for Portable {
    fn dialogs(&self) -> DialogSet {
        let question =
            || number("How old are you?").retry("A number, please.").integer().attempts(3).validator("adult");
        let age = Waterfall::new("age")
            .step(move |step| step.prompt(question()))
            .step_always(|step| {
                if !step.outcome().is_completed() {
                    step.turn().reply("Never mind.")?;
                    return step.cancel();
                }
                let age: i64 = step.result()?;
                step.turn().reply(format!("You are {age}."))?;
                step.done(age)
            })
            .validator("adult", |_, check| {
                Ok(match check.value::<i64>()? {
                    18.. => Verdict::accept(),
                    _ => Verdict::reject_with(format!("At least 18, please ({}).", check.attempt())),
                })
            })
            .on_cancelled(|turn, reason| turn.reply(format!("cancelled: {reason}")).map(drop));
        DialogSet::new().with(age)
    }
}

impl Middleware for Portable {
    fn on_receive(&mut self, turn: &mut Turn) -> Result<Passage> {
        Ok(match turn.text() {
            "secret" => Passage::Stop,
            "swap" => Passage::replace(Activity { text: Some("swapped".to_owned()), ..turn.activity().clone() }),
            _ => Passage::Pass,
        })
    }

    fn on_send(&mut self, _turn: &mut Turn, activity: &Activity) -> Result<Passage> {
        Ok(match activity.text.as_deref().unwrap_or_default() {
            text if text.contains("hush") => Passage::Stop,
            text if text.contains("loud") => {
                Passage::replace(Activity { text: Some(format!("{}!", text.to_uppercase())), ..activity.clone() })
            }
            _ => Passage::Pass,
        })
    }
}

fn count(turn: &Turn) -> Result<()> {
    let sum = turn.state().conversation::<u32>("count").update(|count| {
        *count += 1;
        *count
    })?;
    turn.reply(sum.to_string())?;
    Ok(())
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

turntable_sdk::register!(Portable, dialogs, middleware);

#[cfg(test)]
mod tests {
    use turntable_sdk::testing::TestHost;

    use super::*;

    fn host() -> TestHost<Portable> {
        TestHost::<Portable>::with_dialogs().setting("greeting", "Hello")
    }

    #[test]
    fn it_says_the_portable_conversation() {
        host().says("hi").replies("Hello, Ann: hi").handled();
        host().user(ChannelAccount::new("u1")).says("hi").replies("Hello, u1: hi").handled();
        host().says("fault").silent().fails("invalid");
        host().says("meta").replies("message activity directline none conversation-1");
        host().locale("de").says("meta").replies("message activity directline de conversation-1");
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
    fn it_remembers() {
        let host = host();
        host.says("recall").replies("note none");
        host.says("note buy \"milk\"").replies("noted");
        host.clone().conversation("elsewhere").says("recall").replies("note buy \"milk\"");
        host.says("forget").replies("forgotten");
        host.says("recall").replies("note none");
        host.says("count").replies("1");
        host.says("count").replies("2");
    }

    #[test]
    fn it_asks_and_can_be_stopped() {
        let host = host();
        host.says("ask").replies("How old are you?");
        host.says("old").replies("A number, please.");
        host.says("17").replies("At least 18, please (2).");
        host.says("18").replies("You are 18.").ends_dialogs();
        host.says("ask").replies("How old are you?");
        host.takes_route("stop", "stop").says(["stopped 1 age:prompt:number", "cancelled: cancel-all"]).ends_dialogs();
        host.says("ask").replies("How old are you?");
        host.says("a").replies("A number, please.");
        host.says("b").replies("A number, please.");
        host.says("c").replies("Never mind.").ends_dialogs();
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
        let expected = json!({
            "name": "portable", "version": "0.1.0", "roles": ["handler", "dialogs"], "activities": ["message", "event"],
            "intercepts": ["receive", "send"],
            "routes": [{ "name": "stop", "pattern": "stop", "after": "none" }],
            "dialogs": [{ "id": "age", "state-version": 0 }],
            "wants": { "state": ["conversation", "user"], "conversations": true, "dialogs": true },
        });
        assert_eq!(manifest, expected);
    }
}
