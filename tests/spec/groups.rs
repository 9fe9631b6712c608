//! Groups: which user may answer a question that a notification asks.

use serde_json::{Value, json};

use super::notify::{asks, begin, notify, said, start, texts};
use crate::support::{Connector, Host};

/// Returns a message of a user in the group `c`.
fn said_in_group(connector: &Connector, user: &str, text: &str) -> Value {
    let mut activity = said(connector, text);
    activity["from"]["id"] = user.into();
    activity["conversation"]["isGroup"] = true.into();
    activity
}

/// A host that asks in a group whether something is to be done: through a notification with this target, after Ann and Ben
/// were heard, Ben last.
async fn asks_a_group(target: &Value, content: &Value) -> Option<(Host, Connector)> {
    let host = start().await?;
    let connector = Connector::start().await;
    for user in ["ann", "ben"] {
        assert_eq!(host.post("bot", &said_in_group(&connector, user, "hi")).await.status, 200);
    }
    let mut body = content.clone();
    (body["target"], body["mode"]) = (target.clone(), "interrupt".into());
    let answer = notify(&host, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    Some((host, connector))
}

fn prompts(question: &str) -> Value {
    let prompt = json!({ "kind": "confirm", "prompt": question, "style": "suggested-action" });
    let steps = json!([{ "kind": "prompt", "quiet": true, "data": prompt }, { "kind": "done" }]);
    json!({ "dialog": { "plugin": "scripted", "id": "script" }, "options": { "steps": steps } })
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_group_anyone_answers_what_a_notification_asks_everybody() {
    let to_all = json!({ "channel": "test", "conversation": "c" });
    for (content, answered) in [
        (asks("lunch?"), "script continue \"yes\""),
        (prompts("lunch?"), r#"script resume {"from":"prompt","reason":"completed","result":true}"#),
    ] {
        let Some((host, connector)) = asks_a_group(&to_all, &content).await else { return };
        let asked = connector.calls(3).await;
        if !asked[2].body["suggestedActions"].is_null() {
            assert_eq!(asked[2].body["suggestedActions"]["to"], json!([]), "everybody sees the buttons");
        }
        // The user is not Ben, who spoke last, but one who never spoke before.
        host.post("bot", &said_in_group(&connector, "cem", "yes")).await;
        assert_eq!(texts(&connector, 4).await[2..], ["lunch?", answered]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_group_a_wrong_answer_leaves_the_question_to_everybody() {
    let to_all = json!({ "channel": "test", "conversation": "c" });
    let Some((host, connector)) = asks_a_group(&to_all, &prompts("lunch?")).await else { return };
    for (user, text) in [("cem", "perhaps"), ("ann", "yes")] {
        host.post("bot", &said_in_group(&connector, user, text)).await;
    }
    let resumed = r#"script resume {"from":"prompt","reason":"completed","result":true}"#;
    assert_eq!(texts(&connector, 5).await[2..], ["lunch?", "lunch?", resumed]);
    assert_eq!(connector.calls_now()[3].body["suggestedActions"]["to"], json!([]), "everybody sees the buttons again");
}

/// A repeated question is for the same user as before, whoever answered the interruption.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_group_a_question_that_comes_again_is_for_whom_it_was() {
    let to_ann = json!({ "channel": "test", "user": "ann" });
    let Some((host, connector)) = asks_a_group(&to_ann, &prompts("your lunch?")).await else { return };
    let mut to_all = prompts("all?");
    (to_all["target"], to_all["mode"]) = (json!({ "channel": "test", "conversation": "c" }), "interrupt".into());
    assert_eq!(notify(&host, &to_all).await.status, 200);
    host.post("bot", &said_in_group(&connector, "ben", "yes")).await;
    let resumed = r#"script resume {"from":"prompt","reason":"completed","result":true}"#;
    assert_eq!(texts(&connector, 6).await[2..], ["your lunch?", "all?", resumed, "your lunch?"]);
    let again = &connector.calls_now()[5].body;
    assert_eq!((&again["recipient"]["id"], &again["suggestedActions"]["to"]), (&json!("ann"), &json!(["ann"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_group_only_the_user_answers_whom_a_notification_is_for() {
    let to_ann = json!({ "channel": "test", "user": "ann" });
    let Some((host, connector)) = asks_a_group(&to_ann, &prompts("your lunch?")).await else { return };
    let asked = connector.calls(3).await;
    assert_eq!(asked[2].body["recipient"]["id"], "ann", "though Ben was heard last");
    assert_eq!(asked[2].body["suggestedActions"]["to"], json!(["ann"]));
    for user in ["ben", "cem", "ann"] {
        host.post("bot", &said_in_group(&connector, user, "yes")).await;
    }
    let resumed = r#"script resume {"from":"prompt","reason":"completed","result":true}"#;
    assert_eq!(texts(&connector, 6).await[2..], ["your lunch?", "heard: yes", "heard: yes", resumed]);
}

/// The user of the turn is the target of the notification, also for state.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_group_a_notification_for_a_user_is_a_turn_of_that_user() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    for (user, text) in [("ann", "set user name \"Ann\""), ("ben", "set user name \"Ben\"")] {
        assert_eq!(host.post("bot", &said_in_group(&connector, user, text)).await.status, 200);
    }
    connector.calls(2).await;
    for (target, name) in [
        (json!({ "channel": "test", "user": "ann" }), "\"Ann\""),
        (json!({ "channel": "test", "user": "ben" }), "\"Ben\""),
    ] {
        let before = connector.calls_now().len();
        let body = json!({ "target": target, "mode": "now", "event": { "name": "who", "value": { "then": "get user name" } } });
        assert_eq!(notify(&host, &body).await.status, 200);
        assert_eq!(texts(&connector, before + 2).await[before..], ["notify who", name]);
    }
}

/// Ann's question stays hers, whoever answers the interruption.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_group_a_question_to_everybody_leaves_the_one_below_to_its_user() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    host.post("bot", &said_in_group(&connector, "ann", &begin("where to?"))).await;
    let mut lunch = prompts("lunch?");
    (lunch["target"], lunch["mode"]) = (json!({ "channel": "test", "conversation": "c" }), "interrupt".into());
    assert_eq!(notify(&host, &lunch).await.status, 200);
    for (user, text) in [("ben", "yes"), ("ben", "Oslo"), ("ann", "Rome")] {
        host.post("bot", &said_in_group(&connector, user, text)).await;
    }
    let resumed = r#"script resume {"from":"prompt","reason":"completed","result":true}"#;
    let expected = ["where to?", "lunch?", resumed, "script reprompt null", "heard: Oslo", "script continue \"Rome\""];
    assert_eq!(texts(&connector, expected.len()).await, expected);
}
