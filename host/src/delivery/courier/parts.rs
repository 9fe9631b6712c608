//! The parts of streams: pieces, and the last message.

use std::sync::Arc;

use serde_json::Value;
use tokio::time::Instant;

use super::{Call, Courier, stored, written};
use crate::activity::Object;
use crate::channel::stream::{Pieces, RefusedPart, stream_info, unmark};
use crate::channel::{Address, ChannelError, Fault};
use crate::delivery::ids::{self, Stream};
use crate::delivery::rates::Taken;
use crate::delivery::streams::Shown;
use crate::json;
use crate::storage::{OutboxAction, OutboxRow};
use crate::telemetry;

impl Courier {
    /// Sends a piece of a stream.
    pub(super) async fn deliver_piece(
        &self,
        to: &Address,
        stream: &Arc<str>,
        mut activity: Object,
        pieces: Pieces,
    ) -> Result<(), ChannelError> {
        let conversation = &to.conversation;
        let is_text = stream_info(&activity).is_some_and(|info| info["streamType"] == "streaming");
        let text =
            if is_text { activity.get("text").and_then(Value::as_str).unwrap_or_default() } else { "" }.to_owned();
        let place = ids::resolve(&*self.storage, conversation, &mut activity).await;
        let call = Call::Send(written(&activity));
        let sent = match place {
            Stream::Opens => self.attempt(to, &call).await,
            Stream::Of(_) => match self.rates.take(conversation, &mut Taken::default()) {
                Ok(()) => self.ask(to, &call).await,
                Err(wait) => {
                    telemetry::delivery_throttled(&conversation.bot);
                    let why = "the rate limit of the channel is reached (channel.rates)".to_owned();
                    Err(ChannelError::Throttled { why, retry_after: Some(wait) })
                }
            },
            Stream::None | Stream::Unknown => {
                let why = "the channel returned no id for the start of the stream".to_owned();
                Err(ChannelError::Refused { status: None, fault: None, why })
            }
        };
        self.streams.note(stream, pieces, &text, &sent);
        match sent {
            Ok(id) if place == Stream::Opens => {
                stored("map_id", || self.storage.map_id(conversation, stream, &id)).await;
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::debug!(bot = %conversation.bot, %error, "a piece of a stream was not delivered");
                Err(error)
            }
        }
    }

    /// Delivers the last message of a stream. If the channel does not take it as that, it updates the first piece, and if the
    /// channel cannot do that either, it is a message of its own.
    pub(super) async fn deliver_end(
        &self,
        to: &Address,
        stream: &str,
        mut activity: Object,
        committed: Instant,
    ) -> Result<Arc<str>, ChannelError> {
        let shown = self.streams.end(stream);
        let Stream::Of(id) = ids::resolve(&*self.storage, &to.conversation, &mut activity).await else {
            return self.persist(to, &Call::Send(written(&activity)), committed).await;
        };
        if shown.as_ref().is_some_and(|shown| shown.refused == Some(RefusedPart::Stopped)) {
            return Ok(id);
        }
        let wait = shown.as_ref().map(Shown::wait).unwrap_or_default();
        if !wait.is_zero() {
            (self.wait)(wait).await;
        }
        let text = activity.get("text").and_then(Value::as_str).unwrap_or_default();
        let updates = activity.get("channelData").and_then(|data| data.get("streamId")).is_none();
        if shown.is_none_or(|shown| shown.takes_as_end(text)) {
            match self.persist(to, &Call::Send(written(&activity)), committed).await {
                Err(ChannelError::Refused { fault, status: Some(400..=409), .. }) => match RefusedPart::of(fault) {
                    RefusedPart::Stopped | RefusedPart::Done => return Ok(id),
                    RefusedPart::Over => {}
                },
                // Whether or not the channel has it: an update may be repeated.
                Err(ChannelError::Ambiguous { .. }) if updates => {}
                sent => return sent.map(|sent| if sent.is_empty() { id } else { sent }),
            }
        }
        unmark(&mut activity);
        if updates {
            let mut update = activity.clone();
            update.insert("id".to_owned(), Value::from(&*id));
            match self.persist(to, &Call::Update(id.clone(), written(&update)), committed).await {
                Err(ChannelError::Refused { fault: None | Some(Fault::Stream(_)), .. }) => {}
                updated => return updated.map(|_| id),
            }
        }
        self.persist(to, &Call::Send(written(&activity)), committed).await
    }
}

/// Returns the host id of the stream whose last message a row is, and the message.
pub(super) fn end_of_stream(row: &OutboxRow) -> Option<(String, Object)> {
    let OutboxAction::Send { activity, .. } = &row.action else { return None };
    if !ids::may_name_host_ids(activity) || !activity.contains("streaminfo") {
        return None;
    }
    let activity = json::object(activity).ok()?;
    let stream = stream_info(&activity).filter(|info| info["streamType"] == "final")?["streamId"].as_str()?.to_owned();
    Some((stream, activity))
}
