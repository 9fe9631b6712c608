//! The log: the host keeps serving, whatever happens to stderr.

use crate::support::{Config, Host, command, expecting_replies, message, within};

async fn start() -> Option<Host> {
    Host::start(Config::new().options(&["--log", "trace"]).bot("bot", &["echo"])).await
}

/// Posts messages until the host reports dropped log lines, and expects an answer to each.
async fn talk_until_lines_are_dropped(host: &Host) {
    let dropped = async {
        loop {
            let answer = host.post("bot", &expecting_replies(message("hi"))).await;
            assert_eq!((answer.status, &answer.replies()[0]["text"]), (200, &"Echo: hi".into()));
            let metrics = host.admin("GET", "/metrics", Vec::new()).await.text;
            let count = metrics.lines().find_map(|line| line.strip_prefix("turntable_log_lines_dropped_total "));
            if count.is_some_and(|count| count != "0") {
                return;
            }
        }
    };
    within("a dropped log line", dropped).await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(host.admin("GET", path, Vec::new()).await.status, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_the_log_that_is_gone_costs_log_lines_only() {
    let Some(mut host) = start().await else { return };
    host.stop_reading_the_log(true);
    talk_until_lines_are_dropped(&host).await;
    let status = host.ends().await;
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_the_log_that_stands_still_costs_log_lines_only() {
    let Some(mut host) = start().await else { return };
    host.stop_reading_the_log(false);
    talk_until_lines_are_dropped(&host).await;
    host.read_the_log_again();
    host.logged("log lines were dropped because stderr did not accept them").await;
    let status = host.ends().await;
    assert!(status.success(), "{status}");
}

/// In development mode the host prints the URL of its page.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_stdout_that_stands_still_keeps_no_host_from_serving_and_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe").display().to_string();
    // A pipe that is opened for both directions does not block until it is full.
    let full = format!("mkfifo {pipe} && exec 1<>{pipe} && head -c 65536 /dev/zero");
    let config = Config::new().set("server.mode", "'development'").launcher(command::after(&full));
    let Some(mut host) = Host::start(config.bot("bot", &["echo"])).await else { return };
    assert_eq!(host.post("bot", &expecting_replies(message("hi"))).await.replies()[0]["text"], "Echo: hi");
    let status = host.ends().await;
    assert!(status.success(), "{status}");
}
