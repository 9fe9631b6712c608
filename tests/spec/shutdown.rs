//! Shutdown: accepted turns end within the grace period, and turns that are stopped are logged.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Behaviour, Config, Connector, Host, raw, within};

/// A host with this grace period and a bot with long limits, and a connector.
async fn start(grace_ms: &str) -> Option<(Host, Connector)> {
    let config = Config::new().set("server.shutdown-grace-ms", grace_ms).bot("bot", &[]);
    let config = config.plugin("bot", "hostile", "limits.wall-ms = 60000\nlimits.cpu-ms = 60000");
    Some((Host::start(config).await?, Connector::start().await))
}

/// Sends an activity and does not wait for its answer. The connection is open as long as the returned value lives.
async fn call(host: &Host, activity: &Value) -> TcpStream {
    let headers = [("Host", "localhost"), ("Content-Type", "application/json")];
    let mut socket = raw::connect(&host.url("")).await;
    let text = raw::request("POST", "/api/bots/bot/messages", &headers, &activity.to_string());
    socket.write_all(text.as_bytes()).await.unwrap();
    socket
}

fn line<'a>(log: &'a [String], text: &str) -> &'a str {
    log.iter().find(|line| line.contains(text)).unwrap_or_else(|| panic!("no line says {text}: {log:#?}"))
}

/// The running turn and the one that waits behind it are answered and delivered; a new one is refused.
#[tokio::test(flavor = "multi_thread")]
async fn accepted_turns_and_their_deliveries_are_finished() {
    let Some((host, connector)) = start("60000").await else { return };
    let running = connector.message("flush-then-slow 1000");
    let mut waiting = connector.message("behind");
    waiting["conversation"] = running["conversation"].clone();
    let first = call(&host, &running).await;
    connector.calls(1).await;
    let second = call(&host, &waiting).await;
    let accepted =
        async { while !host.admin("GET", "/metrics", Vec::new()).await.text.contains("turntable_turns_running 2") {} };
    within("two accepted turns", accepted).await;
    // The first attempt of the next delivery is delayed, so that the delivery outlives its turn.
    connector.plan(Behaviour::Throttle(1));
    host.signal();
    host.logged("stopping: accepting nothing more").await;
    let late = host.post("bot", &connector.message("late")).await;
    assert_eq!((late.status, late.headers.contains_key("retry-after")), (503, true));
    let (status, log) = host.ended().await;
    assert!(status.success(), "{status}: {log:#?}");
    for mut socket in [first, second] {
        let mut answer = String::new();
        within("an answer", socket.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let stopped = line(&log, "stopped: every accepted turn has ended");
    assert!(stopped.contains("\"finished\":2"), "{stopped}");
    let texts: Vec<String> = connector.calls_now().iter().map(|call| call.text().to_owned()).collect();
    assert_eq!(texts, ["GENERATION-0000", "GENERATION-0000", "GENERATION-0000", "ok: behind"]);
}

/// For a guest that sleeps in a host call and one that computes.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_never_ends_is_cut_and_that_is_said() {
    for text in ["flush-then-slow 50000", "flush-then-burn 50000"] {
        let Some((host, connector)) = start("300").await else { return };
        let endless = connector.message(text);
        let caller = call(&host, &endless).await;
        connector.calls(1).await;
        let (_, log) = host.stop().await;
        drop(caller);
        let stopped = line(&log, "stopped: the grace period ended first");
        assert!(stopped.contains("\"cut\":1") && stopped.contains("\"level\":\"ERROR\""), "{text}: {stopped}");
        assert!(stopped.contains("the next start delivers the undelivered messages"), "{text}: {stopped}");
        assert_eq!(connector.calls_now().len(), 1, "{text}");
    }
}

/// The grace period is far longer than the timeout of this spec.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let Some((host, connector)) = start("600000").await else { return };
    let endless = connector.message("flush-then-slow 50000");
    let caller = call(&host, &endless).await;
    connector.calls(1).await;
    host.signal();
    host.logged("stopping: accepting nothing more").await;
    let (_, log) = host.stop().await;
    drop(caller);
    line(&log, "second signal");
    assert!(line(&log, "stopped:").contains("\"cut\":1"), "{log:#?}");
}

/// A connector that never answers delays a delivery but not the second signal.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_does_not_wait_for_deliveries() {
    let Some((host, connector)) = start("600000").await else { return };
    connector.plan(Behaviour::Stall);
    assert_eq!(host.post("bot", &connector.message("hi")).await.status, 200);
    connector.calls(1).await;
    host.signal();
    host.logged("stopping: accepting nothing more").await;
    let (_, log) = host.stop().await;
    assert!(line(&log, "stopped:").contains("\"undelivered\":1"), "{log:#?}");
}

/// The last line says what happens to undelivered messages: they are in the store's file, or lost with a store in memory.
#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_of_undelivered_replies_is_said_by_kind_of_storage() {
    for (kind, told) in
        [("sqlite", "the next start delivers the undelivered messages"), ("memory", "are lost, because `storage.kind`")]
    {
        let config = Config::new().set("server.shutdown-grace-ms", "1").set("storage.kind", &format!("'{kind}'"));
        let Some(mut host) = Host::start(config.bot("bot", &["echo"])).await else { return };
        let connector = Connector::start().await;
        connector.plan(Behaviour::Stall);
        assert_eq!(host.post("bot", &connector.message("hi")).await.status, 200);
        connector.calls(1).await;
        host.signal();
        let stopped = host.logged("stopped: the grace period ended first").await;
        assert!(stopped.contains("\"undelivered\":1") && stopped.contains(told), "{kind}: {stopped}");
        assert!(host.ends().await.success(), "{kind}");
        if kind == "sqlite" {
            host.again(None).await;
            assert_eq!(connector.calls(2).await[1].text(), "Echo: hi");
        }
    }
}
