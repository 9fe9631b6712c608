//! A handler has a shape of its own.

use turntable_sdk::prelude::*;

#[derive(Default)]
struct Echo;

impl Bot for Echo {
    fn on_message(&mut self, turn: &mut Turn) {
        let _ = turn.reply(turn.text());
    }
}

turntable_sdk::register!(Echo);

fn main() {}
