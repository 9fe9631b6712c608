//! The conformance suite, and what a file can do that memory cannot: survive.

mod cached;
mod files;
mod transactions;

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::FutureExt;
use tempfile::TempDir;

use super::super::conformance::{answer, bounds, commit, conforms, mark, send, turn};
use super::writer::Undo;
use super::*;
use crate::privacy::Privacy;
use crate::testing::{conversation, settings};
use crate::{
    Delivery, Expected, FrameTag, InboxEntry, Lease, Made, OutboxAction, Pending, RUNS_ALONE_MAX, STARTS_TOGETHER,
    ScopeOwner, StateScope, StateValue, StateWrite, Storage, StoredStack, TurnCommit,
};

/// Settings with room for a hundred of everything.
fn roomy() -> Channel {
    let mut roomy = settings();
    (roomy.outbox_rows_max, roomy.dead_letters_max) = (100, 100);
    (roomy.redelivery_marks_max, roomy.id_map_entries_max) = (100, 100);
    roomy
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("data/turntable.db")
    }

    /// Opens the store. A process that another test starts holds the lock of a store that was just closed until it runs its
    /// program, because a fork copies all files.
    fn open(&self) -> SqliteStorage {
        let end = std::time::Instant::now() + Duration::from_secs(60);
        loop {
            match SqliteStorage::open(&self.path(), Durability::Full, &roomy()) {
                Ok(storage) => return storage,
                Err(error)
                    if format!("{error:#}").contains("is in use by process") && std::time::Instant::now() < end =>
                {
                    std::thread::yield_now();
                }
                Err(error) => panic!("{error:#}"),
            }
        }
    }

    fn refusal(&self) -> String {
        match SqliteStorage::open(&self.path(), Durability::Full, &settings()) {
            Ok(_) => panic!("it should be refused"),
            Err(error) => format!("{error:#}"),
        }
    }
}

#[tokio::test]
async fn a_file_conforms() {
    conforms(&Folder::new().open()).await;
}

#[tokio::test]
async fn a_temporary_database_conforms() {
    conforms(&SqliteStorage::temporary(&roomy()).unwrap()).await;
}

#[tokio::test]
async fn both_stay_within_their_bounds() {
    bounds::conform(|| SqliteStorage::temporary(&settings()).unwrap()).await;
    let (folder, stores) = (Folder::new(), Cell::new(0));
    let next = || folder.path().with_file_name(format!("{}.db", stores.replace(stores.get() + 1)));
    bounds::conform(|| SqliteStorage::open(&next(), Durability::Full, &settings()).unwrap()).await;
}

#[tokio::test]
async fn everything_survives_a_restart() {
    let folder = Folder::new();
    let one = conversation("c");
    let scope = StateScope {
        bot: "bot".into(),
        namespace: "plugin:p".into(),
        owner: ScopeOwner::User(one.channel.clone(), "ann".into()),
    };
    {
        let storage = folder.open();
        assert!(matches!(storage.accept(&mark("m"), &turn()).await.unwrap(), Accepted::New));
        assert!(matches!(storage.accept(&mark("flushed"), &turn()).await.unwrap(), Accepted::New));
        let kept = InboxEntry { turn_id: "kept".into(), conversation: one.clone(), activity: "{}".into() };
        storage.add_to_inbox(kept).await.unwrap();
        let value = StateValue { value: "1".into(), etag: "e".into() };
        let write =
            StateWrite { scope: scope.clone(), key: "k".into(), value: Some(value), expected: Expected::Absent };
        let frame = FrameTag { plugin: "p".into(), dialog: "d".into(), state_version: 3 };
        let turn = TurnCommit {
            writes: vec![write],
            stack: Some(Some(StoredStack { text: "[]".into(), frames: vec![frame] })),
            record: Some((mark("m"), answer(201))),
            ..commit(&one, vec![send("tt-1"), send("tt-2")])
        };
        storage.commit(turn).await.unwrap();
        let flush =
            TurnCommit { record: Some((mark("flushed"), answer(200))), ends_turn: false, ..commit(&one, Vec::new()) };
        storage.commit(flush).await.unwrap();
        let row = storage.claim_outbox(&one).await.unwrap().unwrap();
        storage.note_delivery(&row, Delivery::Done { channel_id: "c1".into() }).await.unwrap();
    }
    let storage = folder.open();
    assert!(
        matches!(storage.accept(&mark("m"), &turn()).await.unwrap(), Accepted::Duplicate { turn_id, answer: found } if found == answer(201) && turn_id == turn())
    );
    assert!(
        matches!(storage.accept(&mark("flushed"), &turn()).await.unwrap(), Accepted::Duplicate { .. }),
        "at most once after a flush"
    );
    let values = storage.load_state(&scope).await.unwrap();
    assert_eq!(values["k"], StateValue { value: "1".into(), etag: "e".into() });
    assert_eq!(storage.load_stack(&one).await.unwrap().as_deref(), Some("[]"));
    assert_eq!(storage.frames("bot").await.unwrap()[0].1, 1);
    let left = storage.leftovers().await.unwrap();
    assert_eq!(left.activities.len(), 1);
    assert_eq!(left.outbox, [(one.clone(), 1)]);
    assert_eq!(storage.outbox_depth().await.unwrap(), 1);
    assert_eq!(storage.claim_outbox(&one).await.unwrap().unwrap().sequence, 2);
    assert_eq!(storage.host_id(&one, "c1").await.unwrap().as_deref(), Some("tt-1"));
    // The turn of the kept activity ends, under the id that it was kept with.
    storage.commit(TurnCommit { turn_id: "kept".into(), ..commit(&one, Vec::new()) }).await.unwrap();
    assert!(storage.leftovers().await.unwrap().activities.is_empty());
}

#[tokio::test]
async fn an_activity_that_ends_the_process_at_every_start_is_not_run_for_ever() {
    let folder = Folder::new();
    let kept = InboxEntry { turn_id: "kept".into(), conversation: conversation("one"), activity: "{}".into() };
    folder.open().add_to_inbox(kept).await.unwrap();
    for _ in 0..STARTS_TOGETHER {
        assert_eq!(folder.open().leftovers().await.unwrap().activities.len(), 1);
    }
    // A start that ends before the suspect ran does not count.
    for _ in 0..RUNS_ALONE_MAX {
        assert_eq!(folder.open().leftovers().await.unwrap().suspects.len(), 1);
        let storage = folder.open();
        let left = storage.leftovers().await.unwrap();
        assert!(left.activities.is_empty() && left.given_up.is_empty());
        storage.note_run_alone(&left.suspects[0].turn_id).await.unwrap();
    }
    let storage = folder.open();
    let left = storage.leftovers().await.unwrap();
    assert!(left.activities.is_empty() && left.suspects.is_empty());
    assert_eq!(left.given_up, ["kept".into()]);

    // An operator takes it back, and then drops it.
    let given_up = storage.given_up("bot").await.unwrap();
    assert_eq!((given_up.len(), &*given_up[0].entry.turn_id), (1, "kept"));
    let number = given_up[0].number;
    assert!(storage.retry_given_up("other", number).await.unwrap().is_none());
    assert_eq!(&*storage.retry_given_up("bot", number).await.unwrap().unwrap().activity, "{}");
    assert!(storage.given_up("bot").await.unwrap().is_empty() && !storage.drop_given_up("bot", number).await.unwrap());
    drop(storage);
    let storage = folder.open();
    let left = storage.leftovers().await.unwrap();
    assert_eq!(left.suspects.len(), 1, "it may have ended the process again");
    storage.note_run_alone(&left.suspects[0].turn_id).await.unwrap();
    assert!(
        !storage.drop_given_up("other", number).await.unwrap() && storage.drop_given_up("bot", number).await.unwrap()
    );
    assert!(storage.leftovers().await.unwrap().given_up.is_empty());
}

/// Whoever ran alone least often is next, so a kill amid one activity does not count against all.
#[tokio::test]
async fn suspects_take_turns() {
    let folder = Folder::new();
    for turn_id in ["one", "two"] {
        let kept = InboxEntry { turn_id: turn_id.into(), conversation: conversation(turn_id), activity: "{}".into() };
        folder.open().add_to_inbox(kept).await.unwrap();
    }
    for _ in 0..STARTS_TOGETHER {
        folder.open().leftovers().await.unwrap();
    }
    for expected in ["one", "two", "one", "two"] {
        let storage = folder.open();
        let left = storage.leftovers().await.unwrap();
        assert_eq!(&*left.suspects[0].turn_id, expected);
        storage.note_run_alone(&left.suspects[0].turn_id).await.unwrap();
    }
}

/// The outbox may be empty at a start, and a dead letter keeps the number that it had there.
#[tokio::test]
async fn no_number_of_a_dead_letter_is_given_again() {
    let (folder, one) = (Folder::new(), conversation("c"));
    for number in 1..=3 {
        let storage = folder.open();
        storage.commit(commit(&one, vec![send(&format!("tt-{number}"))])).await.unwrap();
        let row = storage.claim_outbox(&one).await.unwrap().unwrap();
        storage.note_delivery(&row, Delivery::Dead { why: "refused".to_owned(), gone: false }).await.unwrap();
        let letters = storage.dead_letters("bot").await.unwrap();
        assert_eq!(letters.len(), number, "{letters:?}");
    }
}
