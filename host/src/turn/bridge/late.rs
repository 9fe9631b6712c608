//! What a bridged bot does outside of its turns: late replies and proactive messages.
//!
//! Each is a notification with the mode `now`: stored before the bot gets its answer, and performed in an internal turn of the
//! conversation, after the turns that wait there. The bot gets the host id at once, which the notification carries.

use std::sync::Arc;

use serde_json::{Value, json};
use ulid::Ulid;

use super::Change;
use crate::activity::{ConversationKey, Object};
use crate::config::Bridge;
use crate::plugin::{Failure, Fault};
use crate::storage::StorageError;
use crate::storage::notifications::{Mode, WAITING_MAX};
use crate::turn::hooks::{HOST, Unsent};
use crate::turn::outgoing::{checked_of_guest, string};
use crate::turn::proactive::{Content, from_operator};
use crate::turn::{Turn, TurnError, Turns};

/// A change outside of a turn, as a notification brings it.
#[derive(Debug, Clone, PartialEq)]
pub struct Late {
    /// The id of what is sent, updated or deleted.
    pub(in crate::turn) id: Arc<str>,
    kind: Kind,
    /// The activity; empty for a deletion.
    activity: Object,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Send,
    Update,
    Delete,
}

/// Why a late change was not taken. Nothing of it was stored.
#[derive(Debug)]
pub enum NotTaken {
    /// The bot has not met the conversation on this channel.
    Unknown,
    /// The channel takes nothing for the conversation any more.
    Gone,
    /// The conversation has no such activity.
    NoActivity,
    /// So many notifications wait in the conversation.
    Throttled(usize),
    /// The activity is not one.
    Invalid(Fault),
    /// The store failed.
    Storage(StorageError),
}

impl From<StorageError> for NotTaken {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl Late {
    fn of(change: &Change, bridge: &Bridge) -> Result<Self, Fault> {
        let read = |text: &str| checked_of_guest(text, &bridge.limits);
        Ok(match change {
            Change::Send { activity, reply_to } => {
                let mut activity = read(activity)?;
                if string(&activity, "replyToId").is_empty() && !reply_to.is_empty() {
                    activity.insert("replyToId".to_owned(), (**reply_to).into());
                }
                Self { id: format!("tt-{}", Ulid::new()).into(), kind: Kind::Send, activity }
            }
            Change::Update { id, activity } => Self { id: id.clone(), kind: Kind::Update, activity: read(activity)? },
            Change::Delete(id) => Self { id: id.clone(), kind: Kind::Delete, activity: Object::new() },
        })
    }

    /// Reads what [`Late::value`] returned.
    pub(in crate::turn) fn read(value: &Value) -> Result<Self, String> {
        let kind = match value["kind"].as_str() {
            Some("send") => Kind::Send,
            Some("update") => Kind::Update,
            Some("delete") => Kind::Delete,
            _ => return Err("`bridged` has no `kind` that this host knows".to_owned()),
        };
        let id = value["id"].as_str().unwrap_or_default().into();
        Ok(Self { id, kind, activity: value["activity"].as_object().cloned().unwrap_or_default() })
    }

    /// Returns the JSON that is stored.
    pub(in crate::turn) fn value(&self) -> Value {
        let kind = match self.kind {
            Kind::Send => "send",
            Kind::Update => "update",
            Kind::Delete => "delete",
        };
        let mut value = json!({ "kind": kind, "id": &*self.id });
        value["activity"] = self.activity.clone().into();
        value
    }
}

impl Turns {
    /// Takes a change of a bridged bot for which no turn waits. It happens even if this process ends. Returns the id of the
    /// activity.
    ///
    /// # Errors
    /// The change cannot be made, or cannot be stored.
    pub async fn take_late(
        self: &Arc<Self>,
        bridge: &Bridge,
        conversation: ConversationKey,
        change: &Change,
    ) -> Result<Arc<str>, NotTaken> {
        let storage = &self.services.storage;
        let late = Late::of(change, bridge).map_err(NotTaken::Invalid)?;
        let reference = storage.reference(&conversation).await?.ok_or(NotTaken::Unknown)?;
        if reference.gone.is_some() {
            return Err(NotTaken::Gone);
        }
        let waiting = storage.waiting(&conversation).await?;
        if waiting >= WAITING_MAX {
            return Err(NotTaken::Throttled(WAITING_MAX));
        }
        // An activity that waits to be sent is not known yet.
        let is_known = async || Ok::<_, StorageError>(storage.channel_id(&conversation, &late.id).await?.is_some());
        if late.kind != Kind::Send && late.id.starts_with("tt-") && waiting == 0 && !is_known().await? {
            return Err(NotTaken::NoActivity);
        }
        let id = late.id.clone();
        let mut notification = from_operator(conversation, Mode::Now, &Content::Bridged(late));
        notification.sender = bridge.name.clone();
        storage.add_notification(notification.clone()).await?;
        if let Err(refusal) = self.begin(notification, Ulid::new().to_string().into()).await {
            tracing::debug!(?refusal, "a late message of a bridged bot waits");
            self.wake_scheduler();
        }
        Ok(id)
    }
}

impl Turn {
    /// Performs a late change of the bridged bot.
    pub(in crate::turn) async fn bring_late(&mut self, sender: &Arc<str>, late: Late) -> Result<(), TurnError> {
        let layers = self.effects.hooks.layers();
        let done = match late.kind {
            Kind::Send => self.effects.send_as(late.id, layers, sender, late.activity, false).await.map(drop),
            Kind::Update => self.effects.update(layers, sender, &late.id, late.activity).await,
            Kind::Delete => self.effects.delete(layers, sender, &late.id).await,
        };
        done.map_err(|unsent| match unsent {
            Unsent::Hook { plugin, failure } => TurnError::Plugin { plugin, failure },
            // A fault is about this change alone. As a failure of the host, it would be tried for ever.
            Unsent::Fault(fault) => {
                let plugin = if sender.is_empty() { HOST.into() } else { sender.clone() };
                TurnError::Plugin { plugin, failure: Failure::Fault(fault) }
            }
        })
    }
}
