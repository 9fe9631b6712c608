//! A host for replays: one bot of a configuration, a temporary store, and a channel that records instead of delivering.
//! It opens no listener and writes neither to the data folder nor to the cache of compiled code.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::activity::{Activity, ChannelInstance, ConversationKey, Inbound, Object};
use crate::channel::recorder::Recorder;
use crate::config::{Allocator, Config};
use crate::delivery::Deliveries;
use crate::plugin;
use crate::registry::Registry;
use crate::storage::sqlite::SqliteStorage;
use crate::threads::{self, GuestThreads, Guests};
use crate::turn::{Services, Turns};

/// Time limit for one activity and all its consequences.
const REST_AFTER_MAX: Duration = Duration::from_secs(120);
/// Time that the end of a replay waits for turns.
const STOP_AFTER_MAX: Duration = Duration::from_secs(1);

/// A host with the bot that is replayed.
pub struct ReplayHost {
    bot: Arc<str>,
    turns: Arc<Turns>,
    deliveries: Arc<Deliveries>,
    /// The newest turn whose failures were returned.
    told: Option<Arc<str>>,
    recorder: Arc<Recorder>,
}

/// Result of one activity.
#[derive(Debug)]
pub struct Heard {
    /// What the bot sent, as [`Recorder::take`] returns it, and the response to an invoke as an `invokeResponse`.
    pub said: Vec<Object>,
    /// Failures of plugins, one line each.
    pub failures: Vec<String>,
}

/// Starts a host with one bot of the configuration, loaded from its files, and runs `work` with it. Returns the result
/// of `work`.
///
/// # Errors
/// There is no such bot, it cannot be loaded, or `work` fails.
pub fn with_replay_host<T>(
    config: &Config,
    bot: &str,
    work: impl AsyncFnOnce(&mut ReplayHost) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let guests = GuestThreads::start(config.runtime.workers)?;
    let transport = threads::start("turntable-io", 1)?;
    let result = transport.block_on(async {
        let mut host = ReplayHost::start(config, bot, guests.guests()).await?;
        let worked = work(&mut host).await;
        // Ignore the timeout: a bot that did not finish before will not finish now.
        let _ = timeout(STOP_AFTER_MAX, host.turns.stop()).await;
        worked
    });
    guests.stop();
    transport.shutdown_timeout(Duration::from_millis(100));
    result
}

impl ReplayHost {
    async fn start(config: &Config, bot: &str, guests: Guests) -> anyhow::Result<Self> {
        let Some(mut spec) = config.bots.get(bot).cloned() else {
            let known: Vec<&str> = config.bots.keys().map(String::as_str).collect();
            bail!("{} has no bot `{bot}`; it has {}", config.path.display(), known.join(", "));
        };
        // A replay also works for a bot that is disabled.
        spec.enabled = true;
        let mut config = config.clone();
        config.bots = [(bot.to_owned(), spec)].into();
        // A pool pays off for many concurrent instances only, and rate limits protect real channels only.
        config.runtime.allocator = Allocator::OnDemand;
        config.channel.rates.clear();

        let plugins = plugin::Runtime::uncached(&config.runtime).context("cannot start the plugin runtime")?;
        let registry = Arc::new(Registry::of_files(&config, plugins.clone()));
        registry.load_all().await;
        let failure = registry.bot(bot).and_then(|bot| bot.status().last_failure);
        if let Some(failure) = failure {
            bail!("the bot `{bot}` cannot be loaded:\n  - {}", failure.problems.join("\n  - "));
        }
        let storage = Arc::new(SqliteStorage::temporary(&config.channel)?);
        let recorder = Arc::new(Recorder::default());
        let (direct_line, connector) = (recorder.clone(), recorder.clone());
        let deliveries = Deliveries::new(&config.channel, storage.clone(), direct_line, connector, Handle::current());
        let deliveries = Arc::new(deliveries);
        let services = Services {
            storage: storage.clone(),
            deliveries: deliveries.clone(),
            plugins,
            notification_bytes_max: config.storage.notification_bytes_per_bot_max,
            due: Arc::default(),
            bridges: None,
        };
        let turns = Arc::new(Turns::new(&config.server, &config.runtime, services, registry, Vec::new(), guests));
        Ok(Self { bot: bot.into(), turns, deliveries, recorder, told: None })
    }

    /// Runs the turn of an activity and waits until the bot has sent everything, including notifications that are due
    /// at once. Timers that are due later do not fire.
    ///
    /// # Errors
    /// The activity is invalid, the host cannot run the bot, or the bot does not finish in time.
    pub async fn hear(&mut self, activity: &Object) -> anyhow::Result<Heard> {
        let activity = Activity::from_object(activity)?;
        let key = ConversationKey {
            bot: self.bot.clone(),
            channel: ChannelInstance::Wire(activity.channel_id().into()),
            conversation: activity.conversation_id().into(),
        };
        let is_invoke = activity.kind() == "invoke";
        let inbound = Inbound { key, activity: Arc::new(activity), request_id: "replay".into() };
        let ticket =
            self.turns.accept(inbound).await.map_err(|refusal| anyhow!("the bot cannot be run: {refusal:?}"))?;
        let rest = async {
            let answer = ticket.answer.await.context("the turn ended without a result")?;
            self.turns.settle().await?;
            anyhow::Ok(answer)
        };
        let deadline = Instant::now() + REST_AFTER_MAX;
        let answer = timeout_at(deadline, rest).await;
        let answer = answer.map_err(|_| anyhow!("the bot did not finish within {} s", REST_AFTER_MAX.as_secs()))??;
        let left = self.deliveries.drain(deadline).await.left;
        if left > 0 {
            bail!("{left} of the bot's messages were not recorded within {} s", REST_AFTER_MAX.as_secs());
        }
        let mut said = self.recorder.take();
        match answer.status {
            status if is_invoke => said.push(invoke_response(status, answer.body.as_deref())),
            503 => bail!("the turn failed in the host; run again with --log=info to see the reason"),
            _ => {}
        }
        Ok(Heard { said, failures: self.failures() })
    }

    /// Returns the failures of plugins since the last call.
    fn failures(&mut self) -> Vec<String> {
        let recent = self.turns.recent(&self.bot);
        let told = self.told.take();
        let new: Vec<_> = recent.iter().take_while(|record| Some(&record.turn_id) != told.as_ref()).collect();
        self.told = recent.first().map(|record| record.turn_id.clone());
        let calls = new.iter().rev().flat_map(|record| &record.calls);
        let failure = |(plugin, trigger, error): (&str, &str, &str)| {
            format!("{plugin}, {trigger}: {}", error.lines().next().unwrap_or_default())
        };
        calls.filter_map(|call| Some((&*call.plugin, &*call.trigger, call.error.as_deref()?))).map(failure).collect()
    }
}

/// Returns the response to an invoke as the activity that other hosts store for it.
fn invoke_response(status: u16, body: Option<&str>) -> Object {
    let body: Value = body.and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    let mut response = Object::new();
    response.insert("type".to_owned(), "invokeResponse".into());
    response.insert("value".to_owned(), json!({ "status": status, "body": body }));
    response
}
