//! The conformance suite, and what a file can do that memory cannot: survive.

use std::cell::Cell;
use std::path::PathBuf;

use futures_util::FutureExt;
use tempfile::TempDir;

use super::super::conformance::{answer, bounds, commit, conforms, mark, send, turn};
use super::*;
use crate::channel::testing::{conversation, object, settings};
use crate::storage::privacy::Privacy;
use crate::storage::{Expected, Pending, ScopeOwner, StateWrite, StoredStack};

/// Settings with room for a hundred of everything.
fn roomy() -> config::Channel {
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

    fn open(&self) -> SqliteStorage {
        SqliteStorage::open(&self.path(), Durability::Full, &roomy()).unwrap()
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
        let kept = KeptActivity { turn_id: "kept".into(), conversation: one.clone(), activity: "{}".into() };
        storage.keep(kept).await.unwrap();
        let value = StateValue { value: "1".into(), etag: "e".into() };
        let write =
            StateWrite { scope: scope.clone(), key: "k".into(), value: Some(value), expected: Expected::Absent };
        let frame = FrameTag { plugin: "p".into(), dialog: "d".into(), state_version: 3 };
        let turn = TurnCommit {
            writes: vec![write],
            stack: Some(Some(StoredStack { text: "[]".into(), frames: vec![frame] })),
            mark: Some((mark("m"), answer(201))),
            ..commit(&one, vec![send("tt-1"), send("tt-2")])
        };
        storage.commit(turn).await.unwrap();
        let flush =
            TurnCommit { mark: Some((mark("flushed"), answer(200))), ends_turn: false, ..commit(&one, Vec::new()) };
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
    let kept = KeptActivity { turn_id: "kept".into(), conversation: conversation("one"), activity: "{}".into() };
    folder.open().keep(kept).await.unwrap();
    for _ in 0..STARTS_MAX {
        assert_eq!(folder.open().leftovers().await.unwrap().activities.len(), 1);
    }
    let left = folder.open().leftovers().await.unwrap();
    assert!(left.activities.is_empty());
    assert_eq!(left.given_up, ["kept".into()]);
}

#[tokio::test]
async fn one_turn_that_fails_undoes_no_other() {
    let storage = Arc::new(Folder::new().open());
    let scope = StateScope { bot: "bot".into(), namespace: "plugin:p".into(), owner: ScopeOwner::Bot };
    // Only the first of these finds what it expects; all wait for the writer at once.
    let turns = (0..50).map(|number| {
        let (storage, scope) = (storage.clone(), scope.clone());
        tokio::spawn(async move {
            let value = StateValue { value: "1".into(), etag: format!("e{number}").into() };
            let write = StateWrite { scope, key: "k".into(), value: Some(value), expected: Expected::Absent };
            let one = conversation(&format!("c{number}"));
            let turn = TurnCommit { writes: vec![write], ..commit(&one, vec![send(&format!("tt-{number}"))]) };
            storage.commit(turn).await
        })
    });
    let mut committed = 0;
    for turn in turns.collect::<Vec<_>>() {
        match turn.await.unwrap() {
            Ok(()) => committed += 1,
            Err(StorageError::Conflict) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(committed, 1);
    assert_eq!(storage.outbox_depth().await.unwrap(), 1, "a turn is real with all of it, or not at all");
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_the_store_goes_on() {
    let folder = Folder::new();
    for storage in [folder.open(), SqliteStorage::temporary(&roomy()).unwrap()] {
        a_full_disk_loses_nothing(&storage).await;
    }
}

async fn a_full_disk_loses_nothing(storage: &SqliteStorage) {
    let one = conversation("c");
    storage.commit(commit(&one, vec![send("tt-1")])).await.unwrap();
    let limit = |pages: u32| {
        storage.database.write(move |connection| {
            connection.pragma_update(None, "max_page_count", pages).map_err(|error| failed("limit", &error))
        })
    };
    limit(1).await.unwrap();
    let long = "x".repeat(1 << 20);
    let big = OutboxAction::Send {
        host_id: "tt-2".into(),
        activity: serde_json::from_str(&format!("{{\"type\":\"message\",\"text\":\"{long}\"}}")).unwrap(),
    };
    let refused = storage.commit(commit(&one, vec![big.clone()])).await.unwrap_err().to_string();
    assert!(refused.contains("disk is full"), "{refused}");
    assert_eq!(storage.outbox_depth().await.unwrap(), 1);
    limit(1 << 20).await.unwrap();
    storage.commit(commit(&one, vec![big])).await.unwrap();
    assert_eq!(storage.outbox_depth().await.unwrap(), 2);
}

#[tokio::test]
async fn a_panic_in_the_store_ends_one_transaction_and_not_the_writer() {
    let folder = Folder::new();
    for storage in [folder.open(), SqliteStorage::temporary(&roomy()).unwrap()] {
        let one = conversation("c");
        let panicked = storage.database.write::<()>(|_| panic!("on purpose")).await;
        assert!(panicked.is_err());
        storage.commit(commit(&one, vec![send("tt-1")])).await.unwrap();
        assert_eq!(storage.outbox_depth().await.unwrap(), 1);
    }
}

#[test]
fn a_file_that_cannot_be_used_is_refused_with_what_to_do() {
    let folder = Folder::new();
    let first = folder.open();
    let refusal = folder.refusal();
    assert!(refusal.contains(&format!("is in use by process {}", std::process::id())), "{refusal}");
    drop(first);

    // A newer schema.
    let connection = Connection::open(folder.path()).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let refusal = folder.refusal();
    assert!(refusal.contains("has schema 99, written by a newer Turntable"), "{refusal}");

    // No database at all.
    std::fs::write(folder.path(), "this is no database, but a text that is long enough to be one".repeat(100)).unwrap();
    let refusal = folder.refusal();
    assert!(refusal.contains("cannot be used") && refusal.contains("Put a backup in its place"), "{refusal}");

    // A database of somebody else.
    std::fs::remove_file(folder.path()).unwrap();
    Connection::open(folder.path()).unwrap().execute_batch("CREATE TABLE songs (title TEXT)").unwrap();
    let bytes = std::fs::read(folder.path()).unwrap();
    let refusal = folder.refusal();
    assert!(refusal.contains("is a database of another program, with the table `songs`"), "{refusal}");
    assert!(std::fs::read(folder.path()).unwrap() == bytes, "it was changed");

    // A table is gone.
    let lacking = Folder::new();
    drop(lacking.open());
    Connection::open(lacking.path()).unwrap().execute_batch("DROP TABLE marks").unwrap();
    let refusal = lacking.refusal();
    assert!(refusal.contains("cannot be used: it has no table `marks`"), "{refusal}");
    assert!(stats(&lacking.path()).unwrap_err().to_string().contains("it has no table `marks`"));

    // A folder that is a file.
    let file = Folder::new();
    std::fs::write(file.0.path().join("data"), "").unwrap();
    let refusal = file.refusal();
    assert!(refusal.contains("cannot make the folder"), "{refusal}");
}

#[test]
fn a_damaged_page_is_found_after_a_stop_that_was_not_clean() {
    let folder = Folder::new();
    drop(folder.open());
    let mut bytes = std::fs::read(folder.path()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0xff);
    std::fs::write(folder.path(), bytes).unwrap();
    // What a killed process leaves beside its file.
    let mut wal = folder.path().into_os_string();
    wal.push("-wal");
    std::fs::write(wal, "x").unwrap();
    let refusal = folder.refusal();
    assert!(refusal.contains("cannot be used"), "{refusal}");
}

/// The log of a killed process is written back when a connection closes; not into a file that is refused.
#[test]
fn a_damaged_file_is_left_as_it_is_with_its_log() {
    let folder = Folder::new();
    drop(folder.open());
    let wal = folder.path().with_extension("db-wal");
    let connection = Connection::open(folder.path()).unwrap();
    connection.execute("INSERT INTO stacks VALUES ('bot', 'local', 'c', '[]')", []).unwrap();
    let (mut damaged, log) = (std::fs::read(folder.path()).unwrap(), std::fs::read(&wal).unwrap());
    assert!(!log.is_empty());
    drop(connection);
    let middle = damaged.len() / 2;
    damaged[middle..].fill(0xff);
    std::fs::write(folder.path(), &damaged).unwrap();
    std::fs::write(&wal, &log).unwrap();
    let refusal = folder.refusal();
    assert!(refusal.contains("Nothing was changed in it"), "{refusal}");
    assert!(std::fs::read(folder.path()).unwrap() == damaged, "the file was changed");
    assert!(std::fs::read(&wal).unwrap() == log, "the log was changed");
}

#[tokio::test]
async fn ids_of_an_earlier_start_are_known_before_and_after_they_are_learnt() {
    let (folder, one, other) = (Folder::new(), conversation("c"), conversation("other"));
    {
        let storage = folder.open();
        storage.commit(commit(&one, vec![send("tt-1"), send("tt-2")])).await.unwrap();
        let row = storage.claim_outbox(&one).await.unwrap().unwrap();
        storage.note_delivery(&row, Delivery::Done { channel_id: "c1".into() }).await.unwrap();
    }
    let storage = folder.open();
    let known = async || {
        assert_eq!(storage.channel_id(&one, "tt-1").await.unwrap().as_deref(), Some("c1"));
        assert_eq!(storage.host_id(&one, "c1").await.unwrap().as_deref(), Some("tt-1"));
        assert_eq!(storage.channel_id(&one, "tt-2").await.unwrap().as_deref(), Some(""), "not delivered yet");
        assert_eq!(storage.channel_id(&other, "tt-1").await.unwrap(), None);
        assert_eq!(storage.channel_id(&one, "tt-3").await.unwrap(), None);
        assert_eq!(storage.host_id(&other, "c1").await.unwrap(), None);
    };
    known().await;
    let learnt = async {
        while storage.cache.ids.of_channel(&one, "new") != Found::Nowhere {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), learnt).await.unwrap();
    known().await;
    let forgotten = storage.forget_conversation(&one).await.unwrap();
    assert_eq!(forgotten.0.get("ids"), Some(&1), "{forgotten:?}");
    for id in ["tt-1", "tt-2"] {
        assert_eq!(storage.channel_id(&one, id).await.unwrap(), None, "{id}");
    }
}

#[tokio::test]
async fn work_that_fails_half_way_leaves_nothing_behind() {
    let folder = Folder::new();
    for storage in [folder.open(), SqliteStorage::temporary(&roomy()).unwrap()] {
        fails_half_way(&storage).await;
    }
}

async fn fails_half_way(storage: &SqliteStorage) {
    let one = conversation("c");
    for undo in [Undo::Itself, Undo::Transaction] {
        let work = |connection: &Connection| -> Result<(), StorageError> {
            run(connection, "INSERT INTO stacks VALUES ('bot', 'local', 'c', '[]')", [])?;
            Err(StorageError::Unavailable(anyhow::anyhow!("half-way")))
        };
        let failure = storage.database.write_then(undo, work, |_| ()).await.unwrap_err();
        assert!(failure.to_string().contains("half-way"), "{undo:?}: {failure}");
        let left: u64 = storage
            .read("count", |connection| connection.query_row("SELECT count(*) FROM stacks", [], |row| row.get(0)))
            .unwrap();
        assert_eq!(left, 0, "{undo:?}");
        storage.commit(commit(&one, vec![send(&format!("tt-{undo:?}"))])).await.unwrap();
    }
    assert_eq!(storage.outbox_depth().await.unwrap(), 2);
}

/// A turn may update what is just being noted as delivered.
#[tokio::test]
async fn an_id_is_known_while_its_delivery_is_noted() {
    let (folder, one) = (Folder::new(), conversation("c"));
    let storage = Arc::new(folder.open());
    storage.commit(commit(&one, vec![send("tt-1")])).await.unwrap();
    let row = storage.claim_outbox(&one).await.unwrap().unwrap();
    let (within, key) = (storage.clone(), one.clone());
    let work = move |connection: &Connection| {
        let done = Delivery::Done { channel_id: "c1".into() };
        commit::end_row(connection, &row, &done, &within.cache.ids, &within.bounds)?;
        within.channel_id(&key, "tt-1").now_or_never().unwrap()
    };
    let meanwhile = storage.database.write(work).await.unwrap();
    assert_eq!(meanwhile.as_deref(), Some(""));
}

/// What the transaction has written that forgets is forgotten too.
#[tokio::test]
async fn what_is_noted_while_it_is_forgotten_is_forgotten() {
    let (folder, one) = (Folder::new(), conversation("c"));
    let storage = Arc::new(folder.open());
    storage.commit(commit(&one, vec![send("tt-1")])).await.unwrap();
    let row = storage.claim_outbox(&one).await.unwrap().unwrap();
    let learnt = async {
        while storage.cache.ids.of(&one).is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), learnt).await.unwrap();
    let within = storage.clone();
    let work = move |connection: &Connection| {
        let done = Delivery::Done { channel_id: "c1".into() };
        commit::end_row(connection, &row, &done, &within.cache.ids, &within.bounds)?;
        privacy::forget_conversation(connection, &within.cache, &one)
    };
    let forgotten = storage.database.write(work).await.unwrap();
    assert_eq!(forgotten.0.get("ids"), Some(&1), "{forgotten:?}");
}

#[test]
fn an_index_finds_what_is_in_the_file_and_what_was_written_meanwhile() {
    let (index, one) = (index::Index::new(2), conversation("c"));
    index.insert(&one, "written", 7);
    assert_eq!(index.find(&one, "written"), Found::At(7));
    assert_eq!((index.find(&one, "read"), index.of(&one)), (Found::Unknown, None));
    let mut learning = index.learn();
    for (key, number) in [("read", 1), ("read", 2), ("written", 3)] {
        learning.row(&one, key, number);
    }
    learning.end();
    assert_eq!(index.find(&one, "read"), Found::At(2), "the newest");
    assert_eq!(index.find(&one, "written"), Found::At(7));
    assert_eq!(index.find(&conversation("other"), "read"), Found::Nowhere);
    // As many as the table keeps are known always, twice as many at most.
    for number in 8..12 {
        index.insert(&one, &number.to_string(), number);
    }
    assert_eq!(index.find(&one, "read"), Found::Nowhere);
    let mut known = index.of(&one).unwrap();
    known.numbers.sort_unstable();
    assert_eq!(known, index::Of { numbers: vec![9, 10, 11], newest: 11 });
    index.forget(&one);
    assert_eq!(index.find(&one, "11"), Found::Nowhere);
    assert_eq!(index.of(&one).unwrap(), index::Of { numbers: Vec::new(), newest: 0 });
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

#[tokio::test]
async fn the_file_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let storage = folder.open();
    storage.commit(commit(&conversation("c"), vec![send("tt-1")])).await.unwrap();
    for name in ["turntable.db", "turntable.db-wal", "turntable.db-shm", "turntable.db.lock"] {
        let mode = std::fs::metadata(folder.path().with_file_name(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
}

#[test]
fn operators_check_count_and_compact() {
    let folder = Folder::new();
    assert!(check(&folder.path()).unwrap_err().to_string().contains("there is no store at"));
    drop(folder.open());
    assert!(check(&folder.path()).unwrap().is_empty());
    compact(&folder.path()).unwrap();
    let report = stats(&folder.path()).unwrap();
    assert!(report.bytes > 0 && report.entries.iter().all(|(_, count)| *count == 0), "{report:?}");
    let _held = folder.open();
    assert!(stats(&folder.path()).unwrap_err().to_string().contains("is in use by process"));
}

#[tokio::test]
async fn the_log_begins_again_once_it_is_written_back() {
    let folder = Folder::new();
    let storage = folder.open();
    let file = folder.path().with_extension("db-wal");
    let one = u64::from(log::PAGES_MAX.unsigned_abs()) * 4096;
    let long = "x".repeat(1 << 20);
    let scope = StateScope { bot: "bot".into(), namespace: "plugin:p".into(), owner: ScopeOwner::Bot };
    // Each round is 256 pages, so this would be ten logs one behind the other.
    for round in 0..10 * log::PAGES_MAX / 256 {
        let value = StateValue { value: long.as_str().into(), etag: round.to_string().into() };
        let write = StateWrite { scope: scope.clone(), key: "k".into(), value: Some(value), expected: Expected::Any };
        storage.commit(TurnCommit { writes: vec![write], ..commit(&conversation("c"), Vec::new()) }).await.unwrap();
    }
    let length = std::fs::metadata(&file).unwrap().len();
    assert!(length < 4 * one, "the log has {length} bytes");
    drop(storage);
    assert!(check(&folder.path()).unwrap().is_empty());
    assert_eq!(folder.open().load_state(&scope).await.unwrap()["k"].value.len(), long.len());
}

#[tokio::test]
async fn marks_of_an_earlier_start_are_known_before_and_after_they_are_learnt() {
    let folder = Folder::new();
    let done = |id: &str| TurnCommit { mark: Some((mark(id), answer(201))), ..commit(&conversation("c"), Vec::new()) };
    folder.open().commit(done("before")).await.unwrap();
    let storage = folder.open();
    assert!(matches!(storage.accept(&mark("before"), &turn()).await.unwrap(), Accepted::Duplicate { .. }));
    let learnt = async {
        while storage.cache.marks.find(&mark("new")) != Found::Nowhere {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), learnt).await.unwrap();
    assert!(matches!(storage.accept(&mark("before"), &turn()).await.unwrap(), Accepted::Duplicate { .. }));
    // As many as are kept, in either half of what is remembered.
    for number in 0..250 {
        let id = number.to_string();
        assert!(matches!(storage.accept(&mark(&id), &turn()).await.unwrap(), Accepted::New), "{number}");
        storage.commit(done(&id)).await.unwrap();
    }
    for number in 150..250 {
        assert!(
            matches!(storage.accept(&mark(&number.to_string()), &turn()).await.unwrap(), Accepted::Duplicate { .. }),
            "{number}"
        );
    }
}

#[tokio::test]
async fn rows_keep_their_order_in_memory_and_beyond() {
    let folder = Folder::new();
    let one = conversation("c");
    let long = |id: &str| {
        let activity = object(&serde_json::json!({ "text": "x".repeat(7 << 20) }).to_string());
        OutboxAction::Send { host_id: id.into(), activity }
    };
    let storage = folder.open();
    storage.commit(commit(&one, vec![long("1"), long("2"), long("3")])).await.unwrap();
    storage.commit(commit(&one, vec![send("4")])).await.unwrap();
    let next = async |storage: &SqliteStorage, delivery: Delivery| {
        let row = storage.claim_outbox(&one).await.unwrap().unwrap();
        storage.note_delivery(&row, delivery).await.unwrap();
        let OutboxAction::Send { host_id, .. } = row.action else { panic!("they are sends") };
        host_id
    };
    let done = || Delivery::Done { channel_id: "".into() };
    for expected in ["1", "2"] {
        assert_eq!(&*next(&storage, done()).await, expected);
    }
    drop(storage);
    let storage = folder.open();
    assert_eq!(&*next(&storage, done()).await, "3");
    assert_eq!(&*next(&storage, Delivery::Dead { why: "no".to_owned(), gone: false }).await, "4");
    assert!(storage.claim_outbox(&one).await.unwrap().is_none());
    let letter = storage.dead_letters("bot").await.unwrap()[0].row.sequence;
    storage.retry_dead_letter("bot", letter).await.unwrap().unwrap();
    storage.commit(commit(&one, vec![send("5")])).await.unwrap();
    assert_eq!(&*next(&storage, done()).await, "4", "it was sent before");
    storage.forget_conversation(&one).await.unwrap();
    assert!(storage.claim_outbox(&one).await.unwrap().is_none());
    storage.commit(commit(&one, vec![send("6")])).await.unwrap();
    assert_eq!(&*next(&storage, done()).await, "6");
}

#[tokio::test]
async fn scopes_hold_what_was_written_last_however_many_there_are() {
    let folder = Folder::new();
    let storage = folder.open();
    let one = conversation("c");
    let scope = |number: usize| StateScope {
        bot: "bot".into(),
        namespace: "plugin:p".into(),
        owner: ScopeOwner::User(one.channel.clone(), number.to_string().into()),
    };
    let write = async |number: usize, value: Option<&str>| {
        let value = value.map(|value| StateValue { value: value.into(), etag: "e".into() });
        let write = StateWrite { scope: scope(number), key: "k".into(), value, expected: Expected::Any };
        storage.commit(TurnCommit { writes: vec![write], ..commit(&one, Vec::new()) }).await.unwrap();
    };
    let held = async |number: usize| {
        let values = storage.load_state(&scope(number)).await.unwrap();
        values.get("k").map(|value| value.value.clone())
    };
    assert_eq!(held(0).await, None);
    write(0, Some("1")).await;
    assert_eq!(held(0).await.as_deref(), Some("1"));
    write(0, None).await;
    assert_eq!(held(0).await, None);
    // More than is kept in memory.
    let long = "x".repeat(1 << 20);
    for number in 0..40 {
        write(number, Some(&format!("{number}{long}"))).await;
        assert!(held(number).await.is_some());
    }
    for number in (0..40).chain(0..40) {
        assert!(held(number).await.unwrap().starts_with(&number.to_string()), "{number}");
    }
    storage.forget_user("bot", &one.channel, "39").await.unwrap();
    assert_eq!(held(39).await, None);
}

#[test]
fn what_changed_while_it_was_read_is_read_again() {
    let values = cache::Values::default();
    let scope = StateScope { bot: "bot".into(), namespace: "n".into(), owner: ScopeOwner::Bot };
    let value = |text: &str| StateValue { value: text.into(), etag: text.into() };
    let write = |text: &str| StateWrite {
        scope: scope.clone(),
        key: "k".into(),
        value: Some(value(text)),
        expected: Expected::Any,
    };
    let read: HashMap<Arc<str>, StateValue> = HashMap::from([("k".into(), value("old"))]);
    assert!(values.get(&scope).is_none());
    values.apply(vec![write("new")]);
    values.loaded(&scope, Some(&read));
    assert!(values.get(&scope).is_none(), "what was read is outdated");
    values.clear();
    values.loaded(&scope, Some(&read));
    assert!(values.get(&scope).is_none(), "it may have been forgotten meanwhile");
    values.loaded(&scope, Some(&read));
    values.apply(vec![write("new")]);
    assert_eq!(values.get(&scope).unwrap()["k"], value("new"));
}

/// An earlier version of the host kept no turns with its marks.
#[tokio::test]
async fn a_mark_of_an_earlier_version_names_no_turn() {
    let folder = Folder::new();
    let done = TurnCommit { mark: Some((mark("old"), answer(201))), ..commit(&conversation("c"), Vec::new()) };
    folder.open().commit(done).await.unwrap();
    let before = "ALTER TABLE marks DROP COLUMN turn_id; PRAGMA user_version = 8";
    Connection::open(folder.path()).unwrap().execute_batch(before).unwrap();
    let accepted = folder.open().accept(&mark("old"), &turn()).await.unwrap();
    let Accepted::Duplicate { turn_id, answer: found } = accepted else { panic!("{accepted:?}") };
    assert_eq!((&*turn_id, found), ("", answer(201)));
}

#[tokio::test]
async fn a_commit_builds_on_one_that_is_not_durable_yet_and_is_refused_where_that_one_was_lost() {
    let folder = Folder::new();
    let storage = folder.open();
    let scope = StateScope { bot: "bot".into(), namespace: "plugin:p".into(), owner: ScopeOwner::Bot };
    let write = |etag: &str, expected| {
        let value = Some(StateValue { value: etag.into(), etag: etag.into() });
        vec![StateWrite { scope: scope.clone(), key: "k".into(), value, expected }]
    };
    let first = TurnCommit { writes: write("1", Expected::Absent), ..commit(&conversation("a"), vec![]) };
    let pending = Arc::new(Pending::new(first.writes.clone()));
    let (tell, made) = tokio::sync::oneshot::channel();
    let says = Made::new(pending.clone(), move || tell.send(()).is_ok());
    let second = async {
        made.await.unwrap();
        let writes = write("2", Expected::Etag("1".into()));
        let builds_on = vec![pending.clone()];
        storage.commit(TurnCommit { writes, builds_on, ..commit(&conversation("b"), vec![]) }).await
    };
    let (first, second) = tokio::join!(storage.commit(TurnCommit { made: Some(says), ..first }), second);
    assert!(first.is_ok() && second.is_ok() && !pending.is_lost() && !pending.is_open());

    let lost = Arc::new(Pending::new(Vec::new()));
    drop(Made::new(lost.clone(), || true));
    let writes = write("3", Expected::Any);
    let third = TurnCommit { writes, builds_on: vec![lost], ..commit(&conversation("c"), vec![]) };
    assert!(matches!(storage.commit(third).await, Err(StorageError::Conflict)));
    assert_eq!(&*storage.load_state(&scope).await.unwrap()["k"].value, "2");
}
