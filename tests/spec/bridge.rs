//! Bridged bots: a bot of another SDK is the last handler of a bot, and the host is its channel and its connector.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use crate::support::old_bot::{Heard, OldBot, answer, status};
use crate::support::{Behaviour, Config, Connector, Host, expecting_replies, message, within};

const CONVERSATIONS: &str = "grants = { conversations = true }";

/// A bot that replies `Old: TEXT`.
async fn echo(heard: Heard) -> axum::response::Response {
    if heard.activity["type"] == "message" {
        heard.reply(&format!("Old: {}", heard.text())).await;
    }
    status(200)
}

/// Starts a host with one bot, which is bridged to this one.
async fn host(old: &OldBot, more: &str) -> Host {
    Host::start(Config::new().bot("bot", &[]).entry(&old.entry("bot", more))).await.unwrap()
}

fn texts(replies: &[Value]) -> Vec<&str> {
    replies.iter().map(|reply| reply["text"].as_str().unwrap_or_default()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bridged_bot_gets_the_activity_as_it_came_but_for_the_service_url() {
    let old = OldBot::start(echo).await;
    let (host, connector) = (host(&old, "").await, Connector::start().await);
    let mut activity = connector.message("hi");
    activity["channelData"] = json!({ "tenant": { "id": "t" }, "number": 12_345_678_901_234_567_890_u64 });
    assert_eq!(host.post("bot", &activity).await.status, 200);
    let heard = &old.heard(1).await[0];
    let service_url = heard["serviceUrl"].as_str().unwrap();
    assert!(service_url.starts_with(&host.url("/api/bots/bot/bridge/")), "{service_url}");
    for (member, value) in activity.as_object().unwrap().iter().filter(|(member, _)| *member != "serviceUrl") {
        assert_eq!(heard[member], *value, "{member}");
    }
    let call = &connector.calls(1).await[0];
    assert_eq!(call.text(), "Old: hi");
    assert_eq!(call.body["replyToId"], activity["id"]);
    assert_eq!(call.body["serviceUrl"], connector.service_url(), "the channel does not learn of the bridge");
    let record = host.last_turn("bot").await;
    assert_eq!(record["calls"][0]["plugin"], "bridge");
    assert_eq!(record["calls"][0]["outcome"], "handled");
    let status = host.status("bot").await;
    assert_eq!(status["plugins"][0]["source"], "bridge", "{status:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_come_first_and_their_dialogs_too() {
    let old = OldBot::start(echo).await;
    let config = Config::new().bot("bot", &[]).plugin("bot", "help", "settings.text = 'Help!'");
    let config = config.plugin("bot", "travel", "grants = { state = ['user'], dialogs = true }");
    let Some(host) = Host::start(config.entry(&old.entry("bot", ""))).await else { return };
    host.bot("bot").says("help").replies("Help!").says("hi").replies("Old: hi").await;
    let asks = |activity: &Value| activity["text"].as_str().is_some_and(|text| !text.starts_with("Old:"));
    host.bot("bot").says("hi").replies("Old: hi").says("book").replies_with("a question", asks).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_leave_in_the_answer_where_the_caller_expects_them_and_typing_too() {
    let old = OldBot::start(|heard: Heard| async move {
        heard.call("POST", &format!("{}/activities", heard.conversation()), Some(&json!({ "type": "typing" }))).await;
        let first = heard.reply("one").await;
        assert_eq!(first.status, 201, "{}", first.text);
        let id = first.json()["id"].as_str().unwrap().to_owned();
        heard.reply("two").await;
        let three = heard.reply("three").await.json()["id"].as_str().unwrap().to_owned();
        let path = |id: &str| format!("{}/activities/{id}", heard.conversation());
        let update = heard.call("PUT", &path(&id), Some(&heard.message("one, corrected"))).await;
        assert_eq!((update.status, update.json()["id"].as_str()), (200, Some(&*id)));
        assert_eq!(heard.call("DELETE", &path(&three), None).await.status, 200);
        status(200)
    })
    .await;
    let host = host(&old, "").await;
    let replies = host.post("bot", &expecting_replies(message("hi"))).await.replies();
    assert_eq!(texts(&replies), ["", "one, corrected", "two"], "{replies:#?}");
    assert_eq!(old.heard(1).await[0].get("deliveryMode"), None, "the bridged bot speaks through the connector");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoke_gets_the_answer_of_the_bridged_bot() {
    let old = OldBot::start(|heard: Heard| async move {
        match heard.activity["name"].as_str().unwrap() {
            "known" => answer(200, &json!({ "echo": heard.activity["value"] })),
            "conflict" => answer(409, &json!({ "error": "no" })),
            "unknown" => status(501),
            "html" => answer(200, &json!("x")).map(|_| axum::body::Body::from("<html>")),
            "huge" => answer(200, &json!("x".repeat(300 << 10))),
            _ => status(500),
        }
    })
    .await;
    let host = host(&old, "").await;
    let mut invoke = message("");
    invoke["type"] = "invoke".into();
    invoke["value"] = json!({ "a": 1 });
    for (name, code, body) in [
        ("known", 200, json!({ "echo": { "a": 1 } })),
        ("conflict", 409, json!({ "error": "no" })),
        ("unknown", 501, Value::Null),
    ] {
        (invoke["name"], invoke["id"]) = (name.into(), name.into());
        let got = host.post("bot", &invoke).await;
        assert_eq!((got.status, got.json()), (code, body), "{name}");
    }
    for (name, why) in [("html", "not JSON"), ("huge", "bytes-per-send"), ("crash", "answered 500")] {
        (invoke["name"], invoke["id"]) = (name.into(), name.into());
        let got = host.post("bot", &invoke).await;
        assert_eq!((got.status, &got.json()["error"]["code"]), (500, &json!("BotError")), "{name}");
        let record = host.last_turn("bot").await;
        let error = record["calls"][0]["error"].as_str().unwrap_or_default();
        assert!(error.contains(why), "{name}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_undoes_what_was_staged_and_follows_the_policy() {
    let crash = |heard: Heard| async move {
        heard.reply("half an answer").await;
        status(500)
    };
    let old = OldBot::start(crash).await;
    let strict = host(&old, "").await;
    let replies = strict.post("bot", &expecting_replies(message("hi"))).await.replies();
    assert_eq!(replies.len(), 1, "{replies:#?}");
    assert!(replies[0]["text"].as_str().unwrap().contains("something went wrong"), "{replies:#?}");
    let old = OldBot::start(crash).await;
    let lenient = host(&old, "on-failure = 'continue'").await;
    assert_eq!(lenient.post("bot", &expecting_replies(message("hi"))).await.replies(), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_does_not_answer_in_time_is_late_but_heard() {
    let (go, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (going, releasing) = (go.clone(), release.clone());
    let old = OldBot::start(move |heard: Heard| {
        let (go, release) = (going.clone(), releasing.clone());
        // In a task of its own, because the request ends with its caller's patience.
        tokio::spawn(async move {
            go.notified().await;
            let late = heard.reply("late").await;
            assert_eq!(late.status, 201, "{}", late.text);
            release.notify_one();
        });
        std::future::pending()
    })
    .await;
    let (host, connector) = (host(&old, "limits.wall-ms = 300\nlimits.cpu-ms = 100").await, Connector::start().await);
    let activity = connector.message("hi");
    assert_eq!(host.post("bot", &activity).await.status, 200);
    assert!(connector.calls(1).await[0].text().contains("something went wrong"));
    go.notify_one();
    within("the late reply", release.notified()).await;
    let calls = connector.calls(2).await;
    assert_eq!(calls[1].text(), "late");
    assert_eq!(calls[1].body["replyToId"], activity["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_reply_never_gets_into_a_later_turn() {
    let first = Arc::new(std::sync::Mutex::new(None::<Heard>));
    let kept = first.clone();
    let old = OldBot::start(move |heard: Heard| {
        let kept = kept.clone();
        async move {
            let earlier = kept.lock().unwrap().replace(heard.clone());
            if let Some(earlier) = earlier {
                // In the turn of the second message.
                let late = earlier.reply("to the first").await;
                assert_eq!(late.status, 201, "{}", late.text);
                heard.reply("to the second").await;
            }
            status(200)
        }
    })
    .await;
    let (host, connector) = (host(&old, "").await, Connector::start().await);
    let one = connector.message("1");
    let mut two = connector.message("2");
    two["conversation"] = one["conversation"].clone();
    assert_eq!(host.post("bot", &one).await.status, 200);
    assert_eq!(host.post("bot", &two).await.status, 200);
    let calls = connector.calls(2).await;
    let said: Vec<_> = calls.iter().map(|call| (call.text(), &call.body["replyToId"])).collect();
    assert_eq!(said, [("to the second", &two["id"]), ("to the first", &one["id"])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_that_are_under_way_when_the_bot_answers_belong_to_the_turn() {
    let old = OldBot::start(|heard: Heard| async move {
        tokio::spawn(async move { heard.reply("after the answer").await });
        status(202)
    })
    .await;
    let host = host(&old, "bridge-settle-ms = 5000").await;
    let pending = tokio::spawn(async move { host.post("bot", &expecting_replies(message("hi"))).await.replies() });
    let replies = within("the answer", pending).await.unwrap();
    assert_eq!(texts(&replies), ["after the answer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn proactive_sends_updates_and_deletions_survive_a_restart() {
    let (sender, mut met) = mpsc::channel(8);
    let old = OldBot::start(move |heard: Heard| {
        let sender = sender.clone();
        async move {
            sender.send(heard).await.unwrap();
            status(200)
        }
    })
    .await;
    let mut config = Config::new().bot("bot", &[]).entry(&old.entry("bot", ""));
    // The bridged bot keeps the `serviceUrl`, so the host must come back at the same address.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    config = config.set("server.listen", &format!("'{free}'"));
    let (mut host, connector) = (Host::start(config).await.unwrap(), Connector::start().await);
    assert_eq!(host.post("bot", &connector.message("hi")).await.status, 200);
    let heard = met.recv().await.unwrap();
    host.again(None).await;
    let sent = heard.reply("proactive").await;
    assert_eq!(sent.status, 201, "{}", sent.text);
    let id = sent.json()["id"].as_str().unwrap().to_owned();
    let path = format!("{}/activities/{id}", heard.conversation());
    assert_eq!(heard.call("PUT", &path, Some(&heard.message("changed"))).await.status, 200);
    assert_eq!(heard.call("DELETE", &path, None).await.status, 200);
    let calls = connector.calls(3).await;
    let methods: Vec<_> = calls.iter().map(|call| call.method.as_str()).collect();
    assert_eq!(methods, ["POST", "PUT", "DELETE"]);
    assert!(calls[1].path.ends_with("/channel-1") && calls[2].path.ends_with("/channel-1"), "{calls:#?}");
    assert_eq!(calls[1].text(), "changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bridged_bot_may_not_do_gets_a_clear_error_and_is_not_sent() {
    let (sender, mut met) = mpsc::channel(8);
    let old = OldBot::start(move |heard: Heard| {
        let sender = sender.clone();
        async move {
            sender.send(heard).await.unwrap();
            status(200)
        }
    })
    .await;
    let (host, connector) = (host(&old, "").await, Connector::start().await);
    assert_eq!(host.post("bot", &connector.message("hi")).await.status, 200);
    let heard = met.recv().await.unwrap();
    let hi = heard.message("hi");
    let code = |answer: &crate::support::Answer| answer.json()["error"]["code"].as_str().unwrap().to_owned();
    let unmet = heard.call("POST", "/v3/conversations/never-met/activities", Some(&hi)).await;
    assert_eq!((unmet.status, code(&unmet).as_str()), (404, "ConversationNotFound"));
    let own = heard.conversation();
    for (method, path, body, status, wanted) in [
        ("POST", format!("{own}/activities"), json!([]), 400, "BadArgument"),
        ("POST", format!("{own}/activities"), json!({ "text": "no type" }), 400, "BadArgument"),
        ("POST", format!("{own}/activities"), json!({ "type": "invokeResponse" }), 400, "BadArgument"),
        ("PUT", format!("{own}/activities/tt-unknown"), hi.clone(), 404, "ActivityNotFoundInConversation"),
        (
            "POST",
            format!("{own}/activities"),
            json!({ "type": "message", "text": "x".repeat(300 << 10) }),
            413,
            "MessageSizeTooBig",
        ),
        ("GET", format!("{own}/members"), Value::Null, 403, "Forbidden"),
        ("POST", "/v3/conversations".to_owned(), json!({}), 403, "Forbidden"),
    ] {
        let got = heard.call(method, &path, (!body.is_null()).then_some(&body)).await;
        assert_eq!((got.status, code(&got).as_str()), (status, wanted), "{method} {path}: {}", got.text);
    }
    let mut forged = heard.clone();
    let service_url = forged.activity["serviceUrl"].as_str().unwrap();
    let forged_url = format!("{}AAAA", &service_url[..service_url.len() - 4]);
    forged.activity["serviceUrl"] = forged_url.into();
    assert_eq!(forged.reply("hi").await.status, 404);
    assert_eq!(connector.calls_now().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_with_an_app_id_gets_tokens_that_the_host_signs() {
    let (sender, mut met) = mpsc::channel(8);
    let old = OldBot::start(move |heard: Heard| {
        let sender = sender.clone();
        async move {
            sender.send(heard).await.unwrap();
            status(200)
        }
    })
    .await;
    let host = host(&old, "bridge-app-id = 'old-app'").await;
    assert_eq!(host.post("bot", &expecting_replies(message("hi"))).await.status, 200);
    let heard = met.recv().await.unwrap();
    let token = heard.authorization.strip_prefix("Bearer ").unwrap();
    let part = |number: usize| {
        let part = token.split('.').nth(number).unwrap();
        serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let base = host.url("/api/bots/bot/bridge");
    assert_eq!((&part(1)["iss"], &part(1)["aud"]), (&json!(base), &json!("old-app")));
    assert_eq!(part(1)["serviceurl"], heard.activity["serviceUrl"]);
    let metadata = heard.get(&format!("{base}/.well-known/openid-configuration")).await.json();
    assert_eq!((&metadata["issuer"], &metadata["jwks_uri"]), (&json!(base), &json!(format!("{base}/keys"))));
    let keys = heard.get(&format!("{base}/keys")).await.json();
    assert_eq!(keys["keys"][0]["kid"], part(0)["kid"], "{keys:#}");
    assert!(keys["keys"][0].get("d").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn members_and_new_conversations_are_those_of_the_channel() {
    let (sender, mut met) = mpsc::channel(8);
    let old = OldBot::start(move |heard: Heard| {
        let sender = sender.clone();
        async move {
            sender.send(heard).await.unwrap();
            status(200)
        }
    })
    .await;
    let (host, connector) = (host(&old, CONVERSATIONS).await, Connector::start().await);
    assert_eq!(host.post("bot", &connector.message("hi")).await.status, 200);
    let heard = met.recv().await.unwrap();
    let members = json!([{ "id": "user" }, { "id": "bot" }]).to_string();
    connector.plan(Behaviour::Answer(200, "application/json", "", members.clone().into_bytes()));
    let got = heard.call("GET", &format!("{}/members", heard.conversation()), None).await;
    assert_eq!((got.status, got.text), (200, members));
    connector.plan(Behaviour::Answer(404, "text/html", "", b"<html>".to_vec()));
    let got = heard.call("GET", "/v3/teams/19%3Ateam/conversations?x=1", None).await;
    assert_eq!((got.status, got.text.as_str()), (404, "<html>"));
    let calls = connector.calls(2).await;
    assert_eq!(calls[1].path, "/v3/teams/19%3Ateam/conversations");
    connector.plan(Behaviour::Answer(201, "application/json", "", br#"{"id":"new/one","activityId":"a1"}"#.to_vec()));
    let parameters = json!({ "isGroup": false, "bot": { "id": "bot" }, "members": [{ "id": "ben" }] });
    let opened = heard.call("POST", "/v3/conversations", Some(&parameters)).await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    let opened = opened.json();
    assert_eq!((&opened["id"], &opened["activityId"]), (&json!("new/one"), &json!("a1")));
    assert_eq!(opened["serviceUrl"], heard.activity["serviceUrl"], "the host stays between the bot and the channel");
    let hello = json!({ "type": "message", "text": "hello Ben" });
    let sent = heard.call("POST", "/v3/conversations/new%2Fone/activities", Some(&hello)).await;
    assert_eq!(sent.status, 201, "{}", sent.text);
    let calls = connector.calls(4).await;
    assert_eq!(calls[3].path, "/v3/conversations/new%2Fone/activities");
    assert_eq!((calls[3].text(), &calls[3].body["recipient"]["id"]), ("hello Ben", &json!("ben")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_while_the_bridged_bot_is_down_is_handled_in_order_once_it_is_back() {
    const MESSAGES: usize = 12;
    let dying = Arc::new(AtomicUsize::new(0));
    let counted = dying.clone();
    let old = OldBot::start(move |heard: Heard| {
        let counted = counted.clone();
        async move {
            heard.reply(heard.text()).await;
            // Goes away in the middle of the fourth turn, after its reply.
            if counted.fetch_add(1, Ordering::SeqCst) >= 3 {
                std::panic::resume_unwind(Box::new("the bridged bot dies"));
            }
            status(200)
        }
    })
    .await;
    let config = Config::new().set("server.acknowledge-ms", "50").bot("bot", &[]).entry(&old.entry("bot", ""));
    let (host, connector) = (Host::start(config).await.unwrap(), Connector::start().await);
    let first = connector.message("0");
    let mut taken = 0;
    for number in 0..MESSAGES {
        let mut activity = connector.message(&number.to_string());
        activity["conversation"] = first["conversation"].clone();
        let status = host.post("bot", &activity).await.status;
        assert!(matches!(status, 200 | 202), "{status}");
        taken += usize::from(status == 202);
    }
    assert!(taken > 0, "the channel had its answer long before the bot was back");
    old.heard(5).await;
    let address = old.address;
    drop(old);
    let _back = OldBot::start_at(address, |heard: Heard| async move {
        heard.reply(heard.text()).await;
        status(200)
    })
    .await;
    let calls = connector.calls(MESSAGES).await;
    let said: Vec<_> = calls.iter().map(|call| call.text().to_owned()).collect();
    assert_eq!(said, (0..MESSAGES).map(|number| number.to_string()).collect::<Vec<_>>());
}
