//! What every implementation of [`Storage`] must do. An implementation's tests call [`conforms`] with an empty store that
//! has room for a hundred of everything.

pub(crate) mod bounds;
mod broadcasts;
mod deduplication;
mod notifications;
mod outbox;
mod owners;
mod privacy;
mod transcripts;

use tokio::sync::watch;

use super::*;
use crate::notifications::{Mode, Notification, ProactiveChanges, Reference};
use crate::testing::conversation;
use crate::transcripts::TranscriptItem;

pub(crate) async fn conforms(storage: &dyn Storage) {
    deduplication::conform(storage).await;
    outbox::conform(storage).await;
    notifications::conform(storage).await;
    transcripts::conform(storage).await;
    privacy::conform(storage).await;
    broadcasts::conform(storage).await;
    owners::conform(storage).await;
    keeps_proofs(storage).await;
}

async fn keeps_proofs(storage: &dyn Storage) {
    let proof = |origin: &str| ProvedOrigin {
        bot: "bot".into(),
        app_id: "app".into(),
        channel: "test".into(),
        origin: origin.into(),
    };
    for origin in ["https://a", "https://b", "https://a"] {
        storage.add_proof(proof(origin)).await.unwrap();
    }
    assert_eq!(storage.proofs().await.unwrap(), [proof("https://a"), proof("https://b")]);
}

pub(crate) fn mark(id: &str) -> DeduplicationKey {
    DeduplicationKey { conversation: conversation("marks"), kind: "message".into(), id: id.into(), body: None }
}

/// The turn of [`commit`].
pub(crate) fn turn() -> Arc<str> {
    "turn".into()
}

pub(crate) fn answer(status: u16) -> Answer {
    Answer { status, body: Some("{}".into()) }
}

pub(crate) fn send(host_id: &str) -> OutboxAction {
    OutboxAction::Send { host_id: host_id.into(), activity: r#"{"type":"message"}"#.into() }
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
        record: None,
        proactive: ProactiveChanges::default(),
        transcript: Vec::new(),
        ends_turn: true,
        builds_on: Vec::new(),
        made: None,
    }
}

fn marking(id: &str, status: u16, ends_turn: bool) -> TurnCommit {
    TurnCommit { record: Some((mark(id), answer(status))), ends_turn, ..commit(&conversation("marks"), Vec::new()) }
}

fn done(channel_id: &str) -> Delivery {
    Delivery::Done { channel_id: channel_id.into() }
}

fn met(id: &str, user: &str, text: &str) -> Reference {
    Reference { conversation: conversation(id), user: user.into(), text: text.into(), seen_ms: 0, gone: None }
}

async fn change(storage: &dyn Storage, id: &str, proactive: ProactiveChanges) {
    let turn = TurnCommit { proactive, ..commit(&conversation(id), Vec::new()) };
    storage.commit(turn).await.unwrap();
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

fn said(at_ms: u64, user: &str, host_id: &str, activity: &str) -> TranscriptItem {
    TranscriptItem { at_ms, user: user.into(), host_id: host_id.into(), activity: activity.into() }
}
