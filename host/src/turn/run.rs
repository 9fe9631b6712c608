//! One turn from its start to its answer, and again where it must run again.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use serde_json::json;

use super::contention::{SEAT_HOLD_MIN, Seats};
use super::effects::Effects;
use super::entry::Running;
use super::instances::Instances;
use super::{Answer, Ended, Keeping, Turn, TurnContext, TurnError, Turns};
use crate::dialog::Progress;
use crate::registry::{Bot, Generation};
use crate::storage::{Accepted, Fence, Lease, StorageError};
use crate::telemetry;

/// How often a turn runs again because another conversation wrote state that it relied on. From the second run on it waits
/// for its turn at what it relies on, so that more than two runs are rare.
const RERUNS_MAX: u32 = 8;
/// How often a kept activity runs again whose turn failed in the host, and how long after the first failure; the delay
/// doubles each time.
const KEPT_RERUNS_MAX: u32 = 5;
const KEPT_RERUN_DELAY: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 1_000 });
/// How long a conversation is this host's without a new turn. Another owner of the store may take it over after that.
const LEASE_TTL: Duration = Duration::from_secs(60);
/// How long a turn waits for a conversation that another owner has, and how long between two looks.
const LEASE_WAIT_MAX: Duration = Duration::from_secs(5);
const LEASE_LOOK: Duration = Duration::from_millis(100);

impl Turns {
    /// Runs a kept activity again whose turn failed in the host: its caller was told that it is taken, and sends it no
    /// more. The conversation waits meanwhile; what still fails is left to the next start.
    pub(super) async fn run_again(&self, bot: &Arc<Bot>, context: Arc<TurnContext>) {
        for attempt in 0..KEPT_RERUNS_MAX {
            {
                let mut keeping = context.keeping.lock().await;
                if *keeping != Keeping::Kept {
                    // Too late to be kept: the caller has its answer.
                    *keeping = Keeping::Ended;
                    return;
                }
            }
            tokio::time::sleep(KEPT_RERUN_DELAY * (1 << attempt)).await;
            if self.stopping.load(Ordering::Acquire) {
                return;
            }
            if let Some(key) = &context.mark {
                // It was let go when the turn failed, so a redelivery may have claimed it.
                match self.services.storage.accept(key, &context.turn_id).await {
                    Ok(Accepted::New) => {}
                    Ok(Accepted::Running { .. } | Accepted::Duplicate { .. }) => {
                        return self.forget_kept(&context).await;
                    }
                    Err(_) => continue,
                }
            }
            let guard = Running::start(&self.running);
            drop(self.run_to_answer(bot, context.clone(), Duration::ZERO).await);
            drop(guard);
        }
        tracing::error!(bot = %bot.name(), turn = %context.turn_id,
            "an accepted activity could not be run; it is tried again at the next start");
    }

    /// Runs one turn. A panic, which is a defect of the host or of its native middleware, is a failure of the host: the
    /// queue would end it without an answer, and with a mark that every redelivery waits for.
    pub(super) async fn run_to_answer(
        &self,
        bot: &Arc<Bot>,
        context: Arc<TurnContext>,
        queued: Duration,
    ) -> (Answer, Option<Turn>) {
        let started = Instant::now();
        let _listed = self.live.list(&context);
        // It holds all that a turn holds, and would be copied with each task that waits for it.
        let run = Box::pin(self.run_turn(bot, context.clone(), queued));
        let panic = match AssertUnwindSafe(run).catch_unwind().await {
            Ok(ended) => return ended,
            Err(panic) => panic_text(&*panic),
        };
        tracing::error!(bot = %bot.name(), turn = %context.turn_id, panic, "a turn panicked in the host");
        telemetry::turn_ended(bot.name(), Ended::HostFailure.label(), started.elapsed());
        self.give_up(&context).await;
        (unavailable(), None)
    }

    /// Runs one turn, from whatever origin, to its answer. What is left of the turn is dropped by the caller.
    async fn run_turn(&self, bot: &Arc<Bot>, context: Arc<TurnContext>, queued: Duration) -> (Answer, Option<Turn>) {
        let started = Instant::now();
        let Some(generation) = bot.generation() else {
            self.give_up(&context).await;
            return (unavailable(), None);
        };
        let fence = match self.lease(&context).await {
            Ok(fence) => fence,
            Err(error) => {
                tracing::error!(bot = %bot.name(), turn = %context.turn_id, %error, "turn failed in the host");
                self.give_up(&context).await;
                return (unavailable(), None);
            }
        };
        let mut reruns = 0;
        let conversation = &context.inbound.key;
        let mut seats = match self.contention.expected(conversation) {
            expected if expected.is_empty() => Seats::default(),
            expected => self.contention.sit(expected, hold_of(&generation)).await,
        };
        let (turn, answer) = loop {
            let mut turn = self.start(&context, &generation, fence, std::mem::take(&mut seats));
            match turn.run(&self.middleware).await {
                Err(TurnError::Storage(StorageError::Conflict)) if reruns < RERUNS_MAX && !turn.has_flushed() => {
                    reruns += 1;
                    tracing::debug!(bot = %bot.name(), turn = %context.turn_id, reruns, "state changed, the turn runs again");
                    context.stop.runs_again();
                    let contended = turn.contended();
                    // Its instances and their slots are free for others while it waits.
                    drop(turn);
                    seats = self.contention.sit(contended, hold_of(&generation)).await;
                }
                Err(TurnError::Storage(StorageError::Conflict)) => break turn.end_in_conflict().await,
                answer => break (turn, answer),
            }
        };
        let (mut turn, answer) = (turn, answer);
        turn.leave_seats(&self.contention);
        let answer = match answer {
            Ok(answer) => {
                self.forget_kept(&turn.context).await;
                answer
            }
            Err(error) => {
                turn.ended = Ended::HostFailure;
                tracing::error!(bot = %bot.name(), turn = %turn.context.turn_id, %error, "turn failed in the host");
                // After a flush the mark stands: a second run would send again what was flushed. An activity without an id
                // has no mark, so it is not kept any more either.
                self.give_up(&turn.context).await;
                if turn.has_flushed() {
                    self.forget_kept(&turn.context).await;
                }
                unavailable()
            }
        };
        telemetry::turn_ended(bot.name(), turn.ended.label(), started.elapsed());
        self.records.push(turn.record(&answer, started.elapsed(), queued));
        (answer, Some(turn))
    }

    /// Ends what [`super::Ticket::keep`] began. The commit has forgotten what was kept before it; this is for what came after.
    async fn forget_kept(&self, context: &TurnContext) {
        let was = std::mem::replace(&mut *context.keeping.lock().await, Keeping::Ended);
        if was == Keeping::Kept
            && let Err(error) = self.services.storage.remove_from_inbox(&context.turn_id).await
        {
            tracing::error!(turn = %context.turn_id, %error, "an ended turn stays kept; the next start finds that it is done");
        }
    }

    fn start(&self, context: &Arc<TurnContext>, generation: &Arc<Generation>, fence: Fence, seats: Seats) -> Turn {
        Turn {
            effects: Arc::new(Effects::new(context, generation, &self.middleware, fence, seats)),
            activity: context.inbound.activity.clone(),
            layers_passed: 0,
            stopped: false,
            instances: Instances::new(self.slots.clone(), generation.plugins.len()),
            context: context.clone(),
            generation: generation.clone(),
            dialogs: Progress::default(),
            ended: Ended::Completed,
        }
    }

    /// Makes the conversation this host's, once whoever else has it lets go.
    async fn lease(&self, context: &TurnContext) -> Result<Fence, TurnError> {
        let until = Instant::now() + LEASE_WAIT_MAX;
        loop {
            let lease = context.services.storage.lease(&context.inbound.key, &self.owner, LEASE_TTL).await;
            match lease.map_err(TurnError::Storage)? {
                Lease::Granted(fence) => return Ok(fence),
                Lease::Held(_) if Instant::now() >= until => return Err(TurnError::Storage(StorageError::Fenced)),
                Lease::Held(left) => tokio::time::sleep(left.min(LEASE_LOOK)).await,
            }
        }
    }

    /// Leaves no mark but the one of a flush, so that a redelivery runs again.
    async fn give_up(&self, context: &TurnContext) {
        if let Some(key) = &context.mark {
            self.services.storage.release(key).await;
        }
    }
}

/// How long a turn of this generation may hold up others that rely on the same state.
fn hold_of(generation: &Generation) -> Duration {
    generation.plugins.iter().map(|plugin| plugin.limits.cpu).fold(SEAT_HOLD_MIN, Duration::max)
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no text".to_owned())
}

/// The answer of a turn that failed in the host.
pub(super) fn unavailable() -> Answer {
    let body = json!({"error": {"code": "ServiceUnavailable", "message": "The bot could not be run. Try again."}});
    Answer { status: 503, body: Some(body.to_string().into()) }
}
