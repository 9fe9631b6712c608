//! The part of a turn in which a bridged bot handles the activity.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{Bridges, Call, Change, Open};
use crate::activity::DeliveryMode;
use crate::channel::bridge::{self as client, Answered, Unanswered};
use crate::clock::now_ms;
use crate::config::{Bridge, OnFailure};
use crate::plugin::{Failure, Fault};
use crate::storage::StorageError;
use crate::turn::outgoing::string;
use crate::turn::record::microseconds;
use crate::turn::{CallRecord, Turn, TurnError};

/// The pause before a bot that is down gets the activity again. It doubles each time, up to the second value.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long a turn waits for a bot that is down, if the caller waits for the body of the answer.
const WAIT_IN_PLACE_MAX: Duration = Duration::from_secs(5);
/// How long a turn waits for calls that the bot has begun before it answered.
const OPEN_CALLS_MAX: Duration = Duration::from_secs(2);

impl Turn {
    /// Hands the activity to the bridged bot, if there is one. A failure undoes what it staged, and its `on-failure` says
    /// whether the turn goes on.
    pub(in crate::turn) async fn hand_to_bridge(&mut self, trigger: &str) -> Result<(), TurnError> {
        let Some(bridge) = self.generation.spec.bridge.clone() else { return Ok(()) };
        if self.generation.layers.is_empty() {
            // Nothing of the turn needs an instance while the other bot works.
            self.instances.release();
        }
        let savepoint = self.staging().savepoint();
        let started = Instant::now();
        let result = self.bridged(&bridge).await;
        if let Err(error) = self.effects.end_flush().await {
            tracing::warn!(turn = %self.context.turn_id, plugin = %bridge.name, %error, "a flush of a bridged bot failed");
        }
        if self.overtaken() {
            return Err(TurnError::Storage(StorageError::Conflict));
        }
        let failure = result.err();
        self.note(&bridge, trigger, started.elapsed(), failure.as_ref());
        let Some(failure) = failure else { return Ok(()) };
        self.staging().roll_back(savepoint);
        match failure {
            Failure::Host(why) => Err(TurnError::Host(why)),
            _ if bridge.on_failure == OnFailure::Continue => Ok(()),
            failure => Err(TurnError::Plugin { plugin: bridge.name.clone(), failure }),
        }
    }

    /// Notes the call for the turn's record and the metrics.
    fn note(&self, bridge: &Bridge, trigger: &str, duration: Duration, failure: Option<&Failure>) {
        let bot = &self.context.inbound.key.bot;
        let outcome = failure.map_or("handled", Failure::label);
        self.generation.bridge_metrics.called(bot, &bridge.name, outcome, duration, Duration::ZERO);
        if let Some(error) = failure {
            tracing::warn!(%bot, turn = %self.context.turn_id, plugin = %bridge.name, %error, "the bridged bot failed");
        }
        self.effects.hooks.record(CallRecord {
            plugin: bridge.name.clone(),
            digest: "bridge".into(),
            trigger: trigger.to_owned(),
            outcome,
            duration_us: microseconds(duration),
            cpu_us: 0,
            error: failure.map(ToString::to_string),
            backtrace: None,
            stderr: None,
            logs: Vec::new(),
            http: Vec::new(),
        });
    }

    /// Calls the bridged bot until it has answered, and makes of the answer what it means.
    async fn bridged(&mut self, bridge: &Bridge) -> Result<(), Failure> {
        let Some(bridges) = self.context.services.bridges.clone() else {
            return Err(Failure::Fault(Fault::new("unavailable", "this host has no bridges, because it only replays")));
        };
        let inbound = &self.context.inbound.activity;
        let in_place = inbound.kind() == "invoke" || inbound.delivery_mode() == DeliveryMode::ExpectReplies;
        let until = Instant::now() + if in_place { bridge.wait.min(WAIT_IN_PLACE_MAX) } else { bridge.wait };
        let mut pause = PAUSE;
        loop {
            let savepoint = self.staging().savepoint();
            let why = match self.ask(&bridges, bridge).await? {
                Ok(answered) => return self.take_answer(bridge, answered).await,
                Err(Unanswered::TimedOut) => return Err(Failure::WallClock { limit: bridge.limits.wall }),
                Err(Unanswered::Down(why)) => why,
            };
            // What was flushed must not be sent twice.
            if self.has_flushed() || Instant::now() + pause > until {
                return Err(Failure::Fault(Fault::new("unavailable", format!("the bridged bot is down: {why}"))));
            }
            self.staging().roll_back(savepoint);
            if pause == PAUSE {
                tracing::warn!(bot = %self.context.inbound.key.bot, plugin = %bridge.name, why,
                    "the bridged bot is down; the turn waits for it");
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Posts the activity once, and performs the calls that the bot makes meanwhile.
    async fn ask(&mut self, bridges: &Arc<Bridges>, bridge: &Bridge) -> Result<Result<Answered, Unanswered>, Failure> {
        let call = self.call_of(bridges, bridge).map_err(|error| Failure::Host(format!("{error:#}")))?;
        let mut open = bridges.open(&self.context.inbound.key, &self.context.inbound.activity);
        let client = bridges.client.clone();
        let mut post = AbortOnDropHandle::new(bridges.runtime.spawn(async move { client.post(call).await }));
        let answered = loop {
            tokio::select! {
                biased;
                Some(call) = open.calls.recv() => self.perform_call(bridge, call).await,
                answered = &mut post => break answered,
            }
        };
        let answered = answered.map_err(|error| Failure::Host(format!("the call of the bridged bot: {error}")))?;
        if answered.is_ok() {
            self.settle(bridge, &mut open).await;
        }
        Ok(answered)
    }

    /// Performs the calls that are open when the bot has answered, and those that come within `bridge-settle-ms`.
    async fn settle(&mut self, bridge: &Bridge, open: &mut Open) {
        let until = tokio::time::Instant::now() + bridge.settle;
        while let Ok(Some(call)) = tokio::time::timeout_at(until, open.calls.recv()).await {
            self.perform_call(bridge, call).await;
        }
        open.shut();
        while let Ok(Some(call)) = timeout(OPEN_CALLS_MAX, open.calls.recv()).await {
            self.perform_call(bridge, call).await;
        }
        open.calls.close();
        while let Some(call) = open.calls.recv().await {
            self.perform_call(bridge, call).await;
        }
    }

    fn call_of(&self, bridges: &Bridges, bridge: &Bridge) -> anyhow::Result<client::Call> {
        let inbound = &self.context.inbound;
        let (bot, channel) = (&inbound.key.bot, &inbound.key.channel);
        let service_url = bridges.service_url(bridge, bot, channel, inbound.activity.service_url())?;
        let token = bridge.app_id.as_deref().map(|app_id| {
            let issuer = bridges.base(bridge, bot);
            bridges.issuer()?.token(&issuer, app_id, &service_url, now_ms() / 1_000)
        });
        let token = token.transpose()?;
        let mut activity = self.activity.object().clone();
        activity.insert("serviceUrl".to_owned(), service_url.into());
        // Replies come to the connector side of the host, which puts them where the caller wants them.
        activity.shift_remove("deliveryMode");
        Ok(client::Call {
            url: bridge.url.clone(),
            activity: serde_json::to_string(&activity)?,
            token,
            time: bridge.limits.wall,
            bytes_max: bridge.limits.bytes_per_send,
        })
    }

    async fn perform_call(&mut self, bridge: &Bridge, call: Call) {
        let result = self.apply(bridge, call.change).await;
        // The caller may have gone away.
        let _ = call.done.send(result);
    }

    async fn apply(&mut self, bridge: &Bridge, change: Change) -> Result<Arc<str>, Fault> {
        let (effects, layers) = (self.effects.clone(), self.effects.hooks.layers());
        match change {
            Change::Send { activity, reply_to } => {
                let mut activity = self.staging().admit(&activity, &bridge.limits)?;
                if string(&activity, "replyToId").is_empty() && !reply_to.is_empty() {
                    activity.insert("replyToId".to_owned(), (*reply_to).into());
                }
                Ok(effects.send(layers, &bridge.name, activity, false).await?)
            }
            Change::Update { id, activity } => {
                let activity = self.staging().admit(&activity, &bridge.limits)?;
                effects.update(layers, &bridge.name, &id, activity).await?;
                Ok(id)
            }
            Change::Delete(id) => {
                self.staging().count(&bridge.limits)?;
                effects.delete(layers, &bridge.name, &id).await?;
                Ok(id)
            }
        }
    }
}
