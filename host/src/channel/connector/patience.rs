//! How long the host waits for a peer, counted in time in which the host itself ran.
//!
//! A machine may stand still for longer than any timeout: it is suspended, or its processor is taken away. When it goes
//! on, timers have ended, and the answer of the peer waits unread in the socket. So the time is counted in steps. A
//! step that took far longer than it should does not count, and the next one gives time to read what is there.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// Number of steps of one wait.
const STEPS: u32 = 8;
/// A step does not count if it is late by more than this, or by its own length if that is longer.
const LATE_AFTER: Duration = Duration::from_millis(500);

/// The time that a peer has left.
pub(super) struct Patience {
    step: Duration,
    left: u32,
    began: Instant,
    ends: Pin<Box<Sleep>>,
}

impl Patience {
    pub(super) fn new(time: Duration) -> Self {
        let step = time / STEPS;
        Self { step, left: STEPS, began: Instant::now(), ends: Box::pin(sleep(step)) }
    }

    /// Waits for work while time is left, over all calls of this method. None: the time is over.
    pub(super) async fn wait_for<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        while self.left > 0 {
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                () = &mut self.ends => self.step_ended(),
            }
        }
        None
    }

    fn step_ended(&mut self) {
        let late = self.began.elapsed().saturating_sub(self.step);
        if late <= LATE_AFTER.max(self.step) {
            self.left -= 1;
        }
        self.began = Instant::now();
        self.ends = Box::pin(sleep(self.step));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_time_is_over_after_all_steps_and_stays_over() {
        let mut patience = Patience::new(Duration::from_millis(8));
        assert_eq!(patience.wait_for(std::future::pending::<()>()).await, None);
        assert_eq!(patience.wait_for(async {}).await, None);
        assert_eq!(Patience::new(Duration::from_secs(60)).wait_for(async { 1 }).await, Some(1));
    }

    /// The thread stands still for much longer than the whole time, as it does on a paused machine. The work needs a
    /// few more turns of the runtime then, as reading an answer does.
    #[tokio::test]
    async fn what_is_there_after_a_freeze_is_read() {
        let mut patience = Patience::new(Duration::from_millis(400));
        let answer = async {
            tokio::task::yield_now().await;
            std::thread::sleep(Duration::from_millis(1_200));
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            "taken"
        };
        assert_eq!(patience.wait_for(answer).await, Some("taken"));
    }
}
