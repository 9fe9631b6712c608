//! What the admin API and the command line show of bots, loads and swaps.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Bot, Generation};
use crate::channel::RefusedOrigin;

/// Status of a bot.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// When the serving generation was built, RFC 3339.
    pub serving_since: Option<String>,
    /// Why the newest load failed; the older generation, if any, goes on serving.
    pub last_failure: Option<LoadFailure>,
    /// The plugins of the serving generation, or of the configuration where none serves.
    pub plugins: Vec<PluginStatus>,
    /// Where replies should have gone and may not: `channel.connector-origins` does not list it.
    #[serde(default)]
    pub refused_origins: Vec<RefusedOrigin>,
}

/// A load that failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoadFailure {
    /// When, RFC 3339.
    pub at: String,
    /// What caused the load: `start`, `watch`, `reload` or `deploy`.
    pub cause: String,
    /// Every problem found, one entry each.
    pub problems: Vec<String>,
}

/// Status of one plugin.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// Where the component comes from: `file`, or `deploy` (which a rollback counts as).
    pub source: String,
}

/// A swap that happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Swap {
    /// The bot.
    pub bot: String,
    /// The generation that served before.
    pub from: Option<u64>,
    /// The generation that serves now. Equal to `from` when nothing had changed.
    pub to: u64,
    /// Digests that served before, in order.
    pub from_digests: Vec<String>,
    /// Digest of each plugin now, in order.
    pub digests: Vec<String>,
    /// From request to swap.
    pub duration_ms: f64,
}

impl Swap {
    pub(super) fn new(bot: &Bot, from: Option<&Generation>, to: &Generation, started: Instant) -> Self {
        let digests =
            |generation: &Generation| generation.plugins.iter().map(|plugin| plugin.digest.to_string()).collect();
        Self {
            bot: bot.name.to_string(),
            from: from.map(|generation| generation.number),
            to: to.number,
            from_digests: from.map(digests).unwrap_or_default(),
            digests: digests(to),
            duration_ms: (started.elapsed().as_secs_f64() * 1e6).round() / 1e3,
        }
    }

    pub(super) fn unchanged(bot: &Bot, current: &Generation, started: Instant) -> Self {
        Self::new(bot, Some(current), current, started)
    }
}

impl Bot {
    /// What the admin API shows, but for the refused origins, which the channel knows.
    pub fn status(&self) -> BotStatus {
        let serving = self.read();
        let current = serving.current.as_deref();
        let plugins = match current {
            Some(generation) => generation.plugin_status(),
            None => serving.spec.plugins.iter().map(|spec| PluginStatus::unloaded(&spec.name)).collect(),
        };
        BotStatus {
            name: self.name.to_string(),
            title: serving.spec.title.clone(),
            enabled: self.is_enabled(),
            generation: current.map(|generation| generation.number),
            previous_generation: serving.previous.as_ref().map(|generation| generation.number),
            serving_since: current.map(|generation| generation.built_at.to_string()),
            last_failure: serving.last_failure.clone(),
            plugins,
            refused_origins: Vec::new(),
        }
    }
}

impl Generation {
    fn plugin_status(&self) -> Vec<PluginStatus> {
        let rows = self.plugins.iter().zip(&self.sources).zip(&self.since);
        rows.map(|((plugin, source), since)| PluginStatus {
            name: plugin.name.to_string(),
            digest: Some(plugin.digest.to_string()),
            describes: Some(format!("{} {}", plugin.manifest.name, plugin.manifest.version)),
            bytes: Some(plugin.code.bytes),
            since: Some(since.to_string()),
            source: source.label().to_owned(),
        })
        .collect()
    }
}

impl PluginStatus {
    fn unloaded(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            digest: None,
            describes: None,
            bytes: None,
            since: None,
            source: "file".to_owned(),
        }
    }
}

/// What a deployment would do, found out without doing it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rehearsal {
    /// The bot.
    pub bot: String,
    /// The plugin.
    pub plugin: String,
    /// `sha256:…` of the component.
    pub digest: String,
    /// The dialogs of the plugin that wait, with what would become of them.
    pub waiting: Vec<WaitingFrames>,
}

/// Dialog frames of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingFrames {
    /// The dialog.
    pub dialog: String,
    /// The version of their state.
    pub state_version: u64,
    /// How many wait.
    pub count: u64,
    /// `continue`; `migrate`; `restore` (the older state that a migration left serves again); `hold` (by the bot's
    /// `on-newer`); `reset` (the user is told); `fail` (the component breaks on it); `not tried`.
    pub becomes: String,
    /// Why, where it is reset, fails or was not tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}
