//! The connector's REST API as a client: activities leave to the `serviceUrl` of the activity that caused them.
//!
//! Facts: `protocol/http.md` §2. This release sends no credentials, so it talks to configured loopback origins only.

mod origin;
mod refused;
mod reply;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, redirect, retry};
use serde_json::Value;
use url::Url;

use super::{Address, Channel, ChannelError, Opened, RefusedOrigin};
use crate::activity::Object;
use crate::config;
use origin::{Loopback, NotAdmitted, Origins};
use refused::RefusedOrigins;

/// Sends activities to connectors on the wire.
pub struct Connector {
    client: Client,
    origins: Origins,
    refused: RefusedOrigins,
}

/// Checks that calls can go to a `serviceUrl`: an absolute `http` or `https` URL to which a path can be added. Whether they
/// may is [`Channel::admits`].
///
/// # Errors
/// What is wrong with it, in words fit for its sender.
pub fn check_service_url(service_url: &str) -> Result<(), String> {
    origin::usable(service_url).map(drop)
}

/// The longest wait for a connection. Below the whole call's time, so that a peer that cannot be reached is told apart
/// from one that took the activity and is silent.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(3);

/// Shorter than servers usually keep an idle connection (5 s in Node): a connection that the peer closes just while it is
/// used again would leave it open whether the activity arrived.
const IDLE_CONNECTION_MAX: Duration = Duration::from_secs(2);

/// Everything but the unreserved characters of RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Connector {
    /// Makes a client that may reach `channel.connector-origins`, but none of `own`, the host's listeners.
    ///
    /// Fails if an origin is malformed or not on loopback.
    pub fn new(channel: &config::Channel, own: Vec<SocketAddr>) -> anyhow::Result<Self> {
        let client = Client::builder()
            .user_agent(concat!("Turntable/", env!("CARGO_PKG_VERSION"), " (Activity protocol connector)"))
            // No answer is uncompressed here: it could be far larger than what was received.
            .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]))
            // A redirect could lead anywhere, and would turn a POST into a GET.
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .dns_resolver(Arc::new(Loopback))
            .connect_timeout(CONNECT_TIMEOUT_MAX.min(channel.send_timeout / 2))
            .timeout(channel.send_timeout)
            .pool_idle_timeout(IDLE_CONNECTION_MAX)
            .build()
            .context("the HTTP client of the connector cannot be made")?;
        let origins = Origins::new(&channel.connector_origins, own)?;
        Ok(Self { client, origins, refused: RefusedOrigins::default() })
    }

    async fn call(
        &self,
        method: Method,
        to: &Address,
        activity_id: &str,
        activity: Option<&Object>,
    ) -> Result<Arc<str>, ChannelError> {
        let conversation: &str = &to.conversation.conversation;
        let url = self.url(to, &["v3", "conversations", conversation, "activities", activity_id])?;
        let mut request = self.client.request(method, url);
        // The header routes calls in some deployments; an id that no header can carry goes without.
        if let Ok(conversation) = HeaderValue::from_str(&to.conversation.conversation) {
            request = request.header("x-ms-conversation-id", conversation);
        }
        if let Some(activity) = activity {
            request = with_body(request, activity)?;
        }
        match request.send().await {
            Ok(response) => reply::read(response).await,
            Err(error) => Err(reply::failure(&error)),
        }
    }

    /// Returns where a call goes; an empty last segment means the list that it would be in.
    fn url(&self, to: &Address, path: &[&str]) -> Result<Url, ChannelError> {
        let base = self.origins.admit(&to.service_url).map_err(|not_admitted| {
            if let NotAdmitted::Origin { origin, why } = &not_admitted {
                self.refused.note(&to.conversation.bot, origin.clone(), why);
            }
            refused(not_admitted.why())
        })?;
        let mut text = base.as_str().trim_end_matches('/').to_owned();
        for &segment in path {
            // URL parsers take these for steps in the path even when percent-encoded, so no request can carry them.
            if matches!(segment, "." | "..") {
                return Err(refused(format!("the id \"{segment}\" cannot stand in a URL")));
            }
            if !segment.is_empty() {
                text.push('/');
                text.extend(utf8_percent_encode(segment, SEGMENT));
            }
        }
        Url::parse(&text).map_err(|error| refused(format!("serviceUrl makes no URL: {error}")))
    }
}

#[async_trait]
impl Channel for Connector {
    fn admits(&self, service_url: &str) -> bool {
        self.origins.admit(service_url).is_ok()
    }

    fn refused_origins(&self, bot: &str) -> Vec<RefusedOrigin> {
        self.refused.of(bot)
    }

    async fn open(&self, at: &Address, parameters: &Object) -> Result<Opened, ChannelError> {
        let request = self.client.post(self.url(at, &["v3", "conversations"])?);
        match with_body(request, parameters)?.send().await {
            Ok(response) => reply::read_opened(response).await,
            Err(error) => Err(reply::failure(&error)),
        }
    }

    async fn send(&self, to: &Address, activity: &Object) -> Result<Arc<str>, ChannelError> {
        let reply_to = activity.get("replyToId").and_then(Value::as_str).unwrap_or_default();
        self.call(Method::POST, to, reply_to, Some(activity)).await
    }

    async fn update(&self, to: &Address, id: &str, activity: &Object) -> Result<(), ChannelError> {
        self.call(Method::PUT, to, named(id)?, Some(activity)).await.map(drop)
    }

    async fn delete(&self, to: &Address, id: &str) -> Result<(), ChannelError> {
        self.call(Method::DELETE, to, named(id)?, None).await.map(drop)
    }
}

fn with_body(request: RequestBuilder, body: &Object) -> Result<RequestBuilder, ChannelError> {
    let body = serde_json::to_vec(body).map_err(|error| refused(format!("not serializable: {error}")))?;
    Ok(request.header(CONTENT_TYPE, "application/json; charset=utf-8").body(body))
}

/// Checks that an update or delete names an activity: without one it would be a call on the whole conversation.
fn named(id: &str) -> Result<&str, ChannelError> {
    if id.is_empty() { Err(refused("the id of the activity is empty".to_owned())) } else { Ok(id) }
}

fn refused(why: String) -> ChannelError {
    ChannelError::Refused { status: None, why }
}

#[cfg(test)]
mod tests;
