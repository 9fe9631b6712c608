//! Delivers one item after the other to its channel: resolves ids, retries if that is safe, and records the outcome.

mod parts;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::{OwnedMutexGuard, oneshot};
use tokio::time::Instant;

use self::parts::end_of_stream;
use super::ids::{self, Stream};
use super::outages::{Admission, Outages};
use super::pace::{self, Pace};
use super::rates::{Rates, Taken};
use super::slots::Slots;
use super::streams::Streams;
use super::watched::{Outcome, Watched};
use crate::activity::{ChannelInstance, ConversationKey, Object};
use crate::channel::stream::Pieces;
use crate::channel::{self, Address, Channel, ChannelError, Fault, Opened, RefusedOrigin};
use crate::config::{self, Ambiguous};
use crate::json;
use crate::storage::{Delivery, DroppedLetter, OutboxAction, OutboxRow, Storage, StorageError};
use crate::telemetry;

/// An activity without an outbox row, sent at once.
pub(super) struct Ephemeral {
    pub(super) to: Address,
    pub(super) host_id: Arc<str>,
    pub(super) activity: Object,
    /// For a piece of a stream that this host opened: how the channel takes it, and who waits for the answer.
    pub(super) piece: Option<(Pieces, oneshot::Sender<Result<(), ChannelError>>)>,
}

pub(super) struct Courier {
    send_attempts_max: u32,
    ambiguous: Ambiguous,
    storage: Arc<dyn Storage>,
    direct_line: Arc<dyn Channel>,
    connector: Arc<dyn Channel>,
    slots: Slots,
    outages: Outages,
    rates: Rates,
    pub(super) watched: Arc<Watched>,
    streams: Streams,
    delivered: AtomicU64,
    wait: Wait,
}

/// How a delivery waits between attempts. Tests do not wait.
pub(super) type Wait = fn(Duration) -> BoxFuture<'static, ()>;

/// A call to the channel, with all ids converted to ids of the channel.
enum Call {
    Send(Arc<str>),
    Update(Arc<str>, Arc<str>),
    Delete(Arc<str>),
}

/// The place of one attempt in the rate of its channel, and how long it waited for that.
#[derive(Default)]
struct Place {
    taken: Taken,
    waited: Duration,
}

impl Place {
    fn is_used(&self, to: &Address) {
        if !self.waited.is_zero() {
            telemetry::delivery_was_throttled(&to.conversation.bot, self.waited);
        }
    }
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
            outages: Outages::new(channel.unreachable_wait),
            rates: Rates::new(&channel.rates),
            watched: Arc::default(),
            streams: Streams::default(),
            delivered,
            wait,
        }
    }

    pub(super) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Returns the number of rows delivered since the start.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    pub(super) async fn outbox_depth(&self) -> u64 {
        stored("outbox_depth", || self.storage.outbox_depth()).await.unwrap_or_default()
    }

    /// Returns the number of peers that cannot be reached now.
    pub(super) fn peers_unreachable(&self) -> usize {
        self.outages.len()
    }

    /// Delivers up to `rows` of the oldest rows of a conversation, which were committed at this time. A row that fails
    /// permanently does not block the next one.
    pub(super) async fn deliver_rows(&self, conversation: &ConversationKey, rows: usize, committed: Instant) {
        for _ in 0..rows {
            let claimed = stored("claim_outbox", || self.storage.claim_outbox(conversation)).await;
            let Some(row) = claimed.flatten() else { return };
            let (delivery, how) = self.deliver(&row, committed).await;
            telemetry::delivery_ended(&conversation.bot, how);
            let dropped = stored("note_delivery", || self.storage.note_delivery(&row, delivery.clone())).await;
            if let Delivery::Dead { why, .. } = &delivery {
                tracing::warn!(
                    bot = %conversation.bot,
                    channel = %conversation.channel,
                    conversation = %conversation.conversation,
                    turn = %row.turn_id,
                    outcome = how,
                    why,
                    "delivery failed; the activity is kept as a dead letter"
                );
            }
            dropped.unwrap_or_default().iter().for_each(log_dropped);
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

    /// Delivers a row. Returns the result, and its name in metrics and logs.
    async fn deliver(&self, row: &OutboxRow, committed: Instant) -> (Delivery, &'static str) {
        let to = Address { conversation: row.conversation.clone(), service_url: row.service_url.clone() };
        if let Some((stream, activity)) = end_of_stream(row) {
            let delivered = self.deliver_end(&to, &stream, activity, committed).await;
            return self.outcome(row, delivered);
        }
        let call = match self.call_of(row).await {
            Ok(call) => call,
            Err(why) => return (Delivery::Dead { why, gone: false }, "refused"),
        };
        let delivered = self.persist(&to, &call, committed).await;
        self.outcome(row, delivered)
    }

    fn outcome(&self, row: &OutboxRow, delivered: Result<Arc<str>, ChannelError>) -> (Delivery, &'static str) {
        match delivered {
            Ok(channel_id) => {
                self.delivered.fetch_add(1, Ordering::Relaxed);
                (Delivery::Done { channel_id }, "delivered")
            }
            Err(error) => (Delivery::Dead { why: error.to_string(), gone: is_gone(row, &error) }, outcome_of(&error)),
        }
    }

    /// Sends an ephemeral activity. If it cannot be sent, it is lost and the loss is logged.
    pub(super) async fn deliver_now(&self, ephemeral: Ephemeral) {
        let Ephemeral { to, host_id, mut activity, piece } = ephemeral;
        let conversation = &to.conversation;
        if let Some((pieces, answer)) = piece {
            let sent = self.deliver_piece(&to, &host_id, activity, pieces).await;
            // Nobody waits if the stream was closed meanwhile.
            let _ = answer.send(sent);
            return;
        }
        let is_message = kind(&activity) == "message";
        let stream = ids::resolve(&*self.storage, conversation, &mut activity).await;
        if stream == Stream::Unknown && !is_message {
            tracing::debug!(bot = %conversation.bot, "a piece of a stream is dropped: its start has no channel id");
            return;
        }
        if !is_message && to.peers().iter().any(|peer| self.outages.is_out(peer)) {
            tracing::debug!(bot = %conversation.bot, "an ephemeral activity is dropped: its channel is unreachable");
            return;
        }
        let can_wait = is_message || ids::opens_stream(&activity);
        let call = Call::Send(written(&activity));
        if !can_wait && self.rates.take(conversation, &mut Taken::default()).is_err() {
            telemetry::delivery_throttled(&conversation.bot);
            tracing::debug!(bot = %conversation.bot, "an ephemeral activity is dropped: the rate limit is reached");
            return;
        }
        let sent = match (is_message, can_wait) {
            (true, _) => self.persist(&to, &call, Instant::now()).await,
            (false, true) => self.attempt(&to, &call).await,
            (false, false) => self.ask(&to, &call).await,
        };
        match (sent, stream) {
            (Ok(_), Stream::None) => {}
            (Ok(channel_id), stream) => {
                // A channel may return no id for later pieces: the whole stream is one activity there.
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

    /// Resolves the ids of a row, or returns why the row cannot be sent.
    async fn call_of(&self, row: &OutboxRow) -> Result<Call, String> {
        let conversation = &row.conversation;
        match &row.action {
            OutboxAction::Send { activity, .. } if !ids::may_name_host_ids(activity) => {
                Ok(Call::Send(activity.clone()))
            }
            OutboxAction::Send { activity, .. } => {
                let mut activity = read(activity)?;
                ids::resolve(&*self.storage, conversation, &mut activity).await;
                Ok(Call::Send(written(&activity)))
            }
            OutboxAction::Update { target, activity } => {
                let mut activity = read(activity)?;
                ids::resolve(&*self.storage, conversation, &mut activity).await;
                let id = ids::target(&*self.storage, conversation, target).await?;
                activity.insert("id".to_owned(), Value::from(&*id));
                Ok(Call::Update(id, written(&activity)))
            }
            OutboxAction::Delete { target } => {
                Ok(Call::Delete(ids::target(&*self.storage, conversation, target).await?))
            }
        }
    }

    /// Sends, and retries while that is safe and attempts are left. A retry is safe if the channel certainly did not
    /// take the activity, and always for updates and deletions, which are idempotent. An ambiguous send of a new
    /// activity is retried only with `channel.ambiguous = "resend"`.
    async fn persist(&self, to: &Address, call: &Call, committed: Instant) -> Result<Arc<str>, ChannelError> {
        let mut pace = Pace::new(self.send_attempts_max);
        let resends = self.ambiguous == Ambiguous::Resend || !matches!(call, Call::Send(_));
        let mut perhaps_done = false;
        loop {
            let error = match self.reach(to, call, committed).await {
                Ok(channel_id) => return Ok(channel_id),
                Err(error) => error,
            };
            match &error {
                // An earlier, ambiguous deletion was successful.
                ChannelError::Refused { status: Some(404), .. } if perhaps_done && matches!(call, Call::Delete(_)) => {
                    return Ok("".into());
                }
                ChannelError::Refused { .. } => return Err(error),
                ChannelError::Ambiguous { .. } if !resends => {
                    return Err(
                        error.and("not retried, because it could be delivered twice (channel.ambiguous is \"drop\")")
                    );
                }
                ChannelError::Ambiguous { .. } => perhaps_done = true,
                ChannelError::Unreachable { .. } | ChannelError::Throttled { .. } => {}
            }
            let delay = match pace.wait_after(&error) {
                Ok(delay) => delay,
                Err(bound) => return Err(error.and(bound)),
            };
            tracing::debug!(bot = %to.conversation.bot, %error, ?delay, "delivery failed and is retried");
            (self.wait)(delay).await;
        }
    }

    /// Makes one attempt that reaches the channel. While a peer is unreachable it waits, at most for
    /// `channel.unreachable-ms`.
    async fn reach(&self, to: &Address, call: &Call, committed: Instant) -> Result<Arc<str>, ChannelError> {
        // An attempt that reached nobody has not used its place in the rate.
        let mut place = Place::default();
        loop {
            let probes = self.admit(to, committed).await?;
            if let Err(wait) = self.rates.take(&to.conversation, &mut place.taken) {
                // Others may probe meanwhile.
                drop(probes);
                self.wait_for_rate(to, &mut place, wait).await;
                continue;
            }
            match self.ask(to, call).await {
                Err(ChannelError::Unreachable { .. }) => {}
                reached => {
                    place.is_used(to);
                    return reached;
                }
            }
        }
    }

    /// Waits until the peers of an address are reachable, as far as the host knows, or until it is the turn of this delivery
    /// to find out. The issuer of tokens comes first, so a bot without tokens keeps no other bot from probing the connector.
    async fn admit(&self, to: &Address, committed: Instant) -> Result<Vec<OwnedMutexGuard<()>>, ChannelError> {
        let mut probes = Vec::new();
        if self.outages.is_empty() {
            return Ok(probes);
        }
        for peer in to.peers() {
            match self.outages.admit(&peer, committed).await {
                Admission::Open => {}
                Admission::Probe(turn) => probes.push(turn),
                Admission::Expired(why) => return Err(ChannelError::Unreachable { peer, why }),
            }
        }
        Ok(probes)
    }

    /// Makes one attempt as soon as the rate limit of the channel allows it.
    async fn attempt(&self, to: &Address, call: &Call) -> Result<Arc<str>, ChannelError> {
        let mut place = Place::default();
        while let Err(wait) = self.rates.take(&to.conversation, &mut place.taken) {
            self.wait_for_rate(to, &mut place, wait).await;
        }
        place.is_used(to);
        self.ask(to, call).await
    }

    async fn wait_for_rate(&self, to: &Address, place: &mut Place, wait: Duration) {
        if place.waited.is_zero() {
            telemetry::delivery_throttled(&to.conversation.bot);
        }
        place.waited += wait;
        tracing::debug!(
            bot = %to.conversation.bot,
            channel = %to.conversation.channel,
            ?wait,
            "the rate limit of the channel is reached"
        );
        (self.wait)(wait).await;
    }

    /// Creates a conversation, or returns when a retry is allowed. All conversations that a bot creates on a channel
    /// share one bucket, because channels count a creation like a send in one conversation.
    pub(super) async fn open(&self, at: &Address, parameters: &Object) -> Result<Opened, ChannelError> {
        let opens = ConversationKey { conversation: "".into(), ..at.conversation.clone() };
        if let Err(wait) = self.rates.take(&opens, &mut Taken::default()) {
            telemetry::delivery_throttled(&opens.bot);
            let why = "the rate limit of the channel is reached (channel.rates)".to_owned();
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
        if to.conversation.channel == ChannelInstance::LocalDirectLine {
            return self.call(to, call).await;
        }
        let answer = self.slots.run(to, self.call(to, call)).await;
        self.note_reach(to, answer.as_ref().err());
        answer
    }

    /// Notes which peers a call reached.
    fn note_reach(&self, to: &Address, error: Option<&ChannelError>) {
        match error {
            None if self.outages.is_empty() => {}
            Some(ChannelError::Unreachable { peer, why }) => {
                self.outages.failed(peer, why);
                if *peer != to.token_issuer() {
                    self.outages.reached(&to.token_issuer());
                }
            }
            // The host refused the call itself.
            Some(ChannelError::Refused { status: None, .. }) => {}
            _ => to.peers().iter().for_each(|peer| self.outages.reached(peer)),
        }
    }

    async fn call(&self, to: &Address, call: &Call) -> Result<Arc<str>, ChannelError> {
        let channel = self.channel_of(&to.conversation);
        let asked = async {
            match call {
                Call::Send(activity) => channel.send(to, activity).await,
                Call::Update(id, activity) => channel.update(to, id, activity).await.map(|()| "".into()),
                Call::Delete(id) => channel.delete(to, id).await.map(|()| "".into()),
            }
        };
        // A panic is a defect of the host. It must not end the task of the lane, because nothing would start the lane
        // again.
        AssertUnwindSafe(asked).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(bot = %to.conversation.bot, channel = %to.conversation.channel, "a delivery panicked");
            let why = "the host failed during the call; see its log".to_owned();
            Err(ChannelError::Ambiguous { why, retry_after: None })
        })
    }
}

impl Ephemeral {
    /// Returns whether the activity may be dropped because a later one replaces it. The start of a stream may not,
    /// because it yields the id of the stream, and neither may its end.
    pub(super) fn can_be_missed(&self) -> bool {
        kind(&self.activity) == "typing" && !ids::opens_stream(&self.activity)
    }
}

fn read(activity: &str) -> Result<Object, String> {
    json::object(activity).map_err(|error| format!("the stored activity is not a JSON object: {error}"))
}

fn written(activity: &Object) -> Arc<str> {
    // An object whose names are strings can always be written.
    serde_json::to_string(activity).unwrap_or_default().into()
}

fn kind(activity: &Object) -> &str {
    activity.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// Returns whether the error says that the conversation does not exist or is closed to the bot. A cause that says so
/// always counts. Without one only sends to the conversation count: a reply names an activity, so its 404 may mean that activity.
fn is_gone(row: &OutboxRow, error: &ChannelError) -> bool {
    if matches!(error, ChannelError::Refused { fault: Some(Fault::Gone | Fault::Blocked | Fault::NotInRoster), .. }) {
        return true;
    }
    let OutboxAction::Send { activity, .. } = &row.action else { return false };
    matches!(error, ChannelError::Refused { status: Some(403 | 404), .. }) && channel::replied_to(activity).is_none()
}

/// Returns the metric label of a failed delivery.
fn outcome_of(error: &ChannelError) -> &'static str {
    match error {
        ChannelError::Refused { fault: Some(fault), .. } => fault.name(),
        ChannelError::Refused { fault: None, .. } => "refused",
        ChannelError::Unreachable { .. } => "unreachable",
        ChannelError::Throttled { .. } => "throttled",
        ChannelError::Ambiguous { .. } => "ambiguous",
    }
}

/// Logs and counts a dead letter that was deleted to make room for a newer one.
fn log_dropped(letter: &DroppedLetter) {
    telemetry::dead_letter_dropped(&letter.conversation.bot);
    tracing::warn!(
        bot = %letter.conversation.bot,
        channel = %letter.conversation.channel,
        conversation = %letter.conversation.conversation,
        sequence = letter.sequence,
        "an old dead letter is deleted, because there are more than channel.dead-letters-max"
    );
}

/// Retries a store operation until it succeeds, because a lane that continued without it would lose or repeat a row.
async fn stored<T, F: Future<Output = Result<T, StorageError>>>(
    operation: &'static str,
    ask: impl FnMut() -> F,
) -> Option<T> {
    let back_off =
        ExponentialBuilder::default().with_min_delay(Duration::from_millis(100)).with_max_delay(pace::BACK_OFF_MAX);
    ask.retry(back_off.without_max_times())
        .sleep(tokio::time::sleep)
        .notify(|error, _| tracing::error!(operation, %error, "the store failed; the delivery waits and retries"))
        .await
        .ok()
}
