//! Notifications that a turn stages, cancels, or was begun by.

use std::sync::Arc;

use super::Staging;
use crate::plugin::{Fault, Plugin};
use crate::storage::notifications::{End, Notification};

/// Notifications and timers that one turn may stage (`notifications-per-turn`).
const NOTIFICATIONS_MAX: usize = 50;

impl Staging {
    /// Notes how the notification that began the turn ends.
    pub(in crate::turn) fn end_notification(&mut self, id: Arc<str>, end: End) {
        self.proactive.ended = Some((id, end));
    }

    /// How the notification that began the turn ends; none where a commit has said so already.
    pub(in crate::turn) fn notification_end(&self) -> Option<&End> {
        self.proactive.ended.as_ref().map(|(_, end)| end)
    }

    /// Checks that the turn may stage another notification.
    pub(in crate::turn) fn check_notifications(&self) -> Result<(), Fault> {
        match self.proactive.added.len() < NOTIFICATIONS_MAX {
            true => Ok(()),
            false => Err(Fault::quota("notifications-per-turn", NOTIFICATIONS_MAX)),
        }
    }

    pub(in crate::turn) fn add_notification(&mut self, notification: Notification) -> Result<(), Fault> {
        self.check_notifications()?;
        self.proactive.added.push(notification);
        Ok(())
    }

    /// Drops a notification of a plugin that is staged. False: there is none such.
    pub(in crate::turn) fn take_back_notification(&mut self, plugin: &Plugin, id: &str) -> bool {
        let before = self.proactive.added.len();
        self.proactive.added.retain(|added| *added.id != *id || *added.sender != *plugin.name);
        self.proactive.added.len() < before
    }

    /// Stages the end of a notification that is stored. False: its end is staged already.
    pub(in crate::turn) fn cancel_notification(&mut self, id: &Arc<str>) -> bool {
        let is_new = !self.proactive.cancelled.contains(id);
        if is_new {
            self.proactive.cancelled.push(id.clone());
        }
        is_new
    }
}
