//! What this process, the only one with the file, need not ask it: where marks and ids are, whether an activity is kept,
//! what a scope or a stack holds, and what the oldest undelivered rows are. Each part may say that it does not know; then the
//! file is asked.
//!
//! Parts that follow the file are changed by the writer's thread after each transaction, in the order of the file.

mod outbox;
mod recent;

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;

pub(super) use self::outbox::{Oldest, Outbox};
pub(super) use self::recent::{Stacks, Values};
use super::columns::conversation_of;
use super::index::{Index, Lookup, Numbers};
use crate::DeduplicationKey;
use turntable_activity::ConversationKey;

/// All of it.
pub(super) struct Cache {
    pub(super) records: Records,
    pub(super) ids: Ids,
    pub(super) values: Values,
    pub(super) stacks: Stacks,
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
}

/// Where the marks are.
pub(super) struct Records(Index);

impl Records {
    pub(super) fn find(&self, key: &DeduplicationKey) -> Lookup {
        self.0.find(&key.conversation, &(&key.kind, &key.id, &key.body))
    }

    pub(super) fn insert(&self, key: &DeduplicationKey, number: i64) {
        self.0.insert(&key.conversation, &(&key.kind, &key.id, &key.body), number);
    }

    /// A conversation's marks; none where not all are known yet.
    pub(super) fn of(&self, conversation: &ConversationKey) -> Option<Numbers> {
        self.0.of(conversation)
    }

    pub(super) fn forget(&self, conversation: &ConversationKey) {
        self.0.forget(conversation);
    }

    fn load(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut rebuild = self.0.rebuild();
        let sql = "SELECT bot, channel, conversation, kind, id, body, number FROM marks ORDER BY number";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (kind, id): (Arc<str>, Arc<str>) = (row.get(3)?, row.get(4)?);
            let body: Option<[u8; 32]> = row.get_ref(5)?.as_blob()?.try_into().ok();
            rebuild.row(&conversation_of(row)?, &(&kind, &id, &body), row.get(6)?);
        }
        rebuild.end();
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
    pub(super) fn of_host(&self, conversation: &ConversationKey, host_id: &str) -> Lookup {
        self.by_host.find(conversation, host_id)
    }

    pub(super) fn of_channel(&self, conversation: &ConversationKey, channel_id: &str) -> Lookup {
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
    pub(super) fn of(&self, conversation: &ConversationKey) -> Option<Numbers> {
        self.by_host.of(conversation)
    }

    pub(super) fn forget(&self, conversation: &ConversationKey) {
        self.by_host.forget(conversation);
        self.by_channel.forget(conversation);
    }

    fn load(&self, connection: &Connection) -> rusqlite::Result<()> {
        let (mut by_host, mut by_channel) = (self.by_host.rebuild(), self.by_channel.rebuild());
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

/// The turns whose activity is kept in the file, or about to be.
pub(super) struct Inbox(Mutex<HashSet<Arc<str>>>);

impl Inbox {
    /// Notes a turn before its activity is written.
    pub(super) fn add(&self, turn_id: &Arc<str>) {
        self.0.lock().insert(turn_id.clone());
    }

    pub(super) fn has(&self, turn_id: &Arc<str>) -> bool {
        self.0.lock().contains(turn_id)
    }

    /// Its activity has left the file.
    pub(super) fn forget(&self, turn_id: &Arc<str>) {
        self.0.lock().remove(turn_id);
    }
}

impl Cache {
    /// Makes it over a store, of which it learns the undelivered rows now, and what there is more of by [`Cache::load`].
    pub(super) fn new(connection: &Connection, records_max: usize, ids_max: usize) -> rusqlite::Result<Self> {
        let (records, outbox) = (Records(Index::new(records_max)), Outbox::default());
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
        let (values, stacks, inbox) = (Values::default(), Stacks::default(), Inbox(Mutex::new(kept)));
        Ok(Self { records, ids, values, stacks, inbox, outbox })
    }

    /// Learns where marks and ids are.
    pub(super) fn load(&self, connection: &Connection) -> rusqlite::Result<()> {
        self.records.load(connection)?;
        self.ids.load(connection)
    }
}
