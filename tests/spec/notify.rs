//! Proactive messages: notifications of operators and plugins, timers, and their order among the turns of a conversation.

use serde_json::{Value, json};

use crate::support::conversation::Answer;
use crate::support::{Config, Connector, Host, within};

pub(super) const GRANTS: &str = "grants = { state = ['conversation', 'user'], dialogs = true, conversations = true }";

pub(super) async fn start() -> Option<Host> {
    Host::start(Config::new().bot("bot", &[]).plugin("bot", "scripted", GRANTS)).await
}

/// Returns a message of the user `ann` in the conversation `c`, whose replies go to the connector.
pub(super) fn said(connector: &Connector, text: &str) -> Value {
    let mut activity = connector.message(text);
    activity["conversation"]["id"] = "c".into();
    activity["from"]["id"] = "ann".into();
    activity
}

pub(super) async fn say(host: &Host, connector: &Connector, text: &str) {
    assert_eq!(host.post("bot", &said(connector, text)).await.status, 200);
}

/// Waits until the connector got this many activities, and returns them.
pub(super) async fn texts(connector: &Connector, count: usize) -> Vec<String> {
    connector.calls(count).await.iter().map(|call| call.text().to_owned()).collect()
}

pub(super) async fn notify(host: &Host, body: &Value) -> Answer {
    host.admin("POST", "/v1/bots/bot/notifications", body.to_string().into_bytes()).await
}

pub(super) fn to_c(mode: &str, content: &Value) -> Value {
    let mut body = content.clone();
    body["target"] = json!({ "channel": "test", "conversation": "c" });
    body["mode"] = mode.into();
    body
}

pub(super) fn text(text: &str) -> Value {
    json!({ "activity": { "type": "message", "text": text } })
}

/// Returns options for a dialog that asks a question and is done with the answer.
pub(super) fn asks(question: &str) -> Value {
    let steps = json!([{ "kind": "wait", "quiet": true, "say": question }, { "kind": "done" }]);
    json!({ "dialog": { "plugin": "scripted", "id": "script" }, "options": { "steps": steps } })
}

pub(super) fn begin(question: &str) -> String {
    format!("begin script {}", asks(question)["options"])
}

#[tokio::test(flavor = "multi_thread")]
async fn now_leaves_the_question_open() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, &begin("where to?")).await;
    let answer = notify(&host, &to_c("now", &text("by the way"))).await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("delivered")), "{}", answer.text);
    say(&host, &connector, "Rome").await;
    assert_eq!(texts(&connector, 3).await, ["where to?", "by the way", "script continue \"Rome\""]);
    let refused = notify(&host, &to_c("now", &asks("?"))).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    assert!(refused.text.contains("cannot be delivered `now`"), "{}", refused.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_idle_waits_for_the_dialog_to_end_and_keeps_order() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, "hi").await;
    assert_eq!(notify(&host, &to_c("when-idle", &text("at once"))).await.status, 200);
    say(&host, &connector, &begin("where to?")).await;
    let mut ids = Vec::new();
    for number in 1..=3 {
        let answer = notify(&host, &to_c("when-idle", &text(&format!("later {number}")))).await;
        assert_eq!((answer.status, &answer.json()["status"]), (202, &json!("queued")), "{}", answer.text);
        ids.push(answer.json()["id"].as_str().unwrap().to_owned());
    }
    let waiting = host.admin("GET", "/v1/bots/bot/notifications", Vec::new()).await.json();
    assert_eq!(waiting.as_array().unwrap().len(), 3, "{waiting:#}");
    // The second notification is cancelled while it waits.
    let path = format!("/v1/bots/bot/notifications/{}", ids[1]);
    assert_eq!(host.admin("DELETE", &path, Vec::new()).await.status, 200);
    assert_eq!(host.admin("DELETE", &path, Vec::new()).await.status, 409);
    say(&host, &connector, "Rome").await;
    let expected = ["heard: hi", "at once", "where to?", "script continue \"Rome\"", "later 1", "later 3"];
    assert_eq!(texts(&connector, expected.len()).await, expected);
    let status = host.admin("GET", &path, Vec::new()).await.json();
    assert_eq!(status["status"], "cancelled");
}

/// An alert for one stock interrupts the question about another, with the scripted plugin.
#[tokio::test(flavor = "multi_thread")]
async fn an_interruption_ends_and_the_question_comes_again() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, &begin("The price of which stock?")).await;
    let answer = notify(&host, &to_c("interrupt", &asks("GOOG is at 150. Sell?"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    say(&host, &connector, "yes").await;
    say(&host, &connector, "MSFT").await;
    let expected = [
        "The price of which stock?",
        "GOOG is at 150. Sell?",
        "script continue \"yes\"",
        "script reprompt null",
        "script continue \"MSFT\"",
    ];
    assert_eq!(texts(&connector, expected.len()).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interruption_may_begin_with_a_choice_at_once() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, &begin("where to?")).await;
    let prompt = json!({ "kind": "choice", "prompt": "Sell?", "choices": ["yes", "no"], "style": "none" });
    let steps = json!([{ "kind": "prompt", "quiet": true, "data": prompt }, { "kind": "done", "quiet": true }]);
    let dialog = json!({ "dialog": { "plugin": "scripted", "id": "script" }, "options": { "steps": steps } });
    assert_eq!(notify(&host, &to_c("interrupt", &dialog)).await.status, 200);
    say(&host, &connector, "no").await;
    assert_eq!(texts(&connector, 3).await, ["where to?", "Sell?", "script reprompt null"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_ends_the_dialogs_first_and_tells_them() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, &begin("where to?")).await;
    assert_eq!(notify(&host, &to_c("cancel", &text("The shop is closed."))).await.status, 200);
    say(&host, &connector, "Rome").await;
    let expected = ["where to?", r#"script cancelled {"reason":"cancel-all"}"#, "The shop is closed.", "heard: Rome"];
    assert_eq!(texts(&connector, expected.len()).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_reaches_the_handlers() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, "hi").await;
    let event = json!({ "event": { "name": "price", "value": { "then": "get conversation k" } } });
    assert_eq!(notify(&host, &to_c("now", &event)).await.status, 200);
    assert_eq!(texts(&connector, 3).await, ["heard: hi", "notify price", "none"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_is_the_same_notification() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, "hi").await;
    let send = async |key: &str, body: &Value| {
        let headers = [("idempotency-key", key)];
        host.admin_with("POST", "/v1/bots/bot/notifications", &headers, body.to_string().into_bytes()).await
    };
    let first = send("k", &to_c("now", &text("once"))).await;
    let again = send("k", &to_c("now", &text("once"))).await;
    assert_eq!((first.status, again.status), (200, 200), "{} {}", first.text, again.text);
    assert_eq!(first.json()["id"], again.json()["id"]);
    assert_eq!(send("k", &to_c("now", &text("other"))).await.status, 409);
    assert_eq!(send("l", &to_c("now", &text("twice"))).await.status, 200);
    assert_eq!(texts(&connector, 3).await, ["heard: hi", "once", "twice"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_notify_and_schedule_and_change_their_mind() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, &format!("notify when-idle {}", text("and one more thing"))).await;
    assert_eq!(texts(&connector, 1).await, ["and one more thing"]);
    // A time in the past is due at once.
    let event = json!({ "event": { "name": "tick", "value": {} } });
    say(&host, &connector, &format!("schedule morning 2001-01-01T00:00:00Z when-idle {event}")).await;
    assert_eq!(texts(&connector, 2).await[1], "timer:morning tick");
    // A new timer replaces an old one of the same name, and `cancel` ends it.
    for year in [2997, 2998] {
        say(&host, &connector, &format!("schedule yearly {year}-01-01T00:00:00Z when-idle {event}")).await;
    }
    say(&host, &connector, &format!("schedule daily 0_9_*_*_*_Europe/Berlin when-idle {event}")).await;
    let waiting = host.admin("GET", "/v1/bots/bot/notifications", Vec::new()).await.json();
    let names: Vec<&str> = waiting.as_array().unwrap().iter().map(|timer| timer["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["daily", "yearly"], "{waiting:#}");
    let id = waiting[1]["id"].as_str().unwrap();
    say(&host, &connector, &format!("unschedule {id}\nunschedule {id}\nunschedule nonsense")).await;
    assert_eq!(texts(&connector, 5).await[2..], ["cancelled true", "cancelled false", "cancelled false"]);
    for wrong in [
        format!("schedule x soon when-idle {event}"),
        format!("schedule x 0_9_*_*_* when-idle {event}"),
        format!("notify later {event}"),
        "notify now {}".to_owned(),
        format!("notify-to {{}} now {event}"),
        format!(r#"notify-to {{"bot":"other","channel":"test","conversation":"c"}} now {event}"#),
        format!(r#"notify-to {{"bot":"bot","channel":"test","conversation":"never-met"}} now {event}"#),
        r#"notify interrupt {"dialog":"nobodys"}"#.to_owned(),
        r#"notify now {"dialog":"script"}"#.to_owned(),
    ] {
        let before = connector.calls_now().len();
        say(&host, &connector, &wrong).await;
        assert!(texts(&connector, before + 1).await[before].starts_with("invalid: "), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_later_without_the_grant() {
    let Some(host) = Host::start(Config::new().bot("bot", &["scripted"])).await else { return };
    host.bot("bot")
        .says("reference")
        .replies("denied: needs the grant `conversations = true`, wanted by the manifest and given by the operator")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_causes_ends() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, "again now ping").await;
    let texts = texts(&connector, 9).await;
    assert_eq!(texts.iter().filter(|text| **text == "notify ping").count(), 8, "{texts:?}");
    assert_eq!(texts.last().unwrap(), "quota: the limit cause-depth (8) is reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_turn_asked_for_nothing_and_a_failing_delivery_ends() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, &format!("notify when-idle {}\ntrap", text("never"))).await;
    assert_eq!(host.admin("GET", "/v1/bots/bot/notifications", Vec::new()).await.json(), json!([]));
    let event = json!({ "event": { "name": "boom", "value": { "then": "trap" } } });
    let failed = notify(&host, &to_c("now", &event)).await;
    assert_eq!((failed.status, &failed.json()["error"]["code"]), (502, &json!("DeliveryFailed")), "{}", failed.text);
    say(&host, &connector, "still here").await;
    assert_eq!(texts(&connector, 2).await[1], "heard: still here");
}

/// Waiting notifications survive a crash. Those that became due meanwhile are delivered once, in order.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_survives_a_kill() {
    let Some(mut host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, &begin("where to?")).await;
    for number in 1..=2 {
        assert_eq!(notify(&host, &to_c("when-idle", &text(&format!("later {number}")))).await.status, 202);
    }
    host.again(None).await;
    say(&host, &connector, "Rome").await;
    let expected = ["where to?", "script continue \"Rome\"", "later 1", "later 2"];
    assert_eq!(texts(&connector, expected.len()).await, expected);
    // After a kill between commit and delivery record it may arrive twice; after a kill before its turn it arrives once.
    for point in ["commit:2", "committed:2"] {
        let connector = Connector::start().await;
        say(&host, &connector, "hi").await;
        connector.calls(1).await;
        host.again(Some(point)).await;
        // The host may die before it has answered.
        let _ = host.try_post("bot", &said(&connector, &format!("notify now {}", text("once")))).await;
        let gone = async { while host.try_post("bot", &said(&connector, "x")).await.is_some() {} };
        within("the death of the host", gone).await;
        host.again(None).await;
        let arrived = async {
            loop {
                let texts: Vec<String> = connector.calls_now().iter().map(|call| call.text().to_owned()).collect();
                if texts.iter().any(|text| text == "once") {
                    return texts;
                }
                tokio::task::yield_now().await;
            }
        };
        let texts = within("the notification", arrived).await;
        assert_eq!(texts.iter().filter(|text| *text == "once").count(), 1, "{point}: {texts:?}");
    }
}

/// The host alternates between the two lanes of a conversation, however long one of them is.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_notifications_does_not_starve_the_user() {
    let Some(mut host) = start().await else { return };
    let connector = Connector::start().await;
    let go_on = host.stall_at("commit:2").await;
    say(&host, &connector, "hi").await;
    let bodies: Vec<Value> = (0..9).map(|_| to_c("now", &text("burst"))).collect();
    let burst = futures_util::future::join_all(bodies.iter().map(|body| notify(&host, body)));
    let user = async {
        host.logged("the store stalls").await;
        host.turns_queued(9).await;
        let asked = said(&connector, "may I?");
        let release = async {
            host.turns_queued(10).await;
            std::fs::write(&go_on, "").unwrap();
        };
        tokio::join!(host.post("bot", &asked), release).0.status
    };
    let (burst, user) = tokio::join!(burst, user);
    assert!(burst.iter().all(|answer| matches!(answer.status, 200 | 202)) && matches!(user, 200 | 202));
    let texts = texts(&connector, 11).await;
    let place = texts.iter().position(|text| text == "heard: may I?").unwrap();
    assert!(place <= 2, "behind the one that ran: {texts:?}");
}

/// The number of waiting notifications is limited, for operators and for plugins.
#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_a_thousand_wait_in_a_conversation() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, "hi").await;
    let mut later = to_c("now", &text("later"));
    later["at"] = "2099-01-01T00:00:00Z".into();
    for _ in 0..20 {
        let some = futures_util::future::join_all((0..50).map(|_| notify(&host, &later))).await;
        assert!(some.iter().all(|answer| answer.status == 202));
    }
    let refused = notify(&host, &later).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (429, &json!("Throttled")), "{}", refused.text);
    assert!(refused.text.contains("notifications-waiting"), "{}", refused.text);
}

/// The plugin is swapped while its dialog asks and a notification waits for the dialog to end.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_dialog_comes_after_a_swap_too() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, &begin("where to?")).await;
    let held = notify(&host, &to_c("when-idle", &text("by the way"))).await;
    assert_eq!((held.status, &held.json()["status"]), (202, &json!("queued")));
    let component = std::fs::read(host.component("scripted")).unwrap();
    let reload = async {
        let swap = host.deploy("bot", "scripted", component).await;
        assert_eq!(swap.status, 200, "{}", swap.text);
    };
    let during = async { notify(&host, &to_c("now", &text("meanwhile"))).await.status };
    let ((), during) = tokio::join!(reload, during);
    assert!(matches!(during, 200 | 202));
    say(&host, &connector, "home").await;
    let expected = ["where to?", "meanwhile", "script continue \"home\"", "by the way"];
    assert_eq!(texts(&connector, 4).await, expected);
}

/// A notification that arrives while the host stops is delivered once, after the next start.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_during_shutdown_waits_for_the_next_start() {
    let Some(mut host) = start().await else { return };
    let connector = Connector::start().await;
    let go_on = host.stall_at("commit:2").await;
    say(&host, &connector, "hi").await;
    let slow = said(&connector, "slow");
    let stopping = async {
        host.logged("the store stalls").await;
        host.signal();
        host.logged("stopping: accepting nothing more").await;
        let asked = notify(&host, &to_c("now", &text("after the restart"))).await;
        std::fs::write(&go_on, "").unwrap();
        asked
    };
    let (answer, asked) = tokio::join!(host.post("bot", &slow), stopping);
    assert!(matches!(answer.status, 200 | 202));
    assert_eq!((asked.status, &asked.json()["status"]), (202, &json!("queued")), "{}", asked.text);
    assert!(host.ends().await.success());
    host.again(None).await;
    assert_eq!(texts(&connector, 3).await, ["heard: hi", "heard: slow", "after the restart"]);
    let id = asked.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(ended(&host, &id).await, "delivered");
    assert_eq!(connector.calls_now().len(), 3);
}

/// Waits until a notification has ended, and returns its status.
pub(super) async fn ended(host: &Host, id: &str) -> String {
    for _ in 0..20_000 {
        let known = host.admin("GET", &format!("/v1/bots/bot/notifications/{id}"), Vec::new()).await.json();
        if known["status"] != "queued" {
            return known["status"].as_str().unwrap().to_owned();
        }
    }
    panic!("{id} never ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_in_the_past_is_now_and_nonsense_is_refused() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, "hi").await;
    let at = |at: &str| {
        let mut body = to_c("now", &text("late"));
        body["at"] = at.into();
        body
    };
    assert_eq!(notify(&host, &at("2001-01-01T00:00:00Z")).await.json()["status"], "delivered");
    for nonsense in ["soon", "2027-01-01", "* * * * *", "61 * * * * UTC", "* * * * * Mars/Olympus", "0 0 31 2 * UTC"] {
        let refused = notify(&host, &at(nonsense)).await;
        assert_eq!(refused.status, 400, "{nonsense}");
        assert!(refused.text.contains("`at`"), "{}", refused.text);
    }
    let mut expired = to_c("now", &text("never"));
    expired["expires"] = "2001-01-01T00:00:00Z".into();
    assert_eq!(notify(&host, &expired).await.json()["status"], "expired");
    assert_eq!(texts(&connector, 2).await, ["heard: hi", "late"]);
    assert_eq!(connector.calls_now().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn middleware_sees_what_is_said_first() {
    let rules =
        "settings.rules = [{ on = 'send', if = 'secret', do = 'stop' }, { on = 'send', do = 'mark', with = '!' }]";
    let hook = format!("grants = {{ middleware = true }}\n{rules}");
    let config = Config::new().bot("bot", &[]).plugin("bot", "interceptor", &hook);
    let Some(host) = Host::start(config.plugin("bot", "scripted", GRANTS)).await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, "hi").await;
    assert_eq!(notify(&host, &to_c("now", &text("by the way"))).await.status, 200);
    let stopped = notify(&host, &to_c("now", &text("secret"))).await;
    assert_eq!((stopped.status, &stopped.json()["sends"]), (200, &json!(0)), "{}", stopped.text);
    assert_eq!(texts(&connector, 2).await, ["heard: hi!", "by the way!"]);
}

/// An alert for one stock interrupts the question about another, with the plugin `price-watch`.
#[tokio::test(flavor = "multi_thread")]
async fn a_price_that_is_reached_interrupts_the_question_for_another() {
    let grants = "grants = { state = ['bot', 'conversation'], dialogs = true, conversations = true }";
    let Some(host) = Host::start(Config::new().bot("bot", &[]).plugin("bot", "price-watch", grants)).await else {
        return;
    };
    let connector = Connector::start().await;
    say(&host, &connector, "Tell me when GOOG reaches 150").await;
    let timers = host.admin("GET", "/v1/bots/bot/notifications", Vec::new()).await.json();
    assert_eq!((&timers[0]["name"], &timers[0]["cron"]), (&json!("GOOG"), &json!("* * * * * UTC")), "{timers:#}");
    say(&host, &connector, "price").await;
    let price = json!({ "event": { "name": "price", "value": { "symbol": "GOOG", "price": 151 } } });
    assert_eq!(notify(&host, &to_c("now", &price)).await.status, 200);
    // The event that the timer would send within a minute, sent now.
    let mut check = to_c("now", &json!({ "event": { "name": "check", "value": { "symbol": "GOOG", "price": 150 } } }));
    check["name"] = "GOOG".into();
    assert_eq!(notify(&host, &check).await.status, 200);
    connector.calls(3).await;
    say(&host, &connector, "no").await;
    say(&host, &connector, "MSFT").await;
    let expected = [
        "I tell you when GOOG reaches 150.",
        "The price of which stock?",
        "GOOG is at 151. Shall I go on watching? (1) Yes or (2) No",
        "I watch GOOG no more.",
        "The price of which stock?",
        "I know no price of MSFT.",
    ];
    assert_eq!(texts(&connector, expected.len()).await, expected);
    assert_eq!(host.admin("GET", "/v1/bots/bot/notifications", Vec::new()).await.json(), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn services_speak_for_a_bot_with_its_key() {
    const KEY: &str = "0123456789abcdef0123456789abcdef";
    let config = Config::new().bot("bot", &[]).bot_key("notify-key-file", "'key'");
    let config = config.plugin("bot", "scripted", GRANTS);
    let Some(host) = Host::start(config.bot("other", &["scripted"])).await else { return };
    host.write_secret("key", KEY);
    let connector = Connector::start().await;
    say(&host, &connector, "hi").await;
    let post = async |bot: &str, key: &str| {
        let body = to_c("now", &text("from a service"));
        host.post_to(&format!("/api/bots/{bot}/notifications"), &[("authorization", &format!("Bearer {key}"))], &body)
            .await
    };
    assert_eq!(post("bot", KEY).await.status, 200);
    assert_eq!(post("bot", &KEY.replace('0', "1")).await.status, 401);
    assert_eq!(post("other", KEY).await.status, 401, "a bot without a key");
    assert_eq!(post("nobody", KEY).await.status, 401);
    assert_eq!(texts(&connector, 2).await, ["heard: hi", "from a service"]);
}

/// A notification that waits behind a turn can still be cancelled.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_cancelled_in_the_queue_is_not_delivered() {
    let Some(mut host) = start().await else { return };
    let connector = Connector::start().await;
    let go_on = host.stall_at("commit:2").await;
    say(&host, &connector, "hi").await;
    let slow = said(&connector, "slow");
    let ((), answer) = tokio::join!(
        async {
            host.logged("the store stalls").await;
            let queued = notify(&host, &to_c("now", &text("never"))).await;
            assert_eq!(queued.status, 202, "{}", queued.text);
            let path = format!("/v1/bots/bot/notifications/{}", queued.json()["id"].as_str().unwrap());
            assert_eq!(host.admin("DELETE", &path, Vec::new()).await.status, 200);
            std::fs::write(&go_on, "").unwrap();
        },
        host.post("bot", &slow)
    );
    assert!(matches!(answer.status, 200 | 202));
    say(&host, &connector, "after").await;
    assert_eq!(texts(&connector, 3).await, ["heard: hi", "heard: slow", "heard: after"]);
}

/// A notification that waited for a dialog begins as soon as possible, even if no other turn starts it.
#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_begin_when_its_dialog_ended_begins_later() {
    let Some(mut host) = start().await else { return };
    let connector = Connector::start().await;
    let go_on = host.stall_at("commit:3").await;
    say(&host, &connector, &begin("where to?")).await;
    let held = notify(&host, &to_c("when-idle", &text("later"))).await;
    assert_eq!(held.status, 202, "{}", held.text);
    let answer = said(&connector, "Oslo");
    let disable = async {
        host.logged("the store stalls").await;
        let disabled = host.admin("POST", "/v1/bots/bot/disable", Vec::new()).await;
        std::fs::write(&go_on, "").unwrap();
        disabled.status
    };
    let (answer, disabled) = tokio::join!(host.post("bot", &answer), disable);
    assert!(matches!(answer.status, 200 | 202) && disabled == 200);
    host.turns_queued(0).await;
    assert_eq!(host.admin("POST", "/v1/bots/bot/enable", Vec::new()).await.status, 200);
    let id = held.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(ended(&host, &id).await, "delivered");
    assert_eq!(texts(&connector, 3).await.last().unwrap(), "later");
}

/// A notification that waits for a dialog ends when it expires, even if the dialog continues.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_ends_when_it_expires() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, &begin("where to?")).await;
    let mut offer = to_c("when-idle", &text("only now"));
    offer["expires"] = (jiff::Timestamp::now() + jiff::SignedDuration::from_millis(1_500)).to_string().into();
    let answer = notify(&host, &offer).await;
    assert_eq!((answer.status, &answer.json()["status"]), (202, &json!("queued")), "{}", answer.text);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(ended(&host, &id).await, "expired");
    say(&host, &connector, "Oslo").await;
    assert_eq!(texts(&connector, 2).await, ["where to?", "script continue \"Oslo\""]);
}
