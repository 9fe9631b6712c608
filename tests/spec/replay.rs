//! Conversations as files: converted, and replayed against a bot.

use serde_json::{Value, json};
use similar_asserts::assert_eq;

use crate::support::turntable;

/// A file of `tests/data/replay`.
fn sample(name: &str) -> String {
    format!("{}/../tests/data/replay/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_chat_is_converted_to_a_transcript() {
    let printed = turntable(&["transcripts", "convert", &sample("sketch.chat")], "");
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let activities: Vec<Value> = serde_json::from_str(&printed.stdout).unwrap();
    let told: Vec<Value> = activities
        .iter()
        .map(|activity| json!([activity["from"]["name"], activity["type"], activity["text"]]))
        .collect();
    let expected = json!([
        ["Ann", "conversationUpdate", null],
        ["Ann", "conversationUpdate", null],
        ["Travel", "message", "Welcome, Ann!"],
        ["Ann", "message", "book"],
        ["Travel", "typing", null],
        ["Travel", "message", "Where to?\nNot in winter."],
        ["Ann", "message", "Lisbon"],
        ["Travel", "message", ""],
    ]);
    assert_eq!(json!(told), expected);
    assert_eq!(activities[5]["suggestedActions"]["actions"][1]["title"], "Oslo");
    assert_eq!(activities[7]["attachments"][0]["content"]["type"], "AdaptiveCard");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sketch.transcript");
    let path = path.to_str().unwrap();
    let written = turntable(&["transcripts", "convert", &sample("sketch.chat"), "-o", path], "");
    assert_eq!((written.code, written.stdout.as_str()), (Some(0), ""), "{written:?}");
    assert_eq!(std::fs::read_to_string(path).unwrap(), printed.stdout);
    // What was written is a transcript, and stays as it is.
    assert_eq!(turntable(&["transcripts", "convert", path], "").stdout, printed.stdout);
}

#[test]
fn every_problem_of_a_chat_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.chat");
    std::fs::write(&path, "user=Ann\n\nAnn: hi [Delay=soon]\nbot: [Attachment=../secret]\n").unwrap();
    let path = path.to_str().unwrap();
    let told = turntable(&["transcripts", "convert", path], "");
    assert_eq!((told.code, told.stdout.as_str()), (Some(1), ""), "{told:?}");
    let expected = format!(
        "{path}:3: `[Delay=soon]`: give milliseconds, at most 86400000\n\
         {path}:4: attachment ../secret leads out of the folder of the chat; put the file beside it\n"
    );
    assert_eq!(told.stderr, expected);
}
