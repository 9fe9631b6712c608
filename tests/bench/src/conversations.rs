//! Many conversations: the cost of resuming one, and their cost on disk and at start.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::http::Connection;
use crate::report::Report;
use crate::server::{Lab, Server};
use crate::stats::{Spread, quantile};
use crate::swap::{milliseconds, ratio};

const FEW: usize = 100;
const MANY: usize = 10_000;
const STORED: usize = 100_000;
const ROUNDS: usize = 15;
const RESUMES: usize = 500;
const STARTS: usize = 5;
/// Number of connections that fill a store.
const FILLERS: usize = 16;
/// Coprime to the numbers of conversations, so a walk in such steps visits all of them in an order that differs from the file's.
const STRIDE: usize = 7_919;
/// What we call constant: it allows for noise and for one more level of a B-tree.
const GROWTH_MAX: f64 = 1.1;
/// The disk's latency is the same for both, and would hide what differs.
const STORAGE: &str = "storage.durability = 'process'";

pub(crate) async fn measure(lab: &Lab, report: &mut Report) -> anyhow::Result<()> {
    resumes(lab, report).await?;
    stored(lab, report).await
}

/// Resumes dialogs of two hosts alternately, one of which has a hundred times as many.
async fn resumes(lab: &Lab, report: &mut Report) -> anyhow::Result<()> {
    let few = filled(lab, &config(lab)?, FEW).await?;
    let many = filled(lab, &config(lab)?, MANY).await?;
    let (mut ratios, mut times) = (Vec::new(), (Vec::new(), Vec::new()));
    for round in 0..=ROUNDS {
        let of_few = resume(&few, FEW, round).await?;
        let of_many = resume(&many, MANY, round).await?;
        // The first round warms up.
        if round > 0 {
            ratios.push(ratio(of_many, of_few));
            times.0.push(ratio(of_few, 1));
            times.1.push(ratio(of_many, 1));
        }
    }
    report.at_most("resuming one of 10,000 waiting dialogs over one of 100", " ×", Spread::of(ratios), GROWTH_MAX);
    report.note(format!(
        "a turn that resumes one of {FEW}: {} µs, one of {MANY}: {} µs",
        Spread::of(times.0),
        Spread::of(times.1)
    ));
    Ok(())
}

/// Resumes waiting dialogs, one after the other, and returns the median time in microseconds.
async fn resume(server: &Server, conversations: usize, round: usize) -> anyhow::Result<u64> {
    let mut user = Connection::new(server.public);
    let mut times = Vec::with_capacity(RESUMES);
    for number in 0..RESUMES {
        let conversation = name((round * RESUMES + number) * STRIDE % conversations);
        let began = Instant::now();
        let reply = user.ask_in("bot", &conversation, "on").await?;
        times.push(u64::try_from(began.elapsed().as_micros())?);
        ensure!(reply == "script continue \"on\"", "{conversation} did not go on: {reply}");
    }
    times.sort_unstable();
    Ok(quantile(&times, 0.5))
}

/// Measures the size of the file of many conversations, and the start-up time with it.
async fn stored(lab: &Lab, report: &mut Report) -> anyhow::Result<()> {
    let (empty, full) = (config(lab)?, config(lab)?);
    lab.host(&empty, None).await?.stop().await?;
    let size_of_none = size(&empty)?;
    filled(lab, &full, STORED).await?.stop().await?;
    let each = (size(&full)? - size_of_none) / f64::from(u32::try_from(STORED)?);
    report.figure("file size of each of 100,000 stored conversations", format!("{each:.0} bytes"));

    let (mut of_empty, mut stopped, mut killed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let (server, time) = timed(lab, &empty).await?;
        server.stop().await?;
        of_empty.push(milliseconds(time));

        let (server, time) = timed(lab, &full).await?;
        stopped.push(milliseconds(time));
        // The host writes once more, so that the log has content and the next start finds an unclean end.
        ask_each(server.public, 0..1).await?;
        server.kill().await?;

        let (server, time) = timed(lab, &full).await?;
        killed.push(milliseconds(time));
        server.stop().await?;
    }
    report.figure("start-up with an empty store", format!("{} ms", Spread::of(of_empty)));
    report.figure("start-up with 100,000 stored conversations", format!("{} ms", Spread::of(stopped)));
    report.figure("the same after SIGKILL, which checks the file", format!("{} ms", Spread::of(killed)));
    Ok(())
}

fn config(lab: &Lab) -> anyhow::Result<PathBuf> {
    let bot = lab.bot("bot", "scripted", "")?
        + "grants = { state = ['conversation', 'user', 'private', 'bot'], dialogs = true }\n";
    lab.config_with_storage(STORAGE, "", &bot)
}

async fn timed(lab: &Lab, config: &Path) -> anyhow::Result<(Server, Duration)> {
    let began = Instant::now();
    let server = lab.host(config, None).await?;
    Ok((server, began.elapsed()))
}

fn size(config: &Path) -> anyhow::Result<f64> {
    let file = config.with_file_name("data").join("turntable.db");
    let mut wal = file.clone().into_os_string();
    wal.push("-wal");
    ensure!(fs::metadata(wal).map_or(0, |wal| wal.len()) == 0, "the log was not written back into the file");
    Ok(f64::from(u32::try_from(fs::metadata(file)?.len())?))
}

/// Starts a host, and lets this many conversations each store a value and begin a dialog that waits.
async fn filled(lab: &Lab, config: &Path, conversations: usize) -> anyhow::Result<Server> {
    let mut server = lab.host(config, None).await?;
    server.ready().await?;
    let each = conversations.div_ceil(FILLERS);
    let fillers = (0..FILLERS).map(|filler| {
        let (from, to) = (filler * each, ((filler + 1) * each).min(conversations));
        tokio::spawn(ask_each(server.public, from..to))
    });
    for filler in fillers.collect::<Vec<_>>() {
        filler.await??;
    }
    Ok(server)
}

async fn ask_each(public: std::net::SocketAddr, conversations: std::ops::Range<usize>) -> anyhow::Result<()> {
    let mut user = Connection::new(public);
    for number in conversations {
        let begin = "set conversation name \"Ann\"\nbegin script {\"forever\":\"wait\"}";
        let reply = user.ask_in("bot", &name(number), begin).await?;
        ensure!(
            reply == "done" || reply.starts_with("script continue"),
            "conversation {number} did not begin: {reply}"
        );
    }
    Ok(())
}

/// Returns an id that is as long as those of channels.
fn name(number: usize) -> String {
    format!("a:{number:064}")
}
