//! The effects of a turn as one plugin reaches them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Effects;
use crate::plugin::{DialogFrame, Fault, NotificationRequest, Plugin, StateEntry, TurnHost};
use crate::turn::outgoing;
use crate::turn::stack::{begin, fault};

/// A turn, for one call of one plugin.
struct GuestTurn {
    effects: Arc<Effects>,
    plugin: Arc<Plugin>,
    /// What the plugin sends passes so many of the outermost layers of middleware.
    layers: usize,
}

impl Effects {
    /// Returns what a call of a plugin reaches of the turn. What the plugin sends passes so many of the outermost layers.
    pub(in crate::turn) fn for_guest(self: &Arc<Self>, plugin: &Arc<Plugin>, layers: usize) -> Arc<dyn TurnHost> {
        Arc::new(GuestTurn { effects: self.clone(), plugin: plugin.clone(), layers })
    }
}

#[async_trait]
impl TurnHost for GuestTurn {
    async fn send(&self, activity: &str, threaded: bool) -> Result<Arc<str>, Fault> {
        let activity = self.effects.staging().admit(activity, &self.plugin.limits)?;
        Ok(self.effects.send(self.layers, &self.plugin.name, activity, threaded).await?)
    }

    async fn update(&self, id: &str, activity: &str) -> Result<(), Fault> {
        let activity = self.effects.staging().admit(activity, &self.plugin.limits)?;
        Ok(self.effects.update(self.layers, &self.plugin.name, id, activity).await?)
    }

    async fn delete(&self, id: &str) -> Result<(), Fault> {
        self.effects.staging().count(&self.plugin.limits)?;
        Ok(self.effects.delete(self.layers, &self.plugin.name, id).await?)
    }

    async fn respond(&self, status: u32, body: Option<&str>) -> Result<(), Fault> {
        self.effects.staging().charge(body.unwrap_or_default(), &self.plugin.limits)?;
        let inbound = &self.effects.context.inbound.activity;
        let response = outgoing::checked_response(inbound, status, body, &self.plugin.limits)?;
        Ok(self.effects.respond(self.layers, &self.plugin.name, &self.plugin.limits, response).await?)
    }

    async fn flush(&self) -> Result<(), Fault> {
        self.effects.flush().await
    }

    async fn open_stream(&self, informative: Option<&str>) -> Result<Arc<str>, Fault> {
        self.effects.open_stream(&self.plugin, self.layers, informative).await
    }

    async fn append(&self, stream: &str, text: &str) -> Result<(), Fault> {
        self.effects.append(&self.plugin, self.layers, stream, text).await
    }

    async fn close_stream(&self, stream: &str, activity: &str) -> Result<(), Fault> {
        self.effects.end_stream(&self.plugin, self.layers, stream, activity).await
    }

    fn middleware_cpu(&self) -> Duration {
        self.effects.hooks.cpu()
    }

    async fn state_get(&self, scope: &str, key: &str) -> Result<Option<StateEntry>, Fault> {
        let value = self.effects.state_get(&self.plugin, scope, key).await?;
        Ok(value.map(|value| StateEntry { value: value.value, etag: value.etag }))
    }

    async fn state_set(
        &self,
        scope: &str,
        key: &str,
        value: Option<&str>,
        etag: Option<&str>,
    ) -> Result<Arc<str>, Fault> {
        self.effects.state_set(&self.plugin, scope, key, value, etag).await
    }

    fn begin_dialog(&self, dialog: &str, options: &str) -> Result<Arc<str>, Fault> {
        self.effects.staging().stack.begin(begin(&self.plugin, dialog, options)).map_err(fault)
    }

    fn replace_dialog(&self, dialog: &str, options: &str) -> Result<Arc<str>, Fault> {
        self.effects.staging().stack.replace(begin(&self.plugin, dialog, options)).map_err(fault)
    }

    fn cancel_dialogs(&self) -> usize {
        self.effects.staging().stack.cancel_all()
    }

    fn reprompt(&self) -> bool {
        self.effects.staging().stack.ask_again()
    }

    fn dialogs(&self) -> Vec<DialogFrame> {
        let staging = self.effects.staging();
        let frames = staging.stack.top_first().map(|frame| DialogFrame {
            id: frame.id.clone(),
            plugin: frame.plugin.clone(),
            dialog: frame.dialog.clone(),
            waits_for: frame.waits_for(),
        });
        frames.collect()
    }

    fn reference(&self) -> String {
        self.effects.context.reference()
    }

    async fn notify(&self, request: NotificationRequest<'_>) -> Result<Arc<str>, Fault> {
        self.effects.notify(&self.plugin, request).await
    }

    async fn cancel_notification(&self, id: &str) -> Result<bool, Fault> {
        self.effects.cancel_notification(&self.plugin, id).await
    }
}
