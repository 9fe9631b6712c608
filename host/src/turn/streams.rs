//! Text that streams: the stream of a turn, from its opening to its last message.
//!
//! The last message is staged like a reply, so it leaves with the commit of the turn, once. Whatever ends the turn before, the turn
//! closes the stream itself ([`Turn::close_stream`]). While the channel shows pieces, the inbox of the store has an
//! entry with the text so far, from which the next start closes the stream if this process dies.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ulid::Ulid;

use super::effects::Effects;
use super::hooks::{HOST, Unsent};
use super::middleware::Outgoing;
use super::outgoing::{checked_of_guest, string};
use super::staging::Staged;
use super::{Ended, Turn, TurnError};
use crate::activity::{Inbound, Object};
use crate::channel::stream::{Place, Streaming, mark, unmark};
use crate::delivery::{Live, StreamStart};
use crate::json;
use crate::plugin::{Fault, Plugin};
use crate::storage::InboxEntry;

/// Least time between two pieces that pass middleware. What comes meanwhile passes with the next piece.
const MIDDLEWARE_PACE: Duration = Duration::from_millis(100);
/// Least time between two typing indicators, which last for about three seconds.
const TYPING_PACE: Duration = Duration::from_millis(2_500);
/// Prefix of the turn ids under which the inbox has streams. No activity of a channel has such a turn id.
const KEPT_PREFIX: &str = "stream-";

/// The stream of a turn.
pub(super) struct TurnStream {
    id: Arc<str>,
    /// Host id of the last message.
    last_id: Arc<str>,
    plugin: Arc<str>,
    /// Everything that was appended.
    text: String,
    streaming: Streaming,
    /// Where pieces leave. None: the channel shows no pieces.
    live: Option<Live>,
    /// When a piece or a typing indicator last passed middleware.
    passed: Option<Instant>,
    is_closed: bool,
    /// Middleware stopped the last message.
    is_withdrawn: bool,
}

/// A stream that an earlier process left open.
#[derive(Debug, Clone)]
pub(super) struct LeftOpen {
    last_id: Arc<str>,
    last: Object,
}

impl Effects {
    /// Opens a stream of a plugin. What the plugin sends passes so many of the outermost layers.
    pub(super) async fn open_stream(
        self: &Arc<Self>,
        plugin: &Plugin,
        layers: usize,
        informative: Option<&str>,
    ) -> Result<Arc<str>, Fault> {
        let bytes_max = plugin.limits.bytes_per_send;
        if informative.is_some_and(|line| line.len() > bytes_max) {
            return Err(Fault::quota("bytes-per-send", bytes_max));
        }
        self.staging().count(&plugin.limits)?;
        let mut stream = self.stream.lock().await;
        let open = stream.as_ref().filter(|open| !open.is_closed).map(|open| open.plugin.clone());
        match open {
            Some(owner) if *owner == *plugin.name => {
                return Err(Fault::invalid("a stream is open in this turn: close it before you open another one"));
            }
            // Its plugin failed, and the turn goes on without that.
            Some(_) => self.close_open(&mut stream, "").await?,
            None => {}
        }
        self.flush().await?;
        self.forget_stream(&mut stream).await;
        let opened = self.opened(plugin.name.clone()).await?;
        let id = opened.id.clone();
        let opened = stream.insert(opened);
        self.show(opened, layers, informative).await?;
        Ok(id)
    }

    /// Makes a stream of a plugin, of which nothing is shown.
    async fn opened(&self, plugin: Arc<str>) -> Result<TurnStream, Fault> {
        let context = &self.context;
        let streaming = Streaming::of(&context.inbound.key.channel, &context.inbound.activity);
        let id: Arc<str> = format!("tt-{}", Ulid::new()).into();
        let last_id: Arc<str> = format!("tt-{}", Ulid::new()).into();
        let mut live = None;
        if let Streaming::Pieces(pieces) = streaming {
            // Known from now on; the channel's id follows.
            let known = context.services.storage.map_id(&context.inbound.key, &id, &"".into()).await;
            known.map_err(|error| Fault::new("unavailable", error.to_string()))?;
            let (inbound, stream, last) = (context.inbound.clone(), id.clone(), last_id.clone());
            let (note, has_data) = (self.hooks.error_text().to_owned(), pieces.channel_data);
            let keep = Box::new(move |text: &str| kept(&inbound, &stream, &last, text, &note, has_data));
            let start = StreamStart { to: context.delivery_address(), id: id.clone(), pieces, keep };
            live = Some(context.services.deliveries.stream(start));
        }
        Ok(TurnStream {
            id,
            last_id,
            plugin,
            text: String::new(),
            streaming,
            live,
            passed: None,
            is_closed: false,
            is_withdrawn: false,
        })
    }

    /// Appends text to the stream of a plugin.
    pub(super) async fn append(
        self: &Arc<Self>,
        plugin: &Plugin,
        layers: usize,
        id: &str,
        text: &str,
    ) -> Result<(), Fault> {
        let mut stream = self.stream.lock().await;
        let open = open_of(&mut stream, plugin, id)?;
        if open.live.as_ref().is_some_and(Live::is_stopped) {
            return Err(stopped());
        }
        let bytes_max = plugin.limits.bytes_per_send;
        if open.text.len() + text.len() > bytes_max {
            return Err(Fault::quota("bytes-per-send", bytes_max));
        }
        open.text.push_str(text);
        self.show(open, layers, None).await
    }

    /// Stages the last message of the stream of a plugin.
    pub(super) async fn end_stream(
        self: &Arc<Self>,
        plugin: &Plugin,
        layers: usize,
        id: &str,
        activity: &str,
    ) -> Result<(), Fault> {
        let mut stream = self.stream.lock().await;
        let open = open_of(&mut stream, plugin, id)?;
        let mut activity = checked_of_guest(activity, &plugin.limits)?;
        match string(&activity, "type") {
            "message" => {}
            other => {
                let other: String = other.chars().take(64).collect();
                return Err(Fault::invalid(format!("a stream ends with a `message`, not with a `{other}`")));
            }
        }
        if string(&activity, "text").is_empty() {
            activity.insert("text".into(), open.text.as_str().into());
        }
        Ok(self.stage_last(open, layers, &plugin.name, activity).await?)
    }

    /// Shows what there is of a stream, if it is time.
    async fn show(
        self: &Arc<Self>,
        stream: &mut TurnStream,
        layers: usize,
        informative: Option<&str>,
    ) -> Result<(), Fault> {
        let pace = match stream.streaming {
            Streaming::Whole => return Ok(()),
            Streaming::Typing => TYPING_PACE,
            Streaming::Pieces(_) if layers > 0 => MIDDLEWARE_PACE,
            Streaming::Pieces(_) => Duration::ZERO,
        };
        let is_early = stream.passed.is_some_and(|passed| passed.elapsed() < pace);
        let is_typing = stream.streaming == Streaming::Typing;
        let text = informative.unwrap_or(&stream.text).to_owned();
        if is_early || (text.is_empty() && !is_typing) {
            return Ok(());
        }
        stream.passed = Some(Instant::now());
        let mut piece = object(json!({ "type": "typing" }));
        if is_typing {
            return Ok(self.send(layers, &stream.plugin, piece, true).await.map(drop)?);
        }
        piece.insert("text".into(), text.into());
        self.context.address(&mut piece, true);
        // Middleware sees what it is a part of; the lane numbers it.
        let place = if informative.is_some() { Place::Informative(0) } else { Place::Piece(0) };
        mark(&mut piece, None, place, false);
        let Some(Outgoing::Send(mut piece)) = self.leave(layers, &stream.plugin, Outgoing::Send(piece)).await? else {
            return Ok(());
        };
        self.context.address(&mut piece, true);
        piece.insert("type".into(), "typing".into());
        let Some(live) = &stream.live else { return Ok(()) };
        if live.show(piece, informative.is_some()) { Ok(()) } else { Err(stopped()) }
    }

    /// Stages the last message. The channel takes no piece after that.
    async fn stage_last(
        self: &Arc<Self>,
        stream: &mut TurnStream,
        layers: usize,
        sender: &str,
        mut last: Object,
    ) -> Result<(), Unsent> {
        if let Some(live) = &mut stream.live {
            live.close().await;
        }
        self.context.address(&mut last, true);
        self.mark_last(stream, &mut last);
        // What middleware stops is closed too.
        let passed = self.leave(layers, sender, Outgoing::Send(last)).await?;
        stream.is_closed = true;
        stream.is_withdrawn = passed.is_none();
        if let Some(Outgoing::Send(mut last)) = passed {
            self.context.address(&mut last, true);
            self.mark_last(stream, &mut last);
            self.staging().push(Staged::Send { host_id: stream.last_id.clone(), activity: Arc::new(last) });
        }
        Ok(())
    }

    fn mark_last(&self, stream: &TurnStream, last: &mut Object) {
        match (&stream.live, stream.streaming) {
            (Some(live), Streaming::Pieces(pieces)) if live.has_left() => {
                mark(last, Some(&stream.id), Place::Last, pieces.channel_data);
            }
            _ => unmark(last),
        }
    }

    /// Closes the stream with what was appended, and a note if the turn failed.
    async fn close_open(self: &Arc<Self>, stream: &mut Option<TurnStream>, note: &str) -> Result<(), Unsent> {
        let Some(open) = stream else { return Ok(()) };
        let text = with_note(&open.text, note);
        let last = object(json!({ "type": "message", "text": text }));
        self.stage_last(open, self.hooks.layers(), HOST, last).await
    }

    /// Forgets a stream whose last message is stored.
    async fn forget_stream(&self, stream: &mut Option<TurnStream>) {
        let Some(TurnStream { last_id, live: Some(live), .. }) = stream.take() else { return };
        if !live.has_left() {
            return;
        }
        let turn_id = kept_as(&last_id);
        if let Err(error) = self.context.services.storage.remove_from_inbox(&turn_id).await {
            tracing::error!(%turn_id, %error, "a closed stream stays kept; the next start finds that it is closed");
        }
    }

    /// Returns the entry of the inbox of a stream that the turn could not close, because it failed in the host.
    pub(super) async fn left_open_stream(&self) -> Option<InboxEntry> {
        let stream = self.stream.lock().await;
        let open = stream.as_ref().filter(|open| open.live.as_ref().is_some_and(Live::has_left))?;
        let Streaming::Pieces(pieces) = open.streaming else { return None };
        let note = self.hooks.error_text();
        Some(kept(&self.context.inbound, &open.id, &open.last_id, &open.text, note, pieces.channel_data))
    }

    /// Ends what [`Effects::open_stream`] began, after the commit.
    pub(super) async fn stream_is_over(&self) {
        let mut stream = self.stream.lock().await;
        self.forget_stream(&mut stream).await;
    }
}

impl Turn {
    /// Closes the stream that is open with what was appended. `note` follows if the turn failed. False: no stream shows anything, and
    /// nothing was staged.
    pub(super) async fn close_stream(&mut self, note: Option<&str>) -> Result<bool, TurnError> {
        let effects = self.effects.clone();
        let mut stream = effects.stream.lock().await;
        let Some(open) = &mut *stream else { return Ok(false) };
        // A plugin that failed after it closed the stream took the last message back.
        open.is_closed &= open.is_withdrawn || effects.staging().has_sent(&open.last_id);
        let shows = open.live.as_ref().is_some_and(Live::has_left);
        match note {
            _ if open.is_closed => Ok(true),
            // Nothing was shown and nothing said.
            None if open.text.is_empty() && !shows => Ok(false),
            Some(_) if !shows => Ok(false),
            note => {
                effects.close_open(&mut stream, note.unwrap_or_default()).await?;
                Ok(true)
            }
        }
    }

    /// The same for a turn that failed: middleware that failed too keeps the message from leaving, and from nothing else.
    pub(super) async fn close_stream_anyway(&mut self, note: &str) -> Result<bool, TurnError> {
        match self.close_stream(Some(note)).await {
            Err(TurnError::Plugin { plugin, failure }) => {
                tracing::warn!(turn = %self.context.turn_id, %plugin, %failure, "middleware failed, and a stream has no end");
                Ok(true)
            }
            other => other,
        }
    }

    /// Returns what the turn has done, if it failed in the host.
    pub(super) fn effects_of_failure(&self) -> Option<Arc<Effects>> {
        (self.ended == Ended::HostFailure).then(|| self.effects.clone())
    }

    /// Says the last message of a stream that an earlier process left open.
    pub(super) async fn close_left_open(&mut self, left: &LeftOpen) -> Result<(), TurnError> {
        let known = self.context.services.storage.channel_id(&self.context.inbound.key, &left.last_id).await;
        if known.map_err(TurnError::Storage)?.is_some() {
            return Ok(());
        }
        let layers = self.effects.hooks.layers();
        if layers > 0 {
            self.instances.reserve(&self.context.inbound.key.bot, layers).await?;
        }
        let mut last = left.last.clone();
        self.context.address(&mut last, false);
        let marks = last.get("entities").cloned();
        if let Some(Outgoing::Send(mut last)) = self.effects.leave(layers, HOST, Outgoing::Send(last)).await? {
            self.context.address(&mut last, false);
            if let Some(marks) = marks {
                last.insert("entities".into(), marks);
            }
            self.staging().push(Staged::Send { host_id: left.last_id.clone(), activity: Arc::new(last) });
        }
        Ok(())
    }
}

/// The stream of this id, if it is open and the plugin's.
fn open_of<'s>(stream: &'s mut Option<TurnStream>, plugin: &Plugin, id: &str) -> Result<&'s mut TurnStream, Fault> {
    let open = stream.as_mut().filter(|open| *open.id == *id && *open.plugin == *plugin.name && !open.is_closed);
    open.ok_or_else(|| Fault::invalid("no stream with this id is open in this turn"))
}

fn stopped() -> Fault {
    Fault::new("unavailable", "the user stopped the stream")
}

fn with_note(text: &str, note: &str) -> String {
    match (text.is_empty(), note.is_empty()) {
        (true, _) => note.to_owned(),
        (_, true) => text.to_owned(),
        _ => format!("{text}\n\n{note}"),
    }
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

fn kept_as(last_id: &str) -> Arc<str> {
    format!("{KEPT_PREFIX}{last_id}").into()
}

/// Returns the entry of the inbox from which the next start closes a stream: the conversation, and its last message.
fn kept(inbound: &Inbound, id: &str, last_id: &str, text: &str, note: &str, channel_data: bool) -> InboxEntry {
    let mut event = Object::new();
    for member in ["channelId", "serviceUrl", "conversation", "from", "recipient", "locale"] {
        if let Some(value) = inbound.activity.member(member) {
            event.insert(member.into(), value);
        }
    }
    let mut last = object(json!({ "type": "message", "text": with_note(text, note) }));
    if !inbound.activity.id().is_empty() {
        last.insert("replyToId".into(), inbound.activity.id().into());
    }
    mark(&mut last, Some(id), Place::Last, channel_data);
    event.insert("type".into(), "event".into());
    event.insert("name".into(), "turntable/stream".into());
    event.insert("value".into(), last.into());
    InboxEntry {
        turn_id: kept_as(last_id),
        conversation: inbound.key.clone(),
        activity: Value::Object(event).to_string().into(),
    }
}

/// Returns the stream that an entry of the inbox is about. None: it is an activity of the channel.
pub(super) fn left_open(kept: &InboxEntry) -> Option<LeftOpen> {
    let last_id = kept.turn_id.strip_prefix(KEPT_PREFIX)?;
    let mut event = json::object(&kept.activity).ok()?;
    let last = object(event.shift_remove("value")?);
    Some(LeftOpen { last_id: last_id.into(), last })
}
