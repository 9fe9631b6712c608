//! The turn: one incoming activity handled, with all that it caused.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::{broadcast, oneshot};

use crate::activity::Inbound;
pub use crate::storage::Answer;

/// The one entry of every activity, whatever it came through.
pub struct Turns {}

/// An accepted activity: its turn runs, or waits for its place in the conversation, whatever becomes of the caller.
#[derive(Debug)]
pub struct Ticket {
    /// The turn; for a redelivery, a fresh id that no turn has.
    pub turn_id: Arc<str>,
    /// The answer. Dropped without one only if the host is torn down.
    pub answer: oneshot::Receiver<Answer>,
}

/// Why an activity was not accepted. Nothing of it was stored; the channel may send it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No bot of that name: 404.
    UnknownBot,
    /// The operator disabled the bot: 503.
    Disabled,
    /// No generation of the bot could be loaded: 503 with Retry-After.
    NoGeneration,
    /// The conversation's queue or the host's is full; names the bound: 429 with Retry-After.
    QueueFull(&'static str),
    /// The host is shutting down: 503 with Retry-After.
    ShuttingDown,
    /// The store did not take it: 503 with Retry-After. The text is for the log.
    Storage(String),
}

/// What a turn did, for the log, the chat page and the admin API. No activity text.
#[derive(Debug, Clone, Serialize)]
pub struct TurnRecord {
    /// The turn.
    pub turn_id: Arc<str>,
    /// The bot.
    pub bot: Arc<str>,
    /// The generation that served it.
    pub generation: u64,
    /// Channel instance and conversation.
    pub channel: String,
    /// `conversation.id`.
    pub conversation: Arc<str>,
    /// `id` of the activity, or empty.
    pub activity_id: String,
    /// `type` of the activity.
    pub kind: String,
    /// When it started, milliseconds since 1970.
    pub started_ms: u64,
    /// From its start (not its arrival) to its commit, in microseconds.
    pub duration_us: u64,
    /// Time in the queue, in microseconds.
    pub queued_us: u64,
    /// `completed`, `failed` or `host-failure`.
    pub outcome: &'static str,
    /// HTTP status of the answer.
    pub status: u16,
    /// Each call of a plugin, in order.
    pub calls: Vec<CallRecord>,
    /// Host ids of what it staged, in order.
    pub sent: Vec<Arc<str>>,
}

/// One call of a plugin within a turn.
#[derive(Debug, Clone, Serialize)]
pub struct CallRecord {
    /// The plugin.
    pub plugin: Arc<str>,
    /// `sha256:…` of its component.
    pub digest: Arc<str>,
    /// `activity` or `route:NAME`.
    pub trigger: String,
    /// Outcome label, see `plugin::Outcome`.
    pub outcome: &'static str,
    /// Time of the call in microseconds, instantiation included.
    pub duration_us: u64,
    /// CPU time in microseconds.
    pub cpu_us: u64,
    /// What went wrong, for the bot's author.
    pub error: Option<String>,
    /// Wasm backtrace of a trap.
    pub backtrace: Option<String>,
    /// Tail of the guest's stderr, where something went wrong.
    pub stderr: Option<String>,
    /// Log lines that the guest wrote, as `level message key=value`, at most 50.
    pub logs: Vec<String>,
}

impl Turns {
    /// Accepts an activity. It is queued behind the other turns of its conversation.
    pub async fn accept(&self, _inbound: Inbound) -> Result<Ticket, Refusal> {
        todo!()
    }

    /// Records of turns as they end. A receiver that lags loses the oldest.
    pub fn records(&self) -> broadcast::Receiver<Arc<TurnRecord>> {
        todo!()
    }
}
