//! What a turn stages to be sent, and the answer to an invoke.

use std::sync::Arc;

use serde_json::Value;

use super::Staging;
use crate::activity::Object;
use crate::budget;
use crate::channel::stream::stream_info;
use crate::config::Limits;
use crate::json;
use crate::plugin::Fault;
use crate::storage::{Answer, OutboxAction, StorageError};
use crate::turn::address::address;
use crate::turn::outgoing::{self, string};

/// Something that leaves when the turn is committed. Savepoints share the activities.
#[derive(Debug, Clone)]
pub(in crate::turn) enum Staged {
    Send { host_id: Arc<str>, activity: Arc<Object> },
    Update { target: Arc<str>, activity: Arc<Object> },
    Delete { target: Arc<str> },
}

impl Staged {
    /// Writes the activity out as JSON, once for the store and the channel.
    pub(super) fn written(&self) -> Result<OutboxAction, StorageError> {
        let text = |activity: &Arc<Object>| match serde_json::to_string(&**activity) {
            Ok(text) => Ok(text.into()),
            Err(error) => Err(StorageError::Unavailable(error.into())),
        };
        Ok(match self {
            Self::Send { host_id, activity } => {
                OutboxAction::Send { host_id: host_id.clone(), activity: text(activity)? }
            }
            Self::Update { target, activity } => {
                OutboxAction::Update { target: target.clone(), activity: text(activity)? }
            }
            Self::Delete { target } => OutboxAction::Delete { target: target.clone() },
        })
    }
}

impl Staging {
    /// Reads a guest's activity and counts it.
    pub(in crate::turn) fn admit(&mut self, text: &str, limits: &Limits) -> Result<Object, Fault> {
        self.count(limits)?;
        self.charge(text, limits)?;
        outgoing::checked_of_guest(text, limits)
    }

    /// Counts the memory of something that a guest stages against `staged-bytes`.
    pub(in crate::turn) fn charge(&mut self, text: &str, limits: &Limits) -> Result<(), Fault> {
        let bytes = self.staged_bytes.saturating_add(budget::cost(text.len(), json::values(text)));
        if bytes > limits.staged_bytes {
            return Err(Fault::quota("staged-bytes", limits.staged_bytes));
        }
        self.staged_bytes = bytes;
        Ok(())
    }

    /// Counts one send against `sends-per-turn`.
    pub(in crate::turn) fn count(&mut self, limits: &Limits) -> Result<(), Fault> {
        if self.sends >= limits.sends_per_turn {
            return Err(Fault::quota("sends-per-turn", limits.sends_per_turn));
        }
        self.sends += 1;
        Ok(())
    }

    /// The staged actions.
    pub(in crate::turn) fn actions(&self) -> &[Staged] {
        &self.actions
    }

    /// Host ids of everything staged or sent at once.
    pub(in crate::turn) fn sent(&self) -> &[Arc<str>] {
        &self.sent
    }

    /// Whether an activity with this host id is staged, or left in this turn.
    pub(in crate::turn) fn has_sent(&self, host_id: &str) -> bool {
        self.sent.iter().any(|sent| **sent == *host_id)
    }

    /// Stages something to be sent.
    pub(in crate::turn) fn push(&mut self, action: Staged) {
        if let Staged::Send { host_id, .. } = &action {
            self.sent.push(host_id.clone());
        }
        self.actions.push(action);
    }

    /// Notes an activity that leaves at once.
    pub(in crate::turn) fn left_at_once(&mut self, host_id: &Arc<str>, activity: &Object, is_of_stream: bool) {
        let is_piece = is_of_stream && string(activity, "type") != "message";
        self.said.left_at_once(host_id, activity, is_piece);
        self.sent.push(host_id.clone());
    }

    /// Replaces an activity that is staged. The error gives the new activity back: none such is staged.
    pub(in crate::turn) fn replace(&mut self, id: &str, mut activity: Object) -> Result<(), Object> {
        let Some(staged) = self.staged_mut(id) else { return Err(activity) };
        if let (false, Some(reply_to)) = (activity.contains_key("replyToId"), staged.get("replyToId")) {
            activity.insert("replyToId".into(), reply_to.clone());
        }
        *staged = Arc::new(activity);
        Ok(())
    }

    /// Drops an activity that is staged. False: none such is.
    pub(in crate::turn) fn take_back(&mut self, id: &str) -> bool {
        if self.staged_mut(id).is_none() {
            return false;
        }
        self.actions.retain(|action| !matches!(action, Staged::Send { host_id, .. } if **host_id == *id));
        self.sent.retain(|sent| **sent != *id);
        true
    }

    /// What is dropped was never sent, so the record of the turn does not name it.
    pub(super) fn drop_actions_but(&mut self, kept: Vec<Staged>) {
        let dropped = std::mem::replace(&mut self.actions, kept);
        for action in dropped {
            if let Staged::Send { host_id, .. } = action
                && self.staged_mut(&host_id).is_none()
            {
                self.sent.retain(|sent| *sent != host_id);
            }
        }
    }

    /// The staged activity with that host id.
    fn staged_mut(&mut self, id: &str) -> Option<&mut Arc<Object>> {
        self.actions.iter_mut().find_map(|action| match action {
            Staged::Send { host_id, activity } if **host_id == *id => Some(activity),
            _ => None,
        })
    }

    /// Sets the answer to an invoke, after it passed middleware.
    pub(in crate::turn) fn respond(&mut self, response: Option<Answer>) {
        self.response = response;
    }

    pub(in crate::turn) fn response(&self) -> Option<&Answer> {
        self.response.as_ref()
    }

    /// Notes for the transcript how an invoke was answered.
    pub(in crate::turn) fn note_answer(&mut self, answer: &Answer) {
        let inbound = &self.turn.inbound.activity;
        self.said.answered(answer, |activity| address(activity, inbound, false));
    }
}

/// `typing` and the pieces of a stream leave at once and are no part of the transaction.
pub(in crate::turn) fn is_ephemeral(activity: &Object) -> bool {
    string(activity, "type") == "typing" || stream_info(activity).is_some()
}

pub(in crate::turn) fn stream_opens(activity: &Object) -> bool {
    stream_info(activity).is_some_and(|info| info.get("streamId").is_none_or(Value::is_null))
}
