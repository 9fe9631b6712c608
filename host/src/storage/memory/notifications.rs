//! References and notifications in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::MemoryStorage;
use crate::activity::{ChannelInstance, ConversationKey};
use crate::storage::StorageError;
use crate::storage::notifications::{
    Added, End, Notification, Notifications, ProactiveChanges, Reference, ReferenceFilter,
};

/// Ended notifications kept for those who ask about them.
const ENDED_MAX: usize = 10_000;

/// References kept; the oldest go first.
const REFERENCES_MAX: usize = 100_000;

/// What is known.
#[derive(Default)]
pub(super) struct Proactive {
    /// The number given last; each is greater than those before.
    last: u64,
    contacts: HashMap<ConversationKey, Contact>,
    /// Conversations by the number of their contact.
    order: BTreeMap<u64, ConversationKey>,
    /// Who was heard in conversations that are no contacts any more, of which other things may be kept.
    past: HashMap<ConversationKey, BTreeSet<Arc<str>>>,
    notifications: BTreeMap<u64, Held>,
}

struct Contact {
    number: u64,
    reference: Reference,
    /// Who was heard in it, each with the number of then and the text of the reference.
    users: HashMap<Arc<str>, (u64, Arc<str>)>,
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
            self.meet(met);
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

    fn meet(&mut self, met: &Reference) {
        if let Some(known) = self.contacts.get_mut(&met.conversation).filter(|_| met.user.is_empty()) {
            // Who was heard last stays known.
            let (user, text) = (known.reference.user.clone(), with_user_of(&known.reference.text, &met.text));
            known.reference = Reference { user, text, gone: None, ..met.clone() };
            return;
        }
        self.last += 1;
        let number = self.last;
        let before = self.contacts.remove(&met.conversation);
        if let Some(before) = &before {
            self.order.remove(&before.number);
        }
        let mut users = before.map(|before| before.users).unwrap_or_default();
        if !met.user.is_empty() {
            users.insert(met.user.clone(), (number, met.text.clone()));
        }
        let reference = Reference { gone: None, ..met.clone() };
        self.contacts.insert(met.conversation.clone(), Contact { number, reference, users });
        self.order.insert(number, met.conversation.clone());
        if self.contacts.len() > REFERENCES_MAX
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.contacts.remove(&oldest);
        }
    }

    fn waiting(&mut self, bot: &str, id: &str) -> Option<&mut Held> {
        let mut all = self.notifications.values_mut();
        all.find(|known| {
            let known = &known.notification;
            *known.id == *id && *known.conversation.bot == *bot && known.ended.is_none()
        })
    }

    pub(super) fn add(&mut self, new: &Notification) -> Added {
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

    /// Ends those that wait and whose ids are wanted.
    pub(super) fn cancel_all(&mut self, wanted: impl Fn(&str) -> bool) {
        let all = self.notifications.values_mut();
        let waiting = all.filter(|known| known.notification.ended.is_none() && wanted(&known.notification.id));
        waiting.for_each(|known| known.end("cancelled"));
    }

    /// How a conversation is reached.
    pub(super) fn known(&self, conversation: &ConversationKey) -> Option<&Reference> {
        self.contacts.get(conversation).map(|known| &known.reference)
    }

    /// The conversations of a bot, each with its number.
    pub(super) fn met(&self, bot: &str) -> impl Iterator<Item = (u64, &ConversationKey)> {
        self.order.iter().filter(move |(_, key)| *key.bot == *bot).map(|(number, key)| (*number, key))
    }

    /// The conversation in which a user was heard last, with that user as its user.
    pub(super) fn latest(&self, bot: &str, channel: &ChannelInstance, user: &str) -> Option<Reference> {
        let met = self.contacts.values().filter_map(|known| {
            let conversation = &known.reference.conversation;
            let of_bot = *conversation.bot == *bot && conversation.channel == *channel;
            let (user, (number, text)) = known.users.get_key_value(user).filter(|_| of_bot)?;
            Some((*number, Reference { user: user.clone(), text: text.clone(), ..known.reference.clone() }))
        });
        met.max_by_key(|(number, _)| *number).map(|(_, reference)| reference)
    }

    /// How many wait in a conversation.
    pub(super) fn count_waiting(&self, conversation: &ConversationKey) -> usize {
        self.by_time(|known| known.notification.conversation == *conversation).len()
    }

    pub(super) fn forget(&mut self, conversation: &ConversationKey) -> bool {
        self.notifications.retain(|_, known| known.notification.conversation != *conversation);
        let Some(known) = self.contacts.remove(conversation) else { return false };
        if self.past.len() < REFERENCES_MAX {
            self.past.entry(conversation.clone()).or_default().extend(known.users.into_keys());
        }
        self.order.remove(&known.number).is_some()
    }

    /// The same, and who was heard in it.
    pub(super) fn forget_whole(&mut self, conversation: &ConversationKey) -> bool {
        let forgotten = self.forget(conversation);
        self.past.remove(conversation);
        forgotten
    }

    /// Forgets what a user alone was to hear in a conversation, and returns how much.
    pub(super) fn forget_notifications(&mut self, conversation: &ConversationKey, user: &str) -> usize {
        let before = self.notifications.len();
        self.notifications
            .retain(|_, known| known.notification.conversation != *conversation || *known.notification.user != *user);
        before - self.notifications.len()
    }

    /// Forgets that a user was heard in a conversation. False: they were not.
    pub(super) fn forget_user(&mut self, conversation: &ConversationKey, user: &str) -> bool {
        let was_past = self.past.get_mut(conversation).is_some_and(|users| users.remove(user));
        let Some(known) = self.contacts.get_mut(conversation) else { return was_past };
        if *known.reference.user == *user {
            let nobody = Reference { user: "".into(), ..known.reference.clone() };
            let text = with_user_of(r#"{"user":{"id":""}}"#, &nobody.text);
            known.reference = Reference { text, ..nobody };
        }
        known.users.remove(user).is_some()
    }

    /// Who was heard in which conversation.
    pub(super) fn users(&self) -> impl Iterator<Item = (&ConversationKey, BTreeSet<Arc<str>>)> {
        let contacts = self.contacts.iter().map(|(key, known)| (key, known.users.keys().cloned().collect()));
        contacts.chain(self.past.iter().map(|(key, users)| (key, users.clone())))
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
        Ok(state.proactive.contacts.get(conversation).map(|known| known.reference.clone()))
    }

    async fn latest_reference(
        &self,
        bot: &str,
        channel: &ChannelInstance,
        user: &str,
    ) -> Result<Option<Reference>, StorageError> {
        Ok(self.state().proactive.latest(bot, channel, user))
    }

    async fn references(
        &self,
        bot: &str,
        of: &ReferenceFilter,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Reference)>, StorageError> {
        let state = self.state();
        let all = state.proactive.order.range(after.saturating_add(1)..);
        let wanted = all.filter_map(|(number, key)| {
            let known = state.proactive.contacts.get(key).filter(|_| *key.bot == *bot)?;
            let of_channel = of.channel.as_ref().is_none_or(|channel| key.channel == *channel);
            let of_user = of.user.as_ref().is_none_or(|user| known.users.contains_key(user));
            (of_channel && of_user).then(|| (*number, known.reference.clone()))
        });
        Ok(wanted.take(limit).collect())
    }

    async fn meet(&self, reference: Reference) -> Result<(), StorageError> {
        self.state().proactive.meet(&reference);
        Ok(())
    }

    async fn forget_reference(&self, conversation: &ConversationKey) -> Result<bool, StorageError> {
        let mut state = self.state();
        state.broadcasts.forget(conversation);
        Ok(state.proactive.forget(conversation))
    }

    async fn mark_gone(&self, conversation: &ConversationKey, why: &str) -> Result<(), StorageError> {
        let mut state = self.state();
        if let Some(known) = state.proactive.contacts.get_mut(conversation) {
            known.reference.gone = Some(why.into());
        }
        Ok(())
    }

    async fn add_notification(&self, notification: Notification) -> Result<Added, StorageError> {
        Ok(self.state().proactive.add(&notification))
    }

    async fn notification_of_key(&self, bot: &str, key: &str) -> Result<Option<Notification>, StorageError> {
        let state = self.state();
        let of_key = |known: &&Held| {
            let known = &known.notification;
            *known.conversation.bot == *bot && known.key.as_ref().is_some_and(|(known, _)| **known == *key)
        };
        Ok(state.proactive.notifications.values().find(of_key).map(|known| known.notification.clone()))
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
        let mut state = self.state();
        let cancelled = state.proactive.cancel(bot, id);
        if cancelled {
            state.broadcasts.note_cancelled(id);
        }
        Ok(cancelled)
    }

    async fn withdraw_notification(&self, bot: &str, id: &str) -> Result<(), StorageError> {
        let known = &mut self.state().proactive.notifications;
        known.retain(|_, known| {
            let known = &known.notification;
            known.ended.is_some() || *known.id != *id || *known.conversation.bot != *bot
        });
        Ok(())
    }

    async fn waiting(&self, conversation: &ConversationKey) -> Result<usize, StorageError> {
        Ok(self.state().proactive.count_waiting(conversation))
    }

    async fn due(
        &self,
        now_ms: u64,
        after: Option<&Notification>,
        limit: usize,
    ) -> Result<Vec<Notification>, StorageError> {
        let mut due = self.state().proactive.by_time(|known| !known.held && known.notification.due_ms <= now_ms);
        let mut seen = HashSet::new();
        due.retain(|notification| seen.insert(notification.conversation.clone()));
        if let Some(place) = after.and_then(|after| due.iter().position(|due| due.id == after.id)) {
            due.drain(..=place);
        }
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

/// The text of a reference with the user of another.
fn with_user_of(known: &str, new: &str) -> Arc<str> {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let (known, mut text) = (read(known), read(new));
    if text.is_object() {
        text["user"] = known["user"].clone();
    }
    text.to_string().into()
}
