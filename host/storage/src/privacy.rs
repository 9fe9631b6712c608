//! Forgetting: what the store holds of a conversation, or of a user (README, «What is kept, and for how long»).

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;

use super::StorageError;
use turntable_activity::{ChannelInstance, ConversationKey};

/// How many entries of what were forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Forgotten(pub BTreeMap<&'static str, usize>);

impl Forgotten {
    /// Counts entries.
    pub fn add(&mut self, what: &'static str, count: usize) {
        *self.0.entry(what).or_default() += count;
    }

    /// Adds all that another counted.
    pub fn add_all(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            self.add(what, *count);
        }
    }
}

/// The part of the store that forgets. Atomic like the others; no turn of the conversation runs meanwhile.
#[async_trait]
pub trait Privacy: Send + Sync {
    /// Forgets all of a conversation: its state, that of its users in it, dialogs, what it was to get and did not, answers,
    /// ids, its reference and its transcript. What waits to run stays, as its caller was told that it will.
    async fn forget_conversation(&self, conversation: &ConversationKey) -> Result<Forgotten, StorageError>;

    /// Forgets a user in a conversation with others: that they were heard, what they said and got or were to get, their state
    /// in it, and the answers to all, which may quote them.
    async fn forget_member(&self, conversation: &ConversationKey, user: &str) -> Result<Forgotten, StorageError>;

    /// Forgets the state of a user that belongs to no conversation.
    async fn forget_user(&self, bot: &str, channel: &ChannelInstance, user: &str) -> Result<Forgotten, StorageError>;

    /// Returns the conversations in which a user was heard or kept, each with whether nobody else was; also those that the bot
    /// was removed from meanwhile.
    async fn conversations_of(
        &self,
        bot: &str,
        channel: &ChannelInstance,
        user: &str,
    ) -> Result<Vec<(Arc<str>, bool)>, StorageError>;
}
