//! The threads of the host: one set for transport and two sets for guests.
//!
//! A guest that computes for longer than an epoch tick (10 ms) continues in a thread of lower priority. In a thread of
//! normal priority it would keep its core for whole time slices of the operating system, 10 ms and more on a machine
//! with two cores, while other tasks need the core for microseconds. `host/docs/fair-cpu.md` describes the rule and its
//! measurement.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::{Builder, Handle, Runtime};

/// How much lower the priority of slow guests is, as a `nice` increment. With 10, such a thread gets about a tenth of a
/// core that a normal thread competes for, and all of a core that is otherwise idle.
const SLOW_NICE: i32 = 10;

/// Interval of a timer that every runtime keeps pending.
///
/// A runtime without timers sleeps until it is woken, so every new timer, such as each time limit of a turn, would wake
/// it at the cost of two system calls. While this timer is pending, a timer that is due later need not wake the
/// runtime.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// Time that a shutdown gives running tasks.
const STOP_AFTER: Duration = Duration::from_millis(100);

/// Starts a runtime with this number of threads, for transport.
///
/// # Errors
/// The threads cannot be started.
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

/// Lowers the priority of the current thread only: Linux has priorities per thread, although its manual page speaks of
/// processes.
fn lower_priority(by: i32) {
    if by > 0
        && let Err(error) = rustix::process::nice(by)
    {
        tracing::warn!(%error, "cannot lower the priority of the slow threads; slow guests may delay others");
    }
}

/// The set of guest threads on which a task runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// One for each worker.
    Quick,
    /// Threads of lower priority, for guests that compute for longer than a tick.
    Slow,
}

/// The guest threads. They must be stopped with [`GuestThreads::stop`].
pub struct GuestThreads {
    quick: Runtime,
    slow: Runtime,
}

impl GuestThreads {
    /// Starts `workers` threads and the additional threads for slow guests.
    ///
    /// # Errors
    /// The threads cannot be started.
    pub fn start(workers: usize) -> anyhow::Result<Self> {
        let quick = start("turntable-guest", workers)?;
        let slow = start_nice("turntable-slow", slow_workers(workers), SLOW_NICE)?;
        Ok(Self { quick, slow })
    }

    /// Returns a handle to spawn tasks on these threads.
    pub fn guests(&self) -> Guests {
        Guests { quick: self.quick.handle().clone(), slow: self.slow.handle().clone() }
    }

    /// Stops the threads. Running tasks get 100 ms to reach an await point, where they are cancelled.
    pub fn stop(self) {
        self.slow.shutdown_timeout(STOP_AFTER);
        self.quick.shutdown_timeout(STOP_AFTER);
    }
}

/// Returns how many slow guests may compute concurrently: one fewer than workers, so that one core is left for others.
pub(crate) fn slow_workers(workers: usize) -> usize {
    workers.saturating_sub(1).max(1)
}

/// Spawns tasks on the guest threads. Cheap to clone.
#[derive(Clone)]
pub struct Guests {
    quick: Handle,
    slow: Handle,
}

impl Guests {
    /// Returns a handle that runs everything on one runtime.
    pub fn on(runtime: Handle) -> Self {
        Self { quick: runtime.clone(), slow: runtime }
    }

    /// Spawns a task on a thread of normal priority. `go` moves it to another set of threads.
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
    /// The set of threads on which the polled task runs, and the set to which it wants to move.
    static AT: Cell<Option<(Pace, Pace)>> = const { Cell::new(None) };
}

/// Returns the set of threads of this task, or `None` if it was not spawned by [`Guests::spawn`].
pub(crate) fn pace() -> Option<Pace> {
    AT.get().map(|(pace, _)| pace)
}

/// Goes on in other threads. Where this task is none of [`Guests::spawn`], or runs there already, nothing happens.
pub async fn go(to: Pace) {
    let mut asked = false;
    poll_fn(|_| match AT.get() {
        // Pending without a waker is correct here: the task is polled again after it moved.
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
