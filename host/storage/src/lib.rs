//! What outlives a turn: state, dialog stacks, answers for redeliveries, the outbox, ids of sent activities, dead letters.
//!
//! This crate hides in what the host keeps all that: SQL, the one file and its thread that writes, what of it is held in
//! memory, and what a crash leaves. The rest of the host knows the trait [`Storage`], which has five parts and is shaped for
//! stores that several hosts share. Every implementation passes the suite in `conformance`.

pub mod broadcasts;
mod claims;
mod commit;
mod deduplication;
mod failpoints;
mod inbox;
mod known;
mod leases;
pub mod notifications;
mod outbox;
pub mod postgres;
pub mod privacy;
pub mod sqlite;
mod state;
pub mod transcripts;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use self::broadcasts::Broadcasts;
pub use self::commit::{FrameTag, Made, Pending, StoredStack, TurnCommit};
pub use self::deduplication::{Accepted, Answer, DeduplicationKey};
pub use self::inbox::{GivenUp, InboxEntry, Leftovers, RUNS_ALONE_MAX, STARTS_TOGETHER};
pub use self::leases::{Fence, Lease, Owner};
use self::notifications::Notifications;
pub use self::outbox::{DeadLetter, Delivery, DroppedLetter, OutboxAction, OutboxRow, OutboxUse};
use self::privacy::Privacy;
pub use self::state::{Expected, ScopeOwner, StateScope, StateValue, StateWrite};
use self::transcripts::Transcripts;
use turntable_activity::ConversationKey;

/// Why the store did not do it.
#[derive(Debug)]
pub enum StorageError {
    /// A bound is reached; nothing was stored. Names the bound.
    Full(String),
    /// A write relied on a value that is another one by now; nothing was stored.
    Conflict,
    /// Another owner has taken over the conversation; nothing was stored.
    Fenced,
    /// The store is broken or unreachable.
    Unavailable(anyhow::Error),
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(bound) => write!(f, "the store is full: {bound}"),
            Self::Conflict => f.write_str("another turn wrote what this one relied on"),
            Self::Fenced => f.write_str("another owner has taken over the conversation"),
            Self::Unavailable(error) => write!(f, "the store is unavailable: {error:#}"),
        }
    }
}

impl std::error::Error for StorageError {}

/// An origin that may get a token of a bot, because a token of the channel named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvedOrigin {
    /// The bot.
    pub bot: Arc<str>,
    /// The app id of the bot that the token was for.
    pub app_id: Arc<str>,
    /// The channel.
    pub channel: Arc<str>,
    /// Scheme, host and port.
    pub origin: Arc<str>,
}

/// Number of proofs that are kept. A channel has few origins.
pub const PROOFS_MAX: usize = 10_000;

/// The store. Every method is atomic: it happens whole or not at all.
#[async_trait]
pub trait Storage: Notifications + Broadcasts + Transcripts + Privacy {
    /// Claims an activity for its first run, which is this turn, or says how far that run is. Called once per delivery, before
    /// queueing.
    async fn accept(&self, key: &DeduplicationKey, turn_id: &Arc<str>) -> Result<Accepted, StorageError>;

    /// Ends a claim whose run failed in the host. Without a record the claim is forgotten and a redelivery runs again; with
    /// the record of a flush the activity stays processed, and its answer is the one of the flush. Waiting redeliveries
    /// learn it either way. Without a claim nothing happens. An activity in the inbox stays there, because its caller counts on it.
    async fn release(&self, key: &DeduplicationKey);

    /// Stores an accepted activity so that a restart runs it, in the place of an earlier one of the same turn. The commit of the
    /// turn removes it.
    async fn add_to_inbox(&self, activity: InboxEntry) -> Result<(), StorageError>;

    /// Removes an activity whose turn has ended. Nothing happens if the inbox does not have it.
    async fn remove_from_inbox(&self, turn_id: &Arc<str>) -> Result<(), StorageError>;

    /// Returns what an earlier process left, and counts the start. Called once, before the first turn.
    async fn leftovers(&self) -> Result<Leftovers, StorageError>;

    /// Counts that a suspect is about to run alone. It is durable when this returns, so the next start knows it.
    async fn note_run_alone(&self, turn_id: &Arc<str>) -> Result<(), StorageError>;

    /// Returns the activities of a bot that are given up, oldest first.
    async fn given_up(&self, bot: &str) -> Result<Vec<GivenUp>, StorageError>;

    /// Takes an activity back that was given up, so that the caller runs it. If the process ends before the turn does, the next
    /// start runs it alone once more. None: the bot has no such activity.
    async fn retry_given_up(&self, bot: &str, number: u64) -> Result<Option<InboxEntry>, StorageError>;

    /// Forgets an activity that was given up. False: the bot has no such activity.
    async fn drop_given_up(&self, bot: &str, number: u64) -> Result<bool, StorageError>;

    /// Takes or renews the lease of a conversation.
    async fn lease(&self, conversation: &ConversationKey, owner: &Owner, ttl: Duration) -> Result<Lease, StorageError>;

    /// Returns all values of a scope, as the last commit left them.
    async fn load_state(&self, scope: &StateScope) -> Result<HashMap<Arc<str>, StateValue>, StorageError>;

    /// Returns the dialog stack of a conversation.
    async fn load_stack(&self, conversation: &ConversationKey) -> Result<Option<Arc<str>>, StorageError>;

    /// Counts the frames on the stacks of a bot.
    async fn frames(&self, bot: &str) -> Result<Vec<(FrameTag, u64)>, StorageError>;

    /// Returns conversations with such a frame on their stacks, each once, at most so many.
    async fn waiting_in(&self, bot: &str, frame: &FrameTag, max: usize) -> Result<Vec<ConversationKey>, StorageError>;

    /// Makes a turn real. After `Ok`, every row will be delivered or become a dead letter, and every host id in it is
    /// known to `channel_id`. After any error nothing has changed, and the claim of the activity still stands. Rows beyond
    /// the shares of [`OutboxUse::admit`] are refused.
    async fn commit(&self, commit: TurnCommit) -> Result<(), StorageError>;

    /// Returns the oldest undelivered row of a conversation, the same one until `note_delivery` has ended it. Each
    /// conversation has one deliverer at a time.
    async fn claim_outbox(&self, conversation: &ConversationKey) -> Result<Option<OutboxRow>, StorageError>;

    /// Ends a claimed row: it leaves the outbox, and a delivered send maps its host id and the channel's to each other.
    /// A row that was ended before changes nothing. Returns the dead letters that were deleted to make room.
    async fn note_delivery(&self, row: &OutboxRow, delivery: Delivery) -> Result<Vec<DroppedLetter>, StorageError>;

    /// Maps the ids of an activity that left at once, without an outbox row. `channel_id` is empty where the channel
    /// gave none.
    async fn map_id(
        &self,
        conversation: &ConversationKey,
        host_id: &Arc<str>,
        channel_id: &Arc<str>,
    ) -> Result<(), StorageError>;

    /// Returns the channel's id of a host id: `None` if this conversation never had it or it is forgotten, an empty
    /// string while it is undelivered, could not be delivered, or the channel gave none.
    async fn channel_id(&self, conversation: &ConversationKey, host_id: &str)
    -> Result<Option<Arc<str>>, StorageError>;

    /// Returns the host id of a channel's id, where this host delivered it.
    async fn host_id(&self, conversation: &ConversationKey, channel_id: &str)
    -> Result<Option<Arc<str>>, StorageError>;

    /// Returns the dead letters of a bot, newest first.
    async fn dead_letters(&self, bot: &str) -> Result<Vec<DeadLetter>, StorageError>;

    /// Moves a dead letter back into the outbox, behind what waits there, and returns its conversation, whose lane the
    /// caller wakes. None: the bot has no such letter. Fails like a commit where the outbox has no room for it.
    async fn retry_dead_letter(&self, bot: &str, sequence: u64) -> Result<Option<ConversationKey>, StorageError>;

    /// Forgets a dead letter. False: the bot has no such letter.
    async fn drop_dead_letter(&self, bot: &str, sequence: u64) -> Result<bool, StorageError>;

    /// Stores that a channel's token named an origin. The newest [`PROOFS_MAX`] of all bots are kept.
    async fn add_proof(&self, proof: ProvedOrigin) -> Result<(), StorageError>;

    /// Returns the stored proofs.
    async fn proofs(&self) -> Result<Vec<ProvedOrigin>, StorageError>;

    /// Returns the number of undelivered rows, for metrics and for shutdown.
    async fn outbox_depth(&self) -> Result<u64, StorageError>;

    /// Returns once another process has taken the store over, with what to tell the operator. A store that nothing can take over
    /// never returns.
    async fn lost(&self) -> String {
        std::future::pending().await
    }

    /// Returns why the store takes nothing at the moment: its last write failed, or its file is gone. None: it is well. A
    /// store whose write failed goes on trying by itself.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// Tidies up at a graceful stop, so that the next start need not. Called once, last; nothing is lost without it.
    async fn close(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod testing;
