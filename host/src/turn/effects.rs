//! The effects of one turn, shared by the turn and the guests that it calls.
//!
//! One lock guards what is staged. It is held for steps that do not wait. Whatever waits (the store, middleware, a flush)
//! runs between two such steps, without the lock. So a guest that is cut while the host works for it never holds the lock,
//! and middleware that calls back while its sender is suspended finds the lock free.

mod guest;
mod state;

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::task::JoinHandle;

use super::TurnContext;
use super::contention::Seats;
use super::hooks::Hooks;
use super::middleware::Middleware;
use super::staging::{Leaving, Staged, Staging, is_ephemeral, stream_opens};
use super::streams::TurnStream;
use crate::activity::{DeliveryMode, Object};
use crate::channel::stream::stream_info;
use crate::plugin::{Fault, NotificationRequest, Plugin};
use crate::registry::Generation;
use crate::storage::{Answer, Fence, StorageError};

/// What a turn has done so far, and the layers of middleware that it passes on its way out.
pub(crate) struct Effects {
    pub(super) context: Arc<TurnContext>,
    pub(super) hooks: Hooks,
    staging: Mutex<Staging>,
    /// A flush under way. It ends even if the guest that asked for it is cut meanwhile.
    flushing: tokio::sync::Mutex<Option<JoinHandle<Result<(), StorageError>>>>,
    /// The stream of the turn, until its last message is stored. Held while a piece passes middleware, which cannot stream.
    pub(super) stream: tokio::sync::Mutex<Option<TurnStream>>,
}

impl Effects {
    pub(super) fn new(
        context: &Arc<TurnContext>,
        generation: &Arc<Generation>,
        native: &Arc<[Box<dyn Middleware>]>,
        fence: Fence,
        seats: Seats,
    ) -> Self {
        Self {
            context: context.clone(),
            hooks: Hooks::new(generation.clone(), native.clone()),
            staging: Mutex::new(Staging::new(context.clone(), fence, seats, generation.spec.transcripts.is_some())),
            flushing: tokio::sync::Mutex::default(),
            stream: tokio::sync::Mutex::default(),
        }
    }

    /// Locks what is staged, for a step that does not wait.
    pub(super) fn staging(&self) -> MutexGuard<'_, Staging> {
        self.staging.lock()
    }

    /// Reads the conversation's dialog stack.
    pub(super) async fn load_stack(&self) -> Result<(), StorageError> {
        let text = self.context.services.storage.load_stack(&self.context.inbound.key).await?;
        self.staging().set_stack(text.as_deref());
        Ok(())
    }

    /// Makes real what is staged, and ends the turn.
    pub(super) async fn commit(&self, leaving: Leaving, answer: Answer) -> Result<(), StorageError> {
        let stored = self.staging().store(leaving, answer, true);
        stored.await?;
        self.staging().committed();
        self.stream_is_over().await;
        Ok(())
    }

    /// Commits and delivers what is staged, and marks the activity as processed.
    pub(super) async fn flush(&self) -> Result<(), Fault> {
        // Under expectReplies everything leaves in the one HTTP answer; there is nothing to deliver before it.
        if self.context.inbound.activity.delivery_mode() == DeliveryMode::ExpectReplies {
            return Ok(());
        }
        let answer = Answer { status: 200, body: None };
        {
            let mut flushing = self.flushing.lock().await;
            let mut staging = self.staging();
            let leaving = staging.leaving().map_err(|error| Fault::new("internal", error.to_string()))?;
            // In a task of its own: a store that is slow may outlast the guest's time, and what it took must be known.
            *flushing = Some(tokio::spawn(staging.store(leaving, answer, false)));
        }
        self.end_flush().await.map_err(|error| match error {
            StorageError::Conflict => Fault::new("conflict", format!("nothing was flushed: {error}")),
            error => Fault {
                retry_after_ms: Some(1_000),
                ..Fault::new("unavailable", format!("nothing was flushed: {error}"))
            },
        })
    }

    /// Waits for a flush that is under way, whose guest may have been cut meanwhile.
    pub(super) async fn end_flush(&self) -> Result<(), StorageError> {
        let mut flushing = self.flushing.lock().await;
        let Some(flush) = &mut *flushing else { return Ok(()) };
        let flushed = flush.await.unwrap_or_else(|error| Err(StorageError::Unavailable(error.into())));
        *flushing = None;
        self.staging().flushed(flushed)
    }

    /// The same after a call of a plugin. A flush that failed is in the log, as the plugin may not be there to learn of it.
    pub(super) async fn end_flush_of(&self, plugin: &Plugin) {
        if let Err(error) = self.end_flush().await {
            tracing::warn!(turn = %self.context.turn_id, plugin = %plugin.name, %error, "a flush whose guest was cut failed");
        }
    }

    /// Stages an activity that passed middleware under this host id, or sends it at once if it is ephemeral.
    pub(super) async fn stage(
        &self,
        host_id: Arc<str>,
        mut activity: Object,
        threaded: bool,
    ) -> Result<Arc<str>, Fault> {
        // Middleware may have written into what is the host's to say.
        if !self.context.address(&mut activity, threaded) {
            return Ok("".into());
        }
        let is_normal = self.context.inbound.activity.delivery_mode() == DeliveryMode::Normal;
        if is_normal && is_ephemeral(&activity) {
            self.send_now(&host_id, activity).await?;
        } else {
            self.staging().push(Staged::Send { host_id: host_id.clone(), activity: Arc::new(activity) });
        }
        Ok(host_id)
    }

    async fn send_now(&self, host_id: &Arc<str>, activity: Object) -> Result<(), Fault> {
        let services = &self.context.services;
        let is_of_stream = stream_info(&activity).is_some();
        if stream_opens(&activity) {
            self.flush().await?;
        }
        if is_of_stream {
            // Known from now on, so that the guest can update what it streamed; the channel's id follows.
            let known = services.storage.map_id(&self.context.inbound.key, host_id, &"".into()).await;
            known.map_err(|error| Fault::new("unavailable", error.to_string()))?;
        }
        self.staging().left_at_once(host_id, &activity, is_of_stream);
        services.deliveries.send_now(self.context.delivery_address(), host_id.clone(), activity);
        Ok(())
    }

    /// Stages the replacement of an activity; one that is still staged is replaced in place.
    pub(super) async fn stage_update(&self, id: &str, mut activity: Object) -> Result<(), Fault> {
        self.context.address(&mut activity, false);
        let Err(activity) = self.staging().replace(id, activity) else { return Ok(()) };
        let target = self.context.known(id).await?;
        self.staging().push(Staged::Update { target, activity: Arc::new(activity) });
        Ok(())
    }

    /// Stages the deletion of an activity; one that is still staged is never sent.
    pub(super) async fn stage_delete(&self, id: &str) -> Result<(), Fault> {
        if self.staging().take_back(id) {
            return Ok(());
        }
        let target = self.context.known(id).await?;
        self.staging().push(Staged::Delete { target });
        Ok(())
    }

    /// Stages a notification or a timer of a plugin, and returns its id.
    pub(super) async fn notify(&self, plugin: &Plugin, request: NotificationRequest<'_>) -> Result<Arc<str>, Fault> {
        self.staging().check_notifications()?;
        self.staging().charge(request.content, &plugin.limits)?;
        let notification = self.context.notification_of(plugin, request).await?;
        let id = notification.id.clone();
        self.staging().add_notification(notification)?;
        Ok(id)
    }

    /// Stages the end of a notification of a plugin. False: no such notification waits.
    pub(super) async fn cancel_notification(&self, plugin: &Plugin, id: &str) -> Result<bool, Fault> {
        if self.staging().take_back_notification(plugin, id) {
            return Ok(true);
        }
        let found = self.context.services.storage.notification(&plugin.bot, id).await;
        let found = found.map_err(|error| Fault::new("unavailable", error.to_string()))?;
        let Some(found) = found.filter(|found| found.ended.is_none() && *found.sender == *plugin.name) else {
            return Ok(false);
        };
        Ok(self.staging().cancel_notification(&found.id))
    }
}
