//! The cache folder, and programs that builds run.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

/// Where tools are, and whether missing ones are installed.
pub(super) struct Tools {
    pub(super) cache: PathBuf,
    pub(super) installs: bool,
}

impl Tools {
    /// Finds the cache folder.
    pub(super) fn new(installs: bool) -> anyhow::Result<Self> {
        let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = variable("TURNTABLE_CACHE")
            .or_else(|| variable("XDG_CACHE_HOME").map(|folder| folder.join("turntable")))
            .or_else(|| variable("HOME").map(|home| home.join(".cache/turntable")))
            .context("there is no folder for tools: set TURNTABLE_CACHE")?;
        Ok(Self { cache, installs })
    }

    /// Returns the folder of a set of tools, which the contents of a lock file identify. If it is not complete,
    /// `install` fills it under a lock, or the error says what to do.
    pub(super) fn set(
        &self,
        kind: &str,
        lock: &Path,
        what: &str,
        install: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<PathBuf> {
        let contents = fs::read(lock).with_context(|| format!("{} cannot be read", lock.display()))?;
        let digest = hex::encode(Sha256::digest(&contents));
        let folder = self.cache.join(format!("{kind}-{}", &digest[..16]));
        let done = folder.join("done");
        if done.is_file() {
            return Ok(folder);
        }
        if !self.installs {
            bail!(
                "{what} is not installed for Turntable. Run `turntable build --install`, which installs it into {}",
                folder.display()
            );
        }
        fs::create_dir_all(&self.cache).with_context(|| format!("{} cannot be created", self.cache.display()))?;
        let guard = File::create(self.cache.join("lock")).context("the cache folder cannot be locked")?;
        guard.lock().context("the cache folder cannot be locked")?;
        if !done.is_file() {
            super::super::complain(&format!("installing {what} into {}", folder.display()));
            // What an installation left behind that did not end is of no use.
            if folder.exists() {
                fs::remove_dir_all(&folder).with_context(|| format!("{} cannot be deleted", folder.display()))?;
            }
            fs::create_dir_all(&folder).with_context(|| format!("{} cannot be created", folder.display()))?;
            install(&folder)?;
            fs::write(&done, "").with_context(|| format!("{} cannot be written", done.display()))?;
        }
        Ok(folder)
    }
}

/// Runs a program whose output the author sees. An error names the program and, if it does not exist, the remedy.
pub(super) fn run(command: &mut Command, remedy: &str) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("`{name}` could not start; {remedy}"))?;
    match status.success() {
        true => Ok(()),
        false => bail!("the build failed: `{name}` ended with {status}"),
    }
}

/// Runs a program and returns its output, or none if it does not exist or fails.
pub(super) fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
