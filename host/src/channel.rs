//! How activities leave the host: one trait, with one implementation per kind of peer.

pub mod bridge;
pub mod connector;
pub mod directline;
pub mod recorder;
pub(crate) mod stream;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use url::Url;

use self::stream::RefusedPart;
use crate::activity::{ConversationKey, Object};
use crate::json;

/// The address of a conversation.
#[derive(Debug, Clone)]
pub struct Address {
    /// The conversation.
    pub conversation: ConversationKey,
    /// `serviceUrl` of the activity that began or continued the conversation.
    pub service_url: Arc<str>,
}

impl Address {
    /// Returns the peers without which no call to this address succeeds: what issues the tokens of the bot, and the origin of
    /// the connector.
    pub(crate) fn peers(&self) -> [Arc<str>; 2] {
        [self.token_issuer(), self.origin()]
    }

    /// Returns what issues the tokens of the bot, for operators.
    pub(crate) fn token_issuer(&self) -> Arc<str> {
        format!("token issuer of bot {}", self.conversation.bot).into()
    }

    /// Returns scheme, host and port of the connector, or `""` if the `serviceUrl` is not a URL.
    pub(crate) fn origin(&self) -> Arc<str> {
        Url::parse(&self.service_url).map(|url| url.origin().ascii_serialization()).unwrap_or_default().into()
    }
}

/// A conversation that a channel created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// `id` of the conversation, never empty.
    pub conversation: Arc<str>,
    /// `serviceUrl` of the conversation, if the channel returned one.
    pub service_url: Option<Arc<str>>,
}

/// A call of the connector's REST API that the host passes on as it is.
#[derive(Debug, Clone)]
pub struct Relay {
    /// The method.
    pub method: http::Method,
    /// The segments of the path below the `serviceUrl`, decoded.
    pub path: Vec<String>,
    /// The query, encoded.
    pub query: Option<String>,
    /// The body: JSON, or empty.
    pub body: Bytes,
}

/// The answer to a [`Relay`], whatever its status.
#[derive(Debug, Clone)]
pub struct Relayed {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<http::HeaderValue>,
    /// `Retry-After`.
    pub retry_after: Option<http::HeaderValue>,
    /// The body.
    pub body: Bytes,
}

/// An origin to which replies of a bot were not sent, because the configuration does not allow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedOrigin {
    /// Scheme, host and port of the `serviceUrl`.
    pub origin: String,
    /// The reason, with the name of the setting.
    pub why: String,
    /// Number of refused calls since the start of the host.
    pub count: u64,
    /// Time of the last refused call, RFC 3339.
    pub last: String,
}

/// A peer that receives activities. The caller makes the calls for one conversation one after the other, so an
/// implementation need not order them.
#[async_trait]
pub trait Channel: Send + Sync {
    /// Returns whether activities of a conversation may be sent to this `serviceUrl`. An address that is not admitted is never stored.
    fn admits(&self, _conversation: &ConversationKey, _service_url: &str) -> bool {
        true
    }

    /// Returns the origins that [`Channel::admits`] refused for a bot, the most frequent first.
    fn refused_origins(&self, _bot: &str) -> Vec<RefusedOrigin> {
        Vec::new()
    }

    /// Creates a conversation from the protocol's `ConversationParameters`. `at` is the address of an existing
    /// conversation on the same channel.
    async fn open(&self, at: &Address, _parameters: &Object) -> Result<Opened, ChannelError> {
        let why = format!("on {} only users can begin conversations", at.conversation.channel);
        Err(ChannelError::Refused { status: None, fault: None, why })
    }

    /// Passes a call of the connector's REST API on, and returns the answer.
    async fn relay(&self, at: &Address, _call: Relay) -> Result<Relayed, ChannelError> {
        let why = format!("{} has no connector for this call", at.conversation.channel);
        Err(ChannelError::Refused { status: Some(501), fault: None, why })
    }

    /// Sends a new activity and returns the channel's id of it, or `""` if the channel returns none. All ids within
    /// `activity`, a JSON object as text, must be ids of the channel.
    async fn send(&self, to: &Address, activity: &Arc<str>) -> Result<Arc<str>, ChannelError>;

    /// Replaces the activity with this channel id.
    async fn update(&self, to: &Address, id: &str, activity: &Arc<str>) -> Result<(), ChannelError>;

    /// Deletes the activity with this channel id.
    async fn delete(&self, to: &Address, id: &str) -> Result<(), ChannelError>;
}

/// Causes of a refusal that a bot author or an operator can act on. A channel that limits the rate is
/// [`ChannelError::Throttled`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The user or an administrator has blocked the bot.
    Blocked,
    /// The bot is not a member of the conversation.
    NotInRoster,
    /// The activity is larger than the channel takes.
    TooLarge,
    /// The conversation does not exist any more.
    Gone,
    /// The channel does not take this part of a stream.
    Stream(RefusedPart),
}

impl Fault {
    /// Returns the name in logs, dead letters and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::NotInRoster => "not-in-roster",
            Self::TooLarge => "too-large",
            Self::Gone => "gone",
            Self::Stream(_) => "stream-refused",
        }
    }
}

/// Why a channel did not take an activity. The texts are for operators and contain no activity content and no secrets.
#[derive(Debug, Clone)]
pub enum ChannelError {
    /// The channel rejected the activity and would reject it again.
    Refused {
        /// HTTP status, if there is one.
        status: Option<u16>,
        /// The cause, if it is one that somebody can act on.
        fault: Option<Fault>,
        /// The response of the channel, shortened.
        why: String,
    },
    /// The activity was certainly not delivered, because the channel limits the rate. A retry is safe.
    Throttled {
        /// The response of the channel, shortened.
        why: String,
        /// The time after which the channel asks for a retry.
        retry_after: Option<Duration>,
    },
    /// The activity was certainly not delivered, because a peer that the call needs cannot be reached. A retry is safe.
    Unreachable {
        /// The peer, a connector or an issuer of tokens.
        peer: Arc<str>,
        /// The cause.
        why: String,
    },
    /// The activity may have been delivered (timeout, or 5xx after the body was sent). A retry may duplicate it.
    Ambiguous {
        /// The cause.
        why: String,
        /// The time after which the channel asks for a retry.
        retry_after: Option<Duration>,
    },
}

impl std::fmt::Display for ChannelError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused { status: Some(status), fault: Some(fault), why } => {
                write!(f, "refused with {status} ({}): {why}", fault.name())
            }
            Self::Refused { status: None, fault: Some(fault), why } => write!(f, "refused ({}): {why}", fault.name()),
            Self::Refused { status: Some(status), fault: None, why } => write!(f, "refused with {status}: {why}"),
            Self::Refused { status: None, fault: None, why } => write!(f, "refused: {why}"),
            Self::Throttled { why, .. } | Self::Unreachable { why, .. } => write!(f, "not delivered: {why}"),
            Self::Ambiguous { why, .. } => write!(f, "may have been delivered: {why}"),
        }
    }
}

impl std::error::Error for ChannelError {}

impl ChannelError {
    /// Appends a sentence to the text of the error.
    pub(crate) fn and(mut self, what: &str) -> Self {
        let (Self::Refused { why, .. }
        | Self::Throttled { why, .. }
        | Self::Unreachable { why, .. }
        | Self::Ambiguous { why, .. }) = &mut self;
        why.push_str("; ");
        why.push_str(what);
        self
    }
}

/// Returns the id of the activity that an activity answers, without reading the rest of it. None: it answers none.
pub(crate) fn replied_to(activity: &str) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Reply {
        reply_to_id: Option<String>,
    }
    let reply: Reply = serde_json::from_str(activity).ok()?;
    reply.reply_to_id.filter(|id| !id.is_empty())
}

/// Reads an activity that the host wrote, for a channel that adds something to it.
fn read(activity: &str) -> Result<Object, ChannelError> {
    json::object(activity).map_err(|error| ChannelError::Refused {
        status: None,
        fault: None,
        why: format!("the activity is not a JSON object: {error}"),
    })
}

#[cfg(test)]
pub(crate) mod testing;
