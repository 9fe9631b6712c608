//! Tokens and conversations: who gets which, how they start, how clients come back.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::token::{TOKEN_LIFE, presented};
use super::{Claims, Local, activities, member, reached_by, watermark};
use crate::activity::members::{self, Member, plain, with};
use crate::activity::{ID_BYTES_MAX, Object};
use crate::channel::directline::{Account, Conversation, DirectLine, Start};
use crate::http::error::{self, HttpError};
use crate::http::request::RequestId;
use crate::http::{body, guard};
use crate::json;
use crate::registry::Bot;

/// The largest body of these routes.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Web origins that one token may list.
const ORIGINS_MAX: usize = 32;
const SESSION: &str = "turntable-session";

/// What a client says about itself. Every member may be absent or null, and its name in any case.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Parameters {
    bot: Option<String>,
    user: Option<User>,
    locale: Option<String>,
    #[serde(rename = "trustedOrigins")]
    trusted_origins: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct User {
    id: Option<String>,
    name: Option<String>,
}

const MEMBERS: &[Member] =
    &[plain("bot"), with("user", &[plain("id"), plain("name")]), plain("locale"), plain("trustedOrigins")];

/// `POST tokens/generate`: a token for a new conversation with a bot, for who has a secret of it. In development mode
/// also for anybody.
pub(super) async fn generate(State(local): State<Arc<Local>>, request: Request) -> Result<Response, HttpError> {
    let (parts, body) = request.into_parts();
    let owner = match parts.headers.contains_key(AUTHORIZATION) {
        true => Some(local.owner(presented(&parts)?)?),
        false => {
            check_anonymous(&local, &parts)?;
            None
        }
    };
    let parameters = parameters(Request::from_parts(parts.clone(), body)).await?;
    let bot = match &owner {
        Some(owner) => local.app.registry.bot(&owner.bot).ok_or_else(|| HttpError::bot_not_found(&owner.bot))?,
        None => wanted(&local, &parts, &parameters)?,
    };
    let user = parameters.user(&bot)?;
    let origins = parameters.trusted_origins.unwrap_or_default();
    if origins.len() > ORIGINS_MAX {
        return Err(HttpError::bad_argument(format!("`trustedOrigins` lists more than {ORIGINS_MAX}")));
    }
    let conversation = DirectLine::new_id().map_err(HttpError::internal)?;
    let mut claims = Claims::new(bot.name(), &conversation, user, origins);
    if let Some(owner) = owner {
        claims = claims.of_secret(owner.mark);
    }
    Ok(Json(token_of(&local, &claims)?).into_response())
}

/// Checks that anybody may have a token here.
fn check_anonymous(local: &Local, parts: &Parts) -> Result<(), HttpError> {
    let server = &local.app.config.server;
    if !server.development {
        return Err(
            HttpError::unauthorized().detail("tokens are for who has a secret; see `turntable directline secrets`")
        );
    }
    if !guard::is_json(&parts.headers) {
        return Err(HttpError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            error::code::UNSUPPORTED_MEDIA_TYPE,
            "the body must be `application/json`, such as `{}`",
        ));
    }
    if !local.app.public.ip().is_loopback() && !server.allow_anonymous_remote {
        return Err(HttpError::unauthorized().detail("tokens for anyone are given out on a loopback listener only"));
    }
    Ok(())
}

/// Returns the bot that an anonymous caller names, or the default bot.
fn wanted(local: &Local, parts: &Parts, parameters: &Parameters) -> Result<Arc<Bot>, HttpError> {
    let registry = &local.app.registry;
    let name = member(parts.uri.query(), "bot").or_else(|| parameters.bot.clone()).filter(|name| !name.is_empty());
    match name {
        Some(name) => registry.bot(&name).ok_or_else(|| HttpError::bot_not_found(&name)),
        None => registry.default_bot().ok_or_else(|| {
            let message = "there is no default bot; name one with `?bot=`, or set `server.default-bot`";
            HttpError::new(StatusCode::NOT_FOUND, error::code::BOT_NOT_FOUND, message)
        }),
    }
}

/// `POST tokens/refresh`: the same token, for another while.
pub(super) async fn refresh(State(local): State<Arc<Local>>, request: Request) -> Result<Response, HttpError> {
    let (parts, _) = request.into_parts();
    let claims = local.tokens.caller(&parts)?;
    local.check(&claims)?;
    Ok(Json(token_of(&local, &claims)?).into_response())
}

/// `POST conversations`: starts the conversation of the token, and tells the bot who is in it.
pub(super) async fn start(
    State(local): State<Arc<Local>>,
    axum::Extension(request_id): axum::Extension<RequestId>,
    request: Request,
) -> Result<Response, HttpError> {
    let (parts, body) = request.into_parts();
    let claims = local.caller(&parts, None)?;
    let parameters = parameters(Request::from_parts(parts.clone(), body)).await?;
    let bot = local.app.registry.bot(&claims.bot).ok_or_else(|| HttpError::bot_not_found(&claims.bot))?;
    let user = match claims.account() {
        Some(user) => Some(user),
        None => parameters.user(&bot)?,
    };
    let locale = parameters.locale.unwrap_or_default();
    if locale.len() > ID_BYTES_MAX {
        return Err(HttpError::bad_argument("`locale` is too long"));
    }
    let start = Start {
        id: claims.conv.as_str().into(),
        bot: bot.name().clone(),
        title: bot.status().title,
        user: user.clone(),
        locale,
    };
    let (conversation, is_new) = local.app.directline.start(start);
    // A bot that cannot take it now is told before the first activity.
    if let Err(error) = activities::introduce(&local, &conversation, user, request_id.0).await {
        tracing::info!(bot = %conversation.bot(), status = error.status().as_u16(), "conversation started, the bot does not know yet");
    }
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(opened(&local, &parts, &claims, &conversation, "-")?)).into_response())
}

/// `GET conversations/{id}`: a new stream URL for a client that lost its stream.
pub(super) async fn reconnect(
    State(local): State<Arc<Local>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, HttpError> {
    let (parts, _) = request.into_parts();
    let (claims, conversation) = local.conversation(&parts, &id)?;
    let from = watermark(parts.uri.query())?.map_or_else(|| "-".to_owned(), |watermark| watermark.to_string());
    Ok(Json(opened(&local, &parts, &claims, &conversation, &from)?).into_response())
}

/// `GET session/getsessionid`: a name for the browser, in a cookie. Nothing is stored here.
pub(super) async fn session(request: Request) -> Result<Response, HttpError> {
    let cookies = request.headers().get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    let is_ours = |id: &str| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some((_, id)) = pairs.find(|(name, value)| *name == SESSION && is_ours(value)) {
        return Ok(Json(json!({ "sessionId": id })).into_response());
    }
    let id = DirectLine::new_id().map_err(HttpError::internal)?;
    let cookie = format!("{SESSION}={id}; HttpOnly; SameSite=Lax; Path=/v3/directline/session");
    Ok(([(SET_COOKIE, cookie)], Json(json!({ "sessionId": id }))).into_response())
}

/// Reads a body that may be empty.
async fn parameters(request: Request) -> Result<Parameters, HttpError> {
    let bytes = body::read(request, BODY_BYTES_MAX, "16 KiB for this route").await?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Parameters::default());
    }
    let unexpected = |error| HttpError::bad_syntax(format!("the body is not as expected: {error}"));
    let mut body: Object = json::from_slice(&bytes).map_err(unexpected)?;
    members::canonical(&mut body, MEMBERS);
    Parameters::deserialize(Value::Object(body)).map_err(unexpected)
}

impl Parameters {
    fn user(&self, bot: &Bot) -> Result<Option<Account>, HttpError> {
        let user = self.user.as_ref();
        let Some(id) = user.and_then(|user| user.id.clone()).filter(|id| !id.is_empty()) else { return Ok(None) };
        let name = user.and_then(|user| user.name.clone()).unwrap_or_default();
        let account = Account { id, name };
        activities::check_user(&account, bot.name())?;
        Ok(Some(account))
    }
}

fn token_of(local: &Local, claims: &Claims) -> Result<Value, HttpError> {
    let token = local.tokens.issue(claims)?;
    Ok(json!({"conversationId": claims.conv, "token": token, "expires_in": TOKEN_LIFE.as_secs()}))
}

fn opened(
    local: &Local,
    parts: &Parts,
    claims: &Claims,
    conversation: &Conversation,
    watermark: &str,
) -> Result<Value, HttpError> {
    let (secure, host) = reached_by(parts)?;
    let ticket = local.tokens.issue_stream(claims, conversation.issue_stream())?;
    let id = conversation.id();
    let stream =
        format!("ws{secure}://{host}/v3/directline/conversations/{id}/stream?watermark={watermark}&t={ticket}");
    let mut opened = token_of(local, claims)?;
    opened["streamUrl"] = stream.into();
    // Names the grammar of a speech service; there is none, and clients only want it to be there.
    opened["referenceGrammarId"] = Value::from(&**id);
    Ok(opened)
}
