//! What the process knows of its database without asking it.

use std::collections::HashMap;

use super::*;

#[tokio::test]
async fn ids_of_an_earlier_start_are_known_before_and_after_the_index_is_rebuilt() {
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
    let rebuilt = async {
        while storage.cache.ids.of_channel(&one, "new") != Lookup::Absent {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), rebuilt).await.unwrap();
    known().await;
    let forgotten = storage.forget_conversation(&one).await.unwrap();
    assert_eq!(forgotten.0.get("ids"), Some(&1), "{forgotten:?}");
    for id in ["tt-1", "tt-2"] {
        assert_eq!(storage.channel_id(&one, id).await.unwrap(), None, "{id}");
    }
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
        outbox::end_row(connection, &row, &done, &within.cache.ids, &within.bounds)?;
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
    let rebuilt = async {
        while storage.cache.ids.of(&one).is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), rebuilt).await.unwrap();
    let within = storage.clone();
    let work = move |connection: &Connection| {
        let done = Delivery::Done { channel_id: "c1".into() };
        outbox::end_row(connection, &row, &done, &within.cache.ids, &within.bounds)?;
        privacy::forget_conversation(connection, &within.cache, &one)
    };
    let forgotten = storage.database.write(work).await.unwrap();
    assert_eq!(forgotten.0.get("ids"), Some(&1), "{forgotten:?}");
}

#[test]
fn an_index_finds_what_is_in_the_file_and_what_was_written_meanwhile() {
    let (index, one) = (index::Index::new(2), conversation("c"));
    index.insert(&one, "written", 7);
    assert_eq!(index.find(&one, "written"), Lookup::At(7));
    assert_eq!((index.find(&one, "read"), index.of(&one)), (Lookup::Unknown, None));
    let mut rebuild = index.rebuild();
    for (key, number) in [("read", 1), ("read", 2), ("written", 3)] {
        rebuild.row(&one, key, number);
    }
    rebuild.end();
    assert_eq!(index.find(&one, "read"), Lookup::At(2), "the newest");
    assert_eq!(index.find(&one, "written"), Lookup::At(7));
    assert_eq!(index.find(&conversation("other"), "read"), Lookup::Absent);
    // As many as the table keeps are known always, twice as many at most.
    for number in 8..12 {
        index.insert(&one, &number.to_string(), number);
    }
    assert_eq!(index.find(&one, "read"), Lookup::Absent);
    let mut known = index.of(&one).unwrap();
    known.numbers.sort_unstable();
    assert_eq!(known, index::Numbers { numbers: vec![9, 10, 11], newest: 11 });
    index.forget(&one);
    assert_eq!(index.find(&one, "11"), Lookup::Absent);
    assert_eq!(index.of(&one).unwrap(), index::Numbers { numbers: Vec::new(), newest: 0 });
}

#[tokio::test]
async fn marks_of_an_earlier_start_are_known_before_and_after_the_index_is_rebuilt() {
    let folder = Folder::new();
    let done =
        |id: &str| TurnCommit { record: Some((mark(id), answer(201))), ..commit(&conversation("c"), Vec::new()) };
    folder.open().commit(done("before")).await.unwrap();
    let storage = folder.open();
    assert!(matches!(storage.accept(&mark("before"), &turn()).await.unwrap(), Accepted::Duplicate { .. }));
    let rebuilt = async {
        while storage.cache.records.find(&mark("new")) != Lookup::Absent {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), rebuilt).await.unwrap();
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
        let activity = serde_json::json!({ "text": "x".repeat(7 << 20) }).to_string();
        OutboxAction::Send { host_id: id.into(), activity: activity.into() }
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
