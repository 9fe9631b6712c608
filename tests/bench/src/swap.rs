//! Swaps: how soon a deployed component answers, its effect on users, and whether memory grows.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;

use crate::http::Connection;
use crate::load::{Outcome, Plan};
use crate::report::Report;
use crate::server::{Lab, Server};
use crate::stats::Spread;

/// More generations than a host keeps in memory, so each swap loads compiled code from the store.
const GENERATIONS: usize = 4;
const SINGLE_SWAPS: usize = 40;
const ROUNDS: usize = 5;
const SWAPS_PER_ROUND: usize = 40;
const ROUND_MS: u64 = 4000;
const CONVERSATIONS: usize = 50;
const SWAPS_FOR_MEMORY: usize = 200;
/// The number of swaps after which the allocator's reserve stops growing.
const SWAPS_BEFORE: usize = 2_000;
/// The allowed growth. A leaked generation would add several hundred KiB per swap.
const GROWTH_MAX_KIB: f64 = 2048.0;

pub(crate) async fn measure(lab: &Lab, report: &mut Report) -> anyhow::Result<()> {
    let mut server = lab.host(&lab.config("", &lab.bot("bot", "hostile", "")?)?, None).await?;
    server.ready().await?;
    let generations = generations(lab)?;
    // Deploys each generation once, so that all later deploys find compiled code.
    for component in &generations {
        deploy(&mut server, component).await?;
    }
    one_by_one(&mut server, &generations, report).await?;
    under_load(lab, &mut server, &generations, report).await?;
    memory(&mut server, &generations, report).await
}

/// The same guest with different markers.
fn generations(lab: &Lab) -> anyhow::Result<Vec<Bytes>> {
    const MARKER: &[u8] = b"GENERATION-0000";
    let built = lab.component("hostile")?;
    let at = built.windows(MARKER.len()).position(|bytes| bytes == MARKER).context("the component has no marker")?;
    let make = |number: usize| {
        let mut component = built.clone();
        component.splice(at..at + MARKER.len(), marker(number).into_bytes());
        component.into()
    };
    Ok((1..=GENERATIONS).map(make).collect())
}

fn marker(number: usize) -> String {
    format!("GENERATION-{number:04}")
}

async fn deploy(server: &mut Server, component: &Bytes) -> anyhow::Result<()> {
    let (status, answer) = server.deploy("bot", component.clone()).await?;
    ensure!(status == 200, "deploy answered {status}: {answer}");
    Ok(())
}

/// Deploys one generation after the other, and measures the time until each one answers.
async fn one_by_one(server: &mut Server, generations: &[Bytes], report: &mut Report) -> anyhow::Result<()> {
    let mut users = Connection::new(server.public);
    let mut whole = Vec::new();
    let mut only_deploy = Vec::new();
    for turn in 0..SINGLE_SWAPS {
        let number = turn % GENERATIONS;
        let started = Instant::now();
        deploy(server, &generations[number]).await?;
        only_deploy.push(milliseconds(started.elapsed()));
        let text = users.ask("bot", "generation").await?;
        whole.push(milliseconds(started.elapsed()));
        ensure!(text == marker(number + 1), "{text} answered after the deploy of {}", marker(number + 1));
    }
    report.at_most("from deploy to the first answer of the new code", " ms", Spread::of(whole), 10.0);
    report.note(format!("deploy alone: {} ms", Spread::of(only_deploy)));
    Ok(())
}

/// Runs an open loop at a fifth of saturation, with and without swaps.
async fn under_load(lab: &Lab, server: &mut Server, generations: &[Bytes], report: &mut Report) -> anyhow::Result<()> {
    let text = "generation".to_owned();
    let closed = Plan { text, reply: "GENERATION-".to_owned(), ..lab.plan(server, "bot", 32) };
    let saturation = lab.load(&closed, None).await?.checked()?.per_second;
    let rate = saturation / 5.0;
    let mut ratios = Vec::new();
    let mut p999 = (Vec::new(), Vec::new());
    let mut swaps = 0;
    let mut sum = Outcome::default();
    for round in 0..ROUNDS {
        let open = |lab: &Lab, server: &Server| Plan {
            rate: Some(rate),
            measure_ms: ROUND_MS,
            text: closed.text.clone(),
            reply: closed.reply.clone(),
            ..lab.plan(server, "bot", CONVERSATIONS)
        };
        let plan = open(lab, server);
        let quiet = lab.load(&plan, None).await?;
        let plan = open(lab, server);
        let swapping = async {
            tokio::time::sleep(Duration::from_millis(plan.warm_up_ms)).await;
            let mut pace = tokio::time::interval(Duration::from_millis(ROUND_MS) / u32::try_from(SWAPS_PER_ROUND)?);
            for turn in 0..SWAPS_PER_ROUND {
                pace.tick().await;
                deploy(server, &generations[(round + turn) % GENERATIONS]).await?;
                swaps += 1;
            }
            anyhow::Ok(())
        };
        let (busy, swapped) = tokio::join!(lab.load(&plan, None), swapping);
        swapped?;
        let busy = busy?;
        ratios.push(ratio(busy.p999_us, quiet.p999_us));
        p999.0.push(ratio(quiet.p999_us, 1000));
        p999.1.push(ratio(busy.p999_us, 1000));
        add(&mut sum, quiet);
        add(&mut sum, busy);
    }
    let bad = sum.lost + sum.failed + sum.duplicated + sum.reordered + sum.wrong;
    report.row(
        &format!("{swaps} swaps under {rate:.0} messages/s from {CONVERSATIONS} conversations"),
        format!(
            "of {} replies {} lost, {} failed, {} duplicated, {} reordered, {} wrong",
            sum.answered, sum.lost, sum.failed, sum.duplicated, sum.reordered, sum.wrong
        ),
        "none".to_owned(),
        bad == 0,
    );
    for error in sum.errors {
        report.note(error);
    }
    report.at_most("p99.9 during swaps over the same load without", " ×", Spread::of(ratios), 2.0);
    let samples = sum.samples / (2 * ROUNDS);
    report.note(format!(
        "p99.9 of {samples} messages, without swaps: {} ms, with: {} ms",
        Spread::of(p999.0),
        Spread::of(p999.1)
    ));
    Ok(())
}

fn add(sum: &mut Outcome, more: Outcome) {
    sum.answered += more.answered;
    sum.lost += more.lost;
    sum.failed += more.failed;
    sum.duplicated += more.duplicated;
    sum.reordered += more.reordered;
    sum.wrong += more.wrong;
    sum.samples += more.samples;
    sum.errors.extend(more.errors);
}

/// Swaps repeatedly and watches memory.
async fn memory(server: &mut Server, generations: &[Bytes], report: &mut Report) -> anyhow::Result<()> {
    let first = server.resident_kib()?;
    for turn in 0..SWAPS_BEFORE {
        deploy(server, &generations[turn % GENERATIONS]).await?;
    }
    let grown_before = server.resident_kib()? - first;
    report.note(format!("resident memory grew by {grown_before} KiB over {SWAPS_BEFORE} swaps before these"));
    let mut resident = Vec::new();
    let mut users = Connection::new(server.public);
    for turn in 0..SWAPS_FOR_MEMORY {
        deploy(server, &generations[turn % GENERATIONS]).await?;
        users.ask("bot", "generation").await?;
        resident.push(server.resident_kib()?);
    }
    // A single sample would vary by several MiB with the allocator's reserve, so this takes a median.
    let quarter = SWAPS_FOR_MEMORY / 4;
    let before = Spread::of(resident[..quarter].iter().copied()).median;
    let grown = Spread::of(resident[3 * quarter..].iter().copied()).median - before;
    report.row(
        &format!("growth of resident memory over {SWAPS_FOR_MEMORY} more swaps"),
        format!("{grown} KiB of {before} KiB"),
        format!("≤ {GROWTH_MAX_KIB} KiB"),
        grown <= GROWTH_MAX_KIB,
    );
    Ok(())
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Returns the ratio of two times in microseconds.
pub(crate) fn ratio(over: u64, under: u64) -> f64 {
    Duration::from_micros(over).as_secs_f64() / Duration::from_micros(under).as_secs_f64()
}
