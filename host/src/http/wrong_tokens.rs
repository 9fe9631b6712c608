//! Wrong tokens at the admin listener: each costs its sender time, and the log gets one line a minute.
//!
//! The token is compared before anything waits, so nobody who has it is slowed down by those who guess.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::error::{HttpError, code};

/// How long the answer to a wrong token takes.
const DELAY: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 250 });
/// Answers that are delayed at once. Further ones are refused without a comparison of what they presented being told.
const DELAYED_MAX: usize = 16;
const LOGGED_EVERY: Duration = Duration::from_secs(60);

/// The wrong tokens that were presented.
pub(super) struct WrongTokens {
    delayed: Semaphore,
    unlogged: Mutex<Unlogged>,
}

#[derive(Default)]
struct Unlogged {
    last_line: Option<Instant>,
    count: u64,
}

impl WrongTokens {
    pub(super) fn new() -> Self {
        Self { delayed: Semaphore::new(DELAYED_MAX), unlogged: Mutex::default() }
    }

    /// Counts a wrong token and returns its answer, after a while.
    pub(super) async fn refuse(&self) -> HttpError {
        if let Some(count) = self.unlogged.lock().count(Instant::now()) {
            tracing::warn!(count, "a wrong admin token was presented");
        }
        let Ok(_place) = self.delayed.try_acquire() else {
            let message = "too many wrong tokens are being presented; try again later";
            return HttpError::new(StatusCode::TOO_MANY_REQUESTS, code::THROTTLED, message).retry_after_default();
        };
        sleep(DELAY).await;
        HttpError::unauthorized()
    }
}

impl Unlogged {
    /// Counts one more. Returns how many were counted if a line is due.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        if self.last_line.is_some_and(|last| now.saturating_duration_since(last) < LOGGED_EVERY) {
            return None;
        }
        self.last_line = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    #[test]
    fn the_log_gets_one_line_a_minute() {
        let (mut unlogged, start) = (Unlogged::default(), Instant::now());
        let lines: Vec<_> =
            [0, 1, 59, 60, 61, 121].map(|seconds| unlogged.count(start + Duration::from_secs(seconds))).into();
        assert_eq!(lines, [Some(1), None, None, Some(3), None, Some(2)]);
    }

    #[tokio::test]
    async fn many_at_once_are_refused_without_a_wait() {
        let wrong = WrongTokens::new();
        let answers = join_all((0..DELAYED_MAX + 4).map(|_| wrong.refuse())).await;
        let refused = answers.iter().filter(|answer| answer.status() == StatusCode::TOO_MANY_REQUESTS).count();
        assert_eq!(refused, 4);
        assert_eq!(wrong.refuse().await.status(), StatusCode::UNAUTHORIZED);
    }
}
