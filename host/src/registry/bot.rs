//! One bot: what serves it, what served before, what became of its loads.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{Mutex, Semaphore};

use super::components::Source;
use super::{LoadFailure, RegistryError, Swap};
use crate::config::{BotSpec, KeptTranscripts};
use crate::plugin::Plugin;
use crate::telemetry;
use crate::turn::routes::Routes;

/// A plugin of a generation in the making.
pub(super) struct Built {
    pub(super) plugin: Arc<Plugin>,
    pub(super) source: Source,
    pub(super) component: Bytes,
}

/// One bot.
pub struct Bot {
    pub(super) name: Arc<str>,
    enabled: AtomicBool,
    generations: AtomicU64,
    serving: RwLock<Serving>,
    /// Held from before the configuration is read to the swap, so that loads of one bot do not overtake each other.
    pub(super) loading: Mutex<()>,
    /// The bot's share of the permits for slow guests, the same in every generation.
    pub(super) slow_share: Arc<Semaphore>,
}

/// What a bot serves with. Replaced under the lock, read by cloning one `Arc`.
pub(super) struct Serving {
    /// As it was loaded last; before that, as configured.
    pub(super) spec: Arc<BotSpec>,
    /// As the configuration had it when it was read last, whether or not that could be loaded.
    pub(super) configured: Arc<BotSpec>,
    pub(super) current: Option<Arc<Generation>>,
    pub(super) previous: Option<Arc<Generation>>,
    pub(super) last_failure: Option<LoadFailure>,
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
    pub(super) sources: Vec<Source>,
    /// Since when each digest serves, in the same order.
    pub(super) since: Vec<Timestamp>,
    pub(super) built_at: Timestamp,
}

impl Bot {
    /// Makes a bot that serves nothing yet.
    pub(super) fn new(spec: &BotSpec, slow_share: Arc<Semaphore>) -> Self {
        let configured = Arc::new(spec.clone());
        let serving =
            Serving { spec: configured.clone(), configured, current: None, previous: None, last_failure: None };
        Self {
            name: spec.name.clone(),
            enabled: AtomicBool::new(spec.enabled),
            generations: AtomicU64::new(0),
            serving: RwLock::new(serving),
            loading: Mutex::default(),
            slow_share,
        }
    }

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

    pub(super) fn switch(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::Release);
        tracing::info!(bot = %self.name, enabled, "bot switched");
    }

    /// Notes what the configuration says now. Where it says otherwise than before whether the bot is enabled, that counts
    /// more than what an operator switched meanwhile.
    pub(super) fn configure(&self, spec: &Arc<BotSpec>) {
        let before = {
            let mut serving = self.write();
            std::mem::replace(&mut serving.configured, spec.clone())
        };
        if before.enabled != spec.enabled {
            self.switch(spec.enabled);
        }
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Serving> {
        self.serving.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Serving> {
        self.serving.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn generation_of(
        &self,
        spec: Arc<BotSpec>,
        built: Vec<Built>,
        current: Option<&Generation>,
    ) -> Generation {
        let (plugins, sources): (Vec<_>, Vec<_>) = built.into_iter().map(|built| (built.plugin, built.source)).unzip();
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
    pub(super) fn failed(&self, cause: &'static str, error: RegistryError) -> RegistryError {
        let problems = match &error {
            RegistryError::Unfit(problems) => problems.clone(),
            other => vec![other.to_string()],
        };
        let serving = self.generation().map(|generation| generation.number);
        tracing::error!(bot = %self.name, cause, serving, problems = problems.join("; "), "load failed");
        telemetry::load_failed(&self.name, cause);
        self.write().last_failure =
            Some(LoadFailure { at: Timestamp::now().to_string(), cause: cause.to_owned(), problems });
        error
    }

    pub(super) fn swapped(
        &self,
        cause: &'static str,
        from: Option<&Generation>,
        to: &Generation,
        started: Instant,
    ) -> Swap {
        let swap = Swap::new(self, from, to, started);
        tracing::info!(bot = %self.name, cause, from = swap.from, to = swap.to, digests = swap.digests.join(" "),
            duration_ms = swap.duration_ms, "swapped");
        telemetry::swapped(&self.name, cause, started.elapsed());
        swap
    }
}
