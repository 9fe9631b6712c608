//! Durable state: the same turns, which read and write a value, with the store on disk and in memory.

use crate::load::{Outcome, Plan};
use crate::report::Report;
use crate::server::{Lab, Server};
use crate::stats::Spread;
use crate::swap::ratio;

const USERS: usize = 32;
const CONVERSATIONS: usize = 50;
const ROUNDS: usize = 5;

/// The configuration of a kind of storage.
struct Kind {
    settings: &'static str,
    name: &'static str,
    /// The ratio of turns per second to those with the store in memory.
    target: f64,
}

const DURABLE: [Kind; 2] = [
    Kind { settings: "storage.durability = 'full'", name: "durable against power loss", target: 0.6 },
    Kind { settings: "storage.durability = 'process'", name: "durable against a crash of the host", target: 0.75 },
];
const P99_MAX: f64 = 3.0;

pub(crate) async fn measure(lab: &Lab, report: &mut Report) -> anyhow::Result<()> {
    let memory = start(lab, "storage.kind = 'memory'").await?;
    let mut durable = Vec::new();
    for kind in &DURABLE {
        durable.push((kind, start(lab, kind.settings).await?, Vec::new(), Vec::new()));
    }
    let mut in_memory = Vec::new();
    for round in 0..=ROUNDS {
        let base = saturate(lab, &memory).await?;
        let rate = base.per_second / 2.0;
        let calm = at_rate(lab, &memory, rate).await?;
        for (_, server, speeds, p99) in &mut durable {
            let fast = saturate(lab, server).await?;
            let busy = at_rate(lab, server, rate).await?;
            // The first round warms up.
            if round > 0 {
                speeds.push(fast.per_second / base.per_second);
                p99.push(ratio(busy.p99_us, calm.p99_us));
            }
        }
        in_memory.push(base.per_second);
    }
    for (kind, _, speeds, p99) in durable {
        let what = format!("storage, {}: turns/s over those in memory", kind.name);
        report.at_least(&what, " ×", Spread::of(speeds), kind.target);
        let what = format!("storage, {}: p99 at half of saturation over that in memory", kind.name);
        report.at_most(&what, " ×", Spread::of(p99), P99_MAX);
    }
    report.note(format!("storage, in memory: {} turns/s", Spread::of(in_memory)));
    Ok(())
}

async fn start(lab: &Lab, storage: &str) -> anyhow::Result<Server> {
    let bot = lab.bot("bot", "scripted", "")? + "grants = { state = ['conversation'] }\n";
    let mut server = lab.host(&lab.config_with_storage(storage, "", &bot)?, None).await?;
    server.ready().await?;
    Ok(server)
}

/// Plans a closed loop in which each message adds one to a value of its conversation.
async fn saturate(lab: &Lab, server: &Server) -> anyhow::Result<Outcome> {
    lab.load(&counting(lab, server, USERS), None).await?.checked()
}

/// Plans an open loop.
async fn at_rate(lab: &Lab, server: &Server, rate: f64) -> anyhow::Result<Outcome> {
    lab.load(&Plan { rate: Some(rate), ..counting(lab, server, CONVERSATIONS) }, None).await?.checked()
}

/// The replies are sums, so each is different. A fault would be a text.
fn counting(lab: &Lab, server: &Server, users: usize) -> Plan {
    Plan { text: "add conversation k".to_owned(), reply: String::new(), ..lab.plan(server, "bot", users) }
}
