//! Turns over HTTP: the echo plugin, a native echo in the same host, and a bot on the npm package `botbuilder`.
//!
//! Every server has core 0 to itself, and users and sink share core 1. Rounds alternate between the servers.

use std::time::Duration;

use crate::load::{Outcome, Plan};
use crate::machine;
use crate::report::Report;
use crate::server::{Lab, Server};
use crate::stats::Spread;

const ROUNDS: usize = 5;
const USERS: usize = 32;
/// A server that used less than this share of its core did not limit the turns.
const SATURATED: f64 = 0.95;

/// The outcome of one load on one server.
#[derive(Debug, Clone)]
struct Round {
    outcome: Outcome,
    /// Messages that were answered per second of the server's CPU time.
    per_cpu: f64,
    /// The share of its core that the server used.
    busy: f64,
}

/// One server in one mode, with its rounds.
struct Contender {
    name: &'static str,
    server: usize,
    expect_replies: bool,
    rounds: Vec<Round>,
}

pub(crate) async fn measure(lab: &Lab, report: &mut Report) -> anyhow::Result<()> {
    anyhow::ensure!(machine::has_two_cores(), "this needs two cores");
    let bots = lab.bot("echo", "echo", "")?;
    let host = lab.host(&lab.config("", &bots)?, Some(0)).await?;
    let native = lab.native(&lab.config("", &bots)?, Some(0)).await?;
    let mut contenders = vec![contender("host", 0, false), contender("native", 1, false), contender("host", 0, true)];
    let mut servers = vec![host, native];
    match lab.peer(Some(0)).await {
        Ok(peer) => {
            contenders.extend([contender("peer", 2, false), contender("peer", 2, true)]);
            servers.push(peer);
        }
        Err(error) => report.failed("beside the peer", &error),
    }
    for round in 0..=ROUNDS {
        for contender in &mut contenders {
            let measured = run(lab, &servers[contender.server], contender.expect_replies).await?;
            // The first round warms up: V8 compiles, connections open, slots are touched.
            if round > 0 {
                contender.rounds.push(measured);
            }
        }
    }
    tell(report, &contenders);
    Ok(())
}

fn contender(name: &'static str, server: usize, expect_replies: bool) -> Contender {
    Contender { name, server, expect_replies, rounds: Vec::new() }
}

async fn run(lab: &Lab, server: &Server, expect_replies: bool) -> anyhow::Result<Round> {
    let plan = Plan { expect_replies, ..lab.plan(server, "", USERS) };
    let before = server.cpu_seconds()?;
    let outcome = lab.load(&plan, Some(1)).await?.checked()?;
    let cpu = server.cpu_seconds()? - before;
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 messages")]
    let per_cpu = outcome.answered as f64 / cpu;
    let wall = Duration::from_millis(plan.warm_up_ms + plan.measure_ms).as_secs_f64();
    Ok(Round { outcome, per_cpu, busy: cpu / wall })
}

fn tell(report: &mut Report, contenders: &[Contender]) {
    let find = |name, expect| contenders.iter().find(|it| it.name == name && it.expect_replies == expect);
    let ratio = |over: Option<&Contender>, under: Option<&Contender>, of: fn(&Round) -> f64| {
        let (over, under) = (over?, under?);
        Some(Spread::of(over.rounds.iter().zip(&under.rounds).map(|(a, b)| of(a) / of(b))))
    };
    let (host, native, peer) = (find("host", false), find("native", false), find("peer", false));
    if let Some(spread) = ratio(host, native, |round| round.outcome.per_second) {
        let what = "HTTP, replies to the sink: turns/s of the echo plugin over a native echo";
        let busy = |it: &Contender| Spread::of(it.rounds.iter().map(|round| round.busy)).median;
        if [host, native].into_iter().flatten().all(|it| busy(it) >= SATURATED) {
            report.at_least(what, " ×", spread, 0.7);
        } else if let Some(per_cpu) = ratio(host, native, |round| round.per_cpu) {
            // The users filled their core first, so the ratio tends towards 1. On one core, turns per CPU second are
            // the turns per second of a saturated server.
            report.note(format!("{what}: {spread} ×, servers not saturated"));
            report.at_least(
                "HTTP, replies to the sink: the same per CPU second, servers not saturated",
                " ×",
                per_cpu,
                0.7,
            );
        }
    }
    if let Some(spread) = ratio(host, native, |round| round.per_cpu) {
        report.note(format!("turns per CPU second of the echo plugin over a native echo: {spread} ×"));
    }
    if let Some(spread) = ratio(host, peer, |round| round.per_cpu) {
        report.at_least("turns per CPU second over botbuilder, replies to the sink", " ×", spread, 8.0);
    }
    if let Some(spread) = ratio(find("host", true), find("peer", true), |round| round.per_cpu) {
        report.at_least("turns per CPU second over botbuilder, expectReplies", " ×", spread, 6.0);
    }
    if let Some(spread) = ratio(host, peer, |round| p99_ms(&round.outcome)) {
        report.at_most("p99 at 32 users over botbuilder's, replies to the sink", " ×", spread, 0.2);
    }
    for contender in contenders {
        let of = |value: fn(&Round) -> f64| Spread::of(contender.rounds.iter().map(value));
        report.note(format!(
            "{}, {}: {} turns/s, {} turns per CPU second, {} of its core, p99 {} ms",
            contender.name,
            if contender.expect_replies { "expectReplies" } else { "sink" },
            of(|round| round.outcome.per_second),
            of(|round| round.per_cpu),
            of(|round| round.busy),
            of(|round| p99_ms(&round.outcome)),
        ));
    }
}

/// Returns p99 in milliseconds.
fn p99_ms(outcome: &Outcome) -> f64 {
    Duration::from_micros(outcome.p99_us).as_secs_f64() * 1e3
}
