//! Middleware: what it sees, changes and stops, in which order, and what happens to an activity when it fails.

use serde_json::{Value, json};

use crate::support::{Config, Connector, Host, message};

const ERROR: &str = "Sorry, something went wrong on my side. Please try again.";
const HANDLER: &str = "grants = { state = ['conversation'], dialogs = true }";
const HOOK: &str = "grants = { middleware = true, state = ['conversation'], dialogs = true }";

/// Returns the TOML of one layer with these rules.
fn layer(name: &str, rules: &Value, more: &str) -> String {
    // JSON objects are not valid TOML because of their colons, so the rules are passed as one text.
    let rules: Vec<String> = rules.as_array().unwrap().iter().map(inline).collect();
    format!("name = '{name}'\n{HOOK}\n{more}\nsettings.rules = [{}]", rules.join(", "))
}

fn inline(rule: &Value) -> String {
    let members = rule.as_object().unwrap().iter().map(|(key, value)| format!("{key} = {value}"));
    format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
}

/// A host with a bot that has these layers around the scripted handler.
async fn start(layers: &[(&str, Value, &str)]) -> Option<Host> {
    let mut config = Config::new().bot("bot", &[]);
    for (name, rules, more) in layers {
        config = config.plugin("bot", "interceptor", &layer(name, rules, more));
    }
    Host::start(config.plugin("bot", "scripted", HANDLER)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_nest_like_russian_dolls() {
    let marks = |name: &str| {
        json!([
            { "on": "receive", "do": "mark", "with": format!("<{name}") },
            { "on": "send", "do": "mark", "with": format!("{name}>") }
        ])
    };
    let Some(host) = start(&[("a", marks("a"), ""), ("b", marks("b"), "")]).await else { return };
    host.bot("bot").says("hi").replies("heard: hi<a<bb>a>").await;
    let calls = host.last_turn("bot").await["calls"].clone();
    let triggers: Vec<(&str, &str)> = calls
        .as_array()
        .unwrap()
        .iter()
        .map(|call| (call["plugin"].as_str().unwrap(), call["trigger"].as_str().unwrap()))
        .collect();
    let expected = [
        ("a", "middleware:receive"),
        ("b", "middleware:receive"),
        ("b", "middleware:send"),
        ("a", "middleware:send"),
        ("scripted", "activity"),
        ("b", "middleware:turn-end"),
        ("a", "middleware:turn-end"),
    ];
    assert_eq!(triggers, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_intercepted_without_the_grant() {
    let config = Config::new().bot("bot", &[]);
    let rules = "settings.rules = [{ on = 'receive', do = 'stop' }]";
    let Some(host) = Host::start(config.plugin("bot", "interceptor", rules).plugin("bot", "scripted", HANDLER)).await
    else {
        return;
    };
    host.bot("bot").says("hi").replies("heard: hi").await;
    assert_eq!(host.last_turn("bot").await["calls"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_activity_is_answered_as_if_nobody_had_handled_it() {
    let outer = json!([{ "on": "turn-end", "do": "send", "with": "outer DATA" }]);
    let inner = json!([
        { "on": "receive", "if": "secret", "do": "stop" },
        { "on": "turn-end", "do": "send", "with": "inner DATA" }
    ]);
    let Some(host) = start(&[("outer", outer, ""), ("inner", inner, "")]).await else { return };
    host.bot("bot")
        .says("secret")
        .replies(r#"outer {"outcome":"stopped"}"#)
        .says("visible")
        .replies("heard: visible")
        .replies(r#"inner {"outcome":"completed"}"#)
        .replies(r#"outer {"outcome":"completed"}"#)
        .says("trap")
        .replies(ERROR)
        .replies(r#"inner {"outcome":"failed"}"#)
        .replies(r#"outer {"outcome":"failed"}"#)
        .await;
    let mut invoke = message("secret");
    invoke["type"] = "invoke".into();
    assert_eq!(host.post("bot", &invoke).await.status, 501);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_activity_is_still_that_of_its_sender() {
    let forged = json!({ "type": "event", "text": "get conversation k", "from": { "id": "mallory" },
        "conversation": { "id": "elsewhere" }, "serviceUrl": "http://127.0.0.1:1" });
    let rules = json!([{ "on": "receive", "if": "forge", "do": "become", "with": forged.to_string() }]);
    let Some(host) = start(&[("forger", rules, "")]).await else { return };
    host.bot("bot").says("set conversation k 7").replies("done").says("forge").replies("7").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_can_be_changed_or_kept_back_one_by_one() {
    let rules = json!([
        { "on": "send", "if": "drop", "do": "stop" },
        { "on": "send", "if": "number", "from": "scripted", "do": "become",
          "with": r#"{"type":"message","text":"***","conversation":{"id":"elsewhere"}}"# }
    ]);
    let Some(host) = start(&[("redactor", rules, "")]).await else { return };
    host.bot("bot")
        .says("one\nid drop me\nnumber 4111\nid kept")
        .replies("heard: one")
        .replies("no id")
        .replies_with("a reply in its own conversation", |reply| {
            reply["text"] == "***" && reply["conversation"]["id"] != "elsewhere"
        })
        .replies("kept")
        .replies("an id")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_and_deletions_pass_too() {
    let rules = json!([
        { "on": "update", "if": "keep", "do": "stop" },
        { "on": "update", "do": "mark", "with": "!" },
        { "on": "delete", "do": "send", "with": "deleted" }
    ]);
    let Some(host) = start(&[("layer", rules, "")]).await else { return };
    let connector = Connector::start().await;
    let post = async |text: &str| {
        let mut activity = connector.message(text);
        activity["conversation"]["id"] = "c".into();
        assert_eq!(host.post("bot", &activity).await.status, 200);
    };
    post("revise second").await;
    post("revise keep the first").await;
    post("retract").await;
    let calls = connector.calls(6).await;
    let seen: Vec<(&str, &str)> = calls.iter().map(|call| (call.method.as_str(), call.text())).collect();
    let expected = [
        ("POST", "first"),
        ("PUT", "second!"),
        ("POST", "first"),
        ("POST", "first"),
        ("POST", "deleted"),
        ("DELETE", ""),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn prompts_error_replies_and_typing_of_the_host_pass_as_well() {
    let rules = json!([
        { "on": "send", "if": "typing", "do": "stop" },
        { "on": "send", "from": "turntable", "do": "mark", "with": " (host)" }
    ]);
    let mut config = Config::new().bot("bot", &[]).bot_key("typing-indicator", "true");
    config = config.plugin("bot", "interceptor", &layer("layer", &rules, ""));
    let Some(host) = Host::start(config.plugin("bot", "scripted", HANDLER)).await else { return };
    let steps = json!([{ "kind": "prompt", "quiet": true, "data": { "kind": "number", "prompt": "How many?" } }, { "kind": "done" }]);
    host.bot("bot")
        .says("trap")
        .replies(&format!("{ERROR} (host)"))
        .says(&format!("begin script {}", json!({ "steps": steps })))
        .replies("How many? (host)")
        .says("none of your business")
        .replies("How many? (host)")
        .await;
    let connector = Connector::start().await;
    assert_eq!(host.post("bot", &connector.message("typing\nhello")).await.status, 200);
    let calls = connector.calls(1).await;
    assert_eq!(calls[0].text(), "heard: hello", "the indicator and the bot's own `typing` were stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hook_sends_passes_the_layers_outside_it_only() {
    let outer = json!([{ "on": "send", "do": "mark", "with": " outer" }]);
    let inner = json!([
        { "on": "receive", "if": "greet", "do": "send", "with": "hello" },
        { "on": "send", "do": "send", "with": "besides", "if": "twice" },
        { "on": "send", "do": "mark", "with": " inner" }
    ]);
    let Some(host) = start(&[("outer", outer, ""), ("inner", inner, "")]).await else { return };
    host.bot("bot")
        .says("greet")
        .replies("hello outer")
        .replies("heard: greet inner outer")
        .says("twice")
        .replies("besides outer")
        .replies("heard: twice outer")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_multiplies_messages_is_bounded_by_the_sends_of_the_turn() {
    let rules = json!([{ "on": "send", "do": "send", "with": "more", "times": 1000 }]);
    let limits = "limits.sends-per-turn = 10";
    let Some(host) = start(&[("multiplier", rules, limits)]).await else { return };
    host.bot("bot").says("hi").await;
    let calls = host.last_turn("bot").await["calls"].clone();
    assert!(calls[1]["error"].as_str().unwrap().contains("sends-per-turn (10)"), "{calls:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_have_state_but_neither_flush_nor_dialogs() {
    let rules = json!([
        { "on": "receive", "if": "denied", "do": "deny" },
        { "on": "receive", "do": "count" },
        { "on": "turn-end", "do": "tell" }
    ]);
    let Some(host) = start(&[("layer", rules, "")]).await else { return };
    host.bot("bot")
        .says("denied")
        .replies("denied denied denied")
        .replies("heard: denied")
        .replies("")
        .says("one")
        .replies("heard: one")
        .replies("1")
        // A turn that fails also discards what its hooks wrote.
        .says("trap")
        .replies(ERROR)
        .replies("1")
        .says("two")
        .replies("heard: two")
        .replies("2")
        .await;
}

/// Every kind of failure, for incoming and outgoing activities.
#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_fails_lets_nothing_pass_unless_it_may() {
    let ways = [
        ("trap", ""),
        ("fault", ""),
        ("spin", ""),
        ("sleep", ""),
        ("step", "hurry"),
        ("raw", "{"),
        ("raw", "[]"),
        ("raw", r#"{"text":"no type"}"#),
        ("raw", r#"{"type":7}"#),
    ];
    for policy in ["closed", "open"] {
        let rules: Vec<Value> = ways
            .iter()
            .enumerate()
            .flat_map(|(number, (way, with))| {
                ["receive", "send"]
                    .map(|on| json!({ "on": on, "if": format!("{on}-{number}."), "do": way, "with": with }))
            })
            .collect();
        let more = format!("on-hook-failure = '{policy}'\nlimits.cpu-ms = 200\nlimits.wall-ms = 1000");
        let Some(host) = start(&[("layer", json!(rules), &more)]).await else { return };
        for (number, _) in ways.iter().enumerate() {
            let (received, sent) = (format!("receive-{number}."), format!("try send-{number}."));
            let refusal = "unavailable: the middleware `layer` failed, and nothing leaves without it";
            let (first, second) = match policy {
                "open" => (format!("heard: {received}"), format!("send-{number}.")),
                _ => (ERROR.to_owned(), refusal.to_owned()),
            };
            host.bot("bot").says(&received).replies(&first).says(&sent).replies(&second).await;
        }
        // The failures of one bot do not affect the other, whose hook is not paused.
        host.bot("bot").says("fine").replies("heard: fine").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_keeps_failing_can_be_left_alone_for_a_while() {
    let rules = json!([{ "on": "receive", "do": "trap" }]);
    let Some(host) = start(&[("layer", rules, "on-hook-failure = 'disable'")]).await else { return };
    host.bot("bot")
        .says("one")
        .replies(ERROR)
        .says("two")
        .replies(ERROR)
        .says("three")
        .replies(ERROR)
        .says("four")
        .replies("heard: four")
        .await;
    host.logged("middleware is disabled for a while").await;
}

/// A layer that fails for every outgoing activity also stops the error reply, and the host continues.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_past_a_broken_redactor_not_even_the_error_reply() {
    let rules = json!([{ "on": "send", "do": "trap" }]);
    let Some(host) = start(&[("layer", rules, "")]).await else { return };
    host.bot("bot").says("hi").says("trap").says("set conversation k 1").await;
    let turn = host.last_turn("bot").await;
    assert_eq!((&turn["outcome"], &turn["status"]), (&json!("failed"), &json!(200)), "{turn:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_whose_time_ends_while_a_hook_runs_fails_alone() {
    let rules = json!([{ "on": "send", "if": "slow", "do": "sleep" }]);
    let mut config = Config::new().bot("bot", &[]);
    config = config.plugin("bot", "interceptor", &layer("layer", &rules, "limits.wall-ms = 60000"));
    let handler = format!("{HANDLER}\nlimits.wall-ms = 2000");
    let Some(host) = Host::start(config.plugin("bot", "scripted", &handler)).await else { return };
    host.bot("bot").says("set conversation k 1\nslow").replies(ERROR).says("get conversation k").replies("none").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_does_not_pay_for_the_hooks_on_its_sends() {
    let rules = json!([{ "on": "send", "if": "heard", "do": "work" }]);
    let mut config = Config::new().bot("bot", &[]);
    config =
        config.plugin("bot", "interceptor", &layer("layer", &rules, "limits.cpu-ms = 20000\nlimits.wall-ms = 60000"));
    let handler = format!("{HANDLER}\nlimits.cpu-ms = 100\nlimits.wall-ms = 60000");
    let Some(host) = Host::start(config.plugin("bot", "scripted", &handler)).await else { return };
    host.bot("bot").says("one\ntwo\nthree").replies("heard: one").replies("heard: two").replies("heard: three").await;
    let calls = host.last_turn("bot").await["calls"].clone();
    let cpu = |index: usize| calls[index]["cpu_us"].as_u64().unwrap();
    assert!(cpu(1) + cpu(2) + cpu(3) > cpu(4), "{calls:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_events_that_the_manifest_lists_are_calls() {
    let rules = json!([{ "on": "receive", "do": "stop" }, { "on": "send", "do": "mark", "with": "!" }]);
    let Some(host) = start(&[("layer", rules, "settings.intercepts = ['send']")]).await else { return };
    host.bot("bot").says("hi").replies("heard: hi!").await;
    let calls = host.last_turn("bot").await["calls"].clone();
    assert_eq!(calls.as_array().unwrap().len(), 2, "{calls:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_passes_piece_by_piece() {
    let rules = json!([{ "on": "send", "do": "mark", "with": "!" }]);
    let mut config = Config::new().bot("bot", &[]);
    config = config.plugin("bot", "interceptor", &layer("layer", &rules, ""));
    let Some(host) = Host::start(config.plugin("bot", "hostile", "")).await else { return };
    let connector = Connector::start().await;
    assert_eq!(host.post("bot", &connector.message("stream 1")).await.status, 200);
    let texts: Vec<String> = connector.calls(2).await.iter().map(|call| call.text().to_owned()).collect();
    assert_eq!(texts, ["GENERATION-0000!", "GENERATION-0000!"]);
}

/// If a layer stops a question, the dialog fails as if its plugin had failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_cannot_leave_fails_the_turn() {
    let rules = json!([{ "on": "send", "if": "How many", "do": "trap" }]);
    let Some(host) = start(&[("layer", rules, "")]).await else { return };
    let steps = json!([{ "kind": "prompt", "quiet": true, "data": { "kind": "number", "prompt": "How many?" } }]);
    host.bot("bot")
        .says(&format!("begin script {}", json!({ "steps": steps })))
        .replies(ERROR)
        .says("stack")
        .replies("")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_changes_the_layers_of_the_next_turn() {
    let rules = json!([{ "on": "send", "do": "mark", "with": "!" }]);
    let Some(host) = start(&[("layer", rules, "")]).await else { return };
    host.bot("bot").says("hi").replies("heard: hi!").await;
    host.reconfigure("bot", r#"with = "!""#, r#"with = "?""#).await;
    host.bot("bot").says("hi").replies("heard: hi?").await;
    host.reconfigure("bot", "middleware = true", "middleware = false").await;
    host.bot("bot").says("hi").replies("heard: hi").await;
}

/// Redaction in the outermost layer: no plugin, no channel and no dead letter contains a number.
#[tokio::test(flavor = "multi_thread")]
async fn redact_removes_numbers_from_all_that_enters_and_leaves() {
    let config = Config::new().set("channel.unreachable-ms", "1").bot("bot", &[]);
    let config = config.plugin("bot", "redact", "grants = { middleware = true }");
    let Some(host) = Host::start(config.plugin("bot", "scripted", HANDLER)).await else { return };
    host.bot("bot")
        .says("set conversation k \"4111 1111 1111 1111\"\nget conversation k")
        .replies("done")
        .replies("\"[card]\"")
        .says("call +49 171 1234567")
        .replies("heard: call [phone]")
        .says("4111 1111 1111 1111 12/27 123")
        .replies("heard: [card] 12/27 123")
        .await;
    // The text becomes a number only when it leaves.
    let steps =
        json!([{ "kind": "prompt", "quiet": true, "data": { "kind": "text", "prompt": "\u{30}171 1234567?" } }]);
    host.bot("bot").says(&format!("begin script {}", json!({ "steps": steps }))).replies("[phone]?").await;
    // A dead letter does not contain the number.
    let mut unreachable = message("try 4111 1111 1111 1111");
    unreachable["serviceUrl"] = "http://127.0.0.1:9".into();
    assert_eq!(host.post("bot", &unreachable).await.status, 200);
    let letter = host.dead_letter("bot", &unreachable).await;
    assert!(!letter.to_string().contains("4111"), "{letter:#}");
}

/// The response to an invoke passes the layers like every other outgoing activity.
#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_an_invoke_passes_too() {
    let body = r#"{"type":"invokeResponse","value":{"status":201,"body":{"seen":true}}}"#;
    let rules = json!([
        { "on": "send", "if": "invokeResponse", "do": "become", "with": body }
    ]);
    let mut config = Config::new().bot("bot", &[]);
    config = config.plugin("bot", "interceptor", &layer("layer", &rules, ""));
    let Some(host) = Host::start(config.plugin("bot", "hostile", "")).await else { return };
    let mut invoke = message("respond");
    invoke["type"] = "invoke".into();
    let answer = host.post("bot", &invoke).await;
    assert_eq!((answer.status, answer.json()), (201, json!({ "seen": true })), "{}", answer.text);
    host.reconfigure("bot", r#"do = "become""#, r#"do = "stop""#).await;
    assert_eq!(host.post("bot", &invoke_again(&invoke)).await.status, 501);
}

fn invoke_again(invoke: &Value) -> Value {
    let mut again = invoke.clone();
    again["id"] = "again".into();
    again
}
