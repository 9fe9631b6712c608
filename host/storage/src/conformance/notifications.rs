//! References and notifications.

use super::*;
use crate::notifications::{Added, End, ReferenceFilter};

pub(super) async fn conform(storage: &dyn Storage) {
    references_follow_their_conversation(storage).await;
    every_user_of_a_group_is_met(storage).await;
    notifications_wait_end_and_are_due_again(storage).await;
}

async fn references_follow_their_conversation(storage: &dyn Storage) {
    let meet = async |reference: Reference| {
        let id = reference.conversation.conversation.to_string();
        change(storage, &id, ProactiveChanges { reference: Some(reference), ..ProactiveChanges::default() }).await;
    };
    let all = ReferenceFilter::default();
    let (one, two) = (met("met-1", "ann", "{}"), met("met-2", "ann", "{}"));
    meet(one.clone()).await;
    meet(two.clone()).await;
    assert_eq!(storage.reference(&one.conversation).await.unwrap(), Some(one.clone()));
    let latest = storage.latest_reference("bot", &one.conversation.channel, "ann").await.unwrap();
    assert_eq!(latest, Some(two.clone()), "heard last");
    storage.mark_gone(&two.conversation, "404").await.unwrap();
    assert_eq!(storage.reference(&two.conversation).await.unwrap().unwrap().gone.as_deref(), Some("404"));
    // Unchanged, and yet stored again: it spoke.
    meet(two.clone()).await;
    assert_eq!(storage.reference(&two.conversation).await.unwrap(), Some(two.clone()));
    let moved = Reference { text: "{\"moved\":1}".into(), ..one.clone() };
    meet(moved.clone()).await;
    let first = storage.references("bot", &all, 0, 1).await.unwrap();
    assert_eq!(first[0].1, two);
    let rest = storage.references("bot", &all, first[0].0, 9).await.unwrap();
    assert_eq!(rest.iter().map(|(_, reference)| reference.clone()).collect::<Vec<_>>(), [moved]);
    assert!(storage.references("other", &all, 0, 9).await.unwrap().is_empty());
    assert!(storage.forget_reference(&one.conversation).await.unwrap());
    assert!(!storage.forget_reference(&one.conversation).await.unwrap());
    assert_eq!(storage.reference(&one.conversation).await.unwrap(), None);
    meet(one.clone()).await;
    assert!(storage.reference(&one.conversation).await.unwrap().is_some(), "met anew after it was forgotten");
    // The activity that removes the bot is of the conversation too.
    let removed = ProactiveChanges { removed: true, reference: Some(one.clone()), ..ProactiveChanges::default() };
    change(storage, "met-1", removed).await;
    assert_eq!(storage.reference(&one.conversation).await.unwrap(), None);
    meet(one.clone()).await;
    assert!(storage.reference(&one.conversation).await.unwrap().is_some(), "added again at once");
}

async fn every_user_of_a_group_is_met(storage: &dyn Storage) {
    let meet = async |group: &str, user: &str| {
        let text = format!("{{\"user\":{{\"id\":\"{user}\"}}}}");
        change(
            storage,
            group,
            ProactiveChanges { reference: Some(met(group, user, &text)), ..ProactiveChanges::default() },
        )
        .await;
    };
    let latest = async |user: &str| {
        let found = storage.latest_reference("bot", &conversation("").channel, user).await.unwrap()?;
        Some((found.conversation.conversation.to_string(), found.user.to_string(), found.text.to_string()))
    };
    let of = |group: &str, user: &str| {
        Some((group.to_owned(), user.to_owned(), format!("{{\"user\":{{\"id\":\"{user}\"}}}}")))
    };
    for (group, user) in [("g1", "bea"), ("g1", "cem"), ("g2", "bea")] {
        meet(group, user).await;
    }
    assert_eq!((latest("bea").await, latest("cem").await), (of("g2", "bea"), of("g1", "cem")));
    // Within the same minute, and nothing else is new.
    meet("g1", "bea").await;
    assert_eq!(latest("bea").await, of("g1", "bea"));
    // What has no user changes neither who was heard last nor who is met.
    meet("g1", "").await;
    let found = storage.reference(&conversation("g1")).await.unwrap().unwrap();
    assert_eq!((&*found.user, &*found.text), ("bea", r#"{"user":{"id":"bea"}}"#));
    assert_eq!(latest("cem").await, of("g1", "cem"));
    let only = async |user: &str| {
        let of = ReferenceFilter { channel: Some(conversation("").channel), user: Some(user.into()) };
        let found = storage.references("bot", &of, 0, 9).await.unwrap();
        found.iter().map(|(_, found)| found.conversation.conversation.to_string()).collect::<Vec<_>>()
    };
    assert_eq!((only("cem").await, only("nobody").await), (vec!["g1".to_owned()], vec![]));
    assert!(storage.forget_reference(&conversation("g1")).await.unwrap());
    assert_eq!((latest("cem").await, latest("bea").await), (None, of("g2", "bea")));
}

async fn notifications_wait_end_and_are_due_again(storage: &dyn Storage) {
    let end = async |id: &str, end: End| {
        let ended = Some((id.into(), end));
        change(storage, "owed", ProactiveChanges { ended, ..ProactiveChanges::default() }).await;
    };
    let due = async |now: u64| -> Vec<String> {
        storage.due(now, None, 9).await.unwrap().iter().map(|notification| notification.id.to_string()).collect()
    };
    for (id, at) in [("late", 20), ("early", 10), ("far", 1_000)] {
        assert_eq!(storage.add_notification(owed(id, at)).await.unwrap(), Added::New);
    }
    assert_eq!(storage.notification("bot", "late").await.unwrap(), Some(owed("late", 20)));
    assert_eq!(storage.notification("other", "late").await.unwrap(), None, "another bot's");
    assert_eq!((due(5).await, due(20).await), (vec![], vec!["early".to_owned()]), "one of a conversation at a time");
    let elsewhere = Notification { conversation: conversation("owed too"), key: None, ..owed("other", 15) };
    storage.add_notification(elsewhere.clone()).await.unwrap();
    assert_eq!(due(20).await, ["early", "other"]);
    let after = storage.due(20, Some(&owed("early", 10)), 9).await.unwrap();
    assert_eq!(after, [elsewhere]);
    assert!(storage.cancel_notification("bot", "other").await.unwrap());
    assert_eq!(storage.waiting(&conversation("owed")).await.unwrap(), 3);
    let bytes = u64::try_from(3 * owed("late", 20).content.len()).unwrap();
    assert_eq!(
        (storage.waiting_bytes("bot").await.unwrap(), storage.waiting_bytes("other").await.unwrap()),
        (bytes, 0)
    );
    assert_eq!(storage.next_due(20).await.unwrap(), Some(1_000));
    // The same key.
    let again = Notification { id: "again".into(), ..owed("early", 10) };
    assert_eq!(storage.add_notification(again.clone()).await.unwrap(), Added::Known(Box::new(owed("early", 10))));
    let other = Notification { key: Some(("key-early".into(), [8; 32])), ..again };
    assert_eq!(storage.add_notification(other).await.unwrap(), Added::OtherBody);
    // Held, and no longer due.
    end("early", End::Held).await;
    assert_eq!(due(20).await, ["late"]);
    assert_eq!(storage.next_held(&conversation("owed")).await.unwrap().unwrap().id, "early".into());
    end("early", End::Done("delivered")).await;
    assert_eq!(storage.next_held(&conversation("owed")).await.unwrap(), None);
    assert_eq!(storage.notification("bot", "early").await.unwrap().unwrap().ended.as_deref(), Some("delivered"));
    end("late", End::Again(500)).await;
    assert_eq!((due(20).await, due(500).await), (vec![], vec!["late".to_owned()]));
    assert!(storage.cancel_notification("bot", "late").await.unwrap());
    assert!(!storage.cancel_notification("bot", "late").await.unwrap());
    end("late", End::Done("delivered")).await;
    assert_eq!(storage.notification("bot", "late").await.unwrap().unwrap().ended.as_deref(), Some("cancelled"));
    // A timer of the same name takes the place of the one that waits.
    for id in ["timer-1", "timer-2"] {
        let timer = Notification { name: "daily".into(), key: None, ..owed(id, 700) };
        change(storage, "owed", ProactiveChanges { added: vec![timer], ..ProactiveChanges::default() }).await;
    }
    let waiting = storage.notifications("bot", 9).await.unwrap();
    let ids: Vec<&str> = waiting.iter().map(|notification| &*notification.id).collect();
    assert_eq!(ids, ["timer-2", "far"]);
    let cancelled = vec!["far".into()];
    change(storage, "owed", ProactiveChanges { cancelled, ..ProactiveChanges::default() }).await;
    assert_eq!(storage.notifications("bot", 9).await.unwrap().len(), 1);
    change(storage, "owed", ProactiveChanges { removed: true, ..ProactiveChanges::default() }).await;
    assert!(storage.notifications("bot", 9).await.unwrap().is_empty(), "the bot was removed");
}
