//! The bounded history of a conversation and its one live subscriber.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Maximum number of activities kept for clients that poll or reconnect. The oldest are removed first.
const ACTIVITIES_MAX: usize = 1_000;
/// Maximum size of the history in bytes of JSON text. The newest activity is kept whatever its size.
const BYTES_MAX: usize = 512 * 1024;
/// Maximum number of frames that wait for a slow subscriber. Beyond it the stream is closed, and the client reconnects
/// with its watermark.
const FRAMES_MAX: usize = 256;

/// Reasons with which a stream is closed.
const COLLISION: &str = "collision";
const TOO_SLOW: &str = "the client reads too slowly";
const FORGOTTEN: &str = "the conversation has ended";

/// The history of a conversation. Sequence numbers count all events, not only stored activities, so ids have gaps.
pub(super) struct Log {
    next: u64,
    last_ms: i64,
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Bytes of the histories of all conversations.
    of_all: Arc<AtomicUsize>,
    subscriber: Option<Subscriber>,
    streams_issued: u64,
    streams_used: u64,
}

struct Entry {
    /// The sequence number in the id of the activity.
    sequence: u64,
    /// The sequence number of the newest change, which watermarks are compared with.
    changed: u64,
    timestamp: String,
    text: String,
}

struct Subscriber {
    frames: mpsc::Sender<String>,
    why: Arc<OnceLock<&'static str>>,
}

/// A sequence number and its timestamp.
pub(super) struct Stamp {
    pub(super) sequence: u64,
    pub(super) timestamp: String,
}

/// The stream of one client.
pub struct Subscription {
    frames: mpsc::Receiver<String>,
    why: Arc<OnceLock<&'static str>>,
    backlog: Option<String>,
}

/// Error: the ticket of a stream was used before, a newer one was used, or it was never issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamUsed;

impl Log {
    pub(super) fn new(of_all: Arc<AtomicUsize>) -> Self {
        Self {
            of_all,
            next: 0,
            last_ms: 0,
            entries: VecDeque::new(),
            bytes: 0,
            subscriber: None,
            streams_issued: 0,
            streams_used: 0,
        }
    }

    /// Returns the next sequence number. Timestamps increase by at least 1 ms, because clients sort by them.
    pub(super) fn stamp(&mut self) -> Stamp {
        self.last_ms = Timestamp::now().as_millisecond().max(self.last_ms + 1);
        let timestamp = Timestamp::from_millisecond(self.last_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        let sequence = self.next;
        self.next += 1;
        Stamp { sequence, timestamp: format!("{timestamp:.3}") }
    }

    /// Appends an activity and sends it to the subscriber.
    pub(super) fn append(&mut self, stamp: Stamp, text: String) {
        self.show(&text, Some(stamp.sequence));
        self.resize(self.bytes + text.len());
        let Stamp { sequence, timestamp } = stamp;
        self.entries.push_back(Entry { sequence, changed: sequence, timestamp, text });
        self.trim();
    }

    /// Replaces an activity in its position. `text` gets the timestamp of the old one. Returns none if it is not in the
    /// history.
    pub(super) fn replace(&mut self, sequence: u64, text: impl FnOnce(&str) -> String) -> Option<()> {
        let place = self.entries.binary_search_by_key(&sequence, |entry| entry.sequence).ok()?;
        let changed = self.next;
        let entry = self.entries.get_mut(place)?;
        let text = text(&entry.timestamp);
        self.next += 1;
        let bytes = self.bytes - entry.text.len() + text.len();
        entry.changed = changed;
        entry.text.clone_from(&text);
        self.resize(bytes);
        self.show(&text, Some(changed));
        self.trim();
        Some(())
    }

    /// Sends an activity to the subscriber only. Without a subscriber it is lost.
    pub(super) fn show(&mut self, text: &str, watermark: Option<u64>) {
        let Some(subscriber) = &self.subscriber else { return };
        match subscriber.frames.try_send(activity_set(&[text], watermark)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.close(TOO_SLOW),
            Err(TrySendError::Closed(_)) => self.subscriber = None,
        }
    }

    /// Returns the activity set of all entries that are newer than the watermark.
    pub(super) fn since(&self, watermark: Option<u64>) -> String {
        let news = |entry: &&Entry| watermark.is_none_or(|watermark| entry.changed > watermark);
        let newest = self.entries.iter().filter(news).map(|entry| entry.changed).max();
        let texts: Vec<&str> = self.entries.iter().filter(news).map(|entry| entry.text.as_str()).collect();
        activity_set(&texts, newest.or(watermark))
    }

    /// Issues a ticket for a stream, valid for one connection.
    pub(super) fn issue_stream(&mut self) -> u64 {
        self.streams_issued += 1;
        self.streams_issued
    }

    /// Makes a client the subscriber and closes the stream of the previous one.
    pub(super) fn subscribe(&mut self, ticket: u64, watermark: Option<u64>) -> Result<Subscription, StreamUsed> {
        if ticket <= self.streams_used || ticket > self.streams_issued {
            return Err(StreamUsed);
        }
        self.streams_used = ticket;
        self.close(COLLISION);
        let (sender, frames) = mpsc::channel(FRAMES_MAX);
        let why = Arc::new(OnceLock::new());
        self.subscriber = Some(Subscriber { frames: sender, why: why.clone() });
        let is_news = |entry: &Entry| watermark.is_none_or(|watermark| entry.changed > watermark);
        let backlog = self.entries.iter().any(is_news).then(|| self.since(watermark));
        Ok(Subscription { frames, why, backlog })
    }

    pub(super) fn is_connected(&self) -> bool {
        self.subscriber.as_ref().is_some_and(|subscriber| !subscriber.frames.is_closed())
    }

    fn close(&mut self, reason: &'static str) {
        if let Some(subscriber) = self.subscriber.take() {
            // Only this function sets the reason.
            let _ = subscriber.why.set(reason);
        }
    }

    fn trim(&mut self) {
        while self.entries.len() > ACTIVITIES_MAX || (self.bytes > BYTES_MAX && self.entries.len() > 1) {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.resize(self.bytes - oldest.text.len());
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sets the size of the history, here and in the sum of all.
    fn resize(&mut self, bytes: usize) {
        // The sum wraps around within one step at most, and then back.
        self.of_all.fetch_add(bytes.wrapping_sub(self.bytes), Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.resize(0);
        self.close(FORGOTTEN);
    }
}

impl Subscription {
    /// Returns the next frame, or `None` when the stream has ended. [`Subscription::reason`] then returns the reason.
    pub async fn next(&mut self) -> Option<String> {
        match self.backlog.take() {
            Some(backlog) => Some(backlog),
            None => self.frames.recv().await,
        }
    }

    /// Returns why the stream has ended.
    pub fn reason(&self) -> &'static str {
        self.why.get().copied().unwrap_or_default()
    }
}

/// Builds an activity set. The activities are JSON texts already, so they are concatenated.
fn activity_set(activities: &[&str], watermark: Option<u64>) -> String {
    let activities = activities.join(",");
    match watermark {
        Some(watermark) => format!(r#"{{"activities":[{activities}],"watermark":"{watermark}"}}"#),
        None => format!(r#"{{"activities":[{activities}]}}"#),
    }
}
