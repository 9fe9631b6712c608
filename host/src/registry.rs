//! The bots by name: the serving generation, the previous one, and the outcome of every load.
//!
//! A new generation is built while the old one serves, and then replaces it with one pointer swap. Turns in flight keep
//! the generation with which they started. If a load fails, the old generation continues to serve and the status shows
//! why.

mod bot;
mod components;
mod routes;
mod status;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::MutexGuard;
use turntable_auth::Auth;

use self::bot::Built;
pub use self::bot::{Bot, Generation};
use self::components::{Components, Picked, Source};
pub(crate) use self::routes::Match;
pub use self::routes::Routes;
pub use self::status::{BotStatus, LoadFailure, PluginStatus, Rehearsal, Swap, WaitingFrames};
use crate::config::{self, BotSpec, Config, Overrides, PluginSpec};
use crate::plugin::{LoadError, Plugin, Runtime};

/// All bots of the host. The set of bots is fixed at start; their generations change.
pub struct Registry {
    runtime: Arc<Runtime>,
    config_path: PathBuf,
    overrides: Overrides,
    components: Components,
    bots: BTreeMap<Arc<str>, Arc<Bot>>,
    default_bot: Option<String>,
    /// The identities of the bots. None in a host that nobody calls.
    auth: Option<Arc<Auth>>,
    /// Bots of the configuration that came after the start, as far as the log has said so.
    told_of: parking_lot::Mutex<BTreeSet<String>>,
}

/// Why an operation on the registry failed.
#[derive(Debug)]
pub enum RegistryError {
    /// There is no bot of that name.
    UnknownBot(String),
    /// The bot has no plugin of that name.
    UnknownPlugin {
        /// The requested name.
        plugin: String,
        /// The names of the existing plugins.
        known: Vec<String>,
    },
    /// The new generation cannot serve, with one entry per problem. The old one continues to serve.
    Unfit(Vec<String>),
    /// There is no previous generation.
    NothingToRollBack,
    /// The host failed: disk, memory or a child process.
    Host(anyhow::Error),
}

impl Registry {
    /// Returns a registry that has not loaded any bot.
    pub fn new(config: &Config, runtime: Arc<Runtime>) -> anyhow::Result<Self> {
        let components = Components::open(&config.runtime.data_dir, config.runtime.component_bytes_max)?;
        Ok(Self::with(config, runtime, components))
    }

    /// Returns a registry that loads the configured files only, ignores deployed components and does not use the data
    /// folder. No bot is loaded yet. Deployments and rollbacks fail.
    pub fn of_files(config: &Config, runtime: Arc<Runtime>) -> Self {
        Self::with(config, runtime, Components::of_files(config.runtime.component_bytes_max))
    }

    /// Keeps the identities of the bots in `auth`, as configured now and after each load.
    ///
    /// # Errors
    /// An identity cannot be created.
    pub fn authenticated_by(mut self, auth: Arc<Auth>) -> anyhow::Result<Self> {
        for bot in self.bots.values() {
            auth.register(&bot.name, bot.read().spec.registration.as_ref())?;
        }
        self.auth = Some(auth);
        Ok(self)
    }

    fn with(config: &Config, runtime: Arc<Runtime>, components: Components) -> Self {
        let bots = config.bots.values().map(|spec| {
            let bot = Bot::new(spec, runtime.share());
            (spec.name.clone(), Arc::new(bot))
        });
        Self {
            bots: bots.collect(),
            runtime,
            config_path: config.path.clone(),
            overrides: config.overrides,
            components,
            default_bot: config.default_bot.clone(),
            auth: None,
            told_of: parking_lot::Mutex::default(),
        }
    }

    /// Returns all bots, in the order of their names.
    pub fn bots(&self) -> Vec<Arc<Bot>> {
        self.bots.values().cloned().collect()
    }

    /// Returns the bot of that name.
    pub fn bot(&self, name: &str) -> Option<Arc<Bot>> {
        self.bots.get(name).cloned()
    }

    /// Returns the bot that serves `POST /api/messages`.
    pub fn default_bot(&self) -> Option<Arc<Bot>> {
        self.bot(self.default_bot.as_deref()?)
    }

    /// Returns the files that bots depend on, each with its bots: the configuration and the components.
    pub fn files(&self) -> BTreeMap<PathBuf, BTreeSet<Arc<str>>> {
        let mut files: BTreeMap<PathBuf, BTreeSet<Arc<str>>> = BTreeMap::new();
        for (name, bot) in &self.bots {
            let configured = bot.read().configured.clone();
            let components = configured.plugins.iter().map(|plugin| &plugin.component);
            for file in components.chain([&self.config_path]) {
                files.entry(file.clone()).or_default().insert(name.clone());
            }
        }
        files
    }

    /// Loads every bot as configured. If a bot cannot be loaded, its status says why, and the others serve.
    pub async fn load_all(&self) {
        for bot in self.bots.values() {
            let loading = bot.loading.lock().await;
            let spec = bot.read().spec.clone();
            // The outcome is recorded in the status of the bot and in the log.
            let _ = self.load(bot, &loading, spec, "start", &BTreeMap::new()).await;
        }
    }

    /// Reads the bot's section of the configuration and its components again, and swaps if anything changed. If
    /// `enabled` changed in the configuration, the bot is switched accordingly.
    pub async fn reload(&self, bot: &str, cause: &'static str) -> Result<Swap, RegistryError> {
        let bot = self.existing(bot)?;
        let loading = bot.loading.lock().await;
        match self.read_spec(bot).await? {
            Ok(spec) => {
                bot.configure(&spec);
                self.load(bot, &loading, spec, cause, &BTreeMap::new()).await
            }
            Err(problems) => Err(bot.failed(cause, RegistryError::Unfit(problems))),
        }
    }

    /// Deploys one component of a bot. It serves until the configured file changes, also after restarts.
    pub async fn deploy(&self, bot: &str, plugin: &str, component: Bytes) -> Result<Swap, RegistryError> {
        let bot = self.existing(bot)?;
        let loading = bot.loading.lock().await;
        let spec = bot.read().spec.clone();
        spec_of(&spec, plugin)?;
        let deployed = BTreeMap::from([(plugin.to_owned(), component)]);
        self.load(bot, &loading, spec, "deploy", &deployed).await
    }

    /// Loads and probes these bytes as a component of a bot, as `deploy` would, and changes nothing. Returns the plugin that
    /// they would be, and what the bot is made of.
    pub(crate) async fn try_out(
        &self,
        bot: &str,
        plugin: &str,
        component: Bytes,
    ) -> Result<(Arc<Plugin>, Arc<BotSpec>), RegistryError> {
        let bot = self.existing(bot)?;
        let spec = bot.read().spec.clone();
        match self.plugin(bot, spec_of(&spec, plugin)?, component).await {
            Ok(plugin) => Ok((Arc::new(plugin), spec)),
            Err(LoadError::Host(error)) => Err(RegistryError::Host(error)),
            Err(error) => Err(RegistryError::Unfit(error.problems())),
        }
    }

    /// Restores the previous generation. A second call restores the newer one.
    pub async fn roll_back(&self, bot: &str) -> Result<Swap, RegistryError> {
        let started = Instant::now();
        let bot = self.existing(bot)?;
        let _loading = bot.loading.lock().await;
        let _keeping = self.components.lock().await;
        let target = bot.read().previous.clone().ok_or(RegistryError::NothingToRollBack)?;
        for (plugin, spec) in target.plugins.iter().zip(&target.spec.plugins) {
            self.components.pin(&bot.name, spec, &plugin.digest).await.map_err(RegistryError::Host)?;
        }
        let from = {
            let mut serving = bot.write();
            let from = serving.current.replace(target.clone());
            serving.previous.clone_from(&from);
            from
        };
        Ok(bot.swapped("rollback", from.as_deref(), &target, started))
    }

    /// Enables or disables a bot. Turns that were already accepted continue.
    pub fn set_enabled(&self, bot: &str, enabled: bool) -> Result<(), RegistryError> {
        self.existing(bot)?.switch(enabled);
        Ok(())
    }

    fn existing(&self, name: &str) -> Result<&Arc<Bot>, RegistryError> {
        self.bots.get(name).ok_or_else(|| RegistryError::UnknownBot(name.to_owned()))
    }

    /// Reads the present configuration of a bot. The inner error lists its problems.
    async fn read_spec(&self, bot: &Bot) -> Result<Result<Arc<BotSpec>, Vec<String>>, RegistryError> {
        let (path, overrides, name) = (self.config_path.clone(), self.overrides, bot.name.clone());
        let read = move || {
            let mut config = config::load_for_bot(&path, overrides, &name).map_err(|problems| problems.lines())?;
            let spec = config.bots.remove(&*name).map(Arc::new).ok_or_else(|| {
                vec![format!("bot `{name}` was removed from the configuration; restart the host to stop serving it")]
            });
            Ok((spec?, config.bots))
        };
        let read = tokio::task::spawn_blocking(read).await.map_err(|error| RegistryError::Host(error.into()))?;
        Ok(read.map(|(spec, others)| {
            self.tell_of_new_bots(others.keys());
            spec
        }))
    }

    /// Warns once about each bot that is in the configuration but not in this registry.
    fn tell_of_new_bots<'a>(&self, names: impl Iterator<Item = &'a String>) {
        let mut told = self.told_of.lock();
        for name in names.filter(|name| !self.bots.contains_key(name.as_str())) {
            if told.insert(name.clone()) {
                tracing::warn!(bot = name, "the configuration has a new bot; restart the host to serve it");
            }
        }
    }

    /// Builds a generation and swaps it in. The caller must hold the bot's `loading` lock.
    async fn load(
        &self,
        bot: &Arc<Bot>,
        _loading: &MutexGuard<'_, ()>,
        spec: Arc<BotSpec>,
        cause: &'static str,
        deployed: &BTreeMap<String, Bytes>,
    ) -> Result<Swap, RegistryError> {
        let started = Instant::now();
        let built = match self.build(bot, &spec, deployed).await {
            Ok(built) => built,
            Err(error) => return Err(bot.failed(cause, error)),
        };
        // Until the swap is done, stored components must not be removed as unused.
        let _keeping = self.components.lock().await;
        if let Err(error) = self.keep(bot, &spec, &built).await {
            return Err(bot.failed(cause, RegistryError::Host(error)));
        }
        let current = bot.generation();
        if let Some(current) = &current
            && current.spec == spec
            && current.plugins.iter().map(|plugin| &plugin.digest).eq(built.iter().map(|built| &built.plugin.digest))
        {
            bot.write().last_failure = None;
            return Ok(Swap::unchanged(bot, current, started));
        }
        let generation = Arc::new(bot.generation_of(spec, built, current.as_deref()));
        self.register(bot, &generation.spec);
        {
            let mut serving = bot.write();
            serving.spec = generation.spec.clone();
            serving.previous = serving.current.replace(generation.clone());
            serving.last_failure = None;
        }
        let swap = bot.swapped(cause, current.as_deref(), &generation, started);
        self.components.tidy(self.digests()).await;
        Ok(swap)
    }

    /// Gives the bot the identity of a specification. Without one it takes no activity that needs it.
    fn register(&self, bot: &Bot, spec: &BotSpec) {
        let registered = self.auth.as_ref().map(|auth| auth.register(&bot.name, spec.registration.as_ref()));
        if let Some(Err(error)) = registered {
            tracing::error!(bot = %bot.name, error = %format!("{error:#}"), "the bot has no identity and answers 503");
        }
    }

    /// Stores the components of a generation, so that a rollback works after a restart, and pins deployed ones.
    async fn keep(&self, bot: &Bot, spec: &BotSpec, built: &[Built]) -> anyhow::Result<()> {
        for (spec, Built { plugin, source, component }) in spec.plugins.iter().zip(built) {
            let kept = self.components.keep(&plugin.digest, component).await;
            match source {
                Source::Deploy => {
                    kept?;
                    self.components.pin(&bot.name, spec, &plugin.digest).await?;
                }
                Source::File => {
                    if let Err(error) = kept {
                        tracing::warn!(bot = %bot.name, plugin = %spec.name, error = %format!("{error:#}"),
                            "the component could not be stored; a later rollback to it will not survive a restart");
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns the digests of all components that serve or that a rollback would restore.
    fn digests(&self) -> BTreeSet<Arc<str>> {
        let generations = self.bots.values().flat_map(|bot| {
            let serving = bot.read();
            [serving.current.clone(), serving.previous.clone()].into_iter().flatten()
        });
        generations
            .flat_map(|generation| generation.plugins.iter().map(|plugin| plugin.digest.clone()).collect::<Vec<_>>())
            .collect()
    }

    /// Loads and probes every plugin. The error lists the problems of all plugins.
    async fn build(
        &self,
        bot: &Bot,
        spec: &BotSpec,
        deployed: &BTreeMap<String, Bytes>,
    ) -> Result<Vec<Built>, RegistryError> {
        let (mut built, mut problems) = (Vec::new(), Vec::new());
        for plugin in &spec.plugins {
            let picked = match deployed.get(&*plugin.name) {
                Some(component) => Picked { component: component.clone(), source: Source::Deploy },
                None => match self.components.pick(&bot.name, plugin).await {
                    Ok(picked) => picked,
                    Err(error) => {
                        problems.push(format!("{}: {error:#}", plugin.name));
                        continue;
                    }
                },
            };
            let Picked { component, source } = picked;
            match self.plugin(bot, plugin, component.clone()).await {
                Ok(plugin) => built.push(Built { plugin: Arc::new(plugin), source, component }),
                Err(LoadError::Host(error)) => return Err(RegistryError::Host(error)),
                Err(error) => {
                    problems.extend(error.problems().into_iter().map(|why| format!("{}: {why}", plugin.name)));
                }
            }
        }
        if problems.is_empty() { Ok(built) } else { Err(RegistryError::Unfit(problems)) }
    }

    async fn plugin(&self, bot: &Bot, spec: &PluginSpec, component: Bytes) -> Result<Plugin, LoadError> {
        let code = self.runtime.load(component).await?;
        self.runtime.probe(&bot.name, code, spec, bot.share.clone()).await
    }
}

/// Returns the plugin of that name.
fn spec_of<'a>(bot: &'a BotSpec, plugin: &str) -> Result<&'a PluginSpec, RegistryError> {
    bot.plugins.iter().find(|spec| *spec.name == *plugin).ok_or_else(|| RegistryError::UnknownPlugin {
        plugin: plugin.to_owned(),
        known: bot.plugins.iter().map(|spec| spec.name.to_string()).collect(),
    })
}

impl std::fmt::Display for RegistryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownBot(name) => write!(f, "there is no bot `{name}`"),
            Self::UnknownPlugin { plugin, known } => {
                write!(f, "the bot has no plugin `{plugin}`; it has {}", known.join(", "))
            }
            Self::Unfit(problems) => write!(f, "not fit to serve: {}", problems.join("; ")),
            Self::NothingToRollBack => f.write_str("there is no previous generation to roll back to"),
            Self::Host(error) => write!(f, "the host failed: {error:#}"),
        }
    }
}

impl std::error::Error for RegistryError {}
