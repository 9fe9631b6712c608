//! References and notifications in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::MemoryStorage;
use crate::activity::{ChannelInstance, ConversationKey};
use crate::storage::StorageError;
use crate::storage::notifications::{Added, End, Notification, Notifications, ProactiveChanges, Reference};

/// Ended notifications kept for those who ask about them.
const ENDED_MAX: usize = 10_000;

/// References kept; the oldest go first.
const REFERENCES_MAX: usize = 100_000;

/// What is known, each by a number that grows.
#[derive(Default)]
pub(super) struct Proactive {
    last: u64,
    references: BTreeMap<u64, Reference>,
    notifications: BTreeMap<u64, Held>,
}

struct Held {
    notification: Notification,
    held: bool,
}

impl Held {
    /// What it said is kept no longer than it takes to say it.
    fn end(&mut self, how: &str) {
        self.notification.ended = Some(how.into());
        self.notification.content = "{}".into();
    }
}

impl Proactive {
    pub(super) fn change(&mut self, conversation: &ConversationKey, changes: &ProactiveChanges) {
        if changes.removed {
            self.forget(conversation);
        } else if let Some(met) = &changes.met {
            self.references.retain(|_, known| known.conversation != met.conversation);
            self.last += 1;
            self.references.insert(self.last, Reference { gone: None, ..met.clone() });
            if self.references.len() > REFERENCES_MAX {
                self.references.pop_first();
            }
        }
        if let Some((id, end)) = &changes.ended
            && let Some(waiting) = self.waiting(&conversation.bot, id)
        {
            match end {
                End::Done(how) => waiting.end(how),
                End::Again(due_ms) => (waiting.notification.due_ms, waiting.held) = (*due_ms, false),
                End::Held => waiting.held = true,
            }
        }
        for notification in &changes.added {
            self.add(notification);
        }
        for id in &changes.cancelled {
            self.cancel(&conversation.bot, id);
        }
    }

    fn waiting(&mut self, bot: &str, id: &str) -> Option<&mut Held> {
        let mut all = self.notifications.values_mut();
        all.find(|known| {
            let known = &known.notification;
            *known.id == *id && *known.conversation.bot == *bot && known.ended.is_none()
        })
    }

    fn add(&mut self, new: &Notification) -> Added {
        if let Some((key, body)) = &new.key {
            let same_key = |known: &&Held| {
                let known = &known.notification;
                known.conversation.bot == new.conversation.bot
                    && known.key.as_ref().is_some_and(|(known, _)| known == key)
            };
            if let Some(known) = self.notifications.values().find(same_key) {
                let same = known.notification.key.as_ref().is_some_and(|(_, known)| known == body);
                return if same { Added::Known(Box::new(known.notification.clone())) } else { Added::OtherBody };
            }
        }
        if !new.name.is_empty() {
            let replaced = self.notifications.values_mut().filter(|known| {
                let known = &known.notification;
                known.ended.is_none()
                    && known.conversation == new.conversation
                    && (&known.sender, &known.name) == (&new.sender, &new.name)
            });
            replaced.for_each(|known| known.end("cancelled"));
        }
        self.last += 1;
        self.notifications.insert(self.last, Held { notification: new.clone(), held: false });
        let ended = self.notifications.values().filter(|known| known.notification.ended.is_some()).count();
        if ended > ENDED_MAX {
            let oldest = self.notifications.iter().find(|(_, known)| known.notification.ended.is_some());
            if let Some(oldest) = oldest.map(|(number, _)| *number) {
                self.notifications.remove(&oldest);
            }
        }
        Added::New
    }

    fn cancel(&mut self, bot: &str, id: &str) -> bool {
        let waiting = self.waiting(bot, id);
        waiting.map(|known| known.end("cancelled")).is_some()
    }

    fn forget(&mut self, conversation: &ConversationKey) -> bool {
        let before = self.references.len();
        self.references.retain(|_, known| known.conversation != *conversation);
        self.notifications.retain(|_, known| known.notification.conversation != *conversation);
        self.references.len() < before
    }

    /// Those that wait, by the time at which they are due.
    fn by_time(&self, wanted: impl Fn(&Held) -> bool) -> Vec<Notification> {
        let waiting = self.notifications.values().filter(|known| known.notification.ended.is_none() && wanted(known));
        let mut waiting: Vec<Notification> = waiting.map(|known| known.notification.clone()).collect();
        waiting.sort_by_key(|notification| notification.due_ms);
        waiting
    }
}

#[async_trait]
impl Notifications for MemoryStorage {
    async fn reference(&self, conversation: &ConversationKey) -> Result<Option<Reference>, StorageError> {
        let state = self.state();
        Ok(state.proactive.references.values().find(|known| known.conversation == *conversation).cloned())
    }

    async fn latest_reference(
        &self,
        bot: &str,
        channel: &ChannelInstance,
        user: &str,
    ) -> Result<Option<Reference>, StorageError> {
        let state = self.state();
        let mut newest_first = state.proactive.references.values().rev();
        let found = newest_first.find(|known| {
            let conversation = &known.conversation;
            *conversation.bot == *bot && conversation.channel == *channel && *known.user == *user
        });
        Ok(found.cloned())
    }

    async fn references(&self, bot: &str, after: u64, limit: usize) -> Result<Vec<(u64, Reference)>, StorageError> {
        let state = self.state();
        let all = state.proactive.references.range(after.saturating_add(1)..);
        let of_bot = all.filter(|(_, known)| *known.conversation.bot == *bot);
        Ok(of_bot.take(limit).map(|(number, known)| (*number, known.clone())).collect())
    }

    async fn forget_reference(&self, conversation: &ConversationKey) -> Result<bool, StorageError> {
        Ok(self.state().proactive.forget(conversation))
    }

    async fn mark_gone(&self, conversation: &ConversationKey, why: &str) -> Result<(), StorageError> {
        let mut state = self.state();
        let mut all = state.proactive.references.values_mut();
        if let Some(known) = all.find(|known| known.conversation == *conversation) {
            known.gone = Some(why.into());
        }
        Ok(())
    }

    async fn add_notification(&self, notification: Notification) -> Result<Added, StorageError> {
        Ok(self.state().proactive.add(&notification))
    }

    async fn notification(&self, bot: &str, id: &str) -> Result<Option<Notification>, StorageError> {
        let state = self.state();
        let mut all = state.proactive.notifications.values().map(|known| &known.notification);
        Ok(all.find(|known| *known.conversation.bot == *bot && *known.id == *id).cloned())
    }

    async fn notifications(&self, bot: &str, limit: usize) -> Result<Vec<Notification>, StorageError> {
        let mut waiting = self.state().proactive.by_time(|known| *known.notification.conversation.bot == *bot);
        waiting.truncate(limit);
        Ok(waiting)
    }

    async fn cancel_notification(&self, bot: &str, id: &str) -> Result<bool, StorageError> {
        Ok(self.state().proactive.cancel(bot, id))
    }

    async fn due(&self, now_ms: u64, limit: usize) -> Result<Vec<Notification>, StorageError> {
        let mut due = self.state().proactive.by_time(|known| !known.held && known.notification.due_ms <= now_ms);
        due.truncate(limit);
        Ok(due)
    }

    async fn next_due(&self, now_ms: u64) -> Result<Option<u64>, StorageError> {
        let later = self.state().proactive.by_time(|known| !known.held && known.notification.due_ms > now_ms);
        Ok(later.first().map(|notification| notification.due_ms))
    }

    async fn next_held(&self, conversation: &ConversationKey) -> Result<Option<Notification>, StorageError> {
        let held =
            self.state().proactive.by_time(|known| known.held && known.notification.conversation == *conversation);
        Ok(held.into_iter().next())
    }
}
