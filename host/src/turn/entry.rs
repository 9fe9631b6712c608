//! The entry of every turn: an activity is accepted and queued.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures_util::future::BoxFuture;
use tokio::sync::{oneshot, watch};
use ulid::Ulid;

use super::contention::Contention;
use super::effects::Effects;
use super::feed::RecordFeed;
use super::instances::Slots;
use super::middleware::{self, Middleware};
use super::opening::Keys;
use super::queue::{Lane, Queues};
use super::record::{Records, TurnRecord};
use super::run::unavailable;
use super::scheduler::Scheduler;
use super::stop::{LiveTurns, StopSwitch};
use super::streams::LeftOpen;
use super::{Answer, Keeping, Services, Turn, TurnContext, streams};
use crate::activity::{Activity, Inbound};
use crate::budget::Claim;
use crate::config;
use crate::registry::{Bot, Registry};
use crate::storage::notifications::Notification;
use crate::storage::{Accepted, DeduplicationKey, InboxEntry, Owner};
use crate::threads::Guests;

/// The one entry of every activity, whatever it came through.
pub struct Turns {
    pub(super) services: Arc<Services>,
    /// This host, to the other owners of its store.
    pub(super) owner: Owner,
    pub(super) registry: Arc<Registry>,
    pub(super) queues: Queues,
    /// Where turns run.
    pub(super) guests: Guests,
    pub(super) middleware: Arc<[Box<dyn Middleware>]>,
    pub(super) slots: Slots,
    pub(super) records: Records,
    pub(super) live: LiveTurns,
    pub(super) scheduler: Scheduler,
    /// Told when a broadcast may have targets to begin.
    pub(super) broadcasting: tokio::sync::Notify,
    /// Keys of state that several conversations change.
    pub(super) contention: Contention,
    /// Keys of idempotency of requests that open conversations.
    pub(super) keys: Keys,
    pub(super) stopping: AtomicBool,
    /// Accepted turns that have not ended.
    pub(super) running: watch::Sender<usize>,
}

/// An accepted activity: its turn runs, or waits for its place in the conversation, whatever becomes of the caller.
#[derive(Debug)]
pub struct Ticket {
    /// The turn; for a redelivery that of the first run, empty where an earlier version of the host did not keep its id.
    pub turn_id: Arc<str>,
    /// The answer. Dropped without one only if the host is torn down.
    pub answer: oneshot::Receiver<Answer>,
    /// The turn that can be kept. None: a redelivery, whose first run answers.
    first_run: Option<Arc<TurnContext>>,
    /// The memory of a caller who waits for the first run.
    _waits: Option<Claim>,
}

impl Ticket {
    /// A ticket for an answer that comes from elsewhere, or is there.
    pub fn of(turn_id: Arc<str>, answer: oneshot::Receiver<Answer>) -> Self {
        Self { turn_id, answer, first_run: None, _waits: None }
    }

    fn charged(mut self, claim: Option<Claim>) -> Self {
        self._waits = claim.map(|mut claim| {
            claim.waits();
            claim
        });
        self
    }

    /// Makes sure that the activity is run even if this process dies, so that its caller may be told that it was taken.
    ///
    /// False where that is not so: the turn has just ended, the ticket is of a redelivery, or the store does not take it.
    /// The caller then waits for the answer.
    pub async fn keep(&self) -> bool {
        let Some(turn) = &self.first_run else { return false };
        let mut keeping = turn.keeping.lock().await;
        if *keeping != Keeping::No {
            return *keeping == Keeping::Kept;
        }
        let kept = InboxEntry {
            turn_id: turn.turn_id.clone(),
            conversation: turn.inbound.key.clone(),
            activity: turn.inbound.activity.text().clone(),
        };
        // Noted before the store is asked: a caller that hangs up meanwhile drops this future, not what the store does,
        // and the end of the turn must forget that too.
        *keeping = Keeping::Kept;
        match turn.services.storage.add_to_inbox(kept).await {
            Ok(()) => true,
            Err(error) => {
                *keeping = Keeping::No;
                tracing::error!(turn = %turn.turn_id, %error, "an activity cannot be kept; its caller waits for the turn");
                false
            }
        }
    }
}

/// What begins a turn.
pub(super) struct Origin {
    pub(super) inbound: Inbound,
    pub(super) turn_id: Arc<str>,
    pub(super) mark: Option<DeduplicationKey>,
    pub(super) keeping: Keeping,
    pub(super) notification: Option<Notification>,
    /// Whether it is the next activity of its conversation, whatever waits.
    pub(super) controls: bool,
    /// A stream that the turn closes, left open by an earlier process or by a turn that failed in the host.
    pub(super) left_open: Option<LeftOpen>,
    /// Whether the channel takes nothing for the conversation any more.
    pub(super) gone: bool,
    /// The memory that the activity takes until its turn ends. None: the host itself made it.
    pub(super) held: Option<Claim>,
}

impl Origin {
    /// An activity of a channel.
    pub(super) fn of_channel(
        inbound: Inbound,
        turn_id: Arc<str>,
        mark: Option<DeduplicationKey>,
        keeping: Keeping,
    ) -> Self {
        Self {
            inbound,
            turn_id,
            mark,
            keeping,
            notification: None,
            controls: false,
            left_open: None,
            gone: false,
            held: None,
        }
    }
}

/// Why an activity was not accepted. Nothing of it was stored; the channel may send it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No bot of that name: 404.
    UnknownBot,
    /// The operator disabled the bot: 503.
    Disabled,
    /// No generation of the bot could be loaded: 503 with Retry-After.
    NoGeneration,
    /// The conversation's queue or the host's is full; names the bound: 429 with Retry-After.
    QueueFull(&'static str),
    /// The host is shutting down: 503 with Retry-After.
    ShuttingDown,
    /// The store did not take it: 503 with Retry-After. The text is for the log.
    Storage(String),
}

impl Turns {
    /// Makes the entry. Turns run in the threads of `guests`; `middleware` runs inside the host's own layers, outermost first.
    pub fn new(
        server: &config::Server,
        plugins: &config::Runtime,
        services: Services,
        registry: Arc<Registry>,
        middleware: Vec<Box<dyn Middleware>>,
        guests: Guests,
    ) -> Self {
        Self {
            queues: Queues::new(guests.clone(), server.turns_queued_per_conversation_max, server.turns_queued_max),
            guests,
            services: Arc::new(services),
            owner: Ulid::new().to_string().into(),
            registry,
            middleware: middleware::built_in().into_iter().chain(middleware).collect(),
            slots: Slots::new(plugins),
            records: Records::new(),
            live: LiveTurns::default(),
            scheduler: Scheduler::default(),
            broadcasting: tokio::sync::Notify::new(),
            contention: Contention::default(),
            keys: Keys::default(),
            stopping: AtomicBool::new(false),
            running: watch::Sender::new(0),
        }
    }

    /// Accepts an activity. It is queued behind the other turns of its conversation.
    ///
    /// A redelivery is not queued: its ticket yields the answer of the first run, at once or when that run ends.
    pub async fn accept(self: &Arc<Self>, inbound: Inbound) -> Result<Ticket, Refusal> {
        self.admit(inbound, None).await
    }

    /// Accepts an activity like [`Turns::accept`], and keeps its claim on memory until its turn ends, or, for a redelivery,
    /// a small one until the first run ends.
    pub async fn accept_charged(self: &Arc<Self>, inbound: Inbound, held: Claim) -> Result<Ticket, Refusal> {
        self.admit(inbound, Some(held)).await
    }

    async fn admit(self: &Arc<Self>, inbound: Inbound, held: Option<Claim>) -> Result<Ticket, Refusal> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(Refusal::ShuttingDown);
        }
        let bot = self.registry.bot(&inbound.key.bot).ok_or(Refusal::UnknownBot)?;
        if !bot.is_enabled() {
            return Err(Refusal::Disabled);
        }
        let generation = bot.generation().ok_or(Refusal::NoGeneration)?;
        let turn_id: Arc<str> = Ulid::new().to_string().into();
        let mark = DeduplicationKey::of(&inbound);
        if let Some(key) = &mark {
            match self.services.storage.accept(key, &turn_id).await {
                Ok(Accepted::New) => {}
                Ok(Accepted::Running { turn_id, answer }) => {
                    return Ok(self.ticket_of_first_run(turn_id, answer).charged(held));
                }
                Ok(Accepted::Duplicate { turn_id, answer }) => return Ok(ready(turn_id, answer)),
                Err(error) => return Err(Refusal::Storage(error.to_string())),
            }
        }
        let controls = self.overlap(&generation, &inbound).await;
        let origin = Origin::of_channel(inbound, turn_id, mark, Keeping::No);
        self.enqueue(bot, Origin { controls, held, ..origin }).await
    }

    /// Accepts an activity that an earlier process accepted and kept. It keeps its turn id, under which it is kept.
    pub async fn resume(self: &Arc<Self>, kept: InboxEntry) -> Result<Ticket, Refusal> {
        let bot = self.registry.bot(&kept.conversation.bot).ok_or(Refusal::UnknownBot)?;
        let left_open = streams::left_open(&kept);
        let activity = Activity::parse(&kept.activity).map_err(|error| Refusal::Storage(error.to_string()))?;
        let request_id = format!("resumed-{}", kept.turn_id).into();
        let inbound = Inbound { key: kept.conversation, activity: Arc::new(activity), request_id };
        let mark = DeduplicationKey::of(&inbound);
        if let Some(key) = &mark {
            match self.services.storage.accept(key, &kept.turn_id).await {
                Ok(Accepted::New) => {}
                Ok(Accepted::Running { turn_id, answer }) => return Ok(self.ticket_of_first_run(turn_id, answer)),
                Ok(Accepted::Duplicate { turn_id, answer }) => {
                    let forgotten = self.services.storage.remove_from_inbox(&kept.turn_id).await;
                    forgotten.map_err(|error| Refusal::Storage(error.to_string()))?;
                    return Ok(ready(turn_id, answer));
                }
                Err(error) => return Err(Refusal::Storage(error.to_string())),
            }
        }
        let origin = Origin::of_channel(inbound, kept.turn_id, mark, Keeping::Kept);
        self.enqueue(bot, Origin { left_open, ..origin }).await
    }

    pub(super) async fn enqueue(self: &Arc<Self>, bot: Arc<Bot>, origin: Origin) -> Result<Ticket, Refusal> {
        let Origin { mut inbound, turn_id, mark, keeping, notification, controls, left_open, gone, held } = origin;
        let lane = match (&notification, inbound.activity.kind()) {
            (Some(_), _) => Lane::Internal,
            _ if controls => Lane::Control,
            (None, "invoke") => Lane::Invoke,
            (None, _) => Lane::Channel,
        };
        // What waits is the text. The turn parses it again where it needs a tree.
        if let Some(text_only) = inbound.activity.without_tree() {
            inbound.activity = Arc::new(text_only);
        }
        let context = Arc::new(TurnContext {
            turn_id: turn_id.clone(),
            inbound,
            services: self.services.clone(),
            notification,
            left_open,
            gone,
            mark: mark.clone(),
            contention: self.contention.clone(),
            keeping: tokio::sync::Mutex::new(keeping),
            stop: StopSwitch::default(),
            _held: held,
        });
        let first_run = Some(context.clone());
        let (sender, answer) = oneshot::channel();
        let guard = Running::start(&self.running);
        let (turns, key, queued) = (self.clone(), context.inbound.key.clone(), Instant::now());
        let job = async move {
            let (answer, rest) = turns.run_to_answer(&bot, context.clone(), queued.elapsed()).await;
            turns.after(&context, rest.as_ref());
            turns.close_later(rest.as_ref().and_then(Turn::effects_of_failure)).await;
            // Nobody may be waiting any more: the turn is detached from its request.
            let _ = sender.send(answer);
            // Its instances are torn down while the answer is on its way.
            drop(rest);
            drop(guard);
            turns.run_again(&bot, context).await;
        };
        match self.queues.push(&key, lane, job) {
            Ok(()) => Ok(Ticket { turn_id, answer, first_run, _waits: None }),
            Err(bound) => {
                if let Some(key) = &mark {
                    self.services.storage.release(key).await;
                }
                Err(Refusal::QueueFull(bound))
            }
        }
    }

    /// Closes the stream that a turn left open because it failed in the host, in a turn of its own.
    async fn close_later(self: &Arc<Self>, failed: Option<Arc<Effects>>) {
        let Some(effects) = failed else { return };
        let Some(kept) = effects.left_open_stream().await else { return };
        if let Err(refusal) = self.clone().resume_boxed(kept).await {
            let turn = &effects.context.turn_id;
            tracing::error!(%turn, ?refusal, "a stream is not closed; the next start closes it");
        }
    }

    /// The same as [`Turns::resume`] for a turn that resumes another one: a future that contains itself needs a box.
    fn resume_boxed(self: Arc<Self>, kept: InboxEntry) -> BoxFuture<'static, Result<Ticket, Refusal>> {
        Box::pin(async move { self.resume(kept).await })
    }

    fn ticket_of_first_run(&self, turn_id: Arc<str>, mut running: watch::Receiver<Option<Answer>>) -> Ticket {
        let (sender, answer) = oneshot::channel();
        self.guests.spawn(async move {
            let first = running.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
            // Released without an answer: the first run failed in the host, and so does this delivery of it.
            let _ = sender.send(first.unwrap_or_else(unavailable));
        });
        Ticket::of(turn_id, answer)
    }

    /// Records of turns as they end, until [`Turns::stop`]: from now on, or after the place where a reader left off.
    pub fn records(&self, after: Option<&str>) -> RecordFeed {
        self.records.subscribe(after)
    }

    /// The newest records of a bot, newest first.
    pub fn recent(&self, bot: &str) -> Vec<Arc<TurnRecord>> {
        self.records.recent(bot)
    }

    /// Turns accepted and not ended.
    pub fn running(&self) -> usize {
        *self.running.borrow()
    }

    /// Turns waiting or running, as the queues count them.
    pub fn queue_depth(&self) -> usize {
        self.queues.depth()
    }

    /// Instance slots that turns hold, and all of them.
    pub fn instance_slots(&self) -> (usize, usize) {
        self.slots.used()
    }

    /// Accepts nothing more from now on. The future waits until every accepted turn has ended; the caller bounds it.
    pub fn stop(&self) -> impl Future<Output = ()> {
        self.stopping.store(true, Ordering::Release);
        async move {
            // The sender lives in self, so the channel cannot close.
            let _ = self.running.subscribe().wait_for(|running| *running == 0).await;
            // Readers of the feed hold connections open, and the listeners wait for those.
            self.records.close();
        }
    }
}

/// Counts a turn from its acceptance to its end.
pub(super) struct Running(watch::Sender<usize>);

impl Running {
    pub(super) fn start(running: &watch::Sender<usize>) -> Self {
        running.send_modify(|running| *running += 1);
        Self(running.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

fn ready(turn_id: Arc<str>, answer: Answer) -> Ticket {
    let (sender, receiver) = oneshot::channel();
    let _ = sender.send(answer);
    Ticket::of(turn_id, receiver)
}
