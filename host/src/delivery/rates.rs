//! How fast a channel lets a bot send: token buckets for each conversation and each bot, before the channel says 429.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::activity::{ChannelInstance, ConversationKey};
use crate::config::Rate;

/// Conversations with a bucket at which the full ones, of conversations that were idle, are dropped.
const BUCKETS_KEPT: usize = 10_000;

/// The buckets of all channels that have limits.
pub(super) struct Rates {
    channels: HashMap<String, Buckets>,
    clock: DefaultClock,
}

/// The buckets of one channel, one limiter for each window.
struct Buckets {
    conversation: Vec<DefaultKeyedRateLimiter<ConversationKey>>,
    bot: Vec<DefaultKeyedRateLimiter<Arc<str>>>,
}

impl Rates {
    pub(super) fn new(rates: &BTreeMap<String, crate::config::Rates>) -> Self {
        let buckets = |rates: &crate::config::Rates| Buckets {
            conversation: rates.conversation.iter().filter_map(quota).map(RateLimiter::keyed).collect(),
            bot: rates.bot.iter().filter_map(quota).map(RateLimiter::keyed).collect(),
        };
        let channels = rates.iter().map(|(channel, rates)| (channel.clone(), buckets(rates))).collect();
        Self { channels, clock: DefaultClock::default() }
    }

    /// Takes a token of each bucket of the conversation. The error says how long until the next try makes sense; the tokens
    /// that were taken are lost, which errs on the slow side.
    pub(super) fn take(&self, conversation: &ConversationKey) -> Result<(), Duration> {
        let ChannelInstance::Wire(channel) = &conversation.channel else { return Ok(()) };
        let Some(buckets) = self.channels.get(&**channel) else { return Ok(()) };
        let now = self.clock.now();
        for limiter in &buckets.conversation {
            if limiter.len() > BUCKETS_KEPT {
                limiter.retain_recent();
            }
            limiter.check_key(conversation).map_err(|not_until| not_until.wait_time_from(now))?;
        }
        for limiter in &buckets.bot {
            limiter.check_key(&conversation.bot).map_err(|not_until| not_until.wait_time_from(now))?;
        }
        Ok(())
    }
}

/// So many at once, and as many again evenly over the window.
fn quota(rate: &Rate) -> Option<Quota> {
    Some(Quota::with_period(rate.per / rate.sends.get())?.allow_burst(rate.sends))
}

#[cfg(test)]
mod tests {
    use super::Rates;
    use crate::channel::testing::conversation;
    use crate::config::{Rate, Rates as Configured};

    #[test]
    fn each_conversation_has_its_bucket_and_the_bot_one_for_all() {
        let rate = |text: &str| text.parse::<Rate>().unwrap();
        let configured = Configured { conversation: vec![rate("2/1h")], bot: vec![rate("3/1h")] };
        let rates = Rates::new(&[("test".to_owned(), configured)].into());
        assert!(rates.take(&conversation("a")).is_ok());
        assert!(rates.take(&conversation("a")).is_ok());
        let wait = rates.take(&conversation("a")).unwrap_err();
        assert!(wait.as_secs() > 1_700 && wait.as_secs() <= 1_800, "{wait:?}");
        assert!(rates.take(&conversation("b")).is_ok(), "another conversation");
        assert!(rates.take(&conversation("c")).is_err(), "the bot's are used up");
    }
}
