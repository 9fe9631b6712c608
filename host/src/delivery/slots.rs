//! Limits concurrent calls, so that neither a bot nor slow conversations can occupy all of them.
//!
//! A call begins in one of the quick slots of its origin. If it lasts longer than [`QUICK_MAX`], it moves to a slow
//! slot, and the next call of its conversation begins there, until one is quick again. So silent conversations hold up
//! each other and nobody else. In both kinds of slots a bot holds at most three times as many as are free, so a bot
//! that takes all it can leaves a quarter, two leave a seventh, and each further one finds a free slot at once. Bots
//! that wait get slots in turn. A conversation has one call at a time, because its lane makes one after the other.

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::activity::ConversationKey;
use crate::channel::Address;

/// Number of quick calls to one origin, and to all.
const QUICK_CALLS: (usize, usize) = (64, 256);
/// Number of slow calls to one origin, and to all.
const SLOW_CALLS: (usize, usize) = (512, 1_024);
/// Duration of a quick call.
const QUICK_MAX: Duration = Duration::from_millis(250);
/// A bot holds at most this many times the free slots.
const SHARE: usize = 3;
/// Number of origins above which idle ones are removed.
const ORIGINS_REMEMBERED: usize = 256;
/// Number of conversations that are known to be slow. Further ones begin in a quick slot each time.
const SLOW_REMEMBERED: usize = 10_000;

pub(super) struct Slots {
    quick: Kind,
    slow: Kind,
    /// Conversations whose last call was slow.
    known_slow: Mutex<HashSet<ConversationKey>>,
}

/// The slots of one kind.
struct Kind {
    all: Arc<Pool>,
    by_origin: Mutex<HashMap<Arc<str>, Arc<Pool>>>,
    per_origin: usize,
}

/// Permission to make one call. Released on drop.
struct Slot {
    _origin: Held,
    _all: Held,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { quick: Kind::new(QUICK_CALLS), slow: Kind::new(SLOW_CALLS), known_slow: Mutex::default() }
    }

    /// Makes a call when there is a slot for it.
    pub(super) async fn run<T>(&self, to: &Address, call: impl Future<Output = T>) -> T {
        let (origin, bot) = (to.origin(), &to.conversation.bot);
        let mut was_quick = !self.known_slow.lock().contains(&to.conversation);
        let kind = if was_quick { &self.quick } else { &self.slow };
        let mut slot = kind.acquire(&origin, bot).await;
        let mut call = pin!(call);
        if let Ok(done) = timeout(QUICK_MAX, &mut call).await {
            if !was_quick {
                self.known_slow.lock().remove(&to.conversation);
            }
            return done;
        }
        self.note_slow(&to.conversation);
        loop {
            // Where all slow slots are taken, the call keeps its quick one and asks again later.
            if was_quick && let Some(slow) = self.slow.try_acquire(&origin, bot) {
                (slot, was_quick) = (Some(slow), false);
            }
            if let Ok(done) = timeout(QUICK_MAX, &mut call).await {
                drop(slot);
                return done;
            }
        }
    }

    fn note_slow(&self, conversation: &ConversationKey) {
        let mut known = self.known_slow.lock();
        if known.len() < SLOW_REMEMBERED {
            known.insert(conversation.clone());
        }
    }
}

impl Kind {
    fn new((per_origin, all): (usize, usize)) -> Self {
        Self { all: Arc::new(Pool::new(all)), by_origin: Mutex::default(), per_origin }
    }

    /// Waits for a slot of the origin, then for one of all. A call that waits for its origin holds no slot of all. None
    /// only while the host is torn down.
    async fn acquire(&self, origin: &Arc<str>, bot: &Arc<str>) -> Option<Slot> {
        let origin = self.origin(origin).acquire(bot).await?;
        let all = self.all.acquire(bot).await?;
        Some(Slot { _origin: origin, _all: all })
    }

    fn try_acquire(&self, origin: &Arc<str>, bot: &Arc<str>) -> Option<Slot> {
        let origin = self.origin(origin).try_acquire(bot)?;
        let all = self.all.try_acquire(bot)?;
        Some(Slot { _origin: origin, _all: all })
    }

    fn origin(&self, origin: &Arc<str>) -> Arc<Pool> {
        let mut by_origin = self.by_origin.lock();
        if by_origin.len() >= ORIGINS_REMEMBERED {
            // Slots and waiting calls hold a reference to the pool too.
            by_origin.retain(|_, pool| Arc::strong_count(pool) > 1);
        }
        by_origin.entry(origin.clone()).or_insert_with(|| Arc::new(Pool::new(self.per_origin))).clone()
    }
}

/// Slots that bots share.
struct Pool(Mutex<Shares>);

struct Shares {
    free: usize,
    bots: HashMap<Arc<str>, Share>,
    /// Bots with waiting calls, the one whose turn it is first.
    turns: VecDeque<Arc<str>>,
}

#[derive(Default)]
struct Share {
    held: usize,
    waiting: VecDeque<oneshot::Sender<Held>>,
}

/// One slot of a pool. Dropping it gives it to the next call that waits.
struct Held {
    pool: Arc<Pool>,
    bot: Arc<str>,
}

impl Pool {
    fn new(slots: usize) -> Self {
        Self(Mutex::new(Shares { free: slots, bots: HashMap::new(), turns: VecDeque::new() }))
    }

    async fn acquire(self: &Arc<Self>, bot: &Arc<str>) -> Option<Held> {
        let waiting = {
            let mut shares = self.0.lock();
            if shares.take(bot) {
                return Some(self.held(bot));
            }
            shares.wait(bot)
        };
        // The sender is kept until it gives a slot, and this future holds the pool.
        waiting.await.ok()
    }

    fn try_acquire(self: &Arc<Self>, bot: &Arc<str>) -> Option<Held> {
        let taken = self.0.lock().take(bot);
        taken.then(|| self.held(bot))
    }

    fn held(self: &Arc<Self>, bot: &Arc<str>) -> Held {
        Held { pool: self.clone(), bot: bot.clone() }
    }
}

impl Shares {
    /// Takes a slot for a bot if it has none waiting and its share allows it.
    fn take(&mut self, bot: &Arc<str>) -> bool {
        let share = self.bots.entry(bot.clone()).or_default();
        let may = share.waiting.is_empty() && share.held < SHARE * self.free;
        if may {
            share.held += 1;
            self.free -= 1;
        }
        may
    }

    fn wait(&mut self, bot: &Arc<str>) -> oneshot::Receiver<Held> {
        let (sender, receiver) = oneshot::channel();
        let share = self.bots.entry(bot.clone()).or_default();
        if share.waiting.is_empty() {
            self.turns.push_back(bot.clone());
        }
        share.waiting.push_back(sender);
        receiver
    }

    fn give_back(&mut self, bot: &Arc<str>) {
        self.free += 1;
        if let Some(share) = self.bots.get_mut(bot) {
            share.held -= 1;
            if share.held == 0 && share.waiting.is_empty() {
                self.bots.remove(bot);
            }
        }
    }

    /// Takes a slot for the next call that waits and whose bot's share allows it.
    fn next(&mut self) -> Option<(Arc<str>, oneshot::Sender<Held>)> {
        for _ in 0..self.turns.len() {
            let bot = self.turns.pop_front()?;
            let Some(share) = self.bots.get_mut(&bot) else { continue };
            let next = if share.held < SHARE * self.free { share.waiting.pop_front() } else { None };
            if !share.waiting.is_empty() {
                self.turns.push_back(bot.clone());
            }
            if let Some(next) = next {
                share.held += 1;
                self.free -= 1;
                return Some((bot, next));
            }
        }
        None
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.pool.0.lock().give_back(&self.bot);
        loop {
            let next = self.pool.0.lock().next();
            let Some((bot, waiting)) = next else { return };
            // A call that does not wait any more gives its slot back here, outside of the lock.
            let _ = waiting.send(self.pool.held(&bot));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bots() -> [Arc<str>; 3] {
        ["one".into(), "two".into(), "three".into()]
    }

    fn all(pool: &Arc<Pool>, bot: &Arc<str>) -> Vec<Held> {
        std::iter::from_fn(|| pool.try_acquire(bot)).collect()
    }

    #[test]
    fn however_many_a_bot_wants_others_find_a_free_slot() {
        let (pool, [one, two, three]) = (Arc::new(Pool::new(64)), bots());
        let first = all(&pool, &one);
        assert_eq!(first.len(), 48);
        let second = all(&pool, &two);
        assert_eq!(second.len(), 12);
        assert!(pool.try_acquire(&three).is_some());
        drop((first, second));
        assert_eq!(all(&pool, &three).len(), 48, "all slots are back");
    }

    #[tokio::test]
    async fn bots_that_wait_get_slots_in_turn() {
        let (pool, [one, two, _]) = (Arc::new(Pool::new(1)), bots());
        let held = pool.acquire(&one).await.unwrap();
        let (done, mut order) = tokio::sync::mpsc::unbounded_channel();
        for bot in [&one, &one, &two] {
            let (pool, bot, done) = (pool.clone(), bot.clone(), done.clone());
            tokio::spawn(async move {
                let held = pool.acquire(&bot).await;
                done.send(bot).unwrap();
                drop(held);
            });
            // The task waits before the next one does.
            tokio::task::yield_now().await;
        }
        drop(held);
        let mut got = Vec::new();
        for _ in 0..3 {
            got.push(order.recv().await.unwrap());
        }
        assert_eq!(got.iter().map(|bot| &**bot).collect::<Vec<_>>(), ["one", "two", "one"]);
    }

    #[tokio::test]
    async fn a_call_that_gave_up_waiting_leaves_its_slot() {
        let (pool, [one, two, _]) = (Arc::new(Pool::new(1)), bots());
        let held = pool.acquire(&one).await.unwrap();
        assert!(timeout(Duration::from_millis(1), pool.acquire(&two)).await.is_err());
        drop(held);
        assert!(pool.try_acquire(&one).is_some());
    }
}
