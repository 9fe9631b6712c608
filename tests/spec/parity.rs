//! The SDK's test host is true to the host: `tests/guests/parity` holds the same conversations natively, in its unit tests.

use crate::support::{Config, Host, expecting_replies, message};

#[path = "../guests/parity/src/conversations.rs"]
mod conversations;

use conversations::{Conversation, FAILED, Item};

/// Lets another release of the plugin serve.
async fn release(host: &Host, number: u8) {
    const MARKER: &[u8] = b"RELEASE-1";
    let mut component = std::fs::read(host.component("parity")).unwrap();
    let at = component.windows(MARKER.len()).position(|bytes| bytes == MARKER).unwrap();
    component[at + MARKER.len() - 1] = b'0' + number;
    let swap = host.deploy("bot", "parity", component).await;
    assert_eq!(swap.status, 200, "{}", swap.text);
}

/// Holds a conversation, and returns where the answers were others.
async fn hold(host: &Host, conversation: Conversation) -> Vec<String> {
    let mut drifts = Vec::new();
    let mut serving = 1;
    for item in conversation.items {
        let (said, expected) = match item {
            Item::Release(number) => {
                release(host, number).await;
                serving = number;
                continue;
            }
            Item::Turn { activity, answers } => (activity, answers),
        };
        let mut activity = expecting_replies(message(""));
        activity.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
        let replies = host.post("bot", &activity).await.replies();
        let mut answers = conversations::answers(&activity, &replies);
        answers
            .iter_mut()
            .filter(|answer| *answer == super::dialogs::ERROR)
            .for_each(|error| *error = FAILED.to_owned());
        if answers != expected {
            drifts.push(format!("{}: {said}\n  answers  {answers:?}\n  expected {expected:?}", conversation.title));
        }
    }
    if serving != 1 {
        release(host, 1).await;
    }
    drifts
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_answers_as_the_test_host_of_the_sdk_does() {
    let config = Config::new().bot("bot", &[]).plugin("bot", "parity", "grants = { dialogs = true }");
    let Some(host) = Host::start(config).await else { return };
    let mut drifts = Vec::new();
    for conversation in conversations::all() {
        drifts.extend(hold(&host, conversation).await);
    }
    assert!(drifts.is_empty(), "{}", drifts.join("\n"));
}
