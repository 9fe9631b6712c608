//! Which conversations are stored as they are now: most turns change nothing of how their conversation is reached.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::notifications::{ProactiveChanges, Reference};
use crate::activity::ConversationKey;

/// Conversations remembered at once; when there are more, all are forgotten, and each is stored once more.
const MET_MAX: usize = 100_000;

/// What this process knows to be stored.
#[derive(Default)]
pub(super) struct Met(Mutex<HashMap<ConversationKey, (Arc<str>, u64)>>);

impl Met {
    /// Leaves out of a commit what is stored already. `Some` is what the caller says to [`Met::stored`] once it is.
    pub(super) fn leave_out_known(&self, changes: &mut ProactiveChanges) -> Option<Reference> {
        let known = self.lock();
        let is_known = |reference: &Reference| {
            known
                .get(&reference.conversation)
                .is_some_and(|(text, seen)| *text == reference.text && *seen == reference.seen_ms)
        };
        if changes.met.as_ref().is_some_and(is_known) {
            changes.met = None;
        }
        changes.met.clone()
    }

    /// Notes what a commit stored.
    pub(super) fn stored(&self, reference: Reference) {
        let mut known = self.lock();
        if known.len() >= MET_MAX {
            known.clear();
        }
        known.insert(reference.conversation, (reference.text, reference.seen_ms));
    }

    /// The next commit of the conversation stores it again.
    pub(super) fn forget(&self, conversation: &ConversationKey) {
        self.lock().remove(conversation);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConversationKey, (Arc<str>, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
