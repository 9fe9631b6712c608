//! The conversation queue: turns of one conversation in order and never overlapping, others in parallel.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use tokio::runtime::Handle;

use crate::activity::ConversationKey;

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// All conversation queues of the host. A cheap handle.
#[derive(Clone)]
pub(super) struct Queues {
    shared: Arc<Shared>,
}

struct Shared {
    /// Where turns run: the runtime of the guests, so that no guest holds up transport.
    runtime: Handle,
    per_conversation_max: usize,
    total_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Waiting jobs of the conversations that have a runner; the running job is not among them.
    waiting: HashMap<ConversationKey, VecDeque<Job>>,
    total: usize,
}

impl Queues {
    pub(super) fn new(runtime: Handle, per_conversation_max: usize, total_max: usize) -> Self {
        Self { shared: Arc::new(Shared { runtime, per_conversation_max, total_max, state: Mutex::default() }) }
    }

    /// Appends a job. The error names the bound that is reached.
    pub(super) fn push(
        &self,
        key: &ConversationKey,
        job: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), &'static str> {
        let shared = &self.shared;
        let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.total >= shared.total_max {
            return Err("turns-queued-max");
        }
        match state.waiting.get_mut(key) {
            Some(waiting) if waiting.len() >= shared.per_conversation_max => {
                return Err("turns-queued-per-conversation-max");
            }
            Some(waiting) => waiting.push_back(Box::pin(job)),
            None => {
                state.waiting.insert(key.clone(), VecDeque::new());
                let runner = Runner { shared: shared.clone(), key: key.clone() };
                shared.runtime.spawn(runner.run(Box::pin(job)));
            }
        }
        state.total += 1;
        Ok(())
    }

    /// Jobs waiting or running.
    pub(super) fn depth(&self) -> usize {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).total
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
            next = self.next();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.total -= 1;
        let job = state.waiting.get_mut(&self.key).and_then(VecDeque::pop_front);
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

    use super::Queues;
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
        let queues = Queues::new(Handle::current(), 2, 10);
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
            queues.push(&key(conversation), job).unwrap();
        }
        assert_eq!(queues.push(&key("a"), async {}), Err("turns-queued-per-conversation-max"));
        assert_eq!(done.recv().await, Some(4), "another conversation does not wait");
        gate.notify_one();
        for n in [1, 2, 3] {
            assert_eq!(done.recv().await, Some(n));
        }
    }

    #[tokio::test]
    async fn a_panic_does_not_stop_the_queue() {
        let queues = Queues::new(Handle::current(), 8, 8);
        let (sender, mut done) = mpsc::channel(1);
        queues.push(&key("a"), async { panic!("on purpose") }).unwrap();
        queues.push(&key("a"), async move { sender.send(()).await.unwrap() }).unwrap();
        assert_eq!(done.recv().await, Some(()));
    }
}
