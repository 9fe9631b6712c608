//! How fast broadcasts become notifications: each at its own rate, and no faster than their turns end.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Turns;
use crate::storage::StorageError;

/// Targets that begin within a second, where the caller says nothing, and at most.
pub const PER_SECOND_DEFAULT: u32 = 20;
/// The greatest rate of a broadcast.
pub const PER_SECOND_MAX: u32 = 10_000;

/// So often a fast broadcast begins some targets at once; a slow one begins them one by one.
const TICKS_PER_SECOND: u32 = 20;
/// How long the broadcaster sleeps where nothing is to be begun, and after a failure.
const SLEEP_MAX: Duration = Duration::from_secs(10);
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// When the next targets of a broadcast begin, by its id.
type Paces = HashMap<Arc<str>, Instant>;

impl Turns {
    /// Says that a broadcast may have targets to begin.
    pub fn wake_broadcaster(&self) {
        self.broadcasting.notify_one();
    }

    /// Begins the targets of broadcasts, for as long as the host runs.
    pub async fn run_broadcaster(self: Arc<Self>) {
        let mut paces = Paces::new();
        while !self.stopping.load(Ordering::Acquire) {
            let pause = self.begin_targets(&mut paces).await.unwrap_or_else(|error| {
                tracing::error!(%error, "the store does not say what is to be broadcast");
                AGAIN_AFTER
            });
            let _ = tokio::time::timeout(pause, self.broadcasting.notified()).await;
        }
    }

    /// Begins those whose time has come, and returns when to look again.
    async fn begin_targets(&self, paces: &mut Paces) -> Result<Duration, StorageError> {
        let open = self.services.storage.open_broadcasts().await?;
        paces.retain(|id, _| open.iter().any(|broadcast| broadcast.id == *id));
        let mut pause = SLEEP_MAX;
        for broadcast in &open {
            let (batch, every) = pace(broadcast.per_second);
            let now = Instant::now();
            let next = paces.entry(broadcast.id.clone()).or_insert(now);
            if *next <= now {
                if self.has_room(&broadcast.bot) {
                    let begun = self.services.storage.begin_targets(&broadcast.id, batch).await?;
                    if begun > 0 {
                        self.wake_scheduler();
                    }
                }
                // What was missed because the host was busy is not made up for.
                *next = if *next + every < now { now } else { *next } + every;
            }
            pause = pause.min(next.saturating_duration_since(now));
        }
        Ok(pause)
    }

    /// Whether turns of the bot run, and those that were begun before have nearly all ended: what is due otherwise must not
    /// stand behind a whole broadcast.
    fn has_room(&self, bot: &str) -> bool {
        let bot = self.registry.bot(bot);
        bot.is_some_and(|bot| bot.is_enabled() && bot.generation().is_some()) && self.scheduler.has_room()
    }
}

/// How many targets begin at once, and how long until the next ones do.
fn pace(per_second: u32) -> (usize, Duration) {
    let batch = (per_second / TICKS_PER_SECOND).max(1);
    (usize::try_from(batch).unwrap_or(1), Duration::from_secs(1) * batch / per_second.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_whatever_its_size() {
        for per_second in [1, 7, 20, 33, 1_000, PER_SECOND_MAX] {
            let (batch, every) = pace(per_second);
            let rate = f64::from(u32::try_from(batch).unwrap()) / every.as_secs_f64();
            assert!((rate - f64::from(per_second)).abs() < 0.01 * f64::from(per_second), "{per_second}: {rate}");
        }
    }
}
