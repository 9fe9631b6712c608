//! Speaking first, by HTTP: `POST …/notifications` for operators and for services with a bot's key.
//!
//! The body is one JSON object:
//!
//! | member | meaning |
//! | --- | --- |
//! | `target` | `{"channel", "conversation"}`, or `{"channel", "user"}`: the conversation in which the user was heard last, in a group for that user alone; with `"new": true` a new one with that user (`POST /v3/conversations` of the channel), which is kept |
//! | `mode` | `now` (at once, dialogs unchanged), `when-idle` (once no dialog waits), `interrupt` (on top of the waiting dialog, which then repeats its question) or `cancel` (after the dialogs were cancelled); default `when-idle` |
//! | `activity`, `event` or `dialog` | what is delivered: an activity, `{"name", "value"}` for the bot's handlers, or `{"plugin", "id"}` with `options` |
//! | `at` | when: RFC 3339 with an offset, or a cron expression with a time zone; default at once |
//! | `name` | of a timer: one of the same name in the same conversation is replaced |
//! | `expires` | RFC 3339: after it nothing is delivered, and what waits ends as `expired` |
//!
//! A channel is its `channelId`, or `directline#local` for the host's own. Header `Idempotency-Key`: within a day, the
//! same key with the same body is the same notification, and with another body is refused.
//!
//! | answer | |
//! | --- | --- |
//! | 200 `delivered` | the channel took what the turn sent, `sends` activities |
//! | 200 `stopped`, `expired` | middleware kept it back; it came too late |
//! | 202 `queued` | it waits for its time, for a dialog to end, or for the channel; `id` is what to ask about |
//! | 401 | on the public listener: not the key of the bot's `notify-key-file` |
//! | 404 `UnknownConversation` | the bot never met the conversation or the user, or was removed from it |
//! | 409 `IdempotencyKeyReused`, `Conflict` | the key came with another body before; a request with it is being served |
//! | 410 `ConversationGone` | the channel takes nothing for it any more (403 or 404), until it says something again; or it opens none with the user |
//! | 429 `Throttled` | too many turns or 1,000 notifications wait in the conversation; the channel opens no more at the moment |
//! | 502 `DeliveryFailed` | the turn failed, or the channel refused: a dead letter says more; or it did not open the conversation, or may have: the log says more |

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};

use super::admin::{Setting, bearer, load_token};
use super::body;
use super::error::{HttpError, RETRY_AFTER_DEFAULT, code};
use super::guard::{self, Guard};
use crate::activity::{ChannelInstance, ConversationKey};
use crate::app::App;
use crate::channel::ChannelError;
use crate::clock::now_ms;
use crate::delivery::Outcome;
use crate::json;
use crate::storage::notifications::{Added, IdempotencyKey, Mode, Notification, Reference, WAITING_MAX};
use crate::turn::Refusal;
use crate::turn::opening::NotOpened;
use crate::turn::proactive::request::NOTIFICATION_BYTES;
use crate::turn::proactive::{Content, Schedule, from_operator};

/// The largest body, in bytes.
pub(super) const BODY_BYTES_MAX: usize = 256 << 10;
/// The longest key of idempotency and name of a timer, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 256;
/// How long a caller waits for the channel.
const WAIT_MAX: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Asked {
    target: Target,
    mode: Option<String>,
    at: Option<String>,
    name: Option<String>,
    expires: Option<String>,
    /// All members, the content among them.
    #[serde(skip)]
    content: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    channel: String,
    conversation: Option<String>,
    user: Option<String>,
    #[serde(default)]
    new: bool,
}

impl Asked {
    fn parse(body: &[u8]) -> serde_json::Result<Self> {
        let text = json::decoded(body)?;
        Ok(Self { content: json::value(text)?, ..json::from_str(text)? })
    }
}

/// The route of the public listener, for services with the key of a bot (`notify-key-file`).
pub(super) fn routes(app: Arc<App>, guard: &Arc<Guard>) -> Router {
    Router::new()
        .route("/api/bots/{bot}/notifications", post(notify_with_key))
        .with_state(app)
        .route_layer(from_fn(guard::require_json))
        .route_layer(from_fn_with_state(guard.clone(), guard::check_origin))
}

async fn notify_with_key(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, HttpError> {
    // Whether there is such a bot, and whether it has a key, is nobody's business who has none.
    let key_file = app.registry.bot(&name).and_then(|bot| bot.notify_key_file()).ok_or_else(HttpError::unauthorized)?;
    let key = load_token(Setting::NotifyKeyFile, &key_file).map_err(HttpError::internal)?;
    if !bearer(request.headers()).is_some_and(|presented| key.matches(presented)) {
        return Err(HttpError::unauthorized().detail("a wrong key of a bot was presented"));
    }
    let headers = request.headers().clone();
    let (body, mut claim) =
        body::read_charged(&app.budget, Some(&name.as_str().into()), request, BODY_BYTES_MAX, "256 KiB").await?;
    body::json_text(&body, app.config.server.json_values_max, &mut claim)?;
    notify(&app, &name, &headers, &body).await
}

/// Takes a notification for a bot and says what became of it.
pub(super) async fn notify(app: &Arc<App>, bot: &str, headers: &HeaderMap, body: &[u8]) -> Result<Response, HttpError> {
    let asked = Asked::parse(body).map_err(|error| HttpError::bad_syntax(error.to_string()))?;
    let mut reference = find(app, bot, &asked.target).await?;
    let mut notification = read(reference.conversation.clone(), &asked)?;
    notification.user = asked.target.user.as_deref().unwrap_or_default().into();
    notification.key = key_of(headers, body)?;
    let _claim = match &notification.key {
        Some((key, _)) if asked.target.new => Some(app.turns.claim_key(bot, key).ok_or_else(in_use)?),
        _ => None,
    };
    if let Some((key, body)) = &notification.key
        && let Some(known) = app.storage.notification_of_key(bot, key).await?
    {
        return answer_again(&known, body);
    }
    if asked.target.new {
        reference = app.turns.open(&reference).await.map_err(not_opened)?;
        notification.conversation = reference.conversation.clone();
    }
    if let Some(why) = &reference.gone {
        return Err(gone().detail(why));
    }
    if app.storage.waiting(&notification.conversation).await? >= WAITING_MAX {
        let message =
            format!("{WAITING_MAX} notifications wait in this conversation (notifications-waiting); cancel some");
        return Err(HttpError::new(StatusCode::TOO_MANY_REQUESTS, code::THROTTLED, message));
    }
    let bytes_max = app.config.storage.notification_bytes_per_bot_max;
    if app.storage.waiting_bytes(bot).await?.saturating_add(notification.content.len() as u64) > bytes_max {
        let message =
            format!("notifications of the bot that wait have {bytes_max} bytes ({NOTIFICATION_BYTES}); cancel some");
        return Err(HttpError::new(StatusCode::TOO_MANY_REQUESTS, code::THROTTLED, message));
    }
    let is_later = notification.due_ms > now_ms() || notification.cron.is_some();
    match app.storage.add_notification(notification.clone()).await? {
        Added::New => {}
        Added::OtherBody => return Err(other_body()),
        Added::Known(known) => return Ok(status_answer(&known)),
    }
    if is_later {
        app.turns.wake_scheduler();
        return Ok(queued(&notification.id));
    }
    deliver(app, notification).await
}

/// Begins the turn, and waits for a while for what the channel says.
async fn deliver(app: &Arc<App>, notification: Notification) -> Result<Response, HttpError> {
    let (id, deadline) = (notification.id.clone(), Instant::now() + WAIT_MAX);
    let turn_id: Arc<str> = ulid::Ulid::new().to_string().into();
    let mut deliveries = app.deliveries.watch(turn_id.clone());
    let ticket = match app.turns.begin(notification.clone(), turn_id).await {
        Ok(ticket) => ticket,
        // Stored, so it will be: unless there is no room, of which the caller must know, who asks again with the same key.
        Err(refusal @ Refusal::QueueFull(_)) => {
            app.storage.withdraw_notification(&notification.conversation.bot, &id).await?;
            return Err(refusal.into());
        }
        Err(_) => {
            app.turns.wake_scheduler();
            return Ok(queued(&id));
        }
    };
    let Ok(Ok(answer)) = timeout_at(deadline, ticket.answer).await else { return Ok(queued(&id)) };
    let outcome: Value = answer.body.as_deref().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    match outcome["outcome"].as_str() {
        Some("delivered") => {}
        Some(how @ ("stopped" | "expired")) => return Ok(Json(json!({ "id": &*id, "status": how })).into_response()),
        Some("failed") => return Err(failed("the turn of the notification failed; the log says why")),
        _ => return Ok(queued(&id)),
    }
    let sends = outcome["sends"].as_u64().and_then(|sends| usize::try_from(sends).ok()).unwrap_or_default();
    match timeout_at(deadline, deliveries.ended(sends)).await {
        Err(_) => Ok(queued(&id)),
        Ok(outcomes) if outcomes.contains(&Outcome::Gone) => Err(gone()),
        Ok(outcomes) if outcomes.contains(&Outcome::Dead) => {
            Err(failed("the channel did not take it; it is a dead letter"))
        }
        Ok(_) => Ok(Json(json!({ "id": &*id, "status": "delivered", "sends": sends })).into_response()),
    }
}

/// What the key is of: the same body asks about it, another is a mistake.
fn answer_again(known: &Notification, body: &[u8; 32]) -> Result<Response, HttpError> {
    match &known.key {
        Some((_, known_body)) if known_body == body => Ok(status_answer(known)),
        _ => Err(other_body()),
    }
}

pub(super) fn other_body() -> HttpError {
    let message = "the Idempotency-Key came with another body before";
    HttpError::new(StatusCode::CONFLICT, code::IDEMPOTENCY_KEY_REUSED, message)
}

fn in_use() -> HttpError {
    let message = "a request with this Idempotency-Key is being served; ask again once it is answered";
    HttpError::new(StatusCode::CONFLICT, code::CONFLICT, message).retry_after_default()
}

fn gone() -> HttpError {
    let message = "the channel takes nothing for this conversation any more";
    HttpError::new(StatusCode::GONE, code::CONVERSATION_GONE, message)
}

fn not_opened(why: NotOpened) -> HttpError {
    let error = match why {
        NotOpened::Storage(error) => return error.into(),
        NotOpened::Channel(error) => error,
    };
    let answer = match &error {
        ChannelError::Refused { status: Some(403 | 404), .. } => {
            let message = "the channel opens no conversation between the bot and this user";
            HttpError::new(StatusCode::GONE, code::CONVERSATION_GONE, message)
        }
        ChannelError::Refused { status: None, why, .. } => HttpError::bad_argument(why.clone()),
        ChannelError::Throttled { retry_after, .. } => {
            let message = "the channel opens no further conversation at the moment";
            let after = retry_after.unwrap_or(RETRY_AFTER_DEFAULT);
            HttpError::new(StatusCode::TOO_MANY_REQUESTS, code::THROTTLED, message).retry_after(after)
        }
        ChannelError::Refused { .. } | ChannelError::Unreachable { .. } => {
            failed("the channel did not open the conversation; the log says why")
        }
        ChannelError::Ambiguous { .. } => {
            failed("the channel may have opened the conversation, but did not say so; the log says more")
        }
    };
    answer.detail(error)
}

fn failed(message: &'static str) -> HttpError {
    HttpError::new(StatusCode::BAD_GATEWAY, code::DELIVERY_FAILED, message)
}

fn queued(id: &str) -> Response {
    (StatusCode::ACCEPTED, Json(json!({ "id": id, "status": "queued" }))).into_response()
}

fn status_answer(known: &Notification) -> Response {
    match &known.ended {
        None => queued(&known.id),
        Some(how) => Json(json!({ "id": &*known.id, "status": &**how })).into_response(),
    }
}

async fn find(app: &App, bot: &str, target: &Target) -> Result<Reference, HttpError> {
    let channel = ChannelInstance::named(&target.channel);
    let found = match (&target.conversation, &target.user) {
        (Some(conversation), None) if !target.new => {
            let key = ConversationKey { bot: bot.into(), channel, conversation: conversation.as_str().into() };
            app.storage.reference(&key).await?
        }
        (None, Some(user)) => app.storage.latest_reference(bot, &channel, user).await?,
        _ => {
            return Err(HttpError::bad_argument(
                "`target` has a `channel` and one of `conversation` and `user`; `new` is for a user",
            ));
        }
    };
    found.ok_or_else(|| {
        let message = "the bot has not met this conversation or user on this channel, or was removed from it";
        HttpError::new(StatusCode::NOT_FOUND, code::UNKNOWN_CONVERSATION, message)
    })
}

fn read(conversation: ConversationKey, asked: &Asked) -> Result<Notification, HttpError> {
    let (mode, content) = read_content(asked.mode.as_deref(), &asked.content)?;
    let mut notification = from_operator(conversation, mode, &content);
    if let Some(at) = &asked.at {
        let schedule = Schedule::read(at).map_err(|why| HttpError::bad_argument(format!("`at`: {why}")))?;
        (notification.due_ms, notification.cron) = (schedule.due_ms, schedule.cron);
    }
    notification.expires_ms = asked.expires.as_deref().map(read_expires).transpose()?;
    if let Some(name) = &asked.name {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(HttpError::bad_argument(format!("`name` has 1 to {NAME_BYTES_MAX} bytes")));
        }
        notification.name = name.as_str().into();
    }
    Ok(notification)
}

/// How something is delivered, and what.
pub(super) fn read_content(mode: Option<&str>, content: &Value) -> Result<(Mode, Content), HttpError> {
    let mode = match mode {
        None => Mode::WhenIdle,
        Some(name) => Mode::named(name)
            .ok_or_else(|| HttpError::bad_argument("`mode` is one of now, when-idle, interrupt and cancel"))?,
    };
    let content = Content::read(content).map_err(HttpError::bad_argument)?;
    if matches!(&content, Content::Dialog { plugin, .. } if plugin.is_empty()) {
        return Err(HttpError::bad_argument("`dialog` must be {\"plugin\", \"id\"}: whose dialog it is"));
    }
    content.check(mode).map_err(HttpError::bad_argument)?;
    Ok((mode, content))
}

pub(super) fn read_expires(expires: &str) -> Result<u64, HttpError> {
    let schedule = Schedule::read(expires).ok().filter(|schedule| schedule.cron.is_none());
    let schedule = schedule.ok_or_else(|| HttpError::bad_argument("`expires` is no time (RFC 3339 with an offset)"))?;
    Ok(schedule.due_ms)
}

pub(super) fn key_of(headers: &HeaderMap, body: &[u8]) -> Result<Option<IdempotencyKey>, HttpError> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= NAME_BYTES_MAX);
    let key = key.ok_or_else(|| {
        HttpError::bad_argument(format!("`Idempotency-Key` has 1 to {NAME_BYTES_MAX} printable ASCII characters"))
    })?;
    Ok(Some((key.into(), Sha256::digest(body).into())))
}

/// A notification as those see it who ask about it.
pub(super) fn shown(notification: &Notification) -> Value {
    let content: Value = json::value(&notification.content).unwrap_or_default();
    let brings = ["activity", "event", "dialog", "bridged"].into_iter().find(|member| !content[*member].is_null());
    json!({
        "id": &*notification.id,
        "channel": notification.conversation.channel.to_string(),
        "conversation": &*notification.conversation.conversation,
        "user": (!notification.user.is_empty()).then_some(&*notification.user),
        "sender": &*notification.sender,
        "name": &*notification.name,
        "mode": notification.mode.name(),
        "brings": brings,
        "due_ms": notification.due_ms,
        "cron": notification.cron.as_deref(),
        "expires_ms": notification.expires_ms,
        "status": notification.ended.as_deref().unwrap_or("queued"),
    })
}

/// A reference as operators see it.
pub(super) fn shown_reference(place: u64, reference: &Reference) -> Value {
    let text: Value = json::value(&reference.text).unwrap_or_default();
    json!({
        "place": place,
        "channel": reference.conversation.channel.to_string(),
        "conversation": &*reference.conversation.conversation,
        "user": &*reference.user,
        "service_url": text["serviceUrl"],
        "locale": text["locale"],
        "seen_ms": reference.seen_ms,
        "gone": reference.gone.as_deref(),
    })
}
