//! A straight-line dialog in several editions. A spec changes one digit in the built component and deploys it during a
//! conversation, which has the same effect as editing the source.
//!
//! | edition | difference to `0`, which says «Welcome.», asks for name and city, and says where they go |
//! | --- | --- |
//! | `1` | asks for the age between name and city |
//! | `2` | asks for the city in other words (the question has no name) |
//! | `3` | greets in other words |
//! | `4` | asks after the city whether that is right |
//! | `5` | as `2`, with a new version of its state and a hook that migrates the name |
//! | `6` | as `1`, with a new version of its state and without a hook |
//! | `7` | asks for the name in other words (the question has a name) |
//! | `8` | panics after it got the name |

use turntable_sdk::prelude::*;
use turntable_sdk::prompt::{confirm, number, text};
use turntable_sdk::{Value, json};

/// The edition. Specs change this digit in the component.
#[used]
static EDITION: [u8; 9] = *b"EDITION-0";

/// Reads the edition in a way that the compiler cannot evaluate.
fn edition() -> u8 {
    std::hint::black_box(&EDITION)[8]
}

#[derive(Default)]
struct Edited;

impl Bot for Edited {
    fn on_message(&mut self, turn: &mut Turn) -> Result {
        match turn.text() {
            "trip" => drop(turn.dialogs().begin("trip", ())?),
            other => drop(turn.reply(format!("heard: {other}"))?),
        }
        Ok(Handled)
    }
}

impl Dialogs for Edited {
    fn dialogs(&self) -> DialogSet {
        let trip = StraightLine::new("trip", trip);
        DialogSet::new().with(match edition() {
            b'5' => trip.version(2).migrate(|old| Ok(old.state.get("name").map(|name| json!({ "name": name })))),
            b'6' => trip.version(2),
            _ => trip,
        })
    }
}

async fn trip(d: &mut Dialogue) -> Result<()> {
    let edition = edition();
    let carried: Option<Value> = d.state()?;
    let name = match carried.as_ref().and_then(|carried| carried["name"].as_str()) {
        Some(name) => name.to_owned(),
        None => {
            d.send(if edition == b'3' { "Hello." } else { "Welcome." })?;
            let question = if edition == b'7' { "What is your name?" } else { "Your name?" };
            d.ask(text(question).named("name")).await?
        }
    };
    assert!(edition != b'8', "this edition knows no trips");
    if matches!(edition, b'1' | b'6') {
        let age: i64 = d.ask(number("How old are you?").integer()).await?;
        d.send(format!("{name} is {age}."))?;
    }
    let city: String = d.ask(text(if matches!(edition, b'2' | b'5') { "Which town?" } else { "Which city?" })).await?;
    if edition == b'4' && !d.ask(confirm(format!("Is {city} right?"))).await? {
        return d.cancel().await;
    }
    d.send(format!("{name} goes to {city}.")).map(drop)
}

turntable_sdk::register!(Edited, dialogs);
