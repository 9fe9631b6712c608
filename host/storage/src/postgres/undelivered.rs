//! How many undelivered rows there are, by bot and conversation, so that their bound costs no counting.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::columns::conversation_of;
use super::database::{self, Database};
use super::param::Columns;
use crate::{OutboxUse, StorageError};
use turntable_activity::ConversationKey;

/// Counts of undelivered rows.
#[derive(Default)]
pub(super) struct Undelivered(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    by_bot: HashMap<Arc<str>, usize>,
    by_conversation: HashMap<ConversationKey, usize>,
}

impl Undelivered {
    /// Counts what an earlier process left.
    pub(super) async fn count(database: &Database) -> Result<Self, StorageError> {
        let sql = "SELECT bot, channel, conversation, count(*) FROM turntable.outbox GROUP BY 1, 2, 3";
        let counts = Self::default();
        for row in database.read("open", sql, &[]).await? {
            let read = conversation_of(&row, 0).and_then(|of| Ok((of, row.number(3)?)));
            let (of, rows) = read.map_err(|error| database::Failure::from(error).told("open"))?;
            counts.add(&of, usize::try_from(rows).unwrap_or(usize::MAX));
        }
        Ok(counts)
    }

    pub(super) fn all(&self) -> usize {
        self.0.lock().by_bot.values().sum()
    }

    /// Returns the rows that count when a conversation adds some.
    pub(super) fn used(&self, of: &ConversationKey) -> OutboxUse {
        let counts = self.0.lock();
        OutboxUse {
            all: counts.by_bot.values().sum(),
            bot: counts.by_bot.get(&of.bot).copied().unwrap_or_default(),
            conversation: counts.by_conversation.get(of).copied().unwrap_or_default(),
            largest: counts.by_bot.iter().max_by_key(|(_, rows)| **rows).map(|(bot, rows)| (bot.clone(), *rows)),
        }
    }

    pub(super) fn add(&self, of: &ConversationKey, rows: usize) {
        if rows == 0 {
            return;
        }
        let mut counts = self.0.lock();
        *counts.by_bot.entry(of.bot.clone()).or_default() += rows;
        *counts.by_conversation.entry(of.clone()).or_default() += rows;
    }

    pub(super) fn remove(&self, of: &ConversationKey, rows: usize) {
        let mut counts = self.0.lock();
        let Counts { by_bot, by_conversation } = &mut *counts;
        if less(by_bot.get_mut(&of.bot), rows) {
            by_bot.remove(&of.bot);
        }
        if less(by_conversation.get_mut(of), rows) {
            by_conversation.remove(of);
        }
    }
}

/// Takes rows off a count. True: none is left.
fn less(count: Option<&mut usize>, rows: usize) -> bool {
    count.is_some_and(|count| {
        *count = count.saturating_sub(rows);
        *count == 0
    })
}
