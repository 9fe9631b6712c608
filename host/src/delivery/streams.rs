//! Streams that are open: what the channel shows of each, and how the last message of one is delivered.
//!
//! [`Live`] is the sender's end. A task takes the newest piece at the pace of the channel, so pieces that a newer one replaces
//! are never sent, and hands it to the lane of the conversation. The last message is a row of the outbox like any other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Deliveries;
use super::courier::Ephemeral;
use crate::activity::Object;
use crate::channel::stream::{Pieces, Place, RefusedPart, mark};
use crate::channel::{Address, ChannelError};
use crate::storage::{InboxEntry, Storage};

/// What a stream is, for as long as it is open.
pub struct StreamStart {
    /// The conversation.
    pub to: Address,
    /// Host id of the stream.
    pub id: Arc<str>,
    /// How the channel takes pieces.
    pub(crate) pieces: Pieces,
    /// Makes the entry of the inbox with which the next start closes the stream, from the text that is shown.
    pub keep: Box<dyn Fn(&str) -> InboxEntry + Send + Sync>,
}

/// A stream that is open. Dropping it sends no more pieces.
pub struct Live {
    slot: Arc<Slot>,
    pump: Option<JoinHandle<()>>,
}

/// Number of streams above which those are forgotten whose last message middleware kept from leaving.
const STREAMS_MAX: usize = 1_024;
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// The newest piece, and whether it is the informative line.
    next: Option<(Object, bool)>,
    closed: bool,
    /// The user stopped the stream.
    stopped: bool,
    /// Whether a piece was handed to the lane.
    has_left: bool,
}

/// What the courier knows of open streams, by host id.
#[derive(Default)]
pub(super) struct Streams(Mutex<HashMap<Arc<str>, Shown>>);

/// What the channel shows of a stream.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) opened: Instant,
    pub(super) last: Instant,
    pub(super) text: String,
    pub(super) pieces: Pieces,
    /// How the channel refused a piece.
    pub(super) refused: Option<RefusedPart>,
}

impl Deliveries {
    /// Opens a stream. The caller has committed that it will close it.
    pub fn stream(&self, start: StreamStart) -> Live {
        let slot = Arc::new(Slot::default());
        let pump = Pump {
            slot: slot.clone(),
            storage: self.shared.courier.storage().clone(),
            lanes: self.clone(),
            start,
            sequence: 0,
            shown: String::new(),
        };
        Live { slot, pump: Some(self.runtime.spawn(pump.run())) }
    }
}

impl Live {
    /// Shows a piece, unless a newer one comes before the channel takes it. False: the user stopped the stream.
    pub fn show(&self, piece: Object, is_informative: bool) -> bool {
        let mut state = self.slot.state.lock();
        state.next = Some((piece, is_informative));
        self.slot.changed.notify_one();
        !state.stopped
    }

    /// Whether the user stopped the stream.
    pub fn is_stopped(&self) -> bool {
        self.slot.state.lock().stopped
    }

    /// Whether the channel may show something of the stream.
    pub fn has_left(&self) -> bool {
        self.slot.state.lock().has_left
    }

    /// Sends no more pieces from now on.
    pub async fn close(&mut self) {
        self.slot.close();
        if let Some(pump) = self.pump.take() {
            // A panic in it ended the stream too.
            let _ = pump.await;
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.slot.close();
    }
}

impl Slot {
    fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_one();
    }

    fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Waits until there is a piece. False: the stream is closed.
    async fn has_next(&self) -> bool {
        loop {
            {
                let state = self.state.lock();
                if state.closed || state.next.is_some() {
                    return !state.closed;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Waits until the stream is closed.
    async fn closed(&self) {
        while !self.is_closed() {
            self.changed.notified().await;
        }
    }
}

/// Sends the pieces of one stream.
struct Pump {
    slot: Arc<Slot>,
    storage: Arc<dyn Storage>,
    lanes: Deliveries,
    start: StreamStart,
    sequence: u64,
    shown: String,
}

impl Pump {
    async fn run(mut self) {
        let mut last: Option<Instant> = None;
        let mut ends: Option<Instant> = None;
        while self.slot.has_next().await {
            if let Some(last) = last
                && self.pause(last + self.start.pieces.pace).await
            {
                return;
            }
            if ends.is_some_and(|ends| Instant::now() >= ends) {
                return;
            }
            let Some((piece, is_informative)) = self.slot.state.lock().next.take() else { continue };
            let text = piece.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
            // A channel shows a text that only grows. Middleware that rewrites what is shown has its way in the last message.
            let grows = if is_informative { self.sequence == 0 } else { text.len() > self.shown.len() };
            if !grows || (!is_informative && !text.starts_with(&self.shown)) {
                continue;
            }
            let Some(sent) = self.send(piece, &text, is_informative).await else { return };
            last = Some(Instant::now());
            ends = ends.or_else(|| Some(Instant::now() + self.start.pieces.lasts?));
            match sent {
                Ok(()) if is_informative => {}
                Ok(()) => self.shown = text,
                Err(ChannelError::Throttled { retry_after: Some(wait), .. }) => {
                    if self.pause(Instant::now() + wait).await {
                        return;
                    }
                }
                Err(ChannelError::Refused { fault, .. }) => {
                    if RefusedPart::of(fault) == RefusedPart::Stopped {
                        self.slot.state.lock().stopped = true;
                    }
                    return;
                }
                // The next piece has this text too.
                Err(_) if self.sequence > 1 => {}
                Err(_) => return,
            }
        }
    }

    /// Sends a piece and waits for the channel's answer. None: the stream is closed.
    async fn send(
        &mut self,
        mut activity: Object,
        text: &str,
        is_informative: bool,
    ) -> Option<Result<(), ChannelError>> {
        self.sequence += 1;
        // Kept before it is shown, so that what a restart closes the stream with is never shorter.
        let entry = (self.start.keep)(if is_informative { "" } else { text });
        if let Err(error) = self.storage.add_to_inbox(entry).await {
            tracing::error!(stream = %self.start.id, %error, "a stream cannot be kept; no restart would close it");
        }
        let place = if is_informative { Place::Informative(self.sequence) } else { Place::Piece(self.sequence) };
        let stream = (self.sequence > 1).then_some(&*self.start.id);
        mark(&mut activity, stream, place, self.start.pieces.channel_data);
        let (sender, answer) = oneshot::channel();
        {
            let mut state = self.slot.state.lock();
            if state.closed {
                return None;
            }
            state.has_left = true;
            let (to, host_id) = (self.start.to.clone(), self.start.id.clone());
            let piece = Some((self.start.pieces, sender));
            self.lanes.send_piece(Ephemeral { to, host_id, activity, piece });
        }
        tokio::select! {
            answer = answer => Some(answer.unwrap_or_else(|_| {
                Err(ChannelError::Throttled { why: "too many pieces wait".to_owned(), retry_after: None })
            })),
            () = self.slot.closed() => None,
        }
    }

    /// Waits. True: the stream was closed meanwhile.
    async fn pause(&self, until: Instant) -> bool {
        tokio::select! {
            () = tokio::time::sleep_until(until) => self.slot.is_closed(),
            () = self.slot.closed() => true,
        }
    }
}

impl Streams {
    /// Notes the channel's answer to a piece.
    pub(super) fn note(&self, id: &Arc<str>, pieces: Pieces, text: &str, answer: &Result<Arc<str>, ChannelError>) {
        let now = Instant::now();
        let mut streams = self.0.lock();
        if streams.len() >= STREAMS_MAX {
            streams.retain(|_, shown| shown.last.elapsed() < FORGOTTEN_AFTER);
        }
        let shown = streams.entry(id.clone()).or_insert_with(|| Shown {
            opened: now,
            last: now,
            text: String::new(),
            pieces,
            refused: None,
        });
        shown.last = now;
        match answer {
            Ok(_) => text.clone_into(&mut shown.text),
            Err(ChannelError::Refused { fault, .. }) => shown.refused = Some(RefusedPart::of(*fault)),
            Err(_) => {}
        }
    }

    /// Takes what is known of a stream that ends.
    pub(super) fn end(&self, id: &str) -> Option<Shown> {
        self.0.lock().remove(id)
    }
}

impl Shown {
    /// Whether the channel takes the message as the end of the stream. If not, the message updates the first piece.
    pub(super) fn takes_as_end(&self, text: &str) -> bool {
        let in_time = self.pieces.lasts.is_none_or(|lasts| self.opened.elapsed() < lasts);
        // Clients that read `channelData` replace the text.
        let fits = self.pieces.channel_data || (text.contains(&self.text) && !text.is_empty());
        self.refused.is_none() && in_time && fits
    }

    /// Time until the channel takes the next part.
    pub(super) fn wait(&self) -> Duration {
        self.pieces.pace.saturating_sub(self.last.elapsed())
    }
}
