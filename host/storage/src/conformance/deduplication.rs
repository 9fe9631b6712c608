//! Redeliveries of an activity: what the store knows of its first run.

use super::*;

pub(super) async fn conform(storage: &dyn Storage) {
    redelivery_waits_then_gets_the_answer(storage).await;
    release_forgets_a_claim_but_not_a_flush(storage).await;
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

pub(super) async fn new(storage: &dyn Storage, id: &str) {
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
