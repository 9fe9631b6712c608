//! The inbox: accepted activities that a restart must run, and what else an earlier process left.

use std::sync::Arc;

use turntable_activity::ConversationKey;

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
