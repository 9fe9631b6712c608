use serde_json::{Value, json};

use super::*;
use crate::activity::{ChannelInstance, ConversationKey, Object};
use crate::config::{self, Server};

fn hub() -> DirectLine {
    let config = Config {
        path: "turntable.toml".into(),
        overrides: config::Overrides::default(),
        server: Server::default(),
        admin: config::Admin::default(),
        runtime: config::Runtime::default(),
        channel: config::Channel::default(),
        storage: config::Storage::in_data_dir(std::path::Path::new(".")),
        tls: config::Tls::default(),
        bots: [].into(),
        default_bot: None,
    };
    DirectLine::new(&config, "0.0.0.0:3978".parse().unwrap())
}

fn start(id: &str) -> Start {
    Start { id: id.into(), bot: "demo".into(), title: "Demo".into(), user: None, locale: "de-DE".into() }
}

fn to(conversation: &str) -> Address {
    let conversation = ConversationKey {
        bot: "demo".into(),
        channel: ChannelInstance::LocalDirectLine,
        conversation: conversation.into(),
    };
    Address { conversation, service_url: "".into() }
}

fn object(value: &Value) -> Object {
    value.as_object().unwrap().clone()
}

fn text(activity: &Object) -> Arc<str> {
    Value::Object(activity.clone()).to_string().into()
}

fn message(text: &str) -> Object {
    object(&json!({"type": "message", "text": text}))
}

fn set(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn ann() -> Account {
    Account { id: "ann".into(), name: String::new() }
}

/// `0.0.0.0` is not an address that a client can open.
#[test]
fn the_host_has_an_url_that_can_be_opened() {
    assert_eq!(hub().service_url(), "http://127.0.0.1:3978/");
}

#[tokio::test]
async fn ids_watermarks_and_timestamps_grow() {
    let hub = hub();
    let (conversation, is_new) = hub.start(start("C1"));
    assert!(is_new && !hub.start(start("C1")).1);
    for number in 0..3 {
        let id = hub.send(&to("C1"), &text(&message("hi"))).await.unwrap();
        assert_eq!(*id, format!("C1|000000{number}"));
    }
    let all = set(&conversation.since(None));
    assert_eq!(all["watermark"], "2");
    let times: Vec<_> = all["activities"].as_array().unwrap().iter().map(|a| a["timestamp"].clone()).collect();
    assert!(times.windows(2).all(|pair| pair[0].as_str() < pair[1].as_str()), "{times:?}");
    assert_eq!(times[0].as_str().unwrap().len(), "2026-01-01T10:00:00.123Z".len());
    assert_eq!(set(&conversation.since(Some(1)))["activities"].as_array().unwrap().len(), 1);
    assert_eq!(set(&conversation.since(Some(2))), json!({"activities": [], "watermark": "2"}));
}

#[tokio::test]
async fn an_activity_is_completed_in_both_directions() {
    let hub = hub();
    let (conversation, _) = hub.start(start("C1"));
    let request = Arc::from("r");
    let sent = object(&json!({
        "type": "message", "id": "mine", "from": {"id": "other", "name": "Ann", "role": "bot"}, "text": "hi",
        "deliveryMode": "expectReplies", "recipient": {"id": "other"}, "conversation": {"id": "other"},
        "channelId": "msteams", "serviceUrl": "http://example.org/", "channelData": {"clientActivityID": "c1"}
    }));
    let door = conversation.enter().await;
    let stamped = door.stamp(sent, &ann(), &request).unwrap();
    let inbound = stamped.inbound.activity.object().clone();
    assert_eq!(stamped.id(), "C1|0000000");
    door.echo(stamped);
    assert_eq!(inbound["from"], json!({"id": "ann", "name": "Ann", "role": "user"}));
    assert_eq!(inbound["recipient"], json!({"id": "demo", "name": "Demo", "role": "bot"}));
    assert_eq!(inbound["conversation"], json!({"id": "C1"}));
    assert_eq!((&inbound["channelId"], &inbound["locale"]), (&json!("directline"), &json!("de-DE")));
    assert_eq!(inbound["serviceUrl"], "http://127.0.0.1:3978/");
    assert!(!inbound.contains_key("deliveryMode"));
    let echo = set(&conversation.since(None))["activities"][0].clone();
    assert_eq!(echo["channelData"], json!({"clientActivityID": "c1"}));
    assert!(echo.get("recipient").is_none() && echo.get("serviceUrl").is_none());
}

#[tokio::test]
async fn each_member_is_introduced_once_and_the_bot_first() {
    let hub = hub();
    let (conversation, _) = hub.start(start("C1"));
    let request = Arc::from("r");
    let door = conversation.enter().await;
    let joined = |user: Option<&Account>| -> Vec<String> {
        let introductions = door.introductions(user, &request).unwrap();
        introductions.iter().for_each(|introduction| door.introduced(introduction));
        let ids = introductions.iter().map(|i| i.inbound.activity.object()["membersAdded"][0]["id"].clone());
        ids.map(|id| id.as_str().unwrap().to_owned()).collect()
    };
    // An introduction is returned again until it is confirmed.
    assert_eq!(door.introductions(None, &request).unwrap().len(), 1);
    assert_eq!(joined(None), ["demo"]);
    assert_eq!(joined(Some(&ann())), ["ann"]);
    assert!(joined(Some(&ann())).is_empty());
    assert_eq!(set(&conversation.since(None))["activities"], json!([]), "clients do not see them");
}

/// Clients that share a token without a user may take part in one conversation under different names.
#[tokio::test]
async fn a_second_user_makes_a_conversation_a_group() {
    let hub = hub();
    let (conversation, _) = hub.start(Start { user: Some(ann()), ..start("C1") });
    let ben = Account { id: "ben".into(), name: "Ben".into() };
    let request = Arc::from("r");
    let door = conversation.enter().await;
    let introduced = |user: &Account| -> Vec<Object> {
        let introductions = door.introductions(Some(user), &request).unwrap();
        introductions.iter().for_each(|introduction| door.introduced(introduction));
        introductions.iter().map(|introduction| introduction.inbound.activity.object().clone()).collect()
    };
    let alone = introduced(&ann());
    assert_eq!(alone.len(), 2, "{alone:?}");
    assert_eq!(alone[1]["conversation"], json!({ "id": "C1" }));
    let group = introduced(&ben);
    assert_eq!(group.len(), 1, "{group:?}");
    assert_eq!(group[0]["membersAdded"], json!([{ "id": "ben", "name": "Ben", "role": "user" }]));
    assert_eq!(group[0]["conversation"], json!({ "id": "C1", "isGroup": true }));
    assert_ne!(group[0]["id"], alone[1]["id"], "else it would be taken for a redelivery");
    let said = door.stamp(message("hi"), &ann(), &request).unwrap();
    assert_eq!(said.inbound.activity.object()["conversation"]["isGroup"], true);
    assert!(introduced(&ann()).is_empty() && introduced(&ben).is_empty());
    for number in 0..200 {
        introduced(&Account { id: format!("user {number}"), name: String::new() });
    }
    assert!(introduced(&Account { id: "too many".into(), name: String::new() }).is_empty());
}

#[tokio::test]
async fn updates_and_deletions_keep_place_id_and_time() {
    let hub = hub();
    let (conversation, _) = hub.start(start("C1"));
    let first = hub.send(&to("C1"), &text(&message("one"))).await.unwrap();
    hub.send(&to("C1"), &text(&message("two"))).await.unwrap();
    let before = set(&conversation.since(None));
    hub.update(&to("C1"), &first, &text(&message("new"))).await.unwrap();
    let after = set(&conversation.since(None));
    assert_eq!(after["activities"][0]["text"], "new");
    assert_eq!(after["activities"][0]["timestamp"], before["activities"][0]["timestamp"]);
    assert_eq!(after["watermark"], "2");
    let news = set(&conversation.since(Some(1)));
    assert_eq!(news["activities"].as_array().unwrap().len(), 1);
    assert_eq!(news["activities"][0]["id"], *first);
    hub.delete(&to("C1"), &first).await.unwrap();
    let gone = set(&conversation.since(Some(2)));
    assert_eq!(
        (&gone["activities"][0]["type"], &gone["activities"][0]["id"]),
        (&json!("messageDelete"), &json!(*first))
    );
    for id in ["C1|0000099", "C2|0000000", "nonsense"] {
        assert!(matches!(hub.delete(&to("C1"), id).await, Err(ChannelError::Refused { status: Some(404), .. })));
    }
    assert!(matches!(
        hub.send(&to("C9"), &text(&message("x"))).await,
        Err(ChannelError::Refused { status: Some(404), .. })
    ));
}

#[tokio::test]
async fn typing_reaches_the_subscriber_only() {
    let hub = hub();
    let (conversation, _) = hub.start(start("C1"));
    hub.send(&to("C1"), &text(&message("one"))).await.unwrap();
    let ticket = conversation.issue_stream();
    let mut stream = conversation.subscribe(ticket, None).unwrap();
    hub.send(&to("C1"), &text(&object(&json!({"type": "typing"})))).await.unwrap();
    hub.send(&to("C1"), &text(&message("two"))).await.unwrap();
    let kinds: Vec<Value> = [stream.next().await, stream.next().await, stream.next().await]
        .iter()
        .map(|frame| set(frame.as_deref().unwrap()))
        .map(|set| json!([set["activities"][0]["type"], set["watermark"]]))
        .collect();
    assert_eq!(kinds, [json!(["message", "0"]), json!(["typing", null]), json!(["message", "2"])]);
    assert_eq!(set(&conversation.since(None))["activities"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_newer_stream_closes_the_older_and_a_ticket_is_good_once() {
    let hub = hub();
    let (conversation, _) = hub.start(start("C1"));
    let (first, second) = (conversation.issue_stream(), conversation.issue_stream());
    let mut older = conversation.subscribe(first, None).unwrap();
    assert_eq!(conversation.subscribe(first, None).err(), Some(StreamUsed));
    let newer = conversation.subscribe(second, None).unwrap();
    assert_eq!(older.next().await, None);
    assert_eq!(older.reason(), "collision");
    assert!(conversation.is_connected());
    drop(newer);
    assert!(!conversation.is_connected());
    assert_eq!(conversation.subscribe(99, None).err(), Some(StreamUsed), "never issued");
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_is_closed_and_loses_nothing() {
    let hub = hub();
    let (conversation, _) = hub.start(start("C1"));
    let mut stream = conversation.subscribe(conversation.issue_stream(), None).unwrap();
    for _ in 0..300 {
        hub.send(&to("C1"), &text(&message("x"))).await.unwrap();
    }
    let mut seen = None;
    while let Some(frame) = stream.next().await {
        seen = set(&frame)["watermark"].as_str().unwrap().parse().ok();
    }
    assert!(stream.reason().contains("slowly"));
    let rest = set(&conversation.since(seen))["activities"].as_array().unwrap().len();
    assert_eq!(usize::try_from(seen.unwrap()).unwrap() + 1 + rest, 300);
}

#[tokio::test]
async fn the_history_is_bounded() {
    let hub = hub();
    let (conversation, _) = hub.start(start("C1"));
    for _ in 0..1_005 {
        hub.send(&to("C1"), &text(&message("x"))).await.unwrap();
    }
    assert_eq!(set(&conversation.since(None))["activities"].as_array().unwrap().len(), 1_000);
    for _ in 0..4 {
        hub.send(&to("C1"), &text(&message(&"x".repeat(200 * 1024)))).await.unwrap();
    }
    let kept = conversation.since(None);
    assert_eq!(set(&kept)["activities"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn conversations_are_bounded_and_connected_ones_go_last() {
    let hub = hub();
    let (connected, _) = hub.start(start("first"));
    let mut stream = connected.subscribe(connected.issue_stream(), None).unwrap();
    drop(connected);
    for number in 0..CONVERSATIONS_MAX {
        hub.start(start(&format!("C{number}")));
    }
    assert!(hub.conversation("first").is_some());
    assert!(hub.conversation("C0").is_none());
    hub.lock().by_id.clear();
    assert_eq!(stream.next().await, None);
    assert_eq!(stream.reason(), "the conversation has ended");
}

#[tokio::test]
async fn pieces_of_a_stream_say_so_in_both_ways() {
    let hub = hub();
    let (conversation, _) = hub.start(start("C1"));
    let info = json!([{"type": "streaminfo", "streamId": "C1|0000000", "streamType": "final"}]);
    let last = object(&json!({"type": "message", "text": "Paris.", "entities": info, "channelData": {"a": 1}}));
    hub.send(&to("C1"), &text(&last)).await.unwrap();
    let data = set(&conversation.since(None))["activities"][0]["channelData"].clone();
    assert_eq!(data, json!({"a": 1, "streamId": "C1|0000000", "streamType": "final"}));
    let door = conversation.enter().await;
    let piece = object(&json!({"type": "typing", "channelData": {"streamType": "streaming", "streamSequence": 1}}));
    let stamped = door.stamp(piece, &ann(), &Arc::from("r")).unwrap();
    let entities = stamped.inbound.activity.object()["entities"].clone();
    assert_eq!(entities, json!([{"type": "streaminfo", "streamType": "streaming", "streamSequence": 1}]));
}

#[tokio::test]
async fn histories_of_all_conversations_have_a_bound_together() {
    let hub = DirectLine { history_bytes_max: 3_000, ..hub() };
    let said = text(&object(&json!({"type": "message", "text": "x".repeat(1_000)})));
    for id in ["C1", "C2", "C3"] {
        hub.start(start(id));
        hub.send(&to(id), &said).await.unwrap();
    }
    assert!(hub.conversation("C3").is_some());
    assert!(hub.conversation("C1").is_none(), "it was used least recently");
    assert!(hub.conversation("C2").is_some());
    let bytes = hub.history_bytes();
    assert!((2_000..=3_000).contains(&bytes), "{bytes}");
    hub.forget("demo", "C2");
    assert!(hub.history_bytes() < bytes);
}
