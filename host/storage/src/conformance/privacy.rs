//! Forgetting conversations and users.

use super::*;

pub(super) async fn conform(storage: &dyn Storage) {
    a_conversation_is_forgotten_whole(storage).await;
    a_user_is_forgotten_without_the_others(storage).await;
    a_user_of_a_conversation_that_the_bot_has_left_can_be_forgotten(storage).await;
}

fn value_of(owner: ScopeOwner) -> StateWrite {
    let value = StateValue { value: "1".into(), etag: "e".into() };
    let scope = StateScope { bot: "bot".into(), namespace: "plugin:p".into(), owner };
    StateWrite { scope, key: "k".into(), value: Some(value), expected: Expected::Any }
}

/// What a turn of a user in a conversation leaves in every place there is.
async fn leave_traces(storage: &dyn Storage, id: &str, user: &str) {
    let key = conversation(id);
    let (channel, place) = (key.channel.clone(), key.conversation.clone());
    let tag = FrameTag { plugin: "p".into(), dialog: "traces".into(), state_version: 1 };
    let mark = DeduplicationKey { conversation: key.clone(), ..mark(&format!("{id}-{user}")) };
    let text = format!("{{\"user\":{{\"id\":\"{user}\"}}}}");
    let proactive = ProactiveChanges {
        reference: Some(met(id, user, &text)),
        added: vec![Notification {
            conversation: key.clone(),
            user: user.into(),
            key: None,
            ..owed(&format!("n-{id}-{user}"), 9_000_000)
        }],
        ..ProactiveChanges::default()
    };
    let commit = TurnCommit {
        writes: vec![
            value_of(ScopeOwner::Conversation(channel.clone(), place.clone())),
            value_of(ScopeOwner::Private(channel.clone(), place, user.into())),
            value_of(ScopeOwner::User(channel, user.into())),
        ],
        stack: Some(Some(StoredStack { text: "stack".into(), frames: vec![tag] })),
        record: Some((mark.clone(), answer(200))),
        proactive,
        transcript: vec![said(1, user, "", r#"{"type":"message","id":"s"}"#)],
        ..commit(&key, vec![send(&format!("tt-{id}-{user}-dead")), send(&format!("tt-{id}-{user}"))])
    };
    assert!(matches!(storage.accept(&mark, &turn()).await.unwrap(), Accepted::New));
    storage.commit(commit).await.unwrap();
    let row = storage.claim_outbox(&key).await.unwrap().unwrap();
    storage.note_delivery(&row, Delivery::Dead { why: "no".into(), gone: false }).await.unwrap();
}

async fn values(storage: &dyn Storage, owner: ScopeOwner) -> usize {
    storage.load_state(&value_of(owner).scope).await.unwrap().len()
}

async fn a_conversation_is_forgotten_whole(storage: &dyn Storage) {
    leave_traces(storage, "traces", "ann").await;
    leave_traces(storage, "other traces", "ann").await;
    let (depth, letters) = (storage.outbox_depth().await.unwrap(), storage.dead_letters("bot").await.unwrap().len());
    let key = conversation("traces");
    storage.forget_conversation(&key).await.unwrap();
    let (channel, place) = (key.channel.clone(), key.conversation.clone());
    assert_eq!(values(storage, ScopeOwner::Conversation(channel.clone(), place.clone())).await, 0);
    assert_eq!(values(storage, ScopeOwner::Private(channel.clone(), place, "ann".into())).await, 0);
    assert_eq!(values(storage, ScopeOwner::User(channel, "ann".into())).await, 1, "it is of no conversation");
    assert_eq!(storage.load_stack(&key).await.unwrap(), None);
    let traces = storage.frames("bot").await.unwrap().into_iter().find(|(tag, _)| *tag.dialog == *"traces");
    assert_eq!(traces.map(|(_, count)| count), Some(1), "of the other conversation");
    assert!(storage.claim_outbox(&key).await.unwrap().is_none());
    assert_eq!(storage.outbox_depth().await.unwrap(), depth - 1);
    assert_eq!(storage.dead_letters("bot").await.unwrap().len(), letters - 1);
    assert_eq!(storage.channel_id(&key, "tt-traces-ann").await.unwrap(), None);
    assert_eq!(storage.reference(&key).await.unwrap(), None);
    assert_eq!(storage.notification("bot", "n-traces-ann").await.unwrap(), None);
    assert!(storage.transcript(&key, 0, 0, 9).await.unwrap().is_empty());
    let again = DeduplicationKey { conversation: key.clone(), ..mark("traces-ann") };
    assert!(matches!(storage.accept(&again, &turn()).await.unwrap(), Accepted::New), "its answer is forgotten");
    storage.release(&again).await;
    // What the other conversation has stays, and forgetting again finds nothing.
    let other = conversation("other traces");
    assert!(
        storage.claim_outbox(&other).await.unwrap().is_some() && storage.load_stack(&other).await.unwrap().is_some()
    );
    assert!(storage.forget_conversation(&key).await.unwrap().0.values().all(|count| *count == 0));
    storage.forget_conversation(&other).await.unwrap();
}

async fn a_user_of_a_conversation_that_the_bot_has_left_can_be_forgotten(storage: &dyn Storage) {
    let key = conversation("left");
    let proactive = ProactiveChanges { reference: Some(met("left", "fay", "{}")), ..ProactiveChanges::default() };
    let owner = || ScopeOwner::Conversation(key.channel.clone(), key.conversation.clone());
    let talk = TurnCommit { writes: vec![value_of(owner())], proactive, ..commit(&key, vec![]) };
    storage.commit(talk).await.unwrap();
    change(storage, "left", ProactiveChanges { removed: true, ..ProactiveChanges::default() }).await;
    assert_eq!(storage.latest_reference("bot", &key.channel, "fay").await.unwrap(), None);
    assert_eq!(storage.conversations_of("bot", &key.channel, "fay").await.unwrap(), [("left".into(), true)]);
    storage.forget_conversation(&key).await.unwrap();
    assert_eq!(values(storage, owner()).await, 0);
    assert!(storage.conversations_of("bot", &key.channel, "fay").await.unwrap().is_empty());
}

async fn a_user_is_forgotten_without_the_others(storage: &dyn Storage) {
    for (id, user) in [("alone", "dan"), ("shared", "dan"), ("shared", "eve")] {
        leave_traces(storage, id, user).await;
    }
    let key = conversation("shared");
    let (channel, place) = (key.channel.clone(), key.conversation.clone());
    let mut found = storage.conversations_of("bot", &channel, "dan").await.unwrap();
    found.sort();
    assert_eq!(found, [("alone".into(), true), ("shared".into(), false)]);
    storage.forget_member(&key, "dan").await.unwrap();
    let waits = storage.notification("bot", "n-shared-eve").await.unwrap().unwrap();
    assert_eq!((storage.waiting(&key).await.unwrap(), &*waits.user), (1, "eve"), "what was for dan alone is gone");
    storage.forget_user("bot", &channel, "dan").await.unwrap();
    assert_eq!(values(storage, ScopeOwner::User(channel.clone(), "dan".into())).await, 0);
    assert_eq!(values(storage, ScopeOwner::Private(channel.clone(), place.clone(), "dan".into())).await, 0);
    assert_eq!(values(storage, ScopeOwner::Private(channel.clone(), place, "eve".into())).await, 1);
    assert_eq!(storage.transcript(&key, 0, 0, 9).await.unwrap().len(), 1, "what eve said");
    assert_eq!(
        storage.latest_reference("bot", &channel, "dan").await.unwrap().unwrap().conversation,
        conversation("alone")
    );
    assert_eq!(&*storage.reference(&key).await.unwrap().unwrap().user, "eve");
    let answered = DeduplicationKey { conversation: key.clone(), ..mark("shared-dan") };
    let Accepted::Duplicate { answer, .. } = storage.accept(&answered, &turn()).await.unwrap() else {
        panic!("still a redelivery")
    };
    assert_eq!(answer.body, None);
    assert_eq!(storage.conversations_of("bot", &channel, "dan").await.unwrap(), [("alone".into(), true)]);
    storage.forget_member(&key, "eve").await.unwrap();
    assert_eq!(&*storage.reference(&key).await.unwrap().unwrap().user, "", "it is reached still, as nobody's");
    for id in ["alone", "shared"] {
        storage.forget_conversation(&conversation(id)).await.unwrap();
    }
}
