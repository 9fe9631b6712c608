//! Stopping a turn: by a control route, by the next message, and by an operator. State is that of before the turn or after it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Config, Connector, Host, expecting_replies, rounds, turntable, within};

const MORE: &str = "grants = { state = ['conversation'], dialogs = true }
limits.wall-ms = 600000\nlimits.cpu-ms = 60000\nlimits.host-calls = 100000
settings.routes = [{ name = 'cancel-all', pattern = 'stop', control = true }]";

async fn start(overlap: &str) -> Option<Host> {
    // However slow the machine is, a caller waits for its turn.
    let config = Config::new().set("server.acknowledge-ms", "600000");
    let config = config.set("server.expect-replies-deadline-ms", "600000").bot("bot", &[]);
    Host::start(config.bot_key("overlap", &format!("'{overlap}'")).plugin("bot", "scripted", MORE)).await
}

fn says(conversation: &str, user: &str, text: &str) -> Value {
    let mut activity = crate::support::message(text);
    activity["conversation"]["id"] = conversation.into();
    activity["from"]["id"] = user.into();
    activity
}

async fn ask(host: &Host, activity: Value) -> Vec<String> {
    let replies = host.post("bot", &expecting_replies(activity)).await.replies();
    replies.iter().map(|reply| reply["text"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Waits until a turn runs, and returns it.
async fn running(host: &Host) -> Value {
    let find = async {
        loop {
            let turns = host.admin("GET", "/v1/bots/bot/turns/running", Vec::new()).await.json();
            if let Some(turn) = turns.as_array().unwrap().first() {
                return turn.clone();
            }
        }
    };
    within("a running turn", find).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_route_stops_a_guest_that_spins_and_answers_at_once() {
    let Some(host) = start("queue").await else { return };
    ask(&host, says("c", "ann", "set conversation a 1")).await;
    for (round, endless) in ["spin", "sleep 500000"].iter().cycle().take(rounds(6, 1_000)).enumerate() {
        let script = format!("set conversation a 2\nbegin script {{\"steps\":[{{\"kind\":\"wait\"}}]}}\n{endless}");
        let (lost, (stopped, later)) = tokio::join!(ask(&host, says("c", "ann", &script)), async {
            running(&host).await;
            tokio::time::sleep(Duration::from_millis(u64::try_from(round % 13).unwrap() * 3)).await;
            // What waits is not lost, and comes after the stop.
            let began = Instant::now();
            let (later, stopped) = tokio::join!(
                ask(&host, says("c", "ann", "get conversation a\nstack")),
                ask(&host, says("c", "ann", "stop"))
            );
            println!("stopped and answered after {:?}", began.elapsed());
            (stopped, later)
        });
        assert_eq!((lost, stopped), (vec![], vec!["route:cancel-all stop".to_owned(), "cancelled 0".to_owned()]));
        assert_eq!(later, ["1", ""], "state is that of before the turn");
    }
    let record = host.admin("GET", "/v1/bots/bot/turns", Vec::new()).await.json();
    assert!(record.as_array().unwrap().iter().any(|turn| turn["outcome"] == "stopped"), "{record:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_message_interrupts_where_the_bot_says_so() {
    let Some(host) = start("interrupt").await else { return };
    let (lost, (group, answered)) = tokio::join!(ask(&host, says("c", "ann", "set conversation a 1\nspin")), async {
        running(&host).await;
        let answered = ask(&host, says("c", "ann", "get conversation a")).await;
        let (group, ()) = tokio::join!(ask(&host, in_group("ann", "sleep 1500\nhi")), async {
            running(&host).await;
            assert_eq!(ask(&host, in_group("ben", "hello")).await, ["heard: hello"]);
        });
        (group, answered)
    });
    assert_eq!((lost, answered), (vec![], vec!["none".to_owned()]));
    assert_eq!(group, ["heard: hi"], "in a group nobody stops what somebody else asked for");
}

fn in_group(user: &str, text: &str) -> Value {
    let mut activity = says("group", user, text);
    activity["conversation"]["isGroup"] = true.into();
    activity
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_lists_and_stops_turns() {
    let Some(host) = start("queue").await else { return };
    let connector = Connector::start().await;
    let mut activity = connector.message("open\nappend half\nsleep 400000");
    activity["channelId"] = "webchat".into();
    let (answer, turn) = tokio::join!(host.post("bot", &activity), async {
        connector.calls(1).await;
        let turn = running(&host).await;
        let (id, admin, token) = (turn["turn_id"].as_str().unwrap(), host.admin_url(), host.token_file());
        let with = |words: &[&str]| {
            let more = ["--admin-url", &*admin, "--token-file", token.to_str().unwrap()];
            turntable(&[words, &more].concat(), "")
        };
        let listed = with(&["turns", "list", "bot"]);
        assert!(listed.stdout.contains(id), "{listed:?}");
        let stopped = with(&["turns", "stop", "bot", id]);
        assert_eq!((stopped.code, stopped.stdout), (Some(0), format!("{id} was stopped\n")));
        turn
    });
    assert_eq!((answer.status, &turn["kind"]), (200, &json!("message")));
    let calls = connector.calls(2).await;
    assert_eq!((&calls[1].body["type"], calls[1].text()), (&json!("message"), "half"), "{calls:#?}");
    // A turn that has just ended.
    let path = format!("/v1/bots/bot/turns/running/{}", turn["turn_id"].as_str().unwrap());
    let gone = host.admin("DELETE", &path, Vec::new()).await;
    assert_eq!(gone.status, 404, "{}", gone.text);
    assert!(gone.text.contains("it may have ended"), "{}", gone.text);
}
