//! The Direct Line secrets of bots: what a site presents to talk to a bot, or to get tokens for its visitors.
//!
//! A bot has up to two secrets, so that a site can change to the second before the first is replaced. A secret is
//! `BOT.RANDOM` with 256 random bits. The host keeps its SHA-256 only, which is enough because nobody guesses such a secret.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::secret;

/// Secrets of a bot.
pub const SLOTS: usize = 2;
/// Length of a mark, in characters.
const MARK_CHARS: usize = 16;

/// The secrets of all bots of a host.
pub struct Secrets {
    folder: PathBuf,
    /// By bot, what its file says. A bot is missing until it is asked for.
    known: Mutex<HashMap<Arc<str>, Slots>>,
}

type Slots = [Option<Secret>; SLOTS];

/// What is known of a secret. The secret itself is not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Secret {
    /// SHA-256 of the secret, in hexadecimal digits.
    #[serde(rename = "sha256")]
    hash: String,
    /// When the secret was made, RFC 3339.
    pub created: String,
}

/// The bot of a secret, and a mark by which tokens name the secret that they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The bot.
    pub bot: Arc<str>,
    /// The mark, which reveals nothing that helps to find the secret.
    pub mark: String,
}

impl Secrets {
    /// Returns the secrets that this data folder keeps.
    pub fn in_data_dir(data_dir: &std::path::Path) -> Self {
        Self { folder: data_dir.join("directline"), known: Mutex::default() }
    }

    /// Makes a new secret in a slot, from 1, and returns it. The one before and its tokens end at once.
    ///
    /// # Errors
    /// There is no such slot, there are no random bits, or the file cannot be written.
    pub fn rotate(&self, bot: &Arc<str>, slot: usize) -> anyhow::Result<String> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits).map_err(|error| anyhow::anyhow!("no random bits: {error}"))?;
        let secret = format!("{bot}.{}", URL_SAFE_NO_PAD.encode(bits));
        let kept = Secret { hash: hash(&secret), created: jiff::Timestamp::now().to_string() };
        self.change(bot, slot, Some(kept))?;
        Ok(secret)
    }

    /// Removes the secret in a slot, from 1. It and its tokens end at once. Returns whether there was one.
    ///
    /// # Errors
    /// There is no such slot, or the file cannot be written.
    pub fn revoke(&self, bot: &Arc<str>, slot: usize) -> anyhow::Result<bool> {
        self.change(bot, slot, None)
    }

    /// Returns the secrets of a bot, by slot.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn of(&self, bot: &Arc<str>) -> anyhow::Result<Slots> {
        self.with(bot, |slots| slots.clone())
    }

    /// Returns the owner of a secret. None: no bot has this secret.
    pub fn owner(&self, bot: &Arc<str>, secret: &str) -> Option<Owner> {
        let presented = hash(secret);
        let is_same = |kept: &&Secret| bool::from(kept.hash.as_bytes().ct_eq(presented.as_bytes()));
        let found = self.with(bot, |slots| slots.iter().flatten().any(|kept| is_same(&kept)));
        self.told(found).filter(|found| *found).map(|_| Owner { bot: bot.clone(), mark: mark(&presented) })
    }

    /// Returns whether the secret with this mark is still one of the bot's.
    pub fn is_current(&self, bot: &Arc<str>, of_token: &str) -> bool {
        let found = self.with(bot, |slots| slots.iter().flatten().any(|kept| mark(&kept.hash) == of_token));
        self.told(found).unwrap_or(false)
    }

    fn told<T>(&self, found: anyhow::Result<T>) -> Option<T> {
        found
            .inspect_err(|error| tracing::error!(error = %format!("{error:#}"), "Direct Line secrets cannot be read"))
            .ok()
    }

    fn with<T>(&self, bot: &Arc<str>, look: impl FnOnce(&Slots) -> T) -> anyhow::Result<T> {
        let mut known = self.known.lock();
        if !known.contains_key(bot) {
            known.insert(bot.clone(), self.read(bot)?);
        }
        Ok(look(known.get(bot).unwrap_or(&[None, None])))
    }

    fn change(&self, bot: &Arc<str>, slot: usize, secret: Option<Secret>) -> anyhow::Result<bool> {
        let mut known = self.known.lock();
        let mut slots = self.read(bot)?;
        let place = slot.checked_sub(1).and_then(|place| slots.get_mut(place));
        let place = place.with_context(|| format!("there is no secret {slot}; a bot has the secrets 1 and 2"))?;
        let had = std::mem::replace(place, secret).is_some();
        secret::replace(&self.path(bot), &serde_json::to_vec(&slots)?)?;
        known.insert(bot.clone(), slots);
        Ok(had)
    }

    fn path(&self, bot: &str) -> PathBuf {
        self.folder.join(format!("{bot}.json"))
    }

    fn read(&self, bot: &str) -> anyhow::Result<Slots> {
        let path = self.path(bot);
        let wrong = || format!("the file {} of Direct Line secrets cannot be used", path.display());
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).with_context(wrong),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok([None, None]),
            Err(error) => Err(error).with_context(wrong),
        }
    }
}

fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

fn mark(hash: &str) -> String {
    hash.chars().take(MARK_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_secrets_overlap_and_only_hashes_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::in_data_dir(folder.path());
        let bot: Arc<str> = "demo".into();
        let (first, second) = (secrets.rotate(&bot, 1).unwrap(), secrets.rotate(&bot, 2).unwrap());
        let owner = secrets.owner(&bot, &first).unwrap();
        assert!(first.starts_with("demo.") && secrets.owner(&bot, &second).is_some());
        assert!(secrets.owner(&"other".into(), &first).is_none() && secrets.owner(&bot, "demo.x").is_none());
        let again = Secrets::in_data_dir(folder.path());
        assert_eq!(again.owner(&bot, &first), Some(owner.clone()), "a restart keeps them");
        let replaced = secrets.rotate(&bot, 1).unwrap();
        assert!(secrets.owner(&bot, &first).is_none() && !secrets.is_current(&bot, &owner.mark));
        assert!(secrets.owner(&bot, &second).is_some() && secrets.owner(&bot, &replaced).is_some());
        assert!(secrets.revoke(&bot, 2).unwrap() && !secrets.revoke(&bot, 2).unwrap());
        assert!(secrets.owner(&bot, &second).is_none());
        assert!(secrets.rotate(&bot, 3).is_err() && secrets.revoke(&bot, 0).is_err());
        let kept = fs::read_to_string(folder.path().join("directline/demo.json")).unwrap();
        assert!(!kept.contains(replaced.split_once('.').unwrap().1), "{kept}");
    }
}
