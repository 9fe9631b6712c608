//! Instances and what they take: more turns than slots, a machine without room for the pool.

use crate::support::{Config, Connector, Host, expecting_replies, message};

/// A host with so many instance slots, whose bot may take its time.
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

/// The slots of a turn are free once its instances are torn down, for which its answer does not wait.
async fn slots_become_free(host: &Host) {
    for _ in 0..1000 {
        if metric(host, "turntable_instance_slots_used").await == "0" {
            return;
        }
    }
    panic!("a turn that has ended still holds instance slots");
}

/// More turns at once than instances: they wait for a slot instead of failing.
#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_pool_makes_turns_wait() {
    let Some(host) = start("2", &[]).await else { return };
    let turns =
        (0..8).map(|_| async { host.post("bot", &expecting_replies(message("slow 50"))).await.replies().len() });
    assert_eq!(futures_util::future::join_all(turns).await, [2; 8]);
}

/// They do not wait for ever: then the caller learns that it may try again, and nothing of the turn is remembered.
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

/// Works without the pool, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn on_demand_memory_serves_as_well() {
    let Some(host) = start("64", &[("runtime.allocator", "'on-demand'")]).await else { return };
    host.bot("bot").says("hi").replies("ok: hi").await;
    assert!(host.logged("\"listening\"").await.contains("\"pooling\":false"));
}

/// The pool reserves address space that some machines do not give.
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

/// Who insists on the pool gets no host without it, and reads what to change.
#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_was_asked_for_and_cannot_be_had_stops_the_start() {
    let config = Config::new().address_space_gib(64).set("runtime.allocator", "'pooling'").bot("bot", &["hostile"]);
    let Some(said) = Host::fails_to_start(config).await else { return };
    assert!(said.contains("set runtime.allocator = \"auto\" or lower runtime.instances-max"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}
