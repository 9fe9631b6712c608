//! The store of compiled code: a folder of files named by digest, which hosts may share.
//!
//! Compiled code is native code, so a file counts only with a MAC of this host's key, checked on a private copy in memory
//! that nobody else can reach or change. The key lies in the data folder, never in the cache folder. Files of another
//! key, of another compiler or with one flipped bit are no hits, and are compiled anew. Hosts that shall share compiled
//! code share the key file too; hosts with different keys may share the folder and do not meet in it.

use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, bail};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use wasmtime::Engine;

use super::compile::memory_file;
use super::preflight::Preflight;

/// The store.
#[derive(Clone)]
pub struct Store {
    folder: PathBuf,
    key: [u8; 32],
}

/// The oldest files go when the folder holds more.
const FOLDER_BYTES_MAX: u64 = 4 << 30;
const MAC_BYTES: usize = 32;
const LENGTH_BYTES: usize = 4;

impl Store {
    /// Opens the folder, private to this user, and reads or makes the key.
    pub fn open(cache_dir: &Path, data_dir: &Path) -> anyhow::Result<Self> {
        for folder in [cache_dir, data_dir] {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        Ok(Self { folder: cache_dir.to_owned(), key: load_or_create_key(&data_dir.join("code-key"))? })
    }

    /// Returns the code of a component as a sealed memory file, if the store has it and vouches for it.
    pub(super) async fn get(&self, engine: &Engine, digest: &str) -> Option<(Preflight, File)> {
        let (store, path) = (self.clone(), self.path(engine, digest));
        tokio::task::spawn_blocking(move || store.read(&path)).await.ok().flatten()
    }

    /// Keeps code. A failure costs the next start a compilation and nothing else.
    pub(super) async fn put(&self, engine: &Engine, digest: &str, preflight: &Preflight, code: File) {
        let (store, path) = (self.clone(), self.path(engine, digest));
        let preflight = serde_json::to_vec(preflight).unwrap_or_default();
        let written = tokio::task::spawn_blocking(move || store.write(&path, &preflight, &code)).await;
        let error = match written {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("{error:#}"),
            Err(error) => error.to_string(),
        };
        tracing::warn!(folder = %self.folder.display(), error, "compiled code is not kept; the next start compiles again");
    }

    /// Named by component, compiler and key: hosts with different keys do not overwrite each other's files.
    fn path(&self, engine: &Engine, digest: &str) -> PathBuf {
        let mut hasher = Sha256Hasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.0.update(Sha256::digest(self.key));
        let compatible = hex::encode(hasher.0.finalize());
        let digest = digest.trim_start_matches("sha256:");
        self.folder.join(format!("{digest}-{}.cwasm", compatible.get(..16).unwrap_or_default()))
    }

    /// File: MAC, length of the preflight, preflight, code. The MAC covers the file's name and all that follows it.
    fn read(&self, path: &Path) -> Option<(Preflight, File)> {
        let bytes = std::fs::read(path).ok()?;
        let (mac, rest) = bytes.split_at_checked(MAC_BYTES)?;
        if self.mac(path, rest).verify_slice(mac).is_err() {
            tracing::warn!(file = %path.display(), "compiled code without a valid MAC is ignored, and compiled anew");
            return None;
        }
        let (length, rest) = rest.split_at_checked(LENGTH_BYTES)?;
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        let (preflight, code) = rest.split_at_checked(length)?;
        let found = (serde_json::from_slice(preflight).ok()?, memory_file("code", code).ok()?);
        // The file's time says when it was used last.
        if let Ok(file) = File::options().write(true).open(path) {
            let _ = file.set_modified(SystemTime::now());
        }
        Some(found)
    }

    fn write(&self, path: &Path, preflight: &[u8], code: &File) -> anyhow::Result<()> {
        let mut content = u32::try_from(preflight.len())?.to_le_bytes().to_vec();
        content.extend(preflight);
        // Read through a path of its own: the descriptor's position belongs to whoever else uses it.
        content.extend(std::fs::read(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(code)))?);
        let mac = self.mac(path, &content).finalize().into_bytes();
        let temporary = path.with_extension(format!("{}.tmp", ulid::Ulid::new()));
        let written = (|| -> std::io::Result<()> {
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(&mac)?;
            file.write_all(&content)?;
            file.sync_all()?;
            std::fs::rename(&temporary, path)
        })();
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        written?;
        self.evict(path)
    }

    fn mac(&self, path: &Path, content: &[u8]) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as Mac>::new(self.key.as_slice().into());
        mac.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        mac.update(&[0]);
        mac.update(content);
        mac
    }

    fn evict(&self, keep: &Path) -> anyhow::Result<()> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let about = entry.metadata()?;
            if about.is_file() && entry.path() != keep {
                files.push((about.modified()?, about.len(), entry.path()));
            }
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in files {
            if total <= FOLDER_BYTES_MAX {
                break;
            }
            std::fs::remove_file(path)?;
            total -= bytes;
        }
        Ok(())
    }
}

/// Two hosts may start on one data folder at once: whoever links its key first wins, and both use that one.
fn load_or_create_key(path: &Path) -> anyhow::Result<[u8; 32]> {
    if !path.try_exists()? {
        let mut key = [0_u8; 32];
        getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("no random bytes for a key: {error}"))?;
        let temporary = path.with_extension(format!("{}.tmp", ulid::Ulid::new()));
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&key)?;
        file.sync_all()?;
        let linked = std::fs::hard_link(&temporary, path);
        std::fs::remove_file(&temporary)?;
        if let Err(error) = linked
            && error.kind() != std::io::ErrorKind::AlreadyExists
        {
            return Err(error).with_context(|| format!("cannot create {}", path.display()));
        }
    }
    let about = std::fs::metadata(path)?;
    if std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o077 != 0 {
        bail!("{} can be read by others; run `chmod 600` on it, or delete it and the cache folder", path.display());
    }
    let key = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    key.try_into().map_err(|_| anyhow::anyhow!("{} is not a key of 32 bytes; delete it", path.display()))
}

struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use wasmtime::Engine;

    use super::Store;
    use crate::plugin::compile::memory_file;
    use crate::plugin::preflight::Preflight;

    #[tokio::test]
    async fn only_untampered_code_of_this_key_is_a_hit() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, data) = (folder.path().join("cache"), folder.path().join("data"));
        let store = Store::open(&cache, &data).unwrap();
        let engine = Engine::default();
        store.put(&engine, "sha256:00", &Preflight::default(), memory_file("code", b"native code").unwrap()).await;

        let (_, mut code) = store.get(&engine, "sha256:00").await.unwrap();
        let mut text = String::new();
        code.read_to_string(&mut text).unwrap();
        assert_eq!(text, "native code");

        assert!(store.get(&engine, "sha256:01").await.is_none(), "another component");
        let stranger = Store::open(&cache, &folder.path().join("other-data")).unwrap();
        assert!(stranger.get(&engine, "sha256:00").await.is_none(), "another key");

        let path = store.path(&engine, "sha256:00");
        std::fs::copy(&path, store.path(&engine, "sha256:02")).unwrap();
        assert!(store.get(&engine, "sha256:02").await.is_none(), "a file under another name");
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(store.get(&engine, "sha256:00").await.is_none(), "one flipped bit");
        std::fs::write(&path, &bytes[..10]).unwrap();
        assert!(store.get(&engine, "sha256:00").await.is_none(), "a truncated file");
    }
}
