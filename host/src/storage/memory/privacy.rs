//! Forgetting in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;

use super::{Mark, MemoryStorage, State, bytes_of};
use crate::activity::{ChannelInstance, ConversationKey, Object};
use crate::storage::privacy::{Forgotten, Privacy};
use crate::storage::{OutboxAction, ScopeOwner, StateScope, StorageError};

#[async_trait]
impl Privacy for MemoryStorage {
    async fn forget_conversation(&self, key: &ConversationKey) -> Result<Forgotten, StorageError> {
        let mut state = self.state();
        let mut forgotten = Forgotten::default();
        forgotten.add("state", state.forget_values(|scope| scope.bot == key.bot && in_conversation(&scope.owner, key)));
        forgotten.add("dialogs", usize::from(state.stacks.contains_key(key)));
        state.set_stack(key, None);
        let undelivered = state.outbox.remove(key).map_or(0, |rows| rows.len());
        state.outbox_rows -= undelivered;
        forgotten.add("undelivered", undelivered);
        let before = state.dead.len();
        state.dead.retain(|letter| letter.row.conversation != *key);
        forgotten.add("dead_letters", before - state.dead.len());
        forgotten.add("answers", state.forget_marks(key));
        forgotten.add("ids", state.ids.forget(key));
        forgotten.add("broadcasts", state.broadcasts.forget(key));
        forgotten.add("references", usize::from(state.proactive.forget_whole(key)));
        forgotten.add("transcripts", usize::from(state.transcripts.delete(key)));
        Ok(forgotten)
    }

    async fn forget_member(&self, key: &ConversationKey, user: &str) -> Result<Forgotten, StorageError> {
        let mut state = self.state();
        let mut forgotten = Forgotten::default();
        let private = ScopeOwner::Private(key.channel.clone(), key.conversation.clone(), user.into());
        forgotten.add("state", state.forget_values(|scope| scope.bot == key.bot && scope.owner == private));
        forgotten.add("notifications", state.proactive.forget_notifications(key, user));
        forgotten.add("users", usize::from(state.proactive.forget_user(key, user)));
        forgotten.add("transcript", state.transcripts.delete_user(key, user));
        let before = state.dead.len();
        state.dead.retain(|letter| letter.row.conversation != *key || !is_to(&letter.row.action, user));
        forgotten.add("dead_letters", before - state.dead.len());
        forgotten.add("answers", state.blank_answers(key));
        Ok(forgotten)
    }

    async fn forget_user(&self, bot: &str, channel: &ChannelInstance, user: &str) -> Result<Forgotten, StorageError> {
        let mut forgotten = Forgotten::default();
        let mut state = self.state();
        forgotten.add("broadcasts", state.broadcasts.forget_user(bot, channel, user));
        let count = state.forget_values(|scope| {
            let of_user = match &scope.owner {
                ScopeOwner::User(of, owner) | ScopeOwner::Private(of, _, owner) => of == channel && **owner == *user,
                ScopeOwner::Bot | ScopeOwner::Conversation(..) => false,
            };
            *scope.bot == *bot && of_user
        });
        forgotten.add("state", count);
        Ok(forgotten)
    }

    async fn conversations_of(
        &self,
        bot: &str,
        channel: &ChannelInstance,
        user: &str,
    ) -> Result<Vec<(Arc<str>, bool)>, StorageError> {
        let state = self.state();
        let of = |(key, users): (&ConversationKey, BTreeSet<Arc<str>>)| {
            (*key.bot == *bot && key.channel == *channel).then(|| (key.conversation.clone(), users))
        };
        let mut all: BTreeMap<Arc<str>, BTreeSet<Arc<str>>> = BTreeMap::new();
        for (conversation, users) in state.proactive.users().chain(state.transcripts.users()).filter_map(of) {
            all.entry(conversation).or_default().extend(users);
        }
        let wanted = all.into_iter().filter(|(_, users)| users.contains(user));
        Ok(wanted.map(|(conversation, users)| (conversation, users.len() == 1)).collect())
    }
}

impl State {
    fn forget_values(&mut self, goes: impl Fn(&StateScope) -> bool) -> usize {
        let (mut count, mut bytes) = (0, 0);
        self.values.retain(|scope, values| {
            let goes = goes(scope);
            if goes {
                count += values.len();
                bytes += values.iter().map(|(key, value)| bytes_of(key, value)).sum::<usize>();
            }
            !goes
        });
        self.state_bytes = self.state_bytes.saturating_sub(bytes);
        count
    }

    fn forget_marks(&mut self, conversation: &ConversationKey) -> usize {
        let before = self.done.len();
        self.done.retain(|key| key.conversation != *conversation);
        self.marks.retain(|key, mark| key.conversation != *conversation || matches!(mark, Mark::Running { .. }));
        before - self.done.len()
    }

    /// A redelivery is still known as one, but gets no text any more.
    fn blank_answers(&mut self, conversation: &ConversationKey) -> usize {
        let of = self.marks.iter_mut().filter(|(key, _)| key.conversation == *conversation);
        let done = of.filter_map(|(_, mark)| match mark {
            Mark::Done { answer, .. } => answer.body.take(),
            Mark::Running { .. } => None,
        });
        done.count()
    }
}

fn in_conversation(owner: &ScopeOwner, key: &ConversationKey) -> bool {
    match owner {
        ScopeOwner::Conversation(channel, conversation) | ScopeOwner::Private(channel, conversation, _) => {
            (channel, conversation) == (&key.channel, &key.conversation)
        }
        ScopeOwner::Bot | ScopeOwner::User(..) => false,
    }
}

fn is_to(action: &OutboxAction, user: &str) -> bool {
    let to = |activity: &Object| activity.get("recipient").is_some_and(|to| to["id"] == user);
    match action {
        OutboxAction::Send { activity, .. } | OutboxAction::Update { activity, .. } => to(activity),
        OutboxAction::Delete { .. } => false,
    }
}
