//! SIGKILL: every accepted message is handled once, its replies arrive in order, and state is exact.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::RwLock;

use crate::support::{Config, Connector, Host, message, rounds, within};

const POINTS: [&str; 7] = ["accept", "accepted", "commit", "committed", "send", "sent", "noted"];
pub(crate) const GRANTS: &str = "grants = { state = ['conversation', 'user'], dialogs = true }";

async fn start() -> Option<Host> {
    Host::start(Config::new().bot("bot", &[]).plugin("bot", "scripted", GRANTS)).await
}

/// Returns the `number`th message of a conversation. The bot counts the messages.
pub(crate) fn counting(connector: &Connector, conversation: &str, number: usize) -> Value {
    let mut activity = message("add conversation count");
    activity["id"] = format!("{conversation}-{number}").into();
    activity["conversation"]["id"] = conversation.into();
    activity["serviceUrl"] = connector.service_url().into();
    activity
}

/// Checks the replies to counting messages: all are there, in order, and at most this many are repeated.
pub(crate) fn check(connector: &Connector, conversation: &str, messages: usize, kills: usize) {
    let calls = connector.calls_now();
    let of = |path: &str| path.contains(&format!("/{conversation}/"));
    let mut got: Vec<usize> =
        calls.iter().filter(|call| of(&call.path)).map(|call| call.text().parse().unwrap()).collect();
    let all = got.len();
    got.dedup();
    assert_eq!(got, (1..=messages).collect::<Vec<_>>(), "{conversation}: lost or out of order");
    assert!(all - got.len() <= kills, "{conversation}: {} repeated, {kills} kills", all - got.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_point_loses_and_doubles_nothing() {
    kill_at_every_point(start).await;
}

/// Kills hosts at each failpoint. None: a component is missing.
pub(crate) async fn kill_at_every_point(start: impl AsyncFn() -> Option<Host>) {
    const MESSAGES: usize = 6;
    let mut hits = Vec::new();
    for point in POINTS {
        for nth in [1, 4] {
            let Some(mut host) = start().await else { return };
            let connector = Connector::start().await;
            host.again(Some(&format!("{point}:{nth}"))).await;
            let mut kills = 0;
            for number in 1..=MESSAGES {
                let activity = counting(&connector, "c", number);
                // The channel repeats a message that was not answered.
                while host.try_post("bot", &activity).await != Some(200) {
                    kills += 1;
                    assert!(kills < 3, "{point}:{nth} killed the host again");
                    host.again(None).await;
                }
            }
            // A crash in the delivery lane happens after the last answer.
            let deliveries = async {
                loop {
                    let texts: Vec<String> = connector.calls_now().iter().map(|call| call.text().to_owned()).collect();
                    if texts.contains(&MESSAGES.to_string()) {
                        return;
                    }
                    if host.try_post("bot", &counting(&connector, "c", MESSAGES)).await != Some(200) {
                        kills += 1;
                        host.again(None).await;
                    }
                }
            };
            within("the last reply", deliveries).await;
            assert_eq!(kills, 1, "{point}:{nth} killed the host once");
            check(&connector, "c", MESSAGES, kills);
            let mut question = message("get conversation count");
            question["conversation"]["id"] = "c".into();
            question["deliveryMode"] = "expectReplies".into();
            let answer = host.post("bot", &question).await;
            assert_eq!(answer.replies()[0]["text"], MESSAGES.to_string(), "{point}:{nth}: state is exact");
            hits.push(format!("{point}:{nth} {kills}"));
        }
    }
    println!("killed: {}", hits.join(", "));
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_under_load_lose_and_double_nothing() {
    let Some(host) = start().await else { return };
    kill_under_load(host, rounds(5, 1_000)).await;
}

/// Kills a host so many times while eight conversations talk to it.
pub(crate) async fn kill_under_load(host: Host, kills: usize) {
    const CONVERSATIONS: usize = 8;
    // A message waits for at most one kill, so there are more messages than kills.
    let messages = kills * 2 + 2;
    let connector = Connector::start().await;
    let host = Arc::new(RwLock::new(host));
    let users = (0..CONVERSATIONS).map(|user| {
        let (host, connector) = (host.clone(), connector.clone());
        tokio::spawn(async move {
            for number in 1..=messages {
                let activity = counting(&connector, &format!("load{user}"), number);
                let mut attempts = 0;
                while host.read().await.try_post("bot", &activity).await != Some(200) {
                    attempts += 1;
                    assert!(attempts < 1_000, "the host does not come back");
                }
            }
        })
    });
    let users: Vec<_> = users.collect();
    for kill in 1..=kills {
        // The kill comes after a few more replies, so at no particular point of the code.
        connector.calls(kill * CONVERSATIONS * messages / (kills + 1)).await;
        // A write lock would wait for the posts, but the kill must happen during them.
        host.read().await.kill();
        host.write().await.again(None).await;
    }
    for user in users {
        user.await.unwrap();
    }
    for user in 0..CONVERSATIONS {
        let (conversation, last) = (format!("/load{user}/"), messages.to_string());
        let arrived = async {
            while !connector.calls_now().iter().any(|call| call.path.contains(&conversation) && call.text() == last) {
                tokio::task::yield_now().await;
            }
        };
        within("the last reply of each conversation", arrived).await;
        check(&connector, &format!("load{user}"), messages, kills);
    }
    println!("{kills} kills under load, {} messages", CONVERSATIONS * messages);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialog_goes_on_after_a_kill() {
    let Some(mut host) = start().await else { return };
    let say = |text: &str| {
        let mut activity = message(text);
        activity["conversation"]["id"] = "c".into();
        activity["deliveryMode"] = "expectReplies".into();
        activity
    };
    let steps = json!({ "steps": [
        { "kind": "prompt", "quiet": true, "data": { "kind": "number", "prompt": "How many?" } }, { "kind": "done" }
    ] });
    let asked = host.post("bot", &say(&format!("begin script {steps}"))).await.replies();
    assert_eq!(asked[0]["text"], "How many?");
    host.again(None).await;
    let replies = host.post("bot", &say("four")).await.replies();
    assert_eq!(replies[0]["text"], r#"script resume {"from":"prompt","reason":"completed","result":4}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redelivery_after_a_kill_gets_the_stored_answer() {
    let Some(mut host) = start().await else { return };
    let mut counts = message("add user count");
    counts["deliveryMode"] = "expectReplies".into();
    let first = host.post("bot", &counts).await;
    assert_eq!(first.replies()[0]["text"], "1");
    host.again(None).await;
    let again = host.post("bot", &counts).await;
    assert_eq!(again.text, first.text, "the same answer, from the store");
    // An invoke that no plugin answers gives 501 before and after the crash.
    let mut invoke = message("");
    (invoke["type"], invoke["name"]) = ("invoke".into(), "nothing".into());
    assert_eq!(host.post("bot", &invoke).await.status, 501);
    host.again(None).await;
    assert_eq!(host.post("bot", &invoke).await.status, 501);
}

/// A caller that got no response sends again. It gets the one answer, and the turn has its effect once.
#[tokio::test(flavor = "multi_thread")]
async fn an_invoke_or_expect_replies_killed_amid_its_turn_runs_once_when_it_comes_again() {
    let expecting = |number: usize| {
        let mut activity = message("add conversation count");
        activity["id"] = format!("e{number}").into();
        activity["deliveryMode"] = "expectReplies".into();
        activity
    };
    let invoke = |number: usize| {
        let mut activity = message("add conversation count");
        (activity["type"], activity["name"], activity["id"]) =
            ("invoke".into(), "obey".into(), format!("i{number}").into());
        activity["value"] = json!({ "number": number });
        activity
    };
    let Some(mut host) = start().await else { return };
    let connector = Connector::start().await;
    let mut kills = 0;
    for point in ["accept", "accepted", "commit", "committed"] {
        for mut activity in [expecting(kills), invoke(kills)] {
            activity["conversation"]["id"] = "c".into();
            activity["serviceUrl"] = connector.service_url().into();
            host.again(Some(&format!("{point}:1"))).await;
            assert_eq!(host.try_post("bot", &activity).await, None, "{point}: the host is gone");
            kills += 1;
            host.again(None).await;
            let first = host.post("bot", &activity).await;
            match activity["type"].as_str() {
                Some("invoke") => assert_eq!((first.status, first.json()), (200, activity["value"].clone()), "{point}"),
                _ => assert_eq!(first.replies()[0]["text"], kills.to_string(), "{point}"),
            }
            let again = host.post("bot", &activity).await;
            assert_eq!((again.status, again.text), (first.status, first.text), "{point}: the stored answer");
        }
    }
    let mut question = message("get conversation count");
    question["conversation"]["id"] = "c".into();
    question["deliveryMode"] = "expectReplies".into();
    assert_eq!(host.post("bot", &question).await.replies()[0]["text"], kills.to_string(), "each counted once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_another_activity_runs_another_time() {
    let Some(host) = start().await else { return };
    let count = async |activity: &Value| {
        let mut activity = activity.clone();
        activity["deliveryMode"] = "expectReplies".into();
        host.post("bot", &activity).await.replies()[0]["text"].as_str().unwrap().to_owned()
    };
    let mut first = message("add user count");
    assert_eq!(count(&first).await, "1");
    // The same id with another body is the same message for a channel.
    first["text"] = "add user count\nadd user count".into();
    assert_eq!(count(&first).await, "1");
    // Without an id the host cannot detect the redelivery, so the turn runs again.
    first.as_object_mut().unwrap().remove("id");
    first["text"] = "add user count".into();
    assert_eq!(count(&first).await, "2");
    assert_eq!(count(&first).await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_bots_in_one_group_each_get_the_activity() {
    let config = Config::new().bot("one", &[]).plugin("one", "scripted", GRANTS);
    let Some(host) = Host::start(config.bot("two", &[]).plugin("two", "scripted", GRANTS)).await else { return };
    let mut said = message("add user count");
    said["deliveryMode"] = "expectReplies".into();
    for bot in ["one", "two"] {
        assert_eq!(host.post(bot, &said).await.replies()[0]["text"], "1", "{bot}");
        assert_eq!(host.post(bot, &said).await.replies()[0]["text"], "1", "{bot}: a redelivery");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_channel_did_not_take_is_delivered_after_a_restart() {
    let Some(mut host) = start().await else { return };
    let connector = Connector::start().await;
    // The connector does not answer, so the row stays in the outbox until the host is killed.
    connector.plan(crate::support::Behaviour::Stall);
    assert_eq!(host.post("bot", &counting(&connector, "c", 1)).await.status, 200);
    assert_eq!(host.post("bot", &counting(&connector, "c", 2)).await.status, 200);
    connector.calls(1).await;
    host.again(None).await;
    let calls = connector.calls(3).await;
    let texts: Vec<&str> = calls.iter().map(|call| call.text()).collect();
    assert_eq!(texts, ["1", "1", "2"], "in order; what was under way when the host died is sent again");
}
