//! Checks activities of the host and the SDK against other SDKs: `@microsoft/agents-activity` throws an error for members that
//! its schema does not know, and TypeScript authors use the types of `botframework-schema`. See `tests/clients/schema.mjs`.

use std::fs;

use serde_json::{Value, json};

use super::clients::{can_run, run};
use super::dialogs::prompt;
use super::notify::{GRANTS, notify};
use crate::support::{Config, Connector, Host, expecting_replies, message};

/// The collected activities, each with a label that says where it comes from.
#[derive(Default)]
struct Collected(Vec<Value>);

impl Collected {
    fn activity(&mut self, label: &str, activity: &Value) {
        self.0.push(json!({ "label": label, "activity": activity }));
    }

    fn all(&mut self, label: &str, activities: &[Value]) {
        assert!(!activities.is_empty(), "{label}: nothing came");
        for activity in activities {
            self.activity(label, activity);
        }
    }

    /// Collects the calls that a connector got so far: activities, and parameters of new conversations.
    fn calls(&mut self, label: &str, connector: &Connector) {
        for call in connector.calls_now().iter().filter(|call| !call.body.is_null()) {
            let member = if call.path == "/v3/conversations" { "parameters" } else { "activity" };
            self.0.push(json!({ "label": label, member: call.body }));
        }
    }

    /// Sends an activity to a bot and collects its replies.
    async fn ask(&mut self, host: &Host, label: &str, activity: Value) -> Vec<Value> {
        let replies = host.post("bot", &expecting_replies(activity)).await.replies();
        self.all(label, &replies);
        replies
    }

    /// Checks everything against the packages.
    async fn check(&self) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines: Vec<String> = self.0.iter().map(Value::to_string).collect();
        fs::write(file.path(), lines.join("\n")).unwrap();
        run("schema.mjs", &[file.path()]).await;
    }
}

/// Returns a message of a channel that fills in all members about accounts and conversation.
fn said(channel: &str, kind: &str, text: &str) -> Value {
    let mut activity = message(text);
    activity["channelId"] = channel.into();
    activity["locale"] = "en-US".into();
    activity["from"]["name"] = "Ann".into();
    activity["recipient"]["name"] = "Bot".into();
    activity["conversation"]["name"] = "Lunch".into();
    activity["conversation"]["isGroup"] = (kind != "personal").into();
    activity["conversation"]["conversationType"] = kind.into();
    activity
}

const PLACES: [(&str, &str); 8] = [
    ("test", "personal"),
    ("msteams", "personal"),
    ("msteams", "groupChat"),
    ("msteams", "channel"),
    ("webchat", "personal"),
    ("slack", "groupChat"),
    ("facebook", "personal"),
    ("sms", "personal"),
];

/// Prompts of all kinds, in all styles.
fn prompts() -> Vec<Value> {
    let choices = json!(["red", { "value": "g", "title": "Green", "synonyms": ["emerald"] }, { "value": "b", "action": { "type": "messageBack", "text": "blue" } }]);
    let card = json!({ "type": "message", "text": "Which?", "attachments": [{ "contentType": "image/png", "contentUrl": "https://example.org/a.png" }] });
    let mut prompts = vec![
        json!({ "kind": "text", "prompt": "?", "pattern": "never" }),
        json!({ "kind": "number", "prompt": "?" }),
        json!({ "kind": "date-time", "prompt": { "type": "message", "text": "When?", "speak": "When" }, "retry": "?" }),
        json!({ "kind": "attachment", "prompt": "?" }),
    ];
    for style in ["auto", "inline", "list", "suggested-action", "hero-card", "none"] {
        prompts.push(json!({ "kind": "confirm", "prompt": "Sure?", "style": style }));
        prompts.push(json!({ "kind": "confirm", "prompt": "Sure?", "choices": ["aye", "nay"], "style": style }));
        prompts.push(json!({ "kind": "choice", "prompt": "Which?", "choices": choices, "style": style }));
        prompts.push(
            json!({ "kind": "choice", "prompt": card, "retry": "Once more?", "choices": choices, "style": style }),
        );
    }
    prompts
}

#[tokio::test(flavor = "multi_thread")]
async fn prompts_of_all_kinds_and_styles_fit_everywhere() {
    if !can_run() {
        return;
    }
    let Some(host) = start("scripted", GRANTS).await else { return };
    let mut collected = Collected::default();
    for (channel, kind) in PLACES {
        for definition in prompts() {
            let label = format!("{channel}/{kind} {definition}");
            let begin = said(channel, kind, &prompt(&definition));
            let mut wrong = said(channel, kind, "¿");
            wrong["conversation"] = begin["conversation"].clone();
            collected.ask(&host, &label, begin).await;
            collected.ask(&host, &format!("{label}, once more"), wrong).await;
        }
    }
    collected.check().await;
}

async fn start(component: &str, more: &str) -> Option<Host> {
    Host::start(Config::new().bot("bot", &[]).plugin("bot", component, more)).await
}

/// Messages of the host itself: that something failed, whether a route may interrupt, that a dialog was cancelled.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_host_says_itself_fits() {
    if !can_run() {
        return;
    }
    let routes = "settings.routes = [{ name = 'cancel-all', pattern = 'cancel', confirm = 'Stop?' }]";
    let Some(host) = start("scripted", &format!("{GRANTS}\n{routes}")).await else { return };
    let mut collected = Collected::default();
    for (channel, kind) in PLACES {
        let here = said(channel, kind, "");
        let say = |text: &str| {
            let mut activity = said(channel, kind, text);
            activity["conversation"] = here["conversation"].clone();
            activity
        };
        let asks = prompt(&json!({ "kind": "confirm", "prompt": "Sure?" }));
        for (label, text) in [
            ("asked", asks.as_str()),
            ("may it interrupt?", "cancel"),
            ("asked again", "no"),
            ("typing", "typing\nhi"),
            ("error", "trap"),
        ] {
            collected.ask(&host, &format!("{channel}/{kind} {label}"), say(text)).await;
        }
        // After three failures in a row the dialog is cancelled.
        let traps = format!(
            "begin script {}",
            json!({ "steps": [{ "kind": "wait", "quiet": true, "say": "?" }, { "kind": "wait", "trap": true }] })
        );
        for text in ["cancel-all", &traps, "one", "two", "three"] {
            collected.ask(&host, &format!("{channel}/{kind} given up"), say(text)).await;
        }
    }
    collected.check().await;
}

/// Streams, updates and deletions, through the connector.
#[tokio::test(flavor = "multi_thread")]
async fn streams_updates_and_traces_fit() {
    if !can_run() {
        return;
    }
    let Some(host) = start("hostile", "").await else { return };
    let connector = Connector::start().await;
    let mut calls = 0;
    for (command, sends) in
        [("stream 1", 2), ("edit-sent", 2), ("unsend-sent", 2), ("trace", 2), ("spoof", 1), ("trap", 1)]
    {
        let mut activity = said("emulator", "personal", command);
        activity["serviceUrl"] = connector.service_url().into();
        host.post("bot", &activity).await;
        calls += sends;
        connector.calls(calls).await;
    }
    let mut collected = Collected::default();
    collected.calls("emulator", &connector);
    collected.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bot_says_first_fits() {
    if !can_run() {
        return;
    }
    let Some(host) = start("scripted", GRANTS).await else { return };
    let connector = Connector::start().await;
    let mut calls = 0;
    for (channel, kind) in PLACES {
        let mut first = said(channel, kind, "hi");
        first["serviceUrl"] = connector.service_url().into();
        first["conversation"]["tenantId"] = "t".into();
        assert_eq!(host.post("bot", &first).await.status, 200);
        let there = json!({ "channel": channel, "conversation": first["conversation"]["id"] });
        let (user, new) =
            (json!({ "channel": channel, "user": "user" }), json!({ "channel": channel, "user": "user", "new": true }));
        let suggested = json!({ "type": "message", "text": "?", "suggestedActions": { "actions": [{ "type": "imBack", "title": "A", "value": "a" }] } });
        let asks = json!({ "kind": "prompt", "quiet": true, "data": { "kind": "confirm", "prompt": "Sell?" } });
        let dialog = json!({ "dialog": { "plugin": "scripted", "id": "script" }, "options": { "steps": [asks] } });
        for (target, content) in [
            (&there, json!({ "activity": { "type": "message", "text": "by the way" } })),
            (&there, json!({ "activity": suggested })),
            (&user, json!({ "activity": suggested })),
            (&there, json!({ "event": { "name": "price", "value": { "then": "hello" } } })),
            (&there, dialog),
            (&new, json!({ "activity": { "type": "message", "text": "just us" } })),
        ] {
            let mut body = content;
            (body["target"], body["mode"]) = (target.clone(), "cancel".into());
            assert_eq!(notify(&host, &body).await.status, 200);
        }
        calls += 9;
        connector.calls(calls).await;
    }
    let sale = json!({ "activity": { "type": "message", "text": "sale" }, "mode": "now", "per-second": 10_000 });
    let started = host.admin("POST", "/v1/bots/bot/broadcasts", sale.to_string().into_bytes()).await;
    assert!(started.status < 300, "{}", started.text);
    // Every conversation that the bot has met, and every new one.
    connector.calls(calls + PLACES.len()).await;
    let mut collected = Collected::default();
    collected.calls("first", &connector);
    collected.check().await;
}

/// The local Direct Line: activities for the bot, and activities for clients.
#[tokio::test(flavor = "multi_thread")]
async fn what_direct_line_makes_fits() {
    if !can_run() {
        return;
    }
    let config = Config::new().set("server.mode", "'development'").bot("bot", &[]).bot_key("transcripts", "{}");
    let Some(host) = Host::start(config.plugin("bot", "scripted", GRANTS)).await else { return };
    let mut collected = Collected::default();
    for users in [&["dl_ann"][..], &["dl_ann", "dl_ben"]] {
        let token = host.post_to("/v3/directline/tokens/generate", &[], &json!({ "bot": "bot" })).await.json();
        let bearer = format!("Bearer {}", token["token"].as_str().unwrap());
        let headers = [("authorization", bearer.as_str())];
        let id = token["conversationId"].as_str().unwrap();
        let activities = format!("/v3/directline/conversations/{id}/activities");
        for user in users {
            let opened = json!({ "user": { "id": user, "name": "Somebody" }, "locale": "en-US" });
            host.post_to("/v3/directline/conversations", &headers, &opened).await;
            for text in [
                "typing\nhi",
                &prompt(&json!({ "kind": "confirm", "prompt": "Sure?" })),
                "perhaps",
                "yes",
                "revise changed",
                "retract",
            ] {
                let says = json!({ "type": "message", "from": { "id": user }, "text": text });
                assert_eq!(host.post_to(&activities, &headers, &says).await.status, 200);
            }
        }
        let request = reqwest::Client::builder().no_proxy().build().unwrap().get(host.url(&activities));
        let set: Value =
            request.bearer_auth(token["token"].as_str().unwrap()).send().await.unwrap().json().await.unwrap();
        collected.all("a client sees", set["activities"].as_array().unwrap());
        let path =
            format!("/v1/bots/bot/transcripts/activities?channel=directline%23local&conversation={id}&limit=500");
        let kept = host.admin("GET", &path, Vec::new()).await.json();
        let kept = kept["items"].as_array().unwrap().clone();
        let notices = kept.iter().filter(|kept| kept["type"] == "conversationUpdate").count();
        assert_eq!(notices, 1 + users.len(), "the bot is told of itself and of each user: {kept:#?}");
        collected.all("the bot sees", &kept);
    }
    collected.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_builders_of_the_sdk_make_fits() {
    if !can_run() {
        return;
    }
    let Some(host) = start("builders", "").await else { return };
    let mut collected = Collected::default();
    for (channel, kind) in PLACES {
        collected.ask(&host, &format!("builders on {channel}/{kind}"), said(channel, kind, "all")).await;
    }
    let connector = Connector::start().await;
    let mut through = said("msteams", "personal", "all");
    through["serviceUrl"] = connector.service_url().into();
    host.post("bot", &through).await;
    let sent = connector.calls(13).await;
    assert!(sent.iter().any(|call| call.text() == "changed"), "{sent:#?}");
    collected.calls("builders through a connector", &connector);
    for (name, value) in [
        ("status", json!(null)),
        ("ok", json!(null)),
        ("body", json!(null)),
        ("error", json!(null)),
        ("adaptiveCard/action", json!({ "action": { "type": "Action.Execute", "verb": "card" } })),
        ("adaptiveCard/action", json!({ "action": { "type": "Action.Execute", "verb": "message" } })),
        ("adaptiveCard/action", json!({ "action": { "type": "Action.Submit" } })),
        ("application/search", json!({ "kind": "search", "queryText": "ro" })),
        ("nobody answers", json!(null)),
    ] {
        let mut invoke = said("msteams", "personal", "");
        (invoke["type"], invoke["name"], invoke["value"]) = ("invoke".into(), name.into(), value);
        let answer = host.post("bot", &invoke).await;
        let mut response = json!({ "status": answer.status });
        if !answer.text.is_empty() {
            response["body"] = answer.json();
        }
        collected.0.push(json!({ "label": format!("answer to {name}"), "response": response }));
    }
    collected.check().await;
}

/// A builder that the guest does not call would not be checked against the schemas.
#[test]
fn no_builder_is_forgotten() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let guest = fs::read_to_string(format!("{root}/tests/guests/builders/src/lib.rs")).unwrap();
    // Functions that read instead of building.
    let readers = ["from_object", "into_object", "mentions", "text_without_recipient", "display_name", "from_entity"];
    for file in [
        "activity.rs",
        "activity/account.rs",
        "activity/attachment.rs",
        "activity/card.rs",
        "activity/entity.rs",
        "invoke.rs",
    ] {
        let text = fs::read_to_string(format!("{root}/guest-sdk/rust/src/{file}")).unwrap();
        let names = text.lines().filter_map(|line| line.trim().strip_prefix("pub fn ")?.split(['(', '<']).next());
        for name in names.filter(|name| !readers.contains(name)) {
            assert!(guest.contains(&format!("{name}(")), "tests/guests/builders does not call `{name}` of {file}");
        }
    }
}
