//! The delivery lanes: what turns sent leaves here, in order per conversation, whatever other conversations do.
//!
//! A conversation has a lane while it has work, and a lane is one task. Rows of the outbox and activities that leave at
//! once share it, so each leaves after everything that its conversation was given before. A lane waits for its own
//! channel only; turns never wait for a lane.

mod courier;
mod ids;
mod pace;
mod rates;
mod slots;
mod watched;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::activity::{ConversationKey, Object};
use crate::channel::{Address, Channel, ChannelError, Opened, RefusedOrigin};
use crate::config;
use crate::storage::Storage;
use courier::{Courier, Ephemeral, Wait};
pub use watched::{DeliveryWatch, Outcome};

/// Delivers what the store holds, and what leaves at once.
pub struct Deliveries {
    shared: Arc<Shared>,
    /// Where lanes run: the transport's threads, so that no guest holds up a delivery.
    runtime: Handle,
}

/// What a shutdown left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainReport {
    /// Rows that the channels took since the drain began.
    pub delivered: u64,
    /// Rows that are still undelivered.
    pub left: u64,
}

/// Activities waiting to leave at once, for one conversation. A stream's text is cumulative, so a piece that a later one
/// makes obsolete can be left out.
const EPHEMERALS_PER_CONVERSATION_MAX: usize = 64;
/// The same for all conversations.
const EPHEMERALS_MAX: usize = 4_096;

struct Shared {
    /// A plain mutex: every operation is a map access and a push.
    lanes: Mutex<Lanes>,
    /// The number of lanes, for `drain`.
    busy: watch::Sender<usize>,
    courier: Courier,
}

#[derive(Default)]
struct Lanes {
    /// A conversation is in here exactly while its task runs.
    work: HashMap<ConversationKey, VecDeque<Work>>,
    ephemerals: usize,
}

/// What a lane does next.
enum Work {
    /// Deliver that many rows of the outbox.
    Rows(usize),
    /// Send what has no row.
    Now(Box<Ephemeral>),
}

impl Deliveries {
    /// Makes the lanes over a store and the two kinds of channel. Must be given the runtime of the transport.
    pub fn new(
        channel: &config::Channel,
        storage: Arc<dyn Storage>,
        direct_line: Arc<dyn Channel>,
        connector: Arc<dyn Channel>,
        runtime: Handle,
    ) -> Self {
        let wait: Wait = |time| Box::pin(tokio::time::sleep(time));
        let courier = Courier::new(channel, storage, direct_line, connector, wait);
        Self::over(courier, runtime)
    }

    fn over(courier: Courier, runtime: Handle) -> Self {
        let shared = Shared { lanes: Mutex::default(), busy: watch::Sender::new(0), courier };
        Self { shared: Arc::new(shared), runtime }
    }

    /// Says that `rows` more rows of a conversation are in the store. Called after each commit; never blocks.
    pub fn wake(&self, conversation: &ConversationKey, rows: usize) {
        self.push(conversation, Work::Rows(rows));
    }

    /// Sends an activity that is no part of a transaction: `typing`, or a piece of a stream. Never blocks.
    ///
    /// It leaves after what its conversation was given before. It is stored nowhere; where it cannot be delivered, or too
    /// many wait, it is lost. Only the last message of a stream is tried again like a row of the outbox.
    pub fn send_now(&self, to: Address, host_id: Arc<str>, activity: Object) {
        let conversation = to.conversation.clone();
        self.push(&conversation, Work::Now(Box::new(Ephemeral { to, host_id, activity })));
    }

    /// Whether activities for a conversation may go to this `serviceUrl` at all.
    pub fn admits(&self, conversation: &ConversationKey, service_url: &str) -> bool {
        self.shared.courier.channel_of(conversation).admits(service_url)
    }

    /// Origins to which replies of a bot were not sent, because `channel.connector-origins` does not list them.
    pub fn refused_origins(&self, bot: &str) -> Vec<RefusedOrigin> {
        self.shared.courier.refused_origins(bot)
    }

    /// Opens a conversation at the channel of another one, if the channel's rate allows it now.
    pub async fn open(&self, at: &Address, parameters: Object) -> Result<Opened, ChannelError> {
        let (shared, at) = (self.shared.clone(), at.clone());
        // Connections belong to the transport's threads.
        let opening = self.runtime.spawn(async move { shared.courier.open(&at, &parameters).await });
        opening.await.unwrap_or_else(|_| {
            let why = "the host failed while it asked; its log says more".to_owned();
            Err(ChannelError::Ambiguous { why, retry_after: None })
        })
    }

    /// Tells how the rows of a turn end. Called before the turn runs.
    pub fn watch(&self, turn_id: Arc<str>) -> DeliveryWatch {
        self.shared.courier.watched.watch(turn_id)
    }

    /// Waits until every lane is done, at most until the deadline. The caller has stopped all turns before.
    pub async fn drain(&self, deadline: Instant) -> DrainReport {
        let before = self.shared.courier.delivered();
        // The sender lives in self, so the channel cannot close.
        let _ = tokio::time::timeout_at(deadline, self.shared.busy.subscribe().wait_for(|lanes| *lanes == 0)).await;
        let left = self.shared.courier.outbox_depth().await;
        DrainReport { delivered: self.shared.courier.delivered() - before, left }
    }

    fn push(&self, conversation: &ConversationKey, work: Work) {
        if self.shared.lanes().push(conversation, work) {
            self.shared.busy.send_modify(|lanes| *lanes += 1);
            self.runtime.spawn(self.shared.clone().run(conversation.clone()));
        }
    }
}

impl Shared {
    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        // Nothing under this lock panics half-way through a change, so a poisoned state is a whole one.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The task of a lane: ends with its work.
    async fn run(self: Arc<Self>, conversation: ConversationKey) {
        loop {
            // Bound to a name of its own: the lock must not be held over the delivery.
            let work = self.lanes().pop(&conversation);
            match work {
                Some(Work::Rows(rows)) => self.courier.deliver_rows(&conversation, rows).await,
                Some(Work::Now(ephemeral)) => self.courier.deliver_now(*ephemeral).await,
                None => break,
            }
        }
        self.busy.send_modify(|lanes| *lanes -= 1);
    }
}

impl Lanes {
    /// Appends work; true if the conversation had no lane and needs a task.
    fn push(&mut self, conversation: &ConversationKey, work: Work) -> bool {
        let admitted = match &work {
            Work::Rows(_) => true,
            Work::Now(_) => self.make_room(conversation),
        };
        if !admitted {
            tracing::debug!(bot = %conversation.bot, "too many activities wait to leave at once, one is dropped");
            return false;
        }
        if matches!(work, Work::Now(_)) {
            self.ephemerals += 1;
        }
        match self.work.entry(conversation.clone()) {
            Entry::Vacant(lane) => {
                lane.insert(VecDeque::from([work]));
                true
            }
            Entry::Occupied(mut lane) => {
                match (lane.get_mut().back_mut(), work) {
                    (Some(Work::Rows(waiting)), Work::Rows(more)) => *waiting = waiting.saturating_add(more),
                    (_, work) => lane.get_mut().push_back(work),
                }
                false
            }
        }
    }

    /// Takes the next work; without any, the lane is gone.
    fn pop(&mut self, conversation: &ConversationKey) -> Option<Work> {
        let next = self.work.get_mut(conversation)?.pop_front();
        match &next {
            Some(Work::Now(_)) => self.ephemerals -= 1,
            Some(Work::Rows(_)) => {}
            None => {
                self.work.remove(conversation);
            }
        }
        next
    }

    /// Whether one more activity may wait, after dropping the oldest that can be missed if its conversation has too many.
    fn make_room(&mut self, conversation: &ConversationKey) -> bool {
        let Some(lane) = self.work.get_mut(conversation) else { return self.ephemerals < EPHEMERALS_MAX };
        let waiting = lane.iter().filter(|work| matches!(work, Work::Now(_))).count();
        if waiting < EPHEMERALS_PER_CONVERSATION_MAX && self.ephemerals < EPHEMERALS_MAX {
            return true;
        }
        let Some(oldest) = lane.iter().position(|work| matches!(work, Work::Now(waiting) if waiting.can_be_missed()))
        else {
            return false;
        };
        lane.remove(oldest);
        self.ephemerals -= 1;
        true
    }
}

#[cfg(test)]
mod tests;
