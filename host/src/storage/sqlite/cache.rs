//! What this process, the only one with the file, need not ask it: whether an activity is new, what a scope holds, and what
//! the oldest undelivered rows are. Each part may say that it does not know; then the file is asked.
//!
//! Parts that follow the file are changed by the writer's thread after each transaction, in the order of the file.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::conversation_of;
use crate::activity::ConversationKey;
use crate::storage::{OutboxRow, RedeliveryKey, StateScope, StateValue, StateWrite};

/// All of it.
pub(super) struct Cache {
    pub(super) marks: Marks,
    pub(super) values: Values,
    pub(super) outbox: Outbox,
}

/// Which activities may have a mark in the file: one that is not in here has none.
pub(super) struct Marks {
    hasher: RandomState,
    seen: Mutex<Seen>,
    max: usize,
}

/// Hashes: two activities that share one cost a look into the file.
#[derive(Default)]
struct Seen {
    /// Whether all marks of the file are in here.
    complete: bool,
    new: HashSet<u64>,
    /// As many as the file keeps, all older than those of `new`.
    old: HashSet<u64>,
}

/// Where more marks are kept, each activity is looked for in the file.
const MARKS_MAX: usize = 1_000_000;

impl Marks {
    /// Whether an activity certainly has no mark.
    pub(super) fn lacks(&self, key: &RedeliveryKey) -> bool {
        let hash = self.hasher.hash_one(key);
        let seen = lock(&self.seen);
        seen.complete && !seen.new.contains(&hash) && !seen.old.contains(&hash)
    }

    /// Notes a mark before it is written.
    pub(super) fn add(&self, key: &RedeliveryKey) {
        if self.max > MARKS_MAX {
            return;
        }
        let mut seen = lock(&self.seen);
        if seen.complete && seen.new.len() >= self.max {
            seen.old = std::mem::take(&mut seen.new);
        }
        seen.new.insert(self.hasher.hash_one(key));
    }

    /// Learns the marks of the file. Those of turns that end meanwhile are noted already.
    pub(super) fn load(&self, connection: &Connection) -> rusqlite::Result<()> {
        if self.max > MARKS_MAX {
            return Ok(());
        }
        let mut old = HashSet::new();
        let mut statement = connection.prepare("SELECT bot, channel, conversation, kind, id, body FROM marks")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let body: Vec<u8> = row.get(5)?;
            let body = <[u8; 32]>::try_from(body).ok();
            let key = RedeliveryKey { conversation: conversation_of(row)?, kind: row.get(3)?, id: row.get(4)?, body };
            old.insert(self.hasher.hash_one(&key));
        }
        let mut seen = lock(&self.seen);
        (seen.old, seen.complete) = (old, true);
        Ok(())
    }
}

/// What scopes hold whose turns were last.
#[derive(Default)]
pub(super) struct Values(Mutex<Scopes>);

#[derive(Default)]
struct Scopes {
    new: HashMap<StateScope, Scope>,
    /// Bytes of the scopes in `new`.
    bytes: usize,
    /// Forgotten when `new` takes their place; those that are asked for go there.
    old: HashMap<StateScope, Scope>,
    /// Scopes that are being read: how often, and whether they changed meanwhile.
    loading: HashMap<StateScope, (usize, bool)>,
}

type Scope = HashMap<Arc<str>, StateValue>;

/// Bytes of `new`; as many again may be in `old`.
const VALUES_BYTES_MAX: usize = 16 << 20;
/// What a scope and what a value cost besides their text.
const OVERHEAD_BYTES: usize = 256;

impl Values {
    /// Returns what a scope holds. None: the caller reads it, and says so to [`Values::loaded`].
    pub(super) fn get(&self, scope: &StateScope) -> Option<Scope> {
        let mut scopes = lock(&self.0);
        if let Some(found) = scopes.find(scope) {
            return Some(found.clone());
        }
        scopes.loading.entry(scope.clone()).or_insert((0, false)).0 += 1;
        None
    }

    /// Notes what was read; none where that failed.
    pub(super) fn loaded(&self, scope: &StateScope, values: Option<&Scope>) {
        let mut scopes = lock(&self.0);
        let Some((readers, changed)) = scopes.loading.get_mut(scope) else { return };
        let changed = *changed;
        *readers -= 1;
        if *readers == 0 {
            scopes.loading.remove(scope);
        }
        // What was read may be from before the change.
        if let Some(values) = values.filter(|_| !changed) {
            scopes.insert(scope.clone(), values.clone());
        }
    }

    /// Follows a transaction.
    pub(super) fn apply(&self, writes: Vec<StateWrite>) {
        let mut scopes = lock(&self.0);
        for StateWrite { scope, key, value, .. } in writes {
            if let Some((_, changed)) = scopes.loading.get_mut(&scope) {
                *changed = true;
            }
            if scopes.find(&scope).is_none() {
                continue;
            }
            let Some(mut values) = scopes.new.remove(&scope) else { continue };
            scopes.bytes -= bytes_of(&values);
            match value {
                Some(value) => _ = values.insert(key, value),
                None => _ = values.remove(&key),
            }
            scopes.insert(scope, values);
        }
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        let mut scopes = lock(&self.0);
        (scopes.new, scopes.old, scopes.bytes) = (HashMap::new(), HashMap::new(), 0);
        scopes.loading.values_mut().for_each(|(_, changed)| *changed = true);
    }
}

impl Scopes {
    fn find(&mut self, scope: &StateScope) -> Option<&Scope> {
        if let Some(values) = self.old.remove(scope) {
            self.insert(scope.clone(), values);
        }
        self.new.get(scope)
    }

    fn insert(&mut self, scope: StateScope, values: Scope) {
        let bytes = bytes_of(&values);
        if self.bytes + bytes > VALUES_BYTES_MAX {
            self.old = std::mem::take(&mut self.new);
            self.bytes = 0;
        }
        self.old.remove(&scope);
        self.bytes += bytes;
        if let Some(before) = self.new.insert(scope, values) {
            self.bytes -= bytes_of(&before);
        }
    }
}

fn bytes_of(values: &Scope) -> usize {
    let bytes = values.iter().map(|(key, value)| key.len() + value.value.len() + OVERHEAD_BYTES);
    bytes.sum::<usize>() + OVERHEAD_BYTES
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
    /// Makes it over a store, of which it learns the rows now and the marks, of which there are many, by `marks.load`.
    pub(super) fn new(connection: &Connection, marks_max: usize) -> rusqlite::Result<Self> {
        let outbox = Outbox::default();
        let sql = "SELECT bot, channel, conversation, count(*) FROM outbox GROUP BY 1, 2, 3";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            outbox.count(&conversation_of(row)?, row.get(3)?);
        }
        let marks = Marks { hasher: RandomState::new(), seen: Mutex::default(), max: marks_max };
        Ok(Self { marks, values: Values::default(), outbox })
    }
}

/// Nothing in here panics half-way through a change, so a poisoned state is a whole one.
fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
