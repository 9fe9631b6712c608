//! The threads that the host runs on: those of transport, and two kinds of those of guests.
//!
//! A guest that computes for longer than a tick goes on in a thread of lower priority (`design.md` §5, Fair CPU). In a thread
//! of the same priority as the others' it keeps its core for whole time slices of the system, 10 ms and more on a machine
//! with two, while what others wait for takes microseconds.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::{Builder, Handle, Runtime};

/// How much lower the priority of slow guests is, as `nice` counts it: about a tenth of the time of a core for which a
/// thread of the others competes, all of one that nobody wants.
const SLOW_NICE: i32 = 10;

/// A runtime without timers sleeps until it is woken, and a timer that is made then wakes it, with two system calls: that
/// is each time limit of each turn. While this is due first, it need not be woken for any that is longer.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// How long threads that are stopped have for what they run.
const STOP_AFTER: Duration = Duration::from_millis(100);

/// Starts threads for transport.
pub fn start(name: &'static str, threads: usize) -> anyhow::Result<Runtime> {
    start_nice(name, threads, 0)
}

fn start_nice(name: &'static str, threads: usize, nice: i32) -> anyhow::Result<Runtime> {
    let built = Builder::new_multi_thread()
        .worker_threads(threads.max(1))
        .thread_name(name)
        .on_thread_start(move || lower_priority(nice))
        .enable_all()
        .build();
    let built = built.with_context(|| format!("cannot start the threads of {name}"))?;
    built.spawn(async {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        loop {
            heartbeat.tick().await;
        }
    });
    Ok(built)
}

/// Of this thread: Linux has a priority for each thread, whatever the manual says of processes.
fn lower_priority(by: i32) {
    if by > 0
        && let Err(error) = rustix::process::nice(by)
    {
        tracing::warn!(%error, "the priority of threads for slow guests is not lowered");
    }
}

/// Which threads of guests a task runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// One for each worker.
    Quick,
    /// For guests that compute for longer than a tick, at a lower priority.
    Slow,
}

/// The threads of guests, stopped with [`GuestThreads::stop`].
pub struct GuestThreads {
    quick: Runtime,
    slow: Runtime,
}

impl GuestThreads {
    /// Starts `workers` threads, and those for slow guests beside them.
    pub fn start(workers: usize) -> anyhow::Result<Self> {
        let quick = start("turntable-guest", workers)?;
        let slow = start_nice("turntable-slow", slow_workers(workers), SLOW_NICE)?;
        Ok(Self { quick, slow })
    }

    /// Where to run tasks in them.
    pub fn guests(&self) -> Guests {
        Guests { quick: self.quick.handle().clone(), slow: self.slow.handle().clone() }
    }

    /// Gives what runs 100 ms to come to an await, and cuts it there.
    pub fn stop(self) {
        self.slow.shutdown_timeout(STOP_AFTER);
        self.quick.shutdown_timeout(STOP_AFTER);
    }
}

/// How many guests that compute for longer than a tick do so at the same time: one core stays with the others.
pub(crate) fn slow_workers(workers: usize) -> usize {
    workers.saturating_sub(1).max(1)
}

/// Runs tasks in the threads of guests. A cheap handle.
#[derive(Clone)]
pub struct Guests {
    quick: Handle,
    slow: Handle,
}

impl Guests {
    /// Runs everything on one runtime.
    pub fn on(runtime: Handle) -> Self {
        Self { quick: runtime.clone(), slow: runtime }
    }

    /// Runs a task, at first among the quick ones. It goes where `go` sends it.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.run_at(Pace::Quick, Box::pin(task));
    }

    fn run_at(&self, pace: Pace, mut task: Task) {
        let guests = self.clone();
        let runtime = match pace {
            Pace::Quick => &self.quick,
            Pace::Slow => &self.slow,
        };
        runtime.spawn(async move {
            let wanted = poll_fn(|context| {
                let outer = AT.replace(Some((pace, pace)));
                let poll = task.as_mut().poll(context);
                let wanted = AT.replace(outer).map(|(_, wanted)| wanted);
                match (poll, wanted) {
                    (Poll::Ready(()), _) => Poll::Ready(None),
                    (Poll::Pending, Some(wanted)) if wanted != pace => Poll::Ready(Some(wanted)),
                    (Poll::Pending, _) => Poll::Pending,
                }
            });
            if let Some(wanted) = wanted.await {
                guests.run_at(wanted, task);
            }
        });
    }
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

thread_local! {
    /// Which threads the task that is polled runs on, and on which it wants to.
    static AT: Cell<Option<(Pace, Pace)>> = const { Cell::new(None) };
}

/// Which threads this task runs on; `None` where it is none that [`Guests::spawn`] runs.
pub(crate) fn pace() -> Option<Pace> {
    AT.get().map(|(pace, _)| pace)
}

/// Goes on in other threads. Where this task is none of [`Guests::spawn`], or runs there already, nothing happens.
pub(crate) async fn go(to: Pace) {
    let mut asked = false;
    poll_fn(|_| match AT.get() {
        // The task is polled again in the other threads, so nobody need be told to wake it.
        Some((pace, _)) if pace != to && !asked => {
            asked = true;
            AT.set(Some((pace, to)));
            Poll::Pending
        }
        _ => Poll::Ready(()),
    })
    .await;
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::{GuestThreads, Pace, go, pace};

    fn thread() -> String {
        std::thread::current().name().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_task_goes_to_the_slow_threads_and_back() {
        let threads = GuestThreads::start(2).unwrap();
        let (sender, seen) = oneshot::channel();
        threads.guests().spawn(async move {
            let mut seen = vec![(pace(), thread(), priority())];
            for to in [Pace::Slow, Pace::Slow, Pace::Quick] {
                go(to).await;
                tokio::task::yield_now().await;
                seen.push((pace(), thread(), priority()));
            }
            sender.send(seen).unwrap();
        });
        let seen = seen.blocking_recv().unwrap();
        let base = priority();
        let quick = (Some(Pace::Quick), "turntable-guest".to_owned(), base);
        let slow = (Some(Pace::Slow), "turntable-slow".to_owned(), (base + super::SLOW_NICE).min(19));
        assert_eq!(seen, [quick.clone(), slow.clone(), slow, quick]);
        threads.stop();
    }

    #[tokio::test]
    async fn elsewhere_it_stays_where_it_is() {
        go(Pace::Slow).await;
        assert_eq!(pace(), None);
    }

    fn priority() -> i32 {
        rustix::process::getpriority_process(None).unwrap()
    }
}
