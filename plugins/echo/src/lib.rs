//! Repeats what the user says. It is the smallest complete plugin, and the README of the SDK quotes it.

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

#[cfg(test)]
mod tests {
    use turntable_sdk::testing::TestHost;

    use super::*;

    #[test]
    fn it_says_what_it_hears() {
        let host = TestHost::<Echo>::new();
        host.says("hello").replies("Echo: hello").handled();
        host.takes(Activity::new("message")).replies("Echo: ").handled();
    }

    #[test]
    fn it_leaves_everything_else_to_others() {
        let host = TestHost::<Echo>::new();
        host.joins(["u2"]).silent().passes();
        host.takes(Activity::new("typing")).silent().passes();
        host.invokes("task/fetch", "x").silent().passes().responds(501);
    }
}
