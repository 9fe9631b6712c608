//! Delivery lanes, which send what turns produced: in order per conversation, independently of other conversations.
//!
//! A conversation has a lane while it has undelivered work. A lane is one task. Outbox rows and ephemeral activities
//! share the lane, so each is sent after everything that was queued earlier for the conversation. A lane waits for its
//! own channel only. Turns never wait for a lane.

mod courier;
mod ids;
mod outages;
mod pace;
mod rates;
mod slots;
mod streams;
mod watched;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::activity::{ConversationKey, Object};
use crate::channel::{Address, Channel, ChannelError, Opened, RefusedOrigin, Relay, Relayed};
use crate::config;
use crate::storage::Storage;
use courier::{Courier, Ephemeral, Wait};
pub use streams::{Live, StreamStart};
pub use watched::{DeliveryWatch, Outcome};

/// Delivers the outbox rows of the store, and ephemeral activities. A cheap handle.
#[derive(Clone)]
pub struct Deliveries {
    shared: Arc<Shared>,
    /// The runtime of the transport threads. Lanes run there, so that no guest delays a delivery.
    runtime: Handle,
}

/// Result of draining the lanes at shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainReport {
    /// Number of rows delivered since the drain began.
    pub delivered: u64,
    /// Number of rows that are still undelivered.
    pub left: u64,
}

/// Maximum number of ephemeral activities that wait in one conversation. Further pieces of a stream may be dropped,
/// because its text is cumulative.
const EPHEMERALS_PER_CONVERSATION_MAX: usize = 64;
/// Maximum number of ephemeral activities that wait in all conversations.
const EPHEMERALS_MAX: usize = 4_096;

/// Rows of one conversation that were committed within this time are one item of work.
const MERGED_WITHIN: Duration = Duration::from_secs(1);

struct Shared {
    /// A blocking mutex, because every operation is short: a map access and a push.
    lanes: Mutex<Lanes>,
    /// The number of lanes, for `drain`.
    busy: watch::Sender<usize>,
    courier: Courier,
}

#[derive(Default)]
struct Lanes {
    /// Work by conversation. An entry exists exactly while the task of the lane runs.
    work: HashMap<ConversationKey, VecDeque<Work>>,
    ephemerals: usize,
}

/// One item of work of a lane.
enum Work {
    /// Deliver this many rows of the outbox, which were committed at this time.
    Rows(usize, Instant),
    /// Send an ephemeral activity, which has no row.
    Now(Box<Ephemeral>),
}

impl Deliveries {
    /// Returns lanes that read from `storage` and send to the two channels. `runtime` must be that of the transport
    /// threads.
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

    /// Announces `rows` new outbox rows of a conversation. Called after each commit. Never blocks.
    pub fn wake(&self, conversation: &ConversationKey, rows: usize) {
        self.push(conversation, Work::Rows(rows, Instant::now()));
    }

    /// Sends an activity outside of the transaction: `typing`, or a piece of a stream. Never blocks.
    ///
    /// The activity is sent after all earlier work of its conversation. It is not stored, so it is lost if it cannot be
    /// delivered or too many activities wait. Only the last message of a stream is retried like an outbox row.
    pub fn send_now(&self, to: Address, host_id: Arc<str>, activity: Object) {
        let conversation = to.conversation.clone();
        self.push(&conversation, Work::Now(Box::new(Ephemeral { to, host_id, activity, piece: None })));
    }

    /// Sends a piece of a stream that this host opened.
    fn send_piece(&self, piece: Ephemeral) {
        let conversation = piece.to.conversation.clone();
        self.push(&conversation, Work::Now(Box::new(piece)));
    }

    /// Returns whether activities of a conversation may be sent to this `serviceUrl`.
    pub fn admits(&self, conversation: &ConversationKey, service_url: &str) -> bool {
        self.shared.courier.channel_of(conversation).admits(conversation, service_url)
    }

    /// Returns the origins to which replies of a bot were not sent, because `channel.connector-origins` does not list
    /// them.
    pub fn refused_origins(&self, bot: &str) -> Vec<RefusedOrigin> {
        self.shared.courier.refused_origins(bot)
    }

    /// Creates a conversation on the channel of another one, if the rate limit of the channel allows it now.
    pub async fn open(&self, at: &Address, parameters: Object) -> Result<Opened, ChannelError> {
        let (shared, at) = (self.shared.clone(), at.clone());
        // Connections belong to the runtime of the transport threads.
        let opening = self.runtime.spawn(async move { shared.courier.open(&at, &parameters).await });
        opening.await.unwrap_or_else(|_| {
            let why = "the host failed during the call; see its log".to_owned();
            Err(ChannelError::Ambiguous { why, retry_after: None })
        })
    }

    /// Passes a call of the connector's REST API on to the channel of a conversation.
    pub async fn relay(&self, at: &Address, call: Relay) -> Result<Relayed, ChannelError> {
        self.shared.courier.channel_of(&at.conversation).relay(at, call).await
    }

    /// Returns the number of peers (connectors, and issuers of tokens) that cannot be reached now. Deliveries to them wait.
    pub fn peers_unreachable(&self) -> usize {
        self.shared.courier.peers_unreachable()
    }

    /// Watches the outcomes of the rows of a turn. Must be called before the turn runs.
    pub fn watch(&self, turn_id: Arc<str>) -> DeliveryWatch {
        self.shared.courier.watched.watch(turn_id)
    }

    /// Waits until every lane is done, or until the deadline. The caller must have stopped all turns.
    pub async fn drain(&self, deadline: Instant) -> DrainReport {
        let before = self.shared.courier.delivered();
        // The sender is a field of self, so the channel cannot close.
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
        self.lanes.lock()
    }

    /// Runs a lane until it has no work.
    async fn run(self: Arc<Self>, conversation: ConversationKey) {
        loop {
            // The binding ends the lock here; the lock must not be held during the delivery.
            let work = self.lanes().pop(&conversation);
            match work {
                Some(Work::Rows(rows, since)) => self.courier.deliver_rows(&conversation, rows, since).await,
                Some(Work::Now(ephemeral)) => self.courier.deliver_now(*ephemeral).await,
                None => break,
            }
        }
        self.busy.send_modify(|lanes| *lanes -= 1);
    }
}

impl Lanes {
    /// Appends work. Returns true if the conversation had no lane, so that the caller must start a task.
    fn push(&mut self, conversation: &ConversationKey, work: Work) -> bool {
        let admitted = match &work {
            Work::Rows(..) => true,
            Work::Now(_) => self.make_room(conversation),
        };
        if !admitted {
            tracing::debug!(bot = %conversation.bot, "too many ephemeral activities wait; this one is dropped");
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
                    (Some(Work::Rows(waiting, since)), Work::Rows(more, now))
                        if now.saturating_duration_since(*since) <= MERGED_WITHIN =>
                    {
                        *waiting = waiting.saturating_add(more);
                    }
                    (_, work) => lane.get_mut().push_back(work),
                }
                false
            }
        }
    }

    /// Takes the next work. If there is none, the lane is removed.
    fn pop(&mut self, conversation: &ConversationKey) -> Option<Work> {
        let next = self.work.get_mut(conversation)?.pop_front();
        match &next {
            Some(Work::Now(_)) => self.ephemerals -= 1,
            Some(Work::Rows(..)) => {}
            None => {
                self.work.remove(conversation);
            }
        }
        next
    }

    /// Returns whether one more ephemeral activity may wait. If the limit is reached, drops the oldest one of the
    /// conversation that may be dropped.
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
