//! Simulates a crash or a stalled store at a named point, for specs of what survives. Debug builds only.
//!
//! `TURNTABLE_CRASH=POINT:N` kills the process with SIGKILL when it reaches the point for the Nth time.
//! `TURNTABLE_CRASH=POINT:N:FILE` blocks there until the file exists. Points: `accept`, `accepted`, `commit`,
//! `committed`, `send`, `sent`, `noted`; of broadcasts `begin`, `begun`. The simulation wraps the store, so that no
//! other code knows of it. A row is sent between its claim (`send`) and the record of its outcome (`sent`).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use crate::activity::{ChannelInstance, ConversationKey, Object};
use crate::storage::broadcasts::{AddedBroadcast, Broadcast, BroadcastState, Broadcasts, FailedTarget, Targets};
use crate::storage::notifications::{Added, Notification, Notifications, Reference, ReferenceFilter};
use crate::storage::privacy::{Forgotten, Privacy};
use crate::storage::transcripts::{Transcript, TranscriptItem, Transcripts};
use crate::storage::{
    Accepted, DeadLetter, Delivery, FrameTag, KeptActivity, Lease, Leftovers, OutboxRow, Owner, RedeliveryKey,
    StateScope, StateValue, Storage, StorageError, TurnCommit,
};

/// Interval between checks for the file.
const LOOK: Duration = Duration::from_millis(5);

/// Wraps a store if the environment asks for it.
pub(super) fn around(storage: Arc<dyn Storage>) -> Arc<dyn Storage> {
    let Ok(wanted) = std::env::var("TURNTABLE_CRASH") else { return storage };
    let mut parts = wanted.splitn(3, ':');
    let (point, nth) = (parts.next().unwrap_or_default().to_owned(), parts.next().and_then(|nth| nth.parse().ok()));
    let Some(nth) = nth else {
        tracing::error!(wanted, "TURNTABLE_CRASH is ignored; set it to POINT:N or POINT:N:FILE");
        return storage;
    };
    let until = parts.next().map(PathBuf::from);
    tracing::warn!(point, nth, ?until, "this process will kill itself, or stall until the file exists");
    Arc::new(Crashing { storage, point, left: AtomicU64::new(nth), until })
}

struct Crashing {
    storage: Arc<dyn Storage>,
    point: String,
    left: AtomicU64,
    /// None: kill the process.
    until: Option<PathBuf>,
}

impl Crashing {
    async fn at(&self, point: &str) {
        if point != self.point || self.left.fetch_sub(1, Ordering::SeqCst) != 1 {
            return;
        }
        let Some(until) = &self.until else {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            return;
        };
        tracing::warn!(point, "the store stalls");
        while !until.exists() {
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[async_trait]
impl Storage for Crashing {
    async fn accept(&self, key: &RedeliveryKey, turn_id: &Arc<str>) -> Result<Accepted, StorageError> {
        self.at("accept").await;
        let accepted = self.storage.accept(key, turn_id).await;
        self.at("accepted").await;
        accepted
    }

    async fn commit(&self, commit: TurnCommit) -> Result<(), StorageError> {
        self.at("commit").await;
        let committed = self.storage.commit(commit).await;
        self.at("committed").await;
        committed
    }

    async fn claim_outbox(&self, conversation: &ConversationKey) -> Result<Option<OutboxRow>, StorageError> {
        let row = self.storage.claim_outbox(conversation).await;
        if matches!(row, Ok(Some(_))) {
            self.at("send").await;
        }
        row
    }

    async fn note_delivery(&self, row: &OutboxRow, delivery: Delivery) -> Result<(), StorageError> {
        self.at("sent").await;
        let noted = self.storage.note_delivery(row, delivery).await;
        self.at("noted").await;
        noted
    }

    async fn release(&self, key: &RedeliveryKey) {
        self.storage.release(key).await;
    }

    async fn keep(&self, activity: KeptActivity) -> Result<(), StorageError> {
        self.storage.keep(activity).await
    }

    async fn forget_kept(&self, turn_id: &Arc<str>) -> Result<(), StorageError> {
        self.storage.forget_kept(turn_id).await
    }

    async fn leftovers(&self) -> Result<Leftovers, StorageError> {
        self.storage.leftovers().await
    }

    async fn lease(&self, conversation: &ConversationKey, owner: &Owner, ttl: Duration) -> Result<Lease, StorageError> {
        self.storage.lease(conversation, owner, ttl).await
    }

    async fn load_state(&self, scope: &StateScope) -> Result<HashMap<Arc<str>, StateValue>, StorageError> {
        self.storage.load_state(scope).await
    }

    async fn load_stack(&self, conversation: &ConversationKey) -> Result<Option<Arc<str>>, StorageError> {
        self.storage.load_stack(conversation).await
    }

    async fn frames(&self, bot: &str) -> Result<Vec<(FrameTag, u64)>, StorageError> {
        self.storage.frames(bot).await
    }

    async fn waiting_in(&self, bot: &str, frame: &FrameTag, max: usize) -> Result<Vec<ConversationKey>, StorageError> {
        self.storage.waiting_in(bot, frame, max).await
    }

    async fn map_id(
        &self,
        conversation: &ConversationKey,
        host_id: &Arc<str>,
        channel_id: &Arc<str>,
    ) -> Result<(), StorageError> {
        self.storage.map_id(conversation, host_id, channel_id).await
    }

    async fn channel_id(
        &self,
        conversation: &ConversationKey,
        host_id: &str,
    ) -> Result<Option<Arc<str>>, StorageError> {
        self.storage.channel_id(conversation, host_id).await
    }

    async fn host_id(
        &self,
        conversation: &ConversationKey,
        channel_id: &str,
    ) -> Result<Option<Arc<str>>, StorageError> {
        self.storage.host_id(conversation, channel_id).await
    }

    async fn dead_letters(&self, bot: &str) -> Result<Vec<DeadLetter>, StorageError> {
        self.storage.dead_letters(bot).await
    }

    async fn retry_dead_letter(&self, bot: &str, sequence: u64) -> Result<Option<ConversationKey>, StorageError> {
        self.storage.retry_dead_letter(bot, sequence).await
    }

    async fn drop_dead_letter(&self, bot: &str, sequence: u64) -> Result<bool, StorageError> {
        self.storage.drop_dead_letter(bot, sequence).await
    }

    async fn outbox_depth(&self) -> Result<u64, StorageError> {
        self.storage.outbox_depth().await
    }

    async fn close(&self) -> Result<(), StorageError> {
        self.storage.close().await
    }
}

#[async_trait]
impl Notifications for Crashing {
    async fn reference(&self, conversation: &ConversationKey) -> Result<Option<Reference>, StorageError> {
        self.storage.reference(conversation).await
    }

    async fn latest_reference(
        &self,
        bot: &str,
        channel: &ChannelInstance,
        user: &str,
    ) -> Result<Option<Reference>, StorageError> {
        self.storage.latest_reference(bot, channel, user).await
    }

    async fn references(
        &self,
        bot: &str,
        of: &ReferenceFilter,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Reference)>, StorageError> {
        self.storage.references(bot, of, after, limit).await
    }

    async fn meet(&self, reference: Reference) -> Result<(), StorageError> {
        self.storage.meet(reference).await
    }

    async fn forget_reference(&self, conversation: &ConversationKey) -> Result<bool, StorageError> {
        self.storage.forget_reference(conversation).await
    }

    async fn mark_gone(&self, conversation: &ConversationKey, why: &str) -> Result<(), StorageError> {
        self.storage.mark_gone(conversation, why).await
    }

    async fn add_notification(&self, notification: Notification) -> Result<Added, StorageError> {
        self.storage.add_notification(notification).await
    }

    async fn notification_of_key(&self, bot: &str, key: &str) -> Result<Option<Notification>, StorageError> {
        self.storage.notification_of_key(bot, key).await
    }

    async fn notification(&self, bot: &str, id: &str) -> Result<Option<Notification>, StorageError> {
        self.storage.notification(bot, id).await
    }

    async fn notifications(&self, bot: &str, limit: usize) -> Result<Vec<Notification>, StorageError> {
        self.storage.notifications(bot, limit).await
    }

    async fn withdraw_notification(&self, bot: &str, id: &str) -> Result<(), StorageError> {
        self.storage.withdraw_notification(bot, id).await
    }

    async fn cancel_notification(&self, bot: &str, id: &str) -> Result<bool, StorageError> {
        self.storage.cancel_notification(bot, id).await
    }

    async fn waiting(&self, conversation: &ConversationKey) -> Result<usize, StorageError> {
        self.storage.waiting(conversation).await
    }

    async fn due(
        &self,
        now_ms: u64,
        after: Option<&Notification>,
        limit: usize,
    ) -> Result<Vec<Notification>, StorageError> {
        self.storage.due(now_ms, after, limit).await
    }

    async fn next_due(&self, now_ms: u64) -> Result<Option<u64>, StorageError> {
        self.storage.next_due(now_ms).await
    }

    async fn next_held(&self, conversation: &ConversationKey) -> Result<Option<Notification>, StorageError> {
        self.storage.next_held(conversation).await
    }
}

#[async_trait]
impl Transcripts for Crashing {
    async fn transcripts(&self, bot: &str, after: u64, limit: usize) -> Result<Vec<Transcript>, StorageError> {
        self.storage.transcripts(bot, after, limit).await
    }

    async fn transcript(
        &self,
        conversation: &ConversationKey,
        since_ms: u64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Object)>, StorageError> {
        self.storage.transcript(conversation, since_ms, after, limit).await
    }

    async fn import_transcript(
        &self,
        conversation: &ConversationKey,
        items: Vec<TranscriptItem>,
    ) -> Result<bool, StorageError> {
        self.storage.import_transcript(conversation, items).await
    }

    async fn delete_transcript(&self, conversation: &ConversationKey) -> Result<bool, StorageError> {
        self.storage.delete_transcript(conversation).await
    }

    async fn trim_transcripts(&self, bot: &str, before_ms: u64, bytes_max: u64) -> Result<usize, StorageError> {
        self.storage.trim_transcripts(bot, before_ms, bytes_max).await
    }
}

#[async_trait]
impl Privacy for Crashing {
    async fn forget_conversation(&self, conversation: &ConversationKey) -> Result<Forgotten, StorageError> {
        self.storage.forget_conversation(conversation).await
    }

    async fn forget_member(&self, conversation: &ConversationKey, user: &str) -> Result<Forgotten, StorageError> {
        self.storage.forget_member(conversation, user).await
    }

    async fn forget_user(&self, bot: &str, channel: &ChannelInstance, user: &str) -> Result<Forgotten, StorageError> {
        self.storage.forget_user(bot, channel, user).await
    }

    async fn conversations_of(
        &self,
        bot: &str,
        channel: &ChannelInstance,
        user: &str,
    ) -> Result<Vec<(Arc<str>, bool)>, StorageError> {
        self.storage.conversations_of(bot, channel, user).await
    }
}

#[async_trait]
impl Broadcasts for Crashing {
    async fn begin_targets(&self, id: &str, limit: usize) -> Result<usize, StorageError> {
        self.at("begin").await;
        let begun = self.storage.begin_targets(id, limit).await;
        self.at("begun").await;
        begun
    }

    async fn add_broadcast(&self, broadcast: Broadcast, to: Targets) -> Result<AddedBroadcast, StorageError> {
        self.storage.add_broadcast(broadcast, to).await
    }

    async fn broadcast(&self, bot: &str, id: &str) -> Result<Option<Broadcast>, StorageError> {
        self.storage.broadcast(bot, id).await
    }

    async fn broadcasts(&self, bot: &str) -> Result<Vec<Broadcast>, StorageError> {
        self.storage.broadcasts(bot).await
    }

    async fn open_broadcasts(&self) -> Result<Vec<Broadcast>, StorageError> {
        self.storage.open_broadcasts().await
    }

    async fn switch_broadcast(
        &self,
        bot: &str,
        id: &str,
        to: BroadcastState,
    ) -> Result<Option<(bool, Broadcast)>, StorageError> {
        self.storage.switch_broadcast(bot, id, to).await
    }

    async fn failed_targets(
        &self,
        bot: &str,
        id: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<FailedTarget>, StorageError> {
        self.storage.failed_targets(bot, id, after, limit).await
    }
}
