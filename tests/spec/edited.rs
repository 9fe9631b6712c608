//! Editing a straight-line dialog while a conversation waits in it. The edited dialog never misinterprets an answer: it does
//! what the user meant, or it is reset.

use serde_json::Value;

use crate::support::{Config, Host, expecting_replies, message};

/// The `dialog-reset-text` of these specs.
const LOST: &str = "Verzeihung, ich habe den Faden verloren.";

async fn start() -> Option<Host> {
    let config = Config::new().bot("bot", &[]).bot_key("dialog-reset-text", &format!("'{LOST}'"));
    Host::start(config.plugin("bot", "edited", "grants = { dialogs = true }")).await
}

/// Returns an edition. The header of `tests/guests/edited/src/lib.rs` lists them.
fn component_of(host: &Host, edition: u8) -> Vec<u8> {
    const MARKER: &[u8] = b"EDITION-0";
    let mut component = std::fs::read(host.component("edited")).unwrap();
    let at = component.windows(MARKER.len()).position(|bytes| bytes == MARKER).unwrap();
    component[at + MARKER.len() - 1] = b'0' + edition;
    component
}

async fn deploy(host: &Host, edition: u8) {
    let swap = host.deploy("bot", "edited", component_of(host, edition)).await;
    assert_eq!(swap.status, 200, "{}", swap.text);
}

/// Returns the dialogs that a dry run of an edition reports, with their number and outcome.
async fn rehearse(host: &Host, edition: u8) -> Vec<(String, u64, String)> {
    let path = "/v1/bots/bot/plugins/edited?dry-run=true";
    let answer = host.admin("PUT", path, component_of(host, edition)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let row = |row: &Value| (text(&row["dialog"]), row["count"].as_u64().unwrap(), text(&row["becomes"]));
    answer.json()["waiting"].as_array().unwrap().iter().map(row).collect()
}

/// A conversation that continues over several generations.
struct Talk<'h>(&'h Host, &'static str);

impl Talk<'_> {
    /// Sends a message and returns the texts of the replies.
    async fn say(&self, text: &str) -> Vec<String> {
        let mut activity = expecting_replies(message(text));
        activity["conversation"]["id"] = self.1.into();
        let replies = self.0.post("bot", &activity).await.replies();
        replies.iter().map(|reply| reply["text"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Answers the first question with «Ann», so that the dialog asks for the city.
    async fn until_the_city(&self) {
        assert_eq!(self.say("trip").await, ["Welcome.", "Your name?"]);
        assert_eq!(self.say("Ann").await, ["Which city?"]);
    }
}

/// The answer to one question is never used or shown as the answer to another.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_before_an_edit_is_not_taken_for_something_else() {
    let Some(host) = start().await else { return };
    for (edition, talk) in [(1, "inserted"), (2, "reworded"), (3, "another greeting"), (6, "another version")] {
        deploy(&host, 0).await;
        let talk = Talk(&host, talk);
        talk.until_the_city().await;
        deploy(&host, edition).await;
        assert_eq!(talk.say("Rome").await, [LOST], "edition {edition}");
        assert_eq!(talk.say("Rome").await, ["heard: Rome"], "edition {edition}: the dialog is over");
        let log = host.logged("the dialog was edited").await;
        assert!(log.contains("trip"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_behind_the_place_where_it_waits_changes_nothing_before() {
    let Some(host) = start().await else { return };
    let talk = Talk(&host, "c");
    talk.until_the_city().await;
    deploy(&host, 4).await;
    assert_eq!(talk.say("Rome").await, ["Is Rome right? (1) Yes or (2) No"]);
    assert_eq!(talk.say("yes").await, ["Ann goes to Rome."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_with_a_name_may_be_reworded() {
    let Some(host) = start().await else { return };
    let talk = Talk(&host, "c");
    assert_eq!(talk.say("trip").await, ["Welcome.", "Your name?"]);
    deploy(&host, 7).await;
    assert_eq!(talk.say("Ann").await, ["Which city?"]);
    assert_eq!(talk.say("Rome").await, ["Ann goes to Rome."]);
}

/// The state that the hook migrates stays, and the dialog asks again for the answer that arrived after the edit.
#[tokio::test(flavor = "multi_thread")]
async fn a_hook_carries_over_what_it_knows() {
    let Some(host) = start().await else { return };
    let talk = Talk(&host, "c");
    talk.until_the_city().await;
    deploy(&host, 5).await;
    assert_eq!(talk.say("Rome").await, ["Which town?"]);
    assert_eq!(talk.say("Oslo").await, ["Ann goes to Oslo."]);
}

/// A dry run replays waiting journals with the new component and predicts what users would experience.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_knows_which_conversations_an_edit_would_end() {
    let Some(host) = start().await else { return };
    for talk in ["a", "b"] {
        Talk(&host, talk).until_the_city().await;
    }
    // This dialog still waits for the name, before the place that most editions changed.
    assert_eq!(Talk(&host, "c").say("trip").await, ["Welcome.", "Your name?"]);
    let generation = host.status("bot").await["generation"].clone();
    let cases: [(u8, &[(u64, &str)]); 9] = [
        (0, &[(3, "continue")]),
        (1, &[(1, "continue"), (2, "reset")]),
        (2, &[(1, "continue"), (2, "reset")]),
        (3, &[(3, "reset")]),
        (4, &[(3, "continue")]),
        // The hook can migrate the dialogs that know the name.
        (5, &[(2, "migrate"), (1, "reset")]),
        (6, &[(1, "migrate"), (2, "reset")]),
        (7, &[(3, "continue")]),
        (8, &[(1, "continue"), (2, "fail")]),
    ];
    for (edition, wanted) in cases {
        let wanted: Vec<_> =
            wanted.iter().map(|(count, fate)| ("trip".to_owned(), *count, (*fate).to_owned())).collect();
        assert_eq!(rehearse(&host, edition).await, wanted, "edition {edition}");
    }
    assert_eq!(host.status("bot").await["generation"], generation, "nothing was changed");
    assert_eq!(Talk(&host, "a").say("Rome").await, ["Ann goes to Rome."], "nor forgotten");
}

/// A dry run tries a sample, reports how many it did not try, and does not take longer for a thousand conversations.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tries_a_sample() {
    let Some(host) = start().await else { return };
    for number in 0..60 {
        let mut activity = expecting_replies(message("trip"));
        activity["conversation"]["id"] = format!("c{number}").into();
        assert_eq!(host.post("bot", &activity).await.status, 200);
    }
    let rows = rehearse(&host, 3).await;
    assert_eq!(rows, [("trip".to_owned(), 50, "reset".to_owned()), ("trip".to_owned(), 10, "not tried".to_owned())]);
}

/// A rollback is also an edit, in the other direction.
#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_noticed_as_an_edit() {
    let Some(host) = start().await else { return };
    deploy(&host, 1).await;
    let talk = Talk(&host, "c");
    assert_eq!(talk.say("trip").await, ["Welcome.", "Your name?"]);
    assert_eq!(talk.say("Ann").await, ["How old are you?"]);
    host.roll_back("bot").await;
    assert_eq!(talk.say("30").await, [LOST]);
    // A new dialog is the one of the generation that serves.
    talk.until_the_city().await;
    assert_eq!(talk.say("Rome").await, ["Ann goes to Rome."]);
}
