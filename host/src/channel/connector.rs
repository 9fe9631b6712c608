//! Client of the connector's REST API, which takes activities at the `serviceUrl` of the activity that they answer.
//!
//! | call | request | success |
//! | --- | --- | --- |
//! | create a conversation | `POST v3/conversations` | `{id, activityId?, serviceUrl?}` |
//! | send | `POST v3/conversations/{conversation}/activities` | `{id}` |
//! | reply | `POST v3/conversations/{conversation}/activities/{activity}` | `{id}` |
//! | update | `PUT v3/conversations/{conversation}/activities/{activity}` | `{id}` |
//! | delete | `DELETE v3/conversations/{conversation}/activities/{activity}` | empty |
//! | of a bridged bot | as it is | any |
//!
//! All ids are percent-encoded. The status of a success is 200, 201 or 202, and its body may be empty. A POST has no
//! idempotency key, so a timeout or 5xx leaves open whether the activity was delivered.
//!
//! Bots with an app id send their token, to origins that a channel proved or the configuration lists (crate
//! `turntable-auth`). After a 401 the call is made once more with a new token. Bots without one send no credentials, so they
//! call configured loopback origins only.

mod origin;
mod patience;
mod refused;
mod reply;
mod size;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, StatusCode, redirect, retry};
use turntable_auth::{Auth, Identity};
use url::Url;

use super::{Address, Channel, ChannelError, Opened, RefusedOrigin, Relay, Relayed};
use crate::activity::{ConversationKey, Object};
use crate::config;
use origin::{Loopback, NotAdmitted, Origins};
use patience::Patience;
use refused::RefusedOrigins;
use reply::Answer;

/// Sends activities to connectors.
pub struct Connector {
    client: Client,
    origins: Origins,
    refused: RefusedOrigins,
    auth: Option<Arc<Auth>>,
    /// By bot, the client of its present identity.
    clients: Mutex<HashMap<Arc<str>, IdentityClient>>,
    send_timeout: Duration,
}

/// The client of an identity, which knows whose it is.
type IdentityClient = (Arc<Identity>, Client);

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
    /// Returns a client that may call `channel.connector-origins`, but never `own`, the listeners of this host. Bots with
    /// an identity in `auth` call what that allows instead.
    ///
    /// # Errors
    /// An origin is malformed or not on loopback, or the HTTP client cannot be created.
    pub fn new(channel: &config::Channel, own: Vec<SocketAddr>, auth: Option<Arc<Auth>>) -> anyhow::Result<Self> {
        let client = Client::builder()
            // Responses are not decompressed, because the result could be far larger than what was received.
            .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]))
            // A redirect could lead to any host, and would turn a POST into a GET.
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .dns_resolver(Arc::new(Loopback));
        let client = settled(client, channel.send_timeout)?;
        let origins = Origins::new(&channel.connector_origins, own)?;
        let (refused, clients) = (RefusedOrigins::default(), Mutex::default());
        Ok(Self { client, origins, refused, auth, clients, send_timeout: channel.send_timeout })
    }

    async fn call(
        &self,
        method: Method,
        to: &Address,
        activity_id: &str,
        activity: Option<&Arc<str>>,
    ) -> Result<Arc<str>, ChannelError> {
        let conversation: &str = &to.conversation.conversation;
        let path = ["v3", "conversations", conversation, "activities", activity_id];
        let body = activity.map(|activity| size::checked(activity, &to.conversation.channel)).transpose()?;
        reply::read(self.exchange(method, to, &path, None, body).await?).await
    }

    /// Makes a call and returns the response, whatever its status. With an identity, a 401 is answered by a second call
    /// with a new token.
    async fn exchange(
        &self,
        method: Method,
        to: &Address,
        path: &[&str],
        query: Option<&str>,
        body: Option<Bytes>,
    ) -> Result<Answer, ChannelError> {
        let identity = self.identity(&to.conversation.bot);
        let mut url = self.url(to, identity.as_deref(), path)?;
        url.set_query(query);
        let Some(identity) = identity else {
            return self.sent(self.client.request(method, url), to, path, body).await;
        };
        let client = self.client_of(&to.conversation.bot, &identity)?;
        let channel = to.conversation.channel.to_string();
        let mut is_second = false;
        loop {
            let request = identity.request(&client, method.clone(), &channel, url.clone()).await;
            let (request, presented) = request.map_err(|error| ChannelError::Unreachable {
                peer: to.token_issuer(),
                why: format!("the bot has no token for the connector: {error:#}"),
            })?;
            let answer = self.sent(request, to, path, body.clone()).await?;
            if answer.response.status() != StatusCode::UNAUTHORIZED || is_second {
                return Ok(answer);
            }
            identity.rejected(&presented).await;
            is_second = true;
        }
    }

    async fn sent(
        &self,
        mut request: RequestBuilder,
        to: &Address,
        path: &[&str],
        body: Option<Bytes>,
    ) -> Result<Answer, ChannelError> {
        // Some deployments route by this header. It is left out if the id contains characters that a header cannot carry, and
        // for calls that have no conversation yet.
        let conversation = path.get(2).filter(|_| path.get(1) == Some(&"conversations"));
        let conversation = conversation.and_then(|conversation| HeaderValue::from_str(conversation).ok());
        if let Some(conversation) = conversation {
            request = request.header("x-ms-conversation-id", conversation);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json; charset=utf-8").body(body);
        }
        let mut patience = Patience::new(self.send_timeout);
        match patience.wait_for(request.send()).await {
            Some(Ok(response)) => Ok(Answer { response, patience }),
            Some(Err(error)) => Err(reply::failure(&error, to.origin())),
            None => Err(reply::silence()),
        }
    }

    fn identity(&self, bot: &str) -> Option<Arc<Identity>> {
        self.auth.as_ref()?.identity(bot)
    }

    /// Returns the client for an identity, which keeps its connections.
    fn client_of(&self, bot: &Arc<str>, identity: &Arc<Identity>) -> Result<Client, ChannelError> {
        let mut clients = self.clients.lock();
        if let Some((known, client)) = clients.get(bot)
            && Arc::ptr_eq(known, identity)
        {
            return Ok(client.clone());
        }
        let client = settled(identity.http(), self.send_timeout).map_err(|error| refused(format!("{error:#}")))?;
        clients.insert(bot.clone(), (identity.clone(), client.clone()));
        Ok(client)
    }

    /// Returns the base URL of calls, or why the connector may not be called.
    fn base(
        &self,
        conversation: &ConversationKey,
        identity: Option<&Identity>,
        service_url: &str,
    ) -> Result<Url, NotAdmitted> {
        let Some(identity) = identity else { return self.origins.admit(service_url) };
        let url = origin::usable(service_url).map_err(NotAdmitted::Unusable)?;
        match identity.check(&conversation.channel.to_string(), &url) {
            Ok(()) => Ok(url),
            Err(why) => Err(NotAdmitted::Origin { origin: url.origin().ascii_serialization(), why }),
        }
    }

    /// Returns the URL of a call. An empty last segment is left out, which gives the URL of the collection.
    fn url(&self, to: &Address, identity: Option<&Identity>, path: &[&str]) -> Result<Url, ChannelError> {
        let base = self.base(&to.conversation, identity, &to.service_url).map_err(|not_admitted| {
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
    fn admits(&self, conversation: &ConversationKey, service_url: &str) -> bool {
        self.base(conversation, self.identity(&conversation.bot).as_deref(), service_url).is_ok()
    }

    fn refused_origins(&self, bot: &str) -> Vec<RefusedOrigin> {
        self.refused.of(bot)
    }

    async fn open(&self, at: &Address, parameters: &Object) -> Result<Opened, ChannelError> {
        let body = Some(body_of(parameters)?);
        reply::read_opened(self.exchange(Method::POST, at, &["v3", "conversations"], None, body).await?).await
    }

    async fn relay(&self, at: &Address, call: Relay) -> Result<Relayed, ChannelError> {
        let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
        let body = Some(call.body).filter(|body| !body.is_empty());
        reply::relayed(self.exchange(call.method, at, &path, call.query.as_deref(), body).await?).await
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

/// Completes a client with what all calls to connectors have in common.
fn settled(client: ClientBuilder, send_timeout: Duration) -> anyhow::Result<Client> {
    client
        .user_agent(concat!("Turntable/", env!("CARGO_PKG_VERSION"), " (Activity protocol connector)"))
        .connect_timeout(CONNECT_TIMEOUT_MAX.min(send_timeout / 2))
        .pool_idle_timeout(IDLE_CONNECTION_MAX)
        .build()
        .context("cannot create the HTTP client of the connector")
}

fn body_of(parameters: &Object) -> Result<Bytes, ChannelError> {
    let body = serde_json::to_vec(parameters)
        .map_err(|error| refused(format!("the parameters cannot be serialized: {error}")))?;
    Ok(body.into())
}

/// Checks the id of an update or delete. With an empty id the call would apply to the whole conversation.
fn named(id: &str) -> Result<&str, ChannelError> {
    if id.is_empty() { Err(refused("the id of the activity is empty".to_owned())) } else { Ok(id) }
}

fn refused(why: String) -> ChannelError {
    ChannelError::Refused { status: None, fault: None, why }
}

#[cfg(test)]
mod tests;
