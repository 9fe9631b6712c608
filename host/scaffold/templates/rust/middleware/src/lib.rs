//! Middleware: removes «please» from what users say, and ends every answer with an exclamation mark.

use turntable_sdk::prelude::*;

#[derive(Default)]
struct Polite;

impl Bot for Polite {
    fn on_message(&mut self, turn: &mut Turn) -> Result {
        turn.reply(format!("You said: {}", turn.text()))?;
        Ok(Handled)
    }
}

impl Middleware for Polite {
    fn on_receive(&mut self, turn: &mut Turn) -> Result<Passage> {
        let Some(text) = turn.text().strip_prefix("please ") else { return Ok(Passage::Pass) };
        Ok(Passage::replace(Activity { text: Some(text.to_owned()), ..turn.activity().clone() }))
    }

    fn on_send(&mut self, _turn: &mut Turn, activity: &Activity) -> Result<Passage> {
        let Some(text) = &activity.text else { return Ok(Passage::Pass) };
        Ok(Passage::replace(Activity { text: Some(format!("{text}!")), ..activity.clone() }))
    }
}

turntable_sdk::register!(Polite, middleware);
