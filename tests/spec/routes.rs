//! Routes of global handlers: which one gets a message, and what happens after one passes it on. The host creates no instance
//! for a message that no route matches.

use serde_json::Value;

use crate::support::{Config, Host, message};

/// A bot with plugins `one` and `two`, whose routes are given as TOML. The name of a route is the command that it runs.
async fn start(one: &str, two: &str) -> Option<Host> {
    let plugin = |name: &str, routes: &str| format!("name = '{name}'\nsettings.routes = [{routes}]");
    let config = Config::new().bot("bot", &[]).plugin("bot", "scripted", &plugin("one", one));
    Host::start(config.plugin("bot", "scripted", &plugin("two", two))).await
}

fn in_locale(text: &str, locale: &str) -> Value {
    let mut activity = message(text);
    activity["locale"] = locale.into();
    activity
}

/// The score decides first, then the order, then the place in the configuration.
#[tokio::test(flavor = "multi_thread")]
async fn the_highest_score_wins_then_the_lowest_order_then_the_first_plugin() {
    let one = "{ name = 'low', pattern = 'score', score = 0.2, order = -9 }, { name = 'late', pattern = 'order', order = 1 }, \
               { name = 'first', pattern = 'place' }, { name = 'second', pattern = 'place' }";
    let two = "{ name = 'high', pattern = 'score', score = 0.9, order = 9 }, { name = 'early', pattern = 'order', order = -1 }, \
               { name = 'third', pattern = 'place' }";
    let Some(host) = start(one, two).await else { return };
    host.bot("bot")
        .says("score")
        .replies("route:high score")
        .replies("heard: high")
        .says("order")
        .replies("route:early order")
        .replies("heard: early")
        .says("place")
        .replies("route:first place")
        .replies("heard: first")
        .await;
}

/// A plugin that passes a message on may get it again through its next matching route, when that route's turn comes.
#[tokio::test(flavor = "multi_thread")]
async fn who_passes_a_message_on_leaves_it_to_the_next_route_the_dialog_and_the_handlers() {
    let one = "{ name = 'pass', pattern = 'go|nobody', score = 0.9 }, { name = 'after', pattern = 'go', score = 0.1 }";
    let two = "{ name = 'pass', pattern = 'go', score = 0.5 }";
    let Some(host) = start(one, two).await else { return };
    host.bot("bot")
        .says("go")
        .replies("route:pass go")
        .replies("route:pass go")
        .replies("route:after go")
        .replies("heard: after")
        .says("nobody")
        .replies("route:pass nobody")
        .replies("heard: nobody")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_may_be_for_some_languages_only() {
    let one = "{ name = 'german', pattern = 'los', locales = ['de', 'en-GB'] }";
    let Some(host) = start(one, "").await else { return };
    let conversation = ["de", "de-AT", "DE-at", "en-gb"].iter().fold(host.bot("bot"), |conversation, locale| {
        conversation.sends(in_locale("los", locale)).replies("route:german los").replies("heard: german")
    });
    let conversation = conversation.says("LOS").replies("route:german LOS").replies("heard: german");
    ["fr", "en-US", "den"]
        .iter()
        .fold(conversation, |conversation, locale| conversation.sends(in_locale("los", locale)).replies("heard: los"))
        .says("los jetzt")
        .replies("heard: los jetzt")
        .await;
}

/// `help` and `cancel` have only routes.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_instantiated_for_a_message_that_no_route_wants() {
    let config = Config::new().bot("bot", &[]).plugin("bot", "help", "settings.text = 'Here.'");
    let Some(host) = Host::start(config.plugin("bot", "cancel", "grants = { dialogs = true }")).await else { return };
    host.bot("bot").says("help me with that").says("do not cancel it").says("!?").await;
    let metrics = host.admin("GET", "/metrics", Vec::new()).await.text;
    assert!(!metrics.contains("turntable_plugin_calls_total{"), "a plugin was called: {metrics}");
    host.bot("bot").says("HELP").replies("Here.").await;
    let metrics = host.admin("GET", "/metrics", Vec::new()).await.text;
    let calls: Vec<&str> = metrics.lines().filter(|line| line.starts_with("turntable_plugin_calls_total{")).collect();
    assert!(matches!(calls[..], [call] if call.contains("plugin=\"help\"") && call.ends_with(" 1")), "{calls:?}");
}
