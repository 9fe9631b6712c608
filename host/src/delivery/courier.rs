//! Takes one thing after the other to its channel: resolves ids, tries again where that is safe, notes how it ended.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::ids::{self, Stream};
use super::pace::{self, Pace};
use super::rates::{Rates, Taken};
use super::slots::Slots;
use super::watched::{Outcome, Watched};
use crate::activity::{ChannelInstance, ConversationKey, Object};
use crate::channel::{Address, Channel, ChannelError, Opened, RefusedOrigin};
use crate::config::{self, Ambiguous};
use crate::storage::{Delivery, OutboxAction, OutboxRow, Storage, StorageError};
use crate::telemetry;

/// An activity that leaves at once.
pub(super) struct Ephemeral {
    pub(super) to: Address,
    pub(super) host_id: Arc<str>,
    pub(super) activity: Object,
}

pub(super) struct Courier {
    send_attempts_max: u32,
    ambiguous: Ambiguous,
    storage: Arc<dyn Storage>,
    direct_line: Arc<dyn Channel>,
    connector: Arc<dyn Channel>,
    slots: Slots,
    rates: Rates,
    pub(super) watched: Arc<Watched>,
    delivered: AtomicU64,
    wait: Wait,
}

/// How time passes between attempts; tests let it pass at once.
pub(super) type Wait = fn(Duration) -> BoxFuture<'static, ()>;

/// A row as the channel is asked for it: all ids are the channel's.
enum Call {
    Send(Object),
    Update(Arc<str>, Object),
    Delete(Arc<str>),
}

impl Courier {
    pub(super) fn new(
        channel: &config::Channel,
        storage: Arc<dyn Storage>,
        direct_line: Arc<dyn Channel>,
        connector: Arc<dyn Channel>,
        wait: Wait,
    ) -> Self {
        let (slots, delivered) = (Slots::new(), AtomicU64::new(0));
        Self {
            send_attempts_max: channel.send_attempts_max,
            ambiguous: channel.ambiguous,
            storage,
            direct_line,
            connector,
            slots,
            rates: Rates::new(&channel.rates),
            watched: Arc::default(),
            delivered,
            wait,
        }
    }

    /// Rows delivered since the start.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    pub(super) async fn outbox_depth(&self) -> u64 {
        stored("outbox_depth", || self.storage.outbox_depth()).await.unwrap_or_default()
    }

    /// Delivers the oldest rows of a conversation, up to `rows`. A row that fails for good does not hold up the next.
    pub(super) async fn deliver_rows(&self, conversation: &ConversationKey, rows: usize) {
        for _ in 0..rows {
            let claimed = stored("claim_outbox", || self.storage.claim_outbox(conversation)).await;
            let Some(row) = claimed.flatten() else { return };
            let (delivery, how) = self.deliver(&row).await;
            telemetry::delivery_ended(&conversation.bot, how);
            stored("note_delivery", || self.storage.note_delivery(&row, delivery.clone())).await;
            if let Delivery::Dead { why, .. } = &delivery {
                tracing::warn!(
                    bot = %conversation.bot,
                    channel = %conversation.channel,
                    conversation = %conversation.conversation,
                    turn = %row.turn_id,
                    outcome = how,
                    why,
                    "not delivered, kept as a dead letter"
                );
            }
            let outcome = match delivery {
                Delivery::Done { .. } => Outcome::Delivered,
                Delivery::Dead { gone: true, .. } => Outcome::Gone,
                Delivery::Dead { .. } => Outcome::Dead,
            };
            if outcome == Outcome::Gone {
                let why = "the channel answered 403 or 404";
                stored("mark_gone", || self.storage.mark_gone(conversation, why)).await;
            }
            self.watched.note(&row.turn_id, outcome);
        }
    }

    /// Returns what became of a row, also as metrics and logs call it.
    async fn deliver(&self, row: &OutboxRow) -> (Delivery, &'static str) {
        let to = Address { conversation: row.conversation.clone(), service_url: row.service_url.clone() };
        let call = match self.call_of(row).await {
            Ok(call) => call,
            Err(why) => return (Delivery::Dead { why, gone: false }, "refused"),
        };
        match self.persist(&to, &call).await {
            Ok(channel_id) => {
                self.delivered.fetch_add(1, Ordering::Relaxed);
                (Delivery::Done { channel_id }, "delivered")
            }
            Err(error) => (Delivery::Dead { why: error.to_string(), gone: is_gone(row, &error) }, outcome_of(&error)),
        }
    }

    /// Sends what has no row. What could not be sent is lost, and said so.
    pub(super) async fn deliver_now(&self, ephemeral: Ephemeral) {
        let Ephemeral { to, host_id, mut activity } = ephemeral;
        let conversation = &to.conversation;
        let is_message = kind(&activity) == "message";
        let stream = ids::resolve(&*self.storage, conversation, &mut activity).await;
        if stream == Stream::Unknown && !is_message {
            tracing::debug!(bot = %conversation.bot, "a piece of a stream is dropped: its start has no id of the channel");
            return;
        }
        let can_wait = is_message || ids::opens_stream(&activity);
        let call = Call::Send(activity);
        if !can_wait && self.rates.take(conversation, &mut Taken::default()).is_err() {
            telemetry::delivery_throttled(&conversation.bot);
            tracing::debug!(bot = %conversation.bot, "an ephemeral activity is dropped: the channel's rate is used up");
            return;
        }
        let sent = match (is_message, can_wait) {
            (true, _) => self.persist(&to, &call).await,
            (false, true) => self.attempt(&to, &call).await,
            (false, false) => self.ask(&to, &call).await,
        };
        match (sent, stream) {
            (Ok(_), Stream::None) => {}
            (Ok(channel_id), stream) => {
                // Channels answer later pieces without an id: all of a stream is one activity to them.
                let channel_id = match stream {
                    Stream::Of(stream_id) if channel_id.is_empty() => stream_id,
                    _ => channel_id,
                };
                stored("map_id", || self.storage.map_id(conversation, &host_id, &channel_id)).await;
            }
            (Err(error), _) if is_message => {
                telemetry::delivery_ended(&conversation.bot, outcome_of(&error));
                tracing::warn!(
                    bot = %conversation.bot,
                    conversation = %conversation.conversation,
                    %error,
                    "the last message of a stream was not delivered"
                );
            }
            (Err(error), _) => {
                tracing::debug!(bot = %conversation.bot, %error, "an ephemeral activity was not delivered");
            }
        }
    }

    /// Resolves a row's ids, or says why the channel cannot be asked for it.
    async fn call_of(&self, row: &OutboxRow) -> Result<Call, String> {
        let conversation = &row.conversation;
        match &row.action {
            OutboxAction::Send { activity, .. } => {
                let mut activity = activity.clone();
                ids::resolve(&*self.storage, conversation, &mut activity).await;
                Ok(Call::Send(activity))
            }
            OutboxAction::Update { target, activity } => {
                let mut activity = activity.clone();
                ids::resolve(&*self.storage, conversation, &mut activity).await;
                let id = ids::target(&*self.storage, conversation, target).await?;
                activity.insert("id".to_owned(), Value::from(&*id));
                Ok(Call::Update(id, activity))
            }
            OutboxAction::Delete { target } => {
                Ok(Call::Delete(ids::target(&*self.storage, conversation, target).await?))
            }
        }
    }

    /// Tries until the channel decides, where it certainly did not take the activity, or where taking it twice changes
    /// nothing: an update and a deletion may be repeated, a new activity may not.
    async fn persist(&self, to: &Address, call: &Call) -> Result<Arc<str>, ChannelError> {
        let mut pace = Pace::new(self.send_attempts_max);
        let resends = self.ambiguous == Ambiguous::Resend || !matches!(call, Call::Send(_));
        let mut perhaps_done = false;
        loop {
            let error = match self.attempt(to, call).await {
                Ok(channel_id) => return Ok(channel_id),
                Err(error) => error,
            };
            match &error {
                // The deletion before this one was done, and only its answer was lost.
                ChannelError::Refused { status: Some(404), .. } if perhaps_done && matches!(call, Call::Delete(_)) => {
                    return Ok("".into());
                }
                ChannelError::Refused { .. } => return Err(error),
                ChannelError::Ambiguous { .. } if !resends => {
                    return Err(error.and("not sent again, as it could come twice (channel.ambiguous is \"drop\")"));
                }
                ChannelError::Ambiguous { .. } => perhaps_done = true,
                ChannelError::NotDelivered { .. } | ChannelError::Throttled { .. } => {}
            }
            let delay = match pace.wait_after(&error) {
                Ok(delay) => delay,
                Err(bound) => return Err(error.and(bound)),
            };
            tracing::debug!(bot = %to.conversation.bot, %error, ?delay, "delivery is tried again");
            (self.wait)(delay).await;
        }
    }

    /// Asks the channel, once its rate allows it.
    async fn attempt(&self, to: &Address, call: &Call) -> Result<Arc<str>, ChannelError> {
        let (mut taken, mut waited) = (Taken::default(), Duration::ZERO);
        while let Err(wait) = self.rates.take(&to.conversation, &mut taken) {
            if waited.is_zero() {
                telemetry::delivery_throttled(&to.conversation.bot);
            }
            waited += wait;
            tracing::debug!(bot = %to.conversation.bot, channel = %to.conversation.channel, ?wait, "the channel's rate is used up");
            (self.wait)(wait).await;
        }
        if !waited.is_zero() {
            telemetry::delivery_was_throttled(&to.conversation.bot, waited);
        }
        self.ask(to, call).await
    }

    /// Opens a conversation, or says when that may be tried. All that a bot opens on a channel share the buckets of one
    /// conversation: channels count it like sends (`protocol/http.md` §2.1).
    pub(super) async fn open(&self, at: &Address, parameters: &Object) -> Result<Opened, ChannelError> {
        let opens = ConversationKey { conversation: "".into(), ..at.conversation.clone() };
        if let Err(wait) = self.rates.take(&opens, &mut Taken::default()) {
            telemetry::delivery_throttled(&opens.bot);
            let why = "the channel's rate is used up (channel.rates)".to_owned();
            return Err(ChannelError::Throttled { why, retry_after: Some(wait) });
        }
        self.channel_of(&at.conversation).open(at, parameters).await
    }

    pub(super) fn refused_origins(&self, bot: &str) -> Vec<RefusedOrigin> {
        self.connector.refused_origins(bot)
    }

    pub(super) fn channel_of(&self, conversation: &ConversationKey) -> &Arc<dyn Channel> {
        match conversation.channel {
            ChannelInstance::LocalDirectLine => &self.direct_line,
            ChannelInstance::Wire(_) => &self.connector,
        }
    }

    async fn ask(&self, to: &Address, call: &Call) -> Result<Arc<str>, ChannelError> {
        let channel = self.channel_of(&to.conversation);
        let _slot = match to.conversation.channel {
            ChannelInstance::LocalDirectLine => None,
            ChannelInstance::Wire(_) => Some(self.slots.acquire(&to.service_url).await),
        };
        let asked = async {
            match call {
                Call::Send(activity) => channel.send(to, activity).await,
                Call::Update(id, activity) => channel.update(to, id, activity).await.map(|()| "".into()),
                Call::Delete(id) => channel.delete(to, id).await.map(|()| "".into()),
            }
        };
        // A panic here is a defect of the host. It must not take the lane with it, which nobody would start again.
        AssertUnwindSafe(asked).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(bot = %to.conversation.bot, channel = %to.conversation.channel, "a delivery panicked");
            let why = "the host failed while it sent this; its log says more".to_owned();
            Err(ChannelError::Ambiguous { why, retry_after: None })
        })
    }
}

impl Ephemeral {
    /// Whether a later activity makes up for it: not so for the start of a stream, which gives it its id, nor for its end.
    pub(super) fn can_be_missed(&self) -> bool {
        kind(&self.activity) == "typing" && !ids::opens_stream(&self.activity)
    }
}

fn kind(activity: &Object) -> &str {
    activity.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// Whether the channel says that there is no such conversation, or none for this bot: asked for the conversation itself and
/// not for one of its activities.
fn is_gone(row: &OutboxRow, error: &ChannelError) -> bool {
    let OutboxAction::Send { activity, .. } = &row.action else { return false };
    let is_reply = activity.get("replyToId").and_then(Value::as_str).is_some_and(|id| !id.is_empty());
    !is_reply && matches!(error, ChannelError::Refused { status: Some(403 | 404), .. })
}

/// The label of a failed delivery.
fn outcome_of(error: &ChannelError) -> &'static str {
    match error {
        ChannelError::Refused { .. } => "refused",
        ChannelError::NotDelivered { .. } | ChannelError::Throttled { .. } => "unreachable",
        ChannelError::Ambiguous { .. } => "ambiguous",
    }
}

/// Asks the store until it answers: a lane that went on without it would lose or repeat a row.
async fn stored<T, F: Future<Output = Result<T, StorageError>>>(
    operation: &'static str,
    ask: impl FnMut() -> F,
) -> Option<T> {
    let back_off =
        ExponentialBuilder::default().with_min_delay(Duration::from_millis(100)).with_max_delay(pace::BACK_OFF_MAX);
    ask.retry(back_off.without_max_times())
        .sleep(tokio::time::sleep)
        .notify(|error, _| tracing::error!(operation, %error, "the store does not answer, deliveries wait"))
        .await
        .ok()
}
