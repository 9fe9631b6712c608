//! How long a delivery waits between attempts, and how many attempts it makes.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::channel::ChannelError;

/// Back-off after a failure, if the channel gives no time: about 1, 4, 16, 20, 20 … seconds, with jitter.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
const BACK_OFF_FACTOR: f32 = 4.0;
pub(super) const BACK_OFF_MAX: Duration = Duration::from_secs(20);
/// Minimum back-off after a 429, even if the channel allows an immediate retry: about 0.25, 0.5, 1, 2, 4 … seconds,
/// with jitter.
const THROTTLED_MIN: Duration = Duration::from_millis(250);
const THROTTLED_FACTOR: f32 = 2.0;
/// Maximum number of 429 responses to one activity. They do not count as failed attempts, because the channel took
/// nothing and says when it will.
const THROTTLES_MAX: usize = 10;
/// Upper limit on a channel's `Retry-After`.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// The waits of one delivery.
pub(super) struct Pace {
    failed: ExponentialBackoff,
    throttled: ExponentialBackoff,
}

impl Pace {
    /// Returns the waits of a delivery with this number of attempts. 429 responses do not count.
    pub(super) fn new(attempts_max: u32) -> Self {
        let retries = usize::try_from(attempts_max.saturating_sub(1)).unwrap_or(usize::MAX);
        let waits = |min, factor, times| {
            let waits = ExponentialBuilder::default().with_min_delay(min).with_factor(factor);
            waits.with_max_delay(BACK_OFF_MAX).with_jitter().with_max_times(times).build()
        };
        Self {
            failed: waits(BACK_OFF_MIN, BACK_OFF_FACTOR, retries),
            throttled: waits(THROTTLED_MIN, THROTTLED_FACTOR, THROTTLES_MAX),
        }
    }

    /// Returns how long to wait after this error, or why the delivery must not be retried.
    pub(super) fn wait_after(&mut self, error: &ChannelError) -> Result<Duration, &'static str> {
        let wait = match error {
            ChannelError::Throttled { retry_after, .. } => {
                let least = self.throttled.next().ok_or("given up after ten answers like this one")?;
                retry_after.unwrap_or(BACK_OFF_MIN).max(least)
            }
            ChannelError::Ambiguous { retry_after, .. } => {
                let own = self.failed.next().ok_or("given up after channel.send-attempts-max attempts")?;
                // An immediate retry would use up the few attempts while the channel still fails.
                retry_after.filter(|after| *after >= BACK_OFF_MIN).unwrap_or(own)
            }
            ChannelError::Unreachable { .. } => return Err("given up after channel.unreachable-ms"),
            ChannelError::Refused { .. } => return Err("a retry would be refused again"),
        };
        Ok(wait.min(RETRY_AFTER_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttled(seconds: Option<u64>) -> ChannelError {
        ChannelError::Throttled { why: String::new(), retry_after: seconds.map(Duration::from_secs) }
    }

    fn failed(seconds: Option<u64>) -> ChannelError {
        ChannelError::Ambiguous { why: String::new(), retry_after: seconds.map(Duration::from_secs) }
    }

    /// Waits in whole milliseconds without the jitter, which adds at most the same again.
    fn is_about(wait: Duration, least_ms: u64) -> bool {
        (u128::from(least_ms)..=u128::from(2 * least_ms)).contains(&wait.as_millis())
    }

    #[test]
    fn at_once_is_paced_and_three_times_within_two_seconds_is_waited_out() {
        let mut pace = Pace::new(1);
        for least_ms in [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000] {
            let wait = pace.wait_after(&throttled(Some(0))).unwrap();
            assert!(is_about(wait, least_ms), "{least_ms}: {wait:?}");
        }
        assert_eq!((0..4).filter_map(|_| pace.wait_after(&throttled(Some(0))).ok()).count(), 3, "10 in all");
    }

    #[test]
    fn what_the_channel_says_counts_within_its_bounds() {
        let first = |error: &ChannelError| Pace::new(3).wait_after(error).unwrap();
        assert_eq!(first(&throttled(Some(7))), Duration::from_secs(7));
        assert_eq!(first(&throttled(Some(u64::MAX))), RETRY_AFTER_MAX);
        assert_eq!(first(&throttled(None)), BACK_OFF_MIN);
        assert_eq!(first(&failed(Some(7))), Duration::from_secs(7));
        assert_eq!(first(&failed(Some(9_999))), RETRY_AFTER_MAX);
        assert!(is_about(first(&failed(Some(0))), 1_000), "«at once» would use up the attempts");
        assert!(is_about(first(&failed(None)), 1_000));
    }

    #[test]
    fn failures_are_bounded_by_the_setting_and_throttling_is_none() {
        let mut pace = Pace::new(3);
        for error in [throttled(Some(1)), failed(None), throttled(Some(1)), failed(None)] {
            assert!(pace.wait_after(&error).is_ok(), "{error}");
        }
        let bound = pace.wait_after(&failed(None)).unwrap_err();
        assert!(bound.contains("channel.send-attempts-max"), "{bound}");
        assert!(Pace::new(1).wait_after(&failed(None)).is_err());
    }
}
