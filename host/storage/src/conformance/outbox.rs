//! Rows of the outbox, dead letters and ids.

use super::*;

pub(super) async fn conform(storage: &dyn Storage) {
    rows_leave_in_order_and_once(storage).await;
    ids_map_both_ways_within_a_conversation(storage).await;
    dead_rows_become_letters(storage).await;
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
