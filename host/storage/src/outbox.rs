//! The outbox: what turns send, until the channel has it or it is a dead letter.

use std::sync::Arc;

use crate::StorageError;
use turntable_activity::ConversationKey;

/// One thing that a turn sends.
#[derive(Debug, Clone)]
pub struct OutboxRow {
    /// Position in the conversation's outbox; strictly increasing.
    pub sequence: u64,
    /// The conversation.
    pub conversation: ConversationKey,
    /// Where the channel takes it: `serviceUrl` of the activity that caused it.
    pub service_url: Arc<str>,
    /// The turn that sent it.
    pub turn_id: Arc<str>,
    /// What to do.
    pub action: OutboxAction,
}

/// What an outbox row asks of the channel. Ids may be host ids (`tt-…`) until delivery resolves them.
#[derive(Debug, Clone)]
pub enum OutboxAction {
    /// Deliver a new activity.
    Send {
        /// The host id that the guest got.
        host_id: Arc<str>,
        /// The activity as JSON text, complete but for the channel's ids.
        activity: Arc<str>,
    },
    /// Replace an activity that was sent before.
    Update {
        /// A host id or the channel's id.
        target: Arc<str>,
        /// The new content as JSON text.
        activity: Arc<str>,
    },
    /// Delete an activity that was sent before.
    Delete {
        /// A host id or the channel's id.
        target: Arc<str>,
    },
}

/// How the delivery of a row ended.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// The channel took it. The id is the channel's for a send, empty where it gave none.
    Done {
        /// The channel's id.
        channel_id: Arc<str>,
    },
    /// It will not be delivered. The row becomes a dead letter.
    Dead {
        /// Why, fit for an operator; no activity text.
        why: String,
        /// Whether the channel takes nothing for the conversation any more.
        gone: bool,
    },
}

impl Delivery {
    /// The channel's id, empty where there is none.
    pub(crate) fn channel_id(&self) -> Arc<str> {
        match self {
            Self::Done { channel_id } => channel_id.clone(),
            Self::Dead { .. } => "".into(),
        }
    }
}

/// A dead letter that was deleted because newer ones needed its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedLetter {
    /// The conversation.
    pub conversation: ConversationKey,
    /// Its number.
    pub sequence: u64,
}

/// The undelivered rows that bound what a turn may add, before it adds any.
#[derive(Debug, Clone, Default)]
pub struct OutboxUse {
    /// Rows of all bots.
    pub all: usize,
    /// Rows of the bot.
    pub bot: usize,
    /// Rows of the conversation.
    pub conversation: usize,
    /// The bot with the most rows, and how many.
    pub largest: Option<(Arc<str>, usize)>,
}

impl OutboxUse {
    /// Decides whether a turn may add rows.
    ///
    /// A bot may have at most as many undelivered rows as are still free for all, and a conversation at most as many as
    /// are still free for its bot. A bot that sends to a dead channel therefore takes half of the rows, two take a
    /// third each, and whatever they do there is room for a bot and for a conversation that has no undelivered rows.
    ///
    /// # Errors
    /// [`StorageError::Full`], which names the bound and the bot with the most rows.
    pub fn admit(&self, of: &ConversationKey, adds: usize, max: usize) -> Result<(), StorageError> {
        let free = max.saturating_sub(self.all);
        let free_of_bot = free.saturating_sub(self.bot);
        let (whose, has, share) = if self.bot + adds > free {
            (format!("bot `{}`", of.bot), self.bot, free)
        } else if self.conversation + adds > free_of_bot {
            (format!("a conversation of bot `{}`", of.bot), self.conversation, free_of_bot)
        } else {
            return Ok(());
        };
        let largest = self.largest.as_ref().map(|(bot, rows)| format!("; most are of bot `{bot}`: {rows}"));
        Err(StorageError::Full(format!(
            "{whose} has {has} undelivered sends and this turn adds {adds}, but its share is {share}; {} of \
             channel.outbox-rows-max ({max}) are taken{}",
            self.all,
            largest.unwrap_or_default()
        )))
    }
}

/// A row that could not be delivered, kept for the operator.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The row.
    pub row: OutboxRow,
    /// Why it could not be delivered.
    pub why: String,
    /// When it was given up, milliseconds since 1970.
    pub at_ms: u64,
}
