//! Streams, as bots write them: an activity with an entity of the type `streaminfo` is a piece of one.

use serde_json::Value;

use crate::activity::Object;

/// Returns the entity that makes an activity a piece of a stream.
pub(crate) fn stream_info(activity: &Object) -> Option<&Value> {
    activity.get("entities").and_then(Value::as_array)?.iter().find(|entity| is_stream_info(entity))
}

/// Whether an entity makes its activity a piece of a stream.
pub(crate) fn is_stream_info(entity: &Value) -> bool {
    entity.get("type").and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case("streaminfo"))
}
