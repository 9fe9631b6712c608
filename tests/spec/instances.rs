//! Instances: more turns than instance slots, and machines without address space for the pool.

use crate::support::{Config, Connector, Host, expecting_replies, message};

/// A host with this many instance slots and a bot with long limits.
async fn start(slots: &str, more: &[(&str, &str)]) -> Option<Host> {
    let mut config = Config::new().set("runtime.instances-max", slots).set("runtime.instances-per-bot-max", slots);
    for (key, value) in more {
        config = config.set(key, value);
    }
    Host::start(config.bot("bot", &[]).plugin("bot", "hostile", "limits.wall-ms = 30000")).await
}

async fn metric(host: &Host, name: &str) -> String {
    let text = host.admin("GET", "/metrics", Vec::new()).await.text;
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).rsplit(' ').next().unwrap().to_owned()
}

/// Waits until all slots are free. A turn is answered before its instances are destroyed.
async fn slots_become_free(host: &Host) {
    for _ in 0..1000 {
        if metric(host, "turntable_instance_slots_used").await == "0" {
            return;
        }
    }
    panic!("a turn that has ended still holds instance slots");
}

/// If there are more turns than slots, turns wait for a slot instead of failing.
#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_pool_makes_turns_wait() {
    let Some(host) = start("2", &[]).await else { return };
    let turns =
        (0..8).map(|_| async { host.post("bot", &expecting_replies(message("slow 50"))).await.replies().len() });
    assert_eq!(futures_util::future::join_all(turns).await, [2; 8]);
}

/// After a time limit the caller is told to try again, and the host remembers nothing of the turn.
#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_gets_no_instance_in_time_answers_503() {
    let Some(host) = start("1", &[("runtime.instances-wait-ms", "100")]).await else { return };
    let connector = Connector::start().await;
    let occupant = connector.message("flush-then-slow 3000");
    let activity = expecting_replies(message("hi"));
    let (first, refused) = tokio::join!(host.post("bot", &occupant), async {
        connector.calls(1).await;
        assert_eq!(metric(&host, "turntable_instance_slots_used").await, "1");
        host.post("bot", &activity).await
    });
    assert_eq!((first.status, refused.status), (200, 503), "{}", refused.text);
    assert_eq!(refused.json()["error"]["code"], "ServiceUnavailable");
    assert!(refused.headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() > 0);
    host.logged("runtime.instances-wait-ms (100)").await;

    slots_become_free(&host).await;
    assert_eq!(metric(&host, "turntable_instance_slots_max").await, "1");
    let again = host.post("bot", &activity).await.replies();
    assert_eq!(again[0]["text"], "ok: hi", "the same activity again is no redelivery: it never ran");
}

/// With `auto` the host works without the pool and logs that.
#[tokio::test(flavor = "multi_thread")]
async fn on_demand_memory_serves_as_well() {
    let Some(host) = start("64", &[("runtime.allocator", "'on-demand'")]).await else { return };
    host.bot("bot").says("hi").replies("ok: hi").await;
    assert!(host.logged("\"listening\"").await.contains("\"pooling\":false"));
}

/// The pool reserves address space that some machines do not allow.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_room_for_the_pool_serves_on_demand() {
    let config = Config::new().address_space_gib(64).bot("bot", &["hostile"]);
    let Some(host) = Host::start(config).await else { return };
    let line = host.logged("pooling allocator unavailable").await;
    assert!(line.contains("\"level\":\"WARN\""), "{line}");
    assert!(host.logged("\"listening\"").await.contains("\"pooling\":false"));
    let turns =
        (0..4).map(|_| async { host.post("bot", &expecting_replies(message("slow 50"))).await.replies().len() });
    assert_eq!(futures_util::future::join_all(turns).await, [2; 4]);
}

/// With `pooling` the host does not start without the pool, and the error says what to change.
#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_was_asked_for_and_cannot_be_had_stops_the_start() {
    let config = Config::new().address_space_gib(64).set("runtime.allocator", "'pooling'").bot("bot", &["hostile"]);
    let Some(said) = Host::fails_to_start(config).await else { return };
    assert!(said.contains("set runtime.allocator = \"auto\" or lower runtime.instances-max"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}
