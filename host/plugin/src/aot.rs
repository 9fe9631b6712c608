//! The store of compiled code: a folder of files named by digest, which hosts may share.
//!
//! Compiled code is native code, so a file counts only with a MAC of this host's key, checked on a private copy in memory
//! that nobody else can reach or change. The key lies in the data folder, never in the cache folder. Files of another
//! key, of another compiler or with one flipped bit are no hits, and are compiled anew. Hosts that shall share compiled
//! code share the key file too; hosts with different keys may share the folder and do not meet in it.

use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail, ensure};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use turntable_config::secret;
use wasmtime::Engine;

use super::compile::memory_file;
use super::preflight::Preflight;

/// The store.
#[derive(Clone)]
pub struct Store {
    folder: PathBuf,
    /// Names the key in file names without giving it away.
    key_id: [u8; 32],
    /// Keyed; cloned for each use.
    mac: Hmac<Sha256>,
}

/// The files used longest ago go when the folder's compiled code is larger.
const FOLDER_BYTES_MAX: u64 = 4 << 30;
/// Larger files are none of ours: the largest component compiles to a fraction of it.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Only files with these endings are ever removed: the folder may be shared with others by mistake.
const CODE: &str = "cwasm";
const TEMPORARY: &str = "cwasm-tmp";
/// A host that was killed while writing leaves a temporary file; no write takes this long.
const TEMPORARY_AGE_MAX: Duration = Duration::from_secs(3600);
const KEY_BYTES: usize = 32;
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
        let key = load_or_create_key(&data_dir.join("code-key"))?;
        let mac = Hmac::new_from_slice(&key).context("the key of compiled code has a length that HMAC refuses")?;
        Ok(Self { folder: cache_dir.to_owned(), key_id: Sha256::digest(key).into(), mac })
    }

    /// Returns the code of a component as a sealed memory file, if the store has it and vouches for it.
    pub(super) async fn get(&self, engine: &Engine, digest: &str) -> Option<(Preflight, File)> {
        let (store, path) = (self.clone(), self.path(engine, digest));
        let read = tokio::task::spawn_blocking(move || (store.read(&path), path)).await;
        let (why, path) = match read {
            Ok((Ok(found), _)) => return found,
            Ok((Err(error), path)) => (format!("{error:#}"), path),
            Err(error) => (error.to_string(), self.path(engine, digest)),
        };
        tracing::warn!(file = %path.display(), why, "a file of compiled code is not used, the component is compiled anew");
        None
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
        hasher.0.update(self.key_id);
        let compatible = hex::encode(hasher.0.finalize());
        let digest = digest.trim_start_matches("sha256:");
        self.folder.join(format!("{digest}-{}.{CODE}", compatible.get(..16).unwrap_or_default()))
    }

    /// File: MAC, length of the preflight, preflight, code. The MAC covers the file's name and all that follows it.
    /// None: there is no such file. The error says why the file that is there does not count.
    fn read(&self, path: &Path) -> anyhow::Result<Option<(Preflight, File)>> {
        let Some(bytes) = read_bounded(path)? else { return Ok(None) };
        let (mac, content) = bytes.split_at_checked(MAC_BYTES).context("it is truncated")?;
        if self.mac_of(path, content).verify_slice(mac).is_err() {
            bail!("its MAC is not this host's: it was damaged, changed or copied here");
        }
        let (length, rest) = content.split_first_chunk::<LENGTH_BYTES>().context("it has no preflight")?;
        let (preflight, code) =
            rest.split_at_checked(u32::from_le_bytes(*length) as usize).context("its preflight is truncated")?;
        let found = (serde_json::from_slice(preflight)?, memory_file("code", code).map_err(into_error)?);
        // The file's time says when it was used last.
        if let Ok(file) = File::options().write(true).open(path) {
            let _ = file.set_modified(SystemTime::now());
        }
        Ok(Some(found))
    }

    fn write(&self, path: &Path, preflight: &[u8], code: &File) -> anyhow::Result<()> {
        let mut content = u32::try_from(preflight.len())?.to_le_bytes().to_vec();
        content.extend(preflight);
        // Read through a path of its own: the descriptor's position belongs to whoever else uses it.
        content.extend(std::fs::read(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(code)))?);
        let mac = self.mac_of(path, &content).finalize().into_bytes();
        let temporary = path.with_extension(format!("{}.{TEMPORARY}", ulid::Ulid::new()));
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

    fn mac_of(&self, path: &Path, content: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        mac.update(&[0]);
        mac.update(content);
        mac
    }

    /// Removes what was used longest ago until the folder's compiled code keeps its bound. Another host may do the same.
    fn evict(&self, keep: &Path) -> anyhow::Result<()> {
        let mut files = Vec::new();
        let mut total = 0;
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let Ok(about) = std::fs::symlink_metadata(&path) else { continue };
            let used = about.modified()?;
            match path.extension().and_then(|ending| ending.to_str()) {
                Some(CODE) if about.is_file() => {
                    total += about.len();
                    files.push((used, about.len(), path));
                }
                Some(TEMPORARY) if used.elapsed().is_ok_and(|age| age > TEMPORARY_AGE_MAX) => remove(&path)?,
                _ => {}
            }
        }
        files.sort();
        for (_, bytes, path) in files {
            if total <= FOLDER_BYTES_MAX {
                break;
            }
            if path != keep {
                remove(&path)?;
                total -= bytes;
            }
        }
        Ok(())
    }
}

fn into_error(error: super::LoadError) -> anyhow::Error {
    anyhow::anyhow!(error.problems().join("; "))
}

/// Reads a regular file of bounded size; none if there is no file. Never follows a link, never waits for a pipe.
fn read_bounded(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = match File::options().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let about = file.metadata()?;
    ensure!(about.is_file(), "it is no regular file");
    ensure!(about.len() <= FILE_BYTES_MAX, "it has {} bytes, more than {FILE_BYTES_MAX}", about.len());
    let mut bytes = Vec::with_capacity(usize::try_from(about.len())?);
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Two hosts may start on one data folder at once: both use the key that was there first.
fn load_or_create_key(path: &Path) -> anyhow::Result<[u8; KEY_BYTES]> {
    let key = secret::read_or_create(path, KEY_BYTES as u64, || {
        let mut key = vec![0; KEY_BYTES];
        getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("no random bytes for a key: {error}"))?;
        Ok(key)
    });
    let key = key.with_context(|| format!("the key of compiled code in {} cannot be used", path.display()))?;
    key.try_into().map_err(|_| anyhow::anyhow!("{} is not a key of {KEY_BYTES} bytes; delete it", path.display()))
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
    use std::os::unix::fs::PermissionsExt;

    use wasmtime::Engine;

    use super::{Store, load_or_create_key};
    use crate::compile::memory_file;
    use crate::preflight::Preflight;

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
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(data.join("code-key"), &path).unwrap();
        assert!(store.get(&engine, "sha256:00").await.is_none(), "a link");
    }

    #[tokio::test]
    async fn a_file_that_does_not_count_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, data) = (folder.path().join("cache"), folder.path().join("data"));
        let store = Store::open(&cache, &data).unwrap();
        let engine = Engine::default();
        std::fs::write(store.path(&engine, "sha256:00"), b"\x7fELF of somebody else").unwrap();
        assert!(store.get(&engine, "sha256:00").await.is_none());
        store.put(&engine, "sha256:00", &Preflight::default(), memory_file("code", b"native code").unwrap()).await;
        assert!(store.get(&engine, "sha256:00").await.is_some());

        let again = Store::open(&cache, &data).unwrap();
        assert!(again.get(&engine, "sha256:00").await.is_some(), "a second host with the same key");
        let left: Vec<_> = std::fs::read_dir(&cache).unwrap().collect();
        assert_eq!(left.len(), 1, "no temporary file stays: {left:?}");
        assert_eq!(std::fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(std::fs::metadata(data.join("code-key")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_key_that_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("code-key");
        let key = load_or_create_key(&path).unwrap();
        assert_eq!(load_or_create_key(&path).unwrap(), key);
        let told = || format!("{:#}", load_or_create_key(&path).unwrap_err());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(told().contains("code-key cannot be used: its mode is 0644"), "{}", told());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "short").unwrap();
        assert!(told().ends_with("is not a key of 32 bytes; delete it"), "{}", told());
    }
}
