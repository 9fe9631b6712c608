//! The turn that a notification or a timer begins.

use super::{Content, content_of, ending, trigger_of};
use crate::clock::now_ms;
use crate::dialog::{Broken, Catalog, Frame};
use crate::plugin::{Failure, Fault, Flow};
use crate::storage::notifications::{End, Mode, Notification};
use crate::turn::hooks::HOST;
use crate::turn::{Turn, TurnError};

impl Turn {
    /// The innermost step of a turn that a notification began.
    pub(in crate::turn) async fn deliver(&mut self, notification: &Notification) -> Result<(), TurnError> {
        let storage = self.context.services.storage.clone();
        let current = storage.notification(&notification.conversation.bot, &notification.id).await;
        match current.map_err(TurnError::Storage)? {
            // It was read before another turn delivered it.
            Some(current) if current.ended.is_none() && current.due_ms != notification.due_ms => {
                return self.end(notification, End::Again(current.due_ms));
            }
            Some(current) if current.ended.is_none() => {}
            // Cancelled, or its conversation forgotten, while it waited for its place in the queue.
            _ => return self.end(notification, End::Done("cancelled")),
        }
        if self.context.gone {
            // Nobody would hear it, and each try would be a dead letter. A timer goes on: the user may come back.
            return self.end(notification, ending(notification, "failed"));
        }
        let generation = self.generation.clone();
        if generation.has_dialogs {
            self.effects.load_stack().await.map_err(TurnError::Storage)?;
        }
        let all = generation.plugins.len() + generation.layers.len();
        self.instances.reserve(&notification.conversation.bot, all).await?;
        if !generation.layers.is_empty() && !self.receive().await? {
            return self.end(notification, ending(notification, "stopped"));
        }
        if notification.expires_ms.is_some_and(|expires| expires < now_ms()) {
            return self.end(notification, ending(notification, "expired"));
        }
        let waits = !self.staging().stack.frames.is_empty();
        match notification.mode {
            Mode::WhenIdle if waits || self.is_behind(notification).await? => {
                return self.end(notification, End::Held);
            }
            Mode::Cancel if waits => {
                self.staging().stack.cancel_all();
                self.run_until_waiting().await?;
            }
            _ => {}
        }
        let content = content_of(notification).map_err(|why| self.unfit(notification, why))?;
        let asks = !matches!(content, Content::Dialog { .. });
        self.bring(notification, content).await?;
        if notification.mode == Mode::Interrupt && asks && self.staging().stack.ask_again() {
            self.run_until_waiting().await?;
        }
        self.end(notification, ending(notification, "delivered"))
    }

    /// Whether another that was held before comes first.
    async fn is_behind(&mut self, notification: &Notification) -> Result<bool, TurnError> {
        let held = self.context.services.storage.next_held(&notification.conversation).await;
        let first = held.map_err(TurnError::Storage)?;
        Ok(first.is_some_and(|first| first.id != notification.id && first.due_ms <= notification.due_ms))
    }

    async fn bring(&mut self, notification: &Notification, content: Content) -> Result<(), TurnError> {
        match content {
            Content::Activity(activity) => {
                let sender = if notification.sender.is_empty() { HOST } else { &*notification.sender };
                self.effects.send(self.effects.hooks.layers(), sender, activity, false).await?;
                Ok(())
            }
            Content::Bridged(late) => self.bring_late(&notification.sender, late).await,
            Content::Event { .. } => self.hand_to_handlers(&trigger_of(notification)).await,
            Content::Dialog { plugin, dialog, options } => {
                let Some(known) = self.generation.dialog(&plugin, &dialog) else {
                    let why = format!("the plugin `{plugin}` has no dialog `{dialog}`");
                    return Err(self.unfit(notification, why));
                };
                let plugin = plugin.as_str().into();
                let frame = Frame::new(self.generation.frame_id(), &plugin, &dialog, known, options);
                self.staging().stack.push(frame).map_err(|refusal| Broken { plugin, refusal })?;
                self.run_until_waiting().await
            }
        }
    }

    async fn hand_to_handlers(&mut self, trigger: &str) -> Result<(), TurnError> {
        let generation = self.generation.clone();
        let text = self.activity.text().clone();
        for (position, plugin) in generation.plugins.iter().enumerate() {
            if plugin.manifest.handles("event")
                && self.handle(position, trigger.to_owned(), &text).await? == Flow::Handled
            {
                return Ok(());
            }
        }
        self.hand_to_bridge(trigger).await
    }

    /// Notes how the notification ends when the turn does.
    pub(in crate::turn) fn end(&mut self, notification: &Notification, end: End) -> Result<(), TurnError> {
        self.staging().end_notification(notification.id.clone(), end);
        Ok(())
    }

    /// The same for a turn that failed.
    pub(in crate::turn) fn end_failed(&mut self) -> Result<(), TurnError> {
        match self.context.notification.clone() {
            Some(notification) => self.end(&notification, ending(&notification, "failed")),
            None => Ok(()),
        }
    }

    #[expect(clippy::unused_self, reason = "reads as what the turn makes of it")]
    fn unfit(&self, notification: &Notification, why: String) -> TurnError {
        let plugin = if notification.sender.is_empty() { HOST.into() } else { notification.sender.clone() };
        TurnError::Plugin { plugin, failure: Failure::Fault(Fault::invalid(why)) }
    }
}
