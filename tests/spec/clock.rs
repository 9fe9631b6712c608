//! Leaps of the wall clock, forwards and backwards: leases, deadlines, back-off, grace periods and tokens do not depend on it.
//!
//! The host runs with a preloaded library that adds an offset from a file to the time of day.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Behaviour, Config, Connector, Host, expecting_replies, message, within};

const DAY: i64 = 24 * 3600;

/// Reads the offset from the file at each call, so the time of day leaps when the file changes.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int offset = -1;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CLOCK_OFFSET");
    if (path) offset = open(path, O_RDONLY | O_CLOEXEC);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    char text[32] = {0};
    if (result == 0 && clock == CLOCK_REALTIME && offset >= 0 && pread(offset, text, sizeof text - 1, 0) > 0)
        time->tv_sec += atol(text);
    return result;
}
"#;

/// The clock of a host, and the folder of its library and its offset.
struct Clock(tempfile::TempDir);

impl Clock {
    /// Builds the library with the C compiler that Rust uses as its linker.
    fn new() -> Self {
        let clock = Self(tempfile::tempdir().unwrap());
        let source = clock.0.path().join("clock.c");
        fs::write(&source, CLOCK).unwrap();
        let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&clock.library(), &source]).output();
        let built = built.expect("cc starts");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        clock.jump_to(0);
        clock
    }

    fn library(&self) -> PathBuf {
        self.0.path().join("clock.so")
    }

    fn offset(&self) -> PathBuf {
        self.0.path().join("offset")
    }

    /// Sets the offset to the real time of day, in seconds.
    fn jump_to(&self, seconds: i64) {
        // The text always has nine characters, so that no reader sees half of it.
        fs::write(self.offset(), format!("{seconds:+09}")).unwrap();
    }

    /// Returns the words of a command that starts a host with this clock.
    fn launcher(&self) -> Vec<String> {
        let variable = |name: &str, path: &Path| format!("{name}={}", path.display());
        vec!["env".into(), variable("LD_PRELOAD", &self.library()), variable("CLOCK_OFFSET", &self.offset())]
    }
}

async fn start() -> Option<(Host, Clock)> {
    let clock = Clock::new();
    let config = Config::new()
        .set("server.mode", "'development'")
        .launcher(clock.launcher())
        .bot("bot", &[])
        .plugin("bot", "scripted", "grants = { state = ['conversation'], dialogs = true, conversations = true }")
        .bot("other", &["hostile"]);
    Some((Host::start(config).await?, clock))
}

/// The leaps of each spec: forwards, backwards to before the start, and back to the real time.
const JUMPS: [i64; 3] = [2 * DAY, -2 * DAY, 0];

#[tokio::test(flavor = "multi_thread")]
async fn a_host_lives_by_this_clock() {
    let Some((host, clock)) = start().await else { return };
    let mut started = Vec::new();
    for jump in JUMPS {
        clock.jump_to(jump);
        host.bot("other").says("hi").replies("ok: hi").await;
        started.push(host.last_turn("other").await["started_ms"].as_i64().unwrap() / 1000 - jump);
    }
    // If the leap had no effect, the other specs of this file would prove nothing.
    assert!(started.iter().all(|time| (time - started[2]).abs() < DAY), "{started:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_cuts_no_turn_and_loses_no_dialog_state_or_answer() {
    let Some((host, clock)) = start().await else { return };
    let connector = Connector::start().await;
    let say = async |text: &str| {
        let mut activity = expecting_replies(message(text));
        activity["conversation"]["id"] = "c".into();
        let replies = host.post("bot", &activity).await.replies();
        replies.iter().map(|reply| reply["text"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(say(r#"begin script {"forever":"wait"}"#).await, ["script begin"]);
    let counts = expecting_replies(message("add conversation count"));
    let counted = host.post("bot", &counts).await.text;
    for (number, jump) in JUMPS.into_iter().enumerate() {
        // One turn runs, and another of the same conversation waits.
        let running = connector.message("flush-then-slow 300");
        let mut behind = connector.message("behind");
        behind["conversation"] = running["conversation"].clone();
        let (first, second) = tokio::join!(host.post("other", &running), async {
            connector.calls(3 * number + 1).await;
            clock.jump_to(jump);
            host.post("other", &behind).await
        });
        assert_eq!((first.status, second.status), (200, 200), "{jump}");
        let calls = connector.calls(3 * number + 3).await;
        assert_eq!(calls.last().unwrap().text(), "ok: behind", "{jump}");

        assert_eq!(say("on").await, ["script continue \"on\""], "{jump}");
        assert_eq!(host.post("bot", &counts).await.text, counted, "{jump}: a redelivery");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_puts_no_delivery_off_for_days() {
    let Some((host, clock)) = start().await else { return };
    let connector = Connector::start().await;
    for (number, jump) in JUMPS.into_iter().enumerate() {
        connector.plan(Behaviour::Throttle(1));
        assert_eq!(host.post("other", &connector.message("hi")).await.status, 200);
        connector.calls(2 * number + 1).await;
        clock.jump_to(jump);
        assert_eq!(connector.calls(2 * number + 2).await.last().unwrap().text(), "ok: hi", "{jump}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_takes_no_page_out_of_its_conversation_and_keeps_its_order() {
    let Some((host, clock)) = start().await else { return };
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = async |method: Method, path: &str, token: &str, body: Value| {
        let request = client.request(method, host.url(&format!("/v3/directline/{path}"))).json(&body);
        let request = if token.is_empty() { request } else { request.bearer_auth(token) };
        let answer = within("an answer", request.send()).await.unwrap();
        let status = answer.status().as_u16();
        assert!(status < 300, "{path}: {status}: {}", answer.text().await.unwrap());
        answer.json::<Value>().await.unwrap()
    };
    let generated = ask(Method::POST, "tokens/generate", "", json!({ "bot": "other" })).await;
    let (token, id) = (generated["token"].as_str().unwrap(), generated["conversationId"].as_str().unwrap());
    ask(Method::POST, "conversations", token, json!({})).await;
    let activities = format!("conversations/{id}/activities");
    for (number, jump) in JUMPS.into_iter().enumerate() {
        clock.jump_to(jump);
        let said = json!({ "type": "message", "from": { "id": "dl_ann" }, "text": format!("{number}") });
        ask(Method::POST, &activities, token, said).await;
        let replied = async {
            while ask(Method::GET, &activities, token, Value::Null).await["activities"].as_array().unwrap().len()
                < 2 * (number + 1)
            {}
        };
        within("the reply", replied).await;
    }
    let heard = ask(Method::GET, &activities, token, Value::Null).await;
    let member = |name: &str| -> Vec<String> {
        let all = heard["activities"].as_array().unwrap().iter();
        all.map(|activity| activity[name].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(member("text"), ["0", "ok: 0", "1", "ok: 1", "2", "ok: 2"]);
    assert!(member("timestamp").is_sorted(), "clients sort by them: {:?}", member("timestamp"));
}

/// Timers follow the time of day. A leap past a timer fires it, a leap back does not fire it again, and no timer is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_timer_that_the_clock_jumps_over_fires_once() {
    let Some((host, clock)) = start().await else { return };
    let connector = Connector::start().await;
    let say = async |text: &str| {
        let mut activity = connector.message(text);
        activity["conversation"]["id"] = "c".into();
        assert_eq!(host.post("bot", &activity).await.status, 200);
    };
    let event = json!({ "event": { "name": "tick", "value": {} } });
    for (name, days) in [("tomorrow", 1), ("next-week", 7)] {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
        say(&format!("schedule {name} {at:.0} now {event}")).await;
    }
    for jump in [-2 * DAY, 2 * DAY] {
        clock.jump_to(jump);
        say("hi").await;
    }
    // The message may be answered before or after the timer.
    let heard = async |count: usize| {
        let mut texts: Vec<String> = connector.calls(count).await.iter().map(|call| call.text().to_owned()).collect();
        texts.sort_unstable();
        texts
    };
    assert_eq!(heard(3).await, ["heard: hi", "heard: hi", "timer:tomorrow tick"]);
    for jump in [0, 2 * DAY, 8 * DAY] {
        clock.jump_to(jump);
        say("hi").await;
    }
    let all = [vec!["heard: hi"; 5], vec!["timer:next-week tick", "timer:tomorrow tick"]].concat();
    assert_eq!(heard(7).await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_and_a_restart_after_a_jump_are_like_any_other() {
    let Some((mut host, clock)) = start().await else { return };
    let steps = json!({ "forever": "wait" });
    let mut activity = expecting_replies(message(&format!("begin script {steps}")));
    activity["conversation"]["id"] = "c".into();
    assert_eq!(host.post("bot", &activity).await.replies()[0]["text"], "script begin");
    for jump in JUMPS {
        clock.jump_to(jump);
        host.reconfigure("bot", "dialogs = true", "dialogs = true ").await;
        host.again(None).await;
        let mut next = expecting_replies(message("on"));
        next["conversation"]["id"] = "c".into();
        assert_eq!(host.post("bot", &next).await.replies()[0]["text"], "script continue \"on\"", "{jump}");
        assert!(host.ends().await.success(), "{jump}: it stops in time");
        host.again(None).await;
    }
}

/// Transcript entries that are too old are deleted, and newer ones stay.
#[tokio::test(flavor = "multi_thread")]
async fn transcripts_grow_old() {
    let clock = Clock::new();
    let config = Config::new().launcher(clock.launcher()).bot("bot", &[]).bot_key("transcripts", "{ keep-days = 3 }");
    let Some(mut host) = Host::start(config.plugin("bot", "hostile", "")).await else { return };
    let connector = Connector::start().await;
    let mut activity = connector.message("old");
    activity["conversation"]["id"] = "c".into();
    assert_eq!(host.post("bot", &activity).await.status, 200);
    clock.jump_to(2 * DAY);
    (activity["text"], activity["id"]) = ("new".into(), "new".into());
    assert_eq!(host.post("bot", &activity).await.status, 200);
    clock.jump_to(4 * DAY);
    host.again(None).await;
    host.logged("activities of transcripts were deleted").await;
    let path = "/v1/bots/bot/transcripts/activities?channel=test&conversation=c";
    let items = host.admin("GET", path, Vec::new()).await.json()["items"].clone();
    let texts: Vec<&str> = items.as_array().unwrap().iter().filter_map(|item| item["text"].as_str()).collect();
    assert_eq!(texts, ["new", "ok: new"]);
}
