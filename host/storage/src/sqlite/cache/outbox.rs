//! The oldest rows of the outbox.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::{OutboxRow, OutboxUse};
use parking_lot::Mutex;
use turntable_activity::ConversationKey;

/// The oldest rows of each conversation. All rows of the file are counted in here.
#[derive(Default)]
pub(in crate::sqlite) struct Outbox(Mutex<Rows>);

#[derive(Default)]
struct Rows {
    lanes: HashMap<ConversationKey, Lane>,
    /// Text of the rows in lanes.
    bytes: usize,
    /// Rows by bot, in lanes and in the file.
    by_bot: HashMap<Arc<str>, usize>,
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
pub(in crate::sqlite) enum Oldest {
    Row(Box<OutboxRow>),
    /// The file has it.
    InFile,
    /// There is none.
    None,
}

impl Outbox {
    /// Counts rows that are in the file and not in here.
    pub(in crate::sqlite) fn count(&self, conversation: &ConversationKey, rows: usize) {
        let mut all = self.0.lock();
        all.lanes.entry(conversation.clone()).or_default().more += rows;
        all.add(&conversation.bot, rows);
    }

    /// Follows a transaction that wrote these rows of a conversation, each with the bytes of its text.
    pub(in crate::sqlite) fn push(&self, rows: Vec<(OutboxRow, usize)>) {
        let mut all = self.0.lock();
        if let Some((first, _)) = rows.first() {
            all.add(&first.conversation.bot, rows.len());
        }
        let Rows { lanes, bytes, .. } = &mut *all;
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

    pub(in crate::sqlite) fn oldest(&self, conversation: &ConversationKey) -> Oldest {
        match self.0.lock().lanes.get(conversation) {
            Some(Lane { rows, .. }) if !rows.is_empty() => {
                rows.front().map_or(Oldest::None, |(row, _)| Oldest::Row(Box::new(row.clone())))
            }
            Some(_) => Oldest::InFile,
            None => Oldest::None,
        }
    }

    /// Returns the number of all rows.
    pub(in crate::sqlite) fn rows(&self) -> usize {
        self.0.lock().by_bot.values().sum()
    }

    /// Returns the rows that count when a conversation adds some.
    pub(in crate::sqlite) fn used(&self, conversation: &ConversationKey) -> OutboxUse {
        let all = self.0.lock();
        OutboxUse {
            all: all.by_bot.values().sum(),
            bot: all.by_bot.get(&conversation.bot).copied().unwrap_or_default(),
            conversation: all.lanes.get(conversation).map_or(0, |lane| lane.rows.len() + lane.more),
            largest: all.by_bot.iter().max_by_key(|(_, rows)| **rows).map(|(bot, rows)| (bot.clone(), *rows)),
        }
    }

    /// A row is done with; `was_in_file` where it left the file now, and had not been forgotten.
    pub(in crate::sqlite) fn ended(&self, conversation: &ConversationKey, sequence: u64, was_in_file: bool) {
        let mut all = self.0.lock();
        let Rows { lanes, bytes, .. } = &mut *all;
        let Some(lane) = lanes.get_mut(conversation) else { return };
        let gone = match lane.rows.front() {
            Some((front, row_bytes)) if front.sequence == sequence => {
                *bytes -= row_bytes;
                lane.rows.pop_front();
                1
            }
            _ => {
                let gone = usize::from(was_in_file).min(lane.more);
                lane.more -= gone;
                gone
            }
        };
        if lane.rows.is_empty() && lane.more == 0 {
            lanes.remove(conversation);
        }
        all.remove(&conversation.bot, gone);
    }

    /// The conversation has no rows any more.
    pub(in crate::sqlite) fn forget(&self, conversation: &ConversationKey) {
        let mut all = self.0.lock();
        let Some(lane) = all.lanes.remove(conversation) else { return };
        all.bytes -= lane.rows.iter().map(|(_, bytes)| bytes).sum::<usize>();
        all.remove(&conversation.bot, lane.rows.len() + lane.more);
    }
}

impl Rows {
    fn add(&mut self, bot: &Arc<str>, rows: usize) {
        if rows > 0 {
            *self.by_bot.entry(bot.clone()).or_default() += rows;
        }
    }

    fn remove(&mut self, bot: &Arc<str>, rows: usize) {
        if let Some(left) = self.by_bot.get_mut(bot) {
            *left = left.saturating_sub(rows);
            if *left == 0 {
                self.by_bot.remove(bot);
            }
        }
    }
}
