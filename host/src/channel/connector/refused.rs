//! Counts the origins that activities named in `serviceUrl` but that the operator did not configure.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::channel::RefusedOrigin;
use crate::telemetry;

/// Origins listed per bot. Senders choose the origins, so the list is bounded: the least frequent origin is removed
/// first.
const ORIGINS_NAMED_MAX: usize = 16;

/// Refused calls since the start, by bot.
#[derive(Default)]
pub(super) struct RefusedOrigins(Mutex<HashMap<Arc<str>, Vec<RefusedOrigin>>>);

impl RefusedOrigins {
    /// Counts a refusal. The first one of an origin is logged as an error, because replies are lost until the operator
    /// acts.
    pub(super) fn note(&self, bot: &Arc<str>, origin: String, why: &str) {
        telemetry::origin_refused(bot);
        let last = jiff::Timestamp::now().to_string();
        let mut by_bot = self.0.lock();
        let origins = by_bot.entry(bot.clone()).or_default();
        if let Some(known) = origins.iter_mut().find(|known| known.origin == origin) {
            (known.count, known.last) = (known.count + 1, last);
            return;
        }
        if origins.len() == ORIGINS_NAMED_MAX
            && let Some(least) = (0..origins.len()).min_by_key(|&place| origins[place].count)
        {
            origins.remove(least);
        }
        tracing::error!(%bot, origin, why, "replies are not sent to the origin of this serviceUrl");
        origins.push(RefusedOrigin { origin, why: why.to_owned(), count: 1, last });
    }

    /// Returns the origins of a bot, the most frequent first.
    pub(super) fn of(&self, bot: &str) -> Vec<RefusedOrigin> {
        let by_bot = self.0.lock();
        let mut origins = by_bot.get(bot).cloned().unwrap_or_default();
        origins.sort_by_key(|refused| std::cmp::Reverse(refused.count));
        origins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_counted_and_a_flood_of_others_does_not_push_out_a_frequent_one() {
        let refused = RefusedOrigins::default();
        let bot: Arc<str> = "bot".into();
        for _ in 0..3 {
            refused.note(&bot, "http://often".to_owned(), "why");
        }
        for number in 0..100 {
            refused.note(&bot, format!("http://flood-{number}"), "why");
        }
        let named = refused.of("bot");
        assert_eq!(named.len(), ORIGINS_NAMED_MAX);
        assert_eq!((&*named[0].origin, named[0].count), ("http://often", 3));
        assert!(named.iter().any(|refused| refused.origin == "http://flood-99"), "the newest is named");
        assert!(refused.of("other").is_empty());
    }
}
