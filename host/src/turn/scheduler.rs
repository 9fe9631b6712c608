//! When notifications and timers become turns: those that are due, and those that waited for a dialog to end.
//!
//! **Late policy.** What was due while the host was down runs once at the next start, in the order in which it was due; a
//! cron expression that was due several times runs once, and then at its next time. What has expired meanwhile is not
//! delivered.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::entry::{Origin, Running};
use super::proactive::inbound_of;
use super::{Ended, Keeping, Refusal, Ticket, Turn, TurnContext, Turns};
use crate::activity::ConversationKey;
use crate::clock::now_ms;
use crate::storage::StorageError;
use crate::storage::notifications::{End, Notification};

/// So many are taken from the store at once, the first of each conversation: one with many of them holds up no other.
const BATCH: usize = 512;
/// How long the scheduler sleeps at most, and after a failure: a clock that jumps is noticed within it.
const SLEEP_MAX: Duration = Duration::from_secs(10);
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The pause after a failure of the host doubles so often.
const FAILURES_COUNTED: u32 = 6;

/// What is on its way.
#[derive(Default)]
pub(super) struct Scheduler {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Ids of notifications whose turn is queued or runs.
    in_flight: HashSet<Arc<str>>,
    /// Ids whose turn ended since what is due was read last: what was read is outdated there.
    settled: HashSet<Arc<str>>,
    /// Conversations with notifications that wait for a dialog to end.
    held: HashSet<ConversationKey>,
    /// Those that are held and have an expiry, at which they end: by that time, each with its id and bot.
    expiring: BTreeSet<Expiry>,
    /// Those of which the next could not begin: no turn may come that would begin it.
    stuck: HashSet<ConversationKey>,
    /// How often in a row the turn of a notification failed in the host.
    failures: HashMap<Arc<str>, u32>,
}

impl Scheduler {
    /// Nothing is held for a conversation any more.
    pub(super) fn forget(&self, key: &ConversationKey) {
        let mut state = self.state();
        state.held.remove(key);
        state.stuck.remove(key);
    }

    /// Whether most of what was begun has ended, so that what is due next begins soon.
    pub(super) fn has_room(&self) -> bool {
        self.state().in_flight.len() <= BATCH / 2
    }

    fn take_expired(&self, now_ms: u64) -> BTreeSet<Expiry> {
        let expiring = &mut self.state().expiring;
        let later = expiring.split_off(&(now_ms, "".into(), "".into()));
        std::mem::replace(expiring, later)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    /// Whether a notification is on its way, or has just ended.
    fn knows(&self, id: &Arc<str>) -> bool {
        self.in_flight.contains(id) || self.settled.contains(id)
    }
}

/// When a notification ends, with its id and bot.
type Expiry = (u64, Arc<str>, Arc<str>);

fn expiry_of(notification: &Notification) -> Option<Expiry> {
    Some((notification.expires_ms?, notification.id.clone(), notification.conversation.bot.clone()))
}

fn new_turn_id() -> Arc<str> {
    ulid::Ulid::new().to_string().into()
}

impl Turns {
    /// Begins a turn for a notification that is in the store. Its ticket answers with JSON: `{"outcome", "sends"}`.
    pub async fn begin(self: &Arc<Self>, notification: Notification, turn_id: Arc<str>) -> Result<Ticket, Refusal> {
        if !self.scheduler.state().in_flight.insert(notification.id.clone()) {
            return Err(Refusal::Storage("the notification is on its way already".to_owned()));
        }
        let id = notification.id.clone();
        let begun = self.begin_turn(notification, turn_id).await;
        if begun.is_err() {
            self.scheduler.state().in_flight.remove(&id);
        }
        begun
    }

    async fn begin_turn(self: &Arc<Self>, notification: Notification, turn_id: Arc<str>) -> Result<Ticket, Refusal> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(Refusal::ShuttingDown);
        }
        let bot = self.registry.bot(&notification.conversation.bot).ok_or(Refusal::UnknownBot)?;
        if !bot.is_enabled() {
            return Err(Refusal::Disabled);
        }
        if bot.generation().is_none() {
            return Err(Refusal::NoGeneration);
        }
        let storage = &self.services.storage;
        let reference = storage.reference(&notification.conversation).await;
        let reference = reference.map_err(|error| Refusal::Storage(error.to_string()))?;
        let inbound = reference.as_ref().map(|reference| inbound_of(&notification, reference));
        let Some(Ok(inbound)) = inbound else {
            // Forgotten meanwhile, or stored by a host that knew more: it can never be delivered.
            let cancelled = storage.cancel_notification(&notification.conversation.bot, &notification.id).await;
            cancelled.map_err(|error| Refusal::Storage(error.to_string()))?;
            return Err(Refusal::Storage("the conversation is not known any more".to_owned()));
        };
        let gone = reference.is_some_and(|reference| reference.gone.is_some());
        let notification = Some(notification);
        self.enqueue(bot, Origin { inbound, turn_id, mark: None, keeping: Keeping::No, notification, gone, held: None })
            .await
    }

    /// Says that something may be due.
    pub fn wake_scheduler(&self) {
        self.services.due.notify_one();
    }

    /// After a turn: lets go of its notification, and begins the next that waited for the stack to be empty.
    pub(super) fn after(self: &Arc<Self>, context: &TurnContext, turn: Option<&Turn>) {
        let key = &context.inbound.key;
        let (idle, is_held) = turn.map_or((false, false), |turn| {
            let staging = turn.effects.staging();
            (staging.is_idle(), staging.notification_end() == Some(&End::Held))
        });
        let mut state = self.scheduler.state();
        if let Some(notification) = &context.notification {
            if turn.is_none_or(|turn| turn.ended == Ended::HostFailure) {
                // It is due still: on its way once more, but not at once and ever again.
                let failures = state.failures.entry(notification.id.clone()).or_default();
                *failures += 1;
                let pause = AGAIN_AFTER * (1 << (*failures).min(FAILURES_COUNTED));
                let (turns, id, key) = (self.clone(), notification.id.clone(), key.clone());
                self.guests.spawn(async move {
                    tokio::time::sleep(pause).await;
                    {
                        let mut state = turns.scheduler.state();
                        state.in_flight.remove(&id);
                        if state.held.contains(&key) {
                            state.stuck.insert(key);
                        }
                    }
                    turns.services.due.notify_one();
                });
                return;
            }
            state.failures.remove(&notification.id);
            state.in_flight.remove(&notification.id);
            state.settled.insert(notification.id.clone());
            if is_held {
                state.held.insert(key.clone());
                state.expiring.extend(expiry_of(notification));
            } else if let Some(expiry) = expiry_of(notification) {
                state.expiring.remove(&expiry);
            }
            // The next of the conversation may be due, or the last batch was all on its way.
            if state.in_flight.len() <= BATCH / 2 {
                self.services.due.notify_one();
            }
        }
        let next = idle && state.held.contains(key);
        drop(state);
        if next {
            let (turns, key) = (self.clone(), key.clone());
            // Counted before the turn that has ended is not: in between the host would look as if nothing went on.
            let guard = Running::start(&self.running);
            self.guests.spawn(async move {
                turns.begin_held(&key).await;
                drop(guard);
            });
        }
    }

    /// Begins the oldest notification that a conversation holds; true if it has begun.
    async fn begin_held(self: &Arc<Self>, key: &ConversationKey) -> bool {
        let notification = match self.services.storage.next_held(key).await {
            Ok(Some(notification)) => notification,
            Ok(None) => {
                self.scheduler.state().held.remove(key);
                return false;
            }
            Err(error) => {
                tracing::error!(%error, "the next notification of a conversation cannot be read");
                self.scheduler.state().stuck.insert(key.clone());
                return false;
            }
        };
        // The turn that it is on its way to begins the next.
        if self.scheduler.state().in_flight.contains(&notification.id) {
            return false;
        }
        let begun = self.begin(notification, new_turn_id()).await;
        if let Err(refusal) = &begun {
            tracing::debug!(?refusal, "a notification waits on");
            self.scheduler.state().stuck.insert(key.clone());
        }
        begun.is_ok()
    }

    /// Begins what is due, for as long as the host runs.
    pub async fn run_scheduler(self: Arc<Self>) {
        while !self.stopping.load(Ordering::Acquire) {
            let pause = match self.begin_due().await {
                Ok((_, pause)) => pause,
                Err(error) => {
                    tracing::error!(%error, "the store does not say what is due");
                    AGAIN_AFTER
                }
            };
            let _ = tokio::time::timeout(pause, self.services.due.notified()).await;
        }
    }

    /// Waits until nothing runs and nothing is due, for a host that does not [`Turns::run_scheduler`]. Begins what is due
    /// meanwhile, but no timer of later. The caller bounds it: a bot may cause more and more.
    pub async fn settle(self: &Arc<Self>) -> Result<(), StorageError> {
        loop {
            // The sender lives in self, so the channel cannot close.
            let _ = self.running.subscribe().wait_for(|running| *running == 0).await;
            if self.begin_due().await?.0 == 0 {
                return Ok(());
            }
        }
    }

    /// Begins what is due, and returns how much of it and when to look again.
    async fn begin_due(self: &Arc<Self>) -> Result<(usize, Duration), StorageError> {
        let storage = &self.services.storage;
        let now = now_ms();
        let (mut refused, mut begun, mut after) = (false, 0, None);
        let stuck = std::mem::take(&mut self.scheduler.state().stuck);
        for key in &stuck {
            begun += usize::from(self.begin_held(key).await);
        }
        for expired in self.scheduler.take_expired(now) {
            match self.begin_expired(&expired).await {
                Ok(has_begun) => begun += usize::from(has_begun),
                Err(refusal) => {
                    tracing::debug!(?refusal, "a notification that has expired is tried again");
                    self.scheduler.state().expiring.insert(expired);
                    refused = true;
                }
            }
        }
        // Those of a bot that cannot run now stay due, and must not stand before those of others.
        while begun < BATCH {
            self.scheduler.state().settled.clear();
            let batch = storage.due(now, after.as_ref(), BATCH).await?;
            if after.is_none() && batch.is_empty() {
                self.forget_failures();
            }
            for notification in &batch {
                if self.scheduler.state().knows(&notification.id) {
                    continue;
                }
                match self.begin(notification.clone(), new_turn_id()).await {
                    Ok(_) => begun += 1,
                    Err(refusal) => {
                        tracing::debug!(?refusal, "a notification that is due is tried again");
                        refused = true;
                    }
                }
            }
            after = batch.into_iter().nth(BATCH - 1);
            if after.is_none() {
                break;
            }
        }
        if refused {
            return Ok((begun, AGAIN_AFTER));
        }
        let expires = self.scheduler.state().expiring.first().map(|(expires, ..)| expires.saturating_add(1));
        let next = storage.next_due(now).await?.into_iter().chain(expires).min();
        let next = next.map(|due| Duration::from_millis(due.saturating_sub(now_ms())));
        Ok((begun, next.map_or(SLEEP_MAX, |next| next.min(SLEEP_MAX))))
    }

    /// Lets a notification that is held end, whether its dialog waits on or not; false if it has ended.
    async fn begin_expired(self: &Arc<Self>, (_, id, bot): &Expiry) -> Result<bool, Refusal> {
        let found = self.services.storage.notification(bot, id).await;
        match found.map_err(|error| Refusal::Storage(error.to_string()))? {
            Some(held) if held.ended.is_none() => self.begin(held, new_turn_id()).await.map(|_| true),
            _ => Ok(false),
        }
    }

    /// Nothing is due: what failed before was cancelled meanwhile, or is on its way.
    fn forget_failures(&self) {
        let mut state = self.scheduler.state();
        let State { in_flight, failures, .. } = &mut *state;
        failures.retain(|id, _| in_flight.contains(id));
    }
}
