//! Connectors that misbehave: the turn stands, the conversation goes on, and what is lost is said.

use serde_json::{Value, json};

use crate::support::{Behaviour, Config, Connector, Host, message, within};

/// A host with short timeouts, a connector, and an activity whose replies go to it.
async fn set_up() -> Option<(Host, Connector, Value)> {
    set_up_with(300).await
}

/// The same with a timeout in milliseconds, for specs in which a late answer would change the outcome.
async fn set_up_with(send_timeout_ms: u32) -> Option<(Host, Connector, Value)> {
    let config = Config::new().set("channel.send-timeout-ms", &send_timeout_ms.to_string()).bot("echo", &["echo"]);
    let host = Host::start(config).await?;
    let connector = Connector::start().await;
    let activity = connector.message("first");
    Some((host, connector, activity))
}

async fn say(host: &Host, activity: &mut Value, text: &str) {
    activity["id"] = message("")["id"].clone(); // a new id, because the same id would be a redelivery
    activity["text"] = text.into();
    let answer = host.post("echo", activity).await;
    assert_eq!(answer.status, 200, "the turn succeeded whatever becomes of its replies: {answer:?}");
}

/// A reply that is refused or whose delivery is ambiguous becomes a dead letter with a log line. The next reply arrives.
#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_cannot_be_delivered_is_reported_and_the_next_arrives() {
    let Some((host, connector, mut activity)) = set_up().await else { return };
    for behaviour in [Behaviour::Status(400), Behaviour::Status(403), Behaviour::Status(500), Behaviour::Stall] {
        let shown = format!("{behaviour:?}");
        let before = connector.calls_now().len();
        connector.plan(behaviour);
        say(&host, &mut activity, "lost").await;
        connector.calls(before + 1).await;
        say(&host, &mut activity, &format!("after {shown}")).await;
        let calls = connector.calls(before + 2).await;
        assert_eq!(calls[before].text(), "Echo: lost");
        assert_eq!(calls[before + 1].text(), format!("Echo: after {shown}"));
    }
    host.logged("dead letter").await;
}

/// A reply that the channel certainly did not accept is sent again before any later reply.
#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_reply_is_sent_again_in_its_place() {
    let Some((host, connector, mut activity)) = set_up().await else { return };
    connector.plan(Behaviour::Throttle(0)).plan(Behaviour::Throttle(1));
    say(&host, &mut activity, "one").await;
    say(&host, &mut activity, "two").await;
    let texts: Vec<String> = connector.calls(4).await.iter().map(|call| call.text().to_owned()).collect();
    assert_eq!(texts, ["Echo: one", "Echo: one", "Echo: one", "Echo: two"]);
}

/// A success without a usable id is a success: the reply was accepted and is not sent again.
#[tokio::test(flavor = "multi_thread")]
async fn empty_and_garbled_answers_count_as_taken() {
    let Some((host, connector, mut activity)) = set_up().await else { return };
    connector.plan(Behaviour::TakeWithoutId).plan(Behaviour::Garbage);
    for text in ["one", "two", "three"] {
        say(&host, &mut activity, text).await;
    }
    let texts: Vec<String> = connector.calls(3).await.iter().map(|call| call.text().to_owned()).collect();
    assert_eq!(texts, ["Echo: one", "Echo: two", "Echo: three"]);
}

const PAGE: &str = "<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>";

fn page() -> Behaviour {
    Behaviour::Answer(502, "text/html", "", PAGE.into())
}

/// Whatever follows the status line of a success, the reply was accepted and is not sent again, and the next one leaves.
#[tokio::test(flavor = "multi_thread")]
async fn every_success_is_one_on_a_bad_day() {
    let Some((host, connector, mut activity)) = set_up_with(3_000).await else { return };
    let json = "application/json";
    let bad_days = [
        Behaviour::Answer(201, "", "", Vec::new()),
        Behaviour::Answer(201, json, "", Vec::new()),
        Behaviour::Answer(202, "", "", Vec::new()),
        Behaviour::Answer(204, "", "", Vec::new()),
        Behaviour::Answer(201, json, "", b"{\"id\":null}".into()),
        Behaviour::Answer(201, json, "", b"null".into()),
        Behaviour::Answer(200, "text/html", "", PAGE.into()),
        Behaviour::Answer(201, json, "gzip", vec![0x1f, 0x8b, 8, 0, 0xff]),
        Behaviour::Answer(201, json, "", vec![b' '; 8 << 20]),
        Behaviour::TakeWithNumber(7),
        Behaviour::Endless("{\"id\":\"1\"}"),
        Behaviour::Endless(""),
    ];
    let count = bad_days.len();
    for (number, behaviour) in bad_days.into_iter().enumerate() {
        connector.plan(behaviour);
        say(&host, &mut activity, &number.to_string()).await;
    }
    say(&host, &mut activity, "last").await;
    let texts: Vec<String> = connector.calls(count + 1).await.iter().map(|call| call.text().to_owned()).collect();
    let wanted: Vec<String> = (0..count).map(|number| format!("Echo: {number}")).chain(["Echo: last".into()]).collect();
    assert_eq!(texts, wanted);
    assert_eq!(host.admin("GET", "/v1/bots/echo/dead-letters", Vec::new()).await.json(), json!([]));
}

/// If a channel's ids are numbers, updates and deletions use the number.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_a_number_is_good_for_updates_and_deletions() {
    let Some(host) = Host::start(Config::new().bot("bot", &["hostile"])).await else { return };
    for (text, method) in [("edit-sent", "PUT"), ("unsend-sent", "DELETE")] {
        let connector = Connector::start().await;
        connector.plan(Behaviour::TakeWithNumber(12_345_678_901_234_567_890));
        assert_eq!(host.post("bot", &connector.message(text)).await.status, 200);
        let calls = connector.calls(2).await;
        assert_eq!(calls[1].method, method);
        assert!(calls[1].path.ends_with("/activities/12345678901234567890"), "{}", calls[1].path);
    }
}

/// The dead letter says what happened, and which setting decided that the reply was not sent again.
#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_is_lost_says_why() {
    let Some((host, connector, _)) = set_up_with(3_000).await else { return };
    let elsewhere = Connector::start().await;
    let kept = "not retried, because it could be delivered twice (channel.ambiguous is \"drop\")";
    for (behaviour, says) in [
        (page(), ["may have been delivered: 502 Bad Gateway; not retried", kept]),
        (Behaviour::Stall, ["may have been delivered: no response within channel.send-timeout-ms", kept]),
        (Behaviour::HangUp, ["may have been delivered: the connection was closed before a response", kept]),
        (Behaviour::Redirect(elsewhere.service_url()), ["refused with 307", "are not followed"]),
    ] {
        let what = format!("{behaviour:?}");
        let activity = connector.plan(behaviour).message("hi");
        assert_eq!(host.post("echo", &activity).await.status, 200, "{what}");
        let letter = host.dead_letter("echo", &activity).await;
        let why = letter["why"].as_str().unwrap();
        assert!(says.iter().all(|says| why.contains(says)), "{what}: {why}");
    }
    assert!(elsewhere.calls_now().is_empty());
}

/// With `ambiguous = "resend"` a reply may arrive twice, but it is not lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_was_perhaps_taken_is_sent_again_where_the_operator_wants_that() {
    let config = Config::new().set("channel.ambiguous", "'resend'").set("channel.send-timeout-ms", "3000");
    let Some(host) = Host::start(config.bot("echo", &["echo"])).await else { return };
    for behaviour in [page(), Behaviour::HangUp, Behaviour::Stall] {
        let what = format!("{behaviour:?}");
        let connector = Connector::start().await;
        let activity = connector.plan(behaviour).message("hi");
        assert_eq!(host.post("echo", &activity).await.status, 200, "{what}");
        let texts: Vec<String> = connector.calls(2).await.iter().map(|call| call.text().to_owned()).collect();
        assert_eq!(texts, ["Echo: hi", "Echo: hi"], "{what}");
    }
    assert_eq!(host.admin("GET", "/v1/bots/echo/dead-letters", Vec::new()).await.json(), json!([]));
}

/// `Retry-After: 0` does not make the host give up after three answers within milliseconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_says_at_once_three_times_gets_the_reply() {
    let Some((host, connector, mut activity)) = set_up_with(10_000).await else { return };
    connector.plan(Behaviour::Throttle(0)).plan(Behaviour::Throttle(0)).plan(Behaviour::Throttle(0));
    say(&host, &mut activity, "hi").await;
    say(&host, &mut activity, "next").await;
    let texts: Vec<String> = connector.calls(5).await.iter().map(|call| call.text().to_owned()).collect();
    assert_eq!(texts, ["Echo: hi", "Echo: hi", "Echo: hi", "Echo: hi", "Echo: next"]);
    assert_eq!(host.admin("GET", "/v1/bots/echo/dead-letters", Vec::new()).await.json(), json!([]));
}

/// Returns a port on which nobody listens, almost certainly for the duration of a spec.
async fn closed_port() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Sends a message with this `serviceUrl`, and returns why the reply could not be delivered.
async fn dead_letter(host: &Host, service_url: &str) -> Value {
    let mut activity = message("hi");
    activity["serviceUrl"] = service_url.into();
    let answer = host.post("echo", &activity).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, ""), "the turn stands");
    let letter = host.dead_letter("echo", &activity).await;
    assert_eq!((&letter["service_url"], &letter["action"]), (&json!(service_url), &json!("send")), "{letter:#}");
    letter
}

/// A connector whose origin is not configured gets nothing, and the log says why.
#[tokio::test(flavor = "multi_thread")]
async fn replies_go_to_configured_origins_only() {
    let config = Config::new().set("channel.connector-origins", "['http://127.0.0.1:1']").bot("echo", &["echo"]);
    let Some(host) = Host::start(config).await else { return };
    let connector = Connector::start().await;
    for url in [connector.service_url(), "https://smba.example.com/teams/".into(), "http://169.254.169.254".into()] {
        let letter = dead_letter(&host, &url).await;
        let why = letter["why"].as_str().unwrap();
        assert!(why.contains("channel.connector-origins (http://127.0.0.1:1)"), "{why}");
    }
    host.logged("connector-origins").await;
    assert!(connector.calls_now().is_empty());
}

/// If nobody listens, the host reports it when the wait is over, and other conversations are not affected.
#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_connector_is_said() {
    let config = Config::new().set("channel.unreachable-ms", "1").bot("echo", &["echo"]);
    let Some(host) = Host::start(config).await else { return };
    let letter = dead_letter(&host, &closed_port().await).await;
    let why = letter["why"].as_str().unwrap();
    assert!(why.starts_with("not delivered: cannot connect") && why.ends_with("channel.unreachable-ms"), "{why}");
    let line = host.logged("a peer is unreachable").await;
    assert!(line.contains(letter["service_url"].as_str().unwrap()), "{line}");
    host.bot("echo").says("hi").replies("Echo: hi").await;
}

/// Sends above the channel's rate wait in their conversation. Other conversations continue, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_is_too_fast_waits_alone() {
    let slow = Config::new().set("channel.rates.test", "{ conversation = ['2/24h'] }").bot("bot", &["hostile"]);
    let Some(host) = Host::start(slow).await else { return };
    let connector = Connector::start().await;
    let say = async |conversation: &str, text: &str| {
        let mut activity = connector.message(text);
        activity["conversation"]["id"] = conversation.into();
        assert_eq!(host.post("bot", &activity).await.status, 200);
    };
    for _ in 0..3 {
        say("fast", "generation").await;
    }
    say("other", "generation").await;
    say("other", "generation").await;
    let calls = connector.calls(4).await;
    let of = |conversation: &str| calls.iter().filter(|call| call.path.contains(conversation)).count();
    assert_eq!((of("/fast/"), of("/other/")), (2, 2));
    let throttled = r#"turntable_deliveries_throttled_total{bot="bot"} 1"#;
    let waits = async { while !host.admin("GET", "/metrics", Vec::new()).await.text.contains(throttled) {} };
    within("the third to wait", waits).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_beyond_the_rate_arrives_in_order() {
    let config = Config::new().set("channel.rates.test", "{ conversation = ['3/1s'], bot = ['100/1s'] }");
    let Some(host) = Host::start(config.bot("bot", &["scripted"])).await else { return };
    let connector = Connector::start().await;
    let lines: Vec<String> = (0..6).map(|number| format!("number {number}")).collect();
    assert_eq!(host.post("bot", &connector.message(&lines.join("\n"))).await.status, 200);
    let texts: Vec<String> = connector.calls(6).await.iter().map(|call| call.text().to_owned()).collect();
    assert_eq!(texts, lines.iter().map(|line| format!("heard: {line}")).collect::<Vec<_>>());
}
