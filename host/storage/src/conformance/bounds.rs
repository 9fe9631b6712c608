//! What a store does at its bounds. An implementation's tests call [`conform`] with what makes an empty store that keeps 8
//! undelivered rows, 4 dead letters, 4 answers and 8 ids.

use super::{answer, commit, mark, send, turn};
use crate::testing::conversation;
use crate::{Accepted, Delivery, OutboxAction, Storage, StorageError, TurnCommit};
use turntable_activity::ConversationKey;

pub(crate) async fn conform<S: Storage>(empty: impl Fn() -> S) {
    a_full_outbox_takes_nothing_and_names_its_bound(&empty()).await;
    one_bot_or_conversation_leaves_room_for_others(&empty()).await;
    the_oldest_marks_go_but_no_running_one(&empty()).await;
    the_oldest_ids_and_letters_go(&empty()).await;
}

async fn a_full_outbox_takes_nothing_and_names_its_bound(storage: &dyn Storage) {
    let one = conversation("c");
    storage.commit(commit(&one, sends(0, 3))).await.unwrap();
    let too_much = TurnCommit { record: Some((mark("m"), answer(200))), ..commit(&one, sends(3, 9)) };
    assert!(matches!(storage.accept(&mark("m"), &turn()).await.unwrap(), Accepted::New));
    let Err(StorageError::Full(bound)) = storage.commit(too_much).await else { panic!("9 rows do not fit into 8") };
    assert!(bound.contains("3 of channel.outbox-rows-max (8) are taken; most are of bot `bot`: 3"), "{bound}");
    assert_eq!(storage.outbox_depth().await.unwrap(), 3);
    assert_eq!(storage.channel_id(&one, "tt-3").await.unwrap(), None);
    assert!(matches!(storage.accept(&mark("m"), &turn()).await.unwrap(), Accepted::Running { .. }));
}

fn sends(from: usize, to: usize) -> Vec<OutboxAction> {
    (from..to).map(|n| send(&format!("tt-{n}"))).collect()
}

/// Of 8 rows one conversation gets 3, its bot 4 in all, and another bot finds room.
async fn one_bot_or_conversation_leaves_room_for_others(storage: &dyn Storage) {
    let refused = async |conversation: &ConversationKey, number: usize| match storage
        .commit(commit(conversation, sends(number, number + 1)))
        .await
    {
        Err(StorageError::Full(why)) => why,
        other => panic!("row {number} is refused: {other:?}"),
    };
    let (one, other) = (conversation("one"), conversation("other"));
    for number in 0..3 {
        storage.commit(commit(&one, sends(number, number + 1))).await.unwrap();
    }
    let why = refused(&one, 3).await;
    assert!(why.starts_with("a conversation of bot `bot` has 3 undelivered sends"), "{why}");
    storage.commit(commit(&other, sends(3, 4))).await.unwrap();
    let why = refused(&conversation("third"), 4).await;
    assert!(why.starts_with("bot `bot` has 4 undelivered sends and this turn adds 1, but its share is 4"), "{why}");
    let neighbour = ConversationKey { bot: "neighbour".into(), ..conversation("one") };
    storage.commit(commit(&neighbour, sends(5, 6))).await.unwrap();
    // What is delivered makes room.
    let row = storage.claim_outbox(&one).await.unwrap().unwrap();
    storage.note_delivery(&row, Delivery::Done { channel_id: "c".into() }).await.unwrap();
    storage.commit(commit(&other, sends(6, 7))).await.unwrap_err();
    let row = storage.claim_outbox(&one).await.unwrap().unwrap();
    storage.note_delivery(&row, Delivery::Done { channel_id: "c".into() }).await.unwrap();
    storage.commit(commit(&conversation("third"), sends(7, 8))).await.unwrap();
}

async fn the_oldest_marks_go_but_no_running_one(storage: &dyn Storage) {
    assert!(matches!(storage.accept(&mark("running"), &turn()).await.unwrap(), Accepted::New));
    for n in 0..6 {
        let key = mark(&format!("m{n}"));
        storage.accept(&key, &turn()).await.unwrap();
        let marked = TurnCommit { record: Some((key, answer(200))), ..commit(&conversation("c"), Vec::new()) };
        storage.commit(marked).await.unwrap();
    }
    assert!(matches!(storage.accept(&mark("running"), &turn()).await.unwrap(), Accepted::Running { .. }));
    assert!(matches!(storage.accept(&mark("m2"), &turn()).await.unwrap(), Accepted::Duplicate { .. }));
    assert!(matches!(storage.accept(&mark("m1"), &turn()).await.unwrap(), Accepted::New), "4 marks are kept");
}

async fn the_oldest_ids_and_letters_go(storage: &dyn Storage) {
    let one = conversation("c");
    for n in 0..10 {
        storage.commit(commit(&one, vec![send(&format!("tt-{n}"))])).await.unwrap();
        let row = storage.claim_outbox(&one).await.unwrap().unwrap();
        storage.note_delivery(&row, Delivery::Done { channel_id: format!("c{n}").into() }).await.unwrap();
    }
    assert_eq!(storage.channel_id(&one, "tt-1").await.unwrap(), None);
    assert_eq!(storage.host_id(&one, "c1").await.unwrap(), None, "both ways are forgotten together");
    assert_eq!(storage.channel_id(&one, "tt-2").await.unwrap().as_deref(), Some("c2"));
    for n in 0..6 {
        storage.commit(commit(&one, vec![send("tt-x")])).await.unwrap();
        let row = storage.claim_outbox(&one).await.unwrap().unwrap();
        let dropped = storage.note_delivery(&row, Delivery::Dead { why: n.to_string(), gone: false }).await.unwrap();
        assert_eq!(dropped.len(), usize::from(n >= 4), "4 letters are kept, and each deleted one is named");
        assert!(dropped.iter().all(|letter| letter.conversation == one && letter.sequence < row.sequence));
    }
    let letters = storage.dead_letters("bot").await.unwrap();
    assert_eq!(letters.iter().map(|letter| &*letter.why).collect::<Vec<_>>(), ["5", "4", "3", "2"]);
}
