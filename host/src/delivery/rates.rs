//! Rate limits for sending, as token buckets per conversation and per bot, so that channels need not answer 429.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::activity::{ChannelInstance, ConversationKey};
use crate::config::Rate;

/// Number of conversation buckets above which full buckets of idle conversations are dropped. A bucket that is not full
/// is kept, because a new one would be full.
const BUCKETS_KEPT: usize = 10_000;

/// The buckets of all channels with rate limits.
pub(super) struct Rates {
    channels: HashMap<String, Buckets>,
    clock: DefaultClock,
}

/// The buckets of one channel, one limiter per window.
struct Buckets {
    conversation: Vec<OfConversations>,
    bot: Vec<DefaultKeyedRateLimiter<Arc<str>>>,
}

/// The buckets of all conversations for one window.
struct OfConversations {
    limiter: DefaultKeyedRateLimiter<ConversationKey>,
    /// Number of buckets at which the next sweep runs.
    sweep_at: AtomicUsize,
}

/// Number of buckets from which one send has taken its token. A send that must wait for a bucket keeps the tokens of
/// the earlier ones. Otherwise each retry for the bot's bucket would take another token of the conversation.
#[derive(Debug, Default)]
pub(super) struct Taken(usize);

impl Rates {
    pub(super) fn new(rates: &BTreeMap<String, crate::config::Rates>) -> Self {
        let buckets = |rates: &crate::config::Rates| Buckets {
            conversation: rates.conversation.iter().filter_map(quota).map(OfConversations::new).collect(),
            bot: rates.bot.iter().filter_map(quota).map(RateLimiter::keyed).collect(),
        };
        let channels = rates.iter().map(|(channel, rates)| (channel.clone(), buckets(rates))).collect();
        Self { channels, clock: DefaultClock::default() }
    }

    /// Takes a token from each bucket that has not given one for this send. The error is the time to wait before the
    /// next try, which must pass the same `taken`.
    pub(super) fn take(&self, conversation: &ConversationKey, taken: &mut Taken) -> Result<(), Duration> {
        let ChannelInstance::Wire(channel) = &conversation.channel else { return Ok(()) };
        let Some(buckets) = self.channels.get(&**channel) else { return Ok(()) };
        let now = self.clock.now();
        for of_conversations in buckets.conversation.iter().skip(taken.0) {
            of_conversations.sweep();
            let checked = of_conversations.limiter.check_key(conversation);
            checked.map_err(|not_until| not_until.wait_time_from(now))?;
            taken.0 += 1;
        }
        for limiter in buckets.bot.iter().skip(taken.0 - buckets.conversation.len()) {
            limiter.check_key(&conversation.bot).map_err(|not_until| not_until.wait_time_from(now))?;
            taken.0 += 1;
        }
        Ok(())
    }
}

impl OfConversations {
    fn new(quota: Quota) -> Self {
        Self { limiter: RateLimiter::keyed(quota), sweep_at: AtomicUsize::new(BUCKETS_KEPT) }
    }

    /// Drops full buckets, once the number of buckets has doubled since the last sweep, so that a sweep costs little
    /// per send.
    fn sweep(&self) {
        if self.limiter.len() > self.sweep_at.load(Ordering::Relaxed) {
            self.limiter.retain_recent();
            self.sweep_at.store(BUCKETS_KEPT.max(2 * self.limiter.len()), Ordering::Relaxed);
        }
    }
}

/// Allows a burst of `sends`, replenished evenly over the window.
fn quota(rate: &Rate) -> Option<Quota> {
    Some(Quota::with_period(rate.per / rate.sends.get())?.allow_burst(rate.sends))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BUCKETS_KEPT, Rates, Taken};
    use crate::channel::testing::conversation;
    use crate::config::{Rate, Rates as Configured};

    fn rates(conversation: &[&str], bot: &[&str]) -> Rates {
        let read = |texts: &[&str]| texts.iter().map(|text| text.parse::<Rate>().unwrap()).collect();
        let configured = Configured { conversation: read(conversation), bot: read(bot) };
        Rates::new(&[("test".to_owned(), configured)].into())
    }

    #[test]
    fn each_conversation_has_its_bucket_and_the_bot_one_for_all() {
        let rates = rates(&["2/1h"], &["3/1h"]);
        let take = |id: &str| rates.take(&conversation(id), &mut Taken::default());
        assert!(take("a").is_ok());
        assert!(take("a").is_ok());
        let wait = take("a").unwrap_err();
        assert!(wait.as_secs() > 1_700 && wait.as_secs() <= 1_800, "{wait:?}");
        assert!(take("b").is_ok(), "another conversation");
        assert!(take("c").is_err(), "the bot's are used up");
    }

    /// A send takes one token of its conversation, however often it retries for the token of the bot.
    #[test]
    fn who_waits_for_the_bots_bucket_does_not_use_up_the_conversations() {
        let rates = rates(&["2/24h"], &["1/24h"]);
        assert!(rates.take(&conversation("a"), &mut Taken::default()).is_ok());
        let mut taken = Taken::default();
        for _ in 0..5 {
            let wait = rates.take(&conversation("a"), &mut taken).unwrap_err();
            assert!(wait > Duration::from_secs(13 * 3_600), "the wait is the conversation's: {wait:?}");
        }
    }

    #[test]
    fn buckets_of_idle_conversations_are_dropped() {
        // The bucket is full again within a microsecond.
        let rates = rates(&["1000000/1s"], &[]);
        for number in 0..=3 * BUCKETS_KEPT {
            assert!(rates.take(&conversation(&number.to_string()), &mut Taken::default()).is_ok());
        }
        let kept = rates.channels["test"].conversation[0].limiter.len();
        assert!(kept <= BUCKETS_KEPT + 1, "{kept}");
    }
}
