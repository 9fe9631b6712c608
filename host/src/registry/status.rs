//! Status of bots, loads and swaps, for the admin API and the command line.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Bot, Generation};
use crate::channel::RefusedOrigin;
use crate::config::Bridge;

/// Status of a bot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BotStatus {
    /// Name in the configuration.
    pub name: String,
    /// Title for people.
    pub title: String,
    /// False if activities are answered 503.
    pub enabled: bool,
    /// Number of the serving generation, or none.
    pub generation: Option<u64>,
    /// Number of the generation that a rollback would restore, or none.
    pub previous_generation: Option<u64>,
    /// Time at which the serving generation was built, RFC 3339.
    pub serving_since: Option<String>,
    /// The newest failed load, if no later load succeeded. An older generation, if any, continues to serve.
    pub last_failure: Option<LoadFailure>,
    /// The plugins of the serving generation, or of the configuration if none serves.
    pub plugins: Vec<PluginStatus>,
    /// Origins to which replies were not sent, because `channel.connector-origins` does not list them.
    #[serde(default)]
    pub refused_origins: Vec<RefusedOrigin>,
}

/// A failed load.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoadFailure {
    /// Time of the failure, RFC 3339.
    pub at: String,
    /// What caused the load: `start`, `watch`, `reload` or `deploy`.
    pub cause: String,
    /// The problems, one entry each.
    pub problems: Vec<String>,
}

/// Status of one plugin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PluginStatus {
    /// Name in the configuration.
    pub name: String,
    /// `sha256:` and 64 hexadecimal digits: the digest of the serving component.
    pub digest: Option<String>,
    /// `name` and `version` of the manifest.
    pub describes: Option<String>,
    /// Size of the component in bytes.
    pub bytes: Option<u64>,
    /// Time since which this digest serves, RFC 3339.
    pub since: Option<String>,
    /// Origin of the component: `file`, or `deploy`, which includes rollbacks; `bridge` for a bridged bot, which has none.
    pub source: String,
}

/// A completed swap.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Swap {
    /// The bot.
    pub bot: String,
    /// Number of the generation that served before.
    pub from: Option<u64>,
    /// Number of the generation that serves now. Equal to `from` if nothing changed.
    pub to: u64,
    /// Digests that served before, in the order of the plugins.
    pub from_digests: Vec<String>,
    /// Digests that serve now, in the order of the plugins.
    pub digests: Vec<String>,
    /// Time from the request to the swap.
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
    /// Returns the status without the refused origins, which only the channel knows.
    pub fn status(&self) -> BotStatus {
        let serving = self.read();
        let current = serving.current.as_deref();
        let plugins = match current {
            Some(generation) => generation.plugin_status(),
            None => {
                let bridge = serving.spec.bridge.as_deref().map(PluginStatus::of_bridge);
                let plugins = serving.spec.plugins.iter().map(|spec| PluginStatus::unloaded(&spec.name));
                plugins.chain(bridge).collect()
            }
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
        .chain(self.spec.bridge.as_deref().map(PluginStatus::of_bridge))
        .collect()
    }
}

impl PluginStatus {
    /// Returns the status of a bridged bot, which has no component.
    fn of_bridge(bridge: &Bridge) -> Self {
        let describes = Some(format!("bridge to {}", bridge.url));
        Self { describes, source: "bridge".to_owned(), ..Self::unloaded(&bridge.name) }
    }

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

/// Result of a dry run of a deployment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rehearsal {
    /// The bot.
    pub bot: String,
    /// The plugin.
    pub plugin: String,
    /// Digest of the component, `sha256:…`.
    pub digest: String,
    /// The waiting dialogs of the plugin, with their fates.
    pub waiting: Vec<WaitingFrames>,
}

/// Waiting dialog frames with the same dialog, state version and fate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingFrames {
    /// Id of the dialog.
    pub dialog: String,
    /// Version of the state of the frames.
    pub state_version: u64,
    /// Number of frames.
    pub count: u64,
    /// The fate: `continue`; `migrate`; `restore` (the older state that a migration left is used again); `hold` (see
    /// the bot's `on-newer`); `reset` (the user is told); `fail` (the component fails on the state); `not tried`.
    pub becomes: String,
    /// The reason for `reset`, `fail` and `not tried`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}
