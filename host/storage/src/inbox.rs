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

/// Number of starts that run an activity together with the others. If none of them ended it, it is a suspect: it may be
/// what ends the process, or it was there by chance.
pub const STARTS_TOGETHER: u32 = 3;
/// Number of times that a suspect runs alone, after all others. If the process ends each time, the activity is given
/// up.
pub const RUNS_ALONE_MAX: u32 = 3;

/// What an earlier process left.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// Accepted activities whose turn did not end, oldest first.
    pub activities: Vec<InboxEntry>,
    /// Accepted activities that must run alone, those that did so least often first.
    pub suspects: Vec<InboxEntry>,
    /// Turns of activities that are given up. They stay in the store until an operator retries or drops them.
    pub given_up: Vec<Arc<str>>,
    /// Conversations with undelivered rows, and how many.
    pub outbox: Vec<(ConversationKey, usize)>,
}

/// An accepted activity that is not run any more, because no start of the host could end it.
#[derive(Debug, Clone)]
pub struct GivenUp {
    /// Its number in the inbox.
    pub number: u64,
    /// The activity.
    pub entry: InboxEntry,
}
