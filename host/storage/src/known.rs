//! Conversations whose stored reference is up to date: most turns change nothing of how their conversation is reached.

use std::collections::HashMap;
use std::sync::Arc;

use super::notifications::{ProactiveChanges, Reference};
use parking_lot::{Mutex, MutexGuard};
use turntable_activity::{ChannelInstance, ConversationKey};

/// Users of conversations in memory. When there are more, all are dropped, and the next turn of each stores its reference
/// again.
const USERS_MAX: usize = 100_000;

/// What this process knows to be stored.
#[derive(Default)]
pub(super) struct KnownConversations(Mutex<Known>);

#[derive(Default)]
struct Known {
    users: HashMap<ConversationKey, HashMap<Arc<str>, Seen>>,
    /// By bot, channel and user: the conversation in which they were heard last.
    latest: HashMap<(Arc<str>, ChannelInstance, Arc<str>), Arc<str>>,
    /// Entries of `users`.
    count: usize,
}

/// The text of the reference of a user, and when it was seen.
type Seen = (Arc<str>, u64);

impl KnownConversations {
    /// Leaves out of a commit what is stored already. The caller passes the result to [`KnownConversations::stored`] once it
    /// is stored.
    pub(super) fn leave_out_known(&self, changes: &mut ProactiveChanges) -> Option<Reference> {
        // The commit forgets the conversation.
        if changes.removed || changes.reference.as_ref().is_some_and(|reference| self.lock().knows(reference)) {
            changes.reference = None;
        }
        changes.reference.clone()
    }

    /// Notes what a commit stored.
    pub(super) fn stored(&self, reference: Reference) {
        let mut known = self.lock();
        if known.count >= USERS_MAX {
            *known = Known::default();
        }
        let Reference { conversation: key, user, text, seen_ms, .. } = reference;
        if !user.is_empty() {
            let place = (key.bot.clone(), key.channel.clone(), user.clone());
            known.latest.insert(place, key.conversation.clone());
        }
        if known.users.entry(key).or_default().insert(user, (text, seen_ms)).is_none() {
            known.count += 1;
        }
    }

    /// The next commit of the conversation stores it again.
    pub(super) fn forget(&self, conversation: &ConversationKey) {
        let mut known = self.lock();
        let users = known.users.remove(conversation);
        known.count -= users.map_or(0, |users| users.len());
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock()
    }
}

impl Known {
    fn knows(&self, reference: &Reference) -> bool {
        let Reference { conversation: key, user, text, seen_ms, .. } = reference;
        let stored = self.users.get(key).and_then(|users| users.get(user));
        if stored.is_none_or(|(known, seen)| known != text || seen != seen_ms) {
            return false;
        }
        let place = (key.bot.clone(), key.channel.clone(), user.clone());
        user.is_empty() || self.latest.get(&place).is_some_and(|latest| *latest == key.conversation)
    }
}
