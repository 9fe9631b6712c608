//! Every failure that HTTP callers see: its status, its code, its words.
//!
//! Bodies are `{"error":{"code","message"}}`. What only an operator may read goes to the log, inside the request's span.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use axum::Json;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::activity::ActivityError;
use crate::budget::Spent;
use crate::registry::RegistryError;
use crate::storage::StorageError;
use crate::turn::Refusal;

/// How long a caller is asked to wait where the host cannot know better.
pub(super) const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);
/// How long a caller is asked to wait for a bot that has no generation: an operator has to act.
const RETRY_AFTER_NO_GENERATION: Duration = Duration::from_secs(10);

/// Error codes, in the spelling of the connector protocol where it has one, such as `BadArgument` or `MissingProperty`.
pub mod code {
    /// The body is not what the route reads.
    pub const BAD_SYNTAX: &str = "BadSyntax";
    /// A value has the wrong type or is out of its bounds.
    pub const BAD_ARGUMENT: &str = "BadArgument";
    /// A member that is needed is missing or empty.
    pub const MISSING_PROPERTY: &str = "MissingProperty";
    /// No credentials, or not the right ones.
    pub const UNAUTHORIZED: &str = "Unauthorized";
    /// A web page of another origin asked.
    pub const FOREIGN_ORIGIN: &str = "ForeignOrigin";
    /// The credentials do not allow this.
    pub const FORBIDDEN: &str = "Forbidden";
    /// No such route or thing.
    pub const NOT_FOUND: &str = "NotFound";
    /// No bot of that name.
    pub const BOT_NOT_FOUND: &str = "BotNotFound";
    /// The bot has no plugin of that name.
    pub const PLUGIN_NOT_FOUND: &str = "PluginNotFound";
    /// The route exists, for other methods.
    pub const METHOD_NOT_ALLOWED: &str = "MethodNotAllowed";
    /// The body did not arrive in time.
    pub const REQUEST_TIMEOUT: &str = "RequestTimeout";
    /// The bot has not met the conversation or user.
    pub const UNKNOWN_CONVERSATION: &str = "UnknownConversation";
    /// The bridged bot has not met the conversation.
    pub const CONVERSATION_NOT_FOUND: &str = "ConversationNotFound";
    /// The conversation has no such activity of the bot.
    pub const ACTIVITY_NOT_FOUND: &str = "ActivityNotFoundInConversation";
    /// The conversation has no such member.
    pub const MEMBER_NOT_FOUND: &str = "MemberNotFoundInConversation";
    /// The channel takes nothing for the conversation any more.
    pub const CONVERSATION_GONE: &str = "ConversationGone";
    /// The key of idempotency came with another body before.
    pub const IDEMPOTENCY_KEY_REUSED: &str = "IdempotencyKeyReused";
    /// A notification was not delivered.
    pub const DELIVERY_FAILED: &str = "DeliveryFailed";
    /// The state of the thing does not allow it now.
    pub const CONFLICT: &str = "Conflict";
    /// The body is larger than the route takes.
    pub const TOO_LARGE: &str = "MessageSizeTooBig";
    /// The body is not JSON by its `Content-Type`, or compressed by its `Content-Encoding`.
    pub const UNSUPPORTED_MEDIA_TYPE: &str = "UnsupportedMediaType";
    /// `Host` names another server.
    pub const MISDIRECTED: &str = "MisdirectedRequest";
    /// The component cannot serve; `problems` lists why.
    pub const UNFIT: &str = "Unfit";
    /// A queue is full.
    pub const THROTTLED: &str = "Throttled";
    /// The host failed.
    pub const SERVICE_ERROR: &str = "ServiceError";
    /// The host or the bot does not serve at the moment.
    pub const SERVICE_UNAVAILABLE: &str = "ServiceUnavailable";
    /// The turn did not end within its deadline.
    pub const GATEWAY_TIMEOUT: &str = "GatewayTimeout";
}

/// A failure on its way to an HTTP caller. `code` and `message` leave the host, `detail` goes to the log only.
#[derive(Debug)]
pub struct HttpError {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    problems: Vec<String>,
    detail: Option<String>,
    retry_after: Option<Duration>,
    /// Whether another `Content-Encoding` would do.
    wants_identity: bool,
}

impl HttpError {
    /// Makes an error. `message` says what was wrong and what to do, in words fit for a stranger.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let (problems, detail, retry_after, wants_identity) = (vec![], None, None, false);
        Self { status, code, message: message.into(), problems, detail, retry_after, wants_identity }
    }

    /// 400 `BadArgument`.
    pub fn bad_argument(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code::BAD_ARGUMENT, message)
    }

    /// 400 `BadSyntax`.
    pub fn bad_syntax(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code::BAD_SYNTAX, message)
    }

    /// 400 `MissingProperty`.
    pub fn missing_property(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code::MISSING_PROPERTY, message)
    }

    /// 401 `Unauthorized`, without a word about the reason.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code::UNAUTHORIZED, "the request is not authorized")
    }

    /// 404 `NotFound`.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code::NOT_FOUND, message)
    }

    /// 404 `BotNotFound`. The name is echoed shortened, as it is the caller's.
    pub fn bot_not_found(bot: &str) -> Self {
        let message = format!("there is no bot `{}`", shorten(bot));
        Self::new(StatusCode::NOT_FOUND, code::BOT_NOT_FOUND, message)
    }

    /// 405. The router adds `Allow`.
    pub fn method_not_allowed() -> Self {
        let message = "the route does not take this method; `Allow` lists those that it takes";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, code::METHOD_NOT_ALLOWED, message)
    }

    /// 413 `MessageSizeTooBig`, naming the bound.
    pub fn too_large(bytes_max: u64, bound: &str) -> Self {
        let message = format!("the body is larger than {bytes_max} bytes (`{bound}`)");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, code::TOO_LARGE, message)
    }

    /// 415 for a body that is compressed, as this header says; `Accept-Encoding` tells it from a wrong media type.
    pub fn encoded(header: &HeaderName, encoding: &str) -> Self {
        let encoding = shorten(encoding);
        let header = if *header == CONTENT_ENCODING { "Content-Encoding" } else { "Transfer-Encoding" };
        let message = format!("the body has {header} `{encoding}`; send it without one, not compressed");
        let error = Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code::UNSUPPORTED_MEDIA_TYPE, message);
        Self { wants_identity: true, ..error }
    }

    /// 503 with `Retry-After`.
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code::SERVICE_UNAVAILABLE, message).retry_after(RETRY_AFTER_DEFAULT)
    }

    /// 504: the turn goes on, but not for this caller.
    pub fn deadline(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, code::GATEWAY_TIMEOUT, message)
    }

    /// 500 that says nothing; `detail` goes to the log.
    pub fn internal(detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, code::SERVICE_ERROR, "the host failed; its log says why")
            .detail(detail)
    }

    /// Adds what only the log may say.
    pub fn detail(mut self, detail: impl fmt::Display) -> Self {
        self.detail = Some(format!("{detail:#}"));
        self
    }

    /// Adds `problems` to the body, one entry for each thing that is wrong.
    pub fn problems(mut self, problems: Vec<String>) -> Self {
        self.problems = problems;
        self
    }

    /// Adds `Retry-After`, in whole seconds, rounded up and never 0.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Adds `Retry-After` of one second.
    pub fn retry_after_default(self) -> Self {
        self.retry_after(RETRY_AFTER_DEFAULT)
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The code in the body.
    pub fn code(&self) -> &'static str {
        self.code
    }

    fn body(&self) -> serde_json::Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if !self.problems.is_empty() {
            error["problems"] = json!(self.problems);
        }
        json!({ "error": error })
    }

    // Who must act decides the level: a 5xx with a detail is the operator's, everything else is the caller's.
    fn log(&self) {
        let status = self.status.as_u16();
        match &self.detail {
            Some(detail) if self.status.is_server_error() => {
                tracing::error!(status, code = self.code, detail, "request failed");
            }
            Some(detail) => tracing::info!(status, code = self.code, detail, "request refused"),
            None => tracing::debug!(status, code = self.code, message = %self.message, "request refused"),
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        self.log();
        let mut response = (self.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.wants_identity {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        response
    }
}

impl From<ActivityError> for HttpError {
    fn from(error: ActivityError) -> Self {
        let message = error.to_string();
        match error {
            ActivityError::Syntax(_) => Self::bad_syntax(message),
            ActivityError::Missing(_) => Self::missing_property(message),
            ActivityError::WrongType { .. } | ActivityError::TooLong(_) => Self::bad_argument(message),
        }
    }
}

impl From<Spent> for HttpError {
    fn from(spent: Spent) -> Self {
        let (status, code) = match spent {
            Spent::Host => (StatusCode::SERVICE_UNAVAILABLE, code::SERVICE_UNAVAILABLE),
            Spent::Bot | Spent::Peer => (StatusCode::TOO_MANY_REQUESTS, code::THROTTLED),
        };
        Self::new(status, code, spent.to_string()).retry_after(RETRY_AFTER_DEFAULT)
    }
}

impl From<Refusal> for HttpError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownBot => Self::new(StatusCode::NOT_FOUND, code::BOT_NOT_FOUND, "there is no such bot"),
            // No Retry-After: an operator disabled it, and only an operator enables it.
            Refusal::Disabled => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, code::SERVICE_UNAVAILABLE, "the bot is disabled")
            }
            Refusal::NoGeneration => {
                Self::unavailable("the bot has no working version at the moment").retry_after(RETRY_AFTER_NO_GENERATION)
            }
            Refusal::QueueFull(bound) => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                code::THROTTLED,
                "too many activities are waiting; send it again later",
            )
            .detail(format!("`{bound}` is reached"))
            .retry_after(RETRY_AFTER_DEFAULT),
            Refusal::ShuttingDown => Self::unavailable("the host is shutting down"),
            Refusal::Storage(why) => Self::unavailable("the activity could not be accepted").detail(why),
        }
    }
}

impl From<StorageError> for HttpError {
    fn from(error: StorageError) -> Self {
        Self::unavailable("the store does not answer at the moment").detail(error)
    }
}

impl From<RegistryError> for HttpError {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::UnknownBot(bot) => Self::bot_not_found(&bot),
            RegistryError::UnknownPlugin { plugin, known } => Self::new(
                StatusCode::NOT_FOUND,
                code::PLUGIN_NOT_FOUND,
                RegistryError::UnknownPlugin { plugin: shorten(&plugin), known }.to_string(),
            ),
            RegistryError::Unfit(problems) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                code::UNFIT,
                "the new generation cannot serve; the one before goes on",
            )
            .problems(problems),
            RegistryError::NothingToRollBack => {
                Self::new(StatusCode::CONFLICT, code::CONFLICT, "there is no previous generation to roll back to")
            }
            RegistryError::Host(error) => Self::internal(format!("{error:#}")),
        }
    }
}

/// Cuts a caller's text to what an error message may carry, without control characters.
fn shorten(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(error: impl Into<HttpError>) -> (u16, Option<String>, String) {
        let response = error.into().into_response();
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(String::from);
        let (status, retry) = (response.status().as_u16(), header(RETRY_AFTER));
        let body = axum::body::to_bytes(response.into_body(), 65_536).await.unwrap();
        (status, retry, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn every_refusal_has_its_status_and_its_wait() {
        let cases = [
            (Refusal::UnknownBot, 404, None),
            (Refusal::Disabled, 503, None),
            (Refusal::NoGeneration, 503, Some("10")),
            (Refusal::QueueFull("turns-queued-max"), 429, Some("1")),
            (Refusal::ShuttingDown, 503, Some("1")),
            (Refusal::Storage("disk /secret/path is full".into()), 503, Some("1")),
        ];
        for (refusal, status, retry) in cases {
            let name = format!("{refusal:?}");
            let (got, got_retry, body) = answer(refusal).await;
            assert_eq!((got, got_retry.as_deref()), (status, retry), "{name}");
            assert!(!body.contains("secret") && !body.contains("turns-queued-max"), "{name} leaks: {body}");
        }
    }

    #[tokio::test]
    async fn a_host_failure_leaks_nothing() {
        let (status, _, body) = answer(RegistryError::Host(anyhow::anyhow!("/secret: permission denied"))).await;
        assert_eq!(status, 500);
        assert_eq!(body, r#"{"error":{"code":"ServiceError","message":"the host failed; its log says why"}}"#);
    }

    #[tokio::test]
    async fn an_unfit_component_lists_its_problems() {
        let (status, _, body) = answer(RegistryError::Unfit(vec!["missing import `a`".into(), "b".into()])).await;
        assert_eq!(status, 422);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["error"]["code"], "Unfit");
        assert_eq!(body["error"]["problems"], json!(["missing import `a`", "b"]));
    }

    #[tokio::test]
    async fn activity_errors_keep_the_codes_of_the_protocol() {
        let wrong = ActivityError::WrongType { member: "text", wanted: "a string" };
        for (error, code) in [
            (ActivityError::Syntax("EOF".into()), "BadSyntax"),
            (ActivityError::Missing("type"), "MissingProperty"),
            (wrong, "BadArgument"),
            (ActivityError::TooLong("id"), "BadArgument"),
        ] {
            let (status, _, body) = answer(error).await;
            assert_eq!(status, 400);
            assert!(body.contains(&format!("\"code\":\"{code}\"")), "{body}");
        }
    }

    #[tokio::test]
    async fn a_wait_is_rounded_up_to_whole_seconds() {
        let error = HttpError::unavailable("later").retry_after(Duration::from_millis(1_200));
        assert_eq!(answer(error).await.1.as_deref(), Some("2"));
        let error = HttpError::unavailable("later").retry_after(Duration::ZERO);
        assert_eq!(answer(error).await.1.as_deref(), Some("1"));
    }

    #[tokio::test]
    async fn a_name_of_the_caller_is_shortened() {
        let (_, _, body) = answer(HttpError::bot_not_found(&format!("a\n{}", "x".repeat(500)))).await;
        assert!(body.len() < 160 && !body.contains("\\n"), "{body}");
    }
}
