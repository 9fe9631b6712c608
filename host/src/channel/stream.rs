//! Streams: how bots write them, and how each kind of channel shows a text that grows.
//!
//! An activity with an entity of the type `streaminfo` is a piece of a stream. Web Chat reads `channelData` instead, so the
//! pieces and the last message have both there.

use std::time::Duration;

use serde_json::{Value, json};

use super::Fault;
use crate::activity::{Activity, ChannelInstance, DeliveryMode, Object};

/// How a channel shows a text that grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Streaming {
    /// It shows pieces.
    Pieces(Pieces),
    /// It shows that the bot is typing, and then one message.
    Typing,
    /// It shows nothing before the last message.
    Whole,
}

/// How a channel takes the pieces of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pieces {
    /// Least time between two pieces, and between the last piece and the message.
    pub(crate) pace: Duration,
    /// Time after the first piece from which on the channel takes no pieces. The message is then an update of the first piece.
    pub(crate) lasts: Option<Duration>,
    /// Whether clients read `channelData`.
    pub(crate) channel_data: bool,
}

/// Web Chat and Direct Line. The SDKs of the protocol use the same pace.
const WEB_CHAT: Pieces = Pieces { pace: Duration::from_millis(500), lasts: None, channel_data: true };
/// Teams accepts one piece per second and ends a stream after two minutes. The margins are for the way to Teams.
const TEAMS: Pieces =
    Pieces { pace: Duration::from_millis(1_500), lasts: Some(Duration::from_secs(110)), channel_data: false };

impl Streaming {
    /// Returns how the channel of an incoming activity shows a text that grows.
    pub(crate) fn of(channel: &ChannelInstance, inbound: &Activity) -> Self {
        match (inbound.delivery_mode(), channel, inbound.channel_id()) {
            (DeliveryMode::ExpectReplies, ..) => Self::Whole,
            (_, ChannelInstance::LocalDirectLine, _) | (_, _, "directline" | "webchat") => Self::Pieces(WEB_CHAT),
            (_, _, "msteams") if !inbound.is_group() => Self::Pieces(TEAMS),
            _ => Self::Typing,
        }
    }
}

/// Place of an activity within its stream.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// The first line, which the first text replaces.
    Informative(u64),
    /// A piece with all the text so far.
    Piece(u64),
    /// The message with the whole text.
    Last,
}

/// Makes an activity a part of a stream. `stream` is the id of the first piece, none for that piece itself.
pub(crate) fn mark(activity: &mut Object, stream: Option<&str>, place: Place, channel_data: bool) {
    let (kind, sequence) = match place {
        Place::Informative(sequence) => ("informative", Some(sequence)),
        Place::Piece(sequence) => ("streaming", Some(sequence)),
        Place::Last => ("final", None),
    };
    let mut info = Object::new();
    info.insert("streamType".into(), kind.into());
    if let Some(sequence) = sequence {
        info.insert("streamSequence".into(), sequence.into());
    }
    if let Some(stream) = stream {
        info.insert("streamId".into(), stream.into());
    }
    unmark(activity);
    if channel_data {
        let data = activity.entry("channelData").or_insert_with(|| json!({}));
        if let Some(data) = data.as_object_mut() {
            data.extend(info.clone());
        }
    }
    info.insert("type".into(), "streaminfo".into());
    match activity.get_mut("entities") {
        Some(Value::Array(entities)) => entities.push(info.into()),
        _ => drop(activity.insert("entities".into(), json!([info]))),
    }
}

/// Makes an activity one that is no part of a stream.
pub(crate) fn unmark(activity: &mut Object) {
    if let Some(Value::Array(entities)) = activity.get_mut("entities") {
        entities.retain(|entity| !is_stream_info(entity));
    }
    if let Some(Value::Object(data)) = activity.get_mut("channelData") {
        data.retain(|member, _| !matches!(&**member, "streamId" | "streamType" | "streamSequence"));
    }
    activity.retain(|member, value| match (&**member, value) {
        ("entities", Value::Array(entities)) => !entities.is_empty(),
        ("channelData", Value::Object(data)) => !data.is_empty(),
        _ => true,
    });
}

/// Returns the entity that makes an activity a piece of a stream.
pub(crate) fn stream_info(activity: &Object) -> Option<&Value> {
    activity.get("entities").and_then(Value::as_array)?.iter().find(|entity| is_stream_info(entity))
}

/// Whether an entity makes its activity a piece of a stream.
pub(crate) fn is_stream_info(entity: &Value) -> bool {
    entity.get("type").and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case("streaminfo"))
}

/// What a channel says when it refuses a part of a stream. It has one error code for all of them, so the text decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedPart {
    /// The user stopped the stream, which ended it.
    Stopped,
    /// The channel has the last message already.
    Done,
    /// The stream lasted too long, or the channel does not take this text as its end.
    Over,
}

impl RefusedPart {
    /// How a part was refused, by the cause that the channel named.
    pub(crate) fn of(fault: Option<Fault>) -> Self {
        match fault {
            Some(Fault::Stream(part)) => part,
            _ => Self::Over,
        }
    }

    /// Reads the text of a refusal.
    pub(crate) fn read(why: &str) -> Self {
        let why = why.to_ascii_lowercase();
        if why.contains("cancel") {
            Self::Stopped
        } else if why.contains("already completed") {
            Self::Done
        } else {
            Self::Over
        }
    }
}
