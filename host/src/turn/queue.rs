//! The conversation queue: turns of one conversation in order and never overlapping, others in parallel.
//!
//! Each conversation has two lanes, for what its channel brought and for what the host began itself. They are served
//! alternately, so that neither starves the other; order holds within a lane. An invoke, whose caller waits, goes before what
//! the host began, but not for ever. Messages that control the conversation have a lane of their own, which goes first.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use crate::activity::ConversationKey;
use crate::threads::{Guests, Pace, go};
use futures_util::FutureExt;
use parking_lot::Mutex;

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where a turn comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// An activity of the channel.
    Channel,
    /// A message that controls the conversation: it goes before everything that waits.
    Control,
    /// An invoke of the channel, whose caller waits: it overtakes what the host began.
    Invoke,
    /// A notification or a timer.
    Internal,
}

/// So many invokes in a row go before a turn that the host began; then it is that one's place.
const OVERTAKEN_MAX: u32 = 8;

/// All conversation queues of the host. A cheap handle.
#[derive(Clone)]
pub(super) struct Queues {
    shared: Arc<Shared>,
}

struct Shared {
    /// Where turns run, so that no guest holds up transport.
    guests: Guests,
    per_conversation_max: usize,
    total_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Waiting jobs of the conversations that have a runner; the running job is not among them.
    waiting: HashMap<ConversationKey, Waiting>,
    total: usize,
}

/// What waits in a conversation.
#[derive(Default)]
struct Waiting {
    control: VecDeque<Job>,
    /// Each with whether it is an invoke.
    channel: VecDeque<(bool, Job)>,
    internal: VecDeque<Job>,
    /// Whether the last one that ran was internal.
    was_internal: bool,
    /// Invokes that ran in the place of the internal job that is first now.
    overtaken: u32,
}

impl Waiting {
    fn pop(&mut self) -> Option<Job> {
        if let Some(job) = self.control.pop_front() {
            return Some(job);
        }
        let due = !self.internal.is_empty() && (self.channel.is_empty() || !self.was_internal);
        let invoke = self.channel.front().is_some_and(|(is_invoke, _)| *is_invoke) && self.overtaken < OVERTAKEN_MAX;
        let internal = due && !invoke;
        if due {
            self.overtaken = if internal { 0 } else { self.overtaken + 1 };
        }
        self.was_internal = internal;
        if internal { self.internal.pop_front() } else { self.channel.pop_front().map(|(_, job)| job) }
    }
}

impl Queues {
    pub(super) fn new(guests: Guests, per_conversation_max: usize, total_max: usize) -> Self {
        Self { shared: Arc::new(Shared { guests, per_conversation_max, total_max, state: Mutex::default() }) }
    }

    /// Appends a job to a lane. The error names the bound that is reached, which each lane has for itself.
    pub(super) fn push(
        &self,
        key: &ConversationKey,
        lane: Lane,
        job: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), &'static str> {
        let shared = &self.shared;
        let mut state = shared.state.lock();
        if state.total >= shared.total_max {
            return Err("turns-queued-max");
        }
        match state.waiting.get_mut(key) {
            Some(waiting) => {
                let length = match lane {
                    Lane::Internal => waiting.internal.len(),
                    Lane::Control => waiting.control.len(),
                    Lane::Channel | Lane::Invoke => waiting.channel.len(),
                };
                if length >= shared.per_conversation_max {
                    return Err("turns-queued-per-conversation-max");
                }
                match lane {
                    Lane::Internal => waiting.internal.push_back(Box::pin(job)),
                    Lane::Control => waiting.control.push_back(Box::pin(job)),
                    lane => waiting.channel.push_back((lane == Lane::Invoke, Box::pin(job))),
                }
            }
            None => {
                let waiting = Waiting { was_internal: lane == Lane::Internal, ..Waiting::default() };
                state.waiting.insert(key.clone(), waiting);
                let runner = Runner { shared: shared.clone(), key: key.clone() };
                shared.guests.spawn(runner.run(Box::pin(job)));
            }
        }
        state.total += 1;
        Ok(())
    }

    /// Whether a job of a conversation waits or runs.
    pub(super) fn is_busy(&self, key: &ConversationKey) -> bool {
        self.shared.state.lock().waiting.contains_key(key)
    }

    /// Jobs waiting or running.
    pub(super) fn depth(&self) -> usize {
        self.shared.state.lock().total
    }
}

/// Runs the jobs of one conversation, one after the other, until none is left.
struct Runner {
    shared: Arc<Shared>,
    key: ConversationKey,
}

impl Runner {
    async fn run(self, first: Job) {
        let mut next = Some(first);
        while let Some(job) = next {
            // A panic in a turn must not take the conversation's queue with it. In a task of its own it would cost each
            // turn another wakeup.
            if AssertUnwindSafe(job).catch_unwind().await.is_err() {
                tracing::error!(conversation = %self.key.conversation, "a turn panicked");
            }
            // Where it was cut while a slow guest ran.
            go(Pace::Quick).await;
            next = self.next();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.shared.state.lock();
        state.total -= 1;
        let job = state.waiting.get_mut(&self.key).and_then(Waiting::pop);
        if job.is_none() {
            state.waiting.remove(&self.key);
        }
        job
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::runtime::Handle;
    use tokio::sync::{Notify, mpsc};

    use super::{Guests, Lane, Queues};
    use crate::activity::{ChannelInstance, ConversationKey};

    fn key(conversation: &str) -> ConversationKey {
        ConversationKey {
            bot: "b".into(),
            channel: ChannelInstance::Wire("test".into()),
            conversation: conversation.into(),
        }
    }

    #[tokio::test]
    async fn one_conversation_in_order_others_beside_it() {
        let queues = Queues::new(Guests::on(Handle::current()), 2, 10);
        let (sender, mut done) = mpsc::channel(10);
        let gate = Arc::new(Notify::new());
        for (conversation, n) in [("a", 1), ("a", 2), ("a", 3), ("b", 4)] {
            let (sender, gate) = (sender.clone(), gate.clone());
            let job = async move {
                if n == 1 {
                    gate.notified().await;
                }
                sender.send(n).await.unwrap();
            };
            queues.push(&key(conversation), Lane::Channel, job).unwrap();
        }
        assert_eq!(queues.push(&key("a"), Lane::Channel, async {}), Err("turns-queued-per-conversation-max"));
        assert_eq!(done.recv().await, Some(4), "another conversation does not wait");
        gate.notify_one();
        for n in [1, 2, 3] {
            assert_eq!(done.recv().await, Some(n));
        }
    }

    #[tokio::test]
    async fn a_panic_does_not_stop_the_queue() {
        let queues = Queues::new(Guests::on(Handle::current()), 8, 8);
        let (sender, mut done) = mpsc::channel(1);
        queues.push(&key("a"), Lane::Channel, async { panic!("on purpose") }).unwrap();
        queues.push(&key("a"), Lane::Channel, async move { sender.send(()).await.unwrap() }).unwrap();
        assert_eq!(done.recv().await, Some(()));
    }

    #[tokio::test]
    async fn lanes_alternate_and_an_invoke_overtakes_what_the_host_began() {
        let queues = Queues::new(Guests::on(Handle::current()), 8, 80);
        let (sender, mut done) = mpsc::channel(10);
        let gate = Arc::new(Notify::new());
        let push = |lane: Lane, n: u32| {
            let (sender, gate) = (sender.clone(), gate.clone());
            let job = async move {
                if n == 0 {
                    gate.notified().await;
                }
                sender.send(n).await.unwrap();
            };
            queues.push(&key("a"), lane, job).unwrap();
        };
        push(Lane::Channel, 0);
        for n in [11, 12, 13] {
            push(Lane::Internal, n);
        }
        for n in [1, 2] {
            push(Lane::Channel, n);
        }
        gate.notify_one();
        let mut order = Vec::new();
        for _ in 0..6 {
            order.push(done.recv().await.unwrap());
        }
        assert_eq!(order, [0, 11, 1, 12, 2, 13]);
        push(Lane::Channel, 0);
        push(Lane::Internal, 11);
        push(Lane::Invoke, 1);
        gate.notify_one();
        let order = [done.recv().await.unwrap(), done.recv().await.unwrap(), done.recv().await.unwrap()];
        assert_eq!(order, [0, 1, 11]);
    }

    #[tokio::test]
    async fn control_goes_first_in_its_order_and_has_a_bound() {
        let queues = Queues::new(Guests::on(Handle::current()), 2, 80);
        let (sender, mut done) = mpsc::channel(10);
        let gate = Arc::new(Notify::new());
        let opened = gate.clone();
        assert!(!queues.is_busy(&key("a")));
        queues.push(&key("a"), Lane::Channel, async move { opened.notified().await }).unwrap();
        assert!(queues.is_busy(&key("a")));
        let push = |lane: Lane, n: u32| {
            let sender = sender.clone();
            queues.push(&key("a"), lane, async move { sender.send(n).await.unwrap() })
        };
        push(Lane::Channel, 3).unwrap();
        push(Lane::Channel, 4).unwrap();
        push(Lane::Control, 1).unwrap();
        push(Lane::Control, 2).unwrap();
        assert_eq!(push(Lane::Control, 5), Err("turns-queued-per-conversation-max"));
        gate.notify_one();
        for n in [1, 2, 3, 4] {
            assert_eq!(done.recv().await, Some(n));
        }
    }

    #[tokio::test]
    async fn steady_invokes_hold_up_an_internal_turn_for_a_while_only() {
        let queues = Queues::new(Guests::on(Handle::current()), 80, 80);
        let (sender, mut done) = mpsc::channel(80);
        let gate = Arc::new(Notify::new());
        let (first, opened) = (sender.clone(), gate.clone());
        let job = async move {
            opened.notified().await;
            first.send(Lane::Channel).await.unwrap();
        };
        queues.push(&key("a"), Lane::Channel, job).unwrap();
        for lane in [Lane::Internal].into_iter().chain([Lane::Invoke; 20]).chain([Lane::Internal]) {
            let sender = sender.clone();
            queues.push(&key("a"), lane, async move { sender.send(lane).await.unwrap() }).unwrap();
        }
        gate.notify_one();
        drop(sender);
        let mut order = Vec::new();
        while let Some(lane) = done.recv().await {
            order.push(lane);
        }
        let internal: Vec<usize> =
            order.iter().enumerate().filter(|(_, lane)| **lane == Lane::Internal).map(|(place, _)| place).collect();
        assert_eq!((order.len(), internal), (23, vec![9, 19]), "{order:?}");
    }
}
