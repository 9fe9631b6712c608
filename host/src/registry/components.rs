//! Which component a plugin serves: the configured file, or one that was deployed or restored by a rollback.
//!
//! A deployment or rollback stores a *pin* in the data folder: while the configured file has this digest, serve that
//! component. A pin survives restarts and ends when the configured file changes. Every component that serves is stored
//! until no rollback can restore it, because its file may have changed by the time it is pinned.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard};

use crate::config::PluginSpec;
use crate::plugin::compile::digest;
use crate::secret;

/// The folder of stored components and pins.
pub(super) struct Components {
    /// None if nothing is stored and the configured files serve.
    folder: Option<PathBuf>,
    bytes_max: u64,
    /// Held until a stored component is in use, so that [`Components::tidy`] does not remove it.
    keeping: Mutex<()>,
}

/// The bytes of a component and their origin.
pub(super) struct Picked {
    pub(super) component: Bytes,
    pub(super) source: Source,
}

/// The origin of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    File,
    Deploy,
}

#[derive(Serialize, Deserialize)]
struct Pin {
    /// Digest of the configured file when the pin was created. None if there was no file.
    configured: Option<String>,
    /// Digest of the component to serve.
    serves: String,
}

/// Suffix of pin files.
const PIN: &str = ".pin.json";
/// Prefix of digests.
const DIGEST: &str = "sha256:";

impl Components {
    pub(super) fn open(data_dir: &Path, bytes_max: u64) -> anyhow::Result<Self> {
        let folder = data_dir.join("components");
        make_private(&folder).with_context(|| format!("cannot make the private folder {}", folder.display()))?;
        Ok(Self { folder: Some(folder), bytes_max, keeping: Mutex::default() })
    }

    /// Returns components that are read from the configured files only.
    pub(super) fn of_files(bytes_max: u64) -> Self {
        Self { folder: None, bytes_max, keeping: Mutex::default() }
    }

    /// Returns the component that the plugin must serve now.
    pub(super) async fn pick(&self, bot: &str, spec: &PluginSpec) -> anyhow::Result<Picked> {
        let configured = self.read(&spec.component).await;
        let Some(folder) = &self.folder else { return configured.map(Source::File.of()) };
        let Ok(pin) = tokio::fs::read(&pin_path(folder, bot, &spec.name)).await else {
            return configured.map(Source::File.of());
        };
        let pin: Pin = match serde_json::from_slice(&pin) {
            Ok(pin) => pin,
            Err(error) => {
                tracing::warn!(bot, plugin = %spec.name, %error, "a pin is unreadable; the configured file serves");
                return configured.map(Source::File.of());
            }
        };
        let file_digest = match &configured {
            Ok(component) => Some(digest(component).await?),
            Err(_) => None,
        };
        if pin.configured.as_deref() != file_digest.as_deref() {
            return configured.map(Source::File.of());
        }
        match self.read(&kept(folder, &pin.serves)).await {
            Ok(component) if *digest(&component).await? == *pin.serves => Ok(Source::Deploy.of()(component)),
            Ok(_) => bail!("the deployed component {} was changed on disk; deploy it again", pin.serves),
            Err(error) => {
                tracing::warn!(bot, plugin = %spec.name, error = %format!("{error:#}"),
                    "the deployed component cannot be read; the configured file serves");
                configured.map(Source::File.of())
            }
        }
    }

    /// Prevents [`tidy`](Self::tidy) from removing a component that is stored but not in use yet.
    pub(super) async fn lock(&self) -> MutexGuard<'_, ()> {
        self.keeping.lock().await
    }

    /// Stores a component under its digest.
    pub(super) async fn keep(&self, digest: &str, component: &Bytes) -> anyhow::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let path = kept(folder, digest);
        match tokio::fs::try_exists(&path).await {
            Ok(true) => Ok(()),
            _ => write(path, component.clone()).await,
        }
    }

    /// Removes stored components that are neither in use nor pinned. The caller must hold the [`lock`](Self::lock).
    pub(super) async fn tidy(&self, in_use: BTreeSet<Arc<str>>) {
        let Some(folder) = self.folder.clone() else { return };
        let tidied = tokio::task::spawn_blocking(move || tidy(&folder, &in_use)).await;
        let error = match tidied {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(error, "unused components could not be removed; the next swap tries again");
    }

    /// Pins the digest of a stored component. If it is the digest of the configured file, removes the pin instead.
    pub(super) async fn pin(&self, bot: &str, spec: &PluginSpec, serves: &str) -> anyhow::Result<()> {
        let Some(folder) = &self.folder else {
            bail!("this host does not store components, so it cannot deploy or roll back")
        };
        let configured = self.configured(spec).await?;
        if configured.as_deref() == Some(serves) {
            return match tokio::fs::remove_file(pin_path(folder, bot, &spec.name)).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
                _ => Ok(()),
            };
        }
        // The component may be missing, because it could not be stored when it was loaded.
        if tokio::fs::try_exists(kept(folder, serves)).await.unwrap_or(false) {
            let pin = Pin { configured: configured.map(|digest| digest.to_string()), serves: serves.to_owned() };
            return write(pin_path(folder, bot, &spec.name), serde_json::to_vec(&pin)?.into()).await;
        }
        tracing::warn!(bot, plugin = %spec.name, digest = serves,
            "the component was not stored, so after a restart the configured file serves instead");
        Ok(())
    }

    /// Returns the digest of the configured file, or none if it cannot be read.
    async fn configured(&self, spec: &PluginSpec) -> anyhow::Result<Option<Arc<str>>> {
        match self.read(&spec.component).await {
            Ok(component) => digest(&component).await.map(Some),
            Err(_) => Ok(None),
        }
    }

    async fn read(&self, path: &Path) -> anyhow::Result<Bytes> {
        let say = || format!("cannot read {}", path.display());
        let bytes = tokio::fs::metadata(path).await.with_context(say)?.len();
        if bytes > self.bytes_max {
            bail!(
                "{} has {bytes} bytes, which is more than runtime.component-bytes-max ({})",
                path.display(),
                self.bytes_max
            );
        }
        Ok(tokio::fs::read(path).await.with_context(say)?.into())
    }
}

/// Makes the folder, which only the host may enter. An earlier version made it, and the files in it, readable for everyone.
fn make_private(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    std::fs::set_permissions(folder, Permissions::from_mode(0o700))
}

fn tidy(folder: &Path, in_use: &BTreeSet<Arc<str>>) -> std::io::Result<()> {
    let (mut unused, mut pins) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(PIN) {
            pins.push(path);
        } else if let Some(digest) = name.strip_suffix(".wasm")
            && !in_use.contains(&*format!("{DIGEST}{digest}"))
        {
            unused.push(path);
        }
    }
    if unused.is_empty() {
        return Ok(());
    }
    let pinned: BTreeSet<PathBuf> = pins
        .iter()
        .filter_map(|path| serde_json::from_slice::<Pin>(&std::fs::read(path).ok()?).ok())
        .map(|pin| kept(folder, &pin.serves))
        .collect();
    unused.iter().filter(|path| !pinned.contains(*path)).try_for_each(std::fs::remove_file)
}

/// Names of bots and plugins cannot be paths, because the configuration checks them.
fn pin_path(folder: &Path, bot: &str, plugin: &str) -> PathBuf {
    folder.join(format!("{bot}.{plugin}{PIN}"))
}

fn kept(folder: &Path, digest: &str) -> PathBuf {
    folder.join(format!("{}.wasm", digest.trim_start_matches(DIGEST)))
}

impl Source {
    fn of(self) -> impl FnOnce(Bytes) -> Picked {
        move |component| Picked { component, source: self }
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Deploy => "deploy",
        }
    }
}

/// Writes a file atomically, in a thread for work that blocks.
async fn write(path: PathBuf, bytes: Bytes) -> anyhow::Result<()> {
    tokio::task::spawn_blocking(move || secret::replace(&path, &bytes)).await?
}
