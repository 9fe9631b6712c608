//! One content for many: broadcasts, whom they have yet to reach, and how they ended for each.
//!
//! Whom a broadcast is for is written down when it is added. From there each target becomes a notification, in the same
//! step that moves the broadcast's place past it, so that each gets one, whatever ends the process.

use std::sync::Arc;

use async_trait::async_trait;

use super::StorageError;
use super::notifications::{IdempotencyKey, Mode};
use turntable_activity::ChannelInstance;

/// Broadcasts kept of a bot (`broadcasts-kept`); the oldest that have ended go first.
pub const BROADCASTS_MAX: usize = 100;
/// What is said of a target whose conversation has too much to hear already.
pub(super) const CROWDED: &str = "1,000 notifications wait in the conversation (notifications-waiting)";

/// A content on its way to many conversations of a bot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broadcast {
    /// A ULID. Its notifications are called `ID-PLACE`.
    pub id: Arc<str>,
    /// The bot that speaks.
    pub bot: Arc<str>,
    /// How it is delivered into each conversation.
    pub mode: Mode,
    /// JSON text, as of a notification; `{}` once it has ended.
    pub content: Arc<str>,
    /// After this nothing is delivered any more, milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// How many targets may begin within a second, at least 1.
    pub per_second: u32,
    /// The caller's key of idempotency and the SHA-256 of what it asked for.
    pub key: Option<IdempotencyKey>,
    /// How far it is.
    pub state: BroadcastState,
    /// When it was added, milliseconds since 1970.
    pub created_ms: u64,
    /// When the first target began.
    pub started_ms: Option<u64>,
    /// When it was done or cancelled.
    pub ended_ms: Option<u64>,
    /// Targets by what became of them.
    pub counts: Counts,
}

/// How far a broadcast is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BroadcastState {
    /// Targets begin, or have all begun.
    Running,
    /// No further target begins. What has begun goes on.
    Paused,
    /// Every target has ended.
    Done,
    /// An operator ended it.
    Cancelled,
}

impl BroadcastState {
    const ALL: [(&'static str, Self); 4] =
        [("running", Self::Running), ("paused", Self::Paused), ("done", Self::Done), ("cancelled", Self::Cancelled)];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, state)| *state)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, state)| *state == self).map_or("", |(name, _)| name)
    }

    /// Whether nothing of it begins any more.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled)
    }
}

/// What became of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetOutcome {
    /// The turn is done, and the channel took all that it sent.
    Delivered,
    /// Middleware kept it back.
    Stopped,
    /// It came too late.
    Expired,
    /// The turn failed, or the channel refused what it sent.
    Failed,
    /// The channel takes nothing for the conversation any more.
    Gone,
    /// The bot has not met the conversation or the user, or was removed from it.
    Unknown,
    /// An operator or a plugin ended it.
    Cancelled,
}

impl TargetOutcome {
    /// All outcomes, by name.
    pub const ALL: [(&'static str, Self); 7] = [
        ("delivered", Self::Delivered),
        ("stopped", Self::Stopped),
        ("expired", Self::Expired),
        ("failed", Self::Failed),
        ("gone", Self::Gone),
        ("unknown", Self::Unknown),
        ("cancelled", Self::Cancelled),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, outcome)| *outcome)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, outcome)| *outcome == self).map_or("", |(name, _)| name)
    }
}

/// Targets by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub total: u64,
    pub(super) ended: [u64; TargetOutcome::ALL.len()],
}

impl Counts {
    /// Those that ended so.
    pub fn of(&self, outcome: TargetOutcome) -> u64 {
        let all = TargetOutcome::ALL.iter().zip(self.ended);
        all.filter(|((_, known), _)| *known == outcome).map(|(_, count)| count).sum()
    }

    /// Those that have not begun or not ended.
    pub fn waiting(&self) -> u64 {
        self.total.saturating_sub(self.ended.iter().sum())
    }
}

/// Whom a broadcast is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// The conversations that the bot has met when it is added: all, or those of a channel.
    Known(Option<ChannelInstance>),
    /// These, each conversation once.
    Listed(Vec<Listed>),
}

/// An entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// A conversation.
    Conversation(ChannelInstance, Arc<str>),
    /// The conversation in which a user was heard last.
    User(ChannelInstance, Arc<str>),
}

/// What adding a broadcast found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddedBroadcast {
    /// It is stored.
    New(Broadcast),
    /// The same key asked for the same before: this is it.
    Known(Broadcast),
    /// The same key asked for something else before.
    OtherBody,
    /// [`BROADCASTS_MAX`] of the bot have not ended.
    TooMany,
}

/// A target that ended otherwise than delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedTarget {
    /// Its place in the broadcast, which is also the place of a page.
    pub place: u64,
    /// The channel.
    pub channel: ChannelInstance,
    /// The conversation; empty where the user has none.
    pub conversation: Arc<str>,
    /// The user, where a list named one whom the bot has not met.
    pub user: Arc<str>,
    /// How it ended.
    pub outcome: TargetOutcome,
    /// What the channel said, where it said something.
    pub why: Option<Arc<str>>,
}

/// The part of the store that is about broadcasts. Atomic like the others.
///
/// A target ends with its notification, and where that was delivered, with the last row of the outbox of its turn.
/// Forgetting a conversation forgets that it was a target; one that waited counts as unknown.
#[async_trait]
pub trait Broadcasts: Send + Sync {
    /// Adds a broadcast and writes down its targets. State and counts of what is given are the store's business, but for
    /// whether it begins paused.
    async fn add_broadcast(&self, broadcast: Broadcast, to: Targets) -> Result<AddedBroadcast, StorageError>;

    /// Returns a broadcast of a bot.
    async fn broadcast(&self, bot: &str, id: &str) -> Result<Option<Broadcast>, StorageError>;

    /// Returns the broadcasts of a bot, newest first.
    async fn broadcasts(&self, bot: &str) -> Result<Vec<Broadcast>, StorageError>;

    /// Returns the running broadcasts of all bots that have targets which have not begun, oldest first.
    async fn open_broadcasts(&self) -> Result<Vec<Broadcast>, StorageError>;

    /// Begins the next targets of a running broadcast, at most `limit`: each gets its notification, or ends at once where
    /// that would lead nowhere. Returns how many notifications were added.
    async fn begin_targets(&self, id: &str, limit: usize) -> Result<usize, StorageError>;

    /// Pauses (`Paused`), resumes (`Running`) or cancels (`Cancelled`) a broadcast, and returns it as it is then. Cancelling
    /// ends all of it that has not been said. One that has ended stays as it is: false. None: the bot has no such broadcast.
    async fn switch_broadcast(
        &self,
        bot: &str,
        id: &str,
        to: BroadcastState,
    ) -> Result<Option<(bool, Broadcast)>, StorageError>;

    /// Returns the targets after a place that ended otherwise than delivered, at most `limit`.
    async fn failed_targets(
        &self,
        bot: &str,
        id: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<FailedTarget>, StorageError>;
}

/// The id of the notification for a target.
pub(super) fn notification_id(broadcast: &str, place: u64) -> Arc<str> {
    format!("{broadcast}-{place}").into()
}

/// The broadcast and the place of a notification that is one's.
pub(super) fn target_of(notification: &str) -> Option<(&str, u64)> {
    let (broadcast, place) = notification.split_once('-')?;
    Some((broadcast, place.parse().ok()?))
}
