//! What turns did, kept for a while: for the chat page, the admin API and whoever looks for an error.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde::Serialize;

use super::feed::{FeedSource, RecordFeed};
use super::{Answer, Turn};
use crate::plugin::{HttpCall, Meta, Plugin};

/// What a turn did. No activity text.
#[derive(Debug, Clone, Serialize)]
pub struct TurnRecord {
    /// The turn.
    pub turn_id: Arc<str>,
    /// The bot.
    pub bot: Arc<str>,
    /// The generation that served it.
    pub generation: u64,
    /// Channel instance.
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
    /// Each call of a plugin, in the order in which they ended.
    pub calls: Vec<CallRecord>,
    /// Host ids of what it sent, in order.
    pub sent: Vec<Arc<str>>,
}

/// One call of a plugin within a turn.
#[derive(Debug, Clone, Serialize)]
pub struct CallRecord {
    /// The plugin.
    pub plugin: Arc<str>,
    /// `sha256:…` of its component.
    pub digest: Arc<str>,
    /// `activity`, `route:NAME`, `dialog:ID` or `middleware:EVENT`.
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
    /// Log lines that the guest wrote, as `level message name=value`, at most 50.
    pub logs: Vec<String>,
    /// HTTP requests that the guest asked for, without headers, queries and bodies.
    pub http: Vec<HttpCall>,
}

impl CallRecord {
    /// The record of a call that begins.
    pub(super) fn of(plugin: &Plugin, meta: &Meta) -> Self {
        Self {
            plugin: plugin.name.clone(),
            digest: plugin.digest.clone(),
            trigger: meta.trigger.clone(),
            outcome: "",
            duration_us: 0,
            cpu_us: 0,
            error: None,
            backtrace: None,
            stderr: None,
            logs: Vec::new(),
            http: Vec::new(),
        }
    }

    pub(super) fn duration(&self) -> Duration {
        Duration::from_micros(self.duration_us)
    }

    pub(super) fn cpu(&self) -> Duration {
        Duration::from_micros(self.cpu_us)
    }
}

pub(super) fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Turn {
    pub(super) fn record(&mut self, answer: &Answer, duration: Duration, queued: Duration) -> TurnRecord {
        let inbound = &self.context.inbound;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        TurnRecord {
            turn_id: self.context.turn_id.clone(),
            bot: inbound.key.bot.clone(),
            generation: self.generation.number,
            channel: inbound.key.channel.to_string(),
            conversation: inbound.key.conversation.clone(),
            activity_id: inbound.activity.id().to_owned(),
            kind: inbound.activity.kind().to_owned(),
            started_ms: u64::try_from(now.saturating_sub(duration).as_millis()).unwrap_or(u64::MAX),
            duration_us: microseconds(duration),
            queued_us: microseconds(queued),
            outcome: self.ended.label(),
            status: answer.status,
            sent: self.effects.staging().sent().to_vec(),
            calls: self.effects.hooks.take_records(),
        }
    }
}

/// Records kept for each bot.
const RECENT_MAX: usize = 50;

pub(crate) struct Records {
    recent: Mutex<HashMap<Arc<str>, VecDeque<Arc<TurnRecord>>>>,
    feed: FeedSource,
}

impl Records {
    pub(crate) fn new() -> Self {
        Self { recent: Mutex::default(), feed: FeedSource::new() }
    }

    pub(crate) fn push(&self, record: TurnRecord) {
        let record = Arc::new(record);
        let mut recent = self.recent.lock();
        let of_bot = recent.entry(record.bot.clone()).or_default();
        if of_bot.len() == RECENT_MAX {
            of_bot.pop_front();
        }
        of_bot.push_back(record.clone());
        drop(recent);
        self.feed.push(record);
    }

    pub(crate) fn subscribe(&self, after: Option<&str>) -> RecordFeed {
        self.feed.subscribe(after)
    }

    /// Ends every feed; readers still get what was pushed before.
    pub(crate) fn close(&self) {
        self.feed.close();
    }

    pub(super) fn recent(&self, bot: &str) -> Vec<Arc<TurnRecord>> {
        let recent = self.recent.lock();
        recent.get(bot).into_iter().flatten().rev().cloned().collect()
    }
}
