//! What outlives a turn: state, dialog stacks, answers for redeliveries, the outbox, ids of sent activities, dead letters.
//!
//! This crate hides in what the host keeps all that: SQL, the one file and its thread that writes, what of it is held in
//! memory, and what a crash leaves. The rest of the host knows the trait [`Storage`], which has five parts and is shaped for
//! stores that several hosts share. Every implementation passes the suite in `conformance`.

pub mod broadcasts;
mod deduplication;
mod failpoints;
mod known;
mod leases;
pub mod notifications;
pub mod privacy;
pub mod sqlite;
pub mod transcripts;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use self::broadcasts::Broadcasts;
pub use self::deduplication::DeduplicationKey;
pub use self::leases::{Fence, Lease, Owner};
use self::notifications::{Notifications, ProactiveChanges};
use self::privacy::Privacy;
use self::transcripts::{TranscriptItem, Transcripts};
use turntable_activity::{ChannelInstance, ConversationKey, Object};

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
    /// The first run is still going on.
    Running {
        /// Its turn.
        turn_id: Arc<str>,
        /// Yields its answer, or closes without one when the run was released.
        answer: watch::Receiver<Option<Answer>>,
    },
    /// Done before.
    Duplicate {
        /// The turn that ran; empty where an earlier version of the host did not keep it.
        turn_id: Arc<str>,
        /// What it answered.
        answer: Answer,
    },
}

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

/// The dialog stack of a conversation as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredStack {
    /// JSON text; the dialog engine's own.
    pub text: Arc<str>,
    /// What is on it, for those who count.
    pub frames: Vec<FrameTag>,
}

/// What is known of a waiting frame without reading its stack.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameTag {
    /// The plugin.
    pub plugin: Arc<str>,
    /// The dialog.
    pub dialog: Arc<str>,
    /// The version of its state.
    pub state_version: u64,
}

/// An accepted activity that a restart must run, because its caller got a 202.
#[derive(Debug, Clone)]
pub struct InboxEntry {
    /// The turn that runs it.
    pub turn_id: Arc<str>,
    /// The conversation.
    pub conversation: ConversationKey,
    /// The JSON text as it arrived.
    pub activity: Arc<str>,
}

/// Number of starts that run an activity of the inbox. One that ends the process each time is not run again.
pub const STARTS_MAX: u32 = 5;

/// What an earlier process left.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// Accepted activities whose turn did not end, oldest first.
    pub activities: Vec<InboxEntry>,
    /// Turns of activities that [`STARTS_MAX`] starts ran and none ended. They stay in the store, and are not run.
    pub given_up: Vec<Arc<str>>,
    /// Conversations with undelivered rows, and how many.
    pub outbox: Vec<(ConversationKey, usize)>,
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
    /// The lease under which the turn ran.
    pub fence: Fence,
    /// What to send, in order.
    pub outbox: Vec<OutboxAction>,
    /// State, at most one write of a key.
    pub writes: Vec<StateWrite>,
    /// The dialog stack: none leaves it, `Some(None)` empties it.
    pub stack: Option<Option<StoredStack>>,
    /// The deduplication record of the activity: that it is processed, and its answer. A flush stores the answer that the turn
    /// would give now; the commit at the end replaces it.
    pub record: Option<(DeduplicationKey, Answer)>,
    /// References and notifications.
    pub proactive: ProactiveChanges,
    /// What was said since the last commit of the turn, where the bot keeps transcripts.
    pub transcript: Vec<TranscriptItem>,
    /// Whether the turn ends with this commit. After a flush (`false`) the activity counts as processed, but redeliveries
    /// go on waiting for the answer of the end. Either way a restart does not run the activity again.
    pub ends_turn: bool,
    /// Commits on whose writes this one may build though they are not durable yet: it fails with
    /// [`StorageError::Conflict`] where one of them was lost.
    pub builds_on: Vec<Arc<Pending>>,
    /// Tells when the writes of this commit are made, for turns that build on them. A store may leave it alone.
    pub made: Option<Made>,
}

impl TurnCommit {
    /// Returns whether the store is the same after this commit.
    pub(crate) fn changes_nothing(&self) -> bool {
        let sends_or_writes = !self.outbox.is_empty() || !self.writes.is_empty() || self.stack.is_some();
        let remembers = self.record.is_some() || !self.proactive.is_empty() || !self.transcript.is_empty();
        let is_in_a_chain = !self.builds_on.is_empty() || self.made.is_some();
        !(sends_or_writes || remembers || is_in_a_chain)
    }
}

/// A commit that is made and not durable yet. What builds on it is durable after it, or not at all.
#[derive(Debug, Default)]
pub struct Pending {
    /// What the commit writes.
    pub writes: Vec<StateWrite>,
    durable: AtomicBool,
    lost: AtomicBool,
}

impl Pending {
    /// A commit with these writes.
    pub fn new(writes: Vec<StateWrite>) -> Self {
        Self { writes, ..Self::default() }
    }

    /// Whether the commit is neither durable, so that everyone reads its writes, nor lost.
    pub fn is_open(&self) -> bool {
        !self.durable.load(Ordering::Acquire) && !self.is_lost()
    }

    /// Whether the commit was undone.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }
}

/// What a store says of a commit before the commit is durable.
pub struct Made {
    pending: Arc<Pending>,
    then: Option<Box<dyn FnOnce() -> bool + Send>>,
}

impl Made {
    /// `then` is called once the writes are checked and made. It returns whether another commit that builds on this one
    /// comes soon, so that both can share a transaction.
    pub fn new(pending: Arc<Pending>, then: impl FnOnce() -> bool + Send + 'static) -> Self {
        Self { pending, then: Some(Box::new(then)) }
    }

    /// The writes are checked and made.
    pub fn made(&mut self) -> bool {
        self.then.take().is_some_and(|then| then())
    }

    /// The writes are durable. A commit of which nobody says so is lost.
    pub fn durable(&self) {
        self.pending.durable.store(true, Ordering::Release);
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if self.pending.is_open() {
            self.pending.lost.store(true, Ordering::Release);
        }
    }
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pending.fmt(f)
    }
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
        /// Whether the channel takes nothing for the conversation any more.
        gone: bool,
    },
}

impl Delivery {
    /// The channel's id, empty where there is none.
    pub(crate) fn channel_id(&self) -> Arc<str> {
        match self {
            Self::Done { channel_id } => channel_id.clone(),
            Self::Dead { .. } => "".into(),
        }
    }
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

    /// Stores an accepted activity so that a restart runs it. The commit of its turn removes it.
    async fn add_to_inbox(&self, activity: InboxEntry) -> Result<(), StorageError>;

    /// Removes an activity whose turn has ended. Nothing happens if the inbox does not have it.
    async fn remove_from_inbox(&self, turn_id: &Arc<str>) -> Result<(), StorageError>;

    /// Returns what an earlier process left, and counts the start. Called once, before the first turn.
    async fn leftovers(&self) -> Result<Leftovers, StorageError>;

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
    /// known to `channel_id`. After any error nothing has changed, and the claim of the activity still stands.
    async fn commit(&self, commit: TurnCommit) -> Result<(), StorageError>;

    /// Returns the oldest undelivered row of a conversation, the same one until `note_delivery` has ended it. Each
    /// conversation has one deliverer at a time.
    async fn claim_outbox(&self, conversation: &ConversationKey) -> Result<Option<OutboxRow>, StorageError>;

    /// Ends a claimed row: it leaves the outbox, and a delivered send maps its host id and the channel's to each other.
    /// A row that was ended before changes nothing.
    async fn note_delivery(&self, row: &OutboxRow, delivery: Delivery) -> Result<(), StorageError>;

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
    /// caller wakes. None: the bot has no such letter.
    async fn retry_dead_letter(&self, bot: &str, sequence: u64) -> Result<Option<ConversationKey>, StorageError>;

    /// Forgets a dead letter. False: the bot has no such letter.
    async fn drop_dead_letter(&self, bot: &str, sequence: u64) -> Result<bool, StorageError>;

    /// Returns the number of undelivered rows, for metrics and for shutdown.
    async fn outbox_depth(&self) -> Result<u64, StorageError>;

    /// Tidies up at a graceful stop, so that the next start need not. Called once, last; nothing is lost without it.
    async fn close(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod testing;
