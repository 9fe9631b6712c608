//! Client of the connector's REST API, which takes activities at the `serviceUrl` of the activity that they answer.
//!
//! | call | request | success |
//! | --- | --- | --- |
//! | create a conversation | `POST v3/conversations` | `{id, activityId?, serviceUrl?}` |
//! | send | `POST v3/conversations/{conversation}/activities` | `{id}` |
//! | reply | `POST v3/conversations/{conversation}/activities/{activity}` | `{id}` |
//! | update | `PUT v3/conversations/{conversation}/activities/{activity}` | `{id}` |
//! | delete | `DELETE v3/conversations/{conversation}/activities/{activity}` | empty |
//!
//! All ids are percent-encoded. The status of a success is 200, 201 or 202, and its body may be empty. A POST has no
//! idempotency key, so a timeout or 5xx leaves open whether the activity was delivered. This release sends no
//! credentials, so it calls configured loopback origins only.

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
use url::Url;

use super::{Address, Channel, ChannelError, Opened, RefusedOrigin};
use crate::activity::Object;
use crate::config;
use origin::{Loopback, NotAdmitted, Origins};
use refused::RefusedOrigins;

/// Sends activities to connectors.
pub struct Connector {
    client: Client,
    origins: Origins,
    refused: RefusedOrigins,
}

/// Checks that a `serviceUrl` can be called: an absolute `http` or `https` URL that a path can be appended to. Whether
/// the configuration allows the call is decided by [`Channel::admits`].
///
/// # Errors
/// A text for the sender of the `serviceUrl` that says what is wrong.
pub fn check_service_url(service_url: &str) -> Result<(), String> {
    origin::usable(service_url).map(drop)
}

/// Maximum time to establish a connection. It is shorter than the time of the whole call, so that an unreachable peer
/// can be told from one that took the activity and did not answer.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(3);

/// Idle time after which a connection is closed. It is shorter than the idle time of usual servers (5 s in Node): if
/// the peer closed a connection while a request is sent on it, it would be unknown whether the activity arrived.
const IDLE_CONNECTION_MAX: Duration = Duration::from_secs(2);

/// All characters except the unreserved ones of RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Connector {
    /// Returns a client that may call `channel.connector-origins`, but never `own`, the listeners of this host.
    ///
    /// # Errors
    /// An origin is malformed or not on loopback, or the HTTP client cannot be created.
    pub fn new(channel: &config::Channel, own: Vec<SocketAddr>) -> anyhow::Result<Self> {
        let client = Client::builder()
            .user_agent(concat!("Turntable/", env!("CARGO_PKG_VERSION"), " (Activity protocol connector)"))
            // Responses are not decompressed, because the result could be far larger than what was received.
            .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]))
            // A redirect could lead to any host, and would turn a POST into a GET.
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .dns_resolver(Arc::new(Loopback))
            .connect_timeout(CONNECT_TIMEOUT_MAX.min(channel.send_timeout / 2))
            .timeout(channel.send_timeout)
            .pool_idle_timeout(IDLE_CONNECTION_MAX)
            .build()
            .context("cannot create the HTTP client of the connector")?;
        let origins = Origins::new(&channel.connector_origins, own)?;
        Ok(Self { client, origins, refused: RefusedOrigins::default() })
    }

    async fn call(
        &self,
        method: Method,
        to: &Address,
        activity_id: &str,
        activity: Option<&Arc<str>>,
    ) -> Result<Arc<str>, ChannelError> {
        let conversation: &str = &to.conversation.conversation;
        let url = self.url(to, &["v3", "conversations", conversation, "activities", activity_id])?;
        let mut request = self.client.request(method, url);
        // Some deployments route by this header. It is left out if the id contains characters that a header cannot
        // carry.
        if let Ok(conversation) = HeaderValue::from_str(&to.conversation.conversation) {
            request = request.header("x-ms-conversation-id", conversation);
        }
        if let Some(activity) = activity {
            request = with_body(request, activity.to_string());
        }
        match request.send().await {
            Ok(response) => reply::read(response).await,
            Err(error) => Err(reply::failure(&error)),
        }
    }

    /// Returns the URL of a call. An empty last segment is left out, which gives the URL of the collection.
    fn url(&self, to: &Address, path: &[&str]) -> Result<Url, ChannelError> {
        let base = self.origins.admit(&to.service_url).map_err(|not_admitted| {
            if let NotAdmitted::Origin { origin, why } = &not_admitted {
                self.refused.note(&to.conversation.bot, origin.clone(), why);
            }
            refused(not_admitted.why())
        })?;
        let mut text = base.as_str().trim_end_matches('/').to_owned();
        for &segment in path {
            // URL parsers resolve these as path steps even if they are percent-encoded, so they cannot be sent.
            if matches!(segment, "." | "..") {
                return Err(refused(format!("the id \"{segment}\" cannot be part of a URL")));
            }
            if !segment.is_empty() {
                text.push('/');
                text.extend(utf8_percent_encode(segment, SEGMENT));
            }
        }
        Url::parse(&text).map_err(|error| refused(format!("serviceUrl cannot be extended to a URL: {error}")))
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
        let parameters = serde_json::to_string(parameters)
            .map_err(|error| refused(format!("the parameters cannot be serialized: {error}")))?;
        match with_body(request, parameters).send().await {
            Ok(response) => reply::read_opened(response).await,
            Err(error) => Err(reply::failure(&error)),
        }
    }

    async fn send(&self, to: &Address, activity: &Arc<str>) -> Result<Arc<str>, ChannelError> {
        let reply_to = super::replied_to(activity).unwrap_or_default();
        self.call(Method::POST, to, &reply_to, Some(activity)).await
    }

    async fn update(&self, to: &Address, id: &str, activity: &Arc<str>) -> Result<(), ChannelError> {
        self.call(Method::PUT, to, named(id)?, Some(activity)).await.map(drop)
    }

    async fn delete(&self, to: &Address, id: &str) -> Result<(), ChannelError> {
        self.call(Method::DELETE, to, named(id)?, None).await.map(drop)
    }
}

fn with_body(request: RequestBuilder, body: String) -> RequestBuilder {
    request.header(CONTENT_TYPE, "application/json; charset=utf-8").body(body)
}

/// Checks the id of an update or delete. With an empty id the call would apply to the whole conversation.
fn named(id: &str) -> Result<&str, ChannelError> {
    if id.is_empty() { Err(refused("the id of the activity is empty".to_owned())) } else { Ok(id) }
}

fn refused(why: String) -> ChannelError {
    ChannelError::Refused { status: None, why }
}

#[cfg(test)]
mod tests;
