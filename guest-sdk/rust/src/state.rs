//! State: typed values that outlive the turn. Etags detect concurrent writes.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::turn::Host;
use crate::{Fault, Result, read};

/// The owner of a stored value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The conversation of the turn.
    Conversation,
    /// The user (the account that is not the bot) on one channel, in all conversations.
    User,
    /// The user in this conversation.
    Private,
    /// The bot, with one value for all conversations.
    Bot,
}

/// A stored value as the host returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) value: String,
    pub(crate) etag: String,
}

/// The state that this plugin may use; see [`Turn::state`](crate::Turn::state).
#[derive(Clone, Copy)]
pub struct State<'t> {
    host: &'t dyn Host,
}

/// One value of the state. It remembers the etag of the value that it read, so that concurrent writes are detected.
///
/// If another turn changed the value after this turn read it, the host discards this turn and runs it again with the new value.
/// A handler needs no code for that, but it must be safe to run twice.
///
/// ```
/// use turntable_sdk::prelude::*;
///
/// fn count(turn: &Turn) -> Result<u32> {
///     turn.state().user::<u32>("visits").update(|visits| {
///         *visits += 1;
///         *visits
///     })
/// }
/// ```
pub struct Stored<'t, T> {
    host: &'t dyn Host,
    scope: Scope,
    key: String,
    /// None if the value was not read yet; empty if there is no value.
    etag: Option<String>,
    value: PhantomData<fn() -> T>,
}

impl Scope {
    /// Returns the scope's name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Conversation => "conversation",
            Self::User => "user",
            Self::Private => "private",
            Self::Bot => "bot",
        }
    }
}

impl<'t> State<'t> {
    pub(crate) fn new(host: &'t dyn Host) -> Self {
        Self { host }
    }

    /// Returns a value of the conversation. The key has 1 to 256 bytes.
    pub fn conversation<T>(self, key: impl Into<String>) -> Stored<'t, T> {
        self.of(Scope::Conversation, key)
    }

    /// Returns a value of the user, in all conversations of the channel.
    pub fn user<T>(self, key: impl Into<String>) -> Stored<'t, T> {
        self.of(Scope::User, key)
    }

    /// Returns a value of the user in this conversation.
    pub fn private<T>(self, key: impl Into<String>) -> Stored<'t, T> {
        self.of(Scope::Private, key)
    }

    /// Returns a value of the bot.
    pub fn bot<T>(self, key: impl Into<String>) -> Stored<'t, T> {
        self.of(Scope::Bot, key)
    }

    /// Returns a value of the given scope.
    pub fn of<T>(self, scope: Scope, key: impl Into<String>) -> Stored<'t, T> {
        Stored { host: self.host, scope, key: key.into(), etag: None, value: PhantomData }
    }
}

impl<T: Serialize + DeserializeOwned> Stored<'_, T> {
    /// Reads the value, or none if there is no value, and remembers its etag.
    ///
    /// Faults: `denied` (no grant for the scope), `invalid` (no user in this turn, a key of the wrong length, or a value of
    /// another shape), `unavailable`.
    pub fn get(&mut self) -> Result<Option<T>> {
        let Some(text) = self.read()? else { return Ok(None) };
        let value = read::text(&text)
            .map_err(|error| Fault::invalid(format!("{} state `{}`: {error}", self.scope.name(), self.key)))?;
        Ok(Some(value))
    }

    /// Writes the value if the stored value is still the one that was read. If nothing was read yet, it reads the etag first.
    ///
    /// Faults: `conflict` (this turn itself wrote another value in between), `quota` (`state-bytes-per-scope`), and those of
    /// [`get`](Self::get). If another turn changed the value, the host runs this turn again.
    pub fn set(&mut self, value: &T) -> Result<()> {
        if self.etag.is_none() {
            self.read()?;
        }
        let text = serde_json::to_string(value)?;
        self.etag = Some(self.host.state_set(self.scope.name(), &self.key, &text, self.etag.as_deref())?);
        Ok(())
    }

    /// Writes the value without checking the stored one, so the last writer wins. Faults are as for [`set`](Self::set), without
    /// `conflict`.
    pub fn overwrite(&mut self, value: &T) -> Result<()> {
        let text = serde_json::to_string(value)?;
        self.etag = Some(self.host.state_set(self.scope.name(), &self.key, &text, None)?);
        Ok(())
    }

    /// Reads the value (or its default if there is none), changes it with `change` and writes it. Returns the result of `change`.
    /// Faults are as for [`set`](Self::set).
    pub fn update<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> Result<R>
    where
        T: Default,
    {
        let mut value = self.get()?.unwrap_or_default();
        let result = change(&mut value);
        self.set(&value)?;
        Ok(result)
    }

    /// Removes the value if it is still the one that was read. It is not a fault if there is no value.
    pub fn remove(&mut self) -> Result<()> {
        if self.etag.is_none() {
            self.read()?;
        }
        self.host.state_remove(self.scope.name(), &self.key, self.etag.as_deref())?;
        self.etag = Some(String::new());
        Ok(())
    }

    fn read(&mut self) -> Result<Option<String>> {
        let entry = self.host.state_get(self.scope.name(), &self.key)?;
        let (value, etag) = entry.map_or((None, String::new()), |entry| (Some(entry.value), entry.etag));
        self.etag = Some(etag);
        Ok(value)
    }
}
