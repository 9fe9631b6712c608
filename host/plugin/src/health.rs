//! When middleware that fails is left alone (`on-hook-failure = "disable"`).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// So many failures in a row disable it.
const FAILURES_MAX: u32 = 3;
/// For how long at first, and at most; each time twice as long as before.
const PAUSE: Duration = Duration::from_secs(60);
const PAUSE_MAX: Duration = Duration::from_secs(3600);

/// The failures of one middleware plugin in one generation.
#[derive(Debug, Default)]
pub struct HookHealth(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// In a row, by event: one that fails on all that leaves may still take what comes in.
    failures: HashMap<&'static str, u32>,
    pauses: u32,
    until: Option<Instant>,
}

impl HookHealth {
    /// Whether it is left alone now.
    pub fn is_disabled(&self) -> bool {
        self.state().until.is_some_and(|until| Instant::now() < until)
    }

    /// Notes a call for an event that did what it should.
    pub fn succeeded(&self, event: &str) {
        let mut state = self.state();
        if state.failures.remove(event).is_some_and(|failures| failures >= FAILURES_MAX) {
            state.pauses = 0;
        }
    }

    /// Notes a failure. Returns for how long it is left alone from now on, where this was one too many. After a pause a
    /// single failure begins the next.
    pub fn failed(&self, event: &'static str) -> Option<Duration> {
        let mut state = self.state();
        let failures = state.failures.entry(event).or_default();
        *failures += 1;
        if *failures < FAILURES_MAX {
            return None;
        }
        let pause = PAUSE.saturating_mul(1 << state.pauses.min(16)).min(PAUSE_MAX);
        state.pauses += 1;
        state.until = Some(Instant::now() + pause);
        Some(pause)
    }

    fn state(&self) -> parking_lot::MutexGuard<'_, State> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::{HookHealth, PAUSE};

    #[test]
    fn three_failures_in_a_row_disable_and_each_pause_is_longer() {
        let health = HookHealth::default();
        assert_eq!((health.failed("send"), health.failed("send")), (None, None));
        health.succeeded("send");
        assert_eq!((health.failed("send"), health.failed("send")), (None, None));
        health.succeeded("receive");
        assert!(!health.is_disabled());
        assert_eq!(health.failed("send"), Some(PAUSE));
        assert!(health.is_disabled());
        assert_eq!(health.failed("send"), Some(2 * PAUSE), "the first call after the pause failed");
    }
}
