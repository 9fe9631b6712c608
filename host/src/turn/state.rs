//! State as one turn sees it: what was stored when the turn first looked, and what the turn wrote since.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::de::IgnoredAny;
use ulid::Ulid;

use super::contention::Key;
use crate::activity::Inbound;
use crate::config::Scope;
use crate::json;
use crate::plugin::{Fault, Plugin};
use crate::storage::{Expected, Pending, ScopeOwner, StateScope, StateValue, StateWrite};

/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 256;
/// What each value counts besides its key and text, so that a scope is no heap of tiny ones.
const VALUE_BYTES: usize = 64;

/// State of one turn.
#[derive(Default)]
pub(super) struct StagedState {
    /// What is stored, by scope; read whole at its first use, so that reads of one scope fit together.
    loaded: HashMap<StateScope, HashMap<Arc<str>, StateValue>>,
    /// Commits of other turns that are not durable yet and that this turn builds on, in order.
    pending: Vec<Arc<Pending>>,
    written: Written,
}

/// What the turn wrote and nobody else has seen.
pub(super) type Written = HashMap<StateScope, HashMap<Arc<str>, Write>>;

#[derive(Clone)]
pub(super) struct Write {
    value: Option<StateValue>,
    expected: Expected,
}

impl StagedState {
    /// State of a turn that builds on commits which are not durable yet.
    pub(super) fn over(pending: Vec<Arc<Pending>>) -> Self {
        Self { pending, ..Self::default() }
    }

    /// Adds commits that this turn builds on.
    pub(super) fn build_on(&mut self, pending: Vec<Arc<Pending>>) {
        self.pending.extend(pending);
    }

    /// The commits of other turns that this turn builds on.
    pub(super) fn builds_on(&self) -> &[Arc<Pending>] {
        &self.pending
    }

    /// Those of them that are not durable yet. Their writes are missing in what is read from the store now.
    pub(super) fn open_commits(&self) -> Vec<Arc<Pending>> {
        self.pending.iter().filter(|commit| commit.is_open()).cloned().collect()
    }

    pub(super) fn savepoint(&self) -> Written {
        self.written.clone()
    }

    pub(super) fn roll_back(&mut self, written: Written) {
        self.written = written;
    }

    /// The writes for a commit. They stay staged until [`StagedState::committed`].
    pub(super) fn writes(&self) -> Vec<StateWrite> {
        let of_scope = |(scope, keys): (&StateScope, &HashMap<Arc<str>, Write>)| {
            let scope = scope.clone();
            keys.iter()
                .map(move |(key, write)| StateWrite {
                    scope: scope.clone(),
                    key: key.clone(),
                    value: write.value.clone(),
                    expected: write.expected.clone(),
                })
                .collect::<Vec<_>>()
        };
        self.written.iter().flat_map(of_scope).collect()
    }

    /// The keys that the writes rely on and that turns of other conversations may change.
    pub(super) fn relied_on(&self) -> BTreeSet<Key> {
        let of_scope = |(scope, keys): (&StateScope, &HashMap<Arc<str>, Write>)| {
            let relied_on = keys.iter().filter(|(_, write)| scope.is_shared() && write.expected != Expected::Any);
            relied_on.map(|(key, _)| (scope.clone(), key.clone())).collect::<Vec<_>>()
        };
        self.written.iter().flat_map(of_scope).collect()
    }

    /// What was staged is stored now.
    pub(super) fn committed(&mut self) {
        for (scope, keys) in self.written.drain() {
            let stored = self.loaded.entry(scope).or_default();
            for (key, write) in keys {
                match write.value {
                    Some(value) => stored.insert(key, value),
                    None => stored.remove(&key),
                };
            }
        }
    }

    /// Whether a scope was read.
    pub(super) fn is_loaded(&self, scope: &StateScope) -> bool {
        self.loaded.contains_key(scope)
    }

    /// Takes what is stored in a scope, and what commits wrote that were open when the scope was read.
    pub(super) fn loaded(
        &mut self,
        scope: &StateScope,
        mut values: HashMap<Arc<str>, StateValue>,
        open: &[Arc<Pending>],
    ) {
        let writes = open.iter().flat_map(|commit| &commit.writes);
        for StateWrite { key, value, .. } in writes.filter(|write| write.scope == *scope) {
            match value {
                Some(value) => _ = values.insert(key.clone(), value.clone()),
                None => _ = values.remove(key),
            }
        }
        self.loaded.insert(scope.clone(), values);
    }

    /// Returns a value of a scope that was read.
    pub(super) fn get(&self, scope: &StateScope, key: &str) -> Option<&StateValue> {
        match self.written.get(scope).and_then(|keys| keys.get(key)) {
            Some(write) => write.value.as_ref(),
            None => self.loaded.get(scope)?.get(key),
        }
    }

    /// Stages a value of a scope that was read, or with `None` its removal. Returns the new etag.
    pub(super) fn set(
        &mut self,
        scope: StateScope,
        key: &str,
        value: Option<&str>,
        etag: Option<&str>,
        bytes_max: usize,
    ) -> Result<Arc<str>, Fault> {
        let current = self.get(&scope, key);
        let fits = match etag {
            None => true,
            Some("") => current.is_none(),
            Some(etag) => current.is_some_and(|current| *current.etag == *etag),
        };
        if !fits {
            return Err(Fault::new("conflict", format!("the value of `{key}` is not the one that the etag names")));
        }
        let admit = |value| self.admit(&scope, key, value, bytes_max);
        let value = value.map(admit).transpose()?;
        let new_etag: Arc<str> = Ulid::new().to_string().into();
        let value = value.map(|value| StateValue { value: value.into(), etag: new_etag.clone() });
        let relied_on = match etag {
            None => Expected::Any,
            Some("") => Expected::Absent,
            Some(etag) => Expected::Etag(etag.into()),
        };
        let written = self.written.entry(scope).or_default();
        // The first write of a turn says what the stored value must be; later ones build on it.
        let expected = written.get(key).map_or(relied_on, |earlier| earlier.expected.clone());
        written.insert(key.into(), Write { value, expected });
        Ok(new_etag)
    }

    /// Checks that a value is JSON and that the scope has room for it. Returns it as it is stored.
    fn admit<'v>(
        &self,
        scope: &StateScope,
        key: &str,
        value: &'v str,
        bytes_max: usize,
    ) -> Result<Cow<'v, str>, Fault> {
        let checked = json::checked(value).and_then(|value| serde_json::from_str::<IgnoredAny>(&value).map(|_| value));
        let value = checked.map_err(|error| Fault::invalid(format!("the value of `{key}` is not JSON: {error}")))?;
        let stored = self.loaded.get(scope).into_iter().flatten().map(|(key, value)| (key, Some(value)));
        let written = self.written.get(scope);
        let unwritten = stored.filter(|(key, _)| !written.is_some_and(|written| written.contains_key(*key)));
        let all = unwritten.chain(written.into_iter().flatten().map(|(key, write)| (key, write.value.as_ref())));
        let others = all.filter(|(other, _)| ***other != *key);
        let bytes: usize = others.filter_map(|(key, value)| Some(VALUE_BYTES + key.len() + value?.value.len())).sum();
        if bytes + VALUE_BYTES + key.len() + value.len() > bytes_max {
            return Err(Fault::quota("state-bytes-per-scope", bytes_max));
        }
        Ok(value)
    }
}

/// Returns the scope that a plugin means, after checking its grant and the key.
pub(super) fn checked_scope(inbound: &Inbound, plugin: &Plugin, scope: &str, key: &str) -> Result<StateScope, Fault> {
    let Some(named) = Scope::named(scope) else {
        return Err(Fault::invalid(format!(
            "there is no scope `{scope}`; the scopes are conversation, user, private, bot"
        )));
    };
    if !plugin.grants.state.contains(&named) {
        return Err(Fault::new(
            "denied",
            format!(
                "the scope `{scope}` needs the grant `state = [\"{scope}\"]`, wanted by the manifest and given by the operator"
            ),
        ));
    }
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(Fault::invalid(format!("a key has 1 to {KEY_BYTES_MAX} bytes, this one {}", key.len())));
    }
    scope_of(inbound, plugin, named)
}

fn scope_of(inbound: &Inbound, plugin: &Plugin, scope: Scope) -> Result<StateScope, Fault> {
    let key = &inbound.key;
    let owner = match scope {
        Scope::Bot => ScopeOwner::Bot,
        Scope::Conversation => ScopeOwner::Conversation(key.channel.clone(), key.conversation.clone()),
        Scope::User => ScopeOwner::User(key.channel.clone(), user_of(inbound)?),
        Scope::Private => ScopeOwner::Private(key.channel.clone(), key.conversation.clone(), user_of(inbound)?),
    };
    let namespace = match &plugin.grants.shared_state {
        Some(shared) => format!("shared:{shared}"),
        None => format!("plugin:{}", plugin.name),
    };
    Ok(StateScope { bot: key.bot.clone(), namespace: namespace.into(), owner })
}

/// The party that is not the bot: who sent the activity, or the one member that a conversation update adds or removes.
pub(super) fn user_of(inbound: &Inbound) -> Result<Arc<str>, Fault> {
    let activity = &inbound.activity;
    let (bot, sender) = (activity.account("recipient"), activity.account("from"));
    if activity.kind() != "conversationUpdate" {
        return match sender {
            "" => Err(Fault::invalid("the activity has no `from.id`, so this turn has no user")),
            sender if sender == bot => Err(Fault::invalid("the activity is the bot's own, so this turn has no user")),
            sender => Ok(sender.into()),
        };
    }
    let members = ["membersAdded", "membersRemoved"].into_iter().filter_map(|member| activity.object().get(member));
    let mut users: Vec<&str> = members
        .filter_map(|members| members.as_array())
        .flatten()
        .filter_map(|member| member.get("id")?.as_str())
        .filter(|id| !id.is_empty() && *id != bot)
        .collect();
    users.dedup();
    match users[..] {
        [user] => Ok(user.into()),
        ref users => Err(Fault::invalid(format!(
            "this conversation update is about {} users, so the turn has no one user",
            users.len()
        ))),
    }
}
