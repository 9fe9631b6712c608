//! Memory: what requests hold has a bound for the host, a share for each bot and for each client, and what does not fit is
//! refused before it is read.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::raw::{self, RawAnswer, request};
use crate::support::{Config, Host, expecting_replies, message, rounds, within};
use crate::swap::generation;

const HOST: (&str, &str) = ("Host", "localhost");
const JSON: (&str, &str) = ("Content-Type", "application/json");
/// What an activity takes besides its text, and what a redelivery takes that waits.
const TURN_BYTES: usize = 4_096;

/// A host with little memory for requests. Turns of the bot `slow` do not end.
fn config() -> Config {
    Config::new()
        .set("server.body-bytes-max", "'256 KiB'")
        .set("server.upload-bytes-max", "'256 KiB'")
        .set("server.held-bytes-max", "'1 MiB'")
        .set("server.held-bytes-per-bot-max", "'1 MiB'")
        .set("server.held-bytes-per-peer-max", "'1 MiB'")
        .set("server.acknowledge-ms", "1")
        .bot("echo", &["echo"])
        .bot("slow", &[])
        .plugin("slow", "hostile", "limits.wall-ms = 600000")
}

/// A message that takes more than 200 kB, in the conversation of turns that do not end.
fn large(id: &str) -> Value {
    let mut activity = message(&"x".repeat(200_000));
    activity["id"] = id.into();
    activity["conversation"]["id"] = "busy".into();
    activity
}

/// Begins a turn that does not end, and queues two large activities behind it.
async fn fill(host: &Host, headers: &[(&str, &str)]) {
    let mut endless = message("slow 600000");
    endless["conversation"]["id"] = "busy".into();
    for activity in [endless, large("1"), large("2")] {
        let answer = host.post_to("/api/bots/slow/messages", headers, &activity).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
    }
}

/// Sends the head of a request with a large body and nothing of the body.
async fn announce(host: &Host, bot: &str, headers: &[(&str, &str)]) -> RawAnswer {
    let headers = [&[HOST, JSON, ("Content-Length", "250000")], headers].concat();
    raw::send(&host.url(""), &request("POST", &format!("/api/bots/{bot}/messages"), &headers, "")).await
}

/// Checks a refusal that names the bound.
fn check(refused: &RawAnswer, status: u16, code: &str, bound: &str) {
    assert_eq!((refused.status, &*refused.code()), (status, code), "{refused:?}");
    assert_eq!(refused.headers["retry-after"], "1", "{refused:?}");
    assert!(refused.body.contains(&format!("`{bound}`")), "{refused:?}");
}

async fn held_bytes(host: &Host) -> usize {
    let text = host.admin("GET", "/metrics", Vec::new()).await.text;
    let line = text.lines().find_map(|line| line.strip_prefix("turntable_held_bytes "));
    line.unwrap_or_else(|| panic!("no metric in {text}")).parse().unwrap()
}

/// Waits until requests hold exactly this number of bytes.
async fn until_held(host: &Host, bytes: usize) {
    let reached = async {
        while held_bytes(host).await != bytes {
            tokio::task::yield_now().await;
        }
    };
    within("the bytes that requests hold", reached).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_holds_its_share_is_refused_and_others_are_not() {
    let config = config().set("server.held-bytes-per-bot-max", "'512 KiB'");
    let Some(host) = Host::start(config).await else { return };
    fill(&host, &[]).await;
    check(&announce(&host, "slow", &[]).await, 429, "Throttled", "server.held-bytes-per-bot-max");
    let before = held_bytes(&host).await;
    let said = host.post("echo", &expecting_replies(message(&"y".repeat(100_000)))).await;
    assert_eq!(said.replies()[0]["text"].as_str().map(str::len), Some("Echo: ".len() + 100_000));
    until_held(&host, before).await;
    let metrics = host.admin("GET", "/metrics", Vec::new()).await.text;
    let shed = r#"turntable_requests_shed_total{bound="server.held-bytes-per-bot-max"} 1"#;
    assert!(metrics.contains(shed), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_holds_all_says_that_it_cannot_now() {
    let Some(host) = Host::start(config().set("server.proxies", "['127.0.0.1']")).await else { return };
    // Each from a client of its own, for bots of their own, would fit its share.
    fill(&host, &[("X-Forwarded-For", "192.0.2.1")]).await;
    for id in ["3", "4"] {
        let more = [("X-Forwarded-For", "192.0.2.3")];
        assert_eq!(host.post_to("/api/bots/slow/messages", &more, &large(id)).await.status, 202);
    }
    let refused = announce(&host, "echo", &[("X-Forwarded-For", "192.0.2.2")]).await;
    check(&refused, 503, "ServiceUnavailable", "server.held-bytes-max");
    assert_eq!(host.post("echo", &expecting_replies(message("hi"))).await.replies()[0]["text"], "Echo: hi");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_holds_its_share_is_refused_and_others_are_not() {
    let config = config().set("server.held-bytes-per-peer-max", "'512 KiB'").set("server.proxies", "['127.0.0.0/8']");
    let Some(host) = Host::start(config).await else { return };
    let (one, other) = ([("X-Forwarded-For", "192.0.2.1")], [("X-Forwarded-For", "203.0.113.9, 192.0.2.2")]);
    fill(&host, &one).await;
    check(&announce(&host, "echo", &one).await, 429, "Throttled", "server.held-bytes-per-peer-max");
    let activity = expecting_replies(message(&"y".repeat(100_000)));
    assert_eq!(host.post_to("/api/bots/echo/messages", &other, &activity).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redelivery_holds_no_body_while_it_waits() {
    let Some(host) = Host::start(config()).await else { return };
    fill(&host, &[]).await;
    let held = held_bytes(&host).await;
    let again = request("POST", "/api/bots/slow/messages", &[HOST, JSON], &large("1").to_string());
    let mut waiting = Vec::new();
    for count in 1..=10 {
        let mut stream = raw::connect(&host.url("")).await;
        stream.write_all(again.as_bytes()).await.unwrap();
        waiting.push(stream);
        until_held(&host, held + count * TURN_BYTES).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_do_not_come_hold_nothing() {
    let Some(host) = Host::start(config()).await else { return };
    let head = request("POST", "/api/bots/echo/messages", &[HOST, JSON, ("Content-Length", "250000")], "");
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = raw::connect(&host.url("")).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(b"{").await.unwrap();
        slow.push(stream);
    }
    assert_eq!(host.post("echo", &expecting_replies(message("hi"))).await.replies()[0]["text"], "Echo: hi");
    until_held(&host, 100).await;
    drop(slow);
    until_held(&host, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_costs_what_its_bound_allows() {
    let config = Config::new().set("server.body-bytes-max", "'16 MiB'").bot("echo", &["echo"]);
    let Some(host) = Host::start(config).await else { return };
    let with = |value: &str| {
        let text = expecting_replies(message("hi")).to_string();
        format!(r#"{},"value":{value}}}"#, text.strip_suffix('}').unwrap())
    };
    let arrays = format!("[{}[]]", "[],".repeat(1_000_000));
    let objects = format!("[{}{{}}]", r#"{"":0},"#.repeat(60_000));
    let members = |count: usize| format!(r#"{{{}"a":0}}"#, r#""a":0,"#.repeat(count));
    let string = format!(r#""{}""#, "x".repeat(8 << 20));
    for (what, value, status) in [
        ("a million arrays", arrays, 413),
        ("objects", objects, 413),
        ("too many equal names", members(100_000), 413),
        ("equal names", members(10_000), 200),
        ("a long string", string, 200),
    ] {
        let sent = request("POST", "/api/bots/echo/messages", &[HOST, JSON], &with(&value));
        let answer = raw::send(&host.url(""), &sent).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
        assert!(status == 200 || answer.body.contains("server.json-values-max"), "{what}: {}", answer.body);
    }
    let nested = json!({ "type": "message", "conversation": { "id": "c" }, "serviceUrl": "http://127.0.0.1:9" });
    assert_eq!(host.post("echo", &nested).await.status, 200);
}

/// Fifty sends of this size have room as text, but not as trees of small values.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_turn_stages_has_a_bound_in_memory() {
    let more = "limits.cpu-ms = 8000\nlimits.staged-bytes = '1 MiB'\n";
    let Some(host) = Host::start(Config::new().bot("bot", &[]).plugin("bot", "hostile", more)).await else { return };
    let small = json!({ "type": "message", "text": "x", "value": "y".repeat(100_000) });
    host.bot("bot").says(&format!("send {small}")).replies("x").await;
    let tree = json!({ "type": "message", "text": "x", "value": vec![json!({ "": 0 }); 10_000] });
    let answer = host.post("bot", &expecting_replies(message(&format!("send {tree}")))).await;
    assert!(!answer.replies().iter().any(|reply| reply["text"] == "x"), "{}", answer.text);
    let error = host.last_turn("bot").await["calls"][0]["error"].to_string();
    assert!(error.contains("staged-bytes (1048576)"), "{error}");
}

/// The guest could have more by its own limit.
#[tokio::test(flavor = "multi_thread")]
async fn all_guests_together_have_a_bound() {
    let config = Config::new().set("runtime.guest-memory-bytes-max", "'64 MiB'").bot("echo", &["echo"]).bot("bot", &[]);
    let config = config.plugin("bot", "hostile", "limits.cpu-ms = 8000\nlimits.memory-bytes = '1 GiB'\n");
    let Some(host) = Host::start(config).await else { return };
    host.post("bot", &message("allocate")).await;
    let error = host.last_turn("bot").await["calls"][0]["error"].to_string();
    assert!(error.contains("runtime.guest-memory-bytes-max (67108864)"), "{error}");
    host.bot("echo").says("hi").replies("Echo: hi").await;
    let metrics = host.admin("GET", "/metrics", Vec::new()).await.text;
    assert!(metrics.contains("turntable_guest_memory_kept_bytes "), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_of_a_bot_have_a_bound_in_bytes() {
    let config = Config::new().set("storage.notification-bytes-per-bot-max", "'4 KiB'").bot("bot", &["echo"]);
    let Some(host) = Host::start(config).await else { return };
    let met = message("hi");
    assert_eq!(host.post("bot", &met).await.status, 200);
    let later = |size: usize| {
        let target = json!({ "channel": "test", "conversation": met["conversation"]["id"] });
        let activity = json!({ "type": "message", "text": "x".repeat(size) });
        json!({ "target": target, "at": "2099-01-01T00:00:00Z", "activity": activity }).to_string().into_bytes()
    };
    let add = async |size: usize| {
        let json = [("content-type", "application/json")];
        host.admin_with("POST", "/v1/bots/bot/notifications", &json, later(size)).await
    };
    let added = add(3_000).await;
    assert_eq!(added.status, 202, "{}", added.text);
    let refused = add(3_000).await;
    assert_eq!(refused.status, 429, "{}", refused.text);
    assert!(refused.text.contains("storage.notification-bytes-per-bot-max"), "{}", refused.text);
    assert_eq!(add(100).await.status, 202);
}

/// Resident memory of the host's process, in kB.
fn resident_kb(host: &Host) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid().as_raw_nonzero())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A conversation of Direct Line with one message.
async fn chat(host: &Host) {
    let generated = host.post_to("/v3/directline/tokens/generate", &[], &json!({ "bot": "echo" })).await.json();
    let bearer = format!("Bearer {}", generated["token"].as_str().unwrap());
    let headers = [("Authorization", &*bearer)];
    let opened = host.post_to("/v3/directline/conversations", &headers, &json!({})).await.json();
    let path = format!("/v3/directline/conversations/{}/activities", opened["conversationId"].as_str().unwrap());
    let said = json!({ "type": "message", "from": { "id": "u" }, "text": "hi" });
    assert_eq!(host.post_to(&path, &headers, &said).await.status, 200);
}

/// Messages in many conversations, deploys of one bot and new conversations of Direct Line, in rounds. The second half of them
/// must not need more memory than the first. `make prove` prints how the memory went.
#[tokio::test(flavor = "multi_thread")]
async fn memory_is_flat_under_a_mixed_load() {
    let config = Config::new().set("server.mode", "'development'").bot("echo", &["echo"]).bot("swapped", &["hostile"]);
    let Some(host) = Host::start(config).await else { return };
    let (rounds, messages) = (rounds(8, 240), rounds(20, 500));
    let components: Vec<Vec<u8>> = (1..=4).map(generation).collect();
    let mut resident = vec![resident_kb(&host)];
    for round in 0..rounds {
        let one = async |bot: &'static str, text: &str| {
            let answer = host.post(bot, &expecting_replies(message(text))).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
        };
        join_all((0..4).map(async |lane| {
            for _ in 0..messages / 4 {
                one(if lane == 0 { "swapped" } else { "echo" }, "generation").await;
            }
        }))
        .await;
        chat(&host).await;
        let deployed = host.deploy("swapped", "hostile", components[round % components.len()].clone()).await;
        assert_eq!(deployed.status, 200, "{}", deployed.text);
        resident.push(resident_kb(&host));
    }
    until_held(&host, 0).await;
    let metrics = host.admin("GET", "/metrics", Vec::new()).await.text;
    let bytes: Vec<&str> = metrics.lines().filter(|line| !line.starts_with('#') && line.contains("_bytes ")).collect();
    let (half, end) = (resident[rounds / 2], resident[rounds]);
    eprintln!("mixed load: {} kB at the start, {half} at half, {end} at the end; {bytes:?}", resident[0]);
    assert!(end < half + half / 4, "{resident:?}");
}
