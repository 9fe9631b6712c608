//! Transcripts: what the host records of a conversation, how operators read it, and how long it stays.

use serde_json::{Value, json};

use crate::support::conversation::Answer;
use crate::support::{Config, Connector, Host, expecting_replies, within};

const GRANTS: &str = "grants = { state = ['conversation'], dialogs = true, conversations = true }";

fn keeping(transcripts: &str) -> Config {
    Config::new().bot("bot", &[]).bot_key("transcripts", transcripts)
}

async fn start() -> Option<Host> {
    Host::start(keeping("{}").plugin("bot", "scripted", GRANTS)).await
}

/// Returns a message of the user `ann` in the conversation `c`, whose replies go to the connector.
fn said(connector: &Connector, text: &str) -> Value {
    let mut activity = connector.message(text);
    activity["conversation"]["id"] = "c".into();
    activity["from"]["id"] = "ann".into();
    activity
}

async fn say(host: &Host, connector: &Connector, text: &str) {
    assert_eq!(host.post("bot", &said(connector, text)).await.status, 200);
}

async fn get(host: &Host, path: &str) -> Answer {
    host.admin("GET", &format!("/v1/bots/bot/transcripts{path}"), Vec::new()).await
}

/// Returns the recorded activities of the conversation.
async fn kept(host: &Host) -> Vec<Value> {
    let page = get(host, "/activities?channel=test&conversation=c&limit=500").await.json();
    page["items"].as_array().unwrap().clone()
}

/// Returns the type and the text of an activity, or another member if it has no text.
fn lines(items: &[Value]) -> Vec<String> {
    let line = |item: &Value| {
        let who = item["from"]["role"].as_str().unwrap_or("?").to_owned();
        let kind = item["type"].as_str().unwrap();
        let text = item["text"].as_str().map(ToOwned::to_owned).unwrap_or_else(|| item["value"].to_string());
        if kind == "message" { format!("{who}: {text}") } else { format!("{who} {kind}: {text}") }
    };
    items.iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_said_is_kept_in_order() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, "hi").await;
    say(&host, &connector, "typing\nhello").await;
    let mut asked = expecting_replies(said(&connector, "in the answer"));
    asked["from"]["role"] = "user".into();
    assert_eq!(host.post("bot", &asked).await.replies()[0]["text"], "heard: in the answer");
    let mut invoke = said(&connector, "");
    (invoke["type"], invoke["name"], invoke["value"]) = ("invoke".into(), "obey".into(), json!({ "a": 1 }));
    invoke["text"].take();
    assert_eq!(host.post("bot", &invoke).await.status, 200);
    connector.calls(3).await;
    let items = kept(&host).await;
    assert_eq!(
        lines(&items),
        [
            "user: hi",
            "bot: heard: hi",
            "user: typing\nhello",
            "bot typing: null",
            "bot: heard: hello",
            "user: in the answer",
            "bot: heard: in the answer",
            "user invoke: {\"a\":1}",
            "bot invokeResponse: {\"status\":200,\"body\":{\"a\":1}}",
        ]
    );
    assert!(items.iter().all(|item| item["timestamp"].is_string() && item["conversation"]["id"] == "c"), "{items:#?}");
}

/// An update is recorded as `messageUpdate` and a deletion as `messageDelete`, with the channel's id.
#[tokio::test(flavor = "multi_thread")]
async fn updates_and_deletions_name_what_they_change_by_the_channels_id() {
    let Some(host) = Host::start(keeping("{}").plugin("bot", "hostile", "")).await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, "edit-sent").await;
    say(&host, &connector, "unsend-sent").await;
    let calls = connector.calls(4).await;
    let ids = [1, 3].map(|call: usize| calls[call].path.rsplit('/').next().unwrap().to_owned());
    for _ in 0..1_000 {
        let items = kept(&host).await;
        let kinds: Vec<&str> = items.iter().map(|item| item["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["message", "message", "messageUpdate", "message", "message", "messageDelete"]);
        let named = |item: usize, id: usize| items[item]["id"] == *ids[id];
        // The id is recorded with the delivery, just after the channel's answer.
        if named(1, 0) && named(2, 0) && named(4, 1) && named(5, 1) {
            return;
        }
    }
    panic!("the transcript never learnt the channel's ids {ids:?}: {:#?}", kept(&host).await);
}

/// The transcript contains activities as middleware changed them, and none that it stopped.
#[tokio::test(flavor = "multi_thread")]
async fn redaction_comes_before_keeping() {
    let rules =
        "settings.rules = [{ on = 'receive', if = 'spam', do = 'stop' }, { on = 'send', if = 'secret', do = 'stop' }]";
    let hook = format!("grants = {{ middleware = true }}\n{rules}");
    let config = keeping("{}").plugin("bot", "redact", "grants = { middleware = true }");
    let config = config.plugin("bot", "interceptor", &hook).plugin("bot", "scripted", GRANTS);
    let Some(host) = Host::start(config).await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, "my card is 4111 1111 1111 1111").await;
    say(&host, &connector, "spam").await;
    say(&host, &connector, "a secret").await;
    let text = get(&host, "/file?channel=test&conversation=c").await.text;
    assert!(!text.contains("4111") && !text.contains("spam"), "{text}");
    let items = kept(&host).await;
    assert_eq!(items.len(), 3, "{items:#?}");
    assert_eq!(lines(&items)[2], "user: a secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_fails_keeps_what_the_user_got() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, "never sent\ntrap").await;
    let error = "bot: Sorry, something went wrong on my side. Please try again.";
    assert_eq!(lines(&kept(&host).await), ["user: never sent\ntrap", error]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_first_is_kept_too() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, "hi").await;
    for content in
        [json!({ "activity": { "type": "message", "text": "by the way" } }), json!({ "event": { "name": "alarm" } })]
    {
        let mut body = content;
        (body["target"], body["mode"]) = (json!({ "channel": "test", "conversation": "c" }), "now".into());
        let answer = host.admin("POST", "/v1/bots/bot/notifications", body.to_string().into_bytes()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let lines = lines(&kept(&host).await);
    assert_eq!(lines[..3], ["user: hi", "bot: heard: hi", "bot: by the way"]);
    assert!(lines[3..].iter().all(|line| line.starts_with("bot")), "the event is the host's own: {lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_of_a_bot_that_does_not_say_so() {
    let Some(host) = Host::start(Config::new().bot("bot", &[]).plugin("bot", "scripted", GRANTS)).await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, "hi").await;
    assert_eq!(get(&host, "").await.json(), json!({ "items": [] }));
    assert_eq!(kept(&host).await, Vec::<Value>::new(), "unknown is empty, not an error");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_list_page_export_and_delete() {
    let Some(mut host) = start().await else { return };
    let connector = Connector::start().await;
    for number in 0..15 {
        say(&host, &connector, &format!("number {number}")).await;
    }
    // The transcript survives SIGKILL.
    host.kill();
    host.again(None).await;
    // The message that the kill interrupted is delivered now, and then gets the channel's id.
    let delivered = async {
        while kept(&host).await.iter().any(|item| item["id"].as_str().is_some_and(|id| id.starts_with("tt-"))) {
            tokio::task::yield_now().await;
        }
    };
    within("the channel's ids", delivered).await;
    let listed = get(&host, "").await.json();
    let first = &listed["items"][0];
    assert_eq!(
        (&first["channel"], &first["conversation"], &first["activities"]),
        (&json!("test"), &json!("c"), &json!(30))
    );
    // Pages of twenty, until the token is absent.
    let of = "channel=test&conversation=c";
    let page = get(&host, &format!("/activities?{of}")).await.json();
    let token = page["continuationToken"].as_str().unwrap();
    let rest = get(&host, &format!("/activities?{of}&continuation={token}")).await.json();
    assert_eq!((page["items"].as_array().unwrap().len(), rest["items"].as_array().unwrap().len()), (20, 10));
    assert_eq!(rest["items"][0]["text"], "number 10");
    assert!(rest.get("continuationToken").is_none());
    // By date.
    let since = rest["items"][9]["timestamp"].as_str().unwrap().to_owned();
    let newest = get(&host, &format!("/activities?{of}&since={since}")).await.json();
    assert!(newest["items"].as_array().unwrap().len() < 10, "{newest:#}");
    assert_eq!(get(&host, &format!("/activities?{of}&since=yesterday")).await.status, 400);
    // Export after the last message has the channel's id. It may have been in delivery when the host was killed.
    let is_noted = async || !kept(&host).await[29]["id"].as_str().unwrap().starts_with("tt-");
    let mut looks = 0;
    while !is_noted().await {
        looks += 1;
        assert!(looks < 2_000, "the last is never delivered");
    }
    let file: Vec<Value> = serde_json::from_str(&get(&host, &format!("/file?{of}")).await.text).unwrap();
    assert_eq!(file, kept(&host).await);
    let none: Vec<Value> =
        serde_json::from_str(&get(&host, "/file?channel=test&conversation=none").await.text).unwrap();
    assert!(none.is_empty());
    // The end.
    let path = format!("/v1/bots/bot/transcripts?{of}");
    assert_eq!(host.admin("DELETE", &path, Vec::new()).await.status, 200);
    assert_eq!(host.admin("DELETE", &path, Vec::new()).await.status, 404);
    assert_eq!(get(&host, "").await.json(), json!({ "items": [] }));
    for path in ["", "/activities?channel=test&conversation=c", "/file?channel=test&conversation=c"] {
        assert_eq!(
            host.admin("GET", &format!("/v1/bots/nobody/transcripts{path}"), Vec::new()).await.status,
            404,
            "{path}"
        );
    }
}

/// The oldest entries are deleted if all together have more than `bytes-max`.
#[tokio::test(flavor = "multi_thread")]
async fn transcripts_have_a_size() {
    let config = keeping("{ bytes-max = '64 KiB' }").plugin("bot", "scripted", GRANTS);
    let Some(mut host) = Host::start(config).await else { return };
    let connector = Connector::start().await;
    for number in 0..10 {
        say(&host, &connector, &format!("{number} {}", "x".repeat(8_000))).await;
    }
    assert_eq!(kept(&host).await.len(), 20);
    // The host checks at start and every minute.
    host.again(None).await;
    host.logged("activities of transcripts were deleted").await;
    let listed = get(&host, "").await.json();
    assert!(listed["items"][0]["bytes"].as_u64().unwrap() <= 64 << 10, "{listed:#}");
    let items = kept(&host).await;
    assert!(items.last().unwrap()["text"].as_str().unwrap().starts_with("heard: 9"), "the newest stay");
}

/// An imported old conversation is kept as long as a current one, and one with dates in the future no longer.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_imported_counts_from_its_import() {
    let config = keeping("{ keep-days = 1, bytes-max = '64 KiB' }").plugin("bot", "scripted", GRANTS);
    let Some(mut host) = Host::start(config).await else { return };
    let import = async |conversation: &str, times: &[&str], text: &str| {
        let said = |at: &&str| json!({ "type": "message", "text": text, "timestamp": at });
        let file = json!(times.iter().map(said).collect::<Vec<_>>()).to_string();
        let path = format!("/v1/bots/bot/transcripts/file?channel=test&conversation={conversation}");
        assert_eq!(host.admin("PUT", &path, file.into_bytes()).await.status, 200);
    };
    import("big", &["9999-01-01T00:00:00Z"; 9], &"x".repeat(8_000)).await;
    import("c", &["1999-01-01T00:00:00Z", "9999-01-01T00:00:00Z"], "hi").await;
    // The host checks at start. All is too large, so it deletes what was stored first.
    host.again(None).await;
    host.logged("activities of transcripts were deleted").await;
    assert_eq!(kept(&host).await.len(), 2);
}

/// A continuation token is a number, and every number is a valid position.
#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_beyond_what_can_be_asked() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    say(&host, &connector, "hi").await;
    for last in ["9223372036854775807", "18446744073709551615"] {
        for path in
            [format!("?continuation={last}"), format!("/activities?channel=test&conversation=c&continuation={last}")]
        {
            let page = get(&host, &path).await;
            assert_eq!((page.status, page.json()), (200, json!({ "items": [] })), "{path}");
        }
        let wrong = get(&host, &format!("?continuation={last}0")).await;
        assert_eq!((wrong.status, &wrong.json()["error"]["code"]), (400, &json!("BadArgument")), "{}", wrong.text);
        let references = host.admin("GET", &format!("/v1/bots/bot/references?after={last}"), Vec::new()).await;
        assert_eq!((references.status, references.json()), (200, json!([])));
        let retry = format!("/v1/bots/bot/dead-letters/{last}/retry");
        assert_eq!(host.admin("POST", &retry, Vec::new()).await.status, 404);
        assert_eq!(host.admin("DELETE", retry.trim_end_matches("/retry"), Vec::new()).await.status, 404);
    }
}
