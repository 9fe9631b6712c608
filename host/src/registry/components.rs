//! Which component a plugin serves: the configured file, or one that was deployed or rolled back to.
//!
//! A deploy or rollback is kept in the data folder as a *pin*: «while the configured file has this digest, serve that
//! one». It lasts across restarts, and ends when somebody changes the configured file.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::config::PluginSpec;
use crate::plugin::compile::digest;

/// The folder of kept components and pins.
pub(super) struct Components {
    /// None: nothing is kept, and the configured files serve.
    folder: Option<PathBuf>,
    bytes_max: u64,
}

/// The bytes to serve, and why.
pub(super) struct Picked {
    pub(super) component: Bytes,
    pub(super) source: Source,
}

/// Where a component comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    File,
    Deploy,
}

#[derive(Serialize, Deserialize)]
struct Pin {
    /// Digest of the configured file when the pin was made; none: there was no file.
    configured: Option<String>,
    /// Digest to serve.
    serves: String,
}

impl Components {
    pub(super) fn open(data_dir: &Path, bytes_max: u64) -> anyhow::Result<Self> {
        let folder = data_dir.join("components");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { folder: Some(folder), bytes_max })
    }

    /// The configured files, without a folder of others.
    pub(super) fn of_files(bytes_max: u64) -> Self {
        Self { folder: None, bytes_max }
    }

    /// Returns what the plugin shall serve now.
    pub(super) async fn pick(&self, bot: &str, spec: &PluginSpec) -> anyhow::Result<Picked> {
        let configured = self.read(&spec.component).await;
        let Some(folder) = &self.folder else { return configured.map(Source::File.of()) };
        let Ok(pin) = tokio::fs::read(&pin_path(folder, bot, &spec.name)).await else {
            return configured.map(Source::File.of());
        };
        let pin: Pin = match serde_json::from_slice(&pin) {
            Ok(pin) => pin,
            Err(error) => {
                tracing::warn!(bot, plugin = %spec.name, %error, "a pin is unreadable, the configured file serves");
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
                    "the deployed component is gone, the configured file serves");
                configured.map(Source::File.of())
            }
        }
    }

    /// Keeps a component and pins it.
    pub(super) async fn deploy(&self, bot: &str, spec: &PluginSpec, component: &Bytes) -> anyhow::Result<()> {
        let serves = digest(component).await?.to_string();
        let path = kept(self.folder()?, &serves);
        if !tokio::fs::try_exists(&path).await.unwrap_or(false) {
            write(path, component.clone()).await?;
        }
        self.write_pin(bot, spec, serves).await
    }

    /// Pins a digest that served before; unpins where it is the configured file's.
    pub(super) async fn pin(&self, bot: &str, spec: &PluginSpec, serves: &str) -> anyhow::Result<()> {
        let folder = self.folder()?;
        let configured = self.configured(spec).await?;
        if configured.as_deref() == Some(serves) {
            return match tokio::fs::remove_file(pin_path(folder, bot, &spec.name)).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
                _ => Ok(()),
            };
        }
        // A component that served from a file that has changed since is not kept; it serves until the host restarts.
        if tokio::fs::try_exists(kept(folder, serves)).await.unwrap_or(false) {
            return self.write_pin(bot, spec, serves.to_owned()).await;
        }
        tracing::warn!(bot, plugin = %spec.name, digest = serves,
            "rolled back in memory only: the configured file holds another component, which serves after a restart");
        Ok(())
    }

    async fn write_pin(&self, bot: &str, spec: &PluginSpec, serves: String) -> anyhow::Result<()> {
        let configured = self.configured(spec).await?.map(|digest| digest.to_string());
        let pin = serde_json::to_vec(&Pin { configured, serves })?;
        write(pin_path(self.folder()?, bot, &spec.name), pin.into()).await
    }

    /// Digest of the configured file; none where it cannot be read.
    async fn configured(&self, spec: &PluginSpec) -> anyhow::Result<Option<Arc<str>>> {
        match self.read(&spec.component).await {
            Ok(component) => digest(&component).await.map(Some),
            Err(_) => Ok(None),
        }
    }

    fn folder(&self) -> anyhow::Result<&Path> {
        self.folder.as_deref().context("this host keeps no components")
    }

    async fn read(&self, path: &Path) -> anyhow::Result<Bytes> {
        let say = || format!("cannot read {}", path.display());
        let bytes = tokio::fs::metadata(path).await.with_context(say)?.len();
        if bytes > self.bytes_max {
            bail!("{} has {bytes} bytes, more than component-bytes-max ({})", path.display(), self.bytes_max);
        }
        Ok(tokio::fs::read(path).await.with_context(say)?.into())
    }
}

/// Names of bots and plugins are checked by the configuration: they are never paths.
fn pin_path(folder: &Path, bot: &str, plugin: &str) -> PathBuf {
    folder.join(format!("{bot}.{plugin}.pin.json"))
}

fn kept(folder: &Path, digest: &str) -> PathBuf {
    folder.join(format!("{}.wasm", digest.trim_start_matches("sha256:")))
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

/// Writes a file that is there whole or not at all.
async fn write(path: PathBuf, bytes: Bytes) -> anyhow::Result<()> {
    let say = format!("cannot write {}", path.display());
    let result = tokio::task::spawn_blocking(move || -> anyhow::Result<()> {
        let temporary = path.with_extension(format!("{}.tmp", ulid::Ulid::new()));
        let written = (|| {
            let mut file = std::fs::File::create(&temporary)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)
        })();
        if written.is_err() {
            // The write failed already; a leftover is all there could be.
            let _ = std::fs::remove_file(&temporary);
        }
        Ok(written?)
    });
    result.await?.context(say)
}
