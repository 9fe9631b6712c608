//! Where rows stand in tables that only grow at their end.
//!
//! An index in the file has a page for each conversation, which each turn would write; this one is in memory, and is made
//! anew at each start. It knows hashes: what it finds is compared with the row itself, and of two keys with the same hash,
//! which are not to be expected, it knows the newer.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::Mutex;

use super::cache::lock;
use turntable_activity::ConversationKey;

/// Rows of one table by conversation and another key.
pub(super) struct Index {
    hasher: RandomState,
    places: Mutex<Places>,
    /// How many rows the table keeps.
    max: usize,
}

#[derive(Default)]
struct Places {
    /// Whether all rows of the file are in here.
    complete: bool,
    new: HashMap<u64, Place>,
    /// As many as the table keeps, all older than those of `new`.
    old: HashMap<u64, Place>,
    /// The greatest number in here.
    newest: i64,
}

/// The rows of a conversation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Of {
    pub(super) numbers: Vec<i64>,
    /// Rows with greater numbers were written by the transaction that is going on, and are not known yet.
    pub(super) newest: i64,
}

#[derive(Clone, Copy)]
struct Place {
    number: i64,
    /// Hash of the conversation.
    conversation: u64,
}

/// What is known of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It has this number, if any.
    At(i64),
    /// There is none.
    Nowhere,
    /// Not all rows are known yet: the whole table is to be searched.
    Unknown,
}

impl Index {
    pub(super) fn new(max: usize) -> Self {
        Self { hasher: RandomState::new(), places: Mutex::default(), max }
    }

    pub(super) fn find(&self, conversation: &ConversationKey, key: &(impl Hash + ?Sized)) -> Found {
        let (hash, _) = self.hash(conversation, key);
        let places = lock(&self.places);
        match places.new.get(&hash).or_else(|| places.old.get(&hash)) {
            Some(place) => Found::At(place.number),
            None if places.complete => Found::Nowhere,
            None => Found::Unknown,
        }
    }

    /// Notes where a row is. Called by the writer after the transaction: a row that is in here can be read.
    pub(super) fn insert(&self, conversation: &ConversationKey, key: &(impl Hash + ?Sized), number: i64) {
        let (hash, conversation) = self.hash(conversation, key);
        let mut places = lock(&self.places);
        if places.complete && places.new.len() >= self.max {
            places.old = std::mem::take(&mut places.new);
        }
        places.new.insert(hash, Place { number, conversation });
        places.newest = places.newest.max(number);
    }

    /// Starts to learn the rows of the file.
    pub(super) fn learn(&self) -> Learning<'_> {
        Learning { index: self, old: HashMap::new(), newest: 0 }
    }

    /// The rows of a conversation; none where not all are known yet.
    pub(super) fn of(&self, conversation: &ConversationKey) -> Option<Of> {
        let conversation = self.hasher.hash_one(conversation);
        let places = lock(&self.places);
        let all = places.old.values().chain(places.new.values());
        let numbers = all.filter(|place| place.conversation == conversation).map(|place| place.number);
        places.complete.then(|| Of { numbers: numbers.collect(), newest: places.newest })
    }

    /// A conversation has no rows any more.
    pub(super) fn forget(&self, conversation: &ConversationKey) {
        let conversation = self.hasher.hash_one(conversation);
        let mut places = lock(&self.places);
        places.new.retain(|_, place| place.conversation != conversation);
        places.old.retain(|_, place| place.conversation != conversation);
        // SQLite gives the numbers of the last rows again.
        let newest = places.old.values().chain(places.new.values()).map(|place| place.number).max();
        places.newest = newest.unwrap_or(0);
    }

    fn hash(&self, conversation: &ConversationKey, key: &(impl Hash + ?Sized)) -> (u64, u64) {
        let conversation = self.hasher.hash_one(conversation);
        (self.hasher.hash_one((conversation, key)), conversation)
    }
}

/// Rows of the file, from the oldest on. Those that are written meanwhile are known already.
pub(super) struct Learning<'a> {
    index: &'a Index,
    old: HashMap<u64, Place>,
    newest: i64,
}

impl Learning<'_> {
    pub(super) fn row(&mut self, conversation: &ConversationKey, key: &(impl Hash + ?Sized), number: i64) {
        let (hash, conversation) = self.index.hash(conversation, key);
        self.old.insert(hash, Place { number, conversation });
        self.newest = self.newest.max(number);
    }

    /// That was all.
    pub(super) fn end(self) {
        let mut places = lock(&self.index.places);
        (places.old, places.complete) = (self.old, true);
        places.newest = places.newest.max(self.newest);
    }
}
