//! The operator's door: its own loopback listener, every `/v1` route behind a bearer token.
//!
//! | route | token | answer |
//! | --- | --- | --- |
//! | `GET /healthz` | no | 200 `{"status":"ok"}`: the process answers |
//! | `GET /readyz` | no | 200 where every enabled bot has a generation and the store takes writes, else 503; `{"ready":…,"waiting":[bot, …],"store":"ok"}`, or `"failing"` |
//! | `GET /metrics` | yes | Prometheus text |
//! | `GET /v1/bots` | yes | `[BotStatus, …]`, by name; `refused_origins` says where replies may not go |
//! | `GET /v1/bots/{bot}` | yes | `BotStatus` |
//! | `PUT /v1/bots/{bot}/plugins/{plugin}` | yes | body: a component; `Swap`, or 422 `Unfit` with `problems` |
//! | the same with `?dry-run=true` | yes | nothing changes; `Rehearsal`: what the component would make of the dialogs that wait, or 422 |
//! | `POST /v1/bots/{bot}/reload` | yes | `Swap`, or 422 `Unfit` with `problems` |
//! | `POST /v1/bots/{bot}/rollback` | yes | `Swap`, or 409 where there is nothing to roll back to |
//! | `POST /v1/bots/{bot}/enable`, `…/disable` | yes | `BotStatus` |
//! | `GET /v1/bots/{bot}/turns` | yes | `[TurnRecord, …]`, newest first |
//! | `GET /v1/bots/{bot}/turns/running` | yes | `[RunningTurn, …]`, the longest running first |
//! | `DELETE /v1/bots/{bot}/turns/running/{turn}` | yes | `{turn_id, stopped}`; false: it commits already; 404: no such turn runs |
//! | `POST /v1/bots/{bot}/notifications` | yes | what became of it, see `http/notifications.rs` |
//! | `GET /v1/bots/{bot}/notifications` | yes | `[{…}, …]`: notifications and timers that wait, by time; at most 1,000 |
//! | `GET /v1/bots/{bot}/notifications/{id}` | yes | one, also a day after it ended |
//! | `DELETE /v1/bots/{bot}/notifications/{id}` | yes | `{"id":…}`: it is cancelled; 409 where it has ended |
//! | `POST /v1/bots/{bot}/broadcasts` | yes | 202: it is on its way, see `http/broadcasts.rs` |
//! | `GET /v1/bots/{bot}/broadcasts`, `…/{id}` | yes | `[{…}, …]`, newest first; one, with its progress |
//! | `POST /v1/bots/{bot}/broadcasts/{id}/pause`, `…/resume`, `…/cancel` | yes | the same; 409 where it has ended |
//! | `GET /v1/bots/{bot}/broadcasts/{id}/failures?after=PLACE` | yes | `[{…}, …]`: whom it did not reach and why, 100 a page |
//! | `GET /v1/bots/{bot}/references?after=PLACE&channel=…&user=…` | yes | `[{…}, …]`: conversations that the bot has met, all or those of a channel or a user, 100 a page; the next is after the last `place` |
//! | `DELETE /v1/bots/{bot}/references?channel=…&conversation=…` | yes | the conversation is forgotten, with what it was owed |
//! | `…/v1/bots/{bot}/transcripts…` | yes | see `http/transcripts.rs` |
//! | `DELETE /v1/bots/{bot}/conversations?…`, `…/users?…` | yes | see `http/privacy.rs` |
//! | `…/v1/bots/{bot}/directline/secrets…` | yes | see `http/site_secrets.rs` |
//! | `…/v1/bots/{bot}/dead-letters…` | yes | see `http/dead_letters.rs` |
//! | `…/v1/bots/{bot}/inbox…` | yes | see `http/inbox.rs` |
//!
//! The probes need no token, as those who call them (systemd, a supervisor) keep no secrets; they name bots, whether the store
//! takes writes, and nothing else. Metrics count what users do, so they need one. The token goes into `Authorization: Bearer`, never into
//! a URL. Requests of web pages are refused: no page has business here.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body;
use super::broadcasts;
use super::error::{HttpError, code};
use super::guard::{self, Guard};
use super::request::Query;
pub use super::token::{Setting, Token, load as load_token, load_or_create as load_or_create_token};
use super::wrong_tokens::WrongTokens;
use super::{dead_letters, inbox, notifications, privacy, site_secrets, transcripts};
use crate::activity::{ChannelInstance, ConversationKey};
use crate::app::App;
use crate::budget::Budget;
use crate::registry::{Bot, BotStatus, Swap};
use crate::storage::notifications::ReferenceFilter;
use crate::telemetry::{self, PrometheusHandle};

/// Components of the largest size that fit into the memory of uploads: each is held whole until it is loaded.
const UPLOADS_MAX: usize = 2;
/// Entries of one answer.
const NOTIFICATIONS_LISTED: usize = 1_000;
const REFERENCES_LISTED: usize = 100;

pub(super) struct Admin {
    pub(super) app: Arc<App>,
    metrics: PrometheusHandle,
    uploads: Arc<Budget>,
}

/// The routes of this module.
pub fn routes(app: Arc<App>, guard: &Arc<Guard>, token: Token, metrics: PrometheusHandle) -> Router {
    let broadcasts = broadcasts::routes(app.clone());
    let component_bytes_max = usize::try_from(app.config.runtime.component_bytes_max).unwrap_or(usize::MAX);
    let uploads = Budget::of_uploads(component_bytes_max.saturating_mul(UPLOADS_MAX));
    let admin = Arc::new(Admin { app, metrics, uploads });
    let open = Router::new().route("/healthz", get(healthy)).route("/readyz", get(ready));
    let closed = Router::new()
        .route("/metrics", get(metrics_text))
        .route("/v1/bots", get(bots))
        .route("/v1/bots/{bot}", get(bot))
        .route("/v1/bots/{bot}/plugins/{plugin}", put(deploy))
        .route("/v1/bots/{bot}/reload", post(reload))
        .route("/v1/bots/{bot}/rollback", post(roll_back))
        .route("/v1/bots/{bot}/enable", post(enable))
        .route("/v1/bots/{bot}/disable", post(disable))
        .route("/v1/bots/{bot}/turns", get(turns))
        .route("/v1/bots/{bot}/turns/running", get(running_turns))
        .route("/v1/bots/{bot}/turns/running/{turn}", delete(stop_turn))
        .route("/v1/bots/{bot}/notifications", get(notifications).post(notify))
        .route("/v1/bots/{bot}/notifications/{id}", get(notification).delete(cancel_notification))
        .merge(broadcasts)
        .route("/v1/bots/{bot}/references", get(references).delete(forget_reference))
        .merge(dead_letters::routes())
        .merge(inbox::routes())
        .merge(transcripts::routes())
        .merge(privacy::routes())
        .merge(site_secrets::routes())
        .route_layer(from_fn_with_state(Arc::new(Door { token, wrong: WrongTokens::new() }), require_token));
    open.merge(closed).with_state(admin).route_layer(from_fn_with_state(guard.clone(), guard::check_origin))
}

/// Who may come in, and what those learn who may not.
struct Door {
    token: Token,
    wrong: WrongTokens,
}

/// Middleware: refuses with 401 whoever does not present the token.
async fn require_token(State(door): State<Arc<Door>>, request: Request, next: Next) -> Result<Response, HttpError> {
    let presented = bearer(request.headers()).ok_or_else(HttpError::unauthorized)?;
    if !door.token.matches(presented) {
        return Err(door.wrong.refuse().await);
    }
    let mut response = next.run(request).await;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

async fn healthy() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    let (waiting, store_fails) = (admin.waiting(), admin.app.storage.trouble().is_some());
    let ready = waiting.is_empty() && !store_fails;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let store = if store_fails { "failing" } else { "ok" };
    (status, Json(json!({ "ready": ready, "waiting": waiting, "store": store }))).into_response()
}

async fn metrics_text(State(admin): State<Arc<Admin>>) -> Result<Response, HttpError> {
    let app = &admin.app;
    telemetry::gauges(telemetry::Gauges {
        turns_running: app.turns.running(),
        turns_queued: app.turns.queue_depth(),
        instance_slots: app.turns.instance_slots(),
        held_bytes: app.budget.held().0,
        direct_line_bytes: (app.directline.history_bytes(), app.directline.uploads().bytes()),
        guest_memory_bytes: app.plugins.guest_memory_bytes(),
        outbox_rows: app.storage.outbox_depth().await?,
        bots_waiting: admin.waiting().len(),
        peers_unreachable: app.deliveries.peers_unreachable(),
        inbox_given_up: inbox::given_up(app).await?,
        store_healthy: app.storage.trouble().is_none(),
    });
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(CONTENT_TYPE, text)], admin.metrics.render()).into_response())
}

async fn bots(State(admin): State<Arc<Admin>>) -> Json<Vec<BotStatus>> {
    Json(admin.app.registry.bots().iter().map(|bot| admin.app.status(bot)).collect())
}

async fn bot(State(admin): State<Arc<Admin>>, Path(name): Path<String>) -> Result<Json<BotStatus>, HttpError> {
    Ok(Json(admin.app.status(&*admin.bot(&name)?)))
}

async fn deploy(
    State(admin): State<Arc<Admin>>,
    Path((bot, plugin)): Path<(String, String)>,
    Query(deployment): Query<Deployment>,
    request: Request,
) -> Result<Response, HttpError> {
    admin.bot(&bot)?;
    let bytes_max = usize::try_from(admin.app.config.runtime.component_bytes_max).unwrap_or(usize::MAX);
    // What is uploaded slowly holds what has arrived and no more, so it delays no other deploy.
    let (component, _claim) =
        body::read_charged(&admin.uploads, None, request, bytes_max, "runtime.component-bytes-max").await?;
    let app = admin.app.clone();
    if deployment.dry_run {
        let rehearsed = detached(async move { app.turns.rehearse(&bot, &plugin, component).await });
        return Ok(rehearsed.await?.into_response());
    }
    Ok(detached(async move { app.registry.deploy(&bot, &plugin, component).await }).await?.into_response())
}

#[derive(Deserialize)]
struct Deployment {
    #[serde(default, rename = "dry-run")]
    dry_run: bool,
}

async fn reload(State(admin): State<Arc<Admin>>, Path(bot): Path<String>) -> Result<Json<Swap>, HttpError> {
    let app = admin.app.clone();
    detached(async move { app.registry.reload(&bot, "reload").await }).await
}

async fn roll_back(State(admin): State<Arc<Admin>>, Path(bot): Path<String>) -> Result<Json<Swap>, HttpError> {
    let app = admin.app.clone();
    detached(async move { app.registry.roll_back(&bot).await }).await
}

async fn enable(State(admin): State<Arc<Admin>>, Path(bot): Path<String>) -> Result<Json<BotStatus>, HttpError> {
    admin.switch(&bot, true)
}

async fn disable(State(admin): State<Arc<Admin>>, Path(bot): Path<String>) -> Result<Json<BotStatus>, HttpError> {
    admin.switch(&bot, false)
}

async fn turns(State(admin): State<Arc<Admin>>, Path(name): Path<String>) -> Result<Json<Value>, HttpError> {
    let bot = admin.bot(&name)?;
    let turns = admin.app.turns.recent(bot.name());
    let turns: Vec<_> = turns.iter().map(AsRef::as_ref).collect();
    Ok(Json(json!(turns)))
}

async fn running_turns(State(admin): State<Arc<Admin>>, Path(name): Path<String>) -> Result<Json<Value>, HttpError> {
    let bot = admin.bot(&name)?;
    Ok(Json(json!(admin.app.turns.running_turns(bot.name()))))
}

async fn stop_turn(
    State(admin): State<Arc<Admin>>,
    Path((name, turn)): Path<(String, String)>,
) -> Result<Json<Value>, HttpError> {
    let bot = admin.bot(&name)?;
    let stopped =
        admin.app.turns.stop_turn(bot.name(), &turn).ok_or_else(|| {
            HttpError::not_found(format!("no turn \"{turn}\" of bot \"{name}\" runs; it may have ended"))
        })?;
    Ok(Json(json!({ "turn_id": turn, "stopped": stopped })))
}

/// Runs an operation to its end, also where the caller hangs up: half a deployment would be worse than a late one.
async fn detached<T, E>(operation: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<Json<T>, HttpError>
where
    T: Send + 'static,
    E: Into<HttpError> + Send + 'static,
{
    match tokio::spawn(operation).await {
        Ok(outcome) => outcome.map(Json).map_err(Into::into),
        Err(error) => Err(HttpError::internal(error)),
    }
}

impl Admin {
    pub(super) fn bot(&self, name: &str) -> Result<Arc<Bot>, HttpError> {
        self.app.registry.bot(name).ok_or_else(|| HttpError::bot_not_found(name))
    }

    fn switch(&self, name: &str, enabled: bool) -> Result<Json<BotStatus>, HttpError> {
        self.app.registry.set_enabled(name, enabled)?;
        // What waited for the bot may begin now.
        self.app.turns.wake_scheduler();
        Ok(Json(self.app.status(&*self.bot(name)?)))
    }

    /// Enabled bots without a generation.
    fn waiting(&self) -> Vec<Arc<str>> {
        let bots = self.app.registry.bots();
        let waiting = bots.iter().filter(|bot| bot.is_enabled() && bot.generation().is_none());
        waiting.map(|bot| bot.name().clone()).collect()
    }
}

async fn notify(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, HttpError> {
    let bot = admin.bot(&name)?;
    let headers = request.headers().clone();
    let body = body::read(request, notifications::BODY_BYTES_MAX, "256 KiB").await?;
    notifications::notify(&admin.app, bot.name(), &headers, &body).await
}

async fn notifications(State(admin): State<Arc<Admin>>, Path(name): Path<String>) -> Result<Json<Value>, HttpError> {
    let bot = admin.bot(&name)?;
    let waiting = admin.app.storage.notifications(bot.name(), NOTIFICATIONS_LISTED).await?;
    Ok(Json(waiting.iter().map(notifications::shown).collect()))
}

async fn notification(
    State(admin): State<Arc<Admin>>,
    Path((name, id)): Path<(String, String)>,
) -> Result<Json<Value>, HttpError> {
    let bot = admin.bot(&name)?;
    let found = admin.app.storage.notification(bot.name(), &id).await?;
    found.map(|found| Json(notifications::shown(&found))).ok_or_else(|| no_notification(&name))
}

async fn cancel_notification(
    State(admin): State<Arc<Admin>>,
    Path((name, id)): Path<(String, String)>,
) -> Result<Json<Value>, HttpError> {
    let bot = admin.bot(&name)?;
    let storage = &admin.app.storage;
    if storage.cancel_notification(bot.name(), &id).await? {
        return Ok(Json(json!({ "id": id })));
    }
    match storage.notification(bot.name(), &id).await? {
        Some(_) => Err(HttpError::new(StatusCode::CONFLICT, code::CONFLICT, "the notification has ended already")),
        None => Err(no_notification(&name)),
    }
}

fn no_notification(bot: &str) -> HttpError {
    HttpError::not_found(format!("the bot `{bot}` has no such notification; ended ones are remembered for a day"))
}

#[derive(Deserialize)]
struct ReferencesWanted {
    #[serde(default)]
    after: u64,
    channel: Option<String>,
    user: Option<String>,
}

async fn references(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    Query(wanted): Query<ReferencesWanted>,
) -> Result<Json<Value>, HttpError> {
    let bot = admin.bot(&name)?;
    let of = ReferenceFilter {
        channel: wanted.channel.as_deref().map(ChannelInstance::named),
        user: wanted.user.map(Into::into),
    };
    let found = admin.app.storage.references(bot.name(), &of, wanted.after, REFERENCES_LISTED).await?;
    Ok(Json(found.iter().map(|(place, reference)| notifications::shown_reference(*place, reference)).collect()))
}

#[derive(Deserialize)]
struct Conversation {
    channel: String,
    conversation: String,
}

async fn forget_reference(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    Query(of): Query<Conversation>,
) -> Result<Json<Value>, HttpError> {
    let bot = admin.bot(&name)?;
    let key = ConversationKey {
        bot: bot.name().clone(),
        channel: ChannelInstance::named(&of.channel),
        conversation: of.conversation.as_str().into(),
    };
    if !admin.app.storage.forget_reference(&key).await? {
        return Err(HttpError::not_found("the bot has not met this conversation"));
    }
    tracing::info!(bot = %name, "a conversation is forgotten");
    Ok(Json(json!({ "channel": of.channel, "conversation": of.conversation })))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tower::ServiceExt;

    use super::*;

    async fn status(headers: &[(&str, &str)]) -> u16 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "0123456789abcdef0123456789abcdef\n").unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let token = load_token(Setting::AdminTokenFile, &path).unwrap();
        let door = Arc::new(Door { token, wrong: WrongTokens::new() });
        let router = Router::new().route("/", get(async || "ok")).route_layer(from_fn_with_state(door, require_token));
        let mut request = Request::builder().uri("/?token=0123456789abcdef0123456789abcdef");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn only_the_token_in_the_header_opens() {
        let right = "Bearer 0123456789abcdef0123456789abcdef";
        assert_eq!(status(&[("authorization", right)]).await, 200);
        assert_eq!(status(&[("authorization", &right.replace("Bearer", "bearer"))]).await, 200);
        assert_eq!(status(&[]).await, 401, "the one in the URL does not count");
        for wrong in ["", "Bearer", "Bearer ", "Basic 0123456789abcdef0123456789abcdef", &right[..right.len() - 1]] {
            assert_eq!(status(&[("authorization", wrong)]).await, 401, "{wrong:?}");
        }
        assert_eq!(status(&[("authorization", right), ("authorization", right)]).await, 401, "two are ambiguous");
    }
}
