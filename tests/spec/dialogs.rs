//! Dialogs: which activities reach them, how they end, how they are interrupted, and that none fails forever.

use serde_json::{Value, json};

use crate::support::{Config, Host, message};

pub(super) const ERROR: &str = "Sorry, something went wrong on my side. Please try again.";
const FAILED: &str = "Sorry, I cannot go on with this. I have stopped it; you can start again.";
const RESET: &str = "Sorry, I have been updated and lost my place. Please start again.";
pub(super) const GRANTS: &str = "grants = { state = ['user'], dialogs = true }";

pub(super) async fn start(more: &str) -> Option<Host> {
    Host::start(Config::new().bot("bot", &[]).plugin("bot", "scripted", &format!("{GRANTS}\n{more}"))).await
}

/// Returns the command that begins a dialog with these steps.
pub(super) fn begin(steps: &Value) -> String {
    format!("begin script {}", json!({ "steps": steps }))
}

fn wait() -> Value {
    json!({ "kind": "wait", "quiet": true })
}

/// Returns a step that asks a question and waits for its answer.
fn ask(question: &str) -> Value {
    json!({ "kind": "wait", "quiet": true, "say": question })
}

/// Returns the command that begins a dialog with one prompt and then reports the outcome.
pub(super) fn prompt(definition: &Value) -> String {
    begin(&json!([{ "kind": "prompt", "quiet": true, "data": definition }, { "kind": "done" }]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialog_gets_messages_until_it_is_done() {
    let Some(host) = start("").await else { return };
    host.bot("bot")
        .says(&begin(&json!([ask("name?"), { "kind": "wait" }, { "kind": "done", "data": 7 }])))
        .replies("name?")
        .says("Ann")
        .replies("script continue \"Ann\"")
        .says("more")
        .replies("script continue \"more\"")
        .says("after the end")
        .replies("heard: after the end")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_activities_go_to_the_handlers_unless_the_dialog_asks_for_them() {
    let Some(host) = start("").await else { return };
    let event = |name: &str| {
        let mut event = message("");
        (event["type"], event["name"]) = ("event".into(), name.into());
        event
    };
    host.bot("bot")
        .says(&begin(&json!([wait(), { "kind": "wait", "data": { "activities": ["event"] } }, { "kind": "done" }])))
        .sends(event("ignored"))
        .sends(event("tokens/response"))
        .replies("script continue \"\"")
        .sends(event("wanted now"))
        .replies("script continue \"\"")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dialog_ignores_goes_to_the_handlers() {
    let Some(host) = start("").await else { return };
    host.bot("bot")
        .says(&begin(&json!([wait(), { "kind": "ignored", "quiet": true }, { "kind": "wait" }])))
        .says("hello")
        .replies("heard: hello")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_gives_its_result_to_its_parent() {
    let Some(host) = start("").await else { return };
    let child = json!({ "dialog": "child", "options": { "steps": [ask("how many?"), { "kind": "done", "data": 3 }] } });
    host.bot("bot")
        .says(&begin(&json!([{ "kind": "call", "data": child, "quiet": true }, { "kind": "wait" }])))
        .replies("how many?")
        .says("stack?")
        .replies("child continue \"stack?\"")
        .replies(r#"script resume {"from":"dialog","reason":"completed","result":3}"#)
        .await;
    // A child that ends without a result.
    let child = json!({ "dialog": "child", "options": { "steps": [wait(), { "kind": "cancelled", "quiet": true }] } });
    host.bot("bot")
        .says(&begin(&json!([{ "kind": "call", "data": child, "quiet": true }, { "kind": "wait" }])))
        .says("no")
        .replies(r#"script resume {"from":"dialog","reason":"cancelled"}"#)
        .await;
    // A dialog that replaces a child has the same parent.
    let other = json!({ "dialog": "child", "options": { "steps": [{ "kind": "done", "data": "from the other", "quiet": true }] } });
    let child =
        json!({ "dialog": "child", "options": { "steps": [{ "kind": "replace", "data": other, "quiet": true }] } });
    host.bot("bot")
        .says(&begin(&json!([{ "kind": "call", "data": child, "quiet": true }, { "kind": "wait" }])))
        .replies(r#"script resume {"from":"dialog","reason":"completed","result":"from the other"}"#)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialog_on_top_interrupts_and_then_the_question_comes_again() {
    let routes = "settings.routes = [{ name = 'begin--child', pattern = 'settings' }]";
    let Some(host) = start(routes).await else { return };
    host.bot("bot")
        .says(&begin(&json!([ask("where to?"), { "kind": "wait" }])))
        .replies("where to?")
        // Without options the child is done at once.
        .says("settings")
        .replies("route:begin--child settings")
        .replies("child begin")
        .replies("script reprompt null")
        .says("Rome")
        .replies("script continue \"Rome\"")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_interrupt_and_the_question_comes_again_once() {
    let routes =
        "settings.routes = [{ name = 'help', pattern = 'help' }, { name = 'quiet', pattern = 'psst', after = 'none' }]";
    let Some(host) = start(routes).await else { return };
    host.bot("bot")
        .says(&begin(&json!([ask("where to?"), { "kind": "wait" }])))
        .replies("where to?")
        .says("help")
        .replies("route:help help")
        .replies("heard: help")
        .replies("script reprompt null")
        .says("psst")
        .replies("route:quiet psst")
        .replies("heard: quiet")
        .says("Rome")
        .replies("script continue \"Rome\"")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_reaches_the_dialogs_of_every_plugin() {
    let routes = "settings.routes = [{ name = 'cancel-all', pattern = 'cancel' }]";
    let config = Config::new()
        .bot("bot", &[])
        .plugin("bot", "scripted", &format!("{GRANTS}\nname = 'cancel'\n{routes}"))
        .plugin(
            "bot",
            "scripted",
            &format!("{GRANTS}\nname = 'booking'\nsettings.routes = [{{ name = 'stack', pattern = 'stack' }}]"),
        );
    let Some(host) = Host::start(config).await else { return };
    let child = json!({ "dialog": "child", "options": { "steps": [ask("sure?")] } });
    host.bot("bot")
        .says("cancel")
        .replies("route:cancel-all cancel")
        .replies("cancelled 0")
        .says(&begin(&json!([{ "kind": "call", "data": child, "quiet": true }])))
        .replies("sure?")
        .says("stack")
        .replies("route:stack stack")
        .replies("cancel/child:message cancel/script:child")
        .replies("child reprompt null")
        .says("cancel")
        .replies("route:cancel-all cancel")
        .replies("cancelled 2")
        .replies(r#"child cancelled {"reason":"cancel-all"}"#)
        .replies(r#"script cancelled {"reason":"cancel-all"}"#)
        .says("stack")
        .replies("route:stack stack")
        .replies("")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_can_replace_the_top_and_ask_it_again() {
    let routes = "settings.routes = [{ name = 'replace--child', pattern = 'other' }, { name = 'reprompt', pattern = 'again', after = 'none' }]";
    let Some(host) = start(routes).await else { return };
    host.bot("bot")
        .says(&begin(&json!([ask("where to?"), { "kind": "wait" }])))
        .replies("where to?")
        .says("again")
        .replies("route:reprompt again")
        .replies("script reprompt null")
        .says("other")
        .replies("route:replace--child other")
        .replies(r#"script cancelled {"reason":"replaced"}"#)
        .replies("child begin")
        .says("free")
        .replies("heard: free")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_failures_in_a_row_cancel_a_dialog_and_the_user_is_told() {
    let Some(host) = start("").await else { return };
    let steps = json!([ask("go?"), { "kind": "wait", "trap": true }]);
    host.bot("bot")
        .says(&begin(&steps))
        .replies("go?")
        .says("1")
        .replies(ERROR)
        .says("2")
        .replies(ERROR)
        .says("3")
        .replies(ERROR)
        .replies(FAILED)
        .says("4")
        .replies("heard: 4")
        .await;
    // A parent gets the outcome.
    let child = json!({ "dialog": "child", "options": { "steps": steps } });
    host.bot("bot")
        .says(&begin(&json!([{ "kind": "call", "data": child, "quiet": true }, { "kind": "wait" }])))
        .replies("go?")
        .says("1")
        .replies(ERROR)
        .says("2")
        .replies(ERROR)
        .says("3")
        .replies(ERROR)
        .replies(FAILED)
        .replies(r#"script resume {"from":"dialog","reason":"failed"}"#)
        .says("4")
        .replies("script continue \"4\"")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_dialogs_end_in_one_error_reply() {
    let Some(host) = start("").await else { return };
    for (steps, says) in [
        (json!([{ "kind": "dance" }]), "with the step `dance`"),
        (json!([{ "kind": "ignored" }]), "answered `begin` with the step `ignored`"),
        (json!([{ "kind": "accept" }]), "answered `begin` with the step `accept`"),
        (json!([{ "kind": "wait", "raw": "{" }]), "the data of step `wait` is not JSON"),
        (json!([{ "kind": "wait", "data": { "activities": 1 } }]), "must be strings"),
        (json!([{ "kind": "call", "data": { "dialog": "nowhere" } }]), "calls the dialog `nowhere`"),
        (json!([{ "kind": "call" }]), "calls the dialog ``"),
    ] {
        host.bot("bot").says(&begin(&steps)).replies(ERROR).says("on").replies("heard: on").await;
        host.logged(says).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialog_without_end_reaches_a_bound() {
    let Some(host) = start("").await else { return };
    for (forever, bound) in [("call", "dialog-depth (32)"), ("replace", "dialog-events-per-turn (100)")] {
        let command = format!("begin script {{\"forever\":\"{forever}\"}}");
        host.bot("bot").says(&command).replies(ERROR).says("on").replies("heard: on").await;
        host.logged(bound).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_group_the_user_who_was_asked_answers() {
    let Some(host) = start("").await else { return };
    let from = |user: &str, text: &str| {
        let mut activity = message(text);
        activity["from"]["id"] = user.into();
        activity["conversation"]["isGroup"] = true.into();
        activity
    };
    host.bot("bot")
        .sends(from("ann", &begin(&json!([ask("Ann?"), { "kind": "wait" }]))))
        .replies("Ann?")
        .sends(from("bob", "me!"))
        .replies("heard: me!")
        .sends(from("ann", "yes"))
        .replies("script continue \"yes\"")
        .await;
}

/// A user who asks for help during another user's dialog does not become the user who was asked.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_group_a_question_that_comes_again_is_still_for_whom_it_was() {
    let Some(host) = start("settings.routes = [{ name = 'help', pattern = 'help' }]").await else { return };
    let said = |user: &str, text: &str| {
        let mut activity = message(text);
        activity["from"]["id"] = user.into();
        activity["conversation"]["isGroup"] = true.into();
        activity
    };
    let asks = json!([ask("where to?"), { "kind": "wait" }]);
    host.bot("bot")
        .sends(said("ann", &begin(&asks)))
        .replies("where to?")
        .sends(said("bob", "help"))
        .replies("route:help help")
        .replies("heard: help")
        .replies("script reprompt null")
        .sends(said("bob", "Oslo"))
        .replies("heard: Oslo")
        .sends(said("ann", "Rome"))
        .replies("script continue \"Rome\"")
        .await;
    let prompt = json!([{ "kind": "prompt", "quiet": true, "data": { "kind": "text", "prompt": "name?" } }]);
    host.bot("bot")
        .sends(said("ann", &begin(&prompt)))
        .replies("name?")
        .sends(said("bob", "help"))
        .replies("route:help help")
        .replies("heard: help")
        .replies("name?")
        .sends(said("bob", "Bob"))
        .replies("heard: Bob")
        .sends(said("ann", "Ann"))
        .replies(r#"script resume {"from":"prompt","reason":"completed","result":"Ann"}"#)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_sends_before_the_dialog_goes_on() {
    let Some(host) = start("").await else { return };
    let connector = crate::support::Connector::start().await;
    let steps = json!([{ "kind": "flush", "say": "looking" }, { "kind": "wait", "trap": true }]);
    let mut activity = message(&begin(&steps));
    activity["serviceUrl"] = connector.service_url().into();
    host.post("bot", &activity).await;
    let calls = connector.calls(3).await;
    let texts: Vec<&str> = calls.iter().map(|call| call.text()).collect();
    assert_eq!(texts, ["script begin", "looking", ERROR]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_migrates_or_resets_the_state_of_a_dialog() {
    for (migrate, expected) in
        [("accept", vec!["script continue \"on\""]), ("reject", vec![RESET]), ("trap", vec![ERROR])]
    {
        let Some(host) = start("settings.state-version = 1").await else { return };
        let conversation = format!("c-{migrate}");
        let say = async |text: &str| {
            let mut activity = message(text);
            activity["conversation"]["id"] = conversation.as_str().into();
            activity["deliveryMode"] = "expectReplies".into();
            let replies = host.post("bot", &activity).await.replies();
            replies.iter().map(|reply| reply["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        say(&begin(&json!([wait(), { "kind": "wait" }, { "kind": "wait" }]))).await;
        host.reconfigure(
            "bot",
            "settings.state-version = 1",
            &format!("settings.state-version = 2\nsettings.migrate = '{migrate}'"),
        )
        .await;
        assert_eq!(say("on").await, expected, "{migrate}");
        match migrate {
            // The state before the migration is still stored, so a rollback continues from it.
            "accept" => {
                host.roll_back("bot").await;
                assert_eq!(say("back").await, ["script continue \"back\""]);
            }
            "reject" => assert_eq!(say("free").await, ["heard: free"]),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialog_whose_plugin_is_gone_is_reset() {
    let Some(host) = start("").await else { return };
    let mut first = message(&begin(&json!([wait(), { "kind": "wait" }])));
    first["conversation"]["id"] = "c".into();
    assert_eq!(host.post("bot", &first).await.status, 200);
    host.reconfigure("bot", "grants = { state = ['user'], dialogs = true }", &format!("name = 'renamed'\n{GRANTS}"))
        .await;
    let mut next = message("hello");
    next["conversation"]["id"] = "c".into();
    next["deliveryMode"] = "expectReplies".into();
    assert_eq!(host.post("bot", &next).await.replies()[0]["text"], RESET);
    next["id"] = "next".into();
    assert_eq!(host.post("bot", &next).await.replies()[0]["text"], "heard: hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_more_than_2000_characters_matches_no_route() {
    let Some(host) = start("settings.routes = [{ name = 'all', pattern = 'é+' }]").await else { return };
    let (longest, longer) = ("é".repeat(2_000), "é".repeat(2_001));
    host.bot("bot")
        .says(&longest)
        .replies(&format!("route:all {longest}"))
        .replies("heard: all")
        .says(&longer)
        .replies(&format!("heard: {longer}"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_can_ask_before_it_interrupts() {
    let routes = "settings.routes = [{ name = 'cancel-all', pattern = 'cancel', confirm = 'Do you want to cancel?' }]";
    let Some(host) = start(routes).await else { return };
    let asks = "Do you want to cancel? (1) Yes or (2) No";
    host.bot("bot")
        // No dialog waits, so there is nothing to confirm.
        .says("cancel")
        .replies("route:cancel-all cancel")
        .replies("cancelled 0")
        .says(&prompt(&json!({ "kind": "number", "prompt": "How many?" })))
        .replies("How many?")
        .says("cancel")
        .replies(asks)
        .says("hm")
        .replies(asks)
        .says("no")
        .replies("How many?")
        .says("cancel")
        .replies(asks)
        .says("yes")
        // The route gets the activity that it matched.
        .replies("route:cancel-all cancel")
        .replies("cancelled 1")
        .replies(r#"script cancelled {"reason":"cancel-all"}"#)
        .says("free")
        .replies("heard: free")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_group_one_question_to_interrupt_stands_and_keeps_nobody_from_answering() {
    let routes = "settings.routes = [{ name = 'cancel-all', pattern = 'cancel', confirm = 'Sure?' }]";
    let Some(host) = start(routes).await else { return };
    let from = |user: &str, text: &str| {
        let mut activity = message(text);
        activity["from"]["id"] = user.into();
        activity["conversation"]["isGroup"] = true.into();
        activity
    };
    let asks = "Sure? (1) Yes or (2) No";
    host.bot("bot")
        .sends(from("ann", &begin(&json!([ask("Ann?"), { "kind": "wait" }]))))
        .replies("Ann?")
        .sends(from("bob", "cancel"))
        .replies(asks)
        .sends(from("cid", "cancel"))
        .replies(asks)
        .sends(from("bob", "cancel"))
        .replies(asks)
        .sends(from("cid", "stack"))
        .replies("turntable/confirm:prompt:confirm scripted/script:message")
        // Bob says nothing more. Ann was asked, so she answers.
        .sends(from("ann", "yes"))
        .replies("script continue \"yes\"")
        .sends(from("cid", "stack"))
        .replies("scripted/script:message")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_can_be_rehearsed() {
    let Some(host) = start("settings.state-version = 1").await else { return };
    for number in 0..3 {
        let mut first = message(&begin(&json!([wait()])));
        first["conversation"]["id"] = format!("c{number}").into();
        assert_eq!(host.post("bot", &first).await.status, 200);
    }
    let component = std::fs::read(host.component("scripted")).unwrap();
    let rehearse = async |component: &[u8]| {
        host.admin("PUT", "/v1/bots/bot/plugins/scripted?dry-run=true", component.to_vec()).await
    };
    let waiting = |becomes: &str| json!([{ "dialog": "script", "state_version": 1, "count": 3, "becomes": becomes }]);
    let lost = |becomes: &str, why: &str| {
        let mut waiting = waiting(becomes);
        waiting[0]["why"] = why.into();
        waiting
    };
    assert_eq!(rehearse(&component).await.json()["waiting"], waiting("continue"));
    let steps = [
        ("settings.state-version = 2", lost("reset", "its state could not be migrated")),
        ("settings.state-version = 2\nsettings.migrate = 'accept'", waiting("migrate")),
        ("settings.state-version = 2\nsettings.migrate = 'trap'", Value::Null),
        ("settings.state-version = 0", lost("reset", "its state is newer than the plugin")),
    ];
    let mut before = "settings.state-version = 1";
    for (settings, wanted) in steps {
        host.reconfigure("bot", before, settings).await;
        before = settings;
        let waiting = rehearse(&component).await.json()["waiting"].clone();
        if wanted.is_null() {
            assert_eq!((&waiting[0]["becomes"], &waiting[0]["count"]), (&json!("fail"), &json!(3)), "{waiting:#}");
            assert!(waiting[0]["why"].as_str().unwrap().starts_with("trap"), "{waiting:#}");
        } else {
            assert_eq!(waiting, wanted, "{settings}");
        }
    }
    let generation = host.status("bot").await["generation"].clone();
    let unfit = rehearse(b"no component").await;
    assert_eq!(unfit.status, 422, "{}", unfit.text);
    assert_eq!(host.status("bot").await["generation"], generation, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rollback_a_newer_dialog_is_reset_or_held() {
    for (on_newer, replies) in [("reset", vec![RESET]), ("hold", vec!["heard: on"])] {
        let config = Config::new().bot("bot", &[]).bot_key("on-newer", &format!("'{on_newer}'"));
        let Some(host) =
            Host::start(config.plugin("bot", "scripted", &format!("{GRANTS}\nsettings.state-version = 2"))).await
        else {
            return;
        };
        let mut activity = message(&begin(&json!([wait(), { "kind": "wait" }])));
        activity["conversation"]["id"] = "c".into();
        assert_eq!(host.post("bot", &activity).await.status, 200);
        host.reconfigure("bot", "settings.state-version = 2", "settings.state-version = 1").await;
        let mut next = message("on");
        next["conversation"]["id"] = "c".into();
        let said = host.post("bot", &crate::support::expecting_replies(next)).await.replies();
        let texts: Vec<&str> = said.iter().map(|reply| reply["text"].as_str().unwrap()).collect();
        assert_eq!(texts, replies, "{on_newer}");
        if on_newer == "hold" {
            // A plugin that knows the state serves again, so the dialog continues.
            host.roll_back("bot").await;
            let mut next = message("again");
            next["conversation"]["id"] = "c".into();
            let said = host.post("bot", &crate::support::expecting_replies(next)).await.replies();
            assert_eq!(said[0]["text"], "script continue \"again\"");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialog_is_not_to_blame_for_what_handlers_do() {
    let Some(host) = start("").await else { return };
    host.bot("bot")
        .says(&begin(&json!([wait(), { "kind": "ignored", "quiet": true }])))
        .says("trap")
        .replies(ERROR)
        .says("trap")
        .replies(ERROR)
        .says("trap")
        .replies(ERROR)
        .says("stack")
        .replies("scripted/script:message")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_dialog_that_was_to_go_on_by_itself_leaves_messages_to_the_handlers() {
    let config = Config::new().bot("bot", &[]).bot_key("on-newer", "'hold'");
    let more = format!("{GRANTS}\nsettings.state-version = 2");
    let Some(host) = Host::start(config.plugin("bot", "scripted", &more)).await else { return };
    // It flushes, so that after the trap a frame remains that has not resumed yet.
    let steps = json!([{ "kind": "flush", "quiet": true }, { "kind": "wait", "quiet": true, "trap": true }]);
    let mut activity = message(&begin(&steps));
    activity["conversation"]["id"] = "c".into();
    assert_eq!(host.post("bot", &activity).await.status, 200);
    host.reconfigure("bot", "settings.state-version = 2", "settings.state-version = 1").await;
    for _ in 0..2 {
        let mut next = message("on");
        next["conversation"]["id"] = "c".into();
        let said = host.post("bot", &crate::support::expecting_replies(next)).await.replies();
        assert_eq!(said[0]["text"], "heard: on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_route_that_a_swap_took_away_leaves_the_dialog_to_go_on() {
    let routes = "settings.routes = [{ name = 'cancel-all', pattern = 'cancel', confirm = 'Sure?' }]";
    let Some(host) = start(routes).await else { return };
    let mut first = message(&begin(&json!([ask("where to?"), { "kind": "wait" }])));
    first["conversation"]["id"] = "c".into();
    assert_eq!(host.post("bot", &first).await.status, 200);
    let say = async |text: &str| {
        let mut next = message(text);
        next["conversation"]["id"] = "c".into();
        let said = host.post("bot", &crate::support::expecting_replies(next)).await.replies();
        said.iter().map(|reply| reply["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(say("cancel").await, ["Sure? (1) Yes or (2) No"]);
    host.reconfigure("bot", "name = 'cancel-all'", "name = 'stack'").await;
    assert_eq!(say("yes").await, ["script reprompt null"]);
}
