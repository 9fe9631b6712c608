//! Bots by name: the generation that serves, the one before it, and what became of every load.
//!
//! A new generation is built aside while the old one serves, and then replaces one pointer. Turns in flight keep the
//! generation they started with. Any failure leaves the running generation serving and shows as a status.

mod components;
mod status;
pub mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::Mutex;

use self::components::{Components, Picked};
pub use self::status::{BotStatus, LoadFailure, PluginStatus, Rehearsal, Swap, WaitingFrames};
use crate::config::{self, BotSpec, Config, KeptTranscripts, PluginSpec};
use crate::plugin::{LoadError, Plugin, Runtime};
use crate::storage::FrameTag;
use crate::telemetry;
use crate::turn::routes::Routes;

/// All bots of the host. The set is fixed at start; what serves for each of them is not.
pub struct Registry {
    runtime: Arc<Runtime>,
    config_path: PathBuf,
    components: Components,
    bots: BTreeMap<Arc<str>, Arc<Bot>>,
    default_bot: Option<String>,
}

/// One bot.
pub struct Bot {
    name: Arc<str>,
    enabled: AtomicBool,
    generations: AtomicU64,
    serving: RwLock<Serving>,
    /// Held from the start of a load to its swap, so that loads of one bot do not overtake each other.
    loading: Mutex<()>,
    /// The bot's share of the permits for slow guests, the same in every generation.
    slow_share: Arc<tokio::sync::Semaphore>,
}

/// What a bot serves with. Replaced under the lock, read by cloning one `Arc`.
struct Serving {
    /// As configured now, whether or not it could be loaded.
    spec: Arc<BotSpec>,
    current: Option<Arc<Generation>>,
    previous: Option<Arc<Generation>>,
    last_failure: Option<LoadFailure>,
}

/// Components, settings, grants and limits of a bot, as one immutable value.
pub struct Generation {
    /// Counts up from 1 with each generation of this bot in this process.
    pub number: u64,
    /// What it was built from.
    pub spec: Arc<BotSpec>,
    /// In the order of the configuration.
    pub plugins: Vec<Arc<Plugin>>,
    /// The routes of all plugins.
    pub routes: Routes,
    /// Whether any plugin owns dialogs or may touch those of others.
    pub has_dialogs: bool,
    /// The positions of the plugins that are middleware, outermost first.
    pub layers: Vec<usize>,
    /// Where each component came from, in the same order.
    sources: Vec<components::Source>,
    /// Since when each digest serves, in the same order.
    since: Vec<Timestamp>,
    built_at: Timestamp,
}

/// Why an operation on the registry did not happen.
#[derive(Debug)]
pub enum RegistryError {
    /// No bot of that name.
    UnknownBot(String),
    /// The bot has no plugin of that name.
    UnknownPlugin(String),
    /// The new generation is not fit to serve; every problem, one entry each. The old one goes on serving.
    Unfit(Vec<String>),
    /// There is no previous generation.
    NothingToRollBack,
    /// The host could not do it: disk, memory, a child process.
    Host(anyhow::Error),
}

impl Registry {
    /// Makes the registry. Nothing is loaded yet.
    pub fn new(config: &Config, runtime: Arc<Runtime>) -> anyhow::Result<Self> {
        let components = Components::open(&config.runtime.data_dir, config.runtime.component_bytes_max)?;
        Ok(Self::with(config, runtime, components))
    }

    /// Makes a registry that loads the configured files, whatever was deployed, and touches no data folder. Nothing is
    /// loaded yet; deploying and rolling back fail.
    pub fn of_files(config: &Config, runtime: Arc<Runtime>) -> Self {
        Self::with(config, runtime, Components::of_files(config.runtime.component_bytes_max))
    }

    fn with(config: &Config, runtime: Arc<Runtime>, components: Components) -> Self {
        let bots = config.bots.values().map(|spec| {
            let bot = Bot {
                name: spec.name.clone(),
                enabled: AtomicBool::new(spec.enabled),
                generations: AtomicU64::new(0),
                serving: RwLock::new(Serving {
                    spec: Arc::new(spec.clone()),
                    current: None,
                    previous: None,
                    last_failure: None,
                }),
                loading: Mutex::default(),
                slow_share: runtime.slow_share(),
            };
            (spec.name.clone(), Arc::new(bot))
        });
        Self {
            bots: bots.collect(),
            runtime,
            config_path: config.path.clone(),
            components,
            default_bot: config.default_bot.clone(),
        }
    }

    /// Returns all bots, by name.
    pub fn bots(&self) -> Vec<Arc<Bot>> {
        self.bots.values().cloned().collect()
    }

    /// Returns the bot of that name.
    pub fn bot(&self, name: &str) -> Option<Arc<Bot>> {
        self.bots.get(name).cloned()
    }

    /// Returns the bot of `POST /api/messages`.
    pub fn default_bot(&self) -> Option<Arc<Bot>> {
        self.bot(self.default_bot.as_deref()?)
    }

    /// Loads every bot as configured. A bot that cannot be loaded has a status that says why, and the others serve.
    pub async fn load_all(&self) {
        for bot in self.bots.values() {
            let spec = bot.read().spec.clone();
            // The outcome is in the bot's status and in the log.
            let _ = self.load(bot, spec, "start", &BTreeMap::new()).await;
        }
    }

    /// Reads the bot's section of the configuration and its components again, and swaps if anything changed.
    pub async fn reload(&self, bot: &str, cause: &'static str) -> Result<Swap, RegistryError> {
        let bot = self.existing(bot)?;
        let path = self.config_path.clone();
        let config = tokio::task::spawn_blocking(move || config::load(&path))
            .await
            .map_err(|error| RegistryError::Host(error.into()))?;
        let spec = match config {
            Ok(mut config) => config.bots.remove(&*bot.name).ok_or_else(|| {
                vec![format!("the configuration has no bot `{}` any more; restart the host to remove it", bot.name)]
            }),
            Err(problems) => Err(problems.to_string().lines().map(ToOwned::to_owned).collect()),
        };
        match spec {
            Ok(spec) => self.load(bot, Arc::new(spec), cause, &BTreeMap::new()).await,
            Err(problems) => Err(bot.failed(cause, RegistryError::Unfit(problems))),
        }
    }

    /// Swaps one component of a bot for these bytes. They serve across restarts, until the configured file changes.
    pub async fn deploy(&self, bot: &str, plugin: &str, component: Bytes) -> Result<Swap, RegistryError> {
        let bot = self.existing(bot)?;
        let spec = bot.read().spec.clone();
        if !spec.plugins.iter().any(|configured| *configured.name == *plugin) {
            return Err(RegistryError::UnknownPlugin(plugin.to_owned()));
        }
        let deployed = BTreeMap::from([(plugin.to_owned(), component)]);
        self.load(bot, spec, "deploy", &deployed).await
    }

    /// Loads and probes these bytes as a component of a bot, as `deploy` would, and changes nothing. `frames` are those
    /// on the stacks of the bot.
    pub async fn rehearse(
        &self,
        bot: &str,
        plugin: &str,
        component: Bytes,
        frames: Vec<(FrameTag, u64)>,
    ) -> Result<Rehearsal, RegistryError> {
        let bot = self.existing(bot)?;
        let spec = bot.read().spec.clone();
        let Some(configured) = spec.plugins.iter().find(|configured| *configured.name == *plugin) else {
            return Err(RegistryError::UnknownPlugin(plugin.to_owned()));
        };
        let probed = match self.plugin(bot, configured, component).await {
            Ok(probed) => probed,
            Err(LoadError::Host(error)) => return Err(RegistryError::Host(error)),
            Err(error) => return Err(RegistryError::Unfit(error.problems())),
        };
        Ok(Rehearsal::of(&bot.name, &probed, frames))
    }

    /// Swaps back to the previous generation; a second call swaps forward again.
    pub async fn roll_back(&self, bot: &str) -> Result<Swap, RegistryError> {
        let started = Instant::now();
        let bot = self.existing(bot)?;
        let _loading = bot.loading.lock().await;
        let target = bot.read().previous.clone().ok_or(RegistryError::NothingToRollBack)?;
        for (plugin, spec) in target.plugins.iter().zip(&target.spec.plugins) {
            self.components.pin(&bot.name, spec, &plugin.digest).await.map_err(RegistryError::Host)?;
        }
        let from = {
            let mut serving = bot.serving.write().unwrap_or_else(PoisonError::into_inner);
            let from = serving.current.replace(target.clone());
            serving.previous.clone_from(&from);
            from
        };
        Ok(bot.swapped("rollback", from.as_deref(), &target, started))
    }

    /// Enables or disables a bot. Turns already accepted go on.
    pub fn set_enabled(&self, bot: &str, enabled: bool) -> Result<(), RegistryError> {
        let bot = self.existing(bot)?;
        bot.enabled.store(enabled, Ordering::Release);
        tracing::info!(bot = %bot.name, enabled, "bot switched");
        Ok(())
    }

    fn existing(&self, name: &str) -> Result<&Arc<Bot>, RegistryError> {
        self.bots.get(name).ok_or_else(|| RegistryError::UnknownBot(name.to_owned()))
    }

    /// Builds a generation aside and swaps it in.
    async fn load(
        &self,
        bot: &Arc<Bot>,
        spec: Arc<BotSpec>,
        cause: &'static str,
        deployed: &BTreeMap<String, Bytes>,
    ) -> Result<Swap, RegistryError> {
        let started = Instant::now();
        let _loading = bot.loading.lock().await;
        let (plugins, sources) = match self.build(bot, &spec, deployed).await {
            Ok(built) => built,
            Err(error) => return Err(bot.failed(cause, error)),
        };
        let current = bot.generation();
        if let Some(current) = &current
            && current.spec == spec
            && current.plugins.iter().map(|plugin| &plugin.digest).eq(plugins.iter().map(|plugin| &plugin.digest))
        {
            bot.serving.write().unwrap_or_else(PoisonError::into_inner).last_failure = None;
            return Ok(Swap::unchanged(bot, current, started));
        }
        for (name, component) in deployed {
            if let Some(spec) = spec.plugins.iter().find(|spec| *spec.name == **name) {
                let kept = self.components.deploy(&bot.name, spec, component).await;
                kept.map_err(|error| bot.failed(cause, RegistryError::Host(error)))?;
            }
        }
        let generation = Arc::new(bot.generation_of(spec, plugins, sources, current.as_deref()));
        {
            let mut serving = bot.serving.write().unwrap_or_else(PoisonError::into_inner);
            serving.spec = generation.spec.clone();
            serving.previous = serving.current.replace(generation.clone());
            serving.last_failure = None;
        }
        Ok(bot.swapped(cause, current.as_deref(), &generation, started))
    }

    /// Loads and probes every plugin. The error lists the problems of all of them.
    async fn build(
        &self,
        bot: &Bot,
        spec: &BotSpec,
        deployed: &BTreeMap<String, Bytes>,
    ) -> Result<(Vec<Arc<Plugin>>, Vec<components::Source>), RegistryError> {
        let (mut plugins, mut sources, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        for plugin in &spec.plugins {
            let picked = match deployed.get(&*plugin.name) {
                Some(component) => Picked { component: component.clone(), source: components::Source::Deploy },
                None => match self.components.pick(&bot.name, plugin).await {
                    Ok(picked) => picked,
                    Err(error) => {
                        problems.push(format!("{}: {error:#}", plugin.name));
                        continue;
                    }
                },
            };
            match self.plugin(bot, plugin, picked.component).await {
                Ok(plugin) => {
                    plugins.push(Arc::new(plugin));
                    sources.push(picked.source);
                }
                Err(LoadError::Host(error)) => return Err(RegistryError::Host(error)),
                Err(error) => {
                    problems.extend(error.problems().into_iter().map(|why| format!("{}: {why}", plugin.name)));
                }
            }
        }
        if problems.is_empty() { Ok((plugins, sources)) } else { Err(RegistryError::Unfit(problems)) }
    }

    async fn plugin(&self, bot: &Bot, spec: &PluginSpec, component: Bytes) -> Result<Plugin, LoadError> {
        let code = self.runtime.load(component).await?;
        self.runtime.probe(&bot.name, code, spec, bot.slow_share.clone()).await
    }
}

impl Bot {
    /// Name in the configuration.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The generation that serves.
    pub fn generation(&self) -> Option<Arc<Generation>> {
        self.read().current.clone()
    }

    /// Whether activities are accepted.
    pub fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Acquire)
    }

    /// How long what is said is kept; what an earlier configuration kept goes by the default.
    pub fn transcripts(&self) -> KeptTranscripts {
        self.read().spec.transcripts.unwrap_or_default()
    }

    /// `notify-key-file` of the configuration.
    pub fn notify_key_file(&self) -> Option<PathBuf> {
        self.read().spec.notify_key_file.clone()
    }

    /// The app id, where the bot has one.
    pub fn app_id(&self) -> Option<String> {
        self.read().spec.app_id.clone()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Serving> {
        self.serving.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn generation_of(
        &self,
        spec: Arc<BotSpec>,
        plugins: Vec<Arc<Plugin>>,
        sources: Vec<components::Source>,
        current: Option<&Generation>,
    ) -> Generation {
        let now = Timestamp::now();
        let since = plugins.iter().map(|plugin| {
            let same = current.and_then(|current| {
                let position = current.plugins.iter().position(|old| old.name == plugin.name)?;
                (current.plugins.get(position)?.digest == plugin.digest)
                    .then(|| current.since.get(position).copied())?
            });
            same.unwrap_or(now)
        });
        Generation {
            number: self.generations.fetch_add(1, Ordering::Relaxed) + 1,
            since: since.collect(),
            routes: Routes::new(&plugins),
            layers: (0..plugins.len())
                .filter(|position| plugins.get(*position).is_some_and(|plugin| plugin.is_middleware()))
                .collect(),
            has_dialogs: plugins.iter().any(|plugin| plugin.grants.dialogs),
            spec,
            plugins,
            sources,
            built_at: now,
        }
    }

    /// Notes a failed load in the status and in the log, and passes the error on.
    fn failed(&self, cause: &'static str, error: RegistryError) -> RegistryError {
        let problems = match &error {
            RegistryError::Unfit(problems) => problems.clone(),
            other => vec![other.to_string()],
        };
        let serving = self.generation().map(|generation| generation.number);
        tracing::error!(bot = %self.name, cause, ?serving, problems = problems.join("; "), "load failed");
        telemetry::load_failed(&self.name, cause);
        self.serving.write().unwrap_or_else(PoisonError::into_inner).last_failure =
            Some(LoadFailure { at: Timestamp::now().to_string(), cause: cause.to_owned(), problems });
        error
    }

    fn swapped(&self, cause: &'static str, from: Option<&Generation>, to: &Generation, started: Instant) -> Swap {
        let swap = Swap::new(self, from, to, started);
        tracing::info!(bot = %self.name, cause, from = ?swap.from, to = swap.to, digests = swap.digests.join(" "),
            duration_ms = swap.duration_ms, "swapped");
        telemetry::swapped(&self.name, cause, started.elapsed());
        swap
    }
}

impl std::fmt::Display for RegistryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownBot(name) => write!(f, "there is no bot `{name}`"),
            Self::UnknownPlugin(name) => write!(f, "the bot has no plugin `{name}`"),
            Self::Unfit(problems) => write!(f, "not fit to serve: {}", problems.join("; ")),
            Self::NothingToRollBack => f.write_str("there is no previous generation to roll back to"),
            Self::Host(error) => write!(f, "the host could not do it: {error:#}"),
        }
    }
}

impl std::error::Error for RegistryError {}
