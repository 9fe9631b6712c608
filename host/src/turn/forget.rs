//! Forgetting a conversation or a user, between the turns of each conversation that it touches.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::queue::Lane;
use super::{Refusal, Turns};
use crate::activity::{ChannelInstance, ConversationKey};
use crate::storage::StorageError;
use crate::storage::privacy::Forgotten;

impl Turns {
    /// Forgets all that the store holds of a conversation, behind the turns that wait in it. Those that come later find
    /// nothing.
    ///
    /// # Errors
    /// The conversation's queue is full, or the store does not do it.
    pub async fn forget_conversation(self: &Arc<Self>, key: &ConversationKey) -> Result<Forgotten, Refusal> {
        let storage = self.services.storage.clone();
        let of = key.clone();
        let forgotten = self.between_turns(key, async move { storage.forget_conversation(&of).await }).await?;
        self.scheduler.forget(key);
        Ok(forgotten)
    }

    /// Forgets a user of a channel: the conversations that were theirs alone, what is theirs in others, and their state.
    ///
    /// # Errors
    /// As above. What was forgotten before stays so; the caller may ask again.
    pub async fn forget_user(
        self: &Arc<Self>,
        bot: &Arc<str>,
        channel: &ChannelInstance,
        user: &str,
    ) -> Result<(Forgotten, Vec<ConversationKey>), Refusal> {
        let storage = &self.services.storage;
        let conversations = storage.conversations_of(bot, channel, user).await.map_err(refused)?;
        let (mut forgotten, mut theirs) = (Forgotten::default(), Vec::new());
        for (conversation, is_theirs) in conversations {
            let key = ConversationKey { bot: bot.clone(), channel: channel.clone(), conversation };
            if is_theirs {
                forgotten.add_all(&self.forget_conversation(&key).await?);
                theirs.push(key);
            } else {
                let (storage, of, user) = (storage.clone(), key.clone(), user.to_owned());
                let member = async move { storage.forget_member(&of, &user).await };
                forgotten.add_all(&self.between_turns(&key, member).await?);
            }
        }
        forgotten.add_all(&storage.forget_user(bot, channel, user).await.map_err(refused)?);
        Ok((forgotten, theirs))
    }

    /// Does something while no turn of the conversation runs, after all that waits in either lane.
    async fn between_turns<T: Send + 'static>(
        &self,
        key: &ConversationKey,
        work: impl Future<Output = Result<T, StorageError>> + Send + 'static,
    ) -> Result<T, Refusal> {
        // The lanes are served alternately: what waits in the other one is through once this has had its place there.
        let (sender, through) = oneshot::channel();
        let marker = async move { _ = sender.send(()) };
        self.queues.push(key, Lane::Channel, marker).map_err(Refusal::QueueFull)?;
        through.await.map_err(|_| Refusal::ShuttingDown)?;
        let (sender, done) = oneshot::channel();
        let job = async move {
            let _ = sender.send(work.await);
        };
        self.queues.push(key, Lane::Internal, job).map_err(Refusal::QueueFull)?;
        // Dropped without an answer only if the host is torn down.
        done.await.map_err(|_| Refusal::ShuttingDown)?.map_err(refused)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(error: StorageError) -> Refusal {
    Refusal::Storage(error.to_string())
}
