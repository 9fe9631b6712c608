//! Unexpected input of users and channels: unusable, repeated, misattributed and late answers.

use serde_json::{Value, json};

use crate::support::{Config, Host, expecting_replies, message};

const ERROR: &str = "Sorry, something went wrong on my side. Please try again.";
const GRANTS: &str = "grants = { state = ['conversation', 'user'], dialogs = true }";

async fn start(more: &str) -> Option<Host> {
    Host::start(Config::new().bot("bot", &[]).plugin("bot", "scripted", &format!("{GRANTS}\n{more}"))).await
}

/// Returns the command that begins a dialog with these prompts, one after the other.
fn prompts(definitions: &[Value]) -> String {
    let prompt = |data: &Value| json!({ "kind": "prompt", "quiet": true, "data": data });
    let mut steps: Vec<Value> = definitions.iter().map(prompt).collect();
    steps.push(json!({ "kind": "done" }));
    format!("begin script {}", json!({ "steps": steps }))
}

fn resumed(result: &Value) -> String {
    format!("script resume {}", json!({ "from": "prompt", "reason": "completed", "result": result }))
}

fn picture() -> Value {
    let mut activity = message("");
    activity["attachments"] = json!([{ "contentType": "image/png", "contentUrl": "https://example.org/a.png" }]);
    activity
}

/// Returns a message in a group.
fn from(user: &str, text: &str) -> Value {
    let mut activity = message(text);
    activity["from"]["id"] = user.into();
    activity["conversation"]["isGroup"] = true.into();
    activity
}

/// Sends a message in the conversation `c`, and returns the texts of the replies.
async fn send(host: &Host, mut activity: Value) -> Vec<String> {
    activity["conversation"]["id"] = "c".into();
    let replies = host.post("bot", &expecting_replies(activity)).await.replies();
    replies.iter().map(|reply| reply["text"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attachment_is_no_answer_to_a_question_for_something_else() {
    let Some(host) = start("").await else { return };
    for (definition, answer, result) in [
        (json!({ "kind": "text", "prompt": "?" }), "Ann", json!("Ann")),
        (json!({ "kind": "number", "prompt": "?" }), "3", json!(3)),
        (json!({ "kind": "confirm", "prompt": "?", "style": "none" }), "yes", json!(true)),
        (json!({ "kind": "date-time", "prompt": "?" }), "2027-01-02", json!({ "type": "date", "value": "2027-01-02" })),
    ] {
        host.bot("bot")
            .says(&prompts(&[definition]))
            .replies("?")
            .sends(picture())
            .replies("?")
            .says(answer)
            .replies(&resumed(&result))
            .await;
    }
    let choice = json!({ "kind": "choice", "prompt": "?", "choices": ["red", "green"] });
    host.bot("bot")
        .says(&prompts(&[choice]))
        .replies("? (1) red or (2) green")
        .sends(picture())
        .replies("? (1) red or (2) green")
        .says("red")
        .replies_with("red", |reply| reply["text"].as_str().unwrap().contains(r#""value":"red","index":0"#))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_group_nobody_else_answers_a_prompt_or_uses_up_its_attempts() {
    let Some(host) = start("").await else { return };
    let number = json!({ "kind": "number", "prompt": "How many?", "attempts": 1 });
    let nobody = {
        let mut activity = from("", "8");
        activity.as_object_mut().unwrap().remove("from");
        activity
    };
    host.bot("bot")
        .sends(from("ann", &prompts(&[number])))
        .replies("How many?")
        .sends(from("bob", "7"))
        .replies("heard: 7")
        .sends(from("bob", "none"))
        .replies("heard: none")
        .sends(nobody)
        .replies("heard: 8")
        .sends(from("ann", "9"))
        .replies(&resumed(&json!(9)))
        .await;
}

/// A channel redelivers an activity that got no answer, and a user presses a button twice. Each press is one answer.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_twice_answers_one_question() {
    let Some(host) = start("").await else { return };
    let questions =
        [json!({ "kind": "number", "prompt": "How many?" }), json!({ "kind": "number", "prompt": "How old?" })];
    assert_eq!(send(&host, message(&prompts(&questions))).await, ["How many?"]);
    let answer = message("2");
    assert_eq!(send(&host, answer.clone()).await, ["How old?"]);
    assert_eq!(send(&host, answer).await, ["How old?"], "the answer of the first time");
    assert_eq!(send(&host, message("30")).await, [resumed(&json!(30))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_late_is_taken_when_it_comes() {
    let Some(host) = start("").await else { return };
    let at = |mut activity: Value, id: &str, time: &str| {
        (activity["id"], activity["timestamp"]) = (id.into(), time.into());
        activity
    };
    let questions = [json!({ "kind": "text", "prompt": "Who?" }), json!({ "kind": "number", "prompt": "How many?" })];
    assert_eq!(send(&host, at(message(&prompts(&questions)), "9", "2026-01-01T00:00:09Z")).await, ["Who?"]);
    // Its number and time are older than those of the message before it.
    assert_eq!(send(&host, at(message("Ann"), "5", "2026-01-01T00:00:05Z")).await, ["How many?"]);
    // An edit, a deletion and a reaction are no answers, whether their message is known or not.
    for kind in ["messageUpdate", "messageDelete", "messageReaction"] {
        for id in ["5", "never"] {
            let mut late = at(message("7"), id, "2026-01-01T00:00:04Z");
            late["type"] = kind.into();
            assert_eq!(send(&host, late).await, Vec::<String>::new(), "{kind} {id}");
        }
    }
    // A button of an old question is no answer either.
    let mut button = message("");
    button["value"] = "Ann".into();
    assert_eq!(send(&host, button).await, ["How many?"]);
    // A user who joins after having spoken is still welcomed, and the question stays open.
    let mut joined = message("");
    joined["type"] = "conversationUpdate".into();
    joined["membersAdded"] = json!([{ "id": "user" }]);
    assert_eq!(send(&host, joined).await, ["welcome"]);
    assert_eq!(send(&host, at(message("3"), "1", "2026-01-01T00:00:01Z")).await, [resumed(&json!(3))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_sender_there_is_no_user_and_the_conversation_goes_on() {
    let Some(host) = start("").await else { return };
    let nobodys = |from: Option<Value>, text: &str| {
        let mut activity = message(text);
        activity.as_object_mut().unwrap().remove("from");
        if let Some(from) = from {
            activity["from"] = from;
        }
        activity
    };
    for from in [None, Some(json!({})), Some(json!({ "id": "" }))] {
        let replies = send(&host, nobodys(from.clone(), "get user k\nset conversation k 1")).await;
        assert!(replies[0].starts_with("invalid: "), "{from:?}: {replies:?}");
        assert_eq!(replies[1], "done", "{from:?}");
    }
    let number = [json!({ "kind": "number", "prompt": "How many?" })];
    assert_eq!(send(&host, nobodys(None, &prompts(&number))).await, ["How many?"]);
    assert_eq!(send(&host, nobodys(None, "2")).await, [resumed(&json!(2))]);
}

/// Some channels change the id of a user, for example at sign-in. A conversation of two stays the same, but state of a user is
/// never visible to another id.
#[tokio::test(flavor = "multi_thread")]
async fn when_the_sender_changes_the_dialog_goes_on_and_the_users_stay_apart() {
    let Some(host) = start("").await else { return };
    let by = |user: &str, text: &str| {
        let mut activity = message(text);
        activity["from"]["id"] = user.into();
        activity
    };
    assert_eq!(send(&host, by("guest", "set user name \"Ann\"")).await, ["done"]);
    let number = [json!({ "kind": "number", "prompt": "How many?" })];
    assert_eq!(send(&host, by("guest", &prompts(&number))).await, ["How many?"]);
    assert_eq!(send(&host, by("ann", "2")).await, [resumed(&json!(2))]);
    assert_eq!(send(&host, by("ann", "get user name")).await, ["none"]);
    assert_eq!(send(&host, by("guest", "get user name")).await, ["\"Ann\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialog_that_keeps_too_much_fails_by_the_name_of_the_bound() {
    let Some(host) = start("limits.state-bytes-per-scope = '1 KiB'").await else { return };
    let steps = json!({ "steps": [
        { "kind": "wait", "quiet": true, "say": "ready" }, { "kind": "wait", "say": "x".repeat(2000) }
    ] });
    host.bot("bot").says(&format!("begin script {steps}")).replies(ERROR).says("on").replies("heard: on").await;
    host.logged("state-bytes-per-scope (1024)").await;
}

/// A dialog ends by the step that it returns. The functions that change the stack are denied to it, so it cannot end twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_dialog_cannot_end_itself_twice() {
    let Some(host) = start("").await else { return };
    for command in ["cancel-all", "replace child {}", "begin child {}"] {
        let child = json!({ "steps": [{ "kind": "done", "data": 7, "quiet": true, "do": command }] });
        let call = json!({ "kind": "call", "quiet": true, "data": { "dialog": "child", "options": child } });
        let steps = json!({ "steps": [call, { "kind": "wait" }] });
        host.bot("bot")
            .says(&format!("begin script {steps}"))
            .replies_with("denied", |reply| reply["text"].as_str().unwrap().starts_with("denied: "))
            .replies(r#"script resume {"from":"dialog","reason":"completed","result":7}"#)
            .says("stack?")
            .replies("script continue \"stack?\"")
            .says("after the end")
            .replies("heard: after the end")
            .await;
    }
}

/// These two zones are 26 hours apart, so it is never the same day in both.
#[tokio::test(flavor = "multi_thread")]
async fn today_is_the_day_of_the_user() {
    let Some(host) = start("").await else { return };
    let mut days = Vec::new();
    for (member, value) in [
        ("localTimezone", "Etc/GMT+12"),
        ("localTimezone", "Pacific/Kiritimati"),
        ("localTimestamp", "2027-03-04T23:30:00.000-08:00"),
    ] {
        let definition = json!({ "kind": "date-time", "types": ["date"], "prompt": "When?" });
        assert_eq!(send(&host, message(&prompts(&[definition]))).await, ["When?"]);
        let mut answer = message("today");
        answer[member] = value.into();
        days.push(send(&host, answer).await);
    }
    assert!(days[0] < days[1], "{days:?}");
    assert_eq!(days[2], [resumed(&json!({ "type": "date", "value": "2027-03-04" }))]);
}
