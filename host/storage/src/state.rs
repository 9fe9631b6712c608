//! State: values of plugins, by scope.

use std::sync::Arc;

use turntable_activity::ChannelInstance;

/// Whose values: one scope of one namespace, which is a plugin's own or a shared one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateScope {
    /// The bot.
    pub bot: Arc<str>,
    /// `plugin:NAME` or `shared:NAME`.
    pub namespace: Arc<str>,
    /// What the values belong to.
    pub owner: ScopeOwner,
}

impl StateScope {
    /// Whether turns of several conversations may change its values.
    pub fn is_shared(&self) -> bool {
        matches!(self.owner, ScopeOwner::Bot | ScopeOwner::User(..))
    }
}

/// What the values of a scope belong to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScopeOwner {
    /// The bot, on all channels.
    Bot,
    /// A conversation.
    Conversation(ChannelInstance, Arc<str>),
    /// A user of a channel.
    User(ChannelInstance, Arc<str>),
    /// A user (last) in a conversation.
    Private(ChannelInstance, Arc<str>, Arc<str>),
}

/// A stored value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateValue {
    /// JSON text.
    pub value: Arc<str>,
    /// Chosen by the writer, another one for each write.
    pub etag: Arc<str>,
}

/// One write of a commit.
#[derive(Debug, Clone)]
pub struct StateWrite {
    /// Where.
    pub scope: StateScope,
    /// The key within the scope.
    pub key: Arc<str>,
    /// The new value, or none to remove it.
    pub value: Option<StateValue>,
    /// What must be there for the commit to happen.
    pub expected: Expected,
}

/// What a write relies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Nothing: the last writer wins.
    Any,
    /// That there is no value.
    Absent,
    /// That the value has this etag.
    Etag(Arc<str>),
}
