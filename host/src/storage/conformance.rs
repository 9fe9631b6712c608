//! What every implementation of [`Storage`] must do. An implementation's tests call [`conforms`] with an empty store that
//! has room for a hundred of everything.

pub(crate) mod bounds;
mod broadcasts;
mod owners;

use super::notifications::{Added, End, Mode, Notification, Reference, ReferenceFilter};
use super::transcripts::Transcript;
use super::*;
use crate::channel::testing::{conversation, object};

pub(crate) async fn conforms(storage: &dyn Storage) {
    redelivery_waits_then_gets_the_answer(storage).await;
    release_forgets_a_claim_but_not_a_flush(storage).await;
    rows_leave_in_order_and_once(storage).await;
    ids_map_both_ways_within_a_conversation(storage).await;
    dead_rows_become_letters(storage).await;
    references_follow_their_conversation(storage).await;
    every_user_of_a_group_is_met(storage).await;
    notifications_wait_end_and_are_due_again(storage).await;
    transcripts_hold_what_was_said_until_they_are_trimmed(storage).await;
    a_conversation_is_forgotten_whole(storage).await;
    a_user_is_forgotten_without_the_others(storage).await;
    a_user_of_a_conversation_that_the_bot_has_left_can_be_forgotten(storage).await;
    broadcasts::conform(storage).await;
    owners::conform(storage).await;
}

pub(crate) fn mark(id: &str) -> RedeliveryKey {
    RedeliveryKey { conversation: conversation("marks"), kind: "message".into(), id: id.into(), body: None }
}

/// The turn of [`commit`].
pub(crate) fn turn() -> Arc<str> {
    "turn".into()
}

pub(crate) fn answer(status: u16) -> Answer {
    Answer { status, body: Some("{}".into()) }
}

pub(crate) fn send(host_id: &str) -> OutboxAction {
    OutboxAction::Send { host_id: host_id.into(), activity: object(r#"{"type":"message"}"#) }
}

pub(crate) fn commit(conversation: &ConversationKey, outbox: Vec<OutboxAction>) -> TurnCommit {
    TurnCommit {
        conversation: conversation.clone(),
        service_url: "http://localhost".into(),
        turn_id: turn(),
        fence: Fence(0),
        outbox,
        writes: Vec::new(),
        stack: None,
        mark: None,
        proactive: ProactiveChanges::default(),
        transcript: Vec::new(),
        ends_turn: true,
        builds_on: Vec::new(),
        made: None,
    }
}

fn marking(id: &str, status: u16, ends_turn: bool) -> TurnCommit {
    TurnCommit { mark: Some((mark(id), answer(status))), ends_turn, ..commit(&conversation("marks"), Vec::new()) }
}

fn done(channel_id: &str) -> Delivery {
    Delivery::Done { channel_id: channel_id.into() }
}

async fn running(storage: &dyn Storage, id: &str) -> watch::Receiver<Option<Answer>> {
    match storage.accept(&mark(id), &turn()).await.unwrap() {
        Accepted::Running { turn_id, answer } if turn_id == turn() => answer,
        other => panic!("{id} is running, not {other:?}"),
    }
}

async fn duplicate(storage: &dyn Storage, id: &str) -> Answer {
    match storage.accept(&mark(id), &turn()).await.unwrap() {
        Accepted::Duplicate { turn_id, answer } if turn_id == turn() => answer,
        other => panic!("{id} is done, not {other:?}"),
    }
}

async fn new(storage: &dyn Storage, id: &str) {
    let accepted = storage.accept(&mark(id), &turn()).await.unwrap();
    assert!(matches!(accepted, Accepted::New), "{id} is new, not {accepted:?}");
}

async fn redelivery_waits_then_gets_the_answer(storage: &dyn Storage) {
    new(storage, "a").await;
    let mut waiting = running(storage, "a").await;
    assert_eq!(*waiting.borrow(), None);
    // A flush keeps redeliveries waiting: the answer of the end is the one that counts.
    storage.commit(marking("a", 200, false)).await.unwrap();
    assert_eq!(*waiting.borrow(), None);
    drop(running(storage, "a").await);
    storage.commit(marking("a", 201, true)).await.unwrap();
    assert_eq!(*waiting.wait_for(Option::is_some).await.unwrap(), Some(answer(201)));
    assert_eq!(duplicate(storage, "a").await, answer(201));
    // Releasing what is done changes nothing.
    storage.release(&mark("a")).await;
    assert_eq!(duplicate(storage, "a").await, answer(201));
}

async fn release_forgets_a_claim_but_not_a_flush(storage: &dyn Storage) {
    storage.release(&mark("b")).await;
    new(storage, "b").await;
    let mut waiting = running(storage, "b").await;
    storage.release(&mark("b")).await;
    assert!(waiting.wait_for(Option::is_some).await.is_err(), "a released run has no answer");
    new(storage, "b").await;
    let mut waiting = running(storage, "b").await;
    storage.commit(marking("b", 200, false)).await.unwrap();
    storage.release(&mark("b")).await;
    assert_eq!(*waiting.wait_for(Option::is_some).await.unwrap(), Some(answer(200)));
    assert_eq!(duplicate(storage, "b").await, answer(200));
}

async fn rows_leave_in_order_and_once(storage: &dyn Storage) {
    let (one, other) = (conversation("rows"), conversation("other rows"));
    assert!(storage.claim_outbox(&one).await.unwrap().is_none());
    storage.commit(commit(&one, vec![send("tt-r1"), send("tt-r2")])).await.unwrap();
    storage.commit(commit(&other, vec![send("tt-o1")])).await.unwrap();
    storage.commit(commit(&one, vec![OutboxAction::Delete { target: "tt-r1".into() }])).await.unwrap();
    assert_eq!(storage.outbox_depth().await.unwrap(), 4);
    let mut last = 0;
    for expected in ["tt-r1", "tt-r2", "delete tt-r1"] {
        let row = storage.claim_outbox(&one).await.unwrap().unwrap();
        let found = match &row.action {
            OutboxAction::Send { host_id, .. } => host_id.to_string(),
            OutboxAction::Update { target, .. } => format!("update {target}"),
            OutboxAction::Delete { target } => format!("delete {target}"),
        };
        assert_eq!(found, expected);
        assert!(row.sequence > last, "sequences increase");
        last = row.sequence;
        // A row is the oldest until it is ended, and ending it twice takes no other.
        assert_eq!(storage.claim_outbox(&one).await.unwrap().unwrap().sequence, row.sequence);
        storage.note_delivery(&row, done("")).await.unwrap();
        storage.note_delivery(&row, done("")).await.unwrap();
    }
    assert!(storage.claim_outbox(&one).await.unwrap().is_none());
    assert_eq!(storage.outbox_depth().await.unwrap(), 1);
    let row = storage.claim_outbox(&other).await.unwrap().unwrap();
    storage.note_delivery(&row, done("")).await.unwrap();
    assert_eq!(storage.outbox_depth().await.unwrap(), 0);
}

async fn ids_map_both_ways_within_a_conversation(storage: &dyn Storage) {
    let (one, other) = (conversation("ids"), conversation("other ids"));
    assert_eq!(storage.channel_id(&one, "tt-i1").await.unwrap(), None);
    storage.commit(commit(&one, vec![send("tt-i1")])).await.unwrap();
    assert_eq!(storage.channel_id(&one, "tt-i1").await.unwrap().as_deref(), Some(""));
    let row = storage.claim_outbox(&one).await.unwrap().unwrap();
    storage.note_delivery(&row, done("c1")).await.unwrap();
    assert_eq!(storage.channel_id(&one, "tt-i1").await.unwrap().as_deref(), Some("c1"));
    assert_eq!(storage.host_id(&one, "c1").await.unwrap().as_deref(), Some("tt-i1"));
    assert_eq!(storage.channel_id(&other, "tt-i1").await.unwrap(), None);
    assert_eq!(storage.host_id(&other, "c1").await.unwrap(), None);
    storage.map_id(&one, &"tt-i2".into(), &"".into()).await.unwrap();
    assert_eq!(storage.channel_id(&one, "tt-i2").await.unwrap().as_deref(), Some(""));
    assert_eq!(storage.host_id(&one, "").await.unwrap(), None);
    storage.map_id(&one, &"tt-i2".into(), &"c2".into()).await.unwrap();
    assert_eq!(storage.host_id(&one, "c2").await.unwrap().as_deref(), Some("tt-i2"));
}

async fn dead_rows_become_letters(storage: &dyn Storage) {
    let one = conversation("dead");
    storage.commit(commit(&one, vec![send("tt-d1"), send("tt-d2")])).await.unwrap();
    for why in ["first", "second"] {
        let row = storage.claim_outbox(&one).await.unwrap().unwrap();
        storage.note_delivery(&row, Delivery::Dead { why: why.to_owned(), gone: false }).await.unwrap();
    }
    assert!(storage.claim_outbox(&one).await.unwrap().is_none());
    let letters = storage.dead_letters("bot").await.unwrap();
    assert_eq!(letters.iter().map(|letter| &*letter.why).collect::<Vec<_>>(), ["second", "first"]);
    assert_eq!(letters[0].row.conversation, one);
    assert!(storage.dead_letters("another bot").await.unwrap().is_empty());
    // It never reached the channel, and the conversation still knows it.
    assert_eq!(storage.channel_id(&one, "tt-d1").await.unwrap().as_deref(), Some(""));
}

fn met(id: &str, user: &str, text: &str) -> Reference {
    Reference { conversation: conversation(id), user: user.into(), text: text.into(), seen_ms: 0, gone: None }
}

async fn change(storage: &dyn Storage, id: &str, proactive: ProactiveChanges) {
    let turn = TurnCommit { proactive, ..commit(&conversation(id), Vec::new()) };
    storage.commit(turn).await.unwrap();
}

async fn references_follow_their_conversation(storage: &dyn Storage) {
    let meet = async |reference: Reference| {
        let id = reference.conversation.conversation.to_string();
        change(storage, &id, ProactiveChanges { met: Some(reference), ..ProactiveChanges::default() }).await;
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
    let removed = ProactiveChanges { removed: true, met: Some(one.clone()), ..ProactiveChanges::default() };
    change(storage, "met-1", removed).await;
    assert_eq!(storage.reference(&one.conversation).await.unwrap(), None);
    meet(one.clone()).await;
    assert!(storage.reference(&one.conversation).await.unwrap().is_some(), "added again at once");
}

async fn every_user_of_a_group_is_met(storage: &dyn Storage) {
    let meet = async |group: &str, user: &str| {
        let text = format!("{{\"user\":{{\"id\":\"{user}\"}}}}");
        change(storage, group, ProactiveChanges { met: Some(met(group, user, &text)), ..ProactiveChanges::default() })
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

fn owed(id: &str, due_ms: u64) -> Notification {
    let key = (format!("key-{id}").into(), [7; 32]);
    Notification {
        id: id.into(),
        conversation: conversation("owed"),
        user: "ann".into(),
        sender: "p".into(),
        name: "".into(),
        mode: Mode::WhenIdle,
        content: "{}".into(),
        depth: 1,
        due_ms,
        cron: None,
        expires_ms: Some(9),
        key: Some(key),
        ended: None,
    }
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

fn said(at_ms: u64, user: &str, host_id: &str, activity: &str) -> TranscriptItem {
    TranscriptItem { at_ms, user: user.into(), host_id: host_id.into(), activity: activity.into() }
}

async fn transcripts_hold_what_was_said_until_they_are_trimmed(storage: &dyn Storage) {
    let talk = async |id: &str, transcript: Vec<TranscriptItem>| {
        storage.commit(TurnCommit { transcript, ..commit(&conversation(id), vec![]) }).await.unwrap();
    };
    let ids = async |id: &str, since: u64, after: u64, limit: usize| -> Vec<String> {
        let items = storage.transcript(&conversation(id), since, after, limit).await.unwrap();
        items.iter().map(|(_, item)| item["id"].as_str().unwrap().to_owned()).collect()
    };
    let question = said(10, "ann", "", r#"{"type":"message","id":"q"}"#);
    let reply = said(11, "", "tt-said", r#"{"type":"message","id":"tt-said"}"#);
    talk("said", vec![question.clone(), reply]).await;
    assert_eq!(ids("said", 0, 0, 9).await, ["q", "tt-said"]);
    storage.map_id(&conversation("said"), &"tt-said".into(), &"theirs".into()).await.unwrap();
    talk("said", vec![said(20, "", "", r#"{"type":"messageUpdate","id":"tt-said"}"#)]).await;
    assert_eq!(ids("said", 0, 0, 9).await, ["q", "theirs", "theirs"], "the channel's ids");
    let first = storage.transcript(&conversation("said"), 0, 0, 1).await.unwrap()[0].0;
    assert_eq!(ids("said", 0, first, 1).await, ["theirs"], "a page");
    assert_eq!(ids("said", 15, 0, 9).await.len(), 1, "by date");
    assert!(ids("nobody", 0, 0, 9).await.is_empty());
    // Lists.
    talk("said too", vec![said(15, "ben", "", r#"{"type":"message","id":"b"}"#)]).await;
    let listed = storage.transcripts("bot", 0, 9).await.unwrap();
    let bytes = listed[0].bytes;
    let Transcript { first_ms, last_ms, activities, .. } = listed[0].clone();
    assert_eq!((listed.len(), first_ms, last_ms, activities), (2, 10, 20, 3));
    assert_eq!(storage.transcripts("bot", listed[0].place, 9).await.unwrap(), listed[1..]);
    assert!(storage.transcripts("other", 0, 9).await.unwrap().is_empty());
    // Imports.
    assert!(!storage.import_transcript(&conversation("said"), vec![question.clone()]).await.unwrap(), "it has one");
    assert!(storage.import_transcript(&conversation("imported"), vec![question]).await.unwrap());
    assert_eq!(ids("imported", 0, 0, 9).await, ["q"]);
    assert!(storage.delete_transcript(&conversation("imported")).await.unwrap());
    assert!(!storage.delete_transcript(&conversation("imported")).await.unwrap());
    assert!(ids("imported", 0, 0, 9).await.is_empty());
    // Trims: by age, then by size, the oldest first.
    assert!(storage.transcripts("bot", u64::MAX, 9).await.unwrap().is_empty(), "behind every place");
    assert!(ids("said", 0, u64::MAX, 9).await.is_empty());
    assert_eq!(storage.trim_transcripts("bot", 10, u64::MAX).await.unwrap(), 0);
    assert_eq!(storage.trim_transcripts("bot", 12, u64::MAX).await.unwrap(), 2);
    assert_eq!(ids("said", 0, 0, 9).await, ["theirs"].map(|_| "tt-said"), "what it changed is gone");
    assert!(storage.transcripts("bot", 0, 9).await.unwrap()[0].bytes < bytes);
    assert_eq!(storage.trim_transcripts("bot", 0, 60).await.unwrap(), 1);
    assert!(ids("said too", 0, 0, 9).await.is_empty(), "it was the oldest");
    assert_eq!(storage.trim_transcripts("bot", 0, 60).await.unwrap(), 0);
    assert_eq!(storage.trim_transcripts("bot", u64::MAX, 60).await.unwrap(), 1);
    assert!(storage.transcripts("bot", 0, 9).await.unwrap().is_empty());
    // What began first is forgotten meanwhile, and holds up nobody.
    talk("group", vec![said(1, "ann", "", r#"{"id":"a"}"#), said(50, "ben", "", r#"{"id":"b"}"#)]).await;
    talk("later", vec![said(2, "cid", "", r#"{"id":"c"}"#)]).await;
    storage.forget_member(&conversation("group"), "ann").await.unwrap();
    assert_eq!(storage.trim_transcripts("bot", 10, u64::MAX).await.unwrap(), 1);
    assert!(ids("later", 0, 0, 9).await.is_empty());
    assert_eq!(ids("group", 0, 0, 9).await, ["b"]);
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
    let mark = RedeliveryKey { conversation: key.clone(), ..mark(&format!("{id}-{user}")) };
    let text = format!("{{\"user\":{{\"id\":\"{user}\"}}}}");
    let proactive = ProactiveChanges {
        met: Some(met(id, user, &text)),
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
        mark: Some((mark.clone(), answer(200))),
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
    let again = RedeliveryKey { conversation: key.clone(), ..mark("traces-ann") };
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
    let proactive = ProactiveChanges { met: Some(met("left", "fay", "{}")), ..ProactiveChanges::default() };
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
    let answered = RedeliveryKey { conversation: key.clone(), ..mark("shared-dan") };
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
