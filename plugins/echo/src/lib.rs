//! Says what it hears. Build it with `make plugins`; `make run` serves it.

use turntable_sdk::prelude::*;

#[derive(Default)]
struct Echo;

impl Bot for Echo {
    fn on_message(&mut self, turn: &mut Turn) -> Result {
        turn.reply(format!("Echo: {}", turn.text()))?;
        Ok(Handled)
    }
}

turntable_sdk::register!(Echo);
