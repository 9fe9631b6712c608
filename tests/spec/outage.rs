//! Channels that are away, silent or slow: nothing that a bot said is lost, and nobody else waits for them.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Rlimit, Signal, kill_process};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::support::{Behaviour, Config, Connector, Host, command, message, rounds, turntable, within};

/// Returns an address of loopback at which nobody listens.
async fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

/// Returns a message in a conversation whose connector has this address.
fn said(address: &str, conversation: &str, text: &str) -> Value {
    let mut activity = message(text);
    activity["conversation"]["id"] = conversation.into();
    activity["serviceUrl"] = format!("http://{address}").into();
    activity
}

async fn dead_letters(host: &Host, bot: &str) -> Vec<Value> {
    let letters = host.admin("GET", &format!("/v1/bots/{bot}/dead-letters"), Vec::new()).await.json();
    letters.as_array().unwrap().clone()
}

/// Waits until the bot `echo` has this many dead letters.
async fn named(host: &Host, count: usize) -> Vec<Value> {
    let find = async {
        loop {
            let letters = dead_letters(host, "echo").await;
            if letters.len() == count {
                return letters;
            }
        }
    };
    within("the dead letters", find).await
}

fn texts(connector: &Connector, conversation: &str) -> Vec<String> {
    let path = format!("/{conversation}/");
    let calls = connector.calls_now();
    calls.iter().filter(|call| call.path.contains(&path)).map(|call| call.text().to_owned()).collect()
}

/// `make prove` lets the outage last for 60 s, with 180 conversations.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_loses_no_reply_and_keeps_the_order() {
    let (conversations, messages, seconds) = (rounds(12, 180), rounds(3, 7), rounds(0, 60));
    let Some(host) = Host::start(Config::new().bot("echo", &["echo"])).await else { return };
    let address = free_address().await;
    let until = tokio::time::Instant::now() + Duration::from_secs(seconds as u64);
    for number in 0..messages {
        for conversation in 0..conversations {
            let activity = said(&address, &format!("c{conversation}"), &number.to_string());
            assert_eq!(host.post("echo", &activity).await.status, 200, "the turn does not wait for its channel");
        }
    }
    host.logged("a peer is unreachable").await;
    tokio::time::sleep_until(until).await;
    let metrics = host.admin("GET", "/metrics", Vec::new()).await.text;
    assert!(metrics.lines().any(|line| line == "turntable_peers_unreachable 1"), "{metrics}");

    let connector = Connector::at(&address).await;
    connector.calls(conversations * messages).await;
    let wanted: Vec<String> = (0..messages).map(|number| format!("Echo: {number}")).collect();
    for conversation in 0..conversations {
        assert_eq!(texts(&connector, &format!("c{conversation}")), wanted, "c{conversation}");
    }
    assert!(dead_letters(&host, "echo").await.is_empty());
    host.logged("a peer is reachable again").await;
    println!("{conversations} conversations, {seconds} s: 0 of {} replies lost", conversations * messages);
}

/// The outbox survives the host, and so does the wait of what is in it.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_its_channel_survives_a_restart() {
    let Some(mut host) = Host::start(Config::new().bot("echo", &["echo"])).await else { return };
    let address = free_address().await;
    for text in ["one", "two"] {
        assert_eq!(host.post("echo", &said(&address, "c", text)).await.status, 200);
    }
    host.logged("a peer is unreachable").await;
    host.again(None).await;
    host.logged("a peer is unreachable").await;
    let connector = Connector::at(&address).await;
    connector.calls(2).await;
    assert_eq!(texts(&connector, "c"), ["Echo: one", "Echo: two"]);
}

/// Every reply that waited too long is named, in order. An operator sends all of them in that order with one command.
#[tokio::test(flavor = "multi_thread")]
async fn what_waited_too_long_is_named_and_sent_again_in_order() {
    let config = Config::new().set("channel.unreachable-ms", "1").bot("echo", &["echo"]);
    let Some(mut host) = Host::start(config).await else { return };
    let address = free_address().await;
    for number in 0..3 {
        for conversation in ["a", "b"] {
            host.post("echo", &said(&address, conversation, &number.to_string())).await;
        }
        // Conversations do not wait for each other, so their letters are compared one by one.
        let letters = named(&host, 2 * (number + 1)).await;
        assert!(letters.iter().all(|letter| letter["why"].as_str().unwrap().ends_with("channel.unreachable-ms")));
    }
    let connector = Connector::at(&address).await;
    host.edit("channel.unreachable-ms = 1", "channel.unreachable-ms = 600000");
    host.again(None).await;
    let (config, port) = (host.config(), host.admin_url());
    let ended = turntable(
        &["dead-letters", "retry", "--bot", "echo", "--config", config.to_str().unwrap(), "--admin-url", &port],
        "",
    );
    assert_eq!((ended.code, ended.stdout.trim()), (Some(0), "6 will be retried"), "{ended:?}");
    connector.calls(6).await;
    for conversation in ["a", "b"] {
        assert_eq!(texts(&connector, conversation), ["Echo: 0", "Echo: 1", "Echo: 2"], "{conversation}");
    }
    named(&host, 0).await;
}

/// No dead letter goes without a word.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_without_a_place_is_counted_and_logged() {
    let config = Config::new().set("channel.unreachable-ms", "1").set("channel.dead-letters-max", "2");
    let Some(host) = Host::start(config.bot("echo", &["echo"])).await else { return };
    let address = free_address().await;
    for conversation in ["a", "b", "c"] {
        host.post("echo", &said(&address, conversation, "hi")).await;
    }
    let line = host.logged("an old dead letter is deleted").await;
    assert!(line.contains("channel.dead-letters-max") && line.contains("\"sequence\":"), "{line}");
    let metrics = host.admin("GET", "/metrics", Vec::new()).await.text;
    assert!(metrics.contains(r#"turntable_dead_letters_dropped_total{bot="echo"} 1"#), "{metrics}");
    assert_eq!(dead_letters(&host, "echo").await.len(), 2);
}

/// The bot whose channel is away gets 503 when its share of the outbox is used up. The other bot gets replies.
#[tokio::test(flavor = "multi_thread")]
async fn a_bot_with_a_dead_channel_leaves_room_for_others() {
    let config = Config::new().set("channel.outbox-rows-max", "40");
    let Some(host) = Host::start(config.bot("noisy", &["echo"]).bot("quiet", &["echo"])).await else { return };
    let address = free_address().await;
    let mut taken = 0;
    for number in 0..40 {
        match host.post("noisy", &said(&address, &format!("c{number}"), "hi")).await.status {
            200 => taken += 1,
            status => assert_eq!(status, 503),
        }
    }
    assert_eq!(taken, 20, "half of the rows");
    let line = host.logged("its share is 20").await;
    assert!(
        line.contains("bot `noisy` has 20 undelivered sends") && line.contains("most are of bot `noisy`"),
        "{line}"
    );
    let connector = Connector::start().await;
    assert_eq!(host.post("quiet", &connector.message("hi")).await.status, 200);
    assert_eq!(connector.calls(1).await[0].text(), "Echo: hi");
}

/// The connector takes the calls and never answers in these conversations. The timeout is longer than the patience of
/// the spec, so the other reply would not arrive if it waited for them.
#[tokio::test(flavor = "multi_thread")]
async fn silent_conversations_hold_up_nobody_else() {
    const SILENT: usize = 130;
    let config = Config::new().set("channel.send-timeout-ms", "600000").set("server.shutdown-grace-ms", "0");
    let Some(host) = Host::start(config.bot("echo", &["echo"]).bot("other", &["echo"])).await else { return };
    let connector = Connector::start().await;
    for number in 0..SILENT {
        connector.plan(Behaviour::Stall);
        let address = connector.service_url().replace("http://", "");
        assert_eq!(host.post("echo", &said(&address, &format!("silent{number}"), "hi")).await.status, 200);
    }
    connector.calls(SILENT).await;
    for (count, bot) in ["echo", "other"].into_iter().enumerate() {
        assert_eq!(host.post(bot, &connector.message(bot)).await.status, 200);
        let place = SILENT + count;
        assert_eq!(connector.calls(place + 1).await[place].text(), format!("Echo: {bot}"));
    }
}

/// A machine stands still for longer than the timeout while the answer waits in its socket.
#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_does_not_make_a_dead_letter_of_a_reply_that_was_taken() {
    const FROZEN: Duration = Duration::from_millis(4_000);
    let config = Config::new().set("channel.send-timeout-ms", "3000").bot("echo", &["echo"]);
    let Some(host) = Host::start(config).await else { return };
    let connector = Connector::start().await;
    let told = Arc::new(Notify::new());
    connector.plan(Behaviour::TakeLater(told.clone()));
    assert_eq!(host.post("echo", &connector.message("hi")).await.status, 200);
    connector.calls(1).await;
    kill_process(host.pid(), Signal::STOP).unwrap();
    told.notify_one();
    tokio::time::sleep(FROZEN).await;
    kill_process(host.pid(), Signal::CONT).unwrap();
    let delivered = async {
        let wanted = r#"turntable_deliveries_total{bot="echo",outcome="delivered"} 1"#;
        while !host.admin("GET", "/metrics", Vec::new()).await.text.contains(wanted) {
            assert_eq!(dead_letters(&host, "echo").await, Vec::<Value>::new());
        }
    };
    within("the end of the delivery", delivered).await;
}

/// The usual soft limit of open files is for programs that use `select`.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_may_open_as_many_files_as_the_hard_limit_allows() {
    let config = Config::new().launcher(command::after("ulimit -Sn 400; ulimit -Hn 900")).bot("echo", &["echo"]);
    let Some(host) = Host::start(config).await else { return };
    let limit = getrlimit_of(&host);
    assert_eq!((limit.current, limit.maximum), (Some(900), Some(900)));
    let line = host.logged("the host may run out of open files").await;
    assert!(line.contains("LimitNOFILE"), "{line}");
}

/// Returns the limit of open files of a host.
fn getrlimit_of(host: &Host) -> Rlimit {
    let text = std::fs::read_to_string(format!("/proc/{}/limits", host.pid().as_raw_nonzero())).unwrap();
    let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let mut numbers = line.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
    Rlimit { current: numbers.next(), maximum: numbers.next() }
}

/// What a connector says about a call may be what the user said. It stands neither in the log nor in the dead letter.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_connector_repeats_of_a_text_is_not_kept() {
    let Some(host) = Host::start(Config::new().bot("echo", &["echo"])).await else { return };
    let connector = Connector::start().await;
    let body = json!({ "error": { "code": "BadArgument", "message": "cannot send: Echo: hunter2" } });
    connector.plan(Behaviour::Answer(400, "application/json", "", body.to_string().into()));
    let activity = connector.message("hunter2");
    assert_eq!(host.post("echo", &activity).await.status, 200);
    let letter = host.dead_letter("echo", &activity).await;
    assert_eq!(letter["why"], "refused with 400: 400 Bad Request: BadArgument");
    let (_, log) = host.stop().await;
    assert!(!log.iter().any(|line| line.contains("hunter2")), "{log:?}");
}
