//! Where activities leave: one narrow trait, one implementation per kind of peer.

pub mod connector;
pub mod directline;
pub mod recorder;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::activity::{ConversationKey, Object};

/// Where a conversation is reached.
#[derive(Debug, Clone)]
pub struct Address {
    /// The conversation.
    pub conversation: ConversationKey,
    /// `serviceUrl` of the activity that opened or continued it.
    pub service_url: Arc<str>,
}

/// A conversation that a channel opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Its id, never empty.
    pub conversation: Arc<str>,
    /// Where it is reached, if the channel says so.
    pub service_url: Option<Arc<str>>,
}

/// An origin to which replies of a bot were not sent, because the configuration does not allow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedOrigin {
    /// Scheme, host and port of the `serviceUrl`.
    pub origin: String,
    /// Which setting refuses it.
    pub why: String,
    /// How many calls were refused since the start of the host.
    pub count: u64,
    /// When the last one was refused, RFC 3339.
    pub last: String,
}

/// A peer that takes activities. Calls for one conversation come one after the other; the implementation need not order.
#[async_trait]
pub trait Channel: Send + Sync {
    /// Whether activities may go to this `serviceUrl` at all. What may not is never kept as the way to a conversation.
    fn admits(&self, _service_url: &str) -> bool {
        true
    }

    /// Origins to which nothing of a bot was sent because [`Channel::admits`] says no, those refused most often first.
    fn refused_origins(&self, _bot: &str) -> Vec<RefusedOrigin> {
        Vec::new()
    }

    /// Opens a conversation by the protocol's `ConversationParameters`. `at` says how another with the same user is reached.
    async fn open(&self, at: &Address, _parameters: &Object) -> Result<Opened, ChannelError> {
        let why = format!("on {} conversations are opened by their users only", at.conversation.channel);
        Err(ChannelError::Refused { status: None, why })
    }

    /// Delivers a new activity and returns the channel's id, empty where it gives none. All ids in it are the channel's.
    async fn send(&self, to: &Address, activity: &Object) -> Result<Arc<str>, ChannelError>;

    /// Replaces the activity with the channel's id `id`.
    async fn update(&self, to: &Address, id: &str, activity: &Object) -> Result<(), ChannelError>;

    /// Deletes the activity with the channel's id `id`.
    async fn delete(&self, to: &Address, id: &str) -> Result<(), ChannelError>;
}

/// Why a channel did not take an activity. The texts are for operators: no activity content, no secrets.
#[derive(Debug, Clone)]
pub enum ChannelError {
    /// The channel said no, and would say no again.
    Refused {
        /// HTTP status, where there is one.
        status: Option<u16>,
        /// What it said, shortened.
        why: String,
    },
    /// It certainly was not delivered, because the channel takes too much at the moment; trying again later is safe.
    Throttled {
        /// What it said, shortened.
        why: String,
        /// When the channel asked to try again.
        retry_after: Option<Duration>,
    },
    /// It certainly was not delivered; trying again is safe.
    NotDelivered {
        /// What happened.
        why: String,
        /// When the channel asked to try again.
        retry_after: Option<Duration>,
    },
    /// It may have been delivered (timeout, 5xx after the body was sent): trying again may duplicate it.
    Ambiguous {
        /// What happened.
        why: String,
        /// When the channel asked to try again.
        retry_after: Option<Duration>,
    },
}

impl std::fmt::Display for ChannelError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused { status: Some(status), why } => write!(f, "refused with {status}: {why}"),
            Self::Refused { status: None, why } => write!(f, "refused: {why}"),
            Self::Throttled { why, .. } | Self::NotDelivered { why, .. } => write!(f, "not delivered: {why}"),
            Self::Ambiguous { why, .. } => write!(f, "perhaps delivered: {why}"),
        }
    }
}

impl std::error::Error for ChannelError {}

impl ChannelError {
    /// Adds to the text what became of the delivery.
    pub(crate) fn and(mut self, what: &str) -> Self {
        let (Self::Refused { why, .. }
        | Self::Throttled { why, .. }
        | Self::NotDelivered { why, .. }
        | Self::Ambiguous { why, .. }) = &mut self;
        why.push_str("; ");
        why.push_str(what);
        self
    }
}

#[cfg(test)]
pub(crate) mod testing;
