//! The instances of one turn, and the slots that bound how many there are in the host.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::record::microseconds;
use super::{CallRecord, TurnError};
use crate::config;
use crate::plugin::{Entry, Failure, Instance, Meta, Outcome, Plugin, Runtime, TurnHost};

/// Instance slots: of the host, and each bot's share of them. A cheap handle.
#[derive(Clone)]
pub(super) struct Slots {
    host: Arc<Semaphore>,
    host_max: usize,
    per_bot_max: usize,
    /// How long a turn waits for its slots before it gives up as a failure of the host.
    wait_max: Duration,
    bots: Arc<Mutex<HashMap<Arc<str>, Arc<Semaphore>>>>,
}

impl Slots {
    pub(super) fn new(runtime: &config::Runtime) -> Self {
        let host_max = runtime.instances_max as usize;
        Self {
            host: Arc::new(Semaphore::new(host_max)),
            host_max,
            per_bot_max: runtime.instances_per_bot_max as usize,
            wait_max: runtime.instances_wait,
            bots: Arc::default(),
        }
    }

    /// Slots that turns hold, and all of them.
    pub(super) fn used(&self) -> (usize, usize) {
        (self.host_max.saturating_sub(self.host.available_permits()), self.host_max)
    }

    fn of_bot(&self, bot: &Arc<str>) -> Arc<Semaphore> {
        let mut bots = self.bots.lock();
        bots.entry(bot.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.per_bot_max))).clone()
    }
}

/// One instance of one plugin in one turn: made at its first call, kept until the turn ends.
#[derive(Default)]
pub(super) struct Slot {
    instance: Option<Instance>,
    /// What it and its predecessors used.
    cpu_used: Duration,
}

impl Slot {
    /// Calls the plugin, which reaches `turn` meanwhile. An instance that failed is never entered again; neither is one whose
    /// call is dropped, because the slot is empty while the call runs.
    pub(super) async fn call(
        &mut self,
        runtime: &Runtime,
        plugin: &Arc<Plugin>,
        turn: Arc<dyn TurnHost>,
        meta: &Meta,
        entry: Entry<'_>,
    ) -> (CallRecord, Outcome) {
        let started = Instant::now();
        let mut record = CallRecord::of(plugin, meta);
        let instance = match self.instance.take() {
            Some(instance) => Ok(instance),
            None => Instance::new(runtime, plugin, &meta.turn_id, self.cpu_used).await,
        };
        let outcome = match instance {
            Err(failure) => Outcome::Failed(failure),
            Ok(mut instance) => {
                let call = instance.call(Some(turn), meta, entry).await;
                self.cpu_used = call.cpu_in_turn;
                record.cpu_us = microseconds(call.cpu);
                record.logs = call.logs;
                record.http = call.http;
                if matches!(call.outcome, Outcome::Failed(_)) && !call.stderr.is_empty() {
                    record.stderr = Some(call.stderr);
                }
                if matches!(call.outcome, Outcome::Done(_) | Outcome::Failed(Failure::Fault(_))) {
                    self.instance = Some(instance);
                }
                call.outcome
            }
        };
        record.duration_us = microseconds(started.elapsed());
        record.outcome = outcome.label();
        if let Outcome::Failed(failure) = &outcome {
            record.error = Some(failure.to_string());
            if let Failure::Trap { backtrace, .. } = failure {
                record.backtrace.clone_from(backtrace);
            }
        }
        (record, outcome)
    }
}

/// The instances of one turn, by the plugin's position.
pub(super) struct Instances {
    slots: Slots,
    live: Vec<Slot>,
    permits: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl Instances {
    pub(super) fn new(slots: Slots, plugins: usize) -> Self {
        Self { slots, live: std::iter::repeat_with(Slot::default).take(plugins).collect(), permits: None }
    }

    /// Takes the slots of all instances that the turn may need at once: one by one, two turns could each hold what the
    /// other waits for.
    pub(super) async fn reserve(&mut self, bot: &Arc<str>, count: usize) -> Result<(), TurnError> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let (of_bot, of_host) = (self.slots.of_bot(bot), self.slots.host.clone());
        let both = async {
            let bot = of_bot.acquire_many_owned(count).await.ok()?;
            Some((bot, of_host.acquire_many_owned(count).await.ok()?))
        };
        match tokio::time::timeout(self.slots.wait_max, both).await {
            Ok(Some(permits)) => {
                self.permits = Some(permits);
                Ok(())
            }
            Ok(None) | Err(_) => Err(TurnError::Busy { waited: self.slots.wait_max }),
        }
    }

    /// Drops the instances and frees their slots. A plugin that is called later gets a new one.
    pub(super) fn release(&mut self) {
        self.live.iter_mut().for_each(|slot| slot.instance = None);
        self.permits = None;
    }

    /// The one of the plugin at this position.
    pub(super) fn of(&mut self, position: usize) -> Option<&mut Slot> {
        self.live.get_mut(position)
    }
}
