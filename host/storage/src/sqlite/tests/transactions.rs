//! Transactions: whole or not at all, whatever fails.

use super::*;

#[tokio::test]
async fn one_turn_that_fails_undoes_no_other() {
    let folder = Folder::new();
    let storage = Arc::new(folder.open());
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
        activity: format!("{{\"type\":\"message\",\"text\":\"{long}\"}}").into(),
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
        let failure = storage.database.write_then(undo, false, work, |_| ()).await.unwrap_err();
        assert!(failure.to_string().contains("half-way"), "{undo:?}: {failure}");
        let left: u64 = storage
            .read("count", |connection| connection.query_row("SELECT count(*) FROM stacks", [], |row| row.get(0)))
            .unwrap();
        assert_eq!(left, 0, "{undo:?}");
        storage.commit(commit(&one, vec![send(&format!("tt-{undo:?}"))])).await.unwrap();
    }
    assert_eq!(storage.outbox_depth().await.unwrap(), 2);
}

#[tokio::test]
async fn the_log_begins_again_once_it_is_written_back() {
    let folder = Folder::new();
    let storage = folder.open();
    let file = folder.path().with_extension("db-wal");
    let one = u64::from(checkpoint::PAGES_MAX.unsigned_abs()) * 4096;
    let long = "x".repeat(1 << 20);
    let scope = StateScope { bot: "bot".into(), namespace: "plugin:p".into(), owner: ScopeOwner::Bot };
    // Each round is 256 pages, so this would be ten logs one behind the other.
    for round in 0..10 * checkpoint::PAGES_MAX / 256 {
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
async fn a_commit_builds_on_one_that_is_not_durable_yet_and_is_refused_where_that_one_was_lost() {
    let folder = Folder::new();
    for storage in [folder.open(), SqliteStorage::temporary(&roomy()).unwrap()] {
        builds_on(&storage).await;
    }
}

async fn builds_on(storage: &SqliteStorage) {
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

/// A turn without an id that answers in its response, or says nothing, waits for no transaction.
#[tokio::test]
async fn a_commit_that_changes_nothing_does_not_wait_for_the_file() {
    let folder = Folder::new();
    let storage = folder.open();
    let one = conversation("c");
    let lease = async |owner: &str, ttl| storage.lease(&one, &owner.into(), ttl).await.unwrap();
    let Lease::Granted(first) = lease("a", Duration::ZERO).await else { panic!("nobody else has it") };
    let nothing = |fence| TurnCommit { fence, ..commit(&one, Vec::new()) };
    let other = Connection::open(folder.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    storage.commit(nothing(first)).await.unwrap();
    let Lease::Granted(second) = lease("b", Duration::from_secs(60)).await else { panic!("the lease of `a` is over") };
    assert!(matches!(storage.commit(nothing(first)).await, Err(StorageError::Fenced)));
    storage.commit(nothing(second)).await.unwrap();
    // What does change something finds the file locked.
    assert!(storage.commit(commit(&one, vec![send("tt-1")])).await.is_err());
}
