//! New conversations with users that a bot has met.

use serde_json::json;

use super::notify::{GRANTS, asks, notify, said, say, start, text, texts, to_c};
use crate::support::{Behaviour, Config, Connector, Host};

/// The host creates a new conversation through the user's channel and stores it like one that the user opened.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_conversation_with_a_known_user() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    let mut first = said(&connector, "hi");
    first["conversation"]["tenantId"] = "t".into();
    assert_eq!(host.post("bot", &first).await.status, 200);
    connector.calls(1).await;
    let mut body = text("just us");
    body["target"] = json!({ "channel": "test", "user": "ann", "new": true });
    let answer = notify(&host, &body).await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("delivered")), "{}", answer.text);
    let calls = connector.calls(3).await;
    assert_eq!((calls[1].method.as_str(), calls[1].path.as_str()), ("POST", "/v3/conversations"));
    let asked = &calls[1].body;
    assert_eq!(
        (&asked["isGroup"], &asked["members"][0]["id"], &asked["tenantId"]),
        (&json!(false), &json!("ann"), &json!("t"))
    );
    assert_eq!((&asked["bot"], &asked["channelData"]["tenant"]["id"]), (&first["recipient"], &json!("t")));
    assert_eq!((calls[2].path.as_str(), calls[2].text()), ("/v3/conversations/channel-2/activities", "just us"));
    assert_eq!(
        (&calls[2].body["conversation"]["id"], &calls[2].body["recipient"]["id"]),
        (&json!("channel-2"), &json!("ann"))
    );
    // It is now the user's most recent conversation.
    body["target"] = json!({ "channel": "test", "user": "ann" });
    assert_eq!(notify(&host, &body).await.status, 200);
    assert_eq!(connector.calls(4).await[3].path, "/v3/conversations/channel-2/activities");
    // A dialog can begin and continue there.
    let mut dialog = asks("Sell?");
    dialog["target"] = json!({ "channel": "test", "user": "ann", "new": true });
    assert_eq!(notify(&host, &dialog).await.status, 200);
    let mut yes = said(&connector, "yes");
    yes["conversation"]["id"] = "channel-5".into();
    assert_eq!(host.post("bot", &yes).await.status, 200);
    assert_eq!(texts(&connector, 7).await[5..], ["Sell?", "script continue \"yes\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_the_channel_does_not_open() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, "hi").await;
    connector.calls(1).await;
    let mut body = text("just us");
    body["target"] = json!({ "channel": "test", "user": "ann", "new": true });
    for (behaviour, status, code) in [
        (Behaviour::Status(403), 410, "ConversationGone"),
        (Behaviour::Status(400), 502, "DeliveryFailed"),
        (Behaviour::Status(500), 502, "DeliveryFailed"),
        (Behaviour::Garbage, 502, "DeliveryFailed"),
        (Behaviour::TakeWithoutId, 502, "DeliveryFailed"),
        (Behaviour::Throttle(7), 429, "Throttled"),
    ] {
        connector.plan(behaviour.clone());
        let answer = notify(&host, &body).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (status, &json!(code)), "{behaviour:?}");
    }
    for (target, status) in [
        (json!({ "channel": "test", "user": "nobody", "new": true }), 404),
        (json!({ "channel": "test", "conversation": "c", "new": true }), 400),
        (json!({ "channel": "test", "user": "ann", "now": true }), 400),
    ] {
        body["target"] = target;
        assert_eq!(notify(&host, &body).await.status, status, "{body}");
    }
    assert_eq!(connector.calls_now().len(), 7, "nothing was said");
    let met = host.admin("GET", "/v1/bots/bot/references", Vec::new()).await.json();
    assert_eq!(met.as_array().unwrap().len(), 1, "{met:#}");
    // On the local channel only users open conversations.
    host.bot("bot").says("hi").replies("heard: hi").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_opens_one_conversation() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, "hi").await;
    connector.calls(1).await;
    let mut body = text("once");
    body["target"] = json!({ "channel": "test", "user": "ann", "new": true });
    let send = async || {
        let headers = [("idempotency-key", "k")];
        host.admin_with("POST", "/v1/bots/bot/notifications", &headers, body.to_string().into_bytes()).await
    };
    let at_once = futures_util::future::join_all((0..4).map(|_| send())).await;
    assert!(at_once.iter().all(|answer| matches!(answer.status, 200 | 202 | 409)), "{:?}", at_once[0].text);
    assert!(at_once.iter().any(|answer| answer.status == 200));
    assert_eq!(send().await.status, 200);
    let opened = connector.calls_now().iter().filter(|call| call.path == "/v3/conversations").count();
    assert_eq!((opened, texts(&connector, 3).await.iter().filter(|text| **text == "once").count()), (1, 1));
}

/// A caller that got 429 sends again with the same key, and the notification is delivered.
#[tokio::test(flavor = "multi_thread")]
async fn what_found_no_room_is_not_taken_for_known() {
    let config = Config::new().set("server.turns-queued-per-conversation-max", "1").bot("bot", &[]);
    let Some(mut host) = Host::start(config.plugin("bot", "scripted", GRANTS)).await else { return };
    let connector = Connector::start().await;
    let go_on = host.stall_at("commit:2").await;
    say(&host, &connector, "hi").await;
    let (slow, first, second) = (said(&connector, "slow"), to_c("now", &text("first")), to_c("now", &text("second")));
    let with_key = async || {
        let key = [("idempotency-key", "k")];
        host.admin_with("POST", "/v1/bots/bot/notifications", &key, second.to_string().into_bytes()).await
    };
    let full = async {
        host.logged("the store stalls").await;
        let refused = async {
            host.turns_queued(2).await;
            let refused = with_key().await;
            std::fs::write(&go_on, "").unwrap();
            refused
        };
        tokio::join!(notify(&host, &first), refused).1
    };
    let (_, refused) = tokio::join!(host.post("bot", &slow), full);
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (429, &json!("Throttled")), "{}", refused.text);
    assert_eq!(texts(&connector, 3).await, ["heard: hi", "heard: slow", "first"]);
    let again = with_key().await;
    assert_eq!((again.status, &again.json()["status"]), (200, &json!("delivered")), "{}", again.text);
    assert_eq!(texts(&connector, 4).await.last().unwrap(), "second");
}
