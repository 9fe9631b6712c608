//! Timers: the delay of the last of a hundred thousand timers that are due within a minute.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use hyper::Method;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

use crate::http::Connection;
use crate::report::Report;
use crate::server::{Lab, Server};

const CONVERSATIONS: usize = 1_000;
const EACH: usize = 100;
const MINUTE_MS: usize = 60_000;
/// Number of connections that schedule.
const SCHEDULERS: usize = 16;
/// Time until the first timer is due, long enough to schedule all.
const AHEAD: Duration = Duration::from_secs(120);
/// How late the last timer may be before the measurement gives up.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) async fn measure(lab: &Lab, report: &mut Report) -> anyhow::Result<()> {
    let bot = lab.bot("bot", "echo", "")?;
    let mut server = lab.host(&lab.config_with_storage("storage.durability = 'process'", "", &bot)?, None).await?;
    server.ready().await?;
    meet(lab, &server, CONVERSATIONS).await?;
    let resident = server.resident_kib()?;
    let first_ms = now_ms()? + AHEAD.as_millis();
    schedule(&server, first_ms).await?;
    ensure!(now_ms()? < first_ms, "the timers were not scheduled in time; the first is due already");
    let heard = tokio::time::timeout(AHEAD + PATIENCE, hear(lab, CONVERSATIONS * EACH)).await;
    let last_ms = heard.context("not every timer came")??;
    let due_ms = first_ms + MINUTE_MS as u128;
    report.figure(
        "100,000 timers due within a minute: how late the last comes",
        format!("{} ms", last_ms.saturating_sub(due_ms)),
    );
    let grown = server.resident_kib()? - resident;
    report.note(format!("resident memory after {} timers: {grown:.0} KiB more", CONVERSATIONS * EACH));
    Ok(())
}

/// Lets the bot meet this many conversations.
pub(crate) async fn meet(lab: &Lab, server: &Server, conversations: usize) -> anyhow::Result<()> {
    let mut user = Connection::new(server.public);
    for number in 0..conversations {
        let activity = json!({"type": "message", "id": format!("meet-{number}"), "channelId": "bench", "text": "hi",
            "serviceUrl": format!("http://{}", lab.sink.channel), "deliveryMode": "expectReplies",
            "from": {"id": "user"}, "recipient": {"id": "bot"}, "conversation": {"id": format!("c{number}")}});
        let (status, _) = user.send(Method::POST, "/api/bots/bot/messages", None, activity.to_string().into()).await?;
        ensure!(status == 200, "the bot answered {status}");
    }
    Ok(())
}

/// Schedules all timers evenly over the minute.
async fn schedule(server: &Server, first_ms: u128) -> anyhow::Result<()> {
    let total = CONVERSATIONS * EACH;
    let schedulers = (0..SCHEDULERS).map(|scheduler| {
        let (mut admin, token) = server.another_admin()?;
        anyhow::Ok(tokio::spawn(async move {
            for number in (scheduler..total).step_by(SCHEDULERS) {
                let at = first_ms + (number * MINUTE_MS / total) as u128;
                let at = jiff::Timestamp::from_millisecond(i64::try_from(at)?)?.to_string();
                let body = json!({"target": {"channel": "bench", "conversation": format!("c{}", number % CONVERSATIONS)},
                    "mode": "now", "at": at, "activity": {"type": "message", "text": "due"}});
                let path = "/v1/bots/bot/notifications";
                let (status, answer) = admin.send(Method::POST, path, Some(&token), body.to_string().into()).await?;
                ensure!(status == 202, "timer {number}: {status} {}", String::from_utf8_lossy(&answer));
            }
            anyhow::Ok(())
        }))
    });
    for scheduler in schedulers.collect::<Vec<_>>() {
        scheduler?.await??;
    }
    Ok(())
}

/// Waits for this many activities at the sink, and returns the time of the last, in milliseconds since 1970.
pub(crate) async fn hear(lab: &Lab, count: usize) -> anyhow::Result<u128> {
    let sink = TcpStream::connect(lab.sink.records).await.context("the sink is not there")?;
    let mut lines = BufReader::with_capacity(1 << 16, sink).lines();
    for _ in 0..count {
        lines.next_line().await?.context("the sink ended")?;
    }
    now_ms()
}

fn now_ms() -> anyhow::Result<u128> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())
}
