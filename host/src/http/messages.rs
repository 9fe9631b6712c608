//! Activities from channels: `POST /api/messages` for the default bot, `POST /api/bots/{bot}/messages` for any.
//!
//! | answer | when |
//! | --- | --- |
//! | 200, empty | the turn is over; also a turn that failed, as the user got its error reply |
//! | 202, empty | the turn lasts longer than `server.acknowledge-ms`, and goes on |
//! | status and body of the bot | `invoke` (501 where no plugin answered it) |
//! | 200 `{"activities":[…]}` | `deliveryMode: expectReplies` |
//! | 400 `BadSyntax` | the body is not one JSON object in UTF-8, or nested deeper than 128 levels |
//! | 400 `MissingProperty` | no `type`, no `conversation.id`, or no `serviceUrl` where answers go to one |
//! | 400 `BadArgument` | a known member of the wrong type, an id that is too long, or a `serviceUrl` that is no `http` or `https` URL, has a user name, a query or a fragment, where answers go to it |
//! | 401 | the bot has an app id, and the request has no valid token for it |
//! | 403 | the token is valid, but its sender may not speak for the channel, name the `serviceUrl`, or call the bot |
//! | 403, 415, 421 | see [`guard`] |
//! | 404 | no such bot, or no default bot |
//! | 413 | the body is larger than `server.body-bytes-max`, or has more values than `server.json-values-max` |
//! | 429 with `Retry-After` | a queue is full, or requests for the bot or from the client hold too many bytes |
//! | 503 | the bot is disabled |
//! | 503 with `Retry-After` | the keys of the token's issuer are not known, no working generation, no free instance slot, all requests together hold too many bytes, a failure of the host, the host is stopping |
//! | 504 | an `invoke` or `expectReplies` did not end within its deadline; the turn goes on |
//!
//! `serviceUrl` may be missing or unusable only where the answer does not need it (`invoke`, `expectReplies`): agents that call
//! agents put a `urn:` there. Other SDKs accept such an activity everywhere, fail with its first reply and answer 500; here the
//! sender learns it at once. A URL of an origin that `channel.connector-origins` does not list is accepted, because only the
//! operator can do something about it: the status of the bot names it.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use bytes::Bytes;
use futures_util::poll;
use tokio::time::timeout;
use turntable_auth::{self as auth, Refused, Sender};

use super::error::HttpError;
use super::guard::{self, Guard};
use super::request::RequestId;
use super::{body, error};
use crate::activity::{Activity, ChannelInstance, ConversationKey, DeliveryMode, Inbound};
use crate::app::App;
use crate::budget::Claim;
use crate::channel::connector;
use crate::clock;
use crate::config;
use crate::registry::Bot;
use crate::telemetry;
use crate::turn::{Answer, Ticket};

/// Names the turn that answered, to be looked up in the admin API; for a redelivery, the turn of the first run.
const X_TURN_ID: HeaderName = HeaderName::from_static("x-turn-id");

/// The routes of this module.
pub fn routes(app: Arc<App>, guard: &Arc<Guard>) -> Router {
    Router::new()
        .route("/api/messages", post(post_to_default_bot))
        .route("/api/bots/{bot}/messages", post(post_to_bot))
        .with_state(app)
        // A form cannot send JSON, so a page needs a preflight, which no route here grants.
        .route_layer(from_fn(guard::require_json))
        // Nobody proves who they are here, so pages of strangers stay out.
        .route_layer(from_fn_with_state(guard.clone(), guard::check_origin))
}

async fn post_to_default_bot(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Result<Response, HttpError> {
    let bot = app.registry.default_bot().ok_or_else(|| {
        let message = "there is no default bot; post to `/api/bots/{bot}/messages`, or set `server.default-bot`";
        HttpError::new(StatusCode::NOT_FOUND, error::code::BOT_NOT_FOUND, message)
    })?;
    take(&app, &bot, id, request).await
}

async fn post_to_bot(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Result<Response, HttpError> {
    let bot = app.registry.bot(&name).ok_or_else(|| HttpError::bot_not_found(&name))?;
    take(&app, &bot, id, request).await
}

/// The whole path of one activity, from its bytes to its answer.
async fn take(app: &Arc<App>, bot: &Bot, id: RequestId, request: Request) -> Result<Response, HttpError> {
    let sender = authenticate(app, bot, request.headers()).await?;
    let server = &app.config.server;
    let (bytes, mut claim) =
        body::read_charged(&app.budget, Some(bot.name()), request, server.body_bytes_max, "server.body-bytes-max")
            .await?;
    let activity = parse(body::json_text(&bytes, server.json_values_max, &mut claim)?)?;
    // What waits from here on is the activity, or a redelivery without one.
    drop(bytes);
    let channel = channel_of(app, bot, sender.as_ref(), &activity).await?;
    let wait = Wait::of(&activity, server);
    let key = ConversationKey {
        bot: bot.name().clone(),
        channel: ChannelInstance::Wire(channel),
        conversation: activity.conversation_id().into(),
    };
    let inbound = Inbound { key, activity: Arc::new(activity), request_id: id.0 };
    let answer_claim = claim.another();
    let ticket = accept(app, inbound, claim).await?;
    wait.answer(ticket, answer_claim).await
}

/// Checks that the caller may talk to the bot, before the body is read. None: the bot has no app id.
async fn authenticate(app: &App, bot: &Bot, headers: &HeaderMap) -> Result<Option<Sender>, HttpError> {
    if let Some(identity) = app.auth.identity(bot.name()) {
        let headers: Vec<&[u8]> = headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes).collect();
        let sender = identity.authenticate(headers, clock::now_ms() / 1_000).await;
        return sender.map(Some).map_err(|refused| refusal(bot, &refused));
    }
    if bot.is_registered() {
        return Err(HttpError::unavailable("the bot cannot check its callers at the moment"));
    }
    // Checked at start too; but a reload may have taken the app id away since.
    if !app.public.ip().is_loopback() && !app.config.server.allow_anonymous_remote {
        return Err(HttpError::unauthorized().detail("the bot has no app id and the listener is not loopback"));
    }
    Ok(None)
}

/// Returns the name of the channel within the bot, if the sender may speak for it. What the sender proved about the
/// `serviceUrl` is stored before the turn can answer.
async fn channel_of(app: &App, bot: &Bot, sender: Option<&Sender>, activity: &Activity) -> Result<Arc<str>, HttpError> {
    let Some(sender) = sender else { return Ok(activity.channel_id().into()) };
    let admitted = sender.admit(activity.channel_id(), activity.service_url());
    let channel = admitted.map_err(|refused| refusal(bot, &refused))?;
    if let Some(proof) = sender.proof(bot.name(), &channel, activity.service_url()) {
        app.note(proof).await?;
    }
    Ok(channel.into())
}

/// The caller learns the status only, because a reason helps those who forge tokens.
fn refusal(bot: &Bot, refused: &Refused) -> HttpError {
    telemetry::token_refused(bot.name(), refused.check);
    let error = match refused.answer {
        auth::Answer::Unauthenticated => HttpError::unauthorized(),
        auth::Answer::Forbidden => {
            HttpError::new(StatusCode::FORBIDDEN, error::code::FORBIDDEN, "the request is not allowed")
        }
        auth::Answer::Unavailable => HttpError::unavailable("the request cannot be checked at the moment"),
    };
    error.detail(format_args!("bot {}: {refused}", bot.name()))
}

fn parse(text: &str) -> Result<Activity, HttpError> {
    let activity = Activity::parse(text)?;
    if !is_answered_in_place(&activity) {
        check_service_url(activity.service_url())?;
    }
    Ok(activity)
}

/// Checks that replies can go somewhere. Whether they may go there is the operator's business, not the sender's.
fn check_service_url(service_url: &str) -> Result<(), HttpError> {
    if service_url.is_empty() {
        return Err(HttpError::missing_property(
            "the activity has no `serviceUrl`, so replies could not go anywhere; \
             send one, or set `deliveryMode` to `expectReplies` to get them in the answer",
        ));
    }
    connector::check_service_url(service_url).map_err(HttpError::bad_argument)
}

fn is_answered_in_place(activity: &Activity) -> bool {
    activity.kind() == "invoke" || activity.delivery_mode() == DeliveryMode::ExpectReplies
}

/// Hands the activity over. What happens then is no longer this request's.
async fn accept(app: &Arc<App>, inbound: Inbound, claim: Claim) -> Result<Ticket, HttpError> {
    let turns = app.turns.clone();
    let mut accepted = Box::pin(async move { turns.accept_charged(inbound, claim).await });
    // Most stores take it without a wait.
    if let Poll::Ready(accepted) = poll!(&mut accepted) {
        return Ok(accepted?);
    }
    // Else in a task of its own: a caller who hangs up between the claim of the activity and its place in the queue
    // would leave a claim without a turn, and every redelivery would wait for that.
    Ok(tokio::spawn(accepted).await.map_err(HttpError::internal)??)
}

/// How long the caller waits for the turn, and what it is told after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// Then it is acknowledged: the channel needs no more than that.
    Acknowledge(Duration),
    /// Then it fails: the channel needs the body.
    Deadline(Duration),
}

impl Wait {
    fn of(activity: &Activity, server: &config::Server) -> Self {
        match (activity.kind(), activity.delivery_mode()) {
            ("invoke", _) => Self::Deadline(server.invoke_deadline),
            (_, DeliveryMode::ExpectReplies) => Self::Deadline(server.expect_replies_deadline),
            (_, DeliveryMode::Normal) => Self::Acknowledge(server.acknowledge_after),
        }
    }

    async fn answer(self, mut ticket: Ticket, claim: Claim) -> Result<Response, HttpError> {
        let (Self::Acknowledge(limit) | Self::Deadline(limit)) = self;
        let mut answer = timeout(limit, &mut ticket.answer).await;
        // «Taken» is a promise that a restart must hold: where it cannot be given, the caller waits.
        if answer.is_err() && matches!(self, Self::Acknowledge(_)) && !ticket.keep().await {
            answer = Ok(ticket.answer.await);
        }
        let mut response = match (answer, self) {
            (Ok(Ok(answer)), _) => respond(answer, claim)?,
            (Ok(Err(_)), _) => return Err(HttpError::unavailable("the host is shutting down")),
            (Err(_), Self::Acknowledge(_)) => StatusCode::ACCEPTED.into_response(),
            (Err(_), Self::Deadline(limit)) => {
                let message = format!("the bot did not answer within {} ms", limit.as_millis());
                return Err(HttpError::deadline(message).detail(format_args!("turn {}", ticket.turn_id)));
            }
        };
        if !ticket.turn_id.is_empty()
            && let Ok(value) = HeaderValue::from_str(&ticket.turn_id)
        {
            response.headers_mut().insert(X_TURN_ID, value);
        }
        Ok(response)
    }
}

/// The body of an answer. It is charged until its last byte is written.
struct Written {
    text: Arc<str>,
    _claim: Claim,
}

impl AsRef<[u8]> for Written {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

fn respond(answer: Answer, mut claim: Claim) -> Result<Response, HttpError> {
    let status = StatusCode::from_u16(answer.status)
        .ok()
        .filter(|status| !status.is_informational())
        .ok_or_else(|| HttpError::internal(format_args!("a turn ended with status {}", answer.status)))?;
    let mut response = match answer.body {
        Some(body) => {
            let json = HeaderValue::from_static("application/json; charset=utf-8");
            claim.set(body.len());
            let body = Bytes::from_owner(Written { text: body, _claim: claim });
            (status, [(CONTENT_TYPE, json)], Body::from(body)).into_response()
        }
        None => status.into_response(),
    };
    // The turn failed in the host, or the bot says that it cannot now: the channel may send the activity again.
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let seconds = error::RETRY_AFTER_DEFAULT.as_secs();
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::budget::Budget;

    fn claim() -> Claim {
        Budget::new(&config::Server::default()).open(None, None, 0).unwrap()
    }

    fn code(body: &[u8]) -> Option<&'static str> {
        body::json_text(body, 10_000, &mut claim()).and_then(parse).err().map(|error| {
            assert_eq!(error.status(), StatusCode::BAD_REQUEST);
            error.code()
        })
    }

    #[test]
    fn what_is_no_activity_is_refused_with_its_reason() {
        let deep = format!(r#"{{"type":"message","value":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
        let conversation = r#""conversation":{"id":"c"}"#;
        let service = r#""serviceUrl":"http://localhost:1/""#;
        let cases = [
            ("", Some("BadSyntax")),
            ("null", Some("BadSyntax")),
            ("[]", Some("BadSyntax")),
            ("42", Some("BadSyntax")),
            ("{\"type\":", Some("BadSyntax")),
            (deep.as_str(), Some("BadSyntax")),
            ("{}", Some("MissingProperty")),
            (r#"{"type":7}"#, Some("BadArgument")),
            (r#"{"type":"message"}"#, Some("MissingProperty")),
            (&format!(r#"{{"type":"message",{service},"conversation":{{"id":""}}}}"#), Some("MissingProperty")),
            (&format!(r#"{{"type":"message",{service},"conversation":"c"}}"#), Some("BadArgument")),
            (&format!(r#"{{"type":"message",{conversation}}}"#), Some("MissingProperty")),
            (&format!(r#"{{"type":"{}",{conversation},{service}}}"#, "x".repeat(1025)), Some("BadArgument")),
            (&format!(r#"{{"type":"message",{conversation},{service}}}"#), None),
            (&format!(r#"{{"type":"message",{conversation},"deliveryMode":"expectReplies"}}"#), None),
            (&format!(r#"{{"type":"invoke",{conversation}}}"#), None),
            (&format!(r#"{{"type":"invoke","serviceUrl":"not a url",{conversation}}}"#), None),
            (
                &format!(r#"{{"type":"message","serviceUrl":"urn:a","deliveryMode":"expectReplies",{conversation}}}"#),
                None,
            ),
            (&format!(r#"{{"type":"fooBar",{conversation},{service},"unknown":[{{}}]}}"#), None),
        ];
        for (body, wanted) in cases {
            assert_eq!(code(body.as_bytes()), wanted, "{}", &body[..body.len().min(80)]);
        }
        assert_eq!(code(b"{\"type\":\"\xff\"}"), Some("BadSyntax"), "not UTF-8");
        assert_eq!(body::json_text(b"[1,2]", 2, &mut claim()).unwrap_err().status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[test]
    fn a_service_url_that_no_reply_can_go_to_is_refused() {
        for (url, fits) in [
            ("https://smba.trafficmanager.net/teams/", true),
            ("HTTP://LOCALHOST:56150/_connector", true),
            ("http://[::1]:1", true),
            ("not a url", false),
            ("localhost:3978", false),
            ("//localhost/", false),
            ("/v3", false),
            ("http://", false),
            ("https://:80", false),
            ("http://a b/", false),
            ("http://localhost:99999", false),
            ("http://localhost:0", false),
            ("ftp://localhost/", false),
            ("file:///etc/passwd", false),
            ("urn:botframework:websocket:x", false),
            ("wss://localhost/", false),
            ("javascript:alert(1)", false),
            ("http://user@localhost/", false),
            ("http://:secret@localhost/", false),
            ("https://localhost/?a=b", false),
            ("https://localhost/#a", false),
        ] {
            let body = serde_json::json!({ "type": "message", "conversation": { "id": "c" }, "serviceUrl": url });
            let error = parse(&body.to_string()).err();
            assert_eq!(error.is_none(), fits, "{url}");
            if let Some(error) = error {
                assert_eq!((error.status().as_u16(), error.code()), (400, "BadArgument"), "{url}");
                assert!(error.to_string().contains("serviceUrl"), "{url}: {error}");
                assert!(!error.to_string().contains("secret"), "{url}: {error}");
            }
        }
    }

    fn ticket() -> (oneshot::Sender<Answer>, Ticket) {
        let (sender, answer) = oneshot::channel();
        (sender, Ticket::of("01TURN".into(), answer))
    }

    #[tokio::test]
    async fn the_answer_of_the_turn_is_the_answer() {
        let (sender, ticket) = ticket();
        sender.send(Answer { status: 409, body: Some(r#"{"a":1}"#.into()) }).unwrap();
        let response = Wait::Deadline(Duration::from_secs(5)).answer(ticket, claim()).await.unwrap();
        assert_eq!(response.status().as_u16(), 409);
        assert_eq!(response.headers()["content-type"], "application/json; charset=utf-8");
        assert_eq!(response.headers()["x-turn-id"], "01TURN");
        assert_eq!(axum::body::to_bytes(response.into_body(), 64).await.unwrap(), r#"{"a":1}"#);
    }

    #[tokio::test]
    async fn a_turn_that_goes_on_is_given_up_by_a_caller_that_needs_its_body() {
        let (_running, goes_on) = ticket();
        let error = Wait::Deadline(Duration::ZERO).answer(goes_on, claim()).await.unwrap_err();
        assert_eq!(error.status().as_u16(), 504);
    }

    #[tokio::test]
    async fn a_turn_that_is_torn_down_answers_503() {
        let (sender, ticket) = ticket();
        drop(sender);
        let error = Wait::Acknowledge(Duration::from_secs(5)).answer(ticket, claim()).await.unwrap_err();
        assert_eq!(error.status().as_u16(), 503);
    }

    #[test]
    fn a_status_that_http_does_not_have_is_a_failure_of_the_host() {
        for status in [0, 99, 101, 1000] {
            let error = respond(Answer { status, body: None }, claim()).unwrap_err();
            assert_eq!(error.status().as_u16(), 500, "{status}");
        }
        assert_eq!(respond(Answer { status: 501, body: None }, claim()).unwrap().status().as_u16(), 501);
    }

    #[test]
    fn a_turn_that_failed_in_the_host_says_when_to_try_again() {
        let body = Some(r#"{"error":{"code":"ServiceUnavailable"}}"#.into());
        let response = respond(Answer { status: 503, body }, claim()).unwrap();
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &HeaderValue::from(1)));
        assert!(!respond(Answer { status: 200, body: None }, claim()).unwrap().headers().contains_key("retry-after"));
    }
}
