//! Entries of the database that were asked for last.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use crate::{StateScope, StateValue, StateWrite};
use parking_lot::Mutex;
use turntable_activity::ConversationKey;

/// What scopes hold whose turns were last.
pub(in crate::sqlite) type Values = Recent<StateScope, HashMap<Arc<str>, StateValue>>;

/// The stacks of conversations whose turns were last.
pub(in crate::sqlite) type Stacks = Recent<ConversationKey, Option<Arc<str>>>;

/// Entries of the file that were asked for last.
pub(in crate::sqlite) struct Recent<K, V>(Mutex<Entries<K, V>>);

struct Entries<K, V> {
    new: HashMap<K, V>,
    /// Bytes of the entries in `new`.
    bytes: usize,
    /// Forgotten when `new` takes their place; those that are asked for go there.
    old: HashMap<K, V>,
    /// Entries that are being read: how often, and whether they changed meanwhile.
    loading: HashMap<K, (usize, bool)>,
}

/// Bytes of `new`; as many again may be in `old`.
const RECENT_BYTES_MAX: usize = 16 << 20;

/// What an entry and what a value cost besides their text.
const OVERHEAD_BYTES: usize = 256;

/// How much memory an entry takes.
pub(in crate::sqlite) trait Weigh {
    fn bytes(&self) -> usize;
}

impl Weigh for HashMap<Arc<str>, StateValue> {
    fn bytes(&self) -> usize {
        let bytes = self.iter().map(|(key, value)| key.len() + value.value.len() + OVERHEAD_BYTES);
        bytes.sum::<usize>() + OVERHEAD_BYTES
    }
}

impl Weigh for Option<Arc<str>> {
    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, |text| text.len()) + OVERHEAD_BYTES
    }
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        let (new, old, loading) = Default::default();
        Self(Mutex::new(Entries { new, bytes: 0, old, loading }))
    }
}

impl<K: Clone + Eq + Hash, V: Clone + Weigh> Recent<K, V> {
    /// Returns an entry. None: the caller reads it, and says so to [`Recent::loaded`].
    pub(in crate::sqlite) fn get(&self, key: &K) -> Option<V> {
        let mut entries = self.0.lock();
        if let Some(found) = entries.find(key) {
            return Some(found.clone());
        }
        entries.loading.entry(key.clone()).or_insert((0, false)).0 += 1;
        None
    }

    /// Notes what was read; none where that failed.
    pub(in crate::sqlite) fn loaded(&self, key: &K, read: Option<&V>) {
        let mut entries = self.0.lock();
        let Some((readers, changed)) = entries.loading.get_mut(key) else { return };
        let changed = *changed;
        *readers -= 1;
        if *readers == 0 {
            entries.loading.remove(key);
        }
        // What was read may be from before the change.
        if let Some(read) = read.filter(|_| !changed) {
            entries.insert(key.clone(), read.clone());
        }
    }

    /// Follows a transaction that changed an entry.
    pub(in crate::sqlite) fn change(&self, key: &K, change: impl FnOnce(&mut V)) {
        let mut entries = self.0.lock();
        if let Some((_, changed)) = entries.loading.get_mut(key) {
            *changed = true;
        }
        if entries.find(key).is_none() {
            return;
        }
        let Some((key, mut value)) = entries.new.remove_entry(key) else { return };
        entries.bytes -= value.bytes();
        change(&mut value);
        entries.insert(key, value);
    }

    /// Forgets all.
    pub(in crate::sqlite) fn clear(&self) {
        let mut entries = self.0.lock();
        (entries.new, entries.old, entries.bytes) = (HashMap::new(), HashMap::new(), 0);
        entries.loading.values_mut().for_each(|(_, changed)| *changed = true);
    }
}

impl Values {
    /// Follows a transaction.
    pub(in crate::sqlite) fn apply(&self, writes: Vec<StateWrite>) {
        for StateWrite { scope, key, value, .. } in writes {
            self.change(&scope, |values| match value {
                Some(value) => _ = values.insert(key, value),
                None => _ = values.remove(&key),
            });
        }
    }
}

impl<K: Clone + Eq + Hash, V: Weigh> Entries<K, V> {
    fn find(&mut self, key: &K) -> Option<&V> {
        if let Some((key, value)) = self.old.remove_entry(key) {
            self.insert(key, value);
        }
        self.new.get(key)
    }

    fn insert(&mut self, key: K, value: V) {
        let bytes = value.bytes();
        if self.bytes + bytes > RECENT_BYTES_MAX {
            self.old = std::mem::take(&mut self.new);
            self.bytes = 0;
        }
        self.old.remove(&key);
        self.bytes += bytes;
        if let Some(before) = self.new.insert(key, value) {
            self.bytes -= before.bytes();
        }
    }
}
