//! `text-stream.wit`: a reply that grows while the user reads it.

use super::turn::seen_by_middleware;
use super::{HostResult, wit};
use crate::guest::GuestState;

impl wit::text_stream::Host for GuestState {
    async fn open(&mut self, informative: Option<String>) -> HostResult<String> {
        let turn = match self.enter_turn()? {
            Ok(turn) => turn,
            Err(fault) => return Ok(Err(fault)),
        };
        if let Err(fault) = self.may_flush() {
            return Ok(Err(fault.into()));
        }
        let opened = seen_by_middleware(&self.meter, &*turn, turn.open_stream(informative.as_deref())).await;
        Ok(opened.map(|id| id.to_string()))
    }

    async fn append(&mut self, id: String, text: String) -> HostResult<()> {
        let turn = match self.enter_turn()? {
            Ok(turn) => turn,
            Err(fault) => return Ok(Err(fault)),
        };
        if let Err(fault) = self.may_flush() {
            return Ok(Err(fault.into()));
        }
        Ok(seen_by_middleware(&self.meter, &*turn, turn.append(&id, &text)).await)
    }

    async fn close(&mut self, id: String, activity: String) -> HostResult<()> {
        let turn = match self.enter_turn()? {
            Ok(turn) => turn,
            Err(fault) => return Ok(Err(fault)),
        };
        if let Err(fault) = self.may_flush() {
            return Ok(Err(fault.into()));
        }
        Ok(seen_by_middleware(&self.meter, &*turn, turn.close_stream(&id, &activity)).await)
    }
}
