//! Hostile guests: each ends with its documented outcome, the error names the limit, and another bot keeps answering.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Config, Connector, Host, compile_bomb, component, expecting_replies, message, within};

const ERROR_REPLY: &str = "Sorry, something went wrong on my side. Please try again.";

/// Time limits that only a guest without end exceeds, however slow the machine is.
const AMPLE: &str = "limits.cpu-ms = 60000\nlimits.wall-ms = 120000";
/// Limits for a guest that computes for ever, and for one that sleeps for ever.
const LITTLE_CPU: &str = "limits.cpu-ms = 100\nlimits.wall-ms = 120000";
const LITTLE_WALL: &str = "limits.cpu-ms = 1000\nlimits.wall-ms = 1000";

/// A host with a hostile bot that has ample time, and a well-behaved one.
async fn start(more: &str) -> Option<Host> {
    start_within(AMPLE, more).await
}

async fn start_within(time: &str, more: &str) -> Option<Host> {
    let limits = format!("{time}\n{more}");
    Host::start(Config::new().bot("hostile", &[]).plugin("hostile", "hostile", &limits).bot("echo", &["echo"])).await
}

/// Sends a message to the hostile bot, and returns its replies and the record of its only call.
async fn provoke(host: &Host, text: &str) -> (Vec<String>, Value) {
    let replies = host.post("hostile", &expecting_replies(message(text))).await.replies();
    let texts = replies.iter().map(|reply| reply["text"].as_str().unwrap_or_default().to_owned()).collect();
    (texts, host.last_turn("hostile").await["calls"][0].clone())
}

/// The user gets one polite sentence, and the record of the turn tells the author what happened.
async fn fails(host: &Host, text: &str, outcome: &str, says: &str) -> Value {
    let (replies, call) = provoke(host, text).await;
    assert_eq!(replies, [ERROR_REPLY], "{text}");
    assert_eq!(call["outcome"], outcome, "{text}: {call:#}");
    let error = call["error"].as_str().unwrap_or_default();
    assert!(error.contains(says), "{text}: {error} does not say {says}");
    let counted = format!("turntable_plugin_calls_total{{bot=\"hostile\",plugin=\"hostile\",outcome=\"{outcome}\"}}");
    let metrics = host.admin("GET", "/metrics", Vec::new()).await.text;
    assert!(metrics.contains(&counted), "{counted} is missing in {metrics}");
    host.bot("echo").says("are you well?").replies("Echo: are you well?").await;
    call
}

#[tokio::test(flavor = "multi_thread")]
async fn traps_undo_the_call_and_tell_the_author_where() {
    let Some(host) = start("").await else { return };
    let call = fails(&host, "trap", "trap", "unreachable").await;
    assert!(call["stderr"].as_str().unwrap().contains("told to trap"), "{call:#}");
    assert!(!call["stderr"].as_str().unwrap().contains("RUST_BACKTRACE"), "a guest has no environment: {call:#}");
    assert!(call["backtrace"].as_str().unwrap().contains("hostile"), "{call:#}");
    let logged = host.logged("turn failed").await;
    assert!(logged.contains("panicked at ") && logged.contains(": told to trap"), "{logged}");
    fails(&host, "abort", "trap", "unreachable").await;
    fails(&host, "exit", "trap", "exited with status").await;
    fails(&host, "recurse", "trap", "wasm trap").await;
    fails(&host, "huge-call", "trap", "host-call-bytes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exhausted_limits_are_named() {
    let Some(host) = start("limits.memory-bytes = '16 MiB'").await else { return };
    fails(&host, "allocate", "memory", "memory-bytes (16777216)").await;
    fails(&host, "flood-calls", "host-call-limit", "host-calls (1000)").await;
    fails(&host, "flood-logs", "host-call-limit", "host-calls (1000)").await;
    host.logged("log-lines-per-turn (200)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exhausted_time_is_named() {
    let Some(host) = start_within(LITTLE_CPU, "").await else { return };
    fails(&host, "spin", "cpu-budget", "cpu-ms (100)").await;
    let Some(host) = start_within(LITTLE_WALL, "").await else { return };
    fails(&host, "sleep", "wall-clock", "wall-ms (1000)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exhausted_limits_of_the_runtime_are_named() {
    for (limit, text, says) in [
        ("component-handles = 100", "handles", "component-handles (100)"),
        ("resources = 100", "handles", "resources (100)"),
        ("random-bytes = '1 KiB'", "random-bytes 1025", "random-bytes (1024)"),
        ("http-fields-bytes = '1 KiB'", "fields", "http-fields-bytes (1024)"),
    ] {
        let Some(host) = start(&format!("limits.{limit}")).await else { return };
        fails(&host, text, "trap", says).await;
    }
    // With these limits the guest cannot even be instantiated.
    for (limit, says) in
        [("table-elements = 1", "table-elements (1)"), ("memory-bytes = '64 KiB'", "memory-bytes (65536)")]
    {
        let Some(host) = start(&format!("limits.{limit}")).await else { return };
        let status = host.status("hostile").await;
        assert!(status["last_failure"]["problems"].to_string().contains(says), "{status:#}");
        host.bot("echo").says("hi").replies("Echo: hi").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_undo_the_call_and_are_cut() {
    let Some(host) = start("").await else { return };
    fails(&host, "send-and-fault", "guest-fault", "told to fail").await;
    fails(&host, "huge-reply", "guest-fault", "bytes-per-send").await;
    let call = fails(&host, "huge-fault", "guest-fault", "xxx").await;
    assert!(call["error"].as_str().unwrap().len() < 8 << 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_answered_with_a_fault_that_the_guest_can_handle() {
    let Some(host) = start("").await else { return };
    for text in ["invalid-json", "array-json", "no-type", "host-type", "bad-update", "bad-respond"] {
        let (replies, call) = provoke(&host, text).await;
        assert_eq!((replies, &call["outcome"]), (vec!["invalid".to_owned()], &json!("handled")), "{text}");
    }
    let (replies, call) = provoke(&host, "flood-sends").await;
    assert_eq!((replies.len(), &call["outcome"]), (50, &json!("handled")));
    let (replies, call) = provoke(&host, "flood-output").await;
    assert_eq!(replies, ["flooded"], "{call:#}");
    // The end of its output is in the log, with its origin.
    for stream in ["stdout", "stderr"] {
        let line: Value = serde_json::from_str(&host.logged(&format!("\"stream\":\"{stream}\"")).await).unwrap();
        assert_eq!((&line["bot"], &line["plugin"]), (&json!("hostile"), &json!("hostile")), "{stream}");
        assert!(line["turn"].is_string() && line["digest"].as_str().unwrap().starts_with("sha256:"), "{stream}");
        let kept = line["text"].as_str().unwrap();
        assert!(kept.ends_with("xxx") && kept.len() < 66 << 10, "{stream}: {} bytes", kept.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_reaches_nothing_but_its_turn() {
    let Some(host) = start("").await else { return };
    let (replies, _) = provoke(&host, "env").await;
    assert!(replies[0].contains("connect denied") && !replies[0].contains("ALLOWED"), "{replies:?}");
    // Globals do not survive the turn, and random numbers differ.
    for _ in 0..2 {
        assert_eq!(provoke(&host, "count").await.0, ["1"]);
    }
    assert_ne!(provoke(&host, "random").await.0, provoke(&host, "random").await.0);
}

/// The host refuses a guest's request to a real server before it opens a connection, and the operator sees the attempt.
#[tokio::test(flavor = "multi_thread")]
async fn outbound_http_is_refused_and_counted() {
    let Some(host) = start("").await else { return };
    let server = Connector::start().await;
    let address = server.service_url().replace("http://", "");
    for _ in 0..2 {
        let (replies, call) = provoke(&host, &format!("fetch {address}")).await;
        assert_eq!(replies, ["ErrorCode::HttpRequestDenied"], "{call:#}");
        assert_eq!(call["outcome"], "handled");
    }
    assert!(server.calls_now().is_empty());
    let counted = "turntable_outbound_requests_total{bot=\"hostile\",plugin=\"hostile\",outcome=\"denied\"} 2";
    let metrics = host.admin("GET", "/metrics", Vec::new()).await.text;
    assert!(metrics.contains(counted), "{metrics}");
    let line = host.logged("outbound HTTP").await;
    assert!(line.contains("\"bot\":\"hostile\"") && line.contains(&address), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_speaks_in_its_own_name_and_conversation() {
    let Some(host) = start("").await else { return };
    let connector = Connector::start().await;
    let activity = connector.message("spoof");
    assert_eq!(host.post("hostile", &activity).await.status, 200);
    let call = &connector.calls(1).await[0];
    assert_eq!(call.body["from"]["id"], "bot");
    assert_eq!(call.body["conversation"]["id"], activity["conversation"]["id"]);
    assert_eq!(call.body["channelId"], "test");
    assert!(call.body.get("id").is_none() && call.body.get("replyToId").is_none(), "{:#}", call.body);
    let conversation = activity["conversation"]["id"].as_str().unwrap();
    assert_eq!(call.path, format!("/v3/conversations/{conversation}/activities"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_flushed_stays_and_what_came_after_does_not() {
    let Some(host) = start("").await else { return };
    let connector = Connector::start().await;
    let activity = connector.message("flush-then-trap");
    assert_eq!(host.post("hostile", &activity).await.status, 200);
    let texts: Vec<String> = connector.calls(2).await.iter().map(|call| call.text().to_owned()).collect();
    assert_eq!(texts, ["kept", ERROR_REPLY]);
    assert_eq!(host.last_turn("hostile").await["sent"].as_array().unwrap().len(), 2, "the record names no other");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_still_staged_is_edited_in_place() {
    let Some(host) = start("").await else { return };
    assert_eq!(provoke(&host, "edit").await.0, ["after"]);
    assert_eq!(provoke(&host, "unsend").await.0, ["stays"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_id_is_longer_than_those_of_channels() {
    let Some(host) = start("").await else { return };
    fails(&host, &format!("edit-id {}", "x".repeat(1025)), "guest-fault", "longer than 1024 bytes").await;
    fails(&host, &format!("unsend-id {}", "x".repeat(1025)), "guest-fault", "longer than 1024 bytes").await;
}

/// The record of a turn stays small, whatever a guest passes as a level or name.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_level_is_one_of_five_words() {
    let Some(host) = start("").await else { return };
    assert_eq!(provoke(&host, "shout").await.1["logs"], json!(["info loud", "info loud", "info loud", "info loud"]));
}

/// The host keeps little for requests that a guest never sends.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_cannot_hoard_in_the_memory_of_the_host() {
    let Some(host) = start("").await else { return };
    let taken: usize = provoke(&host, "hoard").await.0[0].parse().unwrap();
    assert!((1..16 << 20).contains(&taken), "the host took {taken} bytes");
}

/// `on-failure = "continue"` discards only the failed call, and the next plugin of the bot answers.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_may_let_the_turn_go_on_after_a_failure() {
    let config =
        Config::new().bot("both", &[]).plugin("both", "hostile", "on-failure = 'continue'").plugin("both", "echo", "");
    let Some(host) = Host::start(config).await else { return };
    host.bot("both").says("trap").replies("Echo: trap").says("next").replies("Echo: next").await;
    let trapped = host.admin("GET", "/v1/bots/both/turns", Vec::new()).await.json()[1].clone();
    assert_eq!(trapped["sent"].as_array().unwrap().len(), 1, "what was undone was not sent: {trapped:#}");
    let turn = host.last_turn("both").await;
    assert_eq!(turn["calls"][0]["outcome"], "passed-on");
    assert_eq!(turn["calls"][1]["outcome"], "handled");
}

/// If `describe` misbehaves, the load fails with the reason and the running generation continues to serve.
#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_manifest_fails_the_load() {
    for (setting, time, says) in [
        ("trap", AMPLE, "describe was told to trap"),
        ("spin", LITTLE_CPU, "cpu-ms (100)"),
        ("sleep", LITTLE_WALL, "wall-ms (1000)"),
        ("huge", AMPLE, "at most 65536 are allowed"),
        ("not-json", AMPLE, "not one JSON object"),
        ("no-name", AMPLE, "`name` is missing"),
        ("bad-route", AMPLE, "`routes[0].pattern`"),
    ] {
        let Some(host) = start_within(time, &format!("settings.describe = '{setting}'")).await else { return };
        let status = host.status("hostile").await;
        assert_eq!(status["generation"], Value::Null);
        assert!(status["last_failure"]["problems"].to_string().contains(says), "{setting}: {status:#}");
        let answer = host.post("hostile", &message("hi")).await;
        assert_eq!((answer.status, answer.headers.contains_key("retry-after")), (503, true));
        host.bot("echo").says("hi").replies("Echo: hi").await;
    }
    let Some(host) = start("settings.describe = 'calls-turn'").await else { return };
    assert_eq!(host.status("hostile").await["plugins"][0]["describes"], "hostile denied");
}

/// A manifest depends only on the component and its settings: clock and random numbers are the same at every load.
#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_is_not_left_to_chance() {
    let mut described = Vec::new();
    for _ in 0..2 {
        let Some(host) = start("settings.describe = 'chance'").await else { return };
        described.push(host.status("hostile").await["plugins"][0]["describes"].clone());
    }
    assert!(described[0].is_string() && described[0] == described[1], "{described:?}");
}

/// A file that is not a component of this contract is refused with the reason, and the running generation continues to serve.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_no_plugins_are_refused_by_name() {
    let Some(host) = start("").await else { return };
    let Some(good) = component("echo") else { return };
    let good = std::fs::read(good).unwrap();
    let no_exports = wat::parse_str("(component)").unwrap();
    let files: [(&str, Vec<u8>, u16, &str); 7] = [
        ("empty", Vec::new(), 422, "empty"),
        ("text", b"(component)".to_vec(), 422, "text"),
        ("core module", wat::parse_str("(module)").unwrap(), 422, "core module"),
        ("compiled code", b"\x7fELF\x02\x01\x01".to_vec(), 422, ".cwasm"),
        ("truncated", good[..good.len() / 2].to_vec(), 422, "malformed"),
        ("wrong world", no_exports, 422, "exports no `turntable:bot/bot-handler"),
        ("newer contract", contract_of("0.2.0"), 422, "0.2.0"),
    ];
    for (name, file, status, says) in files {
        let answer = host.deploy("echo", "echo", file).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text);
        assert!(answer.text.contains(says), "{name}: {}", answer.text);
        host.bot("echo").says("hi").replies("Echo: hi").await;
    }
    assert_eq!(host.status("echo").await["generation"], 1);
}

/// An upload over the limit is answered before it is read, and the host does not wait for the rest.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_too_large_is_refused_before_it_is_read() {
    let Some(host) = start("").await else { return };
    let address = host.admin_url().replace("http://", "");
    let token = std::fs::read_to_string(host.token_file()).unwrap();
    let head = format!(
        "PUT /v1/bots/echo/plugins/echo HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Content-Length: {}\r\n\r\n",
        token.trim(),
        100 << 20
    );
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 1024];
    let length = within("an answer", socket.read(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("component-bytes-max"), "{answer}");
    host.bot("echo").says("hi").replies("Echo: hi").await;
}

/// Returns a component that imports and exports another version of the contract.
fn contract_of(version: &str) -> Vec<u8> {
    let text = format!(
        r#"(component (import "turntable:bot/turn@{version}" (instance (export "reply" (func (param "activity" string))))))"#
    );
    wat::parse_str(text).unwrap()
}

/// A small component can take the compiler very long. The host ends the child process and continues.
#[tokio::test(flavor = "multi_thread")]
async fn a_compile_bomb_ends_in_its_child() {
    // A host with a long limit compiles the component, so that the other host finds compiled code.
    drop(Host::start(Config::new().bot("echo", &["echo"])).await);
    let config = Config::new().set("runtime.compile-ms", "1500").bot("echo", &["echo"]);
    let Some(host) = Host::start(config).await else { return };
    let bomb = compile_bomb(&host.component("echo"));
    let (answer, ()) = tokio::join!(host.deploy("echo", "echo", bomb), async {
        host.bot("echo").says("meanwhile").replies("Echo: meanwhile").await;
    });
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert!(answer.text.contains("compile-ms (1500)"), "{}", answer.text);
    host.bot("echo").says("after").replies("Echo: after").await;
}

/// A guest that has run for more than one tick holds one of the few permits for slow guests only while it computes.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_guest_that_sleeps_holds_up_no_other_slow_guest() {
    let limits = "limits.cpu-ms = 5000\nlimits.wall-ms = 60000";
    let config = Config::new().set("runtime.workers", "2").bot("sleeper", &[]).bot("bot", &[]);
    let config = config.plugin("sleeper", "hostile", limits).plugin("bot", "hostile", limits);
    let Some(host) = Host::start(config).await else { return };
    let connector = Connector::start().await;
    let sleeper = connector.message("burn-then-sleep 30");
    let sleeps = host.post("sleeper", &sleeper);
    let answers = async {
        connector.calls(1).await;
        host.post("bot", &expecting_replies(message("burn 500"))).await
    };
    tokio::select! {
        answer = sleeps => panic!("it sleeps for an hour, and answered {}", answer.status),
        answer = answers => assert_eq!(answer.replies()[0]["text"], "burnt"),
    }
}
