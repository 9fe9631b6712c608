//! Two owners on one store, and what a turn leaves for the next: values and the dialog stack.

use std::time::Duration;

use super::deduplication::new;
use super::{ScopeOwner, StateScope, StateValue, StateWrite, commit, done, mark, marking, send, turn};
use crate::testing::conversation;
use crate::{Accepted, Expected, Fence, FrameTag, Lease, Storage, StorageError, StoredStack, TurnCommit};
use turntable_activity::ConversationKey;

const MINUTE: Duration = Duration::from_secs(60);

pub(super) async fn conform(storage: &dyn Storage) {
    who_was_overtaken_stores_nothing(storage).await;
    what_another_owner_left_is_taken_over(storage).await;
    a_commit_whose_values_are_others_by_now_stores_nothing(storage).await;
    a_stack_is_left_replaced_and_emptied(storage).await;
}

/// The fence of a lease, or how long another owner has it at most.
async fn lease(storage: &dyn Storage, of: &ConversationKey, owner: &str, ttl: Duration) -> Result<Fence, Duration> {
    match storage.lease(of, &owner.into(), ttl).await.unwrap() {
        Lease::Granted(fence) => Ok(fence),
        Lease::Held(left) => Err(left),
    }
}

fn write(key: &str, value: Option<(&str, &str)>, expected: Expected) -> StateWrite {
    let scope = StateScope { bot: "bot".into(), namespace: "plugin:owners".into(), owner: ScopeOwner::Bot };
    let value = value.map(|(value, etag)| StateValue { value: value.into(), etag: etag.into() });
    StateWrite { scope, key: key.into(), value, expected }
}

/// The value and etag of a key.
async fn stored(storage: &dyn Storage, key: &str) -> Option<(String, String)> {
    let values = storage.load_state(&write("", None, Expected::Any).scope).await.unwrap();
    values.get(key).map(|found| (found.value.to_string(), found.etag.to_string()))
}

async fn who_was_overtaken_stores_nothing(storage: &dyn Storage) {
    let (one, other) = (conversation("owned"), conversation("owned by nobody"));
    let first = lease(storage, &one, "a", MINUTE).await.unwrap();
    assert_eq!(lease(storage, &one, "a", MINUTE).await, Ok(first), "who asks again keeps its fence");
    assert!(lease(storage, &one, "b", MINUTE).await.unwrap_err() <= MINUTE, "another has it, and for how long");
    assert!(lease(storage, &other, "b", MINUTE).await.is_ok(), "each conversation has its own");
    // The lease of `a` expires.
    assert_eq!(lease(storage, &one, "a", Duration::ZERO).await, Ok(first));
    let second = lease(storage, &one, "b", MINUTE).await.unwrap();
    assert!(second > first);
    assert!(lease(storage, &one, "a", MINUTE).await.is_err());

    let late = || TurnCommit {
        fence: first,
        writes: vec![write("late", Some(("1", "e")), Expected::Any)],
        stack: Some(Some(stack(1))),
        ..commit(&one, vec![send("tt-late")])
    };
    assert!(matches!(storage.commit(late()).await, Err(StorageError::Fenced)));
    assert_eq!(stored(storage, "late").await, None);
    assert_eq!(storage.load_stack(&one).await.unwrap(), None);
    assert!(storage.claim_outbox(&one).await.unwrap().is_none());
    storage.commit(TurnCommit { fence: second, stack: Some(None), ..late() }).await.unwrap();
    assert_eq!(stored(storage, "late").await, Some(("1".into(), "e".into())));
    let row = storage.claim_outbox(&one).await.unwrap().unwrap();
    storage.note_delivery(&row, done("c-late")).await.unwrap();
    // A third owner, after which neither of the two stores anything.
    lease(storage, &one, "b", Duration::ZERO).await.unwrap();
    let third = lease(storage, &one, "c", MINUTE).await.unwrap();
    assert!(third > second);
    for overtaken in [first, second] {
        let late = TurnCommit { fence: overtaken, ..late() };
        assert!(matches!(storage.commit(late).await, Err(StorageError::Fenced)));
    }
    assert!(lease(storage, &one, "b", MINUTE).await.is_err());
    assert_eq!(storage.load_stack(&one).await.unwrap(), None);
    assert!(storage.claim_outbox(&one).await.unwrap().is_none());
}

async fn what_another_owner_left_is_taken_over(storage: &dyn Storage) {
    let one = conversation("left behind");
    let first = lease(storage, &one, "a", Duration::ZERO).await.unwrap();
    storage.commit(TurnCommit { fence: first, ..commit(&one, vec![send("tt-left")]) }).await.unwrap();
    // `a` claims the row and the activity `left`, and is gone.
    let claimed = storage.claim_outbox(&one).await.unwrap().unwrap();
    new(storage, "left").await;

    lease(storage, &one, "b", MINUTE).await.unwrap();
    let row = storage.claim_outbox(&one).await.unwrap().unwrap();
    assert_eq!(row.sequence, claimed.sequence, "a claim does not outlast its owner");
    storage.note_delivery(&row, done("c-left")).await.unwrap();
    storage.note_delivery(&claimed, done("c-late")).await.unwrap();
    assert_eq!(storage.channel_id(&one, "tt-left").await.unwrap().as_deref(), Some("c-left"), "`a` notes too late");
    assert!(storage.claim_outbox(&one).await.unwrap().is_none());
    storage.release(&mark("left")).await;
    new(storage, "left").await;
    storage.commit(marking("left", 200, true)).await.unwrap();
    assert!(matches!(storage.accept(&mark("left"), &turn()).await.unwrap(), Accepted::Duplicate { .. }));
}

async fn a_commit_whose_values_are_others_by_now_stores_nothing(storage: &dyn Storage) {
    let one = conversation("values");
    let writing = |writes: Vec<StateWrite>| TurnCommit { writes, ..commit(&one, vec![send("tt-value")]) };
    let put = async |writes: Vec<StateWrite>| storage.commit(writing(writes)).await;
    put(vec![write("a", Some(("1", "e1")), Expected::Absent), write("b", Some(("1", "f1")), Expected::Any)])
        .await
        .unwrap();
    let depth = storage.outbox_depth().await.unwrap();
    for expected in [Expected::Absent, Expected::Etag("e0".into())] {
        let all = vec![write("b", None, Expected::Any), write("a", Some(("2", "e2")), expected)];
        assert!(matches!(put(all).await, Err(StorageError::Conflict)));
    }
    let absent = vec![write("none", Some(("2", "e2")), Expected::Etag("e1".into()))];
    assert!(matches!(put(absent).await, Err(StorageError::Conflict)));
    assert_eq!(storage.outbox_depth().await.unwrap(), depth, "nothing of it was stored");
    assert_eq!(stored(storage, "a").await, Some(("1".into(), "e1".into())));
    assert_eq!(stored(storage, "b").await, Some(("1".into(), "f1".into())));

    put(vec![
        write("a", Some(("2", "e2")), Expected::Etag("e1".into())),
        write("b", None, Expected::Etag("f1".into())),
    ])
    .await
    .unwrap();
    assert_eq!(stored(storage, "a").await, Some(("2".into(), "e2".into())));
    assert_eq!(stored(storage, "b").await, None);
    put(vec![write("b", Some(("3", "f3")), Expected::Absent), write("a", None, Expected::Any)]).await.unwrap();
    assert_eq!((stored(storage, "a").await, stored(storage, "b").await), (None, Some(("3".into(), "f3".into()))));
    while let Some(row) = storage.claim_outbox(&one).await.unwrap() {
        storage.note_delivery(&row, done("c-value")).await.unwrap();
    }
}

/// So many frames of one dialog.
fn stack(frames: usize) -> StoredStack {
    let frame = FrameTag { plugin: "owners".into(), dialog: "d".into(), state_version: 7 };
    StoredStack { text: format!("[{frames}]").into(), frames: vec![frame; frames] }
}

async fn a_stack_is_left_replaced_and_emptied(storage: &dyn Storage) {
    let (one, other) = (conversation("stacked"), conversation("stacked too"));
    let set = async |of: &ConversationKey, stack: Option<Option<StoredStack>>| {
        storage.commit(TurnCommit { stack, ..commit(of, Vec::new()) }).await.unwrap();
    };
    let waiting = async || {
        let counts = storage.frames("bot").await.unwrap();
        counts.iter().filter(|(frame, _)| &*frame.plugin == "owners").map(|(_, count)| *count).sum::<u64>()
    };
    let waiting_in = async |version: u64, max: usize| {
        let frame = FrameTag { plugin: "owners".into(), dialog: "d".into(), state_version: version };
        let mut found = storage.waiting_in("bot", &frame, max).await.unwrap();
        found.sort_by(|one, other| one.conversation.cmp(&other.conversation));
        found
    };
    set(&one, Some(Some(stack(1)))).await;
    set(&other, Some(Some(stack(2)))).await;
    assert_eq!(waiting().await, 3);
    assert_eq!(waiting_in(7, 9).await, [one.clone(), other.clone()], "each conversation once");
    assert_eq!((waiting_in(7, 1).await.len(), waiting_in(8, 9).await), (1, Vec::new()));
    set(&one, None).await;
    assert_eq!(storage.load_stack(&one).await.unwrap().as_deref(), Some("[1]"), "a turn without dialogs leaves it");
    set(&one, Some(Some(stack(3)))).await;
    assert_eq!((storage.load_stack(&one).await.unwrap().as_deref(), waiting().await), (Some("[3]"), 5));
    set(&one, Some(None)).await;
    set(&other, Some(None)).await;
    assert_eq!((storage.load_stack(&one).await.unwrap(), waiting().await), (None, 0));
}
