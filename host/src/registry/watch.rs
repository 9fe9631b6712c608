//! Turns file changes into coalesced reload requests. Knows nothing of Wasm.
//!
//! Changes are detected by comparing the metadata of the files, once a second and whenever the operating system reports
//! a change in one of their folders. So missed reports do no harm (replaced or new folders, links, network file
//! systems), and neither do changes of other files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{Notify, Semaphore};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep, timeout};

use super::Registry;

/// Interval between comparisons if the system reports no change.
const LOOK: Duration = Duration::from_secs(1);
/// Minimum interval between comparisons, however many changes the system reports.
const PAUSE: Duration = Duration::from_millis(20);
/// A change causes a reload when no further change follows for this long, so that several saves reload once.
const QUIET: Duration = Duration::from_millis(120);
/// Maximum time between a change and its reload.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Maximum number of concurrent reloads, because each holds its components in memory.
const RELOADS_MAX: usize = 4;

/// Watches the configuration and the components until it is dropped.
pub struct Watch {
    task: AbortHandle,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts to watch. Changes from now on cause a reload, even if the bots are loaded after this call.
pub fn start(registry: Arc<Registry>, runtime: &tokio::runtime::Handle) -> Watch {
    let told = Arc::new(Notify::new());
    let watcher = Folders::new(told.clone());
    let loaded = registry.files().into_keys().map(|file| (Look::at(&file), file)).map(|(look, file)| (file, look));
    let task = runtime.spawn(reload_changed(registry, loaded.collect(), watcher, told));
    Watch { task: task.abort_handle() }
}

/// Metadata of a file, or none if it does not exist. Equal values mean that nothing was written, replaced or relinked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look(Option<(u64, u64, u64, i64, i64, i64, i64)>);

type Looks = BTreeMap<PathBuf, Look>;

impl Look {
    fn at(path: &Path) -> Self {
        Self(fs::metadata(path).ok().map(|about| {
            let (written, changed) = ((about.mtime(), about.mtime_nsec()), (about.ctime(), about.ctime_nsec()));
            (about.dev(), about.ino(), about.len(), written.0, written.1, changed.0, changed.1)
        }))
    }
}

async fn reload_changed(registry: Arc<Registry>, mut loaded: Looks, mut folders: Folders, told: Arc<Notify>) {
    let mut reloads = Reloads::new(registry.clone(), told.clone());
    loop {
        reloads.begin();
        let mut files = registry.files();
        folders.watch(files.keys());
        let mut looks = look_at(&files).await;
        if looks == loaded {
            let _ = timeout(LOOK, told.notified()).await;
            sleep(PAUSE).await;
            continue;
        }
        let seen = Instant::now();
        while seen.elapsed() < WAIT_MAX {
            sleep(QUIET).await;
            let now = look_at(&files).await;
            if now == looks {
                break;
            }
            looks = now;
        }
        files.retain(|file, _| loaded.get(file) != looks.get(file));
        loaded = looks;
        reloads.due.extend(files.into_values().flatten());
    }
}

/// Due and running reloads. A bot whose components take long to compile delays only itself.
struct Reloads {
    registry: Arc<Registry>,
    told: Arc<Notify>,
    due: BTreeSet<Arc<str>>,
    running: BTreeMap<Arc<str>, JoinHandle<()>>,
    places: Arc<Semaphore>,
}

impl Reloads {
    fn new(registry: Arc<Registry>, told: Arc<Notify>) -> Self {
        let places = Arc::new(Semaphore::new(RELOADS_MAX));
        Self { registry, told, due: BTreeSet::new(), running: BTreeMap::new(), places }
    }

    /// Starts the due reloads. A bot whose last reload is still running stays due.
    fn begin(&mut self) {
        self.running.retain(|_, reload| !reload.is_finished());
        let (waiting, due): (BTreeSet<_>, BTreeSet<_>) =
            std::mem::take(&mut self.due).into_iter().partition(|bot| self.running.contains_key(bot));
        self.due = waiting;
        for bot in due {
            let (registry, told, places, name) =
                (self.registry.clone(), self.told.clone(), self.places.clone(), bot.clone());
            let reload = async move {
                let _place = places.acquire().await;
                // The outcome is recorded in the status of the bot and in the log.
                let _ = registry.reload(&name, "watch").await;
                told.notify_one();
            };
            self.running.insert(bot, tokio::spawn(reload));
        }
    }
}

async fn look_at(files: &BTreeMap<PathBuf, BTreeSet<Arc<str>>>) -> Looks {
    let files: Vec<PathBuf> = files.keys().cloned().collect();
    let look = || files.into_iter().map(|file| (Look::at(&file), file)).map(|(look, file)| (file, look)).collect();
    // The task fails only if the runtime shuts down, and then nobody uses the result.
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

/// The folders for which the system reports changes. For others the next comparison finds changes.
struct Folders {
    system: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl Folders {
    fn new(told: Arc<Notify>) -> Self {
        let system = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
                told.notify_one();
            }
        });
        let system = system.inspect_err(|error| {
            tracing::warn!(%error, "the system reports no file changes; files are checked every second instead");
        });
        Self { system: system.ok(), watched: BTreeSet::new() }
    }

    /// Adds the folders of these files. Folders and not files, because editors and compilers replace files.
    fn watch<'a>(&mut self, files: impl Iterator<Item = &'a PathBuf>) {
        let Some(system) = &mut self.system else { return };
        for file in files {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            if !self.watched.contains(folder) && system.watch(folder, RecursiveMode::NonRecursive).is_ok() {
                self.watched.insert(folder.to_owned());
            }
        }
    }
}
