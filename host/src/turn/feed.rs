//! Records of turns as they end, for readers that come, go and come back.
//!
//! Each record has a place: the run of the host and a number that grows by one. A reader that comes back names the last
//! place it saw, and gets what ended meanwhile. The newest [`KEPT_MAX`] are kept, of all bots together; what is older is
//! counted as missed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver, Sender};

use super::TurnRecord;

/// Records kept for readers that come back, and how far a reader may lag.
const KEPT_MAX: usize = 256;

/// What a reader of a feed gets.
#[derive(Debug, Clone)]
pub enum FeedItem {
    /// Where the reader stands. Always the first item, so that it can come back before any turn has ended.
    Start {
        /// The place, to come back to.
        place: String,
    },
    /// So many records, of any bot, are no longer kept.
    Missed(u64),
    /// A turn that ended.
    Turn {
        /// The place, to come back to.
        place: String,
        /// What the turn did.
        record: Arc<TurnRecord>,
    },
}

/// One reader's view of the turns of all bots.
pub struct RecordFeed {
    run: u64,
    /// What comes before the live records.
    first: VecDeque<FeedItem>,
    live: Receiver<Numbered>,
}

impl RecordFeed {
    /// Returns the next item, or none when the host stops. Safe to cancel.
    pub async fn next(&mut self) -> Option<FeedItem> {
        if let Some(item) = self.first.pop_front() {
            return Some(item);
        }
        match self.live.recv().await {
            Ok(numbered) => Some(numbered.item(self.run)),
            Err(RecvError::Lagged(records)) => Some(FeedItem::Missed(records)),
            Err(RecvError::Closed) => None,
        }
    }
}

/// Where feeds come from.
pub(super) struct FeedSource {
    /// Tells the numbers of this process from those of an earlier one.
    run: u64,
    state: Mutex<State>,
}

struct State {
    last: u64,
    kept: VecDeque<Numbered>,
    /// None once the host stops, which ends every feed.
    live: Option<Sender<Numbered>>,
}

#[derive(Clone)]
struct Numbered {
    number: u64,
    record: Arc<TurnRecord>,
}

impl Numbered {
    fn item(self, run: u64) -> FeedItem {
        FeedItem::Turn { place: place(run, self.number), record: self.record }
    }
}

impl FeedSource {
    pub(super) fn new() -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let run = u64::try_from(started.as_micros()).unwrap_or(u64::MAX);
        let state = State { last: 0, kept: VecDeque::new(), live: Some(Sender::new(KEPT_MAX)) };
        Self { run, state: Mutex::new(state) }
    }

    pub(super) fn push(&self, record: Arc<TurnRecord>) {
        let mut state = self.lock();
        state.last += 1;
        let numbered = Numbered { number: state.last, record };
        if state.kept.len() == KEPT_MAX {
            state.kept.pop_front();
        }
        state.kept.push_back(numbered.clone());
        // Nobody may be listening.
        let _ = state.live.as_ref().map(|live| live.send(numbered));
    }

    /// Opens a feed after a place, or from now on where there is none or it is no place at all. After a place of an
    /// earlier run everything of this run is new to the reader.
    pub(super) fn subscribe(&self, after: Option<&str>) -> RecordFeed {
        let state = self.lock();
        let after = match after.and_then(parse) {
            Some((run, number)) if run == self.run => number.min(state.last),
            Some(_) => 0,
            None => state.last,
        };
        let oldest = state.last - state.kept.len() as u64 + 1;
        let mut first = VecDeque::from([FeedItem::Start { place: place(self.run, after) }]);
        if after + 1 < oldest {
            first.push_back(FeedItem::Missed(oldest - after - 1));
        }
        first.extend(state.kept.iter().filter(|kept| kept.number > after).map(|kept| kept.clone().item(self.run)));
        let live = match &state.live {
            Some(live) => live.subscribe(),
            // Its sender is gone at once, so the reader is told that there is no more.
            None => broadcast::channel(1).1,
        };
        RecordFeed { run: self.run, first, live }
    }

    /// Ends every feed; readers still get what was pushed before.
    pub(super) fn close(&self) {
        self.lock().live.take();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

fn place(run: u64, number: u64) -> String {
    format!("{run}-{number}")
}

fn parse(place: &str) -> Option<(u64, u64)> {
    let (run, number) = place.split_once('-')?;
    Some((run.parse().ok()?, number.parse().ok()?))
}
