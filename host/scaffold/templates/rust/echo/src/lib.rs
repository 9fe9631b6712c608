//! Repeats what the user says.

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

#[test]
fn it_repeats_what_the_user_says() {
    turntable_sdk::testing::TestHost::<Echo>::new().says("hello").replies("Echo: hello");
}
