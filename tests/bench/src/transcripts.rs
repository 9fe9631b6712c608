//! Transcripts: their cost per turn, and the cost of the first page of a long transcript.

use std::time::Instant;

use anyhow::ensure;
use bytes::Bytes;
use hyper::Method;

use crate::load::Outcome;
use crate::report::Report;
use crate::server::{Lab, Server};
use crate::stats::{Spread, quantile};
use crate::swap::ratio;

const USERS: usize = 32;
const ROUNDS: usize = 7;
const FEW: usize = 100;
const MANY: usize = 100_000;
const PAGES: usize = 300;
const COST_MAX: f64 = 1.25;
const PAGE_MAX: f64 = 20.0;
/// The disk's latency is the same for both, and would hide what differs.
const STORAGE: &str = "storage.durability = 'process'";

pub(crate) async fn measure(lab: &Lab, report: &mut Report) -> anyhow::Result<()> {
    let off = start(lab, "").await?;
    let mut on = start(lab, "transcripts = {}").await?;
    let mut costs = Vec::new();
    for round in 0..=ROUNDS {
        let (without, with) = (saturate(lab, &off).await?, saturate(lab, &on).await?);
        // The first round warms up.
        if round > 0 {
            costs.push(without.per_second / with.per_second);
        }
    }
    report.at_most("a turn with its transcript over one without", " ×", Spread::of(costs), COST_MAX);
    pages(&mut on, report).await
}

async fn start(lab: &Lab, transcripts: &str) -> anyhow::Result<Server> {
    let bot = lab.bot("bot", "echo", transcripts)?;
    let mut server = lab.host(&lab.config_with_storage(STORAGE, "", &bot)?, None).await?;
    server.ready().await?;
    Ok(server)
}

/// Plans a closed loop with an echo.
async fn saturate(lab: &Lab, server: &Server) -> anyhow::Result<Outcome> {
    lab.load(&lab.plan(server, "bot", USERS), None).await?.checked()
}

/// Reads the first pages of a short and a long transcript alternately.
async fn pages(server: &mut Server, report: &mut Report) -> anyhow::Result<()> {
    for (conversation, activities) in [("few", FEW), ("many", MANY)] {
        let path = format!("/v1/bots/bot/transcripts/file?channel=bench&conversation={conversation}");
        let (status, answer) = server.admin(Method::PUT, &path, file(activities)).await?;
        ensure!(status == 200, "the import of {activities} activities was answered {status}: {answer}");
    }
    let (mut of_few, mut of_many) = (Vec::new(), Vec::new());
    for _ in 0..PAGES {
        of_few.push(first_page(server, "few").await?);
        of_many.push(first_page(server, "many").await?);
    }
    let ratios: Vec<f64> = of_few.iter().zip(&of_many).map(|(few, many)| ratio(*many, *few)).collect();
    report.at_most("the first page of 100,000 activities over one of 100", " ×", Spread::of(ratios), PAGE_MAX);
    of_many.sort_unstable();
    report.note(format!("the first page of {MANY} activities takes {} µs", quantile(&of_many, 0.5)));
    Ok(())
}

/// Reads a page of twenty, and returns the time in microseconds.
async fn first_page(server: &mut Server, conversation: &str) -> anyhow::Result<u64> {
    let path = format!("/v1/bots/bot/transcripts/activities?channel=bench&conversation={conversation}");
    let began = Instant::now();
    let (status, page) = server.admin(Method::GET, &path, Bytes::new()).await?;
    let time = u64::try_from(began.elapsed().as_micros())?;
    ensure!(status == 200 && page["items"].as_array().is_some_and(|items| items.len() == 20), "no page: {page}");
    Ok(time)
}

/// Returns a transcript file.
fn file(activities: usize) -> Bytes {
    let entry = |number: usize| {
        format!(
            r#"{{"type":"message","id":"{number}","from":{{"id":"user","role":"user"}},"text":"What I said as number {number}"}}"#
        )
    };
    let entries: Vec<String> = (0..activities).map(entry).collect();
    format!("[{}]", entries.join(",\n")).into()
}
