//! Transcripts in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;

use super::MemoryStorage;
use crate::activity::{ConversationKey, Object};
use crate::json;
use crate::storage::StorageError;
use crate::storage::transcripts::{TRIMMED_MAX, Transcript, TranscriptItem, Transcripts, names_host_id, with_id};

/// Bytes of items over all bots; beyond them the oldest transcripts are forgotten.
const BYTES_MAX: u64 = 256 << 20;

/// What was said.
#[derive(Default)]
pub(super) struct Kept {
    /// The number given last; each is greater than those before.
    last: u64,
    /// By place.
    transcripts: BTreeMap<u64, Entry>,
    places: HashMap<ConversationKey, u64>,
    /// Channel ids by host id, of what is kept.
    ids: HashMap<Arc<str>, Arc<str>>,
    bytes: u64,
}

struct Entry {
    conversation: ConversationKey,
    items: BTreeMap<u64, TranscriptItem>,
    bytes: u64,
}

impl Kept {
    pub(super) fn append(&mut self, conversation: &ConversationKey, items: Vec<TranscriptItem>) {
        if items.is_empty() {
            return;
        }
        let place = match self.places.get(conversation) {
            Some(place) => *place,
            None => {
                self.last += 1;
                self.places.insert(conversation.clone(), self.last);
                self.last
            }
        };
        let empty = || Entry { conversation: conversation.clone(), items: BTreeMap::new(), bytes: 0 };
        let entry = self.transcripts.entry(place).or_insert_with(empty);
        for item in items {
            self.last += 1;
            let bytes = item.activity.len() as u64;
            (entry.bytes, self.bytes) = (entry.bytes + bytes, self.bytes + bytes);
            if !item.host_id.is_empty() {
                self.ids.insert(item.host_id.clone(), "".into());
            }
            entry.items.insert(self.last, item);
        }
        while self.bytes > BYTES_MAX
            && let Some(oldest) = self.transcripts.values().next().map(|entry| entry.conversation.clone())
        {
            self.delete(&oldest);
        }
    }

    pub(super) fn note_id(&mut self, host_id: &str, channel_id: &Arc<str>) {
        if let Some(known) = self.ids.get_mut(host_id) {
            *known = channel_id.clone();
        }
    }

    pub(super) fn delete(&mut self, conversation: &ConversationKey) -> bool {
        let Some(place) = self.places.remove(conversation) else { return false };
        let Some(entry) = self.transcripts.remove(&place) else { return false };
        self.bytes -= entry.bytes;
        for item in entry.items.values() {
            self.ids.remove(&item.host_id);
        }
        true
    }

    /// Deletes what a user said and got in a conversation, and says how much.
    pub(super) fn delete_user(&mut self, conversation: &ConversationKey, user: &str) -> usize {
        let place = self.places.get(conversation);
        let Some(entry) = place.and_then(|place| self.transcripts.get_mut(place)) else { return 0 };
        let before = entry.items.len();
        let bytes = entry.bytes;
        entry.items.retain(|_, item| {
            let goes = *item.user == *user;
            if goes {
                entry.bytes -= item.activity.len() as u64;
                self.ids.remove(&item.host_id);
            }
            !goes
        });
        self.bytes -= bytes - entry.bytes;
        let (deleted, is_empty) = (before - entry.items.len(), entry.items.is_empty());
        if is_empty {
            self.delete(conversation);
        }
        deleted
    }

    /// Who said or got something in which conversation.
    pub(super) fn users(&self) -> impl Iterator<Item = (&ConversationKey, BTreeSet<Arc<str>>)> {
        let users = |entry: &Entry| -> BTreeSet<Arc<str>> {
            entry.items.values().map(|item| item.user.clone()).filter(|user| !user.is_empty()).collect()
        };
        self.transcripts.values().map(move |entry| (&entry.conversation, users(entry)))
    }

    /// Deletes the first item of a transcript.
    fn shift(&mut self, place: u64) {
        let Some(entry) = self.transcripts.get_mut(&place) else { return };
        if let Some((_, item)) = entry.items.pop_first() {
            let bytes = item.activity.len() as u64;
            (entry.bytes, self.bytes) = (entry.bytes - bytes, self.bytes - bytes);
            self.ids.remove(&item.host_id);
        }
        if entry.items.is_empty() {
            let conversation = entry.conversation.clone();
            self.delete(&conversation);
        }
    }

    /// The oldest transcript of a bot: its place and when it began.
    fn oldest(&self, bot: &str) -> Option<(u64, u64)> {
        let of_bot = self.transcripts.iter().filter(|(_, entry)| *entry.conversation.bot == *bot);
        of_bot.map(|(place, entry)| (*place, entry.first_ms())).min_by_key(|(_, first_ms)| *first_ms)
    }

    fn bytes_of(&self, bot: &str) -> u64 {
        self.transcripts.values().filter(|entry| *entry.conversation.bot == *bot).map(|entry| entry.bytes).sum()
    }

    fn shown(&self, item: &TranscriptItem) -> Object {
        let activity = json::object(&item.activity).unwrap_or_default();
        let id = names_host_id(&activity).unwrap_or(&item.host_id);
        let id = self.ids.get(id).cloned().unwrap_or_default();
        with_id(activity, &id)
    }
}

impl Entry {
    fn first_ms(&self) -> u64 {
        self.items.values().next().map_or(0, |item| item.at_ms)
    }
}

#[async_trait]
impl Transcripts for MemoryStorage {
    async fn transcripts(&self, bot: &str, after: u64, limit: usize) -> Result<Vec<Transcript>, StorageError> {
        let state = self.state();
        let all = state.transcripts.transcripts.range(after.saturating_add(1)..);
        let of_bot = all.filter(|(_, entry)| *entry.conversation.bot == *bot).map(|(place, entry)| Transcript {
            place: *place,
            conversation: entry.conversation.clone(),
            first_ms: entry.first_ms(),
            last_ms: entry.items.values().next_back().map_or(0, |item| item.at_ms),
            activities: entry.items.len() as u64,
            bytes: entry.bytes,
        });
        Ok(of_bot.take(limit).collect())
    }

    async fn transcript(
        &self,
        conversation: &ConversationKey,
        since_ms: u64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Object)>, StorageError> {
        let state = self.state();
        let kept = &state.transcripts;
        let entry = kept.places.get(conversation).and_then(|place| kept.transcripts.get(place));
        let items = entry.into_iter().flat_map(|entry| entry.items.range(after.saturating_add(1)..));
        let wanted = items.filter(|(_, item)| item.at_ms >= since_ms).take(limit);
        Ok(wanted.map(|(number, item)| (*number, kept.shown(item))).collect())
    }

    async fn import_transcript(
        &self,
        conversation: &ConversationKey,
        items: Vec<TranscriptItem>,
    ) -> Result<bool, StorageError> {
        let mut state = self.state();
        if state.transcripts.places.contains_key(conversation) {
            return Ok(false);
        }
        state.transcripts.append(conversation, items);
        Ok(true)
    }

    async fn delete_transcript(&self, conversation: &ConversationKey) -> Result<bool, StorageError> {
        Ok(self.state().transcripts.delete(conversation))
    }

    async fn trim_transcripts(&self, bot: &str, before_ms: u64, bytes_max: u64) -> Result<usize, StorageError> {
        let mut state = self.state();
        let kept = &mut state.transcripts;
        for deleted in 0..TRIMMED_MAX {
            let oldest = kept.oldest(bot);
            let goes = oldest.filter(|(_, first_ms)| *first_ms < before_ms || kept.bytes_of(bot) > bytes_max);
            let Some((place, _)) = goes else { return Ok(deleted) };
            kept.shift(place);
        }
        Ok(TRIMMED_MAX)
    }
}
