//! A 202 is a promise: accepted activities are run after kills, and what cannot be run is listed.

use crate::support::{Config, Connector, Host, message, turntable};

fn config() -> Config {
    Config::new().set("server.acknowledge-ms", "50").bot("bot", &["hostile"])
}

/// Posts an activity whose turn replies twice and lasts for a second, and checks that it is accepted.
async fn accepted(host: &Host, connector: &Connector, conversation: &str) {
    let mut activity = message("slow 1000");
    activity["conversation"]["id"] = conversation.into();
    activity["serviceUrl"] = connector.service_url().into();
    assert_eq!(host.post("bot", &activity).await.status, 202);
}

fn replies(connector: &Connector, conversation: &str) -> Vec<String> {
    let path = format!("/{conversation}/");
    let calls = connector.calls_now();
    calls.iter().filter(|call| call.path.contains(&path)).map(|call| call.text().to_owned()).collect()
}

/// The host is killed soon after each start. If a turn ends before, its replies have left, which is as good.
#[tokio::test(flavor = "multi_thread")]
async fn quick_kills_lose_no_accepted_activity() {
    let Some(mut host) = Host::start(config()).await else { return };
    let connector = Connector::start().await;
    let conversations: Vec<String> = (0..5).map(|number| format!("c{number}")).collect();
    for conversation in &conversations {
        accepted(&host, &connector, conversation).await;
    }
    for _ in 0..6 {
        host.kill();
        host.again(None).await;
    }
    connector.calls(10).await;
    for conversation in &conversations {
        assert_eq!(replies(&connector, conversation), ["first", "second"], "{conversation}");
    }
}

/// The process ends each time that the turn of this activity commits.
#[tokio::test(flavor = "multi_thread")]
async fn an_activity_that_ends_the_process_is_given_up_listed_and_run_again_by_an_operator() {
    let Some(mut host) = Host::start(config()).await else { return };
    let connector = Connector::start().await;
    accepted(&host, &connector, "c").await;
    host.kill();
    for start in 1..=6 {
        host.again(Some("commit:1")).await;
        host.wait().await;
        println!("start {start} was ended by the activity");
    }
    host.again(None).await;
    host.logged("an accepted activity is given up").await;
    let metric = "turntable_inbox_given_up 1";
    assert!(host.admin("GET", "/metrics", Vec::new()).await.text.lines().any(|line| line == metric));

    let (config, url) = (host.config(), host.admin_url());
    let operate = |words: &[&str]| {
        let words = [&["inbox"], words, &["--config", config.to_str().unwrap(), "--admin-url", &url]].concat();
        turntable(&words, "")
    };
    let listed = operate(&["list", "bot", "--json"]);
    let given_up: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!((&given_up[0]["conversation"], &given_up[0]["kind"]), (&"c".into(), &"message".into()), "{listed:?}");
    assert!(!listed.stdout.contains("slow 1000"), "no text of the activity");
    let number = given_up[0]["number"].to_string();
    let unknown = operate(&["drop", "bot", "4711"]);
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.stderr.contains("has no accepted activity 4711 that is given up"), "{unknown:?}");
    let again = operate(&["retry", "bot", &number]);
    assert_eq!((again.code, again.stdout.trim()), (Some(0), &*format!("{number} runs again")), "{again:?}");
    connector.calls(2).await;
    assert_eq!(replies(&connector, "c"), ["first", "second"]);
    assert_eq!(operate(&["list", "bot"]).stdout.trim(), "no activity was given up");
}
