//! The outbox: what turns send, until the channel has it or it is a dead letter.

use std::sync::Arc;

use turntable_activity::ConversationKey;

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
        /// The activity as JSON text, complete but for the channel's ids.
        activity: Arc<str>,
    },
    /// Replace an activity that was sent before.
    Update {
        /// A host id or the channel's id.
        target: Arc<str>,
        /// The new content as JSON text.
        activity: Arc<str>,
    },
    /// Delete an activity that was sent before.
    Delete {
        /// A host id or the channel's id.
        target: Arc<str>,
    },
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
