//! Broadcasts: whom they reach, how they are paused and cancelled, what they report, and what survives SIGKILL.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::conversation::Answer;
use crate::support::{Behaviour, Config, Connector, Host, within};

const GRANTS: &str = "grants = { state = ['conversation', 'user'], dialogs = true, conversations = true }";
const PATH: &str = "/v1/bots/bot/broadcasts";

async fn start() -> Option<Host> {
    Host::start(Config::new().bot("bot", &[]).plugin("bot", "scripted", GRANTS)).await
}

/// Lets the bot meet the users `user-1` …, each in a conversation of its own: `c1` …
async fn meet(host: &Host, connector: &Connector, numbers: std::ops::RangeInclusive<usize>) {
    let before = connector.calls_now().len();
    let last = before + numbers.clone().count();
    for number in numbers {
        say(host, connector, number, "hi").await;
    }
    connector.calls(last).await;
}

async fn say(host: &Host, connector: &Connector, number: usize, text: &str) {
    let mut activity = connector.message(text);
    activity["conversation"]["id"] = format!("c{number}").into();
    activity["from"]["id"] = format!("user-{number}").into();
    assert_eq!(host.post("bot", &activity).await.status, 200);
}

fn sale() -> Value {
    json!({ "activity": { "type": "message", "text": "sale" }, "mode": "now", "per-second": 10_000 })
}

async fn ask(host: &Host, method: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    host.admin(method, path, body).await
}

/// Starts a broadcast and returns its path.
async fn broadcast(host: &Host, body: &Value) -> String {
    let started = ask(host, "POST", PATH, body).await;
    assert_eq!(started.status, 202, "{}", started.text);
    format!("{PATH}/{}", started.json()["id"].as_str().unwrap())
}

/// Waits until a broadcast satisfies a condition, and returns it.
async fn becomes(host: &Host, path: &str, wanted: &Value) -> Value {
    let looks = async {
        loop {
            let found = ask(host, "GET", path, &Value::Null).await.json();
            if wanted.as_object().unwrap().iter().all(|(member, value)| found[member] == *value) {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    within(&format!("the broadcast as {wanted}"), looks).await
}

/// Returns how often the connector got a text, by conversation.
fn heard(connector: &Connector, text: &str) -> BTreeMap<String, usize> {
    let mut heard = BTreeMap::new();
    for call in connector.calls_now().iter().filter(|call| call.text() == text) {
        *heard.entry(call.path.split('/').nth(3).unwrap().to_owned()).or_default() += 1;
    }
    heard
}

fn once(numbers: impl IntoIterator<Item = usize>) -> BTreeMap<String, usize> {
    numbers.into_iter().map(|number| (format!("c{number}"), 1)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_are_reached_once_and_the_report_says_who_was_not() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    meet(&host, &connector, 1..=8).await;
    // One conversation is known to be gone. During the broadcast one channel refuses, and one more turns out to be gone.
    connector.plan(Behaviour::Status(404));
    let gone = json!({ "target": { "channel": "test", "conversation": "c8" }, "activity": { "type": "message", "text": "?" } });
    assert_eq!(ask(&host, "POST", "/v1/bots/bot/notifications", &gone).await.status, 410);
    connector.plan(Behaviour::Status(400)).plan(Behaviour::Status(403));
    let path = broadcast(&host, &sale()).await;
    let done = becomes(&host, &path, &json!({ "state": "done" })).await;
    let counts =
        ["total", "waiting", "delivered", "failed", "gone", "unknown"].map(|count| done[count].as_u64().unwrap());
    assert_eq!(counts, [8, 0, 5, 1, 2, 0], "{done:#}");
    assert!(done["started_ms"].is_u64() && done["ended_ms"].is_u64());
    assert_eq!(heard(&connector, "sale"), once(1..=7), "refused ones were asked, too");
    let failures = ask(&host, "GET", &format!("{path}/failures"), &Value::Null).await.json();
    let failures = failures.as_array().unwrap();
    let mut outcomes: Vec<&str> = failures.iter().map(|failed| failed["outcome"].as_str().unwrap()).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["failed", "gone", "gone"], "{failures:#?}");
    assert!(
        failures.iter().any(|failed| failed["why"].as_str().is_some_and(|why| why.contains("403 Forbidden: Planned")))
    );
    let after = format!("{path}/failures?after={}", failures[2]["place"]);
    assert_eq!(ask(&host, "GET", &after, &Value::Null).await.json(), json!([]));
    let listed = ask(&host, "GET", PATH, &Value::Null).await.json();
    assert_eq!(listed, json!([done]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_names_conversations_and_users() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    meet(&host, &connector, 1..=4).await;
    let mut body = sale();
    body["target"] = json!({ "list": [
        { "channel": "test", "conversation": "c2" }, { "channel": "test", "user": "user-3" },
        { "channel": "test", "user": "user-2" }, { "channel": "test", "user": "nobody" },
    ] });
    let path = broadcast(&host, &body).await;
    let done = becomes(&host, &path, &json!({ "state": "done" })).await;
    assert_eq!((&done["total"], &done["delivered"], &done["unknown"]), (&json!(3), &json!(2), &json!(1)), "{done:#}");
    assert_eq!(heard(&connector, "sale"), once([2, 3]));
    body["target"] = json!({ "channel": "elsewhere" });
    let path = broadcast(&host, &body).await;
    assert_eq!(becomes(&host, &path, &json!({ "state": "done" })).await["total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_paused_resumed_and_cancelled() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    meet(&host, &connector, 1..=3).await;
    let mut body = sale();
    body["paused"] = true.into();
    let first = broadcast(&host, &body).await;
    // A user who is met later is not a target. A target who speaks meanwhile still gets the message once.
    meet(&host, &connector, 3..=4).await;
    assert_eq!(heard(&connector, "sale"), BTreeMap::new());
    let resumed = ask(&host, "POST", &format!("{first}/resume"), &Value::Null).await;
    assert_eq!((resumed.status, &resumed.json()["state"]), (200, &json!("running")), "{}", resumed.text);
    becomes(&host, &first, &json!({ "state": "done", "delivered": 3 })).await;
    assert_eq!(heard(&connector, "sale"), once(1..=3));
    body["activity"]["text"] = "never".into();
    let second = broadcast(&host, &body).await;
    let cancelled = ask(&host, "POST", &format!("{second}/cancel"), &Value::Null).await.json();
    assert_eq!((&cancelled["state"], &cancelled["cancelled"]), (&json!("cancelled"), &json!(4)));
    for switch in ["pause", "resume", "cancel"] {
        let refused = ask(&host, "POST", &format!("{second}/{switch}"), &Value::Null).await;
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (409, &json!("Conflict")), "{switch}");
    }
    say(&host, &connector, 1, "still there").await;
    assert_eq!(heard(&connector, "never"), BTreeMap::new());
}

/// Notifications that wait for a dialog to end belong to the broadcast, so cancelling it ends them too.
#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_in_a_dialog_gets_it_afterwards() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    meet(&host, &connector, 1..=2).await;
    let question = json!({ "steps": [{ "kind": "wait", "quiet": true, "say": "where to?" }, { "kind": "done" }] });
    say(&host, &connector, 2, &format!("begin script {question}")).await;
    let mut body = sale();
    body["mode"] = "when-idle".into();
    let path = broadcast(&host, &body).await;
    becomes(&host, &path, &json!({ "state": "running", "delivered": 1, "waiting": 1 })).await;
    assert_eq!(heard(&connector, "sale"), once([1]));
    say(&host, &connector, 2, "Rome").await;
    becomes(&host, &path, &json!({ "state": "done", "delivered": 2 })).await;
    assert_eq!(heard(&connector, "sale"), once([1, 2]));
    say(&host, &connector, 2, &format!("begin script {question}")).await;
    let path = broadcast(&host, &body).await;
    becomes(&host, &path, &json!({ "delivered": 1, "waiting": 1 })).await;
    ask(&host, "POST", &format!("{path}/cancel"), &Value::Null).await;
    say(&host, &connector, 2, "Rome").await;
    becomes(&host, &path, &json!({ "state": "cancelled", "delivered": 1, "cancelled": 1 })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_is_disabled_goes_on_when_it_is_enabled() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    meet(&host, &connector, 1..=3).await;
    assert_eq!(ask(&host, "POST", "/v1/bots/bot/disable", &Value::Null).await.status, 200);
    let path = broadcast(&host, &sale()).await;
    assert_eq!(ask(&host, "GET", &path, &Value::Null).await.json()["waiting"], 3);
    assert_eq!(ask(&host, "POST", "/v1/bots/bot/enable", &Value::Null).await.status, 200);
    becomes(&host, &path, &json!({ "state": "done", "delivered": 3 })).await;
    assert_eq!(heard(&connector, "sale"), once(1..=3));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_forgotten_is_no_target_any_more() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    meet(&host, &connector, 1..=3).await;
    let mut body = sale();
    body["paused"] = true.into();
    let path = broadcast(&host, &body).await;
    let forgotten = ask(&host, "DELETE", "/v1/bots/bot/conversations?channel=test&conversation=c2", &Value::Null).await;
    assert_eq!(
        (forgotten.status, &forgotten.json()["forgotten"]["broadcasts"]),
        (200, &json!(1)),
        "{}",
        forgotten.text
    );
    ask(&host, "POST", &format!("{path}/resume"), &Value::Null).await;
    becomes(&host, &path, &json!({ "state": "done", "delivered": 2, "unknown": 1 })).await;
    assert_eq!(ask(&host, "GET", &format!("{path}/failures"), &Value::Null).await.json(), json!([]), "it is nobody");
}

/// Killed when targets become notifications, at the commit of a turn, and while a message leaves: nobody is missed, and only
/// a message that had left when the host died may come again.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_misses_nobody() {
    for point in ["begin:2", "begun:2", "commit:4", "committed:4", "send:3", "sent:3", "noted:3"] {
        let Some(mut host) = start().await else { return };
        let connector = Connector::start().await;
        meet(&host, &connector, 1..=12).await;
        let mut body = sale();
        // Only a few at a time, so that the broadcast is not finished at the first kill.
        body["per-second"] = 100.into();
        host.again(Some(point)).await;
        let path = broadcast(&host, &body).await;
        host.ends().await;
        host.again(None).await;
        let done = becomes(&host, &path, &json!({ "state": "done" })).await;
        assert_eq!(done["delivered"], 12, "{point}: {done:#}");
        let heard = heard(&connector, "sale");
        assert_eq!(heard.keys().cloned().collect::<Vec<_>>(), once(1..=12).into_keys().collect::<Vec<_>>(), "{point}");
        assert!(heard.values().all(|times| *times <= 2), "{point}: {heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_is_the_same_broadcast() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    meet(&host, &connector, 1..=2).await;
    let send = async |key: &str, body: &Value| {
        host.admin_with("POST", PATH, &[("idempotency-key", key)], body.to_string().into_bytes()).await
    };
    let (first, again) = (send("k", &sale()).await, send("k", &sale()).await);
    assert_eq!((first.status, again.status), (202, 200), "{} {}", first.text, again.text);
    assert_eq!(first.json()["id"], again.json()["id"]);
    let mut other = sale();
    other["mode"] = "cancel".into();
    let refused = send("k", &other).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (409, &json!("IdempotencyKeyReused")));
    let path = format!("{PATH}/{}", first.json()["id"].as_str().unwrap());
    becomes(&host, &path, &json!({ "state": "done" })).await;
    assert_eq!(heard(&connector, "sale"), once([1, 2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_before_anybody_hears_it() {
    let config = Config::new().bot("bot", &[]).plugin("bot", "scripted", GRANTS).bot("other", &["scripted"]);
    let Some(host) = Host::start(config).await else { return };
    let connector = Connector::start().await;
    meet(&host, &connector, 1..=1).await;
    let with = |member: &str, value: Value| {
        let mut body = sale();
        body[member] = value;
        body
    };
    for (wrong, why) in [
        (json!({}), "one of"),
        (with("target", json!("all")), "`target`"),
        (with("target", json!({ "channel": "test", "list": [] })), "`target`"),
        (with("target", json!({ "list": [] })), "1 to 10000"),
        (with("target", json!({ "list": [{ "channel": "test" }] })), "`target.list[0]`"),
        (
            with("target", json!({ "list": [{ "channel": "test", "user": "u", "conversation": "c" }] })),
            "`target.list[0]`",
        ),
        (with("per-second", json!(0)), "`per-second`"),
        (with("per-second", json!(10_001)), "`per-second`"),
        (with("mode", json!("soon")), "`mode`"),
        (with("expires", json!("tomorrow")), "`expires`"),
        (with("at", json!("2999-01-01T00:00:00Z")), "`at` is no member"),
        (json!({ "dialog": { "plugin": "scripted", "id": "nowhere" } }), "no plugin"),
        (json!({ "dialog": { "plugin": "scripted", "id": "script" }, "mode": "now" }), "`now`"),
    ] {
        let refused = ask(&host, "POST", PATH, &wrong).await;
        assert!(refused.status == 400 && refused.text.contains(why), "{wrong}: {} {}", refused.status, refused.text);
    }
    let too_late = with("expires", json!("2001-01-01T00:00:00Z"));
    let path = broadcast(&host, &too_late).await;
    becomes(&host, &path, &json!({ "state": "done", "expired": 1 })).await;
    let foreign = path.replace("/bot/", "/other/");
    for path in [
        foreign.clone(),
        format!("{foreign}/failures"),
        format!("{PATH}/nonsense"),
        "/v1/bots/nobody/broadcasts".to_owned(),
    ] {
        assert_eq!(ask(&host, "GET", &path, &Value::Null).await.status, 404, "{path}");
    }
    assert_eq!(ask(&host, "POST", &format!("{foreign}/cancel"), &Value::Null).await.status, 404);
    assert_eq!(ask(&host, "POST", &format!("{path}/stop"), &Value::Null).await.status, 404);
    assert_eq!(heard(&connector, "sale"), BTreeMap::new());
}
