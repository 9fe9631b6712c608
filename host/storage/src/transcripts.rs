//! What was said, for bots whose configuration keeps transcripts.
//!
//! Items become real with the commit of their turn, so a transcript holds what happened, once and in order.

use std::sync::Arc;

use async_trait::async_trait;

use super::StorageError;
use turntable_activity::{ConversationKey, Object};

/// One thing that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranscriptItem {
    /// When it came into the transcript, milliseconds since 1970.
    pub at_ms: u64,
    /// The user who said it, or to whom the bot did.
    pub user: Arc<str>,
    /// The host id of what the bot sent; else empty.
    pub host_id: Arc<str>,
    /// JSON text of the activity.
    pub activity: Arc<str>,
}

/// The transcript of a conversation, without what was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript {
    /// The place of a page.
    pub place: u64,
    /// The conversation.
    pub conversation: ConversationKey,
    /// When its first item was said, milliseconds since 1970.
    pub first_ms: u64,
    /// When its last item was said.
    pub last_ms: u64,
    /// How many items it has.
    pub activities: u64,
    /// Bytes of their texts.
    pub bytes: u64,
}

/// Items that one call of [`Transcripts::trim_transcripts`] deletes at most.
pub const TRIMMED_MAX: usize = 1_000;

/// The part of the store that is about what was said. Atomic like the others.
#[async_trait]
pub trait Transcripts: Send + Sync {
    /// Returns the transcripts of a bot after a place, at most `limit`. The first page is after 0.
    async fn transcripts(&self, bot: &str, after: u64, limit: usize) -> Result<Vec<Transcript>, StorageError>;

    /// Returns items of a transcript in the order in which they were said, each with its place: those after a place and
    /// since a time, at most `limit`. Each has the channel's id, where the channel gave one. Without a transcript there are
    /// none.
    async fn transcript(
        &self,
        conversation: &ConversationKey,
        since_ms: u64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Object)>, StorageError>;

    /// Adds a transcript from elsewhere. False: the conversation has one.
    async fn import_transcript(
        &self,
        conversation: &ConversationKey,
        items: Vec<TranscriptItem>,
    ) -> Result<bool, StorageError>;

    /// Deletes a transcript. False: there is none.
    async fn delete_transcript(&self, conversation: &ConversationKey) -> Result<bool, StorageError>;

    /// Deletes items of a bot that were said before a time, then the oldest while all take more than so many bytes; at most
    /// [`TRIMMED_MAX`]. Returns how many were deleted: 0 where nothing is left to do.
    async fn trim_transcripts(&self, bot: &str, before_ms: u64, bytes_max: u64) -> Result<usize, StorageError>;
}

/// Gives an item the channel's id, where there is one; an update or a deletion names what it is about by it too.
pub(super) fn with_id(mut activity: Object, id: &str) -> Object {
    if !id.is_empty() {
        activity.insert("id".into(), id.into());
    }
    activity
}

/// The host id that an update or a deletion names.
pub(super) fn names_host_id(activity: &Object) -> Option<&str> {
    let text = |member: &str| activity.get(member).and_then(serde_json::Value::as_str).unwrap_or_default();
    let changes = matches!(text("type"), "messageUpdate" | "messageDelete");
    Some(text("id")).filter(|id| changes && id.starts_with("tt-"))
}
