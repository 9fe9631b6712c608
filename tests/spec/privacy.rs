//! Forgetting: the host deletes the data of a conversation or a user everywhere.

use serde_json::{Value, json};

use crate::support::conversation::Answer;
use crate::support::{Behaviour, Config, Connector, Host, expecting_replies};

const GRANTS: &str = "grants = { state = ['conversation', 'user', 'private'], dialogs = true, conversations = true }";

async fn start() -> Option<Host> {
    let config = Config::new().bot("bot", &[]).bot_key("transcripts", "{}");
    Host::start(config.plugin("bot", "scripted", GRANTS)).await
}

fn said(connector: &Connector, conversation: &str, user: &str, text: &str) -> Value {
    let mut activity = connector.message(text);
    activity["conversation"]["id"] = conversation.into();
    activity["from"]["id"] = user.into();
    activity
}

async fn asks(host: &Host, connector: &Connector, conversation: &str, user: &str, text: &str) -> Vec<String> {
    let answer = host.post("bot", &expecting_replies(said(connector, conversation, user, text))).await;
    answer.replies().iter().map(|reply| reply["text"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn forget(host: &Host, query: &str) -> Answer {
    host.admin("DELETE", &format!("/v1/bots/bot/{query}"), Vec::new()).await
}

/// Creates a conversation with all kinds of data: state, a waiting dialog, a timer, a dead letter, a transcript.
async fn leave_traces(host: &Host, connector: &Connector, conversation: &str, user: &str) {
    let commands = "set conversation secret 1\nset user secret 1\nset private secret 1\n\
                    schedule far 2999-01-01T00:00:00Z now {\"event\":{\"name\":\"e\"}}\n\
                    begin script {\"steps\":[{\"kind\":\"wait\",\"quiet\":true,\"say\":\"which secret?\"}]}";
    connector.plan(Behaviour::Status(400));
    assert_eq!(host.post("bot", &said(connector, conversation, user, commands)).await.status, 200);
    host.logged("kept as a dead letter").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_forgotten_everywhere() {
    let Some(mut host) = start().await else { return };
    let connector = Connector::start().await;
    leave_traces(&host, &connector, "c", "ann").await;
    let forgotten = forget(&host, "conversations?channel=test&conversation=c").await;
    assert_eq!(forgotten.status, 200, "{}", forgotten.text);
    let counts = forgotten.json()["forgotten"].clone();
    for what in ["state", "dialogs", "notifications", "dead_letters", "answers", "references", "transcripts"] {
        assert!(counts[what].as_u64() > Some(0), "{what}: {counts:#}");
    }
    for what in ["notifications", "dead-letters", "references"] {
        let left = host.admin("GET", &format!("/v1/bots/bot/{what}"), Vec::new()).await.json();
        assert_eq!(left, json!([]), "{what}");
    }
    assert_eq!(host.admin("GET", "/v1/bots/bot/transcripts", Vec::new()).await.json(), json!({ "items": [] }));
    // A second `forget` finds nothing, and the compacted file contains none of the data.
    let again = forget(&host, "conversations?channel=test&conversation=c").await.json();
    assert!(again["forgotten"].as_object().unwrap().values().all(|count| count == 0), "{again:#}");
    assert_eq!(asks(&host, &connector, "c", "ann", "get conversation secret").await, ["none"]);
    assert_eq!(asks(&host, &connector, "c", "ann", "get private secret").await, ["none"]);
    assert_eq!(asks(&host, &connector, "c", "ann", "get user secret").await, ["1"], "it is not the conversation's");
    host.again(None).await;
    assert_eq!(asks(&host, &connector, "c", "ann", "stack").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_forgotten_without_those_they_talked_with() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    leave_traces(&host, &connector, "alone", "ann").await;
    for user in ["ann", "ben"] {
        let told = asks(&host, &connector, "group", user, &format!("set private secret 1\nI am {user}")).await;
        assert_eq!(told, ["done".to_owned(), format!("heard: I am {user}")]);
    }
    let forgotten = forget(&host, "users?channel=test&user=ann").await;
    assert_eq!((forgotten.status, &forgotten.json()["conversations"]), (200, &json!(["alone"])), "{}", forgotten.text);
    let path = "/v1/bots/bot/transcripts/activities?channel=test&conversation=group";
    let group = host.admin("GET", path, Vec::new()).await;
    assert!(group.text.contains("I am ben") && !group.text.contains("I am ann"), "{}", group.text);
    let listed = host.admin("GET", "/v1/bots/bot/references", Vec::new()).await.json();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed:#}");
    assert!(!listed.to_string().contains("\"ann\""), "{listed:#}");
    assert_eq!(asks(&host, &connector, "group", "ann", "get private secret").await, ["none"]);
    assert_ne!(asks(&host, &connector, "group", "ben", "get private secret").await, ["none"]);
    for (query, status) in [
        ("users?channel=test&user=", 400),
        ("users?channel=test", 400),
        ("conversations?channel=test", 400),
        ("users?channel=test&user=nobody", 200),
    ] {
        assert_eq!(forget(&host, query).await.status, status, "{query}");
    }
}

/// `forget` waits for the running turn and deletes its data too.
#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_runs_leaves_nothing_behind_either() {
    let Some(mut host) = start().await else { return };
    let connector = Connector::start().await;
    let go_on = host.stall_at("commit:1").await;
    let running = said(&connector, "c", "ann", "set conversation secret 1");
    let (answer, forgotten) = tokio::join!(host.post("bot", &running), async {
        host.logged("the store stalls").await;
        let asked = forget(&host, "conversations?channel=test&conversation=c");
        let release = async { std::fs::write(&go_on, "").unwrap() };
        tokio::join!(asked, release).0
    });
    assert!(matches!(answer.status, 200 | 202));
    assert_eq!(forgotten.status, 200);
    assert_eq!(asks(&host, &connector, "c", "ann", "get conversation secret").await, ["none"]);
}

/// The data of a turn that waited when `forget` was called is deleted too.
#[tokio::test(flavor = "multi_thread")]
async fn turns_that_wait_leave_nothing_behind_either() {
    let Some(mut host) = start().await else { return };
    let connector = Connector::start().await;
    let go_on = host.stall_at("commit:1").await;
    let messages = ["hello", "set conversation secret 1", "set conversation secret 2"];
    let messages: Vec<Value> = messages.iter().map(|text| said(&connector, "c", "ann", text)).collect();
    let turns = async {
        let first = host.post("bot", &messages[0]);
        let others = async {
            host.logged("the store stalls").await;
            tokio::join!(host.post("bot", &messages[1]), host.post("bot", &messages[2]))
        };
        tokio::join!(first, others)
    };
    let forgotten = async {
        host.turns_queued(3).await;
        let asked = forget(&host, "conversations?channel=test&conversation=c");
        let release = async {
            host.turns_queued(4).await;
            std::fs::write(&go_on, "").unwrap();
        };
        tokio::join!(asked, release).0
    };
    let (_, forgotten) = tokio::join!(turns, forgotten);
    assert_eq!(forgotten.status, 200);
    assert_eq!(asks(&host, &connector, "c", "ann", "get conversation secret").await, ["none"]);
}
