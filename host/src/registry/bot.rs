//! One bot: its serving generation, the previous one, and the outcome of its loads.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::Mutex;

use super::components::Source;
use super::routes::Routes;
use super::{LoadFailure, RegistryError, Swap};
use crate::config::{BotSpec, KeptTranscripts};
use crate::plugin::metrics::PluginMetrics;
use crate::plugin::{BotShare, Plugin};
use crate::telemetry;

/// A loaded plugin of a generation that is being built.
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
    /// Held from reading the configuration until the swap, so that loads of one bot run in order.
    pub(super) loading: Mutex<()>,
    /// What the plugins of all generations of the bot share.
    pub(super) share: BotShare,
}

/// The generations of a bot. Replaced under the lock, and read by cloning an `Arc`.
pub(super) struct Serving {
    /// The specification that was loaded last, or the configured one before the first load.
    pub(super) spec: Arc<BotSpec>,
    /// The specification in the configuration when it was read last, whether or not it could be loaded.
    pub(super) configured: Arc<BotSpec>,
    pub(super) current: Option<Arc<Generation>>,
    pub(super) previous: Option<Arc<Generation>>,
    pub(super) last_failure: Option<LoadFailure>,
}

/// Components, settings, grants and limits of a bot, as one immutable value.
pub struct Generation {
    /// Counts the generations of this bot in this process, from 1.
    pub number: u64,
    /// The specification from which the generation was built.
    pub spec: Arc<BotSpec>,
    /// The plugins in the order of the configuration.
    pub plugins: Vec<Arc<Plugin>>,
    /// The routes of all plugins.
    pub routes: Routes,
    /// True if any plugin owns dialogs or may access those of other plugins.
    pub has_dialogs: bool,
    /// Indexes of the plugins that are middleware, outermost first.
    pub layers: Vec<usize>,
    /// Metrics of the calls of the bridged bot, if there is one.
    pub bridge_metrics: PluginMetrics,
    /// The origin of each component, in the order of the plugins.
    pub(super) sources: Vec<Source>,
    /// The time since which each digest serves, in the order of the plugins.
    pub(super) since: Vec<Timestamp>,
    pub(super) built_at: Timestamp,
}

impl Bot {
    /// Returns a bot without a generation.
    pub(super) fn new(spec: &BotSpec, share: BotShare) -> Self {
        let configured = Arc::new(spec.clone());
        let serving =
            Serving { spec: configured.clone(), configured, current: None, previous: None, last_failure: None };
        Self {
            name: spec.name.clone(),
            enabled: AtomicBool::new(spec.enabled),
            generations: AtomicU64::new(0),
            serving: RwLock::new(serving),
            loading: Mutex::default(),
            share,
        }
    }

    /// Returns the name in the configuration.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Returns the serving generation, if any.
    pub fn generation(&self) -> Option<Arc<Generation>> {
        self.read().current.clone()
    }

    /// Returns whether activities are accepted.
    pub fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Acquire)
    }

    /// Returns the retention of transcripts. If the present configuration keeps none, older ones get the default
    /// retention.
    pub fn transcripts(&self) -> KeptTranscripts {
        self.read().spec.transcripts.unwrap_or_default()
    }

    /// Returns `notify-key-file` of the configuration.
    pub fn notify_key_file(&self) -> Option<PathBuf> {
        self.read().spec.notify_key_file.clone()
    }

    /// Returns whether the bot has an `app-id`, so that its callers must prove who they are.
    pub fn is_registered(&self) -> bool {
        self.read().spec.registration.is_some()
    }

    pub(super) fn switch(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::Release);
        tracing::info!(bot = %self.name, enabled, "bot switched");
    }

    /// Stores the specification read from the configuration. If its `enabled` changed, the change overrides an earlier
    /// switch by an operator.
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
        self.serving.write()
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Serving> {
        self.serving.read()
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
            bridge_metrics: PluginMetrics::default(),
            has_dialogs: plugins.iter().any(|plugin| plugin.grants.dialogs),
            spec,
            plugins,
            sources,
            built_at: now,
        }
    }

    /// Records a failed load in the status and the log, and returns the error.
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
