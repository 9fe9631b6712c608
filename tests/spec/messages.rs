//! `POST /api/bots/{bot}/messages`: every answer that a channel can get. Each activity runs once.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::raw::{self, request};
use crate::support::{Config, Connector, Host, expecting_replies, message, within};

async fn start() -> Option<Host> {
    Host::start(Config::new().bot("bot", &["hostile"])).await
}

fn invoke(name: &str, value: Value) -> Value {
    let mut activity = message("");
    (activity["type"], activity["name"], activity["value"]) = ("invoke".into(), name.into(), value);
    activity
}

/// Posts a body unchanged and returns status and error code.
async fn post_text(host: &Host, body: &str) -> (u16, String) {
    let headers = [("Host", "localhost"), ("Content-Type", "application/json")];
    let mut text = request("POST", "/api/bots/bot/messages", &headers, body);
    if body.is_empty() {
        text = text.replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n");
    }
    let answer = raw::send(&host.url(""), &text).await;
    (answer.status, answer.code())
}

async fn turns(host: &Host) -> usize {
    host.admin("GET", "/v1/bots/bot/turns", Vec::new()).await.json().as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_is_answered_when_it_is_over() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    let answer = host.post("bot", &connector.message("hi")).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, ""));
    assert_eq!(connector.calls(1).await[0].text(), "ok: hi");
    let answer = host.post("bot", &connector.message("trap")).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, ""), "the user got an error reply, so it is over");

    let answer = host.post("bot", &expecting_replies(message("slow 10"))).await;
    let texts: Vec<Value> = answer.replies().iter().map(|reply| reply["text"].clone()).collect();
    assert_eq!(texts, ["first", "second"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoke_is_answered_by_the_bot() {
    let Some(host) = start().await else { return };
    let value = json!({ "action": "signin", "number": 1.5 });
    let answer = host.post("bot", &invoke("any", value.clone())).await;
    assert_eq!((answer.status, answer.json()), (200, value.clone()));
    let silent = host.post("bot", &invoke("silent", Value::Null)).await;
    assert_eq!((silent.status, silent.text.as_str()), (501, ""));
    let trapped = host.post("bot", &invoke("trap", Value::Null)).await;
    assert_eq!((trapped.status, &trapped.json()["error"]["code"]), (500, &json!("BotError")));

    let both = host.post("bot", &expecting_replies(invoke("any", value.clone()))).await;
    assert_eq!((both.status, both.json()), (200, json!({ "activities": [], "body": value })));
    assert_eq!(host.post("bot", &expecting_replies(invoke("silent", Value::Null))).await.status, 501);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_activity_is_refused_with_a_reason() {
    let Some(host) = start().await else { return };
    let nested = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let deep = format!(r#"{{"type":"message","conversation":{{"id":"c"}},"serviceUrl":"http://x","value":{nested}}}"#);
    for (body, code) in [
        ("", "BadSyntax"),
        ("no JSON", "BadSyntax"),
        ("[]", "BadSyntax"),
        ("{\"type\":", "BadSyntax"),
        (&*deep, "BadSyntax"),
        ("{}", "MissingProperty"),
        (r#"{"conversation":{"id":"c"},"serviceUrl":"http://x"}"#, "MissingProperty"),
        (r#"{"type":"message","serviceUrl":"http://x"}"#, "MissingProperty"),
        (r#"{"type":"message","conversation":{},"serviceUrl":"http://x"}"#, "MissingProperty"),
        (r#"{"type":7,"conversation":{"id":"c"},"serviceUrl":"http://x"}"#, "BadArgument"),
        (r#"{"type":"message","conversation":"c","serviceUrl":"http://x"}"#, "BadArgument"),
        (r#"{"type":"message","conversation":{"id":1},"serviceUrl":"http://x"}"#, "BadArgument"),
    ] {
        assert_eq!(post_text(&host, body).await, (400, code.to_owned()), "{}", &body[..body.len().min(80)]);
    }
    assert_eq!(turns(&host).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn size_verb_and_name_are_checked() {
    let config = Config::new().set("server.body-bytes-max", "2000").bot("bot", &["hostile"]);
    let Some(host) = Host::start(config).await else { return };
    let large = host.post("bot", &message(&"x".repeat(2000))).await;
    assert_eq!((large.status, &large.json()["error"]["code"]), (413, &json!("MessageSizeTooBig")));
    assert!(large.text.contains("server.body-bytes-max"), "{}", large.text);
    for method in ["GET", "PUT", "DELETE"] {
        let text = request(method, "/api/messages", &[("Host", "localhost")], "");
        let answer = raw::send(&host.url(""), &text).await;
        assert_eq!((answer.status, &*answer.headers["allow"]), (405, "POST"));
        assert_eq!(answer.code(), "MethodNotAllowed");
    }
    let unknown = host.post("nobody", &message("hi")).await;
    assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (404, &json!("BotNotFound")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_does_not_load_leaves_the_others_alone() {
    let config = Config::new()
        .bot("broken", &[])
        .plugin("broken", "hostile", "settings.describe = 'trap'")
        .bot("bot", &["hostile"]);
    let Some(host) = Host::start(config).await else { return };
    let answer = host.post("broken", &message("hi")).await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() > 0);
    host.bot("bot").says("hi").replies("ok: hi").await;
}

/// While one turn runs and one waits, further activities are refused, and may be sent again later.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_said_and_costs_nothing_else() {
    let config = Config::new().set("server.turns-queued-per-conversation-max", "1").bot("bot", &["hostile"]);
    let Some(host) = Host::start(config).await else { return };
    let connector = Connector::start().await;
    let running = connector.message("flush-then-slow 2000");
    let in_the_same = |text: &str| {
        let mut activity = connector.message(text);
        activity["conversation"] = running["conversation"].clone();
        activity
    };
    let (one, other) = (in_the_same("one"), in_the_same("other"));
    let (first, (one, other)) = tokio::join!(host.post("bot", &running), async {
        connector.calls(1).await;
        tokio::join!(host.post("bot", &one), host.post("bot", &other))
    });
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!((first.status, statuses), (200, [200, 429]));
    let refused = if one.status == 429 { one } else { other };
    assert_eq!(refused.json()["error"]["code"], "Throttled");
    assert!(refused.headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() > 0);
    let again = host.post("bot", &in_the_same("again")).await;
    assert_eq!(again.status, 200, "{}", again.text);
    let texts: Vec<String> = connector.calls(4).await.iter().map(|call| call.text().to_owned()).collect();
    assert_eq!((texts.len(), texts[3].as_str()), (4, "ok: again"), "{texts:?}");
}

/// The limit over all conversations, including running turns.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_host_is_said_too() {
    let config = Config::new()
        .set("server.turns-queued-per-conversation-max", "1")
        .set("server.turns-queued-max", "1")
        .bot("bot", &["hostile"]);
    let Some(host) = Host::start(config).await else { return };
    let connector = Connector::start().await;
    let other = connector.message("other");
    let (first, refused) =
        tokio::join!(async { host.post("bot", &connector.message("flush-then-slow 1000")).await }, async {
            connector.calls(1).await;
            host.post("bot", &other).await
        });
    assert_eq!((first.status, refused.status), (200, 429), "{}", refused.text);
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(host.post("bot", &other).await.status, 200, "it was not remembered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_outlives_its_caller() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    let body = connector.message("flush-then-slow 300").to_string();
    let headers = [("Host", "localhost"), ("Content-Type", "application/json")];
    let mut socket = raw::connect(&host.url("")).await;
    socket.write_all(request("POST", "/api/bots/bot/messages", &headers, &body).as_bytes()).await.unwrap();
    connector.calls(1).await;
    drop(socket);
    assert_eq!(connector.calls(2).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_turn_is_acknowledged_and_goes_on() {
    let config = Config::new()
        .set("server.acknowledge-ms", "100")
        .set("server.invoke-deadline-ms", "150")
        .set("server.expect-replies-deadline-ms", "200")
        .bot("bot", &["hostile"]);
    let Some(host) = Host::start(config).await else { return };
    let connector = Connector::start().await;
    let answer = host.post("bot", &connector.message("slow 1000")).await;
    assert_eq!((answer.status, answer.text.as_str()), (202, ""));
    let texts: Vec<String> = connector.calls(2).await.iter().map(|call| call.text().to_owned()).collect();
    assert_eq!(texts, ["first", "second"]);
    for (activity, deadline) in [(invoke("sleep", Value::Null), "150"), (expecting_replies(message("sleep")), "200")] {
        let answer = host.post("bot", &activity).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (504, &json!("GatewayTimeout")));
        assert!(answer.text.contains(deadline), "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redelivery_gets_the_answer_of_the_first_run() {
    let Some(host) = start().await else { return };
    let activity = expecting_replies(message("random"));
    let first = host.post("bot", &activity).await;
    assert_eq!(host.post("bot", &activity).await.json(), first.json());
    let mut other = activity.clone();
    other["id"] = "another".into();
    assert_ne!(host.post("bot", &other).await.json(), first.json());
    assert_eq!(turns(&host).await, 2);
}

/// A call at the connector shows that the first run is in progress, and the reply to a last message that nothing follows.
#[tokio::test(flavor = "multi_thread")]
async fn a_redelivery_during_the_first_run_waits_for_it() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    let activity = connector.message("flush-then-slow 500");
    let (first, second) = tokio::join!(host.post("bot", &activity), async {
        connector.calls(1).await;
        host.post("bot", &activity).await
    });
    assert_eq!((first.status, second.status), (200, 200));
    let mut last = connector.message("last");
    last["conversation"] = activity["conversation"].clone();
    host.post("bot", &last).await;
    let texts: Vec<String> = connector.calls(3).await.iter().map(|call| call.text().to_owned()).collect();
    assert_eq!(texts, ["GENERATION-0000", "GENERATION-0000", "ok: last"]);
    assert_eq!(turns(&host).await, 2);
}

/// Edits carry the id of the message that they edit, so the content distinguishes them. Without an id nothing is a redelivery.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_same_activity_is_a_redelivery() {
    let Some(host) = start().await else { return };
    let mut edit = message("better");
    edit["type"] = "messageUpdate".into();
    assert_eq!(host.post("bot", &edit).await.status, 200);
    edit["text"] = "best".into();
    assert_eq!(host.post("bot", &edit).await.status, 200);
    assert_eq!(turns(&host).await, 2);
    edit["timestamp"] = "2026-01-01T00:00:00Z".into();
    host.post("bot", &edit).await;
    host.post("bot", &edit).await;
    assert_eq!(turns(&host).await, 3, "the same edit once more, and that delivered twice");

    let mut nameless = expecting_replies(message("random"));
    nameless.as_object_mut().unwrap().remove("id");
    let (one, two) = (host.post("bot", &nameless).await, host.post("bot", &nameless).await);
    assert_ne!(one.json(), two.json());
}

/// After delivery the host uses the channel's id, whichever id the guest passes.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_delivered_is_edited_and_deleted_at_the_channel() {
    let Some(host) = start().await else { return };
    for (text, method) in [("edit-sent", "PUT"), ("unsend-sent", "DELETE")] {
        let connector = Connector::start().await;
        let activity = connector.message(text);
        assert_eq!(host.post("bot", &activity).await.status, 200);
        let calls = connector.calls(2).await;
        assert_eq!((calls[0].method.as_str(), calls[1].method.as_str()), ("POST", method));
        let conversation = activity["conversation"]["id"].as_str().unwrap();
        assert_eq!(calls[1].path, format!("/v3/conversations/{conversation}/activities/channel-1"));
        if method == "PUT" {
            assert_eq!((calls[1].text(), &calls[1].body["id"]), ("after", &json!("channel-1")));
        }
    }
}

/// Host ids and ids of the channel are valid after their turn.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_turn_sent_is_edited_and_deleted_by_either_id() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    let first = connector.message("say-id");
    assert_eq!(host.post("bot", &first).await.status, 200);
    let sent = connector.calls(2).await;
    let own = sent[1].text().to_owned();
    assert_eq!((sent[0].text(), own.starts_with("tt-")), ("said", true), "{own}");
    let path =
        |id: &str| format!("/v3/conversations/{}/activities/{id}", first["conversation"]["id"].as_str().unwrap());

    for (number, command) in ["edit-id", "unsend-id"].into_iter().enumerate() {
        for (nth, id) in [&*own, "channel-1"].into_iter().enumerate() {
            let mut later = connector.message(&format!("{command} {id}"));
            later["conversation"] = first["conversation"].clone();
            assert_eq!(host.post("bot", &later).await.status, 200, "{command} {id}");
            let calls = connector.calls(3 + 2 * number + nth).await;
            let call = calls.last().unwrap();
            assert_eq!(call.path, path("channel-1"), "{command} {id}");
            let method = if command == "edit-id" { "PUT" } else { "DELETE" };
            assert_eq!(call.method, method, "{command} {id}");
            if method == "PUT" {
                assert_eq!((call.text(), &call.body["id"]), ("edited", &json!("channel-1")));
            }
        }
    }
}

/// The typing indicator is off by default. If the bot's configuration turns it on, it leaves before the guest sends anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_typing_indicator_is_sent_where_it_is_configured() {
    let config = Config::new().bot("bot", &[]).bot_key("typing-indicator", "true").plugin("bot", "hostile", "");
    let Some(host) = Host::start(config).await else { return };
    let connector = Connector::start().await;
    assert_eq!(host.post("bot", &connector.message("hi")).await.status, 200);
    let calls = connector.calls(2).await;
    assert_eq!((&calls[0].body["type"], calls[1].text()), (&json!("typing"), "ok: hi"));
    // With expectReplies nothing leaves outside the answer.
    let replies = host.post("bot", &expecting_replies(message("hi"))).await.replies();
    let types: Vec<&Value> = replies.iter().map(|reply| &reply["type"]).collect();
    assert_eq!(types, [&json!("typing"), &json!("message")]);
    // An event does not start a typing indicator.
    let mut event = connector.message("");
    event["type"] = "event".into();
    assert_eq!(host.post("bot", &event).await.status, 200);
    assert_eq!(connector.calls_now().len(), 2);
}

/// A trace is for developers who use the Emulator. Users of other channels never see one.
#[tokio::test(flavor = "multi_thread")]
async fn traces_go_to_the_emulator_only() {
    let Some(host) = start().await else { return };
    for (channel, types, said) in [
        ("emulator", vec![json!("trace"), json!("message")], "sent"),
        ("test", vec![json!("message")], "dropped"),
        ("directline", vec![json!("message")], "dropped"),
        ("msteams", vec![json!("message")], "dropped"),
    ] {
        let connector = Connector::start().await;
        let mut activity = connector.message("trace");
        activity["channelId"] = channel.into();
        assert_eq!(host.post("bot", &activity).await.status, 200);
        let calls = connector.calls(types.len()).await;
        let found: Vec<&Value> = calls.iter().map(|call| &call.body["type"]).collect();
        assert_eq!((found, calls.last().unwrap().text()), (types.iter().collect(), said), "{channel}");

        let replies = host.post("bot", &expecting_replies(activity_on(channel, "trace"))).await.replies();
        let found: Vec<&Value> = replies.iter().map(|reply| &reply["type"]).collect();
        assert_eq!(found, types.iter().collect::<Vec<_>>(), "{channel}, in the answer");
    }
}

fn activity_on(channel: &str, text: &str) -> Value {
    let mut activity = message(text);
    activity["channelId"] = channel.into();
    activity
}

/// On these channels a welcome does not belong to a thread.
#[tokio::test(flavor = "multi_thread")]
async fn a_welcome_is_a_reply_only_where_the_channel_threads_it() {
    let Some(host) = Host::start(Config::new().bot("bot", &["welcome"])).await else { return };
    for (channel, threads) in [("directline", false), ("webchat", false), ("test", true)] {
        let mut joined = expecting_replies(message(""));
        (joined["type"], joined["channelId"]) = ("conversationUpdate".into(), channel.into());
        joined["membersAdded"] = json!([{ "id": "user" }]);
        let replies = host.post("bot", &joined).await.replies();
        assert_eq!(replies.len(), 1, "{channel}");
        let reply_to = replies[0].get("replyToId").unwrap_or(&Value::Null);
        assert_eq!(*reply_to, if threads { joined["id"].clone() } else { Value::Null }, "{channel}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_kept_and_request_ids_come_back() {
    let Some(host) = start().await else { return };
    let mut socket = raw::connect(&host.url("")).await;
    for number in 0..3 {
        let id = format!("caller-{number}");
        let headers = [("Host", "localhost"), ("Content-Type", "application/json"), ("X-Request-Id", &*id)];
        let body = expecting_replies(message("hi")).to_string();
        let answer = raw::exchange(&mut socket, &request("POST", "/api/messages", &headers, &body)).await;
        assert_eq!((answer.status, &*answer.headers["x-request-id"]), (200, &*id));
    }
    let headers = [("Host", "localhost"), ("X-Request-Id", "no good <id>")];
    let answer = raw::exchange(&mut socket, &request("GET", "/nothing", &headers, "")).await;
    assert_eq!(answer.status, 404);
    let id = &answer.headers["x-request-id"];
    assert!(!id.is_empty() && !id.contains('<'), "{id}");
}

/// Without TLS there is no negotiation, so a client may use HTTP/2 from the start, with many requests on one connection.
#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_spoken_by_prior_knowledge() {
    let Some(host) = start().await else { return };
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let url = host.url("/api/messages");
    let turns = (0..20).map(|number| {
        let request = client.post(&url).json(&expecting_replies(message(&format!("{number}"))));
        async move {
            let response = request.send().await.unwrap();
            assert_eq!((response.version(), response.status().as_u16()), (reqwest::Version::HTTP_2, 200));
            let answer: Value = response.json().await.unwrap();
            assert_eq!(answer["activities"][0]["text"], format!("ok: {number}"));
        }
    });
    within("answers over HTTP/2", futures_util::future::join_all(turns)).await;

    // `:authority` is checked like `Host`, and errors have the same shape.
    let address = url.split('/').nth(2).unwrap().parse().unwrap();
    let rebound = reqwest::Client::builder().no_proxy().http2_prior_knowledge().resolve("rebound.example", address);
    let request = rebound.build().unwrap().post("http://rebound.example/api/messages").json(&message("hi"));
    let refused = within("an answer", request.send()).await.unwrap();
    assert_eq!((refused.version(), refused.status().as_u16()), (reqwest::Version::HTTP_2, 421));
    let unknown = within("an answer", client.get(host.url("/nothing")).send()).await.unwrap();
    assert_eq!(unknown.status().as_u16(), 404);
    assert!(unknown.headers().contains_key("x-request-id"));
}
