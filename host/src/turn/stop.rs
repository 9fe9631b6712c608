//! How a running turn is stopped: by a message that a control route matches, by a newer message where the bot says `interrupt`, and
//! by an operator.
//!
//! A turn that is stopped loses its guests and all that it staged. What it flushed stays, and its stream is closed with the text so far.
//! The race with its commit has one winner: a turn either stops or commits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::Notify;

use super::{Ended, Turn, TurnContext, TurnError, Turns};
use crate::activity::{Activity, ConversationKey, Inbound};
use crate::config::Overlap;
use crate::registry::Generation;
use crate::threads::{Pace, go};

const RUNNING: u8 = 0;
const STOPPING: u8 = 1;
const COMMITTING: u8 = 2;

/// Whether a turn runs, is being stopped, or commits.
#[derive(Debug, Default)]
pub(super) struct StopSwitch {
    state: AtomicU8,
    stopping: Notify,
}

/// A turn that runs, as operators see it.
#[derive(Debug, Clone, Serialize)]
pub struct RunningTurn {
    /// The turn.
    pub turn_id: Arc<str>,
    /// `conversation.id`.
    pub conversation: Arc<str>,
    /// Channel instance.
    pub channel: String,
    /// `type` of the activity.
    pub kind: String,
    /// Time since it began, in milliseconds.
    pub running_ms: u64,
}

/// The turns that run, one for each conversation at most.
#[derive(Default)]
pub(super) struct LiveTurns(Mutex<HashMap<ConversationKey, (Arc<TurnContext>, Instant)>>);

/// A turn among those that run, until it is dropped.
pub(super) struct Listed<'t> {
    turns: &'t LiveTurns,
    key: ConversationKey,
}

impl StopSwitch {
    /// Asks the turn to stop. False: it commits already.
    fn stop(&self) -> bool {
        let was = self.state.compare_exchange(RUNNING, STOPPING, Ordering::AcqRel, Ordering::Acquire);
        self.stopping.notify_waiters();
        was.unwrap_or_else(|was| was) != COMMITTING
    }

    /// Waits until the turn is asked to stop.
    async fn stopped(&self) {
        loop {
            let notified = self.stopping.notified();
            if self.state.load(Ordering::Acquire) == STOPPING {
                return;
            }
            notified.await;
        }
    }

    /// Begins the commit. False: the turn was asked to stop.
    fn commits(&self) -> bool {
        let was = self.state.compare_exchange(RUNNING, COMMITTING, Ordering::AcqRel, Ordering::Acquire);
        was.unwrap_or_else(|was| was) != STOPPING
    }

    /// The commit failed, and the turn runs again.
    pub(super) fn runs_again(&self) {
        let _ = self.state.compare_exchange(COMMITTING, RUNNING, Ordering::AcqRel, Ordering::Acquire);
    }
}

impl LiveTurns {
    pub(super) fn list(&self, turn: &Arc<TurnContext>) -> Listed<'_> {
        let key = turn.inbound.key.clone();
        self.0.lock().insert(key.clone(), (turn.clone(), Instant::now()));
        Listed { turns: self, key }
    }

    /// Stops the turn of the conversation of an activity, if it is of the same user.
    fn stop_for(&self, inbound: &Inbound) {
        let running = self.0.lock().get(&inbound.key).map(|(turn, _)| turn.clone());
        let Some(turn) = running else { return };
        let theirs = &turn.inbound.activity;
        // In a group nobody stops what somebody else asked for.
        if (theirs.is_group() || inbound.activity.is_group())
            && theirs.account("from") != inbound.activity.account("from")
        {
            return;
        }
        let stops = turn.stop.stop();
        tracing::info!(bot = %inbound.key.bot, turn = %turn.turn_id, stops, "the user stops a turn");
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.turns.0.lock().remove(&self.key);
    }
}

impl Turns {
    /// The turns of a bot that run, the longest running first.
    pub fn running_turns(&self, bot: &str) -> Vec<RunningTurn> {
        let mut running: Vec<RunningTurn> = {
            let live = self.live.0.lock();
            let of_bot = live.iter().filter(|(key, _)| *key.bot == *bot);
            of_bot.map(|(key, (turn, since))| running(key, &turn.turn_id, &turn.inbound.activity, *since)).collect()
        };
        running.sort_by(|a, b| b.running_ms.cmp(&a.running_ms).then_with(|| a.turn_id.cmp(&b.turn_id)));
        running
    }

    /// Stops a turn of a bot. False: it commits already and ends by itself. None: no such turn runs.
    pub fn stop_turn(&self, bot: &str, turn_id: &str) -> Option<bool> {
        let found = {
            let live = self.live.0.lock();
            let mut of_bot = live.iter().filter(|(key, _)| *key.bot == *bot);
            of_bot.find(|(_, (turn, _))| *turn.turn_id == *turn_id).map(|(_, (turn, _))| turn.clone())
        };
        let stops = found?.stop.stop();
        tracing::info!(%bot, turn = %turn_id, stops, "an operator stops a turn");
        Some(stops)
    }

    /// Acts on what an accepted activity means for the turn that runs in its conversation. True: a control route matches, so the
    /// activity is the next one of its conversation.
    pub(super) async fn overlap(&self, generation: &Generation, inbound: &Inbound) -> bool {
        // An idle conversation has nothing to stop and nothing to overtake, so its messages are not matched twice.
        if inbound.activity.kind() != "message" || !self.queues.is_busy(&inbound.key) {
            return false;
        }
        let controls = generation.routes.controls(&generation.plugins, &inbound.activity).await;
        if controls || generation.spec.overlap == Overlap::Interrupt {
            self.live.stop_for(inbound);
        }
        controls
    }
}

fn running(key: &ConversationKey, turn_id: &Arc<str>, activity: &Activity, since: Instant) -> RunningTurn {
    RunningTurn {
        turn_id: turn_id.clone(),
        conversation: key.conversation.clone(),
        channel: key.channel.to_string(),
        kind: activity.kind().to_owned(),
        running_ms: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

impl Turn {
    /// Runs a part of the turn that ends early if the turn is stopped.
    pub(super) async fn unless_stopped(
        context: &TurnContext,
        part: impl Future<Output = Result<(), TurnError>>,
    ) -> Result<(), TurnError> {
        tokio::select! {
            biased;
            () = context.stop.stopped() => Err(TurnError::Stopped),
            ended = part => match ended {
                Ok(()) if !context.stop.commits() => Err(TurnError::Stopped),
                ended => ended,
            },
        }
    }

    /// Ends a turn that was stopped: nothing of it becomes real but what it flushed and the end of its stream.
    pub(super) async fn end_stopped(&mut self) -> Result<(), TurnError> {
        // A slow guest was cut in a thread for slow guests.
        go(Pace::Quick).await;
        self.ended = Ended::Stopped;
        if let Err(error) = self.effects.end_flush().await {
            tracing::warn!(turn = %self.context.turn_id, %error, "a flush of a stopped turn failed");
        }
        self.staging().clear();
        self.close_stream_anyway("").await?;
        self.end_failed()?;
        tracing::info!(bot = %self.context.inbound.key.bot, turn = %self.context.turn_id, "turn stopped");
        Ok(())
    }
}
