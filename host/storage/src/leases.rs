//! Leases: which owner runs the turns of a conversation.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use turntable_activity::ConversationKey;

/// Who asks for a lease: one process, or one part of it that runs turns.
pub type Owner = Arc<str>;

/// Orders the holders of a lease: a commit with an older fence than the newest one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(pub u64);

/// Result of asking for a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// The owner has the conversation until the time to live is over and another owner asks. An owner that renews its
    /// lease keeps its fence.
    Granted(Fence),
    /// Another owner has the conversation, for at most this time.
    Held(Duration),
}

/// Number of leases at which expired ones are first dropped.
const PRUNED_FROM: usize = 1_024;

/// Leases of a store with one process at a time: they are kept in memory, because they end with that process.
#[derive(Default)]
pub(super) struct Leases {
    held: HashMap<ConversationKey, Held>,
    /// One counter for all conversations, so that fences rise even where an expired lease was dropped.
    fence: u64,
    /// Number of leases at which expired ones are dropped next.
    prune_at: usize,
}

struct Held {
    owner: Owner,
    fence: Fence,
    until: Instant,
}

impl Leases {
    pub(super) fn lease(
        &mut self,
        conversation: &ConversationKey,
        owner: &Owner,
        ttl: Duration,
        now: Instant,
    ) -> Lease {
        let until = now + ttl;
        match self.held.get_mut(conversation) {
            Some(held) if held.owner == *owner => {
                held.until = until;
                return Lease::Granted(held.fence);
            }
            Some(held) if held.until > now => return Lease::Held(held.until - now),
            Some(_) | None => {}
        }
        if self.held.len() >= self.prune_at {
            self.held.retain(|_, held| held.until > now);
            self.prune_at = (self.held.len() * 2).max(PRUNED_FROM);
        }
        self.fence += 1;
        let fence = Fence(self.fence);
        self.held.insert(conversation.clone(), Held { owner: owner.clone(), fence, until });
        Lease::Granted(fence)
    }

    /// Returns whether another owner was granted the conversation after this fence.
    pub(super) fn taken_over(&self, conversation: &ConversationKey, fence: Fence) -> bool {
        self.held.get(conversation).is_some_and(|held| held.fence > fence)
    }
}
