//! What a bot may say first: the conversations that it has met, and what it owes them now, later, or when they are idle.

use std::sync::Arc;

use async_trait::async_trait;

use super::StorageError;
use turntable_activity::{ChannelInstance, ConversationKey};

/// A conversation that the bot has met, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The conversation.
    pub conversation: ConversationKey,
    /// The user who was heard last, or empty. What has no user, such as a new name of a group, changes nothing of it.
    pub user: Arc<str>,
    /// JSON text of `channelId`, `serviceUrl`, `conversation`, `bot`, `user` and `locale`, as the channel gave them.
    pub text: Arc<str>,
    /// When the bot last heard from it, milliseconds since 1970, to the minute.
    pub seen_ms: u64,
    /// Why the channel takes nothing for it any more. What it says next makes it none.
    pub gone: Option<Arc<str>>,
}

/// Which references are meant: all of a bot, or those of a channel, of a user, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReferenceFilter {
    /// Only conversations of this channel.
    pub channel: Option<ChannelInstance>,
    /// Only conversations in which this user was heard.
    pub user: Option<Arc<str>>,
}

/// Notifications and timers that may wait in one conversation (`notifications-waiting`).
pub const WAITING_MAX: usize = 1_000;

/// How something is delivered into a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// At once; dialogs are left as they are.
    Now,
    /// Once no dialog waits.
    WhenIdle,
    /// On top of the dialog that waits, which repeats its question afterwards.
    Interrupt,
    /// After the dialogs were cancelled.
    Cancel,
}

impl Mode {
    /// All modes, by name.
    pub const ALL: [(&'static str, Self); 4] =
        [("now", Self::Now), ("when-idle", Self::WhenIdle), ("interrupt", Self::Interrupt), ("cancel", Self::Cancel)];

    /// Returns the mode of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, mode)| *mode)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, mode)| *mode == self).map_or("", |(name, _)| name)
    }
}

/// Something that a conversation gets without having said anything: a notification, or a timer where it is due later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// A ULID.
    pub id: Arc<str>,
    /// The conversation.
    pub conversation: ConversationKey,
    /// The user whom it is for, or empty for everybody in the conversation. In a group, only they answer what it asks.
    pub user: Arc<str>,
    /// The plugin that asked for it, or empty for an operator.
    pub sender: Arc<str>,
    /// The name of a timer; a new one of the same sender in the same conversation replaces it. Empty for none.
    pub name: Arc<str>,
    /// How it is delivered.
    pub mode: Mode,
    /// JSON text: `{"activity": …}`, `{"event": …}` or `{"dialog": …}`.
    pub content: Arc<str>,
    /// How many internal turns led to it.
    pub depth: u32,
    /// When it is due, milliseconds since 1970.
    pub due_ms: u64,
    /// When it is due again: a cron expression with its time zone.
    pub cron: Option<Arc<str>>,
    /// After this it is not delivered any more, milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// The caller's key of idempotency and the SHA-256 of what it asked for.
    pub key: Option<IdempotencyKey>,
    /// How it ended: `delivered`, `expired`, `cancelled`, `stopped` or `failed`; none while it waits.
    pub ended: Option<Arc<str>>,
}

/// A caller's key, and the SHA-256 of what it asked for.
pub type IdempotencyKey = (Arc<str>, [u8; 32]);

/// What adding a notification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// It is stored.
    New,
    /// The same key asked for the same before: this is it.
    Known(Box<Notification>),
    /// The same key asked for something else before.
    OtherBody,
}

/// How a notification ended in a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Once and for all.
    Done(&'static str),
    /// It is due again then, milliseconds since 1970.
    Again(u64),
    /// A dialog waits; it is delivered once none does.
    Held,
}

/// What a turn changes here.
#[derive(Debug, Clone, Default)]
pub struct ProactiveChanges {
    /// The conversation as it is now known.
    pub reference: Option<Reference>,
    /// Whether the bot was removed from it: it is forgotten, with what it was owed.
    pub removed: bool,
    /// The notification that the turn delivered.
    pub ended: Option<(Arc<str>, End)>,
    /// New ones.
    pub added: Vec<Notification>,
    /// Ids of those that wait no more.
    pub cancelled: Vec<Arc<str>>,
}

impl ProactiveChanges {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        let Self { reference, removed, ended, added, cancelled } = self;
        reference.is_none() && !removed && ended.is_none() && added.is_empty() && cancelled.is_empty()
    }
}

/// The half of the store that is about speaking first. Atomic like the other.
#[async_trait]
pub trait Notifications: Send + Sync {
    /// Returns how a conversation is reached; none if the bot never met it.
    async fn reference(&self, conversation: &ConversationKey) -> Result<Option<Reference>, StorageError>;

    /// Returns the conversation in which a user of a channel was heard last, with that user as its user.
    async fn latest_reference(
        &self,
        bot: &str,
        channel: &ChannelInstance,
        user: &str,
    ) -> Result<Option<Reference>, StorageError>;

    /// Returns references of a bot after a place, at most `limit`, each with its place. The first page is after 0.
    async fn references(
        &self,
        bot: &str,
        of: &ReferenceFilter,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Reference)>, StorageError>;

    /// Notes how a conversation is reached that the bot opened. Those in which somebody was heard are met by their turns.
    async fn add_reference(&self, reference: Reference) -> Result<(), StorageError>;

    /// Forgets a conversation and what it was owed. False: the bot never met it.
    async fn forget_reference(&self, conversation: &ConversationKey) -> Result<bool, StorageError>;

    /// Notes that the channel takes nothing for a conversation any more.
    async fn mark_gone(&self, conversation: &ConversationKey, why: &str) -> Result<(), StorageError>;

    /// Adds a notification. A timer of the same name, sender and conversation that waits is replaced.
    async fn add_notification(&self, notification: Notification) -> Result<Added, StorageError>;

    /// Returns the notification of a bot that came with a key, within a day after it ended.
    async fn notification_of_key(&self, bot: &str, key: &str) -> Result<Option<Notification>, StorageError>;

    /// Returns a notification of a bot.
    async fn notification(&self, bot: &str, id: &str) -> Result<Option<Notification>, StorageError>;

    /// Returns the notifications of a bot that wait, by the time at which they are due, at most `limit`.
    async fn notifications(&self, bot: &str, limit: usize) -> Result<Vec<Notification>, StorageError>;

    /// Ends one that waits. False: there is none, or it ended already.
    async fn cancel_notification(&self, bot: &str, id: &str) -> Result<bool, StorageError>;

    /// Takes back one that was added and has not begun, as if nobody had asked for it.
    async fn withdraw_notification(&self, bot: &str, id: &str) -> Result<(), StorageError>;

    /// Returns how many wait in a conversation.
    async fn waiting(&self, conversation: &ConversationKey) -> Result<usize, StorageError>;

    /// Returns how many bytes of content wait in all conversations of a bot.
    async fn waiting_bytes(&self, bot: &str) -> Result<u64, StorageError>;

    /// Returns those that are due and were not held, by time, the first of each conversation only, at most `limit`: all,
    /// or those that come after one.
    async fn due(
        &self,
        now_ms: u64,
        after: Option<&Notification>,
        limit: usize,
    ) -> Result<Vec<Notification>, StorageError>;

    /// Returns when the next is due that is not due yet.
    async fn next_due(&self, now_ms: u64) -> Result<Option<u64>, StorageError>;

    /// Returns the oldest of a conversation that was held because a dialog waited.
    async fn next_held(&self, conversation: &ConversationKey) -> Result<Option<Notification>, StorageError>;
}
