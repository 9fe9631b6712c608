//! Bots by name: the generation that serves, the one before it, and what became of every load.
//!
//! A new generation is built aside while the old one serves, and then replaces one pointer. Turns in flight keep the
//! generation they started with. Any failure leaves the running generation serving and shows as a status.

pub mod watch;

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::config::BotSpec;
use crate::plugin::Plugin;

/// All bots of the host.
pub struct Registry {}

/// One bot.
pub struct Bot {}

/// Components, settings, grants and limits of a bot, as one immutable value.
pub struct Generation {
    /// Counts up from 1 with each swap of this bot in this process.
    pub number: u64,
    /// What it was built from.
    pub spec: Arc<BotSpec>,
    /// In the order of the configuration.
    pub plugins: Vec<Arc<Plugin>>,
}

/// Status of a bot, as the admin API and the command line show it.
#[derive(Debug, Clone, Serialize)]
pub struct BotStatus {
    /// Name in the configuration.
    pub name: String,
    /// Title for people.
    pub title: String,
    /// False: activities answer 503.
    pub enabled: bool,
    /// The generation that serves, or none.
    pub generation: Option<u64>,
    /// The generation that a rollback would restore, or none.
    pub previous_generation: Option<u64>,
    /// Since when it serves, RFC 3339.
    pub serving_since: Option<String>,
    /// Why the newest load failed; the older generation, if any, goes on serving.
    pub last_failure: Option<LoadFailure>,
    /// The plugins of the serving generation, or of the configuration where none serves.
    pub plugins: Vec<PluginStatus>,
}

/// A load that failed.
#[derive(Debug, Clone, Serialize)]
pub struct LoadFailure {
    /// When, RFC 3339.
    pub at: String,
    /// What caused the load: `start`, `watch`, `reload`, `deploy`, `rollback`.
    pub cause: String,
    /// Every problem found, one entry each.
    pub problems: Vec<String>,
}

/// Status of one plugin.
#[derive(Debug, Clone, Serialize)]
pub struct PluginStatus {
    /// Name in the configuration.
    pub name: String,
    /// `sha256:` and 64 hexadecimal digits, of the component that serves.
    pub digest: Option<String>,
    /// `name` and `version` of the manifest.
    pub describes: Option<String>,
    /// Bytes of the component.
    pub bytes: Option<u64>,
    /// Since when this digest serves, RFC 3339.
    pub since: Option<String>,
    /// Where the component came from: `file` or `deploy`.
    pub source: String,
}

/// A swap that happened.
#[derive(Debug, Clone, Serialize)]
pub struct Swap {
    /// The bot.
    pub bot: String,
    /// The generation that served before.
    pub from: Option<u64>,
    /// The generation that serves now. Equal to `from` when nothing had changed.
    pub to: u64,
    /// Digest of each plugin now, in order.
    pub digests: Vec<String>,
    /// From request to swap.
    pub duration_ms: f64,
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
    /// Returns all bots, by name.
    pub fn bots(&self) -> Vec<Arc<Bot>> {
        todo!()
    }
    /// Returns the bot of that name.
    pub fn bot(&self, _name: &str) -> Option<Arc<Bot>> {
        todo!()
    }
    /// Returns the bot of `POST /api/messages`.
    pub fn default_bot(&self) -> Option<Arc<Bot>> {
        todo!()
    }
    /// Reads the bot's section of the configuration and its components again, and swaps if anything changed.
    pub async fn reload(&self, _bot: &str, _cause: &str) -> Result<Swap, RegistryError> {
        todo!()
    }
    /// Swaps one component of a bot for these bytes, kept across restarts until the configured file changes.
    pub async fn deploy(&self, _bot: &str, _plugin: &str, _component: Bytes) -> Result<Swap, RegistryError> {
        todo!()
    }
    /// Swaps back to the previous generation; a second call swaps forward again.
    pub async fn roll_back(&self, _bot: &str) -> Result<Swap, RegistryError> {
        todo!()
    }
    /// Enables or disables a bot. Turns already accepted go on.
    pub fn set_enabled(&self, _bot: &str, _enabled: bool) -> Result<(), RegistryError> {
        todo!()
    }
}

impl Bot {
    /// Name in the configuration.
    pub fn name(&self) -> &Arc<str> {
        todo!()
    }
    /// The generation that serves.
    pub fn generation(&self) -> Option<Arc<Generation>> {
        todo!()
    }
    /// Whether activities are accepted.
    pub fn is_enabled(&self) -> bool {
        todo!()
    }
    /// What the admin API shows.
    pub fn status(&self) -> BotStatus {
        todo!()
    }
    /// `app-id` of the configuration.
    pub fn app_id(&self) -> Option<String> {
        todo!()
    }
}
