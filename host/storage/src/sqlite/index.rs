//! Index of the rows of tables that only grow at their end.
//!
//! An index on disk has a page for each conversation, which each turn would write. This one lives in memory and is rebuilt at
//! each start. It holds hashes: the row that it names is compared with the key, and of two keys with the same hash, which is
//! not to be expected, it holds the newer.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};

use parking_lot::Mutex;
use turntable_activity::ConversationKey;

/// Rows of one table by conversation and another key.
pub(super) struct Index {
    hasher: RandomState,
    entries: Mutex<Entries>,
    /// How many rows the table keeps.
    max: usize,
}

#[derive(Default)]
struct Entries {
    /// Whether all rows of the file are in here.
    complete: bool,
    new: HashMap<u64, Entry>,
    /// As many as the table keeps, all older than those of `new`.
    old: HashMap<u64, Entry>,
    /// The greatest number in here.
    newest: i64,
}

/// The rows of a conversation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) numbers: Vec<i64>,
    /// Rows with greater numbers were written by the transaction that is going on, and are not known yet.
    pub(super) newest: i64,
}

#[derive(Clone, Copy)]
struct Entry {
    number: i64,
    /// Hash of the conversation.
    conversation: u64,
}

/// Result of a lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup {
    /// The row has this number, if there is one.
    At(i64),
    /// There is no such row.
    Absent,
    /// The index is not complete yet: the caller searches the table.
    Unknown,
}

impl Index {
    pub(super) fn new(max: usize) -> Self {
        Self { hasher: RandomState::new(), entries: Mutex::default(), max }
    }

    pub(super) fn find(&self, conversation: &ConversationKey, key: &(impl Hash + ?Sized)) -> Lookup {
        let (hash, _) = self.hash(conversation, key);
        let entries = self.entries.lock();
        match entries.new.get(&hash).or_else(|| entries.old.get(&hash)) {
            Some(entry) => Lookup::At(entry.number),
            None if entries.complete => Lookup::Absent,
            None => Lookup::Unknown,
        }
    }

    /// Notes where a row is. Called by the writer after the transaction: a row that is in here can be read.
    pub(super) fn insert(&self, conversation: &ConversationKey, key: &(impl Hash + ?Sized), number: i64) {
        let (hash, conversation) = self.hash(conversation, key);
        let mut entries = self.entries.lock();
        if entries.complete && entries.new.len() >= self.max {
            entries.old = std::mem::take(&mut entries.new);
        }
        entries.new.insert(hash, Entry { number, conversation });
        entries.newest = entries.newest.max(number);
    }

    /// Starts to rebuild the index from the rows of the file.
    pub(super) fn rebuild(&self) -> Rebuild<'_> {
        Rebuild { index: self, old: HashMap::new(), newest: 0 }
    }

    /// The rows of a conversation; none where not all are known yet.
    pub(super) fn of(&self, conversation: &ConversationKey) -> Option<Numbers> {
        let conversation = self.hasher.hash_one(conversation);
        let entries = self.entries.lock();
        let all = entries.old.values().chain(entries.new.values());
        let numbers = all.filter(|entry| entry.conversation == conversation).map(|entry| entry.number);
        entries.complete.then(|| Numbers { numbers: numbers.collect(), newest: entries.newest })
    }

    /// A conversation has no rows any more.
    pub(super) fn forget(&self, conversation: &ConversationKey) {
        let conversation = self.hasher.hash_one(conversation);
        let mut entries = self.entries.lock();
        entries.new.retain(|_, entry| entry.conversation != conversation);
        entries.old.retain(|_, entry| entry.conversation != conversation);
        // SQLite gives the numbers of the last rows again.
        let newest = entries.old.values().chain(entries.new.values()).map(|entry| entry.number).max();
        entries.newest = newest.unwrap_or(0);
    }

    fn hash(&self, conversation: &ConversationKey, key: &(impl Hash + ?Sized)) -> (u64, u64) {
        let conversation = self.hasher.hash_one(conversation);
        (self.hasher.hash_one((conversation, key)), conversation)
    }
}

/// Rows of the file, from the oldest on. Those that are written meanwhile are known already.
pub(super) struct Rebuild<'a> {
    index: &'a Index,
    old: HashMap<u64, Entry>,
    newest: i64,
}

impl Rebuild<'_> {
    pub(super) fn row(&mut self, conversation: &ConversationKey, key: &(impl Hash + ?Sized), number: i64) {
        let (hash, conversation) = self.index.hash(conversation, key);
        self.old.insert(hash, Entry { number, conversation });
        self.newest = self.newest.max(number);
    }

    /// That was all.
    pub(super) fn end(self) {
        let mut entries = self.index.entries.lock();
        (entries.old, entries.complete) = (self.old, true);
        entries.newest = entries.newest.max(self.newest);
    }
}
