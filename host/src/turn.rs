//! The turn: one incoming activity handled, with all that it caused.
//!
//! [`Turns::accept`] takes an activity from any origin, `Turns::run_turn` owns its flow from the generation that
//! serves it to the answer, and what it does is staged (`Effects`) until it ends.

mod address;
pub mod bridge;
pub mod broadcaster;
mod contention;
mod cron;
mod dialogs;
mod dispatch;
mod effects;
mod entry;
mod feed;
mod forget;
mod hooks;
mod instances;
pub mod middleware;
pub mod opening;
mod outgoing;
pub mod proactive;
mod queue;
mod record;
mod rehearsal;
mod run;
mod scheduler;
mod stack;
mod staging;
mod state;
mod stop;
mod streams;
mod transcript;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::MutexGuard;
use serde_json::json;

use self::bridge::Bridges;
use self::contention::{Contention, Key};
use self::effects::Effects;
pub use self::entry::{Refusal, Ticket, Turns};
pub use self::feed::{FeedItem, RecordFeed};
use self::instances::Instances;
use self::middleware::{Middleware, Next};
#[cfg(test)]
pub(crate) use self::record::Records;
pub use self::record::{CallRecord, TurnRecord};
use self::staging::{Leaving, Staging};
pub use self::stop::RunningTurn;
use crate::activity::{Activity, DeliveryMode, Inbound, Object};
use crate::budget::Claim;
use crate::channel::Address;
use crate::delivery::Deliveries;
use crate::dialog::Progress;
use crate::plugin::{Failure, Meta, Runtime};
use crate::registry::Generation;
pub use crate::storage::Answer;
use crate::storage::notifications::{End, Notification};
use crate::storage::{DeduplicationKey, OutboxAction, Storage, StorageError};

/// The parts of the host that turns use.
pub struct Services {
    /// What outlives a turn.
    pub storage: Arc<dyn Storage>,
    /// Where what they send leaves.
    pub deliveries: Arc<Deliveries>,
    /// Where plugins run.
    pub plugins: Arc<Runtime>,
    /// `storage.notification-bytes-per-bot-max`
    pub notification_bytes_max: u64,
    /// Told when a notification may be due.
    pub due: Arc<tokio::sync::Notify>,
    /// Bridged bots. None in a host that only replays.
    pub bridges: Option<Arc<Bridges>>,
}

/// What does not change during a turn.
pub struct TurnContext {
    pub(crate) turn_id: Arc<str>,
    pub(crate) inbound: Inbound,
    pub(crate) services: Arc<Services>,
    /// What began the turn, where it was no activity of a channel.
    pub(crate) notification: Option<Notification>,
    /// A stream that an earlier process left open, which the turn closes.
    left_open: Option<streams::LeftOpen>,
    /// Whether the channel took nothing for the conversation any more when that began the turn.
    gone: bool,
    /// The mark that the commit leaves. None: the activity has no id.
    mark: Option<DeduplicationKey>,
    contention: Contention,
    /// Held while the activity is being kept, so that keeping it and the end of its turn cannot pass each other.
    keeping: tokio::sync::Mutex<Keeping>,
    stop: stop::StopSwitch,
    /// The memory of the activity, charged until the turn is gone. None: the host itself made it.
    _held: Option<Claim>,
}

/// Whether a restart runs the activity of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeping {
    No,
    Kept,
    Ended,
}

/// A turn that runs.
pub struct Turn {
    context: Arc<TurnContext>,
    generation: Arc<Generation>,
    /// The incoming activity, as the layers of middleware let it in.
    activity: Arc<Activity>,
    /// What it has done so far.
    effects: Arc<Effects>,
    instances: Instances,
    /// The layers of middleware that the activity came through.
    layers_passed: usize,
    /// Whether the next one stopped it.
    stopped: bool,
    /// What the dialog machine remembers of the turn.
    dialogs: Progress,
    ended: Ended,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Completed,
    Failed,
    /// By its user or an operator.
    Stopped,
    HostFailure,
}

/// Why a turn did not complete.
#[derive(Debug)]
pub enum TurnError {
    /// A plugin failed, and its configuration says that this fails the turn.
    Plugin {
        /// The plugin.
        plugin: Arc<str>,
        /// How.
        failure: Failure,
    },
    /// No instance slots became free in time, `runtime.instances-wait-ms`.
    Busy {
        /// That time.
        waited: Duration,
    },
    /// The store did not take the turn.
    Storage(StorageError),
    /// The host could not run a guest.
    Host(String),
    /// Its user or an operator stopped it.
    Stopped,
}

impl std::fmt::Debug for TurnContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnContext").field("turn_id", &self.turn_id).finish_non_exhaustive()
    }
}

impl TurnContext {
    /// The turn.
    pub fn turn_id(&self) -> &Arc<str> {
        &self.turn_id
    }

    /// The incoming activity as it arrived, and where it came from.
    pub fn inbound(&self) -> &Inbound {
        &self.inbound
    }

    pub(crate) fn delivery_address(&self) -> Address {
        Address { conversation: self.inbound.key.clone(), service_url: self.inbound.activity.service_url().into() }
    }

    /// What a guest is told about the turn. A layer of middleware has the activity as it is there, not as `passed` by all.
    async fn meta(&self, trigger: String, passed: Option<&Activity>) -> Meta {
        let inbound = &self.inbound;
        let activity = &inbound.activity;
        let reply_to = activity.str("replyToId");
        let replies_to = match reply_to {
            "" => None,
            // A store that does not answer costs the guest this one fact, not the turn.
            id => self.services.storage.host_id(&inbound.key, id).await.ok().flatten(),
        };
        Meta {
            turn_id: self.turn_id.clone(),
            bot: inbound.key.bot.clone(),
            channel_id: activity.channel_id().into(),
            conversation_id: inbound.key.conversation.clone(),
            kind: activity.kind().into(),
            trigger,
            locale: Some(activity.str("locale")).filter(|locale| !locale.is_empty()).map(Into::into),
            replies_to,
            spoken: passed.and_then(|message| {
                let spoken = Some(message.spoken_text()).filter(|_| message.kind() == "message");
                spoken.filter(|spoken| spoken != message.str("text")).map(Into::into)
            }),
            frame: None,
        }
    }
}

impl Turn {
    /// The incoming activity as it arrived, and where it came from.
    pub fn inbound(&self) -> &Inbound {
        &self.context.inbound
    }

    /// The incoming activity as the layers so far let it in.
    pub fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Stages an activity of native middleware, and returns its host id. `threaded` makes it a reply.
    pub async fn send(&mut self, activity: Object, threaded: bool) -> Result<Arc<str>, TurnError> {
        Ok(self.effects.send(self.effects.hooks.layers(), hooks::HOST, activity, threaded).await?)
    }

    /// Runs the layers, and makes real what they made of the turn. Returns its answer.
    async fn run(&mut self, middleware: &[Box<dyn Middleware>]) -> Result<Answer, TurnError> {
        let context = self.context.clone();
        match Self::unless_stopped(&context, Next::new(middleware).run(self)).await {
            Err(TurnError::Stopped) => self.end_stopped().await?,
            ended => ended?,
        }
        let outcome = if self.stopped { "stopped" } else { self.ended.label() };
        self.effects.turn_end(self.layers_passed, outcome).await?;
        self.commit().await
    }

    /// Locks what is staged, for a step that does not wait. The turn is borrowed meanwhile, so it cannot lock twice.
    fn staging(&mut self) -> MutexGuard<'_, Staging> {
        self.effects.staging()
    }

    fn has_flushed(&self) -> bool {
        self.effects.staging().has_flushed()
    }

    /// Frees the seats of a turn that is over, and notes what it contended for.
    fn leave_seats(&mut self, contention: &Contention) {
        let mut staging = self.effects.staging();
        staging.leave_seats();
        contention.learn(&self.context.inbound.key, staging.relied_on(), staging.seats_before());
    }

    /// The keys of state that the turn relied on or had seats at.
    fn contended(&self) -> BTreeSet<Key> {
        self.effects.staging().contended()
    }

    fn overtaken(&self) -> bool {
        self.effects.staging().overtaken()
    }

    /// Fails the turn: nothing of it becomes real but one error reply, and the count of failures of a dialog.
    async fn fail(&mut self) -> Result<(), TurnError> {
        self.ended = Ended::Failed;
        self.staging().clear();
        let text = self.generation.spec.error_text.clone();
        if !self.close_stream_anyway(&text).await? && self.context.inbound.activity.kind() == "message" {
            self.say_anyway(&text).await?;
        }
        self.end_failed()?;
        self.count_failure().await
    }

    /// Ends a turn that relied on state which others kept changing.
    async fn end_in_conflict(mut self) -> (Self, Result<Answer, TurnError>) {
        tracing::warn!(bot = %self.context.inbound.key.bot, turn = %self.context.turn_id,
            "turn failed: other turns kept changing the state that it relied on");
        // No dialog is to blame for that.
        self.dialogs.blame_nobody();
        let failed = self.fail().await;
        let answer = match failed {
            Ok(()) => self.commit().await,
            Err(error) => Err(error),
        };
        (self, answer)
    }

    /// Makes the turn real and returns its answer.
    async fn commit(&mut self) -> Result<Answer, TurnError> {
        let (leaving, answer) = self.outcome().map_err(TurnError::Storage)?;
        self.effects.commit(leaving, answer.clone()).await.map_err(TurnError::Storage)?;
        Ok(answer)
    }

    /// What leaves with the turn, and its answer.
    fn outcome(&self) -> Result<(Leaving, Answer), StorageError> {
        let mut staging = self.effects.staging();
        let activity = &self.context.inbound.activity;
        let mut answer = match (activity.kind(), self.ended) {
            ("invoke", Ended::Completed) => staging.response().cloned().unwrap_or(Answer { status: 501, body: None }),
            ("invoke", _) => error_answer(),
            _ if self.context.notification.is_some() => {
                outcome_answer(staging.notification_end(), staging.actions().len())
            }
            _ => Answer { status: 200, body: None },
        };
        if activity.kind() == "invoke" && staging.response().is_some() {
            staging.note_answer(&answer);
        }
        let mut leaving = staging.leaving()?;
        if activity.delivery_mode() == DeliveryMode::ExpectReplies {
            answer = with_replies(&answer, &mut leaving.actions);
        }
        Ok((leaving, answer))
    }
}

/// What became of a notification, for who asked for it.
fn outcome_answer(end: Option<&End>, sends: usize) -> Answer {
    let outcome = match end {
        Some(End::Done(how)) => how,
        Some(End::Held) => "held",
        Some(End::Again(_)) | None => "delivered",
    };
    Answer { status: 200, body: Some(json!({ "outcome": outcome, "sends": sends }).to_string().into()) }
}

fn error_answer() -> Answer {
    let body = json!({"error": {"code": "BotError", "message": "The bot failed to handle the activity."}});
    Answer { status: 500, body: Some(body.to_string().into()) }
}

/// Moves the sends into the HTTP answer, as `expectReplies` demands. Updates and deletes still go through the channel,
/// because the answer has no form for them.
fn with_replies(answer: &Answer, actions: &mut Vec<OutboxAction>) -> Answer {
    let mut body = String::from(r#"{"activities":["#);
    actions.retain(|action| {
        let OutboxAction::Send { activity, .. } = action else { return true };
        if !body.ends_with('[') {
            body.push(',');
        }
        body.push_str(activity);
        false
    });
    body.push(']');
    // A body that an invoke answered with was checked to be JSON when it was set.
    if let Some(invoke) = &answer.body {
        body.push_str(r#","body":"#);
        body.push_str(invoke);
    }
    body.push('}');
    Answer { status: answer.status, body: Some(body.into()) }
}

impl Ended {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::HostFailure => "host-failure",
        }
    }
}

impl std::fmt::Display for TurnError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plugin { plugin, failure } => write!(f, "plugin {plugin}: {failure}"),
            Self::Busy { waited } => {
                write!(f, "no instance slot became free within runtime.instances-wait-ms ({})", waited.as_millis())
            }
            Self::Storage(error) => error.fmt(f),
            Self::Host(why) => f.write_str(why),
            Self::Stopped => f.write_str("the turn was stopped"),
        }
    }
}

impl std::error::Error for TurnError {}

#[cfg(test)]
mod tests;
