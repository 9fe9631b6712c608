//! Hot swap by file, by deploy and by rollback. Turns in flight keep their generation, and no message is lost.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Config, Connector, Host, component, message, within};

/// Returns the hostile guest as its `number`th generation. The digits of the marker differ, and so does the digest.
pub(crate) fn generation(number: u32) -> Vec<u8> {
    let bytes = fs::read(component("hostile").unwrap()).unwrap();
    let marker = b"GENERATION-0000";
    let at = bytes.windows(marker.len()).position(|window| window == marker).expect("the marker is in the binary");
    let mut bytes = bytes;
    bytes[at..at + marker.len()].copy_from_slice(format!("GENERATION-{number:04}").as_bytes());
    bytes
}

async fn start() -> Option<Host> {
    Host::start(Config::new().bot("bot", &["hostile"])).await
}

async fn serves(host: &Host, number: u32) {
    host.bot("bot").says("generation").replies(&format!("GENERATION-{number:04}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deploy_and_rollback_swap_at_once_and_say_so() {
    let Some(host) = start().await else { return };
    serves(&host, 0).await;
    let swap = host.deploy("bot", "hostile", generation(1)).await;
    assert_eq!(swap.status, 200, "{}", swap.text);
    assert_eq!((&swap.json()["from"], &swap.json()["to"]), (&json!(1), &json!(2)));
    serves(&host, 1).await;
    let status = host.status("bot").await;
    assert_eq!((&status["generation"], &status["previous_generation"]), (&json!(2), &json!(1)));
    assert_eq!(status["plugins"][0]["source"], "deploy");
    assert_eq!(status["plugins"][0]["digest"], swap.json()["digests"][0]);
    assert_eq!(host.last_turn("bot").await["calls"][0]["digest"], swap.json()["digests"][0]);

    let back = host.admin("POST", "/v1/bots/bot/rollback", Vec::new()).await;
    assert_eq!(back.status, 200, "{}", back.text);
    serves(&host, 0).await;
    host.admin("POST", "/v1/bots/bot/rollback", Vec::new()).await;
    serves(&host, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_component_again_changes_nothing() {
    let Some(host) = start().await else { return };
    let again = host.deploy("bot", "hostile", generation(0)).await.json();
    assert_eq!((&again["from"], &again["to"]), (&json!(1), &json!(1)));
    let unknown = host.deploy("bot", "nobody", generation(1)).await;
    assert_eq!(unknown.status, 404, "{}", unknown.text);
    assert_eq!(host.admin("POST", "/v1/bots/bot/rollback", Vec::new()).await.status, 409);
}

/// Saving a file five times reloads once. If the file is not a component, the old one continues to serve.
#[tokio::test(flavor = "multi_thread")]
async fn saving_a_file_swaps_once() {
    let Some(host) = start().await else { return };
    let file = host.component("hostile");
    for _ in 0..5 {
        replace(&file, &generation(3));
    }
    host.logged("\"to\":2").await;
    serves(&host, 3).await;
    replace(&file, b"no component");
    host.logged("not a WebAssembly file").await;
    serves(&host, 3).await;
    let status = host.status("bot").await;
    assert_eq!(status["generation"], 2, "five saves made one generation: {status:#}");
    assert_eq!(status["last_failure"]["cause"], "watch");
    replace(&file, &generation(4));
    host.logged("\"to\":3").await;
    serves(&host, 4).await;
    assert_eq!(host.status("bot").await["last_failure"], Value::Null);
}

fn replace(file: &Path, bytes: &[u8]) {
    let temporary = file.with_extension("new");
    fs::write(&temporary, bytes).unwrap();
    fs::rename(temporary, file).unwrap();
}

/// Compiles generation 1 and rolls back, so that deploying it again takes less time than a turn.
async fn compile_the_next(host: &Host) {
    assert_eq!(host.deploy("bot", "hostile", generation(1)).await.status, 200);
    assert_eq!(host.admin("POST", "/v1/bots/bot/rollback", Vec::new()).await.status, 200);
}

/// A turn that is in flight, parked in a host call, finishes on the generation that it started with.
#[tokio::test(flavor = "multi_thread")]
async fn a_turn_in_flight_keeps_its_generation() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    compile_the_next(&host).await;
    let (slow, after) = (connector.message("flush-then-slow 3000"), connector.message("generation"));
    let (answer, ()) = tokio::join!(host.post("bot", &slow), async {
        // The first reply was flushed, so the turn is running in the old generation now.
        connector.calls(1).await;
        assert_eq!(host.deploy("bot", "hostile", generation(1)).await.status, 200);
        assert_eq!(host.post("bot", &after).await.status, 200);
    });
    assert_eq!(answer.status, 200);
    let texts: Vec<String> = connector.calls(3).await.iter().map(|call| call.text().to_owned()).collect();
    assert_eq!(texts, ["GENERATION-0000", "GENERATION-0001", "GENERATION-0000"]);
}

/// A turn that streams pieces, each of which leaves inside `send`, continues with the old generation after a swap.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_ended_by_the_generation_that_opened_it() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    compile_the_next(&host).await;
    let (streaming, mut behind) = (connector.message("stream 3000"), connector.message("generation"));
    behind["conversation"] = streaming["conversation"].clone();
    let (streamed, answered) = tokio::join!(host.post("bot", &streaming), async {
        let opening = connector.calls(1).await[0].clone();
        assert_eq!((&opening.body["type"], opening.text()), (&json!("typing"), "GENERATION-0000"));
        assert_eq!(host.deploy("bot", "hostile", generation(1)).await.status, 200);
        host.post("bot", &behind).await
    });
    assert_eq!((streamed.status, answered.status), (200, 200));
    let calls = connector.calls(3).await;
    let texts: Vec<&str> = calls.iter().map(|call| call.text()).collect();
    assert_eq!(texts, ["GENERATION-0000", "GENERATION-0000", "GENERATION-0001"], "the next turn is the new one's");
    assert_eq!(calls[1].body["entities"][0]["streamId"], "channel-1", "{:#}", calls[1].body);
}

/// A turn that is suspended inside `send` because the store stalls continues with the old generation after a swap.
#[tokio::test(flavor = "multi_thread")]
async fn a_turn_suspended_in_send_keeps_its_generation() {
    let Some(mut host) = start().await else { return };
    let connector = Connector::start().await;
    let go_on = host.stall_at("commit:1").await;
    compile_the_next(&host).await;
    // Opening a stream flushes, and the flush stalls.
    let streaming = connector.message("stream 1");
    let (answer, ()) = tokio::join!(host.post("bot", &streaming), async {
        host.logged("the store stalls").await;
        assert_eq!(host.deploy("bot", "hostile", generation(1)).await.status, 200);
        serves(&host, 1).await;
        fs::write(&go_on, "").unwrap();
    });
    assert_eq!(answer.status, 200);
    let texts: Vec<String> = connector.calls(2).await.iter().map(|call| call.text().to_owned()).collect();
    assert_eq!(texts, ["GENERATION-0000", "GENERATION-0000"]);
}

/// Concurrent deployments of several components all succeed, one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn deployments_at_the_same_time_wait_for_each_other() {
    let Some(host) = start().await else { return };
    let deploy = async |number: u32| host.deploy("bot", "hostile", generation(number)).await.status;
    let deployed = futures_util::future::join_all((1..=6).map(deploy)).await;
    assert_eq!(deployed, [200; 6]);
    assert_eq!(host.status("bot").await["generation"], 7);
}

/// During rollbacks and deploys every message is answered once and in order.
#[tokio::test(flavor = "multi_thread")]
async fn swaps_under_load_lose_nothing() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    let (conversations, messages) = (8, 40);
    let talk = async |conversation: usize| {
        for number in 0..messages {
            let mut activity = connector.message(&format!("{conversation}:{number}"));
            activity["conversation"]["id"] = format!("load-{conversation}").into();
            let answer = host.post("bot", &activity).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    };
    let swap = async {
        for number in 1..=10 {
            assert_eq!(host.deploy("bot", "hostile", generation(number)).await.status, 200);
            assert_eq!(host.admin("POST", "/v1/bots/bot/rollback", Vec::new()).await.status, 200);
        }
    };
    let talks = futures_util::future::join_all((0..conversations).map(talk));
    within("the load and the swaps", async { tokio::join!(talks, swap) }).await;
    let calls = connector.calls(conversations * messages).await;
    for conversation in 0..conversations {
        let prefix = format!("ok: {conversation}:");
        let numbers: Vec<usize> =
            calls.iter().filter_map(|call| call.text().strip_prefix(&prefix)?.parse().ok()).collect();
        assert_eq!(numbers, (0..messages).collect::<Vec<_>>(), "conversation {conversation}");
    }
}

/// While a bot is disabled and enabled, accepted messages are answered once and in order, and others are refused.
#[tokio::test(flavor = "multi_thread")]
async fn switching_under_load_answers_or_refuses() {
    let Some(host) = start().await else { return };
    let connector = Connector::start().await;
    let (conversations, messages) = (8, 40);
    let talk = async |conversation: usize| {
        let mut accepted = Vec::new();
        for number in 0..messages {
            let mut activity = connector.message(&format!("{conversation}:{number}"));
            activity["conversation"]["id"] = format!("switched-{conversation}").into();
            match host.post("bot", &activity).await.status {
                200 => accepted.push(format!("ok: {conversation}:{number}")),
                status => assert_eq!(status, 503),
            }
        }
        accepted
    };
    let switch = async {
        for _ in 0..10 {
            assert_eq!(host.admin("POST", "/v1/bots/bot/disable", Vec::new()).await.status, 200);
            // A separate conversation checks that a disabled bot accepts nothing.
            assert_eq!(host.post("bot", &message("hi")).await.status, 503);
            assert_eq!(host.admin("POST", "/v1/bots/bot/enable", Vec::new()).await.status, 200);
            assert_eq!(host.post("bot", &message("hi")).await.status, 200);
        }
    };
    let talks = futures_util::future::join_all((0..conversations).map(talk));
    let (accepted, ()) = within("the load and the switching", async { tokio::join!(talks, switch) }).await;
    let calls = connector.calls(accepted.iter().map(Vec::len).sum()).await;
    for (conversation, accepted) in accepted.iter().enumerate() {
        let prefix = format!("ok: {conversation}:");
        let said: Vec<&str> = calls.iter().map(|call| call.text()).filter(|text| text.starts_with(&prefix)).collect();
        assert_eq!(said, *accepted, "conversation {conversation}");
    }
}
