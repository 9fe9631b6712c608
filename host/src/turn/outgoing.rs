//! Checks of what leaves a turn: activities of guests, ids of updates and deletions, answers to invokes.

use std::sync::Arc;

use serde_json::Value;

use super::TurnContext;
use super::address::{address, address_suggestions};
use crate::activity::{Activity, ID_BYTES_MAX, Object};
use crate::config::Limits;
use crate::json;
use crate::plugin::Fault;
use crate::storage::Answer;

/// Types that only the host puts into an outbox.
const HOST_TYPES: &[&str] = &["invokeResponse", "delay"];

/// Whether an activity is of a type that only the host puts into an outbox.
pub(super) fn is_the_hosts(activity: &Object) -> bool {
    HOST_TYPES.contains(&string(activity, "type"))
}

/// Reads an activity that a guest sends.
pub(super) fn checked_of_guest(text: &str, limits: &Limits) -> Result<Object, Fault> {
    let activity = checked(text, limits)?;
    if is_the_hosts(&activity) {
        let kind = string(&activity, "type");
        return Err(Fault::invalid(format!("activities of type `{kind}` are made by the host only")));
    }
    Ok(activity)
}

/// Reads an activity that a guest wrote.
pub(super) fn checked(text: &str, limits: &Limits) -> Result<Object, Fault> {
    if text.len() > limits.bytes_per_send {
        return Err(Fault::quota("bytes-per-send", limits.bytes_per_send));
    }
    let activity =
        json::object(text).map_err(|error| Fault::invalid(format!("the activity is not one JSON object: {error}")))?;
    Activity::check_types(&activity).map_err(|error| Fault::invalid(error.to_string()))?;
    match string(&activity, "type") {
        "" => Err(Fault::invalid("the activity has no `type`")),
        _ => Ok(activity),
    }
}

/// Checks an answer to an invoke.
pub(super) fn checked_response(
    inbound: &Activity,
    status: u32,
    body: Option<&str>,
    limits: &Limits,
) -> Result<Answer, Fault> {
    if inbound.kind() != "invoke" {
        return Err(Fault::invalid("respond: this turn is no invoke, nobody waits for an answer"));
    }
    let Some(status) = u16::try_from(status).ok().filter(|status| (200..600).contains(status)) else {
        return Err(Fault::invalid(format!("respond: status {status} is not within 200 to 599")));
    };
    if body.is_some_and(|body| body.len() > limits.bytes_per_send) {
        return Err(Fault::quota("bytes-per-send", limits.bytes_per_send));
    }
    // Read whole: middleware, transcripts and `expectReplies` put it into other JSON, which has a bound of nesting.
    let read = |body| json::checked(body).and_then(|body| serde_json::from_str::<Value>(&body).map(|_| body));
    let body = body.map(read).transpose();
    let body = body.map_err(|error| Fault::invalid(format!("respond: the body is not JSON: {error}")))?;
    Ok(Answer { status, body: body.map(Into::into) })
}

impl TurnContext {
    /// Fills in the reference of the conversation. False: the activity goes nowhere, a `trace` to no emulator.
    pub(super) fn address(&self, activity: &mut Object, threaded: bool) -> bool {
        let inbound = &self.inbound.activity;
        if string(activity, "type") == "trace" && inbound.channel_id() != "emulator" {
            return false;
        }
        address(activity, inbound, threaded);
        let is_for_all = self.notification.as_ref().is_some_and(|notification| notification.user.is_empty());
        address_suggestions(activity, is_for_all && inbound.is_group());
        true
    }

    /// Checks the id of an update or delete: a host id must be one of this conversation, any other is the channel's.
    pub(super) async fn known(&self, id: &str) -> Result<Arc<str>, Fault> {
        if id.is_empty() {
            return Err(Fault::invalid("the id is empty"));
        }
        // It is stored, and goes into a URL: no channel has a longer one.
        if id.len() > ID_BYTES_MAX {
            return Err(Fault::invalid(format!("the id is longer than {ID_BYTES_MAX} bytes")));
        }
        if id.starts_with("tt-") {
            match self.services.storage.channel_id(&self.inbound.key, id).await {
                Ok(Some(_)) => {}
                Ok(None) => return Err(Fault::invalid(format!("this conversation has no activity `{id}`"))),
                Err(error) => return Err(Fault::new("unavailable", error.to_string())),
            }
        }
        Ok(id.into())
    }
}

/// Returns a member that is a string, or an empty string.
pub(super) fn string<'a>(object: &'a Object, member: &str) -> &'a str {
    object.get(member).and_then(Value::as_str).unwrap_or_default()
}
