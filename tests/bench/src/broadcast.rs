//! Broadcasts: the rate of a hundred thousand messages to a sink, and memory meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hyper::Method;
use serde_json::{Value, json};

use crate::report::Report;
use crate::server::{Lab, Server};
use crate::timers::{hear, meet};

const CONVERSATIONS: usize = 10_000;
/// Number of broadcasts, one after the other.
const ROUNDS: usize = 10;
/// The maximum rate. The host goes no faster than its turns end.
const PER_SECOND: u32 = 10_000;
/// When the measurement gives up.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often to poll whether a broadcast is done.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) async fn measure(lab: &Lab, report: &mut Report) -> anyhow::Result<()> {
    let bot = lab.bot("bot", "echo", "")?;
    let mut server = lab.host(&lab.config_with_storage("", "", &bot)?, None).await?;
    server.ready().await?;
    meet(lab, &server, CONVERSATIONS).await?;
    let heard = tokio::time::timeout(PATIENCE, async {
        let begun = Instant::now();
        let mut resident = Vec::new();
        tokio::try_join!(hear(lab, CONVERSATIONS * ROUNDS), async {
            for _ in 0..ROUNDS {
                speak(&server).await?;
                resident.push(server.resident_kib()?);
            }
            anyhow::Ok(())
        })?;
        anyhow::Ok((begun.elapsed(), resident))
    });
    let (took, resident) = heard.await.context("not every message came")??;
    let messages = CONVERSATIONS * ROUNDS;
    #[expect(clippy::cast_precision_loss, reason = "a figure of the report")]
    let rate = messages as f64 / took.as_secs_f64();
    report.figure("broadcasts of 100,000 messages to a sink, storage `full`", format!("{rate:.0} messages/s"));
    let after = resident.iter().map(|kib| format!("{:.1}", kib / 1024.0)).collect::<Vec<_>>().join(", ");
    report.figure("the host's resident memory after each 10,000 of them", format!("{after} MiB"));
    Ok(())
}

/// Broadcasts to all, and waits until it is done.
async fn speak(server: &Server) -> anyhow::Result<()> {
    let (mut admin, token) = server.another_admin()?;
    let body = json!({ "mode": "now", "per-second": PER_SECOND, "activity": { "type": "message", "text": "sale" } });
    let path = "/v1/bots/bot/broadcasts";
    let (status, answer) = admin.send(Method::POST, path, Some(&token), body.to_string().into()).await?;
    ensure!(status == 202, "the broadcast was answered {status} {}", String::from_utf8_lossy(&answer));
    let started: Value = serde_json::from_slice(&answer)?;
    let path = format!("{path}/{}", started["id"].as_str().context("it has no id")?);
    loop {
        let (_, answer) = admin.send(Method::GET, &path, Some(&token), bytes::Bytes::new()).await?;
        let now: Value = serde_json::from_slice(&answer)?;
        if now["state"] == "done" {
            ensure!(now["delivered"] == CONVERSATIONS, "not all were reached: {now}");
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}
