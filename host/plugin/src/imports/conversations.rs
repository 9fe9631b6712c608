//! `conversations.wit`: what a guest says later, or elsewhere.

use std::sync::Arc;

use super::{HostResult, wit};
use crate::guest::GuestState;
use crate::{Fault, NotificationRequest, TurnHost};

impl wit::conversations::Host for GuestState {
    fn reference(&mut self) -> HostResult<String> {
        self.enter()?;
        Ok(self.conversations().map(|turn| turn.reference()).map_err(Into::into))
    }

    async fn notify(&mut self, reference: String, mode: String, content: String) -> HostResult<String> {
        self.request(NotificationRequest { reference: &reference, mode: &mode, content: &content, timer: None }).await
    }

    async fn schedule(
        &mut self,
        name: String,
        at: String,
        reference: String,
        mode: String,
        content: String,
    ) -> HostResult<String> {
        let timer = Some((&*name, &*at));
        self.request(NotificationRequest { reference: &reference, mode: &mode, content: &content, timer }).await
    }

    async fn cancel(&mut self, id: String) -> HostResult<bool> {
        self.enter()?;
        Ok(match self.conversations() {
            Ok(turn) => turn.cancel_notification(&id).await.map_err(Into::into),
            Err(fault) => Err(fault.into()),
        })
    }
}

impl GuestState {
    /// Returns the turn, for functions that reach beyond it.
    fn conversations(&self) -> Result<Arc<dyn TurnHost>, Fault> {
        let turn = self.turn()?;
        if !self.plugin.grants.conversations {
            let why = "needs the grant `conversations = true`, wanted by the manifest and given by the operator";
            return Err(Fault::new("denied", why));
        }
        Ok(turn)
    }

    async fn request(&mut self, request: NotificationRequest<'_>) -> HostResult<String> {
        self.enter()?;
        Ok(match self.conversations() {
            Ok(turn) => turn.notify(request).await.map(|id| id.to_string()).map_err(Into::into),
            Err(fault) => Err(fault.into()),
        })
    }
}
