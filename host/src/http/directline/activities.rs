//! What clients send and poll.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Local, watermark};
use crate::activity::{Activity, ActivityError, ID_BYTES_MAX, Object, members};
use crate::budget::Claim;
use crate::channel::directline::{Account, Conversation, Door};
use crate::http::error::{self, HttpError};
use crate::http::request::RequestId;
use crate::http::{body, guard};
use crate::json;
use crate::turn::{Answer, Refusal, Ticket};

/// The largest activity of the protocol, in bytes.
const ACTIVITY_BYTES_MAX: usize = 256 * 1024;
/// How long the service waits for a bot.
const BOT_ANSWER_MAX: Duration = Duration::from_secs(15);
/// Types that no client may send: they belong to the channel, or need an answer that Direct Line has no place for.
const REFUSED_TYPES: &[&str] = &["invoke", "invokeResponse", "trace", "messageUpdate", "messageDelete"];

/// `GET conversations/{id}/activities`
pub(super) async fn poll(
    State(local): State<Arc<Local>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, HttpError> {
    let (parts, _) = request.into_parts();
    let (_, conversation) = local.conversation(&parts, &id)?;
    let set = conversation.since(watermark(parts.uri.query())?);
    Ok(([(CONTENT_TYPE, "application/json; charset=utf-8")], set).into_response())
}

/// `POST conversations/{id}/activities`
pub(super) async fn take(
    State(local): State<Arc<Local>>,
    Path(id): Path<String>,
    Extension(request_id): Extension<RequestId>,
    request: Request,
) -> Result<Response, HttpError> {
    let (parts, body) = request.into_parts();
    let (claims, conversation) = local.conversation(&parts, &id)?;
    if !guard::is_json(&parts.headers) {
        return Err(HttpError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            error::code::UNSUPPORTED_MEDIA_TYPE,
            "an activity must be `application/json` in UTF-8",
        ));
    }
    let (budget, request) = (&local.app.budget, Request::from_parts(parts, body));
    let bot = Some(conversation.bot());
    let (bytes, mut claim) =
        body::read_charged(budget, bot, request, ACTIVITY_BYTES_MAX, "256 KiB for an activity").await?;
    let activity = parse(body::json_text(&bytes, local.app.config.server.json_values_max, &mut claim)?)?;
    drop(bytes);
    let from = sender(claims.account(), None, &activity, &conversation)?;
    deliver(local, conversation, from, activity, request_id.0, claim).await
}

/// Reads an activity as a client sends it: without what the channel adds.
pub(super) fn parse(text: &str) -> Result<Object, HttpError> {
    let mut activity = json::object(text).map_err(|error| ActivityError::Syntax(error.to_string()))?;
    members::canonical(&mut activity, members::ACTIVITY);
    Activity::check_types(&activity)?;
    match activity.get("type").and_then(Value::as_str).unwrap_or_default() {
        "" => Err(ActivityError::Missing("type").into()),
        kind if REFUSED_TYPES.contains(&kind) => {
            Err(HttpError::bad_argument(format!("a Direct Line client cannot send activities of type `{kind}`")))
        }
        _ => Ok(activity),
    }
}

/// Returns who sends an activity: the user of the token, else the one that the query names, else the activity.
pub(super) fn sender(
    of_token: Option<Account>,
    of_query: Option<String>,
    activity: &Object,
    conversation: &Conversation,
) -> Result<Account, HttpError> {
    if let Some(account) = of_token {
        return Ok(account);
    }
    let of_activity = || activity.get("from")?.get("id")?.as_str().map(str::to_owned);
    let id = of_query.or_else(of_activity).filter(|id| !id.is_empty()).ok_or_else(|| {
        HttpError::missing_property("the activity has no `from.id`, and neither token nor query names a user")
    })?;
    let account = Account { id, name: String::new() };
    check_user(&account, conversation.bot())?;
    Ok(account)
}

/// Checks that an account can be a user's.
pub(super) fn check_user(account: &Account, bot: &str) -> Result<(), HttpError> {
    if account.id.len() > ID_BYTES_MAX || account.name.len() > ID_BYTES_MAX {
        return Err(HttpError::bad_argument(format!("id or name of the user is longer than {ID_BYTES_MAX} bytes")));
    }
    if account.id == bot {
        return Err(HttpError::bad_argument("the id of the user is the bot's own; choose another"));
    }
    Ok(())
}

/// Gives an activity to the bot, shows it to the client, and waits until the bot has answered.
pub(super) async fn deliver(
    local: Arc<Local>,
    conversation: Arc<Conversation>,
    from: Account,
    activity: Object,
    request_id: Arc<str>,
    claim: Claim,
) -> Result<Response, HttpError> {
    let is_empty_update = is_empty_update(&activity);
    // In a task of its own: a caller who hangs up must not leave an activity that the bot has and the history has not.
    let (id, ticket) = tokio::spawn(async move {
        let door = conversation.enter().await;
        accept_introductions(&local, &door, Some(&from), &request_id).await?;
        let stamped = door.stamp(activity, &from, &request_id)?;
        let id = stamped.id().to_owned();
        if is_empty_update {
            return Ok((id, None));
        }
        match local.app.turns.accept_charged(stamped.inbound.clone(), claim).await {
            Ok(ticket) => {
                // Answers wait at the door, so the echo stands before them.
                door.echo(stamped);
                Ok((id, Some(ticket)))
            }
            Err(refusal) => {
                if is_the_bots(&refusal) {
                    door.echo(stamped);
                }
                Err(refused(refusal))
            }
        }
    })
    .await
    .map_err(HttpError::internal)??;
    if let Some(ticket) = ticket {
        wait(ticket).await?;
    }
    Ok(Json(json!({ "id": id })).into_response())
}

/// Tells the bot who is in a conversation and whom it was not told of yet: itself, and the user where that is known.
pub(super) async fn introduce(
    local: &Arc<Local>,
    conversation: &Arc<Conversation>,
    user: Option<Account>,
    request_id: Arc<str>,
) -> Result<(), HttpError> {
    let (local, conversation) = (local.clone(), conversation.clone());
    let told = tokio::spawn(async move {
        let door = conversation.enter().await;
        accept_introductions(&local, &door, user.as_ref(), &request_id).await
    });
    told.await.map_err(HttpError::internal)?
}

async fn accept_introductions(
    local: &Local,
    door: &Door<'_>,
    user: Option<&Account>,
    request_id: &Arc<str>,
) -> Result<(), HttpError> {
    for introduction in door.introductions(user, request_id)? {
        match local.app.turns.accept(introduction.inbound.clone()).await {
            // Their turns run before the next one, and nobody waits for them.
            Ok(_) => door.introduced(&introduction),
            // The activity itself will be refused for the same reason, and is to be seen.
            Err(refusal) if is_the_bots(&refusal) => return Ok(()),
            Err(refusal) => return Err(refused(refusal)),
        }
    }
    Ok(())
}

async fn wait(ticket: Ticket) -> Result<(), HttpError> {
    match timeout(BOT_ANSWER_MAX, ticket.answer).await {
        Ok(Ok(Answer { status, .. })) if status < 400 => Ok(()),
        Ok(Ok(Answer { status, .. })) => Err(bot_error("the bot failed to handle the activity")
            .detail(format_args!("turn {}: {status}", ticket.turn_id))),
        Ok(Err(_)) => Err(HttpError::unavailable("the host is shutting down")),
        Err(_) => {
            let message = format!("the bot did not answer within {} s", BOT_ANSWER_MAX.as_secs());
            Err(HttpError::deadline(message).detail(format_args!("turn {}", ticket.turn_id)))
        }
    }
}

/// Whether a refusal means that the bot does not work; else the client may send the same again.
fn is_the_bots(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::UnknownBot | Refusal::Disabled | Refusal::NoGeneration)
}

fn refused(refusal: Refusal) -> HttpError {
    match refusal {
        Refusal::UnknownBot => bot_error("there is no such bot any more"),
        Refusal::Disabled => bot_error("the bot is disabled"),
        Refusal::NoGeneration => bot_error("the bot has no working version at the moment"),
        refusal => refusal.into(),
    }
}

fn bot_error(message: &'static str) -> HttpError {
    HttpError::new(StatusCode::BAD_GATEWAY, "BotError", message)
}

/// Some clients send such a notice at the start; the channel has told the bot already.
fn is_empty_update(activity: &Object) -> bool {
    let lists = ["membersAdded", "membersRemoved"];
    activity.get("type").and_then(Value::as_str) == Some("conversationUpdate")
        && lists.iter().all(|list| activity.get(*list).and_then(Value::as_array).is_none_or(Vec::is_empty))
        && activity.get("topicName").is_none_or(Value::is_null)
}
