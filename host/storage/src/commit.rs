//! The commit of a turn: what becomes real with it, and who may build on it before it is durable.

use std::fmt;
use std::sync::{Arc, OnceLock};

use turntable_activity::ConversationKey;

use crate::notifications::ProactiveChanges;
use crate::transcripts::TranscriptItem;
use crate::{Answer, DeduplicationKey, Fence, OutboxAction, StateWrite};

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
    /// [`StorageError::Conflict`](crate::StorageError::Conflict) where one of them was lost.
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
    /// Whether the commit is durable or lost; none while it is open.
    is_durable: OnceLock<bool>,
}

impl Pending {
    /// A commit with these writes.
    pub fn new(writes: Vec<StateWrite>) -> Self {
        Self { writes, ..Self::default() }
    }

    /// Whether the commit is neither durable, so that everyone reads its writes, nor lost.
    pub fn is_open(&self) -> bool {
        self.is_durable.get().is_none()
    }

    /// Whether the commit was undone.
    pub fn is_lost(&self) -> bool {
        self.is_durable.get() == Some(&false)
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
        let _ = self.pending.is_durable.set(true);
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // Where the commit is durable, this changes nothing.
        let _ = self.pending.is_durable.set(false);
    }
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pending.fmt(f)
    }
}
