//! File changes become coalesced reload requests. Knows nothing of Wasm.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Registry;
use crate::config::Config;

/// A change is acted on when nothing has changed for this long, so that saving five times reloads once …
const QUIET: Duration = Duration::from_millis(120);
/// … but no later than this after the first change.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Watches the configuration and its components until it is dropped.
pub struct Watch {
    _watcher: RecommendedWatcher,
}

/// Starts watching. Folders are watched, not files: editors and compilers replace files.
pub fn start(config: &Config, registry: Arc<Registry>, runtime: &tokio::runtime::Handle) -> anyhow::Result<Watch> {
    let mut bots_of: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    for (name, bot) in &config.bots {
        for plugin in &bot.plugins {
            bots_of.entry(canonical(&plugin.component)).or_default().insert(name.clone());
        }
        bots_of.entry(canonical(&config.path)).or_default().insert(name.clone());
    }
    let (sender, changes) = mpsc::channel(256);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| match event {
        Ok(event) if !matches!(event.kind, EventKind::Access(_)) => {
            for path in event.paths {
                // A full channel already holds a change of this folder; the reload that follows reads it all.
                let _ = sender.try_send(path);
            }
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the file watch missed changes; reload by hand"),
    })?;
    let folders: BTreeSet<&Path> = bots_of.keys().filter_map(|path| path.parent()).collect();
    for folder in folders {
        watcher
            .watch(folder, RecursiveMode::NonRecursive)
            .with_context(|| format!("cannot watch {}; set runtime.watch = false to do without", folder.display()))?;
    }
    runtime.spawn(reload_changed(changes, bots_of, registry));
    Ok(Watch { _watcher: watcher })
}

async fn reload_changed(
    mut changes: mpsc::Receiver<PathBuf>,
    bots_of: BTreeMap<PathBuf, BTreeSet<String>>,
    registry: Arc<Registry>,
) {
    while let Some(first) = changes.recv().await {
        let deadline = Instant::now() + WAIT_MAX;
        let mut changed = BTreeSet::from([first]);
        while let Ok(Some(path)) = tokio::time::timeout_at(deadline.min(Instant::now() + QUIET), changes.recv()).await {
            changed.insert(path);
        }
        let bots: BTreeSet<&String> = changed.iter().filter_map(|path| bots_of.get(path)).flatten().collect();
        for bot in bots {
            // The outcome is in the bot's status and in the log.
            let _ = registry.reload(bot, "watch").await;
        }
    }
}

/// The path as the watcher will name it: its folder resolved, its name as configured.
fn canonical(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}
