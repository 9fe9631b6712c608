//! One content for many, by HTTP: `POST …/broadcasts` for operators.
//!
//! The body is one JSON object; another member is refused:
//!
//! | member | meaning |
//! | --- | --- |
//! | `target` | absent: each conversation that the bot has met; `{"channel"}`: those of a channel; `{"list": [{"channel", "conversation"} or {"channel", "user"}, …]}`: these, at most 10,000 |
//! | `mode`, `activity`, `event`, `dialog`, `options`, `expires` | as of a notification (`http/notifications.rs`) |
//! | `per-second` | how many conversations it begins with within a second, 1 to 10,000; default 20 |
//! | `paused` | `true`: nothing goes out before it is resumed |
//!
//! Whom it is for is written down at once: who is met later does not get it, and who speaks meanwhile gets it once. The
//! answer is 202 with the broadcast; with a known `Idempotency-Key`, 200 with the one of before.
//!
//! `total` conversations are counted by what became of them: `waiting`; `delivered` (its turn is done, and the channel took
//! what it sent, if anything); `stopped` by middleware; `expired`; `failed` (the turn failed, or the channel refused);
//! `gone`; `unknown` to the bot, or forgotten meanwhile; `cancelled`. A dead letter that is tried again later stays counted
//! as failed. Pausing begins with nobody else; what has begun goes on.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::body;
use super::error::{HttpError, code};
use super::notifications::{key_of, other_body, read_content, read_expires};
use super::request::Query;
use crate::activity::ChannelInstance;
use crate::app::App;
use crate::clock::now_ms;
use crate::json;
use crate::registry::Bot;
use crate::storage::broadcasts::{
    AddedBroadcast, BROADCASTS_MAX, Broadcast, BroadcastState, Counts, FailedTarget, Listed, TargetOutcome, Targets,
};
use crate::turn::broadcaster::{PER_SECOND_DEFAULT, PER_SECOND_MAX};
use crate::turn::proactive::Content;

/// The largest body, in bytes.
const BODY_BYTES_MAX: usize = 2 << 20;
/// Entries of a list.
const LISTED_MAX: usize = 10_000;
/// Entries of one page of a report.
const FAILURES_LISTED: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Asked {
    target: Option<Value>,
    mode: Option<String>,
    expires: Option<String>,
    per_second: Option<i64>,
    paused: Option<bool>,
    /// The other members.
    #[serde(skip)]
    content: Map<String, Value>,
}

impl Asked {
    fn parse(body: &[u8]) -> serde_json::Result<Self> {
        let text = json::decoded(body)?;
        let mut content = json::object(text)?;
        content.retain(|member, _| !["target", "mode", "expires", "per-second", "paused"].contains(&member.as_str()));
        Ok(Self { content, ..json::from_str(text)? })
    }
}

/// The routes of this module. Their caller checks the token.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(app: Arc<App>) -> Router<S> {
    Router::new()
        .route("/v1/bots/{bot}/broadcasts", get(list).post(start))
        .route("/v1/bots/{bot}/broadcasts/{id}", get(show))
        .route("/v1/bots/{bot}/broadcasts/{id}/failures", get(failures))
        .route("/v1/bots/{bot}/broadcasts/{id}/{switch}", post(switch))
        .with_state(app)
}

async fn start(State(app): State<Arc<App>>, Path(name): Path<String>, request: Request) -> Result<Response, HttpError> {
    let bot = find_bot(&app, &name)?;
    let headers = request.headers().clone();
    let body = body::read(request, BODY_BYTES_MAX, "2 MiB").await?;
    let asked = Asked::parse(&body).map_err(|error| HttpError::bad_syntax(error.to_string()))?;
    let (mut broadcast, to) = read(&bot, asked)?;
    broadcast.key = key_of(&headers, &body)?;
    match app.storage.add_broadcast(broadcast, to).await? {
        AddedBroadcast::New(added) => {
            app.turns.wake_broadcaster();
            tracing::info!(bot = name, broadcast = &*added.id, total = added.counts.total, "a broadcast begins");
            Ok((StatusCode::ACCEPTED, Json(shown(&added))).into_response())
        }
        AddedBroadcast::Known(known) => Ok(Json(shown(&known)).into_response()),
        AddedBroadcast::OtherBody => Err(other_body()),
        AddedBroadcast::TooMany => {
            let message =
                format!("{BROADCASTS_MAX} broadcasts of the bot have not ended (broadcasts-kept); cancel some");
            Err(HttpError::new(StatusCode::TOO_MANY_REQUESTS, code::THROTTLED, message))
        }
    }
}

fn read(bot: &Bot, asked: Asked) -> Result<(Broadcast, Targets), HttpError> {
    let known = ["activity", "event", "dialog", "options"];
    if let Some(unknown) = asked.content.keys().find(|member| !known.contains(&member.as_str())) {
        let unknown: String = unknown.chars().take(80).collect();
        return Err(HttpError::bad_argument(format!("`{unknown}` is no member of a broadcast")));
    }
    let (mode, content) = read_content(asked.mode.as_deref(), &Value::Object(asked.content))?;
    check_dialog(bot, &content)?;
    let per_second = match asked.per_second {
        None => PER_SECOND_DEFAULT,
        Some(given) => u32::try_from(given)
            .ok()
            .filter(|given| (1..=PER_SECOND_MAX).contains(given))
            .ok_or_else(|| HttpError::bad_argument(format!("`per-second` is 1 to {PER_SECOND_MAX}")))?,
    };
    let broadcast = Broadcast {
        id: ulid::Ulid::new().to_string().into(),
        bot: bot.name().clone(),
        mode,
        content: content.to_text(""),
        expires_ms: asked.expires.as_deref().map(read_expires).transpose()?,
        per_second,
        key: None,
        state: if asked.paused == Some(true) { BroadcastState::Paused } else { BroadcastState::Running },
        created_ms: now_ms(),
        started_ms: None,
        ended_ms: None,
        counts: Counts::default(),
    };
    Ok((broadcast, read_target(asked.target.as_ref())?))
}

/// A dialog that the bot does not have would fail for each.
fn check_dialog(bot: &Bot, content: &Content) -> Result<(), HttpError> {
    let (Content::Dialog { plugin, dialog, .. }, Some(generation)) = (content, bot.generation()) else { return Ok(()) };
    let mut plugins = generation.plugins.iter();
    if plugins.any(|known| *known.name == **plugin && known.dialog_version(dialog).is_some()) {
        return Ok(());
    }
    Err(HttpError::bad_argument(format!("`dialog`: the bot has no plugin `{plugin}` with a dialog `{dialog}`")))
}

fn read_target(target: Option<&Value>) -> Result<Targets, HttpError> {
    let Some(target) = target else { return Ok(Targets::Known(None)) };
    let wrong = || HttpError::bad_argument("`target` is absent for all, or has one of `channel` and `list`");
    let members = target.as_object().ok_or_else(wrong)?;
    match (members.get("channel"), members.get("list"), members.len()) {
        (Some(Value::String(channel)), None, 1) if !channel.is_empty() => {
            Ok(Targets::Known(Some(ChannelInstance::named(channel))))
        }
        (None, Some(Value::Array(entries)), 1) => {
            if entries.is_empty() || entries.len() > LISTED_MAX {
                return Err(HttpError::bad_argument(format!("`target.list` has 1 to {LISTED_MAX} entries")));
            }
            let listed = entries.iter().enumerate().map(|(place, entry)| {
                read_listed(entry).ok_or_else(|| {
                    HttpError::bad_argument(format!(
                        "`target.list[{place}]` has a `channel` and one of `conversation` and `user`, and nothing else"
                    ))
                })
            });
            Ok(Targets::Listed(listed.collect::<Result<_, _>>()?))
        }
        _ => Err(wrong()),
    }
}

fn read_listed(entry: &Value) -> Option<Listed> {
    let members = entry.as_object().filter(|members| members.len() == 2)?;
    let text = |member: &str| members.get(member)?.as_str().filter(|text| !text.is_empty());
    let channel = ChannelInstance::named(text("channel")?);
    match (text("conversation"), text("user")) {
        (Some(conversation), None) => Some(Listed::Conversation(channel, conversation.into())),
        (None, Some(user)) => Some(Listed::User(channel, user.into())),
        _ => None,
    }
}

async fn list(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Json<Value>, HttpError> {
    let bot = find_bot(&app, &name)?;
    let all = app.storage.broadcasts(bot.name()).await?;
    Ok(Json(all.iter().map(shown).collect()))
}

async fn show(State(app): State<Arc<App>>, Path((name, id)): Path<(String, String)>) -> Result<Json<Value>, HttpError> {
    find(&app, &name, &id).await.map(|found| Json(shown(&found)))
}

async fn switch(
    State(app): State<Arc<App>>,
    Path((name, id, switch)): Path<(String, String, String)>,
) -> Result<Json<Value>, HttpError> {
    let bot = find_bot(&app, &name)?;
    let to = match switch.as_str() {
        "pause" => BroadcastState::Paused,
        "resume" => BroadcastState::Running,
        "cancel" => BroadcastState::Cancelled,
        _ => return Err(HttpError::not_found("a broadcast knows `pause`, `resume` and `cancel`")),
    };
    let (switched, broadcast) =
        app.storage.switch_broadcast(bot.name(), &id, to).await?.ok_or_else(|| no_broadcast(&name))?;
    if !switched {
        let message = format!("the broadcast has ended: it is {}", broadcast.state.name());
        return Err(HttpError::new(StatusCode::CONFLICT, code::CONFLICT, message));
    }
    app.turns.wake_broadcaster();
    tracing::info!(bot = name, broadcast = id, state = broadcast.state.name(), "a broadcast is switched");
    Ok(Json(shown(&broadcast)))
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    after: u64,
}

async fn failures(
    State(app): State<Arc<App>>,
    Path((name, id)): Path<(String, String)>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, HttpError> {
    let broadcast = find(&app, &name, &id).await?;
    let failed = app.storage.failed_targets(&broadcast.bot, &id, page.after, FAILURES_LISTED).await?;
    Ok(Json(failed.iter().map(shown_failure).collect()))
}

fn find_bot(app: &App, name: &str) -> Result<Arc<Bot>, HttpError> {
    app.registry.bot(name).ok_or_else(|| HttpError::bot_not_found(name))
}

async fn find(app: &App, bot: &str, id: &str) -> Result<Broadcast, HttpError> {
    let bot = find_bot(app, bot)?;
    app.storage.broadcast(bot.name(), id).await?.ok_or_else(|| no_broadcast(bot.name()))
}

fn no_broadcast(bot: &str) -> HttpError {
    HttpError::not_found(format!("the bot `{bot}` has no such broadcast; the last {BROADCASTS_MAX} are kept"))
}

fn shown(broadcast: &Broadcast) -> Value {
    let content: Value = json::value(&broadcast.content).unwrap_or_default();
    let brings = ["activity", "event", "dialog"].into_iter().find(|member| !content[*member].is_null());
    let mut shown = json!({
        "id": &*broadcast.id,
        "state": broadcast.state.name(),
        "mode": broadcast.mode.name(),
        "brings": brings,
        "expires_ms": broadcast.expires_ms,
        "per_second": broadcast.per_second,
        "created_ms": broadcast.created_ms,
        "started_ms": broadcast.started_ms,
        "ended_ms": broadcast.ended_ms,
        "total": broadcast.counts.total,
        "waiting": broadcast.counts.waiting(),
    });
    for (name, outcome) in TargetOutcome::ALL {
        shown[name] = broadcast.counts.of(outcome).into();
    }
    shown
}

fn shown_failure(failed: &FailedTarget) -> Value {
    json!({
        "place": failed.place,
        "channel": failed.channel.to_string(),
        "conversation": (!failed.conversation.is_empty()).then_some(&*failed.conversation),
        "user": (!failed.user.is_empty()).then_some(&*failed.user),
        "outcome": failed.outcome.name(),
        "why": failed.why.as_deref(),
    })
}
