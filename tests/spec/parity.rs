//! Every SDK and the Rust SDK's test host are true to the host: the same conversations are held with a component of
//! each language here, and natively in the unit tests of `tests/guests/parity`.

use crate::support::{Config, Host, component, expecting_replies, message};

#[path = "../guests/parity/src/conversations.rs"]
mod conversations;

use conversations::{Conversation, FAILED, Item};

/// Lets another release of the plugin serve.
async fn release(host: &Host, language: &str, number: u8) {
    let component = match (language, number) {
        ("rust", _) => patched(std::fs::read(host.component("parity")).unwrap(), number),
        ("go" | "c", _) => patched(std::fs::read(component(&format!("parity-{language}")).unwrap()).unwrap(), number),
        (language, 1) => std::fs::read(component(&format!("parity-{language}")).unwrap()).unwrap(),
        (language, number) => std::fs::read(component(&format!("parity-{language}-{number}")).unwrap()).unwrap(),
    };
    let swap = host.deploy("bot", "parity", component).await;
    assert_eq!(swap.status, 200, "{}", swap.text);
}

/// Changes the release in a component of a compiled language.
fn patched(mut component: Vec<u8>, number: u8) -> Vec<u8> {
    const MARKER: &[u8] = b"RELEASE-1";
    let at = component.windows(MARKER.len()).position(|bytes| bytes == MARKER).unwrap();
    component[at + MARKER.len() - 1] = b'0' + number;
    component
}

/// Holds a conversation, and returns where the answers were others.
async fn hold(host: &Host, language: &str, conversation: Conversation) -> Vec<String> {
    let mut drifts = Vec::new();
    let mut serving = 1;
    for item in conversation.items {
        let (said, expected) = match item {
            Item::Release(number) => {
                release(host, language, number).await;
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
        release(host, language, 1).await;
    }
    drifts
}

async fn start(language: &str) -> Option<Host> {
    let name = if language == "rust" { "parity".to_owned() } else { format!("parity-{language}") };
    let more = "name = 'parity'\nlimits.cpu-ms = 5000\ngrants = { dialogs = true }";
    // A component with an interpreter takes long to compile on a busy machine.
    let config = Config::new().set("runtime.compile-ms", "600000");
    Host::start(config.bot("bot", &[]).plugin("bot", &name, more)).await
}

async fn answers_as_the_test_host_does(language: &str) {
    let Some(host) = start(language).await else { return };
    let mut drifts = Vec::new();
    for conversation in conversations::all() {
        drifts.extend(hold(&host, language, conversation).await);
    }
    assert!(drifts.is_empty(), "{}", drifts.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_answers_as_the_test_host_of_the_rust_sdk_does() {
    answers_as_the_test_host_does("rust").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_sdk_answers_as_the_rust_sdk_does() {
    answers_as_the_test_host_does("typescript").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_answers_as_the_rust_sdk_does() {
    answers_as_the_test_host_does("python").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_go_sdk_answers_as_the_rust_sdk_does() {
    answers_as_the_test_host_does("go").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_c_sdk_answers_as_the_rust_sdk_does() {
    answers_as_the_test_host_does("c").await;
}

/// Says something in the conversation of a language, and returns the texts of the answers.
async fn says(host: &Host, language: &str, text: &str) -> Vec<String> {
    let mut activity = expecting_replies(message(text));
    activity["conversation"]["id"] = language.into();
    let replies = host.post("bot", &activity).await.replies();
    replies.iter().map(|reply| reply["text"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The SDKs store the same state, so a dialog that waits survives a swap to another language.
#[tokio::test(flavor = "multi_thread")]
async fn a_dialog_goes_on_in_another_language() {
    let Some(host) = start("rust").await else { return };
    for language in ["typescript", "python", "go", "c"] {
        if component(&format!("parity-{language}")).is_none() {
            continue;
        }
        assert_eq!(says(&host, language, "begin trip").await, ["Welcome.", "Where to?"]);
        assert_eq!(says(&host, language, "Rome").await, ["How many seats?"]);
        release(&host, language, 1).await;
        assert_eq!(says(&host, language, "2").await, ["What is your code?"], "{language}");
        assert_eq!(says(&host, language, "X7").await, ["Some(2) to Rome, X7", "Sure? (1) Yes or (2) No"], "{language}");
        assert!(says(&host, language, "yes").await.is_empty());
        assert_eq!(says(&host, language, "begin order").await, ["What?"]);
        release(&host, "rust", 1).await;
        assert_eq!(says(&host, language, "tea").await, ["How many?"], "{language}");
        release(&host, language, 1).await;
        assert_eq!(says(&host, language, "two").await, ["2 tea by \"message\""], "{language}");
        assert_eq!(says(&host, language, "over").await, ["heard over"], "{language}");
        assert_eq!(says(&host, language, "begin trip").await, ["Welcome.", "Where to?"]);
        release(&host, "rust", 1).await;
        assert_eq!(says(&host, language, "Oslo").await, ["How many seats?"], "{language}");
        assert_eq!(says(&host, language, "3").await, ["What is your code?"], "{language}");
        assert_eq!(says(&host, language, "Y").await, ["Some(3) to Oslo, Y", "Sure? (1) Yes or (2) No"], "{language}");
        assert!(says(&host, language, "no").await.is_empty());
    }
}
