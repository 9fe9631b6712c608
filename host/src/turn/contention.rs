//! Contended keys of state: turns of different conversations that rely on the same value run one after the other.
//!
//! A turn runs without locks, and the store refuses its commit if another turn changed a value that it relied on. Then the
//! turn takes a seat for each key that it relied on and runs again. While a turn has a seat at a key or waits for one, other
//! turns that rely on the key do not commit: each of them takes its place in the line instead and runs again with a seat.
//! Turns that rely on other keys never wait. Every commit has its seats, also that of a first run, so what a turn reads
//! when it has a seat stays true until it commits.
//!
//! A turn that flushed cannot run again. It takes a seat at each key before it reads the key.
//!
//! A conversation whose last turns all needed seats at a key takes its seat before it runs, as long as there is a line: its
//! first run would be for nothing. A turn that then did not rely on the key ends that.
//!
//! A turn leaves its seats as soon as its commit is made, before the commit is durable ([`Seats::hand_over`]). The next turn
//! gets the writes of that commit with the seat and builds on them, so a line of turns does not wait for the disk at each
//! turn. The store makes the later commit durable after the earlier one or refuses it.
//!
//! Seats decide when a commit is tried. The store still checks every commit, so a seat may be passed on while its turn
//! runs, which bounds how long one turn holds up others.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::activity::ConversationKey;
use crate::storage::{Pending, StateScope};

/// A value of state: its scope and its key.
pub(super) type Key = (StateScope, Arc<str>);

/// Keys that one turn may have seats at. A turn that relies on more runs without seats.
const SEATS_MAX: usize = 64;
/// How long a turn may hold up others, if no plugin of its bot may compute for longer.
pub(super) const SEAT_HOLD_MIN: Duration = Duration::from_secs(1);
/// How often a turn in line looks whether the seat may be passed on.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Turns in a row that needed seats, after which a conversation takes them before it runs.
const HABIT: u32 = 2;
/// Conversations of which is known what they contended for. Beyond that all are forgotten, which costs each a run or two.
const HABITS_MAX: usize = 4_096;

/// The contended keys of the host. A cheap handle.
#[derive(Clone, Default)]
pub(super) struct Contention {
    lines: Arc<Mutex<HashMap<Key, Line>>>,
    habits: Arc<Mutex<HashMap<ConversationKey, Habit>>>,
}

/// What the last turns of a conversation needed seats at.
struct Habit {
    keys: BTreeSet<Key>,
    turns: u32,
}

/// The turns that sit at one key or wait for it. It exists as long as there are any.
struct Line {
    turns: usize,
    seat: Arc<Chair>,
}

/// The one seat at a key.
struct Chair {
    /// One permit: the turn that has it sits here. Waiting turns get it in order of arrival.
    free: Semaphore,
    /// Turns that wait for it.
    waiting: AtomicUsize,
    sitting: Mutex<Option<Arc<Sitting>>>,
    /// Commits of turns that had the seat and are not durable yet, in order, with those that they build on.
    pending: Mutex<Vec<Arc<Pending>>>,
}

/// A turn that sits at a key.
#[derive(Default)]
struct Sitting {
    /// When the seat may be passed on. None: the turn still waits for its other seats.
    until: Mutex<Option<Instant>>,
    passed_on: AtomicBool,
}

/// The seats of one turn. Dropping the value frees them.
#[derive(Default)]
pub(super) struct Seats(Vec<Seat>);

struct Seat {
    contention: Contention,
    key: Key,
    chair: Arc<Chair>,
    /// None: the turn waits in line.
    sitting: Option<Arc<Sitting>>,
}

impl Contention {
    /// Waits for a seat at each of the keys. A turn that has its seats for longer than `hold` loses them to turns that wait.
    ///
    /// Every turn takes its seats in the order of the keys, so no two turns wait for each other.
    pub(super) async fn sit(&self, keys: BTreeSet<Key>, hold: Duration) -> Seats {
        let mut seats = Seats::default();
        if keys.len() > SEATS_MAX {
            return seats;
        }
        for key in keys {
            // The seat is in the list before the turn waits, so that a turn that is dropped meanwhile leaves the line.
            seats.0.push(self.line_up(key));
            let Some(seat) = seats.0.last_mut() else { continue };
            seat.sitting = Some(seat.chair.sit(hold).await);
        }
        seats.hold(hold);
        seats
    }

    /// Takes a seat at each of the keys without waiting. None: other turns sit or wait at one of them.
    pub(super) fn try_sit(&self, keys: BTreeSet<Key>, hold: Duration) -> Option<Seats> {
        let mut seats = Seats::default();
        if keys.is_empty() || keys.len() > SEATS_MAX {
            return Some(seats);
        }
        let mut lines = self.lines.lock();
        if keys.iter().any(|key| lines.contains_key(key)) {
            return None;
        }
        for key in keys {
            let mut seat = self.join(&mut lines, key);
            seat.sitting = seat.chair.try_sit();
            seats.0.push(seat);
        }
        drop(lines);
        seats.hold(hold);
        Some(seats)
    }

    /// Returns the keys that the next turn of a conversation takes its seats at before it runs: those that its last turns
    /// contended for, as far as there is a line.
    pub(super) fn expected(&self, conversation: &ConversationKey) -> BTreeSet<Key> {
        let habits = self.habits.lock();
        let Some(habit) = habits.get(conversation).filter(|habit| habit.turns >= HABIT) else {
            return BTreeSet::new();
        };
        let lines = self.lines.lock();
        habit.keys.iter().filter(|key| lines.contains_key(*key)).cloned().collect()
    }

    /// Notes what a turn relied on, and where it had its seats.
    pub(super) fn learn(&self, conversation: &ConversationKey, relied_on: &BTreeSet<Key>, seats: &BTreeSet<Key>) {
        let mut habits = self.habits.lock();
        if let Some(habit) = habits.get_mut(conversation).filter(|habit| habit.keys.is_subset(relied_on)) {
            if !seats.is_empty() {
                habit.turns = habit.turns.saturating_add(1);
            }
            return;
        }
        habits.remove(conversation);
        let keys: BTreeSet<Key> = seats.intersection(relied_on).cloned().collect();
        if !keys.is_empty() {
            if habits.len() >= HABITS_MAX {
                habits.clear();
            }
            habits.insert(conversation.clone(), Habit { keys, turns: 1 });
        }
    }

    fn line_up(&self, key: Key) -> Seat {
        self.join(&mut self.lines.lock(), key)
    }

    fn join(&self, lines: &mut HashMap<Key, Line>, key: Key) -> Seat {
        let line = lines.entry(key.clone()).or_insert_with(|| Line { turns: 0, seat: Arc::new(Chair::new()) });
        line.turns += 1;
        Seat { contention: self.clone(), key, chair: line.seat.clone(), sitting: None }
    }
}

impl Chair {
    fn new() -> Self {
        Self {
            free: Semaphore::new(1),
            waiting: AtomicUsize::new(0),
            sitting: Mutex::default(),
            pending: Mutex::default(),
        }
    }

    /// Waits until the seat is free, or until the turn that has it has had it for `hold`.
    async fn sit(&self, hold: Duration) -> Arc<Sitting> {
        let _waiting = Waiting::at(self);
        let mut free = std::pin::pin!(self.free.acquire());
        loop {
            let now = Instant::now();
            // The turn that has the seat may shorten its time meanwhile.
            let look = self.until().unwrap_or(now + hold).min(now + LOOK_AGAIN);
            match timeout_at(look, free.as_mut()).await {
                Ok(permit) => {
                    // The permit comes back when the turn leaves, or when the seat is passed on. Nothing closes the
                    // semaphore, so there always is one.
                    if let Ok(permit) = permit {
                        permit.forget();
                    }
                    return self.seated();
                }
                Err(_) => self.pass_on(),
            }
        }
    }

    fn try_sit(&self) -> Option<Arc<Sitting>> {
        self.free.try_acquire().ok()?.forget();
        Some(self.seated())
    }

    fn seated(&self) -> Arc<Sitting> {
        let sitting = Arc::new(Sitting::default());
        *self.sitting.lock() = Some(sitting.clone());
        sitting
    }

    fn until(&self) -> Option<Instant> {
        let sitting = self.sitting.lock();
        *sitting.as_ref()?.until.lock()
    }

    /// Frees the seat if its turn has had it for too long.
    fn pass_on(&self) {
        let mut sitting = self.sitting.lock();
        let is_over = |sitting: &Arc<Sitting>| {
            let until = *sitting.until.lock();
            until.is_some_and(|until| until <= Instant::now())
        };
        if let Some(over) = sitting.take_if(|sitting| is_over(sitting)) {
            self.leave(&over);
        }
    }

    /// Notes commits whose writes the next turn builds on.
    fn hand_over(&self, commits: &[Arc<Pending>]) {
        let mut pending = self.pending.lock();
        pending.retain(|commit| commit.is_open());
        for commit in commits {
            if commit.is_open() && !pending.iter().any(|known| Arc::ptr_eq(known, commit)) {
                pending.push(commit.clone());
            }
        }
    }

    fn leave(&self, sitting: &Sitting) {
        if !sitting.passed_on.swap(true, Ordering::AcqRel) {
            self.free.add_permits(1);
        }
    }
}

/// Counts a turn that waits, also where it is dropped meanwhile.
struct Waiting<'a>(&'a Chair);

impl<'a> Waiting<'a> {
    fn at(chair: &'a Chair) -> Self {
        chair.waiting.fetch_add(1, Ordering::AcqRel);
        Self(chair)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Seats {
    /// From now on the turn has its seats for `hold` if others wait.
    pub(super) fn hold(&self, hold: Duration) {
        let until = Instant::now() + hold;
        for sitting in self.0.iter().filter_map(|seat| seat.sitting.as_ref()) {
            *sitting.until.lock() = Some(until);
        }
    }

    /// Returns the commits that are made and not durable yet, and that a turn with these seats builds on.
    pub(super) fn pending(&self) -> Vec<Arc<Pending>> {
        let mut all: Vec<Arc<Pending>> = Vec::new();
        for seat in &self.0 {
            let pending = seat.chair.pending.lock();
            for commit in pending.iter().filter(|commit| commit.is_open()) {
                if !all.iter().any(|known| Arc::ptr_eq(known, commit)) {
                    all.push(commit.clone());
                }
            }
        }
        all
    }

    /// Leaves the seats to turns that build on these commits, which are made and not durable yet. Returns whether such a
    /// turn waits. The turn stays in the lines until the value is dropped, which must be after the commits are durable: a
    /// turn that finds no line builds on nothing.
    pub(super) fn hand_over(&self, commits: &[Arc<Pending>]) -> bool {
        let mut is_awaited = false;
        for seat in &self.0 {
            seat.chair.hand_over(commits);
            is_awaited |= seat.chair.waiting.load(Ordering::Acquire) > 0;
            seat.leave();
        }
        is_awaited
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys that the turn has its seats at.
    pub(super) fn keys(&self) -> BTreeSet<Key> {
        self.0.iter().map(|seat| seat.key.clone()).collect()
    }
}

impl Seat {
    /// Frees the chair, if the turn has it still.
    fn leave(&self) {
        if let Some(sitting) = &self.sitting {
            let mut now = self.chair.sitting.lock();
            now.take_if(|now| Arc::ptr_eq(now, sitting));
            drop(now);
            self.chair.leave(sitting);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
        let mut lines = self.contention.lines.lock();
        if let Some(line) = lines.get_mut(&self.key) {
            line.turns -= 1;
            if line.turns == 0 {
                lines.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::sync::mpsc;

    use super::*;
    use crate::storage::ScopeOwner;

    const LONG: Duration = Duration::from_secs(3_600);

    fn keys(names: &[&str]) -> BTreeSet<Key> {
        let scope = StateScope { bot: "bot".into(), namespace: "plugin:p".into(), owner: ScopeOwner::Bot };
        names.iter().map(|name| (scope.clone(), (*name).into())).collect()
    }

    #[tokio::test]
    async fn turns_sit_at_a_key_one_after_the_other_in_order_of_arrival() {
        let contention = Contention::default();
        let first = contention.sit(keys(&["a"]), LONG).await;
        let (sender, mut sat) = mpsc::unbounded_channel();
        for turn in 1..=3 {
            let (contention, sender) = (contention.clone(), sender.clone());
            let waits = tokio::spawn(async move {
                let seats = contention.sit(keys(&["a"]), LONG).await;
                sender.send(turn).unwrap();
                drop(seats);
            });
            // It has its place in the line once it waits.
            tokio::task::yield_now().await;
            assert!(!waits.is_finished());
        }
        assert!(contention.try_sit(keys(&["a", "b"]), LONG).is_none(), "others wait at one of the keys");
        assert_eq!(contention.try_sit(keys(&["b"]), LONG).unwrap().keys(), keys(&["b"]), "other keys are free");
        drop(first);
        assert_eq!((sat.recv().await, sat.recv().await, sat.recv().await), (Some(1), Some(2), Some(3)));
    }

    #[tokio::test]
    async fn two_keys_in_both_orders_never_wait_for_each_other() {
        let contention = Contention::default();
        let turns: Vec<_> = (0..200)
            .map(|turn| {
                let contention = contention.clone();
                let names = if turn % 2 == 0 { ["a", "b"] } else { ["b", "a"] };
                tokio::spawn(async move {
                    let seats = contention.sit(keys(&names), LONG).await;
                    tokio::task::yield_now().await;
                    drop(seats);
                })
            })
            .collect();
        for turn in turns {
            turn.await.unwrap();
        }
        assert!(contention.lines.lock().is_empty(), "no line is left");
    }

    #[tokio::test]
    async fn a_turn_that_sits_for_too_long_loses_its_seat_once() {
        let contention = Contention::default();
        let slow = contention.sit(keys(&["a"]), Duration::ZERO).await;
        let next = contention.sit(keys(&["a"]), LONG).await;
        // The end of the slow turn must not free the seat of the turn that came after it.
        drop(slow);
        assert!(contention.sit(keys(&["a"]), LONG).now_or_never().is_none(), "the seat is taken");
        drop(next);
        drop(contention.sit(keys(&["a"]), LONG).await);
        assert!(contention.lines.lock().is_empty(), "a turn that was dropped in the line has left it");
    }

    #[tokio::test]
    async fn a_turn_builds_on_commits_that_are_not_durable_yet() {
        let contention = Contention::default();
        let first = contention.sit(keys(&["a", "b"]), LONG).await;
        let mut second = std::pin::pin!(contention.sit(keys(&["a"]), LONG));
        assert!(second.as_mut().now_or_never().is_none() && first.pending().is_empty());
        let (one, two) = (Arc::new(Pending::default()), Arc::new(Pending::default()));
        assert!(first.hand_over(std::slice::from_ref(&one)), "the second turn waits");
        let second = second.await;
        assert!(second.pending().iter().all(|commit| Arc::ptr_eq(commit, &one)) && second.pending().len() == 1);
        let other = contention.sit(keys(&["b"]), LONG).await;
        assert_eq!(other.pending().len(), 1, "nobody waited at b, and the commit is not durable yet");
        drop((first, other));
        assert!(contention.sit(keys(&["b"]), LONG).await.pending().is_empty(), "the line at b has ended");
        let third = contention.line_up((keys(&["a"]).pop_first().unwrap().0, "a".into()));
        assert!(!second.hand_over(&[one.clone(), two.clone()]), "the third turn is in line, and does not wait");
        assert_eq!(Seats(vec![third]).pending().len(), 2);
    }

    #[tokio::test]
    async fn a_conversation_that_keeps_contending_expects_to() {
        let (contention, none) = (Contention::default(), BTreeSet::new());
        let conversation = ConversationKey {
            bot: "bot".into(),
            channel: crate::activity::ChannelInstance::Wire("test".into()),
            conversation: "c".into(),
        };
        let line = contention.sit(keys(&["a"]), LONG).await;
        contention.learn(&conversation, &keys(&["a"]), &none);
        contention.learn(&conversation, &keys(&["a"]), &keys(&["a"]));
        assert_eq!(contention.expected(&conversation), none, "once may be chance");
        contention.learn(&conversation, &keys(&["a"]), &keys(&["a"]));
        assert_eq!(contention.expected(&conversation), keys(&["a"]));
        drop(line);
        assert_eq!(contention.expected(&conversation), none, "nobody sits there");
        let _line = contention.sit(keys(&["a"]), LONG).await;
        contention.learn(&conversation, &keys(&["b"]), &keys(&["a"]));
        assert_eq!(contention.expected(&conversation), none, "its last turn relied on another key");
        assert!(contention.habits.lock().is_empty());
    }

    #[tokio::test]
    async fn a_turn_that_relies_on_too_many_keys_runs_without_seats() {
        let names: Vec<String> = (0..=SEATS_MAX).map(|name| name.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let contention = Contention::default();
        assert!(contention.sit(keys(&names), LONG).await.keys().is_empty());
    }
}
