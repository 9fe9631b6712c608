//! What this process, the only one with the file, need not ask it: where marks and ids are, whether an activity is kept,
//! what a scope or a stack holds, and what the oldest undelivered rows are. Each part may say that it does not know; then the
//! file is asked.
//!
//! Parts that follow the file are changed by the writer's thread after each transaction, in the order of the file.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::conversation_of;
use super::index::{Found, Index, Of};
use crate::activity::ConversationKey;
use crate::storage::{OutboxRow, RedeliveryKey, StateScope, StateValue, StateWrite};

/// All of it.
pub(super) struct Cache {
    pub(super) marks: Marks,
    pub(super) ids: Ids,
    pub(super) values: Values,
    pub(super) stacks: Stacks,
    pub(super) kept: Kept,
    pub(super) outbox: Outbox,
}

/// Where the marks are.
pub(super) struct Marks(Index);

impl Marks {
    pub(super) fn find(&self, key: &RedeliveryKey) -> Found {
        self.0.find(&key.conversation, &(&key.kind, &key.id, &key.body))
    }

    pub(super) fn insert(&self, key: &RedeliveryKey, number: i64) {
        self.0.insert(&key.conversation, &(&key.kind, &key.id, &key.body), number);
    }

    /// A conversation's marks; none where not all are known yet.
    pub(super) fn of(&self, conversation: &ConversationKey) -> Option<Of> {
        self.0.of(conversation)
    }

    pub(super) fn forget(&self, conversation: &ConversationKey) {
        self.0.forget(conversation);
    }

    fn load(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut learning = self.0.learn();
        let sql = "SELECT bot, channel, conversation, kind, id, body, number FROM marks ORDER BY number";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (kind, id): (Arc<str>, Arc<str>) = (row.get(3)?, row.get(4)?);
            let body: Option<[u8; 32]> = row.get_ref(5)?.as_blob()?.try_into().ok();
            learning.row(&conversation_of(row)?, &(&kind, &id, &body), row.get(6)?);
        }
        learning.end();
        Ok(())
    }
}

/// Where the ids of activities are.
pub(super) struct Ids {
    by_host: Index,
    by_channel: Index,
}

/// The number of an id that is in the outbox only, as its activity was not delivered yet.
pub(super) const UNDELIVERED: i64 = 0;

impl Ids {
    pub(super) fn of_host(&self, conversation: &ConversationKey, host_id: &str) -> Found {
        self.by_host.find(conversation, host_id)
    }

    pub(super) fn of_channel(&self, conversation: &ConversationKey, channel_id: &str) -> Found {
        self.by_channel.find(conversation, channel_id)
    }

    /// Where the channel gave none, its id is empty.
    pub(super) fn insert(&self, conversation: &ConversationKey, host_id: &str, channel_id: &str, number: i64) {
        self.by_host.insert(conversation, host_id, number);
        if !channel_id.is_empty() {
            self.by_channel.insert(conversation, channel_id, number);
        }
    }

    /// A conversation's ids; none where not all are known yet.
    pub(super) fn of(&self, conversation: &ConversationKey) -> Option<Of> {
        self.by_host.of(conversation)
    }

    pub(super) fn forget(&self, conversation: &ConversationKey) {
        self.by_host.forget(conversation);
        self.by_channel.forget(conversation);
    }

    fn load(&self, connection: &Connection) -> rusqlite::Result<()> {
        let (mut by_host, mut by_channel) = (self.by_host.learn(), self.by_channel.learn());
        let sql = "SELECT bot, channel, conversation, host_id, channel_id, number FROM ids ORDER BY number";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (conversation, number) = (conversation_of(row)?, row.get(5)?);
            by_host.row(&conversation, row.get_ref(3)?.as_str()?, number);
            let channel_id = row.get_ref(4)?.as_str()?;
            if !channel_id.is_empty() {
                by_channel.row(&conversation, channel_id, number);
            }
        }
        by_host.end();
        by_channel.end();
        Ok(())
    }
}

/// What scopes hold whose turns were last.
pub(super) type Values = Recent<StateScope, HashMap<Arc<str>, StateValue>>;
/// The stacks of conversations whose turns were last.
pub(super) type Stacks = Recent<ConversationKey, Option<Arc<str>>>;

/// Entries of the file that were asked for last.
pub(super) struct Recent<K, V>(Mutex<Entries<K, V>>);

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
pub(super) trait Weigh {
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
    pub(super) fn get(&self, key: &K) -> Option<V> {
        let mut entries = lock(&self.0);
        if let Some(found) = entries.find(key) {
            return Some(found.clone());
        }
        entries.loading.entry(key.clone()).or_insert((0, false)).0 += 1;
        None
    }

    /// Notes what was read; none where that failed.
    pub(super) fn loaded(&self, key: &K, read: Option<&V>) {
        let mut entries = lock(&self.0);
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
    pub(super) fn change(&self, key: &K, change: impl FnOnce(&mut V)) {
        let mut entries = lock(&self.0);
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
    pub(super) fn clear(&self) {
        let mut entries = lock(&self.0);
        (entries.new, entries.old, entries.bytes) = (HashMap::new(), HashMap::new(), 0);
        entries.loading.values_mut().for_each(|(_, changed)| *changed = true);
    }
}

impl Values {
    /// Follows a transaction.
    pub(super) fn apply(&self, writes: Vec<StateWrite>) {
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

/// The turns whose activity is kept in the file, or about to be.
pub(super) struct Kept(Mutex<HashSet<Arc<str>>>);

impl Kept {
    /// Notes a turn before its activity is written.
    pub(super) fn add(&self, turn_id: &Arc<str>) {
        lock(&self.0).insert(turn_id.clone());
    }

    pub(super) fn has(&self, turn_id: &Arc<str>) -> bool {
        lock(&self.0).contains(turn_id)
    }

    /// Its activity has left the file.
    pub(super) fn forget(&self, turn_id: &Arc<str>) {
        lock(&self.0).remove(turn_id);
    }
}

/// The oldest rows of each conversation. All rows of the file are counted in here.
#[derive(Default)]
pub(super) struct Outbox(Mutex<Rows>);

#[derive(Default)]
struct Rows {
    lanes: HashMap<ConversationKey, Lane>,
    /// Text of the rows in lanes.
    bytes: usize,
}

#[derive(Default)]
struct Lane {
    /// The oldest, each with the bytes of its text.
    rows: VecDeque<(OutboxRow, usize)>,
    /// How many more there are in the file, all younger.
    more: usize,
}

/// Bytes of rows in memory; beyond them, rows are only counted.
const ROWS_BYTES_MAX: usize = 16 << 20;

/// What is known of the oldest row of a conversation.
pub(super) enum Oldest {
    Row(Box<OutboxRow>),
    /// The file has it.
    InFile,
    /// There is none.
    None,
}

impl Outbox {
    /// Counts rows that are in the file and not in here.
    pub(super) fn count(&self, conversation: &ConversationKey, rows: usize) {
        lock(&self.0).lanes.entry(conversation.clone()).or_default().more += rows;
    }

    /// Follows a transaction that wrote these rows of a conversation, each with the bytes of its text.
    pub(super) fn push(&self, rows: Vec<(OutboxRow, usize)>) {
        let mut all = lock(&self.0);
        let Rows { lanes, bytes } = &mut *all;
        for (row, row_bytes) in rows {
            let lane = lanes.entry(row.conversation.clone()).or_default();
            if lane.more > 0 || *bytes + row_bytes > ROWS_BYTES_MAX {
                lane.more += 1;
            } else {
                *bytes += row_bytes;
                lane.rows.push_back((row, row_bytes));
            }
        }
    }

    pub(super) fn oldest(&self, conversation: &ConversationKey) -> Oldest {
        match lock(&self.0).lanes.get(conversation) {
            Some(Lane { rows, .. }) if !rows.is_empty() => {
                rows.front().map_or(Oldest::None, |(row, _)| Oldest::Row(Box::new(row.clone())))
            }
            Some(_) => Oldest::InFile,
            None => Oldest::None,
        }
    }

    /// A row is done with; `was_in_file` where it left the file now, and had not been forgotten.
    pub(super) fn ended(&self, conversation: &ConversationKey, sequence: u64, was_in_file: bool) {
        let mut all = lock(&self.0);
        let Rows { lanes, bytes } = &mut *all;
        let Some(lane) = lanes.get_mut(conversation) else { return };
        match lane.rows.front() {
            Some((front, row_bytes)) if front.sequence == sequence => {
                *bytes -= row_bytes;
                lane.rows.pop_front();
            }
            _ => lane.more -= usize::from(was_in_file).min(lane.more),
        }
        if lane.rows.is_empty() && lane.more == 0 {
            lanes.remove(conversation);
        }
    }

    /// The conversation has no rows any more.
    pub(super) fn forget(&self, conversation: &ConversationKey) {
        let mut all = lock(&self.0);
        let lane = all.lanes.remove(conversation);
        all.bytes -= lane.map_or(0, |lane| lane.rows.iter().map(|(_, bytes)| bytes).sum());
    }
}

impl Cache {
    /// Makes it over a store, of which it learns the undelivered rows now, and what there is more of by [`Cache::load`].
    pub(super) fn new(connection: &Connection, marks_max: usize, ids_max: usize) -> rusqlite::Result<Self> {
        let (marks, outbox) = (Marks(Index::new(marks_max)), Outbox::default());
        let ids = Ids { by_host: Index::new(ids_max), by_channel: Index::new(ids_max) };
        let sql = "SELECT bot, channel, conversation, id, action = 'send' FROM outbox ORDER BY sequence";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let conversation = conversation_of(row)?;
            outbox.count(&conversation, 1);
            if row.get(4)? {
                ids.insert(&conversation, row.get_ref(3)?.as_str()?, "", UNDELIVERED);
            }
        }
        let kept = connection
            .prepare("SELECT turn_id FROM kept")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let (values, stacks, kept) = (Values::default(), Stacks::default(), Kept(Mutex::new(kept)));
        Ok(Self { marks, ids, values, stacks, kept, outbox })
    }

    /// Learns where marks and ids are.
    pub(super) fn load(&self, connection: &Connection) -> rusqlite::Result<()> {
        self.marks.load(connection)?;
        self.ids.load(connection)
    }
}

/// Nothing in here panics half-way through a change, so a poisoned state is a whole one.
pub(super) fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
