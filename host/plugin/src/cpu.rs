//! CPU time of guests: measured per plugin and turn, bounded, and shared fairly (`host/docs/fair-cpu.md`).

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::threads::{Pace, go};

/// Counts the CPU time that one future takes, poll by poll. Time spent waiting costs nothing.
#[derive(Default)]
pub(super) struct Meter {
    used_ns: AtomicU64,
    /// Thread time at the start of the poll that is going on.
    poll_start_ns: AtomicU64,
    /// What was used when the call that is going on began.
    call_start_ns: AtomicU64,
    /// Time that others used within these polls: hooks that ran while the guest was suspended in `send`.
    forgiven_ns: AtomicU64,
}

impl Meter {
    pub(super) fn starting_at(used: Duration) -> Self {
        Self { used_ns: AtomicU64::new(nanoseconds(used)), ..Self::default() }
    }

    /// Time used by the polls that have ended.
    pub(super) fn used(&self) -> Duration {
        Duration::from_nanos(
            self.used_ns.load(Ordering::Relaxed).saturating_sub(self.forgiven_ns.load(Ordering::Relaxed)),
        )
    }

    /// Takes off what others used.
    pub(super) fn forgive(&self, cpu: Duration) {
        self.forgiven_ns.fetch_add(nanoseconds(cpu), Ordering::Relaxed);
    }

    /// Time used, the poll that is going on included. Only for the thread that polls.
    pub(super) fn used_within_poll(&self) -> Duration {
        let poll = thread_time_ns().saturating_sub(self.poll_start_ns.load(Ordering::Relaxed));
        let used = self.used_ns.load(Ordering::Relaxed).saturating_add(poll);
        Duration::from_nanos(used.saturating_sub(self.forgiven_ns.load(Ordering::Relaxed)))
    }

    /// The same, of the call that is going on.
    pub(super) fn used_by_call(&self) -> Duration {
        self.used_within_poll().saturating_sub(Duration::from_nanos(self.call_start_ns.load(Ordering::Relaxed)))
    }

    /// Runs a call of a guest. Whenever it waits, and when it ends, it gives its permit back.
    pub(super) async fn measure<T>(&self, lane: &SlowLane, future: impl Future<Output = T>) -> T {
        self.call_start_ns.store(nanoseconds(self.used()), Ordering::Relaxed);
        let mut future = pin!(future);
        poll_fn(|context| {
            let start = thread_time_ns();
            self.poll_start_ns.store(start, Ordering::Relaxed);
            let poll = future.as_mut().poll(context);
            self.used_ns.fetch_add(thread_time_ns().saturating_sub(start), Ordering::Relaxed);
            lane.leave();
            poll
        })
        .await
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Thread time, not wall time: a guest does not pay for the threads that its host competes with.
fn thread_time_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Who may go on after the first tick. A guest that used one tick computes on in threads of lower priority, and holds a permit
/// while it does.
pub(super) struct SlowLane {
    host: Arc<Semaphore>,
    /// The bot's share: one bot's spinning guests queue behind each other before they queue with those of others.
    bot: Arc<Semaphore>,
    held: Mutex<Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>>,
}

impl SlowLane {
    pub(super) fn new(host: Arc<Semaphore>, bot: Arc<Semaphore>) -> Self {
        Self { host, bot, held: Mutex::new(None) }
    }

    /// Goes to the threads of slow guests and waits for a permit, behind those who wait already: both queues are fair, so
    /// slow guests alternate.
    pub(super) async fn take_turn(&self) {
        go(Pace::Slow).await;
        // Gives back the permit of the tick before, and lets the worker's other tasks run.
        tokio::task::yield_now().await;
        // Neither semaphore is ever closed; should it be, the guest goes on without a permit.
        let Ok(bot) = self.bot.clone().acquire_owned().await else { return };
        let Ok(host) = self.host.clone().acquire_owned().await else { return };
        *self.held.lock() = Some((bot, host));
    }

    fn leave(&self) {
        self.held.lock().take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_is_told_apart_from_those_before_it() {
        let slow = || Arc::new(Semaphore::new(1));
        let (meter, lane) = (Meter::starting_at(Duration::from_secs(1)), SlowLane::new(slow(), slow()));
        let long = async {
            let start = thread_time_ns();
            while thread_time_ns() < start + 5_000_000 {}
            meter.used_by_call()
        };
        assert!(meter.measure(&lane, long).await >= Duration::from_millis(5));
        let short = async { (meter.used_by_call(), meter.used_within_poll()) };
        let (by_call, in_turn) = meter.measure(&lane, short).await;
        assert!(by_call < Duration::from_millis(5), "{by_call:?}");
        assert!(in_turn >= Duration::from_millis(1_005), "{in_turn:?}");
    }
}
