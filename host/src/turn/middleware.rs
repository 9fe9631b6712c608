//! Turn middleware: nested like Russian dolls, each layer with everything inside it as `next`.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Turn, TurnContext, TurnError};
use crate::activity::Object;
use crate::plugin::Fault;

/// One layer around a turn.
///
/// `next` is taken by value: a layer runs the rest once, or not at all. What it does before is on the way in, what it
/// does after is on the way out. It sees every origin of turns.
#[async_trait]
pub trait Middleware: Send + Sync {
    /// Runs this layer.
    async fn on_turn(&self, turn: &mut Turn, next: Next<'_>) -> Result<(), TurnError>;

    /// Sees what leaves, when it is staged, after the layers inside this one and after all Wasm layers. `sender` is the
    /// plugin that sends, or `turntable`. A fault goes to the sender, and nothing leaves.
    async fn on_outgoing(&self, turn: &TurnContext, sender: &str, outgoing: &Outgoing) -> Result<Verdict, Fault> {
        let _ = (turn, sender, outgoing);
        Ok(Verdict::Pass)
    }
}

/// What leaves a turn.
#[derive(Debug, Clone)]
pub enum Outgoing {
    /// A new activity, as it will leave.
    Send(Object),
    /// The activity that replaces another.
    Update {
        /// A host id or the channel's id.
        id: Arc<str>,
        /// The new content.
        activity: Object,
    },
    /// The end of an activity that was sent before.
    Delete {
        /// A host id or the channel's id.
        id: Arc<str>,
    },
}

/// What a layer makes of something that leaves.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It goes on as it is.
    Pass,
    /// It goes on as this activity, addressed by the host again. The same as `Pass` for a deletion.
    Replace(Object),
    /// It goes no further, and its sender gets an empty id.
    Stop,
}

impl Outgoing {
    /// The event of `middleware.wit`.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Send(_) => "send",
            Self::Update { .. } => "update",
            Self::Delete { .. } => "delete",
        }
    }

    /// Its data, as JSON text.
    pub(super) fn data(&self) -> String {
        match self {
            Self::Send(activity) => json!(activity).to_string(),
            Self::Update { id, activity } => {
                let mut activity = activity.clone();
                activity.insert("id".into(), Value::from(&**id));
                json!(activity).to_string()
            }
            Self::Delete { id } => json!({ "id": &**id }).to_string(),
        }
    }

    /// Whether it is of a type that only the host makes.
    pub(super) fn is_the_hosts(&self) -> bool {
        matches!(self, Self::Send(activity) if super::outgoing::is_the_hosts(activity))
    }

    /// The same with other content.
    pub(super) fn replaced_by(self, activity: Object) -> Self {
        match self {
            Self::Send(_) => Self::Send(activity),
            Self::Update { id, .. } => Self::Update { id, activity },
            Self::Delete { .. } => self,
        }
    }
}

/// The rest of the turn, as seen from one layer.
pub struct Next<'a> {
    rest: &'a [Box<dyn Middleware>],
}

impl<'a> Next<'a> {
    pub(super) fn new(stack: &'a [Box<dyn Middleware>]) -> Self {
        Self { rest: stack }
    }

    /// Runs the rest of the turn: the inner layers, then routes and handlers.
    pub async fn run(self, turn: &mut Turn) -> Result<(), TurnError> {
        match self.rest.split_first() {
            Some((layer, rest)) => layer.on_turn(turn, Next { rest }).await,
            None => {
                turn.dispatch().await?;
                turn.close_stream(None).await.map(drop)
            }
        }
    }
}

/// The host's own layers, outermost first.
pub(super) fn built_in() -> Vec<Box<dyn Middleware>> {
    vec![
        // Sees what all others made of the turn.
        Box::new(RequestLog),
        // Turns a failure into one reply, so nothing inside has to.
        Box::new(ErrorReply),
        // Inside the error reply: a typing indicator that cannot be sent fails like any send.
        Box::new(TypingIndicator),
    ]
}

/// One log line per turn. No activity text.
struct RequestLog;

#[async_trait]
impl Middleware for RequestLog {
    async fn on_turn(&self, turn: &mut Turn, next: Next<'_>) -> Result<(), TurnError> {
        let started = Instant::now();
        let result = next.run(turn).await;
        let inbound = &turn.context.inbound;
        tracing::info!(
            bot = %inbound.key.bot,
            turn = %turn.context.turn_id,
            request = %inbound.request_id,
            channel = %inbound.key.channel,
            kind = inbound.activity.kind(),
            generation = turn.generation.number,
            outcome = turn.ended.label(),
            sends = turn.effects.staging().sent().len(),
            duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            "turn"
        );
        result
    }
}

/// Makes of a failed turn one reply that says nothing internal (`message` only), and a 500 of a failed invoke.
struct ErrorReply;

#[async_trait]
impl Middleware for ErrorReply {
    async fn on_turn(&self, turn: &mut Turn, next: Next<'_>) -> Result<(), TurnError> {
        let Err(error) = next.run(turn).await else { return Ok(()) };
        // A failure of the host is no failed turn: it is not marked, and the channel may send the activity again.
        let TurnError::Plugin { plugin, failure } = error else { return Err(error) };
        tracing::warn!(bot = %turn.context.inbound.key.bot, %plugin, turn = %turn.context.turn_id,
            outcome = failure.label(), error = %failure, "turn failed");
        turn.fail().await
    }
}

/// Sends `typing` when a message turn starts, where the bot's configuration asks for it.
struct TypingIndicator;

#[async_trait]
impl Middleware for TypingIndicator {
    async fn on_turn(&self, turn: &mut Turn, next: Next<'_>) -> Result<(), TurnError> {
        let wanted = turn.generation.spec.typing_indicator && turn.context.inbound.activity.kind() == "message";
        if wanted && let Err(error) = turn.send(object(&json!({"type": "typing"})), true).await {
            tracing::debug!(%error, "no typing indicator");
        }
        next.run(turn).await
    }
}

fn object(value: &Value) -> Object {
    value.as_object().cloned().unwrap_or_default()
}
