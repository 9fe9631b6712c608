//! What outlives a turn: redelivery marks with their answers, the outbox, the id map, dead letters.
//!
//! One trait, shaped for several owners from the start (`design.md` §8). The embedded implementation of this release is
//! [`memory`]: bounded, and lost with the process. State, leases and timers join the trait together with their users.

pub mod memory;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::activity::{ConversationKey, Object};

/// Identifies one delivery of one activity: a redelivery has the same key (`design.md` §2, Redelivery).
///
/// Activities without an id have none, and are never taken for duplicates.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RedeliveryKey {
    /// The conversation.
    pub conversation: ConversationKey,
    /// `type`.
    pub kind: Arc<str>,
    /// `id`.
    pub id: Arc<str>,
    /// SHA-256 of the body without timestamps, for the types that carry the id of *another* activity.
    pub body: Option<[u8; 32]>,
}

/// The HTTP answer of a turn, stored for redeliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON text, or none for an empty body.
    pub body: Option<Arc<str>>,
}

/// What `accept` found.
#[derive(Debug)]
pub enum Accepted {
    /// Not seen before: the caller runs the turn, and must `commit` with the key or `release` it.
    New,
    /// The first run is still going on. The receiver yields its answer, or closes without one when the run was released.
    Running(watch::Receiver<Option<Answer>>),
    /// Done before: this was the answer.
    Duplicate(Answer),
}

/// One thing that a turn sends.
#[derive(Debug, Clone)]
pub struct OutboxRow {
    /// Position in the conversation's outbox; strictly increasing.
    pub sequence: u64,
    /// The conversation.
    pub conversation: ConversationKey,
    /// Where the channel takes it: `serviceUrl` of the activity that caused it.
    pub service_url: Arc<str>,
    /// The turn that sent it.
    pub turn_id: Arc<str>,
    /// What to do.
    pub action: OutboxAction,
}

/// What an outbox row asks of the channel. Ids may be host ids (`tt-…`) until delivery resolves them.
#[derive(Debug, Clone)]
pub enum OutboxAction {
    /// Deliver a new activity.
    Send {
        /// The host id that the guest got.
        host_id: Arc<str>,
        /// The activity, complete but for the channel's ids.
        activity: Object,
    },
    /// Replace an activity that was sent before.
    Update {
        /// A host id or the channel's id.
        target: Arc<str>,
        /// The new content.
        activity: Object,
    },
    /// Delete an activity that was sent before.
    Delete {
        /// A host id or the channel's id.
        target: Arc<str>,
    },
}

/// What becomes real when a turn ends, or flushes: all of it or nothing.
#[derive(Debug)]
pub struct TurnCommit {
    /// The conversation.
    pub conversation: ConversationKey,
    /// Where answers go.
    pub service_url: Arc<str>,
    /// The turn.
    pub turn_id: Arc<str>,
    /// What to send, in order.
    pub outbox: Vec<OutboxAction>,
    /// The mark that the activity is processed, and its answer. A flush marks with the answer the turn would give now;
    /// the commit at the end replaces it.
    pub mark: Option<(RedeliveryKey, Answer)>,
}

/// How the delivery of a row ended.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// The channel took it. The id is the channel's for a send, empty where it gave none.
    Done {
        /// The channel's id.
        channel_id: Arc<str>,
    },
    /// It will not be delivered. The row becomes a dead letter.
    Dead {
        /// Why, fit for an operator; no activity text.
        why: String,
    },
}

/// A row that could not be delivered, kept for the operator.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The row.
    pub row: OutboxRow,
    /// Why it could not be delivered.
    pub why: String,
    /// When it was given up, milliseconds since 1970.
    pub at_ms: u64,
}

/// Why the store did not do it.
#[derive(Debug)]
pub enum StorageError {
    /// A bound is reached; nothing was stored. Names the bound.
    Full(String),
    /// The store is broken or unreachable.
    Unavailable(anyhow::Error),
}

impl std::fmt::Display for StorageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full(bound) => write!(f, "the store is full: {bound}"),
            Self::Unavailable(error) => write!(f, "the store is unavailable: {error:#}"),
        }
    }
}

impl std::error::Error for StorageError {}

/// The store. Every method is atomic: it happens whole or not at all.
#[async_trait]
pub trait Storage: Send + Sync {
    /// Claims an activity for its first run, or says how far that run is. Called once per delivery, before queueing.
    async fn accept(&self, key: &RedeliveryKey) -> Result<Accepted, StorageError>;

    /// Gives up a claim without a mark, after a failure of the host: a redelivery shall run again.
    async fn release(&self, key: &RedeliveryKey);

    /// Makes a turn real. After `Ok`, every row will be delivered or become a dead letter.
    async fn commit(&self, commit: TurnCommit) -> Result<(), StorageError>;

    /// Returns the oldest undelivered row of a conversation. The caller is its only deliverer, and calls
    /// `note_delivery` before it claims again.
    async fn claim_outbox(&self, conversation: &ConversationKey) -> Result<Option<OutboxRow>, StorageError>;

    /// Ends a claimed row, and maps its host id to the channel's.
    async fn note_delivery(&self, row: &OutboxRow, delivery: Delivery) -> Result<(), StorageError>;

    /// Returns the channel's id of a host id: `None` if this conversation never had it or it is forgotten, an empty
    /// string while it is undelivered or the channel gave none.
    async fn channel_id(&self, conversation: &ConversationKey, host_id: &str)
    -> Result<Option<Arc<str>>, StorageError>;

    /// Returns the host id of a channel's id, where this host delivered it.
    async fn host_id(&self, conversation: &ConversationKey, channel_id: &str)
    -> Result<Option<Arc<str>>, StorageError>;

    /// Returns the dead letters of a bot, newest first.
    async fn dead_letters(&self, bot: &str) -> Result<Vec<DeadLetter>, StorageError>;

    /// Returns the number of undelivered rows, for metrics and for shutdown.
    async fn outbox_depth(&self) -> Result<u64, StorageError>;
}
impl RedeliveryKey {
    pub fn of(_: &crate::activity::Inbound) -> Option<Self> {
        None
    }
}
