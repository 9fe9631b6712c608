//! `turn.wit`: what a guest sends, and the answer to an invoke.

use super::{HostResult, wit};
use crate::cpu::Meter;
use crate::guest::{GuestState, Within};
use crate::{Fault, TurnHost};

impl wit::turn::Host for GuestState {
    async fn reply(&mut self, activity: String) -> HostResult<String> {
        self.send_as(&activity, true).await
    }

    async fn send(&mut self, activity: String) -> HostResult<String> {
        self.send_as(&activity, false).await
    }

    async fn update(&mut self, id: String, activity: String) -> HostResult<()> {
        let turn = match self.enter_turn()? {
            Ok(turn) => turn,
            Err(fault) => return Ok(Err(fault)),
        };
        Ok(seen_by_middleware(&self.meter, &*turn, turn.update(&id, &activity)).await)
    }

    async fn delete(&mut self, id: String) -> HostResult<()> {
        let turn = match self.enter_turn()? {
            Ok(turn) => turn,
            Err(fault) => return Ok(Err(fault)),
        };
        Ok(seen_by_middleware(&self.meter, &*turn, turn.delete(&id)).await)
    }

    async fn flush(&mut self) -> HostResult<()> {
        self.enter()?;
        if let Err(fault) = self.may_flush() {
            return Ok(Err(fault.into()));
        }
        Ok(match self.turn() {
            Ok(turn) => turn.flush().await.map_err(Into::into),
            Err(fault) => Err(fault.into()),
        })
    }

    async fn respond(&mut self, status: u32, body: Option<String>) -> HostResult<()> {
        let turn = match self.enter_turn()? {
            Ok(turn) => turn,
            Err(fault) => return Ok(Err(fault)),
        };
        Ok(seen_by_middleware(&self.meter, &*turn, turn.respond(status, body.as_deref())).await)
    }
}

impl GuestState {
    /// Checks that the function of the guest that runs may flush.
    pub(super) fn may_flush(&self) -> Result<(), Fault> {
        match self.within {
            Within::Activity => Ok(()),
            Within::Dialog => {
                Err(Fault::new("denied", "not within `on-dialog`: return the step `flush`, which flushes the turn"))
            }
            Within::Hook => Err(Fault::new("denied", "not within `on-event`")),
        }
    }

    async fn send_as(&mut self, activity: &str, threaded: bool) -> HostResult<String> {
        let turn = match self.enter_turn()? {
            Ok(turn) => turn,
            Err(fault) => return Ok(Err(fault)),
        };
        let sent = seen_by_middleware(&self.meter, &*turn, turn.send(activity, threaded)).await;
        Ok(sent.map(|id| id.to_string()))
    }
}

/// Waits for something that the turn does and that middleware sees. The guest does not pay for the CPU time of the middleware.
pub(super) async fn seen_by_middleware<T>(
    meter: &Meter,
    turn: &dyn TurnHost,
    done: impl Future<Output = Result<T, Fault>>,
) -> Result<T, wit::types::Fault> {
    let before = turn.middleware_cpu();
    let done = done.await;
    meter.forgive(turn.middleware_cpu().saturating_sub(before));
    done.map_err(Into::into)
}
