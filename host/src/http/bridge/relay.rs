//! Calls of a bridged bot that the channel of the conversation answers.

use axum::Json;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};

use super::super::body;
use super::super::error::{HttpError, code};
use super::{Caller, not_met};
use crate::activity::{ChannelInstance, ConversationKey, Object};
use crate::channel::{Address, ChannelError, Relay, Relayed};
use crate::clock::now_ms;
use crate::json;
use crate::storage::notifications::Reference;

impl Caller {
    /// Passes a call on to the channel.
    pub(super) async fn relay(&self, path: &[&str], request: Request) -> Result<Response, HttpError> {
        self.granted()?;
        let conversation = match path {
            ["v3", "conversations", conversation, ..] => {
                let key = self.key(conversation)?;
                let accounts = self.accounts(&key).await?.ok_or_else(not_met)?;
                if self.channel == ChannelInstance::LocalDirectLine {
                    return local(&accounts, path);
                }
                key
            }
            _ => self.key("-")?,
        };
        let (method, query) = (request.method().clone(), request.uri().query().map(ToOwned::to_owned));
        let bytes_max = self.app.config.server.upload_bytes_max;
        let body = body::read(request, bytes_max, "server.upload-bytes-max").await?;
        let path = path.iter().map(|segment| (*segment).to_owned()).collect();
        answer(self.exchange(conversation, Relay { method, path, query, body }).await?)
    }

    /// Creates a conversation on the channel, and keeps how it is reached.
    pub(super) async fn create(&self, request: Request) -> Result<Response, HttpError> {
        self.granted()?;
        let method = request.method().clone();
        let bytes = body::read(request, self.bridge.limits.bytes_per_send, "bytes-per-send").await?;
        let text = json::decoded(&bytes).map_err(|error| HttpError::bad_syntax(error.to_string()))?;
        let parameters = json::object(text).map_err(|error| HttpError::bad_syntax(error.to_string()))?;
        if parameters.get("activity").is_some_and(|activity| !activity.is_null()) && !self.generation.layers.is_empty()
        {
            let message =
                "the bot has middleware, which an `activity` of a new conversation would not pass; send it afterwards";
            return Err(HttpError::bad_argument(message));
        }
        let path = vec!["v3".to_owned(), "conversations".to_owned()];
        let body = Bytes::copy_from_slice(text.as_bytes());
        let relayed = self.exchange(self.key("-")?, Relay { method, path, query: None, body }).await?;
        let mut opened: Value = json::from_slice(&relayed.body).unwrap_or_default();
        let id = opened["id"].as_str().unwrap_or_default().to_owned();
        if !(200..300).contains(&relayed.status) || id.is_empty() {
            return answer(relayed);
        }
        let key = self.key(&id)?;
        let named = opened["serviceUrl"].as_str().filter(|url| self.app.deliveries.admits(&key, url));
        let service_url = named.unwrap_or(&self.service_url).to_owned();
        self.app.storage.add_reference(self.reference(key, &parameters, &service_url)).await?;
        let own = self.app.bridges.service_url(&self.bridge, &self.bot, &self.channel, &service_url);
        opened["serviceUrl"] = own.map_err(HttpError::internal)?.into();
        Ok((StatusCode::CREATED, Json(opened)).into_response())
    }

    fn granted(&self) -> Result<(), HttpError> {
        if self.bridge.conversations {
            return Ok(());
        }
        let message = format!("the bridge `{}` lacks `grants.conversations = true`", self.bridge.name);
        Err(HttpError::new(StatusCode::FORBIDDEN, code::FORBIDDEN, message))
    }

    async fn exchange(&self, conversation: ConversationKey, call: Relay) -> Result<Relayed, HttpError> {
        let at = Address { conversation, service_url: self.service_url.as_str().into() };
        self.app.deliveries.relay(&at, call).await.map_err(|error| {
            let failed = |status: u16| {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
                HttpError::new(status, code::DELIVERY_FAILED, "the channel did not take the call; the log says why")
            };
            match &error {
                ChannelError::Refused { status, .. } => failed(status.unwrap_or(502)).detail(error),
                _ => failed(502).detail(error),
            }
        })
    }

    /// Returns user and bot of a conversation. None: the bot has not met it on this channel.
    async fn accounts(&self, key: &ConversationKey) -> Result<Option<[Value; 2]>, HttpError> {
        if let Some(door) = self.app.bridges.door(key) {
            let account = |member| door.activity.member(member).unwrap_or_default();
            return Ok(Some([account("from"), account("recipient")]));
        }
        let Some(reference) = self.app.storage.reference(key).await? else { return Ok(None) };
        let mut text: Value = json::value(&reference.text).unwrap_or_default();
        Ok(Some([text["user"].take(), text["bot"].take()]))
    }

    /// Returns how a new conversation is reached.
    fn reference(&self, conversation: ConversationKey, parameters: &Object, service_url: &str) -> Reference {
        let member = |name: &str| parameters.get(name).cloned().unwrap_or_default();
        let mut place = json!({ "id": &*conversation.conversation });
        for name in ["isGroup", "tenantId"] {
            if let Some(value) = parameters.get(name).filter(|value| !value.is_null()) {
                place[name] = value.clone();
            }
        }
        // The Agents SDK names the bot `agent`.
        let bot = [member("bot"), member("agent")].into_iter().find(Value::is_object).unwrap_or_default();
        let user = member("members")[0].clone();
        let channel = conversation.channel.to_string();
        let mut text = json!({ "channelId": channel.split('#').next(), "serviceUrl": service_url });
        (text["conversation"], text["bot"], text["user"]) = (place, bot, user.clone());
        Reference {
            conversation,
            user: user["id"].as_str().unwrap_or_default().into(),
            text: text.to_string().into(),
            seen_ms: now_ms() / 60_000 * 60_000,
            gone: None,
        }
    }
}

/// Answers a call about a conversation of the host's own Direct Line, in which a user and the bot are.
fn local(accounts: &[Value; 2], path: &[&str]) -> Result<Response, HttpError> {
    match path.get(3..) {
        Some(["members"] | ["activities", _, "members"]) => Ok(Json(accounts).into_response()),
        Some(["pagedmembers"]) => Ok(Json(json!({ "members": accounts })).into_response()),
        Some(["members", id]) => {
            let found = accounts.iter().find(|account| account["id"] == *id);
            let missing = || {
                let message = "there is no such member in this conversation";
                HttpError::new(StatusCode::NOT_FOUND, code::MEMBER_NOT_FOUND, message)
            };
            Ok(Json(found.ok_or_else(missing)?).into_response())
        }
        _ => {
            let message = "the host's own Direct Line does not have this call";
            Err(HttpError::new(StatusCode::NOT_IMPLEMENTED, code::NOT_FOUND, message))
        }
    }
}

/// Returns the answer of the channel as it is.
fn answer(relayed: Relayed) -> Result<Response, HttpError> {
    let status = StatusCode::from_u16(relayed.status).map_err(HttpError::internal)?;
    let mut response = (status, Body::from(relayed.body)).into_response();
    let headers = response.headers_mut();
    let given = [(CONTENT_TYPE, relayed.content_type), (RETRY_AFTER, relayed.retry_after)];
    for (name, value) in given {
        match value {
            Some(value) => headers.insert(name, value),
            None => headers.remove(name),
        };
    }
    Ok(response)
}
