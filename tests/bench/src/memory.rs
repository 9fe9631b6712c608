//! The memory of a bot if many bots share one component.

use crate::http::Connection;
use crate::report::Report;
use crate::server::Lab;
use crate::stats::Spread;

const BOTS: u32 = 200;
const ROUNDS: usize = 5;
const TARGET_KIB: f64 = 100.0;

pub(crate) async fn measure(lab: &Lab, report: &mut Report) -> anyhow::Result<()> {
    let mut each = Vec::new();
    for _ in 0..ROUNDS {
        let one = resident(lab, 1).await?;
        let many = resident(lab, BOTS + 1).await?;
        each.push((many - one) / f64::from(BOTS));
    }
    report.at_most("memory of each of 200 bots with one shared component", " KiB", Spread::of(each), TARGET_KIB);
    Ok(())
}

/// Starts a host with this many bots, sends a message to each, and returns its resident memory in KiB.
async fn resident(lab: &Lab, bots: u32) -> anyhow::Result<f64> {
    let mut text = String::new();
    for number in 0..bots {
        text.push_str(&lab.bot(&format!("bot-{number}"), "echo", "")?);
    }
    let mut server = lab.host(&lab.config("", &text)?, None).await?;
    server.ready().await?;
    // Turns run one after the other, because the figure is about what remains, not about concurrent turns.
    let mut users = Connection::new(server.public);
    for number in 0..=BOTS {
        users.ask(&format!("bot-{}", number.min(bots - 1)), "hello").await?;
    }
    server.resident_kib()
}
