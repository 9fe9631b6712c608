//! A host for replays: one bot of a configuration, a store that ends with it, a channel that leads nowhere. It listens
//! nowhere, and writes nothing: neither into the data folder nor into the cache of compiled code.

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
use crate::storage::memory::MemoryStorage;
use crate::threads::{self, GuestThreads, Guests};
use crate::turn::{Services, Turns};

/// How long a bot may go on with one activity, and with all that it caused.
const REST_AFTER_MAX: Duration = Duration::from_secs(120);
/// How long the end of a replay waits for turns.
const STOP_AFTER_MAX: Duration = Duration::from_secs(1);

/// One bot that hears what a replay tells it.
pub struct ReplayHost {
    bot: Arc<str>,
    turns: Arc<Turns>,
    deliveries: Arc<Deliveries>,
    /// The newest turn whose failures were told.
    told: Option<Arc<str>>,
    recorder: Arc<Recorder>,
}

/// What came of one activity.
#[derive(Debug)]
pub struct Heard {
    /// What the bot said, as [`Recorder::take`] has it; the answer to an invoke as `invokeResponse`.
    pub said: Vec<Object>,
    /// What went wrong in plugins, one line each.
    pub failures: Vec<String>,
}

/// Starts a host with one bot of the configuration, as its files are now, and lets `work` use it. Returns what that does.
///
/// # Errors
/// Where there is no such bot, or it cannot be loaded: everything that is wrong with it.
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
        // A bot that did not come to rest does not now either.
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
        // Whether others may talk to it now is another question than what it says.
        spec.enabled = true;
        let mut config = config.clone();
        config.bots = [(bot.to_owned(), spec)].into();
        // A pool is for many instances at once, and the waits of a real channel are for that channel.
        config.runtime.allocator = Allocator::OnDemand;
        config.channel.rates.clear();

        let plugins = plugin::Runtime::uncached(&config.runtime).context("the plugin runtime does not start")?;
        let registry = Arc::new(Registry::of_files(&config, plugins.clone()));
        registry.load_all().await;
        let failure = registry.bot(bot).and_then(|bot| bot.status().last_failure);
        if let Some(failure) = failure {
            bail!("the bot `{bot}` cannot be loaded:\n  - {}", failure.problems.join("\n  - "));
        }
        let storage = Arc::new(MemoryStorage::new(&config.channel));
        let recorder = Arc::new(Recorder::default());
        let (direct_line, connector) = (recorder.clone(), recorder.clone());
        let deliveries = Deliveries::new(&config.channel, storage.clone(), direct_line, connector, Handle::current());
        let deliveries = Arc::new(deliveries);
        let services =
            Services { storage: storage.clone(), deliveries: deliveries.clone(), plugins, due: Arc::default() };
        let turns = Arc::new(Turns::new(&config.server, &config.runtime, services, registry, Vec::new(), guests));
        Ok(Self { bot: bot.into(), turns, deliveries, recorder, told: None })
    }

    /// Lets the bot hear an activity, and waits until it has said everything: also what it asked to be told meanwhile. Timers
    /// that are due later do not fire.
    ///
    /// # Errors
    /// Where the activity is none, the host cannot run the bot, or the bot does not come to rest.
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
            self.turns.accept(inbound).await.map_err(|refusal| anyhow!("the bot does not run: {refusal:?}"))?;
        let rest = async {
            let answer = ticket.answer.await.context("the turn has no end")?;
            self.turns.settle().await?;
            anyhow::Ok(answer)
        };
        let deadline = Instant::now() + REST_AFTER_MAX;
        let answer = timeout_at(deadline, rest).await;
        let answer = answer.map_err(|_| anyhow!("the bot goes on and on: {} s", REST_AFTER_MAX.as_secs()))??;
        let left = self.deliveries.drain(deadline).await.left;
        if left > 0 {
            bail!("{left} of the bot's messages could not be taken within {} s", REST_AFTER_MAX.as_secs());
        }
        let mut said = self.recorder.take();
        match answer.status {
            status if is_invoke => said.push(invoke_response(status, answer.body.as_deref())),
            503 => bail!("the turn failed in the host; its log says why"),
            _ => {}
        }
        Ok(Heard { said, failures: self.failures() })
    }

    /// What went wrong in plugins since the last call.
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

/// The answer to an invoke as the activity that other hosts keep of it.
fn invoke_response(status: u16, body: Option<&str>) -> Object {
    let body: Value = body.and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    let mut response = Object::new();
    response.insert("type".to_owned(), "invokeResponse".into());
    response.insert("value".to_owned(), json!({ "status": status, "body": body }));
    response
}
