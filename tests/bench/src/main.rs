//! Benchmarks of Turntable. `README.md` has method and figures, and `make bench` runs `turntable-bench all`.

mod broadcast;
mod contention;
mod conversations;
mod http;
mod in_process;
mod load;
mod machine;
mod memory;
mod native;
mod neighbours;
mod peer;
mod report;
mod server;
mod sink;
mod stats;
mod storage;
mod swap;
mod timers;
mod transcripts;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use turntable::plugin::compile;

use report::Report;
use server::Lab;

/// The same allocator as in `turntable`, for the native echo and the turns in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measure Turntable
#[derive(Debug, Parser)]
#[command(name = "turntable-bench")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every measurement and print the table of targets and verdicts
    All {
        /// Measure only these: in-process, peer, swap, neighbours, memory, storage, contention, conversations, transcripts, timers, broadcast
        #[arg(value_name = "PART")]
        only: Vec<String>,
    },
    /// Be a connector that takes every activity, and tell subscribers when it came
    Sink,
    /// Be users; the plan is JSON, and so is the outcome on stdout
    Load {
        /// What to do
        plan: String,
    },
    /// Be the host with a native echo in front of its plugins
    Native {
        /// Configuration to serve
        config: PathBuf,
        /// Write the bound addresses to this file once the host is ready
        #[arg(long)]
        ports_file: PathBuf,
    },
    /// Measure turns without HTTP; the outcome on stdout is JSON
    InProcess {
        /// Configuration with the bots `rust` and `js`
        config: PathBuf,
        /// Rounds of each kind
        #[arg(long)]
        rounds: usize,
        /// Turns in one round
        #[arg(long)]
        turns: usize,
    },
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    // The embedded host starts this binary as the child process that compiles.
    if arguments.next().is_some_and(|command| command == compile::WORKER_COMMAND) {
        return compile::worker(&arguments.collect::<Vec<_>>());
    }
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::All { only } => single()?.block_on(all(&only)),
        Command::Sink => single()?.block_on(sink::run()),
        Command::Load { plan } => {
            let plan = serde_json::from_str(&plan).context("the plan is not readable")?;
            report::print(&single()?.block_on(tokio::task::LocalSet::new().run_until(load::run(plan)))?)
        }
        Command::Native { config, ports_file } => native::run(&config, ports_file),
        Command::InProcess { config, rounds, turns } => report::print(&in_process::run(&config, rounds, turns)?),
    }
}

fn single() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

const PARTS: [&str; 11] = [
    "in-process",
    "peer",
    "swap",
    "neighbours",
    "memory",
    "storage",
    "contention",
    "conversations",
    "transcripts",
    "timers",
    "broadcast",
];

/// Runs every part in order. A part that cannot run is reported as not measured. A missed target is not an error.
async fn all(only: &[String]) -> anyhow::Result<()> {
    let lab = Lab::new().await?;
    let mut report = Report::new();
    for part in PARTS {
        if !only.is_empty() && !only.iter().any(|wanted| wanted == part) {
            continue;
        }
        report::complain(&format!("measuring: {part}"));
        let result = match part {
            "in-process" => in_process::measure(&lab, &mut report).await,
            "peer" => peer::measure(&lab, &mut report).await,
            "swap" => swap::measure(&lab, &mut report).await,
            "neighbours" => neighbours::measure(&lab, &mut report).await,
            "memory" => memory::measure(&lab, &mut report).await,
            "storage" => storage::measure(&lab, &mut report).await,
            "contention" => contention::measure(&lab, &mut report).await,
            "conversations" => conversations::measure(&lab, &mut report).await,
            "transcripts" => transcripts::measure(&lab, &mut report).await,
            "timers" => timers::measure(&lab, &mut report).await,
            _ => broadcast::measure(&lab, &mut report).await,
        };
        if let Err(error) = result {
            report.failed(part, &error);
        }
    }
    report.show();
    Ok(())
}
