//! Direct Line 3.0 for the bots of this host, under `/v3/directline`, with the routes of Microsoft's service.
//!
//! | route | answer |
//! | --- | --- |
//! | `POST tokens/generate` | 200; JSON `{user?, trustedOrigins?}` with a secret; without one in development mode only, with `bot?` or `?bot=NAME` |
//! | `POST tokens/refresh` | 200 |
//! | `POST conversations` | 201 where it is new, else 200 |
//! | `GET conversations/{id}?watermark=` | 200 with a new `streamUrl` |
//! | `GET conversations/{id}/activities?watermark=` | 200 `{activities, watermark}` |
//! | `POST conversations/{id}/activities` | 200 `{id}` once the bot has answered |
//! | `POST conversations/{id}/upload?userId=` | the same, for files |
//! | `GET conversations/{id}/stream?watermark=&t=` | WebSocket of activity sets |
//! | `GET session/getsessionid` | 200 `{sessionId}` |
//! | `GET /v3/attachments/{id}/views/original` | the bytes of an uploaded file |
//!
//! A caller presents a token, or a secret of the bot (`turntable directline secrets`), which is good for all its conversations.
//! Tokens that come from a secret end with it.
//!
//! | error | when |
//! | --- | --- |
//! | 400 `BadArgument`, `MissingProperty`, `BadSyntax` | the body, the watermark or a type that clients may not send |
//! | 401 | no usable `Authorization` header |
//! | 403 `TokenExpired`, `Forbidden` | the token is too old; of another conversation, another host or another start of this one |
//! | 404 | no such conversation; clients take it as ended |
//! | 429, 503 | a queue is full, the host is stopping; nothing was taken, send it again |
//! | 502 `BotError` | the bot failed, is disabled or is not loaded; the activity is in the history |
//! | 504 | the bot did not answer within 15 s; its turn goes on |
//!
//! Without a watermark both polling and streaming begin with the first activity that is kept. The service itself begins a
//! stream at the newest one and may lose what was said while a client reconnects.

mod activities;
mod attachments;
mod conversations;
mod cors;
mod file_name;
mod stream;
mod token;
mod upload;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{HOST, HeaderName};
use axum::http::request::Parts;
use axum::routing::{get, post};

pub(super) use self::token::{Claims, Tokens};
use super::error::{HttpError, code};
use super::guard::Guard;
use crate::app::App;
use crate::channel::directline::{Conversation, DirectLine, Owner};

/// What every route of Direct Line, and of the chat page, works with.
pub(super) struct Local {
    pub(super) app: Arc<App>,
    pub(super) tokens: Tokens,
}

impl Local {
    /// Makes it, with a key of its own: tokens end with the process, like the conversations they are for.
    pub(super) fn new(app: Arc<App>) -> Arc<Self> {
        Arc::new(Self { app, tokens: Tokens::new() })
    }

    /// Returns what the caller's token says. A secret says that the caller may talk in this conversation, or in a new one.
    fn caller(&self, parts: &Parts, conversation: Option<&str>) -> Result<Claims, HttpError> {
        let presented = token::presented(parts)?;
        if !token::is_secret(presented) {
            let claims = self.tokens.caller(parts)?;
            self.check(&claims)?;
            return Ok(claims);
        }
        let owner = self.owner(presented)?;
        let conversation = match conversation {
            Some(conversation) => conversation.to_owned(),
            None => DirectLine::new_id().map_err(HttpError::internal)?,
        };
        Ok(Claims::new(&owner.bot, &conversation, None, Vec::new()).of_secret(owner.mark))
    }

    /// Returns the bot of a secret.
    fn owner(&self, secret: &str) -> Result<Owner, HttpError> {
        let bot = secret.split_once('.').and_then(|(bot, _)| self.app.registry.bot(bot));
        let owner = bot.and_then(|bot| self.app.site_secrets.owner(bot.name(), secret));
        owner.ok_or_else(|| token::forbidden("the secret is not one of a bot of this host"))
    }

    /// Checks that the secret from which a token comes was not revoked.
    fn check(&self, claims: &Claims) -> Result<(), HttpError> {
        let Some(mark) = &claims.secret else { return Ok(()) };
        match self.app.site_secrets.is_current(&claims.bot.as_str().into(), mark) {
            true => Ok(()),
            false => Err(token::forbidden("the secret from which the token comes was revoked")),
        }
    }

    /// Returns the conversation that the caller's token is for.
    fn conversation(&self, parts: &Parts, id: &str) -> Result<(Claims, Arc<Conversation>), HttpError> {
        let claims = self.caller(parts, Some(id))?;
        if claims.conv != id {
            return Err(HttpError::new(
                StatusCode::FORBIDDEN,
                code::FORBIDDEN,
                "the token is for another conversation",
            ));
        }
        let conversation = self.find(&claims)?;
        Ok((claims, conversation))
    }

    /// Returns the conversation of verified claims.
    pub(super) fn find(&self, claims: &Claims) -> Result<Arc<Conversation>, HttpError> {
        let found = self.app.directline.conversation(&claims.conv);
        found.filter(|conversation| **conversation.bot() == *claims.bot).ok_or_else(|| {
            HttpError::not_found("the conversation was not started, or has ended; `POST conversations` starts it")
        })
    }
}

/// The routes of this module.
pub(super) fn routes(local: &Arc<Local>, guard: &Arc<Guard>) -> Router {
    let direct_line = Router::new()
        .route("/tokens/generate", post(conversations::generate))
        .route("/tokens/refresh", post(conversations::refresh))
        .route("/conversations", post(conversations::start))
        .route("/conversations/{id}", get(conversations::reconnect))
        .route("/conversations/{id}/activities", get(activities::poll).post(activities::take))
        .route("/conversations/{id}/upload", post(upload::take))
        .route("/conversations/{id}/stream", get(stream::open))
        .route("/session/getsessionid", get(conversations::session));
    let direct_line = cors::around(direct_line.with_state(local.clone()), guard);
    // Pages of any origin show pictures without saying who they are; the id is what lets them.
    let attachments = Router::new().route(attachments::ROUTE, get(attachments::serve)).with_state(local.clone());
    Router::new().nest("/v3/directline", direct_line).merge(attachments)
}

/// Returns scheme suffix and authority of the URLs that the caller reaches this host by: `("s", "bots.example.org")`.
fn reached_by(parts: &Parts) -> Result<(&'static str, String), HttpError> {
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| parts.uri.authority().map(|authority| authority.as_str()));
    let host = host.ok_or_else(|| HttpError::bad_syntax("the request has no Host"))?;
    // Only the caller itself gets these URLs, so it may say how it came.
    let forwarded = parts.headers.get(HeaderName::from_static("x-forwarded-proto"));
    let secure = forwarded.is_some_and(|scheme| scheme.as_bytes() == b"https");
    Ok((if secure { "s" } else { "" }, host.to_owned()))
}

/// Reads a watermark. Absent and empty mean from the beginning, and so does the `-` of the service's own stream URLs.
fn watermark(query: Option<&str>) -> Result<Option<u64>, HttpError> {
    match member(query, "watermark").as_deref() {
        None | Some("" | "-") => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|_| HttpError::bad_argument("`watermark` must be one that this host has sent, or empty")),
    }
}

/// Returns a member of a query. `+` stays one: clients put user ids into queries without encoding them.
fn member(query: Option<&str>, name: &str) -> Option<String> {
    let mut members = query?.split('&').filter_map(|member| member.split_once('='));
    let (_, value) = members.find(|(found, _)| *found == name)?;
    Some(percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watermarks_are_lenient_where_clients_are() {
        for (query, wanted) in [
            (None, Some(None)),
            (Some("watermark="), Some(None)),
            (Some("watermark=-&t=x"), Some(None)),
            (Some("t=x&watermark=12"), Some(Some(12))),
            (Some("watermark=abc"), None),
            (Some("watermark=-1"), None),
        ] {
            assert_eq!(watermark(query).ok(), wanted, "{query:?}");
        }
    }

    #[test]
    fn query_members_need_no_encoding() {
        assert_eq!(member(Some("userId=a+b%20c"), "userId").as_deref(), Some("a+b c"));
        assert_eq!(member(Some("userId=%F0"), "userId").as_deref(), Some("\u{fffd}"));
        assert_eq!(member(Some("xuserId=a"), "userId"), None);
        assert_eq!(member(None, "userId"), None);
    }
}
