//! Books a trip. It is an example of nested dialogs, every kind of prompt, a validator, a summary card, and state of the user.

mod book;
mod trip;

use trip::{TRIPS, Trip};
use turntable_sdk::json;
use turntable_sdk::prelude::*;

#[derive(Default)]
struct Travel;

impl Bot for Travel {
    fn manifest(&self) -> Manifest {
        Manifest::new().description("Books trips").activities(["message"]).wants_state([Scope::User]).settings(json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "destinations": {
                    "type": "array", "minItems": 1, "maxItems": 20, "items": { "type": "string", "minLength": 1 },
                    "description": "Where trips go. Default: Lisbon, Oslo and Rome."
                }
            }
        }))
    }

    fn on_message(&mut self, turn: &mut Turn) -> Result {
        match turn.spoken_text().to_lowercase().as_str() {
            "book" | "book a trip" => drop(turn.dialogs().begin("book", ())?),
            "trips" | "my trips" => list(turn)?,
            _ => return Ok(Next),
        }
        Ok(Handled)
    }
}

impl Dialogs for Travel {
    fn dialogs(&self) -> DialogSet {
        DialogSet::new().with(book::book()).with(book::traveller())
    }
}

/// Lists the trips that the user has booked.
fn list(turn: &Turn) -> Result<()> {
    let trips: Vec<Trip> = turn.state().user(TRIPS).get()?.unwrap_or_default();
    if trips.is_empty() {
        turn.reply(Activity::message("You have no trips. Say «book» to book one.").suggest("book"))?;
        return Ok(());
    }
    let lines: Vec<String> = trips.iter().map(Trip::line).collect();
    turn.reply(lines.join("\n\n"))?;
    Ok(())
}

turntable_sdk::register!(Travel, dialogs);

#[cfg(test)]
mod tests;
