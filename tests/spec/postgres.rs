//! Hosts whose store is in PostgreSQL: what ends a host, the database or the way between them loses and doubles nothing.

use std::time::Duration;

use rustix::process::{Signal, kill_process};

use crate::crash::{GRANTS, check, counting, kill_at_every_point, kill_under_load};
use crate::support::postgres::{Server, config, database};
use crate::support::{Config, Connector, Host, rounds, turntable, within};

fn counts(url: &str) -> Config {
    config(url).bot("bot", &[]).plugin("bot", "scripted", GRANTS)
}

async fn start() -> Option<Host> {
    let (server, name) = database()?;
    Host::start(counts(&server.url(&name))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_point_loses_and_doubles_nothing() {
    kill_at_every_point(start).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_under_load_lose_and_double_nothing() {
    let Some(host) = start().await else { return };
    kill_under_load(host, rounds(5, 500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_host_of_a_database_does_not_start_and_says_why() {
    let Some((server, name)) = database() else { return };
    let Some(mut first) = Host::start(counts(&server.url(&name))).await else { return };
    let told = Host::fails_to_start(counts(&server.url(&name))).await.unwrap();
    let pid = first.pid().as_raw_nonzero();
    assert!(told.contains(&format!("the database is in use by another host: process {pid} on ")), "{told}");
    let connector = Connector::start().await;
    assert_eq!(first.try_post("bot", &counting(&connector, "c", 1)).await, Some(200), "the first goes on");
    assert!(first.ends().await.success());
    // After a clean stop another begins at once.
    let second = Host::start(counts(&server.url(&name))).await.unwrap();
    assert_eq!(second.try_post("bot", &counting(&connector, "c", 2)).await, Some(200));
    connector.calls(2).await;
    check(&connector, "c", 2, 0);
}

/// As seen from the database, a frozen host is a dead one, wherever it runs. Here it wakes after another has taken over.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_wakes_after_another_took_over_writes_nothing_and_ends() {
    let Some((server, name)) = database() else { return };
    let Some(mut frozen) = Host::start(counts(&server.url(&name))).await else { return };
    let connector = Connector::start().await;
    for number in 1..=3 {
        assert_eq!(frozen.try_post("bot", &counting(&connector, "c", number)).await, Some(200));
    }
    // A message whose delivery is not noted would be sent again, which is right and not the subject here.
    let noted = async {
        while server.sql(&name, "SELECT count(*) FROM turntable.outbox") != "0" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("the notes of the deliveries", noted).await;
    kill_process(frozen.pid(), Signal::STOP).unwrap();
    // The kernel takes the request; the host reads it when it wakes.
    let late = async { frozen.try_post("bot", &counting(&connector, "c", 4)).await };
    let others = async {
        let next = Host::start(counts(&server.url(&name))).await.unwrap();
        assert_eq!(next.try_post("bot", &counting(&connector, "c", 4)).await, Some(200));
        connector.calls(4).await;
        // The frozen host wakes among turns of the next one.
        kill_process(frozen.pid(), Signal::CONT).unwrap();
        next
    };
    // The late answer is that of the other host, whose record the frozen one finds, or none.
    let (_, next) = tokio::join!(late, others);
    frozen.logged("error: another host has taken over the database").await;
    assert!(!frozen.ends().await.success(), "it has lost its store");
    assert_eq!(next.try_post("bot", &counting(&connector, "c", 5)).await, Some(200));
    connector.calls(5).await;
    check(&connector, "c", 5, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_of_the_server_under_load_lose_and_double_nothing() {
    let Some(server) = Server::start() else { return };
    let url = server.database("restarted");
    let Some(host) = Host::start(counts(&url)).await else { return };
    let (connector, restarts) = (Connector::start().await, rounds(3, 30));
    let messages = restarts * 6;
    let talk = async {
        for number in 1..=messages {
            let activity = counting(&connector, "c", number);
            while host.try_post("bot", &activity).await != Some(200) {
                tokio::task::yield_now().await;
            }
        }
    };
    let restarts = async {
        for restart in 1..=restarts {
            connector.calls(restart * 5).await;
            let mode = if restart % 2 == 0 { "fast" } else { "immediate" };
            tokio::task::block_in_place(|| server.restart(mode));
        }
    };
    tokio::join!(talk, restarts);
    connector.calls(messages).await;
    check(&connector, "c", messages, 0);
}

/// Runs a command and returns what it prints.
fn said(arguments: &[&str]) -> String {
    let ended = turntable(arguments, "");
    format!("{}{}", ended.stdout, ended.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_look_into_the_database() {
    let Some((server, name)) = database() else { return };
    let config = counts(&server.url(&name));
    let Some(path) = config.write() else { return };
    let path = path.to_str().unwrap().to_owned();
    let told = said(&["store", "stats", "--config", &path]);
    assert!(told.contains("the database has no store yet"), "{told}");
    let host = Host::start(config).await.unwrap();
    let told = said(&["store", "check", "--config", &path]);
    assert!(told.contains("the database of storage.url: no damage"), "{told}");
    let told = said(&["store", "stats", "--config", &path]);
    let pid = host.pid().as_raw_nonzero();
    assert!(told.contains(&format!("process {pid} on ")) && told.contains("broadcast targets"), "{told}");
    let told = said(&["store", "compact", "--config", &path]);
    assert!(told.contains("there is nothing to compact"), "{told}");
    server.sql(&name, "DROP TABLE turntable.proofs");
    let told = said(&["store", "check", "--config", &path]);
    assert!(told.contains("the table turntable.proofs is missing"), "{told}");
    let told = said(&["doctor", "--config", &path]);
    assert!(told.contains("the table turntable.proofs is missing"), "{told}");
}

/// A channel that sends again meanwhile is answered 503, and served when the database is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_answered_503_and_its_return_needs_no_restart() {
    let Some(server) = Server::start() else { return };
    let Some(host) = Host::start(counts(&server.database("away"))).await else { return };
    let connector = Connector::start().await;
    assert_eq!(host.try_post("bot", &counting(&connector, "c", 1)).await, Some(200));
    tokio::task::block_in_place(|| server.stop());
    let away = within("an answer", host.try_post("bot", &counting(&connector, "c", 2))).await;
    assert_eq!(away, Some(503));
    tokio::task::block_in_place(|| server.restart("fast"));
    let back = async {
        while host.try_post("bot", &counting(&connector, "c", 2)).await != Some(200) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("the return of the database", back).await;
    connector.calls(2).await;
    check(&connector, "c", 2, 0);
}
