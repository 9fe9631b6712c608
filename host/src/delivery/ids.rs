//! Converts host ids to ids of the channel at delivery.

use std::sync::Arc;

use serde_json::Value;

use crate::activity::{ConversationKey, Object};
use crate::channel::stream::{is_stream_info, stream_info, unmark};
use crate::storage::Storage;

/// The relation of an activity to a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stream {
    /// Not part of a stream.
    None,
    /// The first piece of a stream.
    Opens,
    /// A later piece of the stream with this channel id.
    Of(Arc<str>),
    /// A later piece of a stream that has no channel id. The stream members were removed from the activity.
    Unknown,
}

/// Converts the host ids in `replyToId` and in the stream members. If an id has no channel id, because its activity
/// never reached the channel, the member is removed: a reply becomes a plain message, and so does the end of a stream.
pub(super) async fn resolve(storage: &dyn Storage, conversation: &ConversationKey, activity: &mut Object) -> Stream {
    if let Some(reply_to) = activity.get("replyToId").and_then(Value::as_str).map(str::to_owned) {
        match channel_id(storage, conversation, &reply_to).await {
            Some(id) => activity.insert("replyToId".to_owned(), Value::from(&*id)),
            None => activity.shift_remove("replyToId"),
        };
    }
    let Some(info) = stream_info(activity) else { return Stream::None };
    let Some(stream_id) = stream_id(info).map(str::to_owned) else { return Stream::Opens };
    let resolved = channel_id(storage, conversation, &stream_id).await;
    rewrite_stream(activity, resolved.as_deref());
    resolved.map_or(Stream::Unknown, Stream::Of)
}

/// Returns the channel id of the target of an update or delete, or why there is none.
pub(super) async fn target(
    storage: &dyn Storage,
    conversation: &ConversationKey,
    id: &str,
) -> Result<Arc<str>, String> {
    let why = || format!("`{id}` has no channel id: it was not delivered, or the channel returned no id");
    channel_id(storage, conversation, id).await.ok_or_else(why)
}

/// The beginning of every host id.
const HOST_ID: &str = "tt-";

/// Returns whether a JSON text of the host may name a host id. Most answers name none and leave as they were written.
pub(super) fn may_name_host_ids(activity: &str) -> bool {
    activity.contains(HOST_ID)
}

/// Returns whether the activity is the first piece of a stream.
pub(super) fn opens_stream(activity: &Object) -> bool {
    stream_info(activity).is_some_and(|info| stream_id(info).is_none())
}

/// Returns the channel id of a host id, or none if it has none. A channel id is returned unchanged.
async fn channel_id(storage: &dyn Storage, conversation: &ConversationKey, id: &str) -> Option<Arc<str>> {
    if !id.starts_with(HOST_ID) {
        return Some(id.into());
    }
    let found = match storage.channel_id(conversation, id).await {
        Ok(found) => found,
        Err(error) => {
            tracing::error!(%error, "the store failed; a host id remains unresolved");
            None
        }
    };
    found.filter(|id| !id.is_empty())
}

fn stream_id(info: &Value) -> Option<&str> {
    info.get("streamId").and_then(Value::as_str).filter(|id| !id.is_empty())
}

/// Sets the stream id in the entity, and in `channelData` if Web Chat's form is present. Without an id, removes the
/// members that mark the activity as part of a stream.
fn rewrite_stream(activity: &mut Object, id: Option<&str>) {
    let Some(id) = id else { return unmark(activity) };
    if let Some(Value::Array(entities)) = activity.get_mut("entities") {
        for info in entities.iter_mut().filter(|entity| is_stream_info(entity)) {
            info["streamId"] = id.into();
        }
    }
    if let Some(Value::Object(data)) = activity.get_mut("channelData")
        && data.contains_key("streamId")
    {
        data.insert("streamId".to_owned(), id.into());
    }
}
