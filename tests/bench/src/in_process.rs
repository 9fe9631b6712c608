//! Turns without HTTP: the parts of the host in one process, one turn at a time from acceptance to answer.
//!
//! The replies are in the answer (`expectReplies`), so no delivery runs during the next turn. The cost of a plugin is the
//! median of its turns minus the median of turns that a native echo answered in the same round.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::runtime::Runtime as Tokio;
use turntable::activity::{Activity, ChannelInstance, ConversationKey, Inbound};
use turntable::channel::connector::Connector;
use turntable::channel::directline::DirectLine;
use turntable::config::{self, Config};
use turntable::delivery::Deliveries;
use turntable::plugin;
use turntable::registry::Registry;
use turntable::storage::Storage;
use turntable::storage::sqlite::SqliteStorage;
use turntable::telemetry;
use turntable::threads::{self, Guests};
use turntable::turn::middleware::Middleware;
use turntable::turn::{Services, Turns};

use crate::native::NativeEcho;
use crate::report::Report;
use crate::server::{Lab, command};
use crate::stats::Spread;

const ROUNDS: usize = 7;
const TURNS: usize = 1500;

/// The medians of the rounds, in microseconds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Medians {
    native: Vec<f64>,
    rust: Vec<f64>,
    js: Vec<f64>,
    portable: Vec<f64>,
}

pub(crate) async fn measure(lab: &Lab, report: &mut Report) -> anyhow::Result<()> {
    let js = lab.bot("js", "echo-js", "").and_then(|echo| Ok(echo + &lab.bot("portable", "portable-js", "")?));
    let js = js.inspect_err(|error| report.note(format!("JavaScript: {error:#}"))).ok();
    let config = lab.config("", &(lab.bot("rust", "echo", "")? + js.as_deref().unwrap_or_default()))?;
    let mut child = command(&std::env::current_exe()?, None);
    child.arg("in-process").arg(&config).args(["--rounds", &ROUNDS.to_string(), "--turns", &TURNS.to_string()]);
    let output = child.stdout(Stdio::piped()).spawn()?.wait_with_output().await?;
    let medians: Medians = serde_json::from_slice(&output.stdout).context("the turns were not measured")?;
    let added = |plugin: &[f64]| Spread::of(plugin.iter().zip(&medians.native).map(|(plugin, native)| plugin - native));
    report.at_most("in-process: what a Rust plugin adds to a turn, fresh instance", " µs", added(&medians.rust), 40.0);
    if js.is_some() {
        report.at_most("in-process: what a JavaScript plugin adds", " µs", added(&medians.js), 150.0);
        let portable = added(&medians.portable);
        report.note(format!("in-process: a JavaScript plugin of 200 lines, portable-js, adds {portable} µs"));
    }
    report.note(format!("in-process: a turn with the native echo takes {} µs", Spread::of(medians.native)));
    Ok(())
}

/// Runs the measurement in this process.
pub(crate) fn run(path: &Path, rounds: usize, turns: usize) -> anyhow::Result<Medians> {
    let config = config::load(path).map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let _flush = telemetry::init(telemetry::LogFormat::Json, "warn")?;
    let _metrics = telemetry::install_metrics()?;
    let guests = threads::start("guests", config.runtime.workers)?;
    let transport = threads::start("transport", 1)?;
    let result = transport.block_on(measure_rounds(&config, &guests, rounds, turns));
    guests.shutdown_background();
    result
}

async fn measure_rounds(config: &Config, guests: &Tokio, rounds: usize, turns: usize) -> anyhow::Result<Medians> {
    let parts = Parts::new(config, guests)?;
    parts.registry.load_all().await;
    let (plain, native) = (parts.turns(Vec::new())?, parts.turns(vec![Box::new(NativeEcho)])?);
    let js = config.bots.contains_key("js");
    let mut medians = Medians::default();
    for round in 0..=rounds {
        let base = time(guests, &native, "rust", turns).await?;
        let rust = time(guests, &plain, "rust", turns).await?;
        let mut others = Vec::new();
        if js {
            for bot in ["js", "portable"] {
                others.push(time(guests, &plain, bot, turns).await?);
            }
        }
        // The first round warms up.
        if round > 0 {
            medians.native.push(base);
            medians.rust.push(rust);
            if let [js, portable] = others[..] {
                medians.js.push(js);
                medians.portable.push(portable);
            }
        }
    }
    Ok(medians)
}

/// The parts that two `Turns` share.
struct Parts<'a> {
    config: &'a Config,
    guests: &'a Tokio,
    registry: Arc<Registry>,
    deliveries: Arc<Deliveries>,
    plugins: Arc<plugin::Runtime>,
}

impl<'a> Parts<'a> {
    fn new(config: &'a Config, guests: &'a Tokio) -> anyhow::Result<Self> {
        let plugins = plugin::Runtime::new(&config.runtime)?;
        let registry = Arc::new(Registry::new(config, plugins.clone())?);
        let storage: Arc<dyn Storage> = Arc::new(SqliteStorage::temporary(&config.channel)?);
        let directline = Arc::new(DirectLine::new(config, config.server.listen));
        let connector = Arc::new(Connector::new(&config.channel, Vec::new(), None)?);
        let transport = tokio::runtime::Handle::current();
        let deliveries = Arc::new(Deliveries::new(&config.channel, storage, directline, connector, transport));
        Ok(Self { config, guests, registry, deliveries, plugins })
    }

    fn turns(&self, middleware: Vec<Box<dyn Middleware>>) -> anyhow::Result<Arc<Turns>> {
        let services = Services {
            // Each has its own store, because two `Turns` with one store would both own a conversation.
            storage: Arc::new(SqliteStorage::temporary(&self.config.channel)?),
            deliveries: self.deliveries.clone(),
            plugins: self.plugins.clone(),
            notification_bytes_max: self.config.storage.notification_bytes_per_bot_max,
            due: Arc::default(),
            bridges: None,
        };
        let (server, runtime) = (&self.config.server, &self.config.runtime);
        let guests = Guests::on(self.guests.handle().clone());
        Ok(Arc::new(Turns::new(server, runtime, services, self.registry.clone(), middleware, guests)))
    }
}

/// Runs turns one after the other on the guests' threads, and returns the median in microseconds.
async fn time(guests: &Tokio, turns: &Arc<Turns>, bot: &'static str, count: usize) -> anyhow::Result<f64> {
    let turns = turns.clone();
    guests
        .spawn(async move {
            let mut times = Vec::with_capacity(count);
            for _ in 0..count {
                let inbound = inbound(bot)?;
                let started = Instant::now();
                let ticket = turns.accept(inbound).await.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
                let answer = ticket.answer.await?;
                times.push(microseconds(started.elapsed()));
                let body = answer.body.unwrap_or_default();
                ensure!(answer.status == 200 && body.contains("hello"), "{bot} answered {}: {body}", answer.status);
            }
            Ok(Spread::of(times).median)
        })
        .await?
}

/// Returns a message without an id, so that no deduplication record is needed.
fn inbound(bot: &str) -> anyhow::Result<Inbound> {
    let activity = json!({"type": "message", "channelId": "bench", "text": "hello", "deliveryMode": "expectReplies",
        "from": {"id": "user"}, "recipient": {"id": "bot"}, "conversation": {"id": "one"}});
    let activity = Activity::parse(&activity.to_string()).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(Inbound {
        key: ConversationKey {
            bot: bot.into(),
            channel: ChannelInstance::Wire("bench".into()),
            conversation: "one".into(),
        },
        activity: Arc::new(activity),
        request_id: "bench".into(),
    })
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
