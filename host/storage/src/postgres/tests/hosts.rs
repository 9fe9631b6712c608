//! One host at a time uses a database, and another takes over.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_host_is_refused_while_the_first_lives_and_begins_once_it_has_ended() {
    let Some(server) = server() else { return };
    let database = Database::new(server);
    let first = database.open().await;
    let told = database.refusal().await;
    let name = connect::name_of_this_host();
    assert!(told.starts_with(&format!("the database is in use by another host: {name}, version ")), "{told}");
    assert!(told.contains("Stop that host, or give this one a database of its own in `storage.url`"), "{told}");
    first.commit(commit(&conversation("c"), vec![send("tt-1")])).await.unwrap();
    first.close().await.unwrap();
    let second = database.open().await;
    assert_eq!(second.outbox_depth().await.unwrap(), 1);
}

/// A host is frozen for longer than its row lasts, another begins, and the first wakes in the middle of what it did.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_declared_dead_stores_and_sends_nothing() {
    let Some(server) = server() else { return };
    let (database, one) = (Database::new(server), conversation("c"));
    let frozen = database.open().await;
    let old = lease(&frozen, &one, "turns").await;
    frozen
        .commit(TurnCommit { fence: old, writes: vec![count_to(1)], ..commit(&one, vec![send("tt-1")]) })
        .await
        .unwrap();
    let row = frozen.claim_outbox(&one).await.unwrap().unwrap();
    server.sql(&database.name, "UPDATE turntable.hosts SET expires = now() - interval '1 s'");

    let next = database.open().await;
    // The lease ended with its host, although it has 60 s left.
    let new = lease(&next, &one, "turns of the next").await;
    assert!(new > old);
    next.commit(TurnCommit { fence: new, writes: vec![count_to(2)], ..commit(&one, vec![send("tt-2")]) })
        .await
        .unwrap();

    let late = TurnCommit { fence: old, writes: vec![count_to(2)], ..commit(&one, vec![send("tt-late")]) };
    let lost = |result: Result<(), StorageError>| match result {
        Err(StorageError::Unavailable(error)) => assert!(error.to_string().contains("has taken over"), "{error:#}"),
        other => panic!("{other:?}"),
    };
    lost(frozen.commit(late).await);
    lost(frozen.note_delivery(&row, Delivery::Done { channel_id: "late".into() }).await.map(drop));
    lost(frozen.claim_outbox(&one).await.map(drop));
    lost(
        frozen.add_to_inbox(InboxEntry { turn_id: "t".into(), conversation: one.clone(), activity: "{}".into() }).await,
    );
    lost(frozen.lease(&conversation("other"), &"turns".into(), std::time::Duration::ZERO).await.map(drop));
    assert!(frozen.lost().await.contains("has taken over"), "it learns of it without writing");
    assert_eq!(next.outbox_depth().await.unwrap(), 2);
    assert_eq!(&*next.load_state(&counter()).await.unwrap()["count"].value, "2");
    assert_eq!(next.claim_outbox(&one).await.unwrap().unwrap().sequence, row.sequence, "not noted by the late host");
    assert_eq!(server.sql(&database.name, "SELECT count(*) FROM turntable.outbox"), "2");
}

/// An owner that lost its lease in the same host is refused by the database, not by a look before.
#[tokio::test(flavor = "multi_thread")]
async fn a_fence_that_changes_after_every_look_refuses_the_commit() {
    let Some(server) = server() else { return };
    let (database, one) = (Database::new(server), conversation("c"));
    let storage = database.open().await;
    let fence = lease(&storage, &one, "turns").await;
    server.sql(&database.name, "UPDATE turntable.leases SET fence = nextval('turntable.fences')");
    let late = TurnCommit { fence, writes: vec![count_to(1)], ..commit(&one, vec![send("tt-late")]) };
    assert!(matches!(storage.commit(late).await, Err(StorageError::Fenced)));
    assert!(storage.load_state(&counter()).await.unwrap().is_empty());
    assert_ne!(lease(&storage, &one, "turns").await, fence, "it asks again");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_start_at_once_make_one_schema_and_one_of_them_begins() {
    let Some(server) = server() else { return };
    let database = Database::new(server);
    let channel = roomy();
    let (a, b, c) = tokio::join!(database.try_open(&channel), database.try_open(&channel), database.try_open(&channel));
    assert_eq!([&a, &b, &c].iter().filter(|opened| opened.is_ok()).count(), 1);
    for refused in [a, b, c].into_iter().filter_map(Result::err) {
        assert!(format!("{refused:#}").contains("in use by another host"), "{refused:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_says_which_versions_may_write() {
    let Some(server) = server() else { return };
    let database = Database::new(server);
    database.open().await.close().await.unwrap();
    server.sql(&database.name, "UPDATE turntable.schema_version SET version = 99");
    database.open().await.close().await.unwrap();
    server.sql(&database.name, "UPDATE turntable.schema_version SET writable_from = 98");
    let told = database.refusal().await;
    assert!(told.contains("the database has schema 99, which only hosts that know schema 98 may write"), "{told}");
    assert!(told.contains("Run a newer release"), "{told}");
}
