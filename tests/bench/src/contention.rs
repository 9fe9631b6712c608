//! Contention: fifty users who each add to one value of the bot, alternating with fifty who each add to a value of their own.

use anyhow::ensure;

use crate::http::Connection;
use crate::load::{Outcome, Plan};
use crate::report::Report;
use crate::server::{Lab, Server};
use crate::stats::Spread;
use crate::swap::ratio;

const USERS: usize = 50;
const ROUNDS: usize = 5;
/// Messages that have added to the one value, in all rounds together.
const MESSAGES_MIN: u64 = 10_000;
const P99_MAX: f64 = 3.0;

pub(crate) async fn measure(lab: &Lab, report: &mut Report) -> anyhow::Result<()> {
    let bot = lab.bot("bot", "scripted", "")? + "grants = { state = ['conversation', 'bot'] }\n";
    let mut server = lab.host(&lab.config_with_storage("storage.durability = 'full'", "", &bot)?, None).await?;
    server.ready().await?;
    let (mut p99, mut speeds, mut answered) = (Vec::new(), Vec::new(), 0);
    for round in 0..=ROUNDS {
        let own = add(lab, &server, "add conversation k").await?;
        let shared = add(lab, &server, "add bot k").await?;
        answered += shared.answered;
        // The first round warms up.
        if round > 0 {
            p99.push(ratio(shared.p99_us, own.p99_us));
            speeds.push(shared.per_second / own.per_second);
        }
    }
    let sum = Connection::new(server.public).ask("bot", "get bot k").await?;
    ensure!(answered >= MESSAGES_MIN, "only {answered} messages added to the one value");
    ensure!(sum == answered.to_string(), "{answered} messages were answered, and the value is {sum}");
    report.at_most("p99 of 50 users who change one value over that with a value each", " ×", Spread::of(p99), P99_MAX);
    report.note(format!(
        "contention: {answered} messages added to one value, none failed; turns/s over those with a value each: {} ×",
        Spread::of(speeds)
    ));
    server.stop().await
}

/// Plans a closed loop. The replies are sums, so each is different.
async fn add(lab: &Lab, server: &Server, text: &str) -> anyhow::Result<Outcome> {
    let plan = Plan { text: text.to_owned(), reply: String::new(), ..lab.plan(server, "bot", USERS) };
    lab.load(&plan, None).await?.checked()
}
