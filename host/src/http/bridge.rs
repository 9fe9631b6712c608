//! The connector side for bridged bots: `/api/bots/{bot}/bridge/{ticket}/v3/…`, which is in the `serviceUrl` of the activities
//! that a bridged bot gets. The ticket is what lets the bot in, so it needs no token.
//!
//! | route below the ticket | what happens |
//! | --- | --- |
//! | `POST v3/conversations/{conversation}/activities[/{activity}]` | in the turn that waits for the bot, the activity is staged; otherwise it is stored and sent in an internal turn; 201 `{id}` |
//! | `PUT`, `DELETE v3/conversations/{conversation}/activities/{activity}` | the same for an update or a deletion; 200 |
//! | `POST v3/conversations` | passed on to the channel; the new conversation is kept; 201 `{id, activityId?, serviceUrl}` |
//! | everything else, such as members, attachments and `v1/meetings` | passed on to the channel with the credentials of the bot |
//!
//! The last two need `grants.conversations`. If the bridge has an app id, `/api/bots/{bot}/bridge/.well-known/openid-configuration`
//! leads to the key of the tokens that the bridged bot gets.
//!
//! | answer | when |
//! | --- | --- |
//! | 400 | the body is no activity |
//! | 403 `Forbidden` | `grants.conversations` or a send beyond `sends-per-turn` |
//! | 404 `NotFound` | the host did not write this ticket, or the bot has no bridge any more |
//! | 404 `ConversationNotFound` | the bot has not met the conversation on this channel, or was removed from it |
//! | 404 `ActivityNotFoundInConversation` | an update or deletion of what the bot did not send |
//! | 413 | the body is larger than `bytes-per-send` |
//! | 429 with `Retry-After` | too many messages wait in the conversation |
//! | 502 | the channel did not take a call that was passed on |

mod relay;

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::body;
use super::error::{HttpError, code};
use super::guard::{self, Guard};
use crate::activity::{ChannelInstance, ConversationKey, ID_BYTES_MAX};
use crate::app::App;
use crate::channel;
use crate::config::Bridge;
use crate::json;
use crate::plugin::Fault;
use crate::registry::Generation;
use crate::turn::bridge::late::NotTaken;
use crate::turn::bridge::{Change, Door};

/// The routes of this module.
pub(super) fn routes(app: Arc<App>, guard: &Arc<Guard>) -> Router {
    Router::new()
        .route("/api/bots/{bot}/bridge/.well-known/openid-configuration", get(metadata))
        .route("/api/bots/{bot}/bridge/keys", get(keys))
        .route("/api/bots/{bot}/bridge/{ticket}/{*path}", any(serve))
        .with_state(app)
        .route_layer(from_fn_with_state(guard.clone(), guard::check_origin))
}

/// Metadata of the issuer of tokens, for a bridged bot with an app id.
async fn metadata(State(app): State<Arc<App>>, Path(bot): Path<String>) -> Result<Json<Value>, HttpError> {
    let bridge = with_app_id(&app, &bot)?;
    let base = app.bridges.base(&bridge, &bot);
    Ok(Json(json!({
        "issuer": base, "jwks_uri": format!("{base}/keys"), "id_token_signing_alg_values_supported": ["RS256"]
    })))
}

async fn keys(State(app): State<Arc<App>>, Path(bot): Path<String>) -> Result<Json<Value>, HttpError> {
    with_app_id(&app, &bot)?;
    Ok(Json(app.bridges.issuer().map_err(HttpError::internal)?.key_set()))
}

/// Returns the bridge of a bot whose bridged bot demands tokens.
fn with_app_id(app: &App, bot: &str) -> Result<Arc<Bridge>, HttpError> {
    let generation = app.registry.bot(bot).and_then(|bot| bot.generation());
    let bridge = generation.and_then(|generation| generation.spec.bridge.clone());
    let bridge = bridge.filter(|bridge| bridge.app_id.is_some());
    bridge.ok_or_else(|| HttpError::not_found("there is no such route"))
}

/// A bridged bot that presented its ticket.
struct Caller {
    app: Arc<App>,
    bot: Arc<str>,
    generation: Arc<Generation>,
    bridge: Arc<Bridge>,
    channel: ChannelInstance,
    /// `serviceUrl` of the channel.
    service_url: String,
}

async fn serve(
    State(app): State<Arc<App>>,
    Path((bot, ticket, _)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, HttpError> {
    let caller = Caller::of(app, &bot, &ticket)?;
    let path = segments(request.uri().path())?;
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match (request.method(), path.as_slice()) {
        (&Method::POST, ["v3", "conversations"]) => caller.create(request).await,
        (&Method::POST, ["v3", "conversations", _, "activities", "history"]) => caller.relay(&path, request).await,
        (&Method::POST, ["v3", "conversations", conversation, "activities"]) => {
            caller.send(conversation, "", request).await
        }
        (&Method::POST, ["v3", "conversations", conversation, "activities", reply_to]) => {
            caller.send(conversation, reply_to, request).await
        }
        (&Method::PUT, ["v3", "conversations", conversation, "activities", id]) => {
            caller.update(conversation, id, request).await
        }
        (&Method::DELETE, ["v3", "conversations", conversation, "activities", id]) => {
            caller.change(conversation, Change::Delete((*id).into())).await?;
            Ok(StatusCode::OK.into_response())
        }
        _ => caller.relay(&path, request).await,
    }
}

impl Caller {
    fn of(app: Arc<App>, bot: &str, ticket: &str) -> Result<Self, HttpError> {
        let nothing = || HttpError::not_found("there is no such route");
        let (channel, service_url) = app.bridges.ticket(bot, ticket).ok_or_else(|| {
            nothing()
                .detail("the ticket of a bridged bot is not of this host; was `bridge-key` in the data folder lost?")
        })?;
        let bot = app.registry.bot(bot).ok_or_else(nothing)?;
        let generation = bot.generation().ok_or_else(|| HttpError::unavailable("the bot has no working generation"))?;
        let bridge = generation.spec.bridge.clone().ok_or_else(nothing)?;
        Ok(Self { bot: bot.name().clone(), app, generation, bridge, channel, service_url })
    }

    async fn send(&self, conversation: &str, reply_to: &str, request: Request) -> Result<Response, HttpError> {
        // Before the body is read: from now on the turn waits for this call.
        let door = self.app.bridges.door(&self.key(conversation)?);
        let activity = self.activity(request).await?;
        let reply_to: Arc<str> = match reply_to {
            "" => channel::replied_to(&activity).unwrap_or_default().into(),
            given => given.into(),
        };
        let door = door.filter(|door| door.is_for(&reply_to));
        let id = self.perform(door, conversation, Change::Send { activity, reply_to }).await?;
        Ok((StatusCode::CREATED, Json(json!({ "id": &*id }))).into_response())
    }

    async fn update(&self, conversation: &str, id: &str, request: Request) -> Result<Response, HttpError> {
        let door = self.app.bridges.door(&self.key(conversation)?);
        let activity = self.activity(request).await?;
        let id = self.perform(door, conversation, Change::Update { id: id.into(), activity }).await?;
        Ok(Json(json!({ "id": &*id })).into_response())
    }

    async fn change(&self, conversation: &str, change: Change) -> Result<Arc<str>, HttpError> {
        let door = self.app.bridges.door(&self.key(conversation)?);
        self.perform(door, conversation, change).await
    }

    /// Makes a change in the turn behind the door, or without one, or where that turn has just ended, as a proactive one.
    async fn perform(&self, door: Option<Door>, conversation: &str, change: Change) -> Result<Arc<str>, HttpError> {
        if let Some(door) = door
            && let Some(result) = door.perform(change.clone()).await
        {
            return result.map_err(fault);
        }
        let late = self.app.turns.take_late(&self.bridge, self.key(conversation)?, &change).await;
        late.map_err(|why| match why {
            NotTaken::Unknown | NotTaken::Gone => not_met(),
            NotTaken::NoActivity => {
                let message = "the bot has sent no such activity to this conversation";
                HttpError::new(StatusCode::NOT_FOUND, code::ACTIVITY_NOT_FOUND, message)
            }
            NotTaken::Throttled(max) => {
                let message = format!("{max} messages wait in this conversation (notifications-waiting)");
                HttpError::new(StatusCode::TOO_MANY_REQUESTS, code::THROTTLED, message).retry_after_default()
            }
            NotTaken::Invalid(invalid) => fault(invalid),
            NotTaken::Storage(error) => error.into(),
        })
    }

    async fn activity(&self, request: Request) -> Result<Arc<str>, HttpError> {
        let bytes = body::read(request, self.bridge.limits.bytes_per_send, "bytes-per-send").await?;
        let text = json::decoded(&bytes).map_err(|error| HttpError::bad_syntax(error.to_string()))?;
        Ok(text.into())
    }

    fn key(&self, conversation: &str) -> Result<ConversationKey, HttpError> {
        if conversation.is_empty() || conversation.len() > ID_BYTES_MAX {
            return Err(not_met());
        }
        Ok(ConversationKey { bot: self.bot.clone(), channel: self.channel.clone(), conversation: conversation.into() })
    }
}

/// Returns the segments of a path below the ticket, decoded. Ids may contain an encoded slash, so they are decoded one by one.
fn segments(path: &str) -> Result<Vec<String>, HttpError> {
    // "", "api", "bots", the bot, "bridge", the ticket.
    let below = path.split('/').skip(6).filter(|segment| !segment.is_empty());
    let decoded = below.map(|segment| percent_decode_str(segment).decode_utf8().map(Into::into));
    decoded.collect::<Result<_, _>>().map_err(|_| HttpError::bad_argument("an id in the path is not UTF-8"))
}

fn not_met() -> HttpError {
    let message = "the bot has not met this conversation on this channel, or was removed from it";
    HttpError::new(StatusCode::NOT_FOUND, code::CONVERSATION_NOT_FOUND, message)
}

/// Returns a fault of a turn as the bridged bot hears of it.
fn fault(fault: Fault) -> HttpError {
    match &*fault.code {
        "invalid" => HttpError::bad_argument(fault.message),
        "quota" | "denied" => HttpError::new(StatusCode::FORBIDDEN, code::FORBIDDEN, fault.message),
        "internal" => HttpError::internal(fault.message),
        _ => HttpError::unavailable(fault.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_a_path_are_decoded_one_by_one() {
        let path = "/api/bots/b/bridge/t/v3/conversations/19%3Aa%2Fb%3Bmessageid%3D1/activities/%C3%A4%25";
        let segments = segments(path).unwrap();
        assert_eq!(segments, ["v3", "conversations", "19:a/b;messageid=1", "activities", "ä%"]);
        assert!(super::segments("/api/bots/b/bridge/t/v3/conversations/%FF").is_err());
    }
}
