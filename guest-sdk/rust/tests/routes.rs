//! Routes and patterns in the host for tests: what the user says finds its route as it does in the host.

use turntable_sdk::prelude::*;
use turntable_sdk::prompt::text;
use turntable_sdk::testing::TestHost;

#[derive(Default)]
struct Desk;

impl Bot for Desk {
    fn manifest(&self) -> Manifest {
        Manifest::new()
            .route(Route::new("low", "go").score(0.1))
            .route(Route::new("passes", "go|nobody").score(0.9))
            .route(Route::new("late", "order").order(1))
            .route(Route::new("early", "order").order(-1))
            .route(Route::new("german", "los").locales(["de"]))
            .route(Route::new("long", "x+"))
            .route(Route::new("cancel", "cancel").confirm("Cancel it?"))
    }

    fn on_route(&mut self, turn: &mut Turn, name: &str) -> Result {
        turn.reply(format!("route {name}"))?;
        if name == "cancel" {
            turn.dialogs().cancel_all()?;
        }
        Ok(if name == "passes" { Next } else { Handled })
    }

    fn on_message(&mut self, turn: &mut Turn) -> Result {
        match turn.text() {
            "code" => drop(turn.dialogs().begin("code", ())?),
            "broken" => drop(turn.dialogs().begin("broken", ())?),
            said => drop(turn.reply(format!("heard {said}"))?),
        }
        Ok(Handled)
    }
}

impl Dialogs for Desk {
    fn dialogs(&self) -> DialogSet {
        let ask = |id: &str, pattern: &'static str| {
            Waterfall::new(id).step(move |step| step.prompt(text("Code?").pattern(pattern))).step(|step| step.done(()))
        };
        DialogSet::new().with(ask("code", "[A-Z]{2}")).with(ask("broken", "(["))
    }
}

fn host() -> TestHost<Desk> {
    TestHost::with_dialogs()
}

#[test]
fn the_best_route_gets_a_message_and_may_pass_it_on() {
    host().says("go").says(["route passes", "route low"]).handled();
    host().says("nobody").says(["route passes", "heard nobody"]);
    host().says("ORDER").replies("route early");
    host().says("order it").replies("heard order it");
    let long = "x".repeat(2001);
    host().says(&long).replies(&format!("heard {long}"));
    host().says(&long[1..]).replies("route long");
}

#[test]
fn a_route_is_for_its_languages_and_for_whoever_mentions_the_bot() {
    host().locale("de-AT").says("los").replies("route german");
    host().locale("fr").says("los").replies("heard los");
    host().says("los").replies("route german");
    let mentioned = Activity::message("order ").mention(&ChannelAccount::new("bot").named("Bot"));
    host().takes(mentioned).replies("route early");
}

#[test]
fn a_route_comes_before_the_dialog_that_waits() {
    let host = host();
    host.says("code").replies("Code?");
    host.says("order").says(["route early", "Code?"]).waits_in("code");
    host.says("cancel").replies("Cancel it?");
    host.says("no").replies("Code?");
    host.says("cancel").replies("Cancel it?");
    host.says("yes").replies("route cancel").ends_dialogs();
}

#[test]
fn a_text_must_match_its_pattern_whole() {
    let host = host();
    host.says("code").replies("Code?");
    host.says("ab").replies("Code?");
    host.says("ABC").replies("Code?");
    host.says("AB").silent().ends_dialogs();
    let fault = host.says("broken").silent().fails("invalid").result.unwrap_err();
    assert!(fault.message.contains("`pattern` is not usable"), "{fault}");
}
