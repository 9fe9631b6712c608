//! Transcripts.

use super::*;
use crate::transcripts::Transcript;

pub(super) async fn conform(storage: &dyn Storage) {
    transcripts_hold_what_was_said_until_they_are_trimmed(storage).await;
}

async fn transcripts_hold_what_was_said_until_they_are_trimmed(storage: &dyn Storage) {
    let talk = async |id: &str, transcript: Vec<TranscriptItem>| {
        storage.commit(TurnCommit { transcript, ..commit(&conversation(id), vec![]) }).await.unwrap();
    };
    let ids = async |id: &str, since: u64, after: u64, limit: usize| -> Vec<String> {
        let items = storage.transcript(&conversation(id), since, after, limit).await.unwrap();
        items.iter().map(|(_, item)| item["id"].as_str().unwrap().to_owned()).collect()
    };
    let question = said(10, "ann", "", r#"{"type":"message","id":"q"}"#);
    let reply = said(11, "", "tt-said", r#"{"type":"message","id":"tt-said"}"#);
    talk("said", vec![question.clone(), reply]).await;
    assert_eq!(ids("said", 0, 0, 9).await, ["q", "tt-said"]);
    storage.map_id(&conversation("said"), &"tt-said".into(), &"theirs".into()).await.unwrap();
    talk("said", vec![said(20, "", "", r#"{"type":"messageUpdate","id":"tt-said"}"#)]).await;
    assert_eq!(ids("said", 0, 0, 9).await, ["q", "theirs", "theirs"], "the channel's ids");
    let first = storage.transcript(&conversation("said"), 0, 0, 1).await.unwrap()[0].0;
    assert_eq!(ids("said", 0, first, 1).await, ["theirs"], "a page");
    assert_eq!(ids("said", 15, 0, 9).await.len(), 1, "by date");
    assert!(ids("nobody", 0, 0, 9).await.is_empty());
    // Lists.
    talk("said too", vec![said(15, "ben", "", r#"{"type":"message","id":"b"}"#)]).await;
    let listed = storage.transcripts("bot", 0, 9).await.unwrap();
    let bytes = listed[0].bytes;
    let Transcript { first_ms, last_ms, activities, .. } = listed[0].clone();
    assert_eq!((listed.len(), first_ms, last_ms, activities), (2, 10, 20, 3));
    assert_eq!(storage.transcripts("bot", listed[0].place, 9).await.unwrap(), listed[1..]);
    assert!(storage.transcripts("other", 0, 9).await.unwrap().is_empty());
    // Imports.
    assert!(!storage.import_transcript(&conversation("said"), vec![question.clone()]).await.unwrap(), "it has one");
    assert!(storage.import_transcript(&conversation("imported"), vec![question]).await.unwrap());
    assert_eq!(ids("imported", 0, 0, 9).await, ["q"]);
    assert!(storage.delete_transcript(&conversation("imported")).await.unwrap());
    assert!(!storage.delete_transcript(&conversation("imported")).await.unwrap());
    assert!(ids("imported", 0, 0, 9).await.is_empty());
    // Trims: by age, then by size, the oldest first.
    assert!(storage.transcripts("bot", u64::MAX, 9).await.unwrap().is_empty(), "behind every place");
    assert!(ids("said", 0, u64::MAX, 9).await.is_empty());
    assert_eq!(storage.trim_transcripts("bot", 10, u64::MAX).await.unwrap(), 0);
    assert_eq!(storage.trim_transcripts("bot", 12, u64::MAX).await.unwrap(), 2);
    assert_eq!(ids("said", 0, 0, 9).await, ["theirs"].map(|_| "tt-said"), "what it changed is gone");
    assert!(storage.transcripts("bot", 0, 9).await.unwrap()[0].bytes < bytes);
    assert_eq!(storage.trim_transcripts("bot", 0, 60).await.unwrap(), 1);
    assert!(ids("said too", 0, 0, 9).await.is_empty(), "it was the oldest");
    assert_eq!(storage.trim_transcripts("bot", 0, 60).await.unwrap(), 0);
    assert_eq!(storage.trim_transcripts("bot", u64::MAX, 60).await.unwrap(), 1);
    assert!(storage.transcripts("bot", 0, 9).await.unwrap().is_empty());
    // What began first is forgotten meanwhile, and holds up nobody.
    talk("group", vec![said(1, "ann", "", r#"{"id":"a"}"#), said(50, "ben", "", r#"{"id":"b"}"#)]).await;
    talk("later", vec![said(2, "cid", "", r#"{"id":"c"}"#)]).await;
    storage.forget_member(&conversation("group"), "ann").await.unwrap();
    assert_eq!(storage.trim_transcripts("bot", 10, u64::MAX).await.unwrap(), 1);
    assert!(ids("later", 0, 0, 9).await.is_empty());
    assert_eq!(ids("group", 0, 0, 9).await, ["b"]);
}
