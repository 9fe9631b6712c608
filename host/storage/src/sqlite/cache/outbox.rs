//! The oldest rows of the outbox.

use std::collections::{HashMap, VecDeque};

use crate::OutboxRow;
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
        self.0.lock().lanes.entry(conversation.clone()).or_default().more += rows;
    }

    /// Follows a transaction that wrote these rows of a conversation, each with the bytes of its text.
    pub(in crate::sqlite) fn push(&self, rows: Vec<(OutboxRow, usize)>) {
        let mut all = self.0.lock();
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

    pub(in crate::sqlite) fn oldest(&self, conversation: &ConversationKey) -> Oldest {
        match self.0.lock().lanes.get(conversation) {
            Some(Lane { rows, .. }) if !rows.is_empty() => {
                rows.front().map_or(Oldest::None, |(row, _)| Oldest::Row(Box::new(row.clone())))
            }
            Some(_) => Oldest::InFile,
            None => Oldest::None,
        }
    }

    /// A row is done with; `was_in_file` where it left the file now, and had not been forgotten.
    pub(in crate::sqlite) fn ended(&self, conversation: &ConversationKey, sequence: u64, was_in_file: bool) {
        let mut all = self.0.lock();
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
    pub(in crate::sqlite) fn forget(&self, conversation: &ConversationKey) {
        let mut all = self.0.lock();
        let lane = all.lanes.remove(conversation);
        all.bytes -= lane.map_or(0, |lane| lane.rows.iter().map(|(_, bytes)| bytes).sum());
    }
}
