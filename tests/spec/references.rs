//! References: the conversations that a bot has met, their addresses, and those that are gone.

use serde_json::{Value, json};

use super::notify::{GRANTS, ended, notify, said, say, start, text, texts, to_c};
use crate::support::{Behaviour, Config, Connector, Host};

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_met_where_they_were_heard_last() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    for conversation in ["c1", "c2"] {
        let mut activity = said(&connector, "hi");
        activity["conversation"]["id"] = conversation.into();
        assert_eq!(host.post("bot", &activity).await.status, 200);
    }
    let mut body = text("for Ann");
    body["target"] = json!({ "channel": "test", "user": "ann" });
    assert_eq!(notify(&host, &body).await.status, 200);
    let call = connector.calls(3).await[2].clone();
    assert_eq!(call.path, "/v3/conversations/c2/activities");
    assert_eq!(
        (&call.body["recipient"]["id"], &call.body["replyToId"]),
        (&json!("ann"), &Value::Null),
        "{:#}",
        call.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_conversations_that_a_bot_has_met_are_reached() {
    let config = Config::new().bot("bot", &[]).plugin("bot", "scripted", GRANTS);
    let Some(host) = Host::start(config.bot("other", &[]).plugin("other", "scripted", GRANTS)).await else { return };
    let connector = Connector::start().await;
    let unknown = notify(&host, &to_c("now", &text("hello?"))).await;
    assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (404, &json!("UnknownConversation")));
    say(&host, &connector, "hi").await;
    let foreign = host.admin("POST", "/v1/bots/other/notifications", to_c("now", &text("x")).to_string().into_bytes());
    assert_eq!(foreign.await.status, 404, "another bot's conversation");
    for wrong in [
        json!({}),
        json!({ "target": { "channel": "test" } }),
        to_c("soon", &text("x")),
        to_c("now", &json!({})),
        to_c("now", &json!({ "activity": 1 })),
        to_c("interrupt", &json!({ "dialog": "script" })),
    ] {
        assert_eq!(notify(&host, &wrong).await.status, 400, "{wrong}");
    }
    // After the bot is removed, the conversation and its pending notifications are deleted.
    let mut later = to_c("now", &text("too late"));
    later["at"] = "2999-01-01T00:00:00Z".into();
    assert_eq!(notify(&host, &later).await.status, 202);
    let mut removed = said(&connector, "");
    removed["type"] = "conversationUpdate".into();
    removed["membersRemoved"] = json!([{ "id": "bot" }]);
    assert_eq!(host.post("bot", &removed).await.status, 200);
    assert_eq!(notify(&host, &to_c("now", &text("hello?"))).await.status, 404);
    assert_eq!(host.admin("GET", "/v1/bots/bot/notifications", Vec::new()).await.json(), json!([]));
}

/// The host uses the stored address, and marks a conversation as gone if the channel does not know it any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_is_gone_is_not_asked_again_until_it_speaks() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, "hi").await;
    connector.calls(1).await;
    connector.plan(Behaviour::Status(404));
    let gone = notify(&host, &to_c("now", &text("one"))).await;
    assert_eq!((gone.status, &gone.json()["error"]["code"]), (410, &json!("ConversationGone")), "{}", gone.text);
    let again = notify(&host, &to_c("now", &text("two"))).await;
    assert_eq!(again.status, 410);
    assert_eq!(connector.calls(2).await.len(), 2, "the channel was not asked again");
    let listed = host.admin("GET", "/v1/bots/bot/references", Vec::new()).await.json();
    assert!(listed[0]["gone"].is_string(), "{listed:#}");
    say(&host, &connector, "back").await;
    assert_eq!(notify(&host, &to_c("now", &text("three"))).await.status, 200);
    let path = "/v1/bots/bot/references?channel=test&conversation=c";
    assert_eq!(host.admin("DELETE", path, Vec::new()).await.status, 200);
    assert_eq!(notify(&host, &to_c("now", &text("four"))).await.status, 404);
}

/// In a group the bot meets each user who speaks. A new name of the group is not a message of a user.
#[tokio::test(flavor = "multi_thread")]
async fn every_user_of_a_group_can_be_told() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    let mut ben = said(&connector, "hi");
    ben["from"]["id"] = "ben".into();
    say(&host, &connector, "hi").await;
    assert_eq!(host.post("bot", &ben).await.status, 200);
    let mut renamed = said(&connector, "");
    (renamed["type"], renamed["topicName"]) = ("conversationUpdate".into(), "new".into());
    assert_eq!(host.post("bot", &renamed).await.status, 200);
    for user in ["ann", "ben"] {
        let mut body = text(&format!("to {user}"));
        (body["target"], body["mode"]) = (json!({ "channel": "test", "user": user }), "now".into());
        assert_eq!(notify(&host, &body).await.status, 200);
    }
    assert_eq!(texts(&connector, 5).await[3..], ["to ann", "to ben"]);
    let listed = host.admin("GET", "/v1/bots/bot/references?channel=test&user=ann", Vec::new()).await.json();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["user"]), (1, &json!("ben")), "heard last: {listed:#}");
    assert_eq!(host.admin("GET", "/v1/bots/bot/references?user=zoe", Vec::new()).await.json(), json!([]));
}

/// A bot that is removed and added again within a minute meets the conversation again. An upgrade of its app removes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_is_added_again_is_met_again() {
    let config = Config::new().set("storage.path", "'store'").bot("bot", &[]).plugin("bot", "scripted", GRANTS);
    let Some(host) = Host::start(config).await else { return };
    let connector = Connector::start().await;
    let installation = async |action: &str| {
        let mut update = said(&connector, "");
        (update["type"], update["action"]) = ("installationUpdate".into(), action.into());
        assert_eq!(host.post("bot", &update).await.status, 200);
    };
    say(&host, &connector, "hi").await;
    installation("remove-upgrade").await;
    assert_eq!(notify(&host, &to_c("now", &text("one"))).await.status, 200);
    installation("remove").await;
    assert_eq!(notify(&host, &to_c("now", &text("two"))).await.status, 404);
    say(&host, &connector, "back").await;
    assert_eq!(notify(&host, &to_c("now", &text("three"))).await.status, 200);
}

/// An activity with an address that is not allowed does not replace the stored address.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_url_that_turns_evil_is_not_kept() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, "hi").await;
    for (evil, status) in [
        ("https://evil.example/", 200),
        (&*host.url("/"), 200),
        ("http://user:pass@127.0.0.1/", 400),
        ("ftp://127.0.0.1/", 400),
    ] {
        let mut activity = said(&connector, "");
        (activity["type"], activity["serviceUrl"]) = ("typing".into(), evil.into());
        assert_eq!(host.post("bot", &activity).await.status, status, "{evil}");
    }
    let listed = host.admin("GET", "/v1/bots/bot/references", Vec::new()).await.json();
    assert_eq!(listed[0]["service_url"], connector.service_url());
    assert_eq!(notify(&host, &to_c("now", &text("still here"))).await.status, 200);
    let moved = Connector::start().await;
    say(&host, &moved, "from elsewhere").await;
    assert_eq!(notify(&host, &to_c("now", &text("followed"))).await.status, 200);
    assert_eq!(moved.calls(2).await[1].text(), "followed");
}

/// A notification that waited while the conversation was found to be gone does not call the channel either.
#[tokio::test(flavor = "multi_thread")]
async fn what_waited_leaves_a_conversation_alone_that_is_gone() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, "hi").await;
    connector.calls(1).await;
    connector.plan(Behaviour::Status(400));
    assert_eq!(notify(&host, &to_c("now", &text("dead"))).await.status, 502);
    assert_eq!(host.admin("POST", "/v1/bots/bot/disable", Vec::new()).await.status, 200);
    let waits = notify(&host, &to_c("now", &text("later"))).await;
    assert_eq!(waits.status, 202, "{}", waits.text);
    connector.plan(Behaviour::Status(404));
    let letters = host.admin("GET", "/v1/bots/bot/dead-letters", Vec::new()).await.json();
    let retry = format!("/v1/bots/bot/dead-letters/{}/retry", letters[0]["sequence"]);
    assert_eq!(host.admin("POST", &retry, Vec::new()).await.status, 200);
    let is_gone = async || {
        let listed = host.admin("GET", "/v1/bots/bot/references", Vec::new()).await.json();
        listed[0]["gone"].is_string()
    };
    let mut looks = 0;
    while !is_gone().await {
        looks += 1;
        assert!(looks < 2_000, "the conversation is never gone");
    }
    assert_eq!(host.admin("POST", "/v1/bots/bot/enable", Vec::new()).await.status, 200);
    let id = waits.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(ended(&host, &id).await, "failed");
    assert_eq!(connector.calls(3).await.len(), 3);
}
