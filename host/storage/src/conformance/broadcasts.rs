//! What every implementation of [`Broadcasts`] must do.

use turntable_activity::ChannelInstance;

use super::*;
use crate::broadcasts::*;
use crate::notifications::End;

fn key(id: &str) -> ConversationKey {
    ConversationKey { channel: ChannelInstance::Wire("many".into()), ..conversation(id) }
}

async fn meet(storage: &dyn Storage, id: &str, user: &str) {
    storage.add_reference(Reference { conversation: key(id), ..met(id, user, "{}") }).await.unwrap();
}

fn broadcast(id: &str) -> Broadcast {
    Broadcast {
        id: id.into(),
        bot: "bot".into(),
        mode: Mode::Now,
        content: "{\"event\":{}}".into(),
        expires_ms: None,
        per_second: 1,
        key: Some((format!("key-{id}").into(), [7; 32])),
        state: BroadcastState::Running,
        created_ms: 1,
        started_ms: None,
        ended_ms: None,
        counts: Counts::default(),
    }
}

async fn add(storage: &dyn Storage, id: &str, to: Targets) -> Broadcast {
    match storage.add_broadcast(broadcast(id), to).await.unwrap() {
        AddedBroadcast::New(added) => added,
        other => panic!("{id} is new, not {other:?}"),
    }
}

fn to_channel() -> Targets {
    Targets::Known(Some(ChannelInstance::Wire("many".into())))
}

/// The notifications of a broadcast that wait, by conversation.
async fn waiting(storage: &dyn Storage, id: &str) -> Vec<Notification> {
    let mut all = storage.notifications("bot", 99).await.unwrap();
    all.retain(|waiting| target_of(&waiting.id).is_some_and(|(known, _)| known == id));
    all.sort_by(|a, b| a.conversation.conversation.cmp(&b.conversation.conversation));
    all
}

/// A turn about a notification ends so, having sent so much.
async fn end(storage: &dyn Storage, notification: &Notification, how: &'static str, sends: usize) {
    let proactive =
        ProactiveChanges { ended: Some((notification.id.clone(), End::Done(how))), ..ProactiveChanges::default() };
    let outbox = (0..sends).map(|place| send(&format!("tt-{}-{place}", notification.id))).collect();
    let turn_id = format!("turn of {}", notification.id).into();
    let turn = TurnCommit { proactive, turn_id, ..commit(&notification.conversation, outbox) };
    storage.commit(turn).await.unwrap();
}

async fn note(storage: &dyn Storage, notification: &Notification, delivery: Delivery) {
    let row = storage.claim_outbox(&notification.conversation).await.unwrap().unwrap();
    storage.note_delivery(&row, delivery).await.unwrap();
}

async fn find(storage: &dyn Storage, id: &str) -> Broadcast {
    storage.broadcast("bot", id).await.unwrap().unwrap()
}

fn counted(broadcast: &Broadcast) -> String {
    let ended = TargetOutcome::ALL.iter().map(|(name, outcome)| (*name, broadcast.counts.of(*outcome)));
    let ended = ended.filter(|(_, count)| *count > 0).map(|(name, count)| format!(", {count} {name}"));
    format!("{}: {} wait{}", broadcast.state.name(), broadcast.counts.waiting(), ended.collect::<String>())
}

pub(super) async fn conform(storage: &dyn Storage) {
    each_target_begins_once_and_is_counted(storage).await;
    lists_name_each_conversation_once(storage).await;
    what_is_cancelled_or_forgotten_is_not_said(storage).await;
    a_key_is_one_broadcast_and_old_ones_go(storage).await;
}

async fn each_target_begins_once_and_is_counted(storage: &dyn Storage) {
    for id in ["b1", "b2", "b3", "b4", "b5"] {
        meet(storage, id, "ann").await;
    }
    storage.mark_gone(&key("b4"), "404").await.unwrap();
    let added = add(storage, "ALL", to_channel()).await;
    assert_eq!((counted(&added), added.counts.total), ("running: 5 wait".to_owned(), 5));
    assert_eq!(storage.open_broadcasts().await.unwrap(), [added]);
    assert_eq!(storage.begin_targets("ALL", 2).await.unwrap(), 2);
    // Who speaks meanwhile is neither reached twice nor missed, and who is new was not meant.
    for id in ["b1", "b3", "b6"] {
        meet(storage, id, "ann").await;
    }
    assert!(storage.switch_broadcast("bot", "ALL", BroadcastState::Paused).await.unwrap().unwrap().0);
    assert_eq!(storage.begin_targets("ALL", 9).await.unwrap(), 0, "it is paused");
    assert!(storage.open_broadcasts().await.unwrap().is_empty());
    storage.switch_broadcast("bot", "ALL", BroadcastState::Running).await.unwrap();
    assert_eq!(storage.begin_targets("ALL", 9).await.unwrap(), 2, "one is gone");
    assert_eq!(storage.begin_targets("ALL", 9).await.unwrap(), 0);
    assert!(storage.open_broadcasts().await.unwrap().is_empty(), "all have begun");
    let begun = waiting(storage, "ALL").await;
    let reached: Vec<&str> = begun.iter().map(|waiting| &*waiting.conversation.conversation).collect();
    assert_eq!(reached, ["b1", "b2", "b3", "b5"]);
    assert_eq!((begun[0].mode, &*begun[0].content), (Mode::Now, "{\"event\":{}}"));
    assert_eq!(counted(&find(storage, "ALL").await), "running: 4 wait, 1 gone");
    // Nothing sent; two sends, of which the channel takes both, or one; a failed turn.
    end(storage, &begun[0], "delivered", 0).await;
    end(storage, &begun[1], "delivered", 2).await;
    end(storage, &begun[2], "delivered", 2).await;
    end(storage, &begun[3], "failed", 0).await;
    // A second turn that finds its notification ended changes nothing.
    end(storage, &begun[1], "cancelled", 0).await;
    assert_eq!(counted(&find(storage, "ALL").await), "running: 2 wait, 1 delivered, 1 failed, 1 gone");
    note(storage, &begun[1], done("")).await;
    note(storage, &begun[2], done("")).await;
    note(storage, &begun[2], Delivery::Dead { why: "says no".to_owned(), gone: false }).await;
    assert_eq!(counted(&find(storage, "ALL").await), "running: 1 wait, 1 delivered, 2 failed, 1 gone");
    note(storage, &begun[1], done("")).await;
    let ended = find(storage, "ALL").await;
    assert_eq!(counted(&ended), "done: 0 wait, 2 delivered, 2 failed, 1 gone");
    assert!(ended.started_ms.is_some() && ended.ended_ms.is_some());
    assert_eq!(&*ended.content, "{}", "kept no longer than it takes to say it");
    let failed = storage.failed_targets("bot", "ALL", 0, 2).await.unwrap();
    let rest = storage.failed_targets("bot", "ALL", failed[1].place, 2).await.unwrap();
    let mut failed: Vec<(&str, &str, Option<&str>)> = failed
        .iter()
        .chain(&rest)
        .map(|failed| (&*failed.conversation, failed.outcome.name(), failed.why.as_deref()))
        .collect();
    failed.sort_unstable();
    let log = Some("the turn failed; the log says why");
    assert_eq!(failed, [("b3", "failed", Some("says no")), ("b4", "gone", None), ("b5", "failed", log)]);
    assert!(storage.failed_targets("other", "ALL", 0, 9).await.unwrap().is_empty(), "another bot's");
    assert_eq!(storage.broadcast("other", "ALL").await.unwrap(), None);
    let again = storage.switch_broadcast("bot", "ALL", BroadcastState::Running).await.unwrap();
    assert_eq!(again, Some((false, ended)));
}

async fn lists_name_each_conversation_once(storage: &dyn Storage) {
    let many = || ChannelInstance::Wire("many".into());
    meet(storage, "b2", "bea").await;
    let entries = vec![
        Listed::Conversation(many(), "b2".into()),
        Listed::User(many(), "bea".into()),
        Listed::User(many(), "nobody".into()),
        Listed::Conversation(many(), "never met".into()),
        Listed::Conversation(many(), "b2".into()),
    ];
    let added = add(storage, "LIST", Targets::Listed(entries)).await;
    assert_eq!(added.counts.total, 3);
    assert_eq!(storage.begin_targets("LIST", 9).await.unwrap(), 1);
    let failed = storage.failed_targets("bot", "LIST", 0, 9).await.unwrap();
    let failed: Vec<_> = failed.iter().map(|failed| (&*failed.conversation, &*failed.user, failed.outcome)).collect();
    let unknown = TargetOutcome::Unknown;
    assert_eq!(failed, [("", "nobody", unknown), ("never met", "", unknown)]);
    end(storage, &waiting(storage, "LIST").await[0], "expired", 0).await;
    assert_eq!(counted(&find(storage, "LIST").await), "done: 0 wait, 1 expired, 2 unknown");
}

async fn what_is_cancelled_or_forgotten_is_not_said(storage: &dyn Storage) {
    add(storage, "END", to_channel()).await;
    assert_eq!(storage.begin_targets("END", 4).await.unwrap(), 3);
    let begun = waiting(storage, "END").await;
    assert!(storage.cancel_notification("bot", &begun[0].id).await.unwrap());
    assert!(storage.forget_reference(&begun[1].conversation).await.unwrap());
    assert!(storage.forget_reference(&key("b6")).await.unwrap(), "before it begins");
    let before = counted(&find(storage, "END").await);
    assert_eq!(before, "running: 2 wait, 1 gone, 2 unknown, 1 cancelled");
    end(storage, &begun[2], "delivered", 1).await;
    let (switched, ended) = storage.switch_broadcast("bot", "END", BroadcastState::Cancelled).await.unwrap().unwrap();
    assert!(switched);
    assert_eq!(counted(&ended), "cancelled: 1 wait, 1 gone, 2 unknown, 2 cancelled", "the channel has one still");
    assert!(waiting(storage, "END").await.is_empty());
    note(storage, &begun[2], done("")).await;
    assert_eq!(counted(&find(storage, "END").await), "cancelled: 0 wait, 1 delivered, 1 gone, 2 unknown, 2 cancelled");
    // What a turn says that ran while it was cancelled counts.
    for id in ["b7", "b8"] {
        meet(storage, id, "ann").await;
    }
    let listed = ["b7", "b8"].map(|id| Listed::Conversation(ChannelInstance::Wire("many".into()), id.into()));
    add(storage, "LATE", Targets::Listed(listed.to_vec())).await;
    storage.begin_targets("LATE", 9).await.unwrap();
    let begun = waiting(storage, "LATE").await;
    storage.switch_broadcast("bot", "LATE", BroadcastState::Cancelled).await.unwrap();
    end(storage, &begun[0], "delivered", 1).await;
    note(storage, &begun[0], done("")).await;
    end(storage, &begun[1], "cancelled", 0).await;
    assert_eq!(counted(&find(storage, "LATE").await), "cancelled: 0 wait, 1 delivered, 1 cancelled");
}

async fn a_key_is_one_broadcast_and_old_ones_go(storage: &dyn Storage) {
    let again = Broadcast { id: "AGAIN".into(), ..broadcast("END") };
    let known = storage.add_broadcast(Broadcast { key: broadcast("END").key, ..again.clone() }, to_channel()).await;
    assert_eq!(known.unwrap(), AddedBroadcast::Known(find(storage, "END").await));
    let other = Broadcast { key: Some(("key-END".into(), [8; 32])), ..again.clone() };
    assert_eq!(storage.add_broadcast(other, to_channel()).await.unwrap(), AddedBroadcast::OtherBody);
    let paused = |place: usize| Broadcast {
        id: format!("P{place}").into(),
        key: None,
        state: BroadcastState::Paused,
        ..again.clone()
    };
    for place in 0..BROADCASTS_MAX {
        let added = storage.add_broadcast(paused(place), to_channel()).await.unwrap();
        assert!(matches!(added, AddedBroadcast::New(_)), "{place}: those that ended go");
    }
    assert_eq!(storage.broadcast("bot", "ALL").await.unwrap(), None);
    let all = storage.broadcasts("bot").await.unwrap();
    assert_eq!((all.len(), &*all[0].id), (BROADCASTS_MAX, "P99"), "newest first");
    assert_eq!(storage.add_broadcast(paused(1_000), to_channel()).await.unwrap(), AddedBroadcast::TooMany);
    // Nobody is meant: it is done at once.
    storage.switch_broadcast("bot", "P7", BroadcastState::Cancelled).await.unwrap();
    let nobody = Targets::Known(Some(ChannelInstance::Wire("nobody's".into())));
    let AddedBroadcast::New(empty) = storage.add_broadcast(paused(1_000), nobody).await.unwrap() else {
        panic!("P7 makes room")
    };
    assert_eq!((empty.state, empty.counts.total), (BroadcastState::Done, 0));
    assert_eq!(storage.broadcast("bot", "P7").await.unwrap(), None);
}
