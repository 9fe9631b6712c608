//! What a turn has done so far and nobody has seen: sends, state, the dialog stack. The one door for a plugin's effects.
//!
//! A plugin call is a savepoint: [`Staging::savepoint`] before it, [`Staging::roll_back`] after a failure.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinHandle;
use ulid::Ulid;

use super::TurnContext;
use super::address::{address, address_suggestions};
use super::contention::{Key, SEAT_HOLD_MIN, Seats};
use super::hooks::Hooks;
use super::proactive::{self, ending, reference_of, removes_the_bot};
use super::stack::Stack;
use super::state::{StagedState, Written, user_of};
use super::transcript::Said;
use crate::activity::{Activity, DeliveryMode, ID_BYTES_MAX, Object};
use crate::config::Limits;
use crate::json;
use crate::plugin::{Fault, Plugin};
use crate::storage::notifications::{End, ProactiveChanges};
use crate::storage::{Answer, Fence, Made, OutboxAction, Pending, StateValue, StorageError, TurnCommit};

/// Staged effects of one turn.
pub struct Staging {
    turn: Arc<TurnContext>,
    hooks: Arc<Hooks>,
    /// The lease under which the turn runs.
    fence: Fence,
    /// The keys of state at which the turn got seats before it ran.
    seats_before: BTreeSet<Key>,
    /// The keys at which the turn has seats now, and the seats.
    seats: (BTreeSet<Key>, Vec<Seats>),
    /// The keys of state that the last commit or flush relied on.
    relied_on: BTreeSet<Key>,
    state: StagedState,
    pub(super) stack: Stack,
    /// The stack as it is stored.
    stored_stack: Stack,
    /// Whether what is stored cannot be read.
    unreadable: bool,
    actions: Vec<OutboxAction>,
    response: Option<Answer>,
    sends: u32,
    /// How often the turn flushed: what was staged before a flush cannot be undone.
    flushes: u32,
    /// A flush under way. It ends even if the guest that asked for it is cut meanwhile.
    flushing: Option<JoinHandle<Result<(), StorageError>>>,
    /// Whether a flush found that another turn wrote what this one relied on.
    conflict: bool,
    /// What the turn changes of references and notifications.
    proactive: ProactiveChanges,
    /// Host ids of everything staged or sent at once, for the turn's record.
    sent: Vec<Arc<str>>,
    pub(super) said: Said,
}

/// What was staged at one moment.
pub(super) struct Savepoint {
    written: Written,
    stack: Stack,
    actions: Vec<OutboxAction>,
    proactive: ProactiveChanges,
    response: Option<Answer>,
    flushes: u32,
}

/// Notifications and timers that one turn may stage (`notifications-per-turn`).
const NOTIFICATIONS_MAX: usize = 50;

/// How long a turn that flushed may hold up others. It is short, because such turns take their seats in the order in which
/// they read, so two of them may wait for each other.
const LATE_SEAT_HOLD: Duration = Duration::from_millis(250);

/// Types that only the host puts into an outbox. In the SDKs they never leave the process: `invokeResponse` becomes the
/// HTTP answer, and `delay` a pause between sends.
const HOST_TYPES: &[&str] = &["invokeResponse", "delay"];

impl Staging {
    pub(super) fn new(turn: Arc<TurnContext>, hooks: Arc<Hooks>, fence: Fence, seats: Seats, said: Said) -> Self {
        Self {
            turn,
            hooks,
            fence,
            seats_before: seats.keys(),
            relied_on: BTreeSet::new(),
            state: StagedState::over(seats.pending()),
            seats: (seats.keys(), vec![seats]),
            stack: Stack::default(),
            stored_stack: Stack::default(),
            unreadable: false,
            actions: Vec::new(),
            response: None,
            sends: 0,
            flushes: 0,
            flushing: None,
            conflict: false,
            proactive: ProactiveChanges::default(),
            sent: Vec::new(),
            said,
        }
    }

    /// What passes middleware before it is staged here.
    pub(crate) fn hooks(&self) -> &Arc<Hooks> {
        &self.hooks
    }

    /// Reads the conversation's dialog stack.
    pub(super) async fn load_stack(&mut self) -> Result<(), StorageError> {
        let text = self.turn.services.storage.load_stack(&self.turn.inbound.key).await?;
        let read = text.as_deref().map(Stack::read);
        // A conversation must never fail for ever: what cannot be read is empty, and the commit stores that.
        self.unreadable = matches!(read, Some(None));
        self.stack = read.flatten().unwrap_or_default();
        self.stored_stack = self.stack.clone();
        Ok(())
    }

    /// Whether dialogs waited in the conversation that are lost, because their stack could not be read.
    pub(super) fn lost_dialogs(&self) -> bool {
        self.unreadable
    }

    pub(super) fn savepoint(&self) -> Savepoint {
        Savepoint {
            written: self.state.savepoint(),
            stack: self.stack.clone(),
            actions: self.actions.clone(),
            proactive: self.proactive.clone(),
            response: self.response.clone(),
            flushes: self.flushes,
        }
    }

    /// Undoes what was staged since the savepoint. What was flushed meanwhile stays sent.
    pub(super) fn roll_back(&mut self, savepoint: Savepoint) {
        if savepoint.flushes == self.flushes {
            self.drop_actions_but(savepoint.actions);
            self.proactive = savepoint.proactive;
            self.stack = savepoint.stack;
            self.state.roll_back(savepoint.written);
        } else {
            self.drop_actions_but(Vec::new());
            self.proactive = ProactiveChanges::default();
            self.stack = self.stored_stack.clone();
            self.state.roll_back(Written::default());
        }
        self.response = savepoint.response;
    }

    /// Drops everything that is staged.
    pub(super) fn clear(&mut self) {
        self.drop_actions_but(Vec::new());
        self.proactive = ProactiveChanges::default();
        self.stack = self.stored_stack.clone();
        self.state.roll_back(Written::default());
        self.response = None;
    }

    /// What is dropped was never sent, so the record of the turn does not name it.
    fn drop_actions_but(&mut self, kept: Vec<OutboxAction>) {
        let dropped = std::mem::replace(&mut self.actions, kept);
        for action in dropped {
            if let OutboxAction::Send { host_id, .. } = action
                && self.staged_mut(&host_id).is_none()
            {
                self.sent.retain(|sent| *sent != host_id);
            }
        }
    }

    /// Whether something of the turn is real already, so that it must not run again.
    pub(super) fn has_flushed(&self) -> bool {
        self.flushes > 0
    }

    /// Takes a seat at a value that turns of other conversations may change, once this turn has flushed: a later conflict
    /// would be an error for the user, because the turn cannot run again.
    async fn sit(&mut self, plugin: &Plugin, scope: &str, key: &str) -> Result<(), Fault> {
        if self.flushes == 0 {
            return Ok(());
        }
        let turn = self.turn.clone();
        let Some(key) = self.state.shared_key(&turn, plugin, scope, key).await? else { return Ok(()) };
        if self.seats.0.insert(key.clone()) {
            let seats = turn.contention.sit(BTreeSet::from([key.clone()]), LATE_SEAT_HOLD).await;
            let pending = seats.pending();
            self.seats.1.push(seats);
            self.state.reload(&turn, &key.0, pending).await?;
        }
        Ok(())
    }

    /// Reads a value, as this turn sees it.
    pub(crate) async fn state_get(
        &mut self,
        plugin: &Plugin,
        scope: &str,
        key: &str,
    ) -> Result<Option<StateValue>, Fault> {
        self.sit(plugin, scope, key).await?;
        let turn = self.turn.clone();
        self.state.get(&turn, plugin, scope, key).await
    }

    /// Stages a value, or with `None` its removal. Returns the new etag.
    pub(crate) async fn state_set(
        &mut self,
        plugin: &Plugin,
        scope: &str,
        key: &str,
        value: Option<&str>,
        etag: Option<&str>,
    ) -> Result<Arc<str>, Fault> {
        self.sit(plugin, scope, key).await?;
        let turn = self.turn.clone();
        self.state.set(&turn, plugin, scope, key, value, etag).await
    }

    /// The dialog stack as this turn sees it.
    pub(crate) fn stack_mut(&mut self) -> &mut Stack {
        &mut self.stack
    }

    /// Makes real what is staged, except that these actions leave instead of the staged ones, and wakes the lane.
    /// `ends_turn` is false for a flush.
    pub(super) async fn commit(
        &mut self,
        actions: Vec<OutboxAction>,
        answer: Answer,
        ends_turn: bool,
    ) -> Result<(), StorageError> {
        self.relied_on = self.state.relied_on();
        self.store(actions, answer, ends_turn).await?;
        self.committed();
        Ok(())
    }

    /// Stores what is staged and wakes the lane. The future owns all it needs.
    fn store(
        &mut self,
        actions: Vec<OutboxAction>,
        answer: Answer,
        ends_turn: bool,
    ) -> impl Future<Output = Result<(), StorageError>> + Send + 'static {
        let (turn, sends) = (self.turn.clone(), actions.len());
        let unseated = self.relied_on.difference(&self.seats.0).cloned().collect();
        // A turn that flushed cannot run again, so it tries its commit in any case.
        let seats = match turn.contention.try_sit(unseated, SEAT_HOLD_MIN) {
            None if self.flushes == 0 => Err(StorageError::Conflict),
            seats => Ok(seats),
        };
        let mut commit = TurnCommit {
            conversation: turn.inbound.key.clone(),
            service_url: turn.inbound.activity.service_url().into(),
            turn_id: turn.turn_id.clone(),
            fence: self.fence,
            outbox: actions,
            writes: self.state.writes(),
            stack: (self.unreadable || self.stack.frames != self.stored_stack.frames).then(|| self.stack.stored()),
            record: turn.mark.clone().map(|key| (key, answer)),
            proactive: self.proactive_changes(ends_turn),
            // What is staged, also where it leaves in the answer instead.
            transcript: self.said.with(&self.actions, |activity| address(activity, &turn.inbound.activity, false)),
            ends_turn,
            builds_on: self.state.builds_on().to_vec(),
            made: None,
        };
        let notifies = !commit.proactive.added.is_empty();
        let seated = seats.map(|seats| self.seats.1.drain(..).chain(seats).collect());
        async move {
            commit.made = made(seated?, &commit);
            turn.services.storage.commit(commit).await?;
            if sends > 0 {
                turn.services.deliveries.wake(&turn.inbound.key, sends);
            }
            if notifies {
                turn.services.due.notify_one();
            }
            Ok(())
        }
    }

    /// What a commit changes of references and notifications. Who spoke is met whatever became of the turn.
    fn proactive_changes(&self, ends_turn: bool) -> ProactiveChanges {
        let turn = &self.turn;
        let mut changes = self.proactive.clone();
        if let (Some(notification), false, None) = (&turn.notification, ends_turn, &changes.ended) {
            // From a flush on the turn is at most once.
            changes.ended = Some((notification.id.clone(), ending(notification, "delivered")));
        }
        if turn.notification.is_none() && ends_turn {
            changes.removed = removes_the_bot(&turn.inbound.activity);
            // Whoever speaks for a conversation must not lead what is said first elsewhere.
            let url = turn.inbound.activity.service_url();
            if turn.services.deliveries.admits(&turn.inbound.key, url) {
                changes.reference = reference_of(&turn.inbound, user_of(&turn.inbound).ok());
            }
        }
        changes
    }

    /// Notes how the notification that began the turn ends.
    pub(super) fn end_notification(&mut self, id: Arc<str>, end: End) {
        self.proactive.ended = Some((id, end));
    }

    /// How the notification that began the turn ends; none where a commit has said so already.
    pub(super) fn notification_end(&self) -> Option<&End> {
        self.proactive.ended.as_ref().map(|(_, end)| end)
    }

    /// Whether no dialog is on the stack.
    pub(super) fn is_idle(&self) -> bool {
        self.stack.frames.is_empty()
    }

    /// What a guest keeps to come back to the turn's conversation.
    pub(crate) fn reference(&self) -> String {
        proactive::handle_of(&self.turn.inbound.key)
    }

    /// Stages a notification or a timer of a plugin, and returns its id.
    pub(crate) async fn notify(&mut self, plugin: &Plugin, asked: proactive::Asked<'_>) -> Result<Arc<str>, Fault> {
        if self.proactive.added.len() >= NOTIFICATIONS_MAX {
            return Err(Fault::quota("notifications-per-turn", NOTIFICATIONS_MAX));
        }
        let notification = asked.read(&self.turn, plugin).await?;
        let id = notification.id.clone();
        self.proactive.added.push(notification);
        Ok(id)
    }

    /// Stages the end of what a plugin asked for. False: there is none such that waits.
    pub(crate) async fn cancel(&mut self, plugin: &Plugin, id: &str) -> Result<bool, Fault> {
        let before = self.proactive.added.len();
        self.proactive.added.retain(|added| *added.id != *id || *added.sender != *plugin.name);
        if self.proactive.added.len() < before {
            return Ok(true);
        }
        let found = self.turn.services.storage.notification(&plugin.bot, id).await;
        let found = found.map_err(|error| Fault::new("unavailable", error.to_string()))?;
        let waits = found.is_some_and(|found| {
            found.ended.is_none() && *found.sender == *plugin.name && !self.proactive.cancelled.contains(&found.id)
        });
        if waits {
            self.proactive.cancelled.push(id.into());
        }
        Ok(waits)
    }

    /// What was staged is stored now.
    fn committed(&mut self) {
        self.leave_seats();
        self.proactive.added.clear();
        self.proactive.cancelled.clear();
        self.said.stored();
        self.state.committed();
        self.unreadable = false;
        self.stored_stack = self.stack.clone();
    }

    /// The keys of state that the turn relied on or had its seats at.
    pub(super) fn contended(&self) -> BTreeSet<Key> {
        self.seats_before.union(&self.relied_on).cloned().collect()
    }

    /// The keys of state that the last commit or flush relied on.
    pub(super) fn relied_on(&self) -> &BTreeSet<Key> {
        &self.relied_on
    }

    /// Frees the seats: what the turn relied on is stored, or the turn is over.
    pub(super) fn leave_seats(&mut self) {
        self.seats.0.clear();
        self.seats.1.clear();
    }

    /// The keys of state at which the turn got seats before it ran.
    pub(super) fn seats_before(&self) -> &BTreeSet<Key> {
        &self.seats_before
    }

    /// Whether a flush failed because another turn wrote what this one relied on, and nothing of this one is real: it
    /// must run again.
    pub(super) fn overtaken(&self) -> bool {
        self.conflict && self.flushes == 0
    }

    pub(super) fn sent(&self) -> &[Arc<str>] {
        &self.sent
    }

    pub(super) fn response(&self) -> Option<&Answer> {
        self.response.as_ref()
    }

    /// The staged actions.
    pub(super) fn actions(&self) -> &[OutboxAction] {
        &self.actions
    }

    /// Fills in the reference of the conversation. False: the activity goes nowhere, a `trace` to no emulator.
    pub(super) fn address(&self, activity: &mut Object, threaded: bool) -> bool {
        let inbound = &self.turn.inbound.activity;
        if string(activity, "type") == "trace" && inbound.channel_id() != "emulator" {
            return false;
        }
        address(activity, inbound, threaded);
        let is_for_all = self.turn.notification.as_ref().is_some_and(|notification| notification.user.is_empty());
        address_suggestions(activity, is_for_all && inbound.is_group());
        true
    }

    /// Stages an activity that passed middleware, or sends it at once if it is ephemeral.
    pub(super) async fn stage(&mut self, mut activity: Object, threaded: bool) -> Result<Arc<str>, Fault> {
        // Middleware may have written into what is the host's to say.
        if !self.address(&mut activity, threaded) {
            return Ok("".into());
        }
        let turn = self.turn.clone();
        let host_id: Arc<str> = format!("tt-{}", Ulid::new()).into();
        if is_ephemeral(&activity) && turn.inbound.activity.delivery_mode() == DeliveryMode::Normal {
            if stream_opens(&activity) {
                self.flush().await?;
            }
            if stream_info(&activity).is_some() {
                // Known from now on, so that the guest can update what it streamed; the channel's id follows.
                let known = turn.services.storage.map_id(&turn.inbound.key, &host_id, &"".into()).await;
                known.map_err(|error| Fault::new("unavailable", error.to_string()))?;
            }
            let is_piece = stream_info(&activity).is_some() && string(&activity, "type") != "message";
            self.said.left_at_once(&host_id, &activity, is_piece);
            turn.services.deliveries.send_now(turn.address(), host_id.clone(), activity);
        } else {
            self.actions.push(OutboxAction::Send { host_id: host_id.clone(), activity });
        }
        self.sent.push(host_id.clone());
        Ok(host_id)
    }

    /// Stages the replacement of an activity; one that is still staged is replaced in place.
    pub(super) async fn stage_update(&mut self, id: &str, mut activity: Object) -> Result<(), Fault> {
        self.address(&mut activity, false);
        if let Some(staged) = self.staged_mut(id) {
            if let (false, Some(reply_to)) = (activity.contains_key("replyToId"), staged.get("replyToId")) {
                activity.insert("replyToId".into(), reply_to.clone());
            }
            *staged = activity;
            return Ok(());
        }
        let target = self.known(id).await?;
        self.actions.push(OutboxAction::Update { target, activity });
        Ok(())
    }

    /// Stages the deletion of an activity; one that is still staged is never sent.
    pub(super) async fn stage_delete(&mut self, id: &str) -> Result<(), Fault> {
        if self.staged_mut(id).is_some() {
            self.actions.retain(|action| !matches!(action, OutboxAction::Send { host_id, .. } if **host_id == *id));
            self.sent.retain(|sent| **sent != *id);
            return Ok(());
        }
        let target = self.known(id).await?;
        self.actions.push(OutboxAction::Delete { target });
        Ok(())
    }

    /// Commits and delivers what is staged, and marks the activity as processed.
    pub(crate) async fn flush(&mut self) -> Result<(), Fault> {
        // Under expectReplies everything leaves in the one HTTP answer; there is nothing to deliver before it.
        if self.turn.inbound.activity.delivery_mode() == DeliveryMode::ExpectReplies {
            return Ok(());
        }
        // In a task of its own: a store that is slow may outlast the guest's time, and what it took must be known.
        let answer = Answer { status: 200, body: None };
        self.relied_on = self.state.relied_on();
        self.flushing = Some(tokio::spawn(self.store(self.actions.clone(), answer, false)));
        self.end_flush().await.map_err(|error| match error {
            StorageError::Conflict => Fault::new("conflict", format!("nothing was flushed: {error}")),
            error => Fault {
                retry_after_ms: Some(1_000),
                ..Fault::new("unavailable", format!("nothing was flushed: {error}"))
            },
        })
    }

    /// Waits for a flush that is under way, whose guest may have been cut meanwhile.
    pub(super) async fn end_flush(&mut self) -> Result<(), StorageError> {
        let Some(flushing) = &mut self.flushing else { return Ok(()) };
        let flushed = flushing.await.unwrap_or_else(|error| Err(StorageError::Unavailable(error.into())));
        self.flushing = None;
        self.conflict |= matches!(flushed, Err(StorageError::Conflict));
        flushed?;
        self.committed();
        self.actions.clear();
        self.flushes += 1;
        Ok(())
    }

    /// Notes for the transcript how an invoke was answered.
    pub(super) fn note_answer(&mut self, answer: &Answer) {
        let inbound = self.turn.inbound.activity.clone();
        self.said.answered(answer, |activity| address(activity, &inbound, false));
    }

    /// Sets the answer to an invoke, after it passed middleware.
    pub(super) fn respond(&mut self, response: Option<Answer>) {
        self.response = response;
    }

    /// Checks an answer to an invoke.
    pub(crate) fn check_response(&self, status: u32, body: Option<&str>, limits: &Limits) -> Result<Answer, Fault> {
        if self.turn.inbound.activity.kind() != "invoke" {
            return Err(Fault::invalid("respond: this turn is no invoke, nobody waits for an answer"));
        }
        let Some(status) = u16::try_from(status).ok().filter(|status| (200..600).contains(status)) else {
            return Err(Fault::invalid(format!("respond: status {status} is not within 200 to 599")));
        };
        if body.is_some_and(|body| body.len() > limits.bytes_per_send) {
            return Err(Fault::quota("bytes-per-send", limits.bytes_per_send));
        }
        // Read whole: middleware, transcripts and `expectReplies` put it into other JSON, which has a bound of nesting.
        let read = |body| json::checked(body).and_then(|body| serde_json::from_str::<Value>(&body).map(|_| body));
        let body = body.map(read).transpose();
        let body = body.map_err(|error| Fault::invalid(format!("respond: the body is not JSON: {error}")))?;
        Ok(Answer { status, body: body.map(Into::into) })
    }

    /// Reads a guest's activity and counts it.
    pub(crate) fn admit(&mut self, text: &str, limits: &Limits) -> Result<Object, Fault> {
        self.count(limits)?;
        let activity = Self::checked(text, limits)?;
        if Self::is_the_hosts(&activity) {
            let kind = string(&activity, "type");
            return Err(Fault::invalid(format!("activities of type `{kind}` are made by the host only")));
        }
        Ok(activity)
    }

    /// Whether an activity is of a type that only the host puts into an outbox.
    pub(super) fn is_the_hosts(activity: &Object) -> bool {
        HOST_TYPES.contains(&string(activity, "type"))
    }

    /// Reads an activity of a guest.
    pub(super) fn checked(text: &str, limits: &Limits) -> Result<Object, Fault> {
        if text.len() > limits.bytes_per_send {
            return Err(Fault::quota("bytes-per-send", limits.bytes_per_send));
        }
        let activity = json::object(text)
            .map_err(|error| Fault::invalid(format!("the activity is not one JSON object: {error}")))?;
        Activity::check_types(&activity).map_err(|error| Fault::invalid(error.to_string()))?;
        match string(&activity, "type") {
            "" => Err(Fault::invalid("the activity has no `type`")),
            _ => Ok(activity),
        }
    }

    /// Counts one send against `sends-per-turn`.
    pub(crate) fn count(&mut self, limits: &Limits) -> Result<(), Fault> {
        if self.sends >= limits.sends_per_turn {
            return Err(Fault::quota("sends-per-turn", limits.sends_per_turn));
        }
        self.sends += 1;
        Ok(())
    }

    /// The staged activity with that host id.
    fn staged_mut(&mut self, id: &str) -> Option<&mut Object> {
        self.actions.iter_mut().find_map(|action| match action {
            OutboxAction::Send { host_id, activity } if **host_id == *id => Some(activity),
            _ => None,
        })
    }

    /// Checks the id of an update or delete: a host id must be one of this conversation, any other is the channel's.
    async fn known(&self, id: &str) -> Result<Arc<str>, Fault> {
        if id.is_empty() {
            return Err(Fault::invalid("the id is empty"));
        }
        // It is stored, and goes into a URL: no channel has a longer one.
        if id.len() > ID_BYTES_MAX {
            return Err(Fault::invalid(format!("the id is longer than {ID_BYTES_MAX} bytes")));
        }
        if id.starts_with("tt-") {
            match self.turn.services.storage.channel_id(&self.turn.inbound.key, id).await {
                Ok(Some(_)) => {}
                Ok(None) => return Err(Fault::invalid(format!("this conversation has no activity `{id}`"))),
                Err(error) => return Err(Fault::new("unavailable", error.to_string())),
            }
        }
        Ok(id.into())
    }
}

/// Leaves the seats once the commit is made. None: the turn has no seats.
fn made(seats: Vec<Seats>, commit: &TurnCommit) -> Option<Made> {
    if seats.iter().all(|seats| seats.is_empty()) {
        return None;
    }
    let pending = Arc::new(Pending::new(commit.writes.clone()));
    let commits = [commit.builds_on.clone(), vec![pending.clone()]].concat();
    Some(Made::new(pending, move || {
        seats.into_iter().fold(false, |awaited, seats| seats.hand_over(&commits) || awaited)
    }))
}

fn string<'a>(object: &'a Object, member: &str) -> &'a str {
    object.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn stream_info(activity: &Object) -> Option<&Value> {
    let is_stream_info = |entity: &&Value| {
        entity.get("type").and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case("streaminfo"))
    };
    activity.get("entities").and_then(Value::as_array)?.iter().find(is_stream_info)
}

/// `typing` and the pieces of a stream leave at once and are no part of the transaction.
fn is_ephemeral(activity: &Object) -> bool {
    string(activity, "type") == "typing" || stream_info(activity).is_some()
}

fn stream_opens(activity: &Object) -> bool {
    stream_info(activity).is_some_and(|info| info.get("streamId").is_none_or(Value::is_null))
}
