//! The dialog engine: takes what a dialog wants next and does it, until the top of the stack waits.
//!
//! What a dialog does is the guest's; the stack, the prompts and every transition are here (`dialogs.wit`).

mod prompts;
pub(crate) mod rehearsal;
mod versions;

use std::sync::Arc;

use parking_lot::{MappedMutexGuard, MutexGuard};
use serde_json::{Value, json};

use super::stack::{DEPTH_MAX, Frame, Status};
use super::{Turn, TurnError};
use crate::json;
use crate::plugin::{Done, Entry, Event, Failure, Fault, Step};
use crate::storage::StorageError;

/// Events that the dialogs of one turn may get (`dialog-events-per-turn`).
const EVENTS_MAX: u32 = 100;
/// So many failed turns in a row cancel a frame.
const FAILURES_MAX: u32 = 3;

/// What became of an activity that was offered to the top of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    Taken,
    Left,
}

/// The handler that an event goes to, or why none gets it.
enum Ready {
    /// The plugin's position; the frame's state is of its version.
    At(usize),
    /// The frame was taken off the stack.
    Reset,
    /// The frame stays untouched until another generation serves.
    Held,
}

impl Turn {
    /// Runs what was staged on the stack until its top waits.
    pub(super) async fn settle(&mut self) -> Result<(), TurnError> {
        loop {
            let cancelled = {
                let cancelled = &mut self.staging().stack.cancelled;
                (!cancelled.is_empty()).then(|| cancelled.remove(0))
            };
            if let Some((frame, reason)) = cancelled {
                self.tell_cancelled(frame, reason).await?;
                continue;
            }
            let Some(top) = self.staging().stack.top().cloned() else { return Ok(()) };
            let held = match &top.status {
                Status::Begin { options } => self.tell(&top, "begin", options).await?,
                Status::Resume { event } => self.tell(&top, "resume", event).await?,
                Status::Child => {
                    self.resume(&top.id, &resumed("dialog", "failed", None))?;
                    false
                }
                Status::Waiting { .. } | Status::Prompt { .. } | Status::Confirm { .. } => {
                    if !std::mem::take(&mut self.staging().stack.reprompt) {
                        return Ok(());
                    }
                    self.ask_again(&top).await?
                }
            };
            if held {
                return Ok(());
            }
        }
    }

    /// Offers the activity of the turn to the dialog that waits.
    pub(super) async fn offer(&mut self) -> Result<Offer, TurnError> {
        let activity = self.activity.clone();
        let Some(top) = self.staging().stack.top().cloned() else {
            if !self.staging().lost_dialogs() || activity.kind() != "message" {
                return Ok(Offer::Left);
            }
            // The message was for a dialog that nobody can find any more.
            return self.tell_of_reset().await.map(|()| Offer::Taken);
        };
        if !self.may_answer(&top) {
            return Ok(Offer::Left);
        }
        self.entered = Some(top.id.clone());
        if !top.waits() && activity.kind() == "message" {
            // An earlier turn failed before the frame could ask: it does so now, and this message answers nothing yet.
            self.settle().await?;
            let held = self.frame(&top.id).is_some_and(|frame| frame.status == top.status);
            if held {
                self.entered = None;
            }
            return Ok(if held { Offer::Left } else { Offer::Taken });
        }
        let offer = match &top.status {
            Status::Waiting { activities } if takes(activities, &activity) => {
                let data = activity.text().clone();
                match self.event(&top, "continue", data).await? {
                    None => self.left_or_reset(&top),
                    Some(step) if step.kind == "ignored" => Offer::Left,
                    Some(step) => {
                        self.apply(&top.id, "continue", step).await?;
                        Offer::Taken
                    }
                }
            }
            Status::Prompt { definition, attempt } if activity.kind() == "message" => {
                self.answer_prompt(&top, definition, *attempt).await?
            }
            Status::Confirm { .. } if activity.kind() == "message" => self.answer_confirmation(&top).await?,
            _ => Offer::Left,
        };
        if offer == Offer::Left {
            // What the handlers make of the activity is not this dialog's doing.
            self.entered = None;
        }
        self.settle().await?;
        Ok(offer)
    }

    /// Counts a failed turn against the frame that it was about. The caller has dropped what the turn staged. A frame that
    /// failed too often is taken off the stack, and the user is told.
    pub(super) async fn count_failure(&mut self) -> Result<(), TurnError> {
        let Some(entered) = self.entered.take() else { return Ok(()) };
        {
            let frames = &mut self.staging().stack.frames;
            let Some(position) = frames.iter().position(|frame| frame.id == entered) else { return Ok(()) };
            let Some(frame) = frames.get_mut(position) else { return Ok(()) };
            frame.failures += 1;
            if frame.failures < FAILURES_MAX {
                return Ok(());
            }
            // What stands above it was its child or interrupted it; neither can return to it.
            frames.truncate(position + 1);
        }
        self.hand_back(&entered, "failed", None)?;
        let text = self.generation.spec.dialog_failed_text.clone();
        self.say_anyway(&text).await?;
        // What is left goes on, unless that fails too: then it waits for the next message.
        let savepoint = self.staging().savepoint();
        match self.settle().await {
            Err(TurnError::Plugin { plugin, failure }) => {
                tracing::warn!(turn = %self.context.turn_id, %plugin, %failure, "a dialog could not go on");
                self.staging().roll_back(savepoint);
                Ok(())
            }
            other => other,
        }
    }

    /// Sends an event that must be answered with a step; true if the frame is held.
    async fn tell(&mut self, frame: &Frame, kind: &'static str, data: &Value) -> Result<bool, TurnError> {
        if self.entered.is_none() {
            self.entered = Some(frame.id.clone());
        }
        match self.event(frame, kind, data.to_string().into()).await? {
            Some(step) => self.apply(&frame.id, kind, step).await.map(|()| false),
            // Off the stack, or held: in the first case another frame is on top now.
            None => Ok(self.staging().stack.top().is_some_and(|top| top.id == frame.id)),
        }
    }

    /// Asks the top to repeat its question; true if the frame is held.
    async fn ask_again(&mut self, top: &Frame) -> Result<bool, TurnError> {
        self.reprompts += 1;
        match &top.status {
            Status::Prompt { definition, .. } | Status::Confirm { definition, .. } => {
                let definition = definition.clone();
                self.ask(&definition, 0, Some(top)).await.map(|()| false)
            }
            _ => match self.event(top, "reprompt", "null".into()).await? {
                Some(step) => self.apply(&top.id, "reprompt", step).await.map(|()| false),
                None => Ok(self.staging().stack.top().is_some_and(|held| held.id == top.id)),
            },
        }
    }

    /// Tells a frame that it is gone. Its failure changes nothing.
    async fn tell_cancelled(&mut self, frame: Frame, reason: &'static str) -> Result<(), TurnError> {
        let known = self.plugin_of(&frame).filter(|(_, version)| *version == frame.state_version);
        let began = !matches!(frame.status, Status::Begin { .. });
        let (Some((position, _)), true) = (known, began) else { return Ok(()) };
        let data = json!({ "reason": reason }).to_string();
        let event = Event { kind: "cancelled", name: frame.dialog.clone(), data: data.into() };
        match self.enter_dialog(position, &frame, &event).await {
            Ok(_) | Err(TurnError::Plugin { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sends an event to a frame on the stack, after bringing its state to the plugin's version. None: the frame could not
    /// get it, see [`Ready`].
    async fn event(&mut self, frame: &Frame, kind: &'static str, data: Arc<str>) -> Result<Option<Step>, TurnError> {
        let Ready::At(position) = self.ready(frame).await? else { return Ok(None) };
        // A migration may have changed it.
        let Some(frame) = self.frame(&frame.id) else { return Ok(None) };
        let event = Event { kind, name: frame.dialog.clone(), data };
        self.enter_dialog(position, &frame, &event).await.map(Some)
    }

    /// Calls `on-dialog`.
    async fn enter_dialog(&mut self, position: usize, frame: &Frame, event: &Event) -> Result<Step, TurnError> {
        self.dialog_events += 1;
        if self.dialog_events > EVENTS_MAX {
            return Err(self.refused(frame, Fault::quota("dialog-events-per-turn", EVENTS_MAX)));
        }
        let depth = self.staging().stack.frames.iter().position(|other| other.id == frame.id).map_or(0, |at| at + 1);
        let mut meta = self.context.meta(format!("dialog:{}", frame.dialog), Some(&self.activity)).await;
        meta.frame = Some((frame.id.clone(), depth));
        match self.enter(position, &meta, Entry::Dialog(event, frame.state.as_deref())).await? {
            Done::Step(step) => self.admit(frame, position, step),
            Done::Flow(_) => Err(TurnError::Host("on-dialog returned no step".to_owned())),
        }
    }

    /// Holds the data of a step to the bound of what a plugin sends: a prompt is sent, the rest is stored like it.
    fn admit(&self, frame: &Frame, position: usize, step: Step) -> Result<Step, TurnError> {
        match self.generation.plugins.get(position).map(|plugin| plugin.limits.bytes_per_send) {
            Some(max) if step.data.len() > max => Err(self.refused(frame, Fault::quota("bytes-per-send", max))),
            _ => Ok(step),
        }
    }

    /// Counts a question that a plugin has the host ask as one that it sends itself.
    fn count_question(&mut self, frame: &Frame) -> Result<(), TurnError> {
        let Some((position, _)) = self.plugin_of(frame) else { return Ok(()) };
        let Some(plugin) = self.generation.plugins.get(position).cloned() else { return Ok(()) };
        let counted = self.staging().count(&plugin.limits);
        counted.map_err(|fault| self.refused(frame, fault))
    }

    /// Does what a step says.
    async fn apply(&mut self, id: &Arc<str>, event: &'static str, step: Step) -> Result<(), TurnError> {
        let Some(frame) = self.frame(id) else { return Ok(()) };
        self.keep_state(&frame, step.state.as_deref())?;
        let data: Value = match step.data.trim() {
            "" => Value::Null,
            text => json::value(text).map_err(|error| {
                let kind = shortened(&step.kind);
                self.refused(&frame, Fault::invalid(format!("the data of step `{kind}` is not JSON: {error}")))
            })?,
        };
        match step.kind.as_str() {
            "wait" => {
                let activities = data.get("activities").cloned().unwrap_or(Value::Null);
                let activities = serde_json::from_value::<Option<Vec<String>>>(activities)
                    .map_err(|_| self.refused(&frame, Fault::invalid("`activities` of step `wait` must be strings")))?;
                self.wait(id, event, Status::Waiting { activities: activities.unwrap_or_default() })
            }
            "prompt" => self.begin_prompt(&frame, event, data).await,
            "call" => {
                let child = self.child(&frame, &data)?;
                self.set_status(id, Status::Child)?;
                self.push(&frame, child)
            }
            "replace" => {
                let child = self.child(&frame, &data)?;
                self.staging().stack.frames.pop();
                self.push(&frame, child)
            }
            "done" => self.hand_back(id, "completed", Some(data)),
            "cancelled" => self.hand_back(id, "cancelled", None),
            "flush" => {
                self.set_status(id, Status::Resume { event: json!({"from": "flush", "reason": "completed"}) })?;
                let flushed = self.effects.flush().await;
                flushed.map_err(|fault| match self.overtaken() {
                    true => TurnError::Storage(StorageError::Conflict),
                    false => self.refused(&frame, fault),
                })
            }
            "ignored" if event == "reprompt" => Ok(()),
            "reject" if matches!(event, "continue" | "resume" | "reprompt") => {
                self.reset(&frame, versions::UNFIT).await.map(drop)
            }
            other => {
                let why = format!("`{}` answered `{event}` with the step `{}`", frame.dialog, shortened(other));
                Err(self.refused(&frame, Fault::invalid(why)))
            }
        }
    }

    /// Keeps the state of a step, and notes the success.
    fn keep_state(&mut self, frame: &Frame, state: Option<&str>) -> Result<(), TurnError> {
        let bytes_max = self.plugin_of(frame).and_then(|(position, _)| {
            self.generation.plugins.get(position).map(|plugin| plugin.limits.state_bytes_per_scope)
        });
        if let (Some(state), Some(max)) = (state, bytes_max)
            && state.len() > max
        {
            return Err(self.refused(frame, Fault::quota("state-bytes-per-scope", max)));
        }
        let Some(mut frame) = self.frame_mut(&frame.id) else { return Ok(()) };
        frame.failures = 0;
        if let Some(state) = state {
            frame.state = Some(state.into());
        }
        if let Some(previous) = &mut frame.previous {
            previous.successes += 1;
            if previous.successes >= 2 {
                frame.previous = None;
            }
        }
        Ok(())
    }

    /// Takes a frame off the stack and gives its result to the one below: a parent resumes, an interrupted one repeats
    /// its question.
    fn hand_back(&mut self, id: &str, reason: &str, result: Option<Value>) -> Result<(), TurnError> {
        let stack = &mut self.staging().stack;
        let Some(position) = stack.frames.iter().position(|frame| *frame.id == *id) else { return Ok(()) };
        stack.frames.remove(position);
        match position.checked_sub(1).and_then(|below| stack.frames.get_mut(below)) {
            Some(parent) if parent.status == Status::Child => {
                parent.status = Status::Resume { event: resumed("dialog", reason, result) };
            }
            Some(interrupted) => stack.reprompt = interrupted.waits(),
            None => {}
        }
        Ok(())
    }

    /// The frame that a step `call` or `replace` asks for.
    fn child(&self, frame: &Frame, data: &Value) -> Result<Frame, TurnError> {
        let dialog = data.get("dialog").and_then(Value::as_str).unwrap_or_default();
        let plugin = self.plugin_of(frame).and_then(|(position, _)| self.generation.plugins.get(position));
        match plugin.filter(|plugin| plugin.dialog_version(dialog).is_some()) {
            Some(plugin) => Ok(Frame::new(plugin, dialog, data.get("options").cloned().unwrap_or(Value::Null))),
            None => {
                let dialog = shortened(dialog);
                let why = format!("`{}` calls the dialog `{dialog}`, which its manifest does not list", frame.dialog);
                Err(self.refused(frame, Fault::invalid(why)))
            }
        }
    }

    fn push(&mut self, frame: &Frame, child: Frame) -> Result<(), TurnError> {
        if self.staging().stack.frames.len() >= DEPTH_MAX {
            return Err(self.refused(frame, Fault::quota("dialog-depth", DEPTH_MAX)));
        }
        self.staging().stack.frames.push(child);
        Ok(())
    }

    /// The frame waits for the user who is asked: in a group, nobody else answers. A question that comes again is for whom
    /// it was, whoever interrupted it. A question that a notification begins is for the user whom the notification is for,
    /// or for everybody.
    fn wait(&mut self, id: &str, event: &str, status: Status) -> Result<(), TurnError> {
        let activity = &self.activity;
        let user = match &self.context.notification {
            Some(notification) => &*notification.user,
            None => activity.account("from"),
        };
        let is_user = !user.is_empty() && user != activity.account("recipient");
        let asked = (is_user && activity.is_group()).then(|| user.into());
        if let Some(mut frame) = self.frame_mut(id) {
            frame.status = status;
            if asked.is_some() && event != "reprompt" {
                frame.asked = asked;
            }
        }
        Ok(())
    }

    fn resume(&mut self, id: &str, event: &Value) -> Result<(), TurnError> {
        self.set_status(id, Status::Resume { event: event.clone() })
    }

    fn set_status(&mut self, id: &str, status: Status) -> Result<(), TurnError> {
        if let Some(mut frame) = self.frame_mut(id) {
            frame.status = status;
        }
        Ok(())
    }

    pub(super) fn may_answer(&self, frame: &Frame) -> bool {
        let user = self.activity.account("from");
        frame.asked.as_deref().is_none_or(|asked| asked == user)
    }

    fn frame(&mut self, id: &str) -> Option<Frame> {
        self.staging().stack.frames.iter().find(|frame| *frame.id == *id).cloned()
    }

    fn frame_mut(&mut self, id: &str) -> Option<MappedMutexGuard<'_, Frame>> {
        MutexGuard::try_map(self.staging(), |staging| staging.stack.frames.iter_mut().find(|frame| *frame.id == *id))
            .ok()
    }

    /// The position of a frame's plugin and the version that its dialog has there.
    fn plugin_of(&self, frame: &Frame) -> Option<(usize, u64)> {
        let position = self.generation.plugins.iter().position(|plugin| plugin.name == frame.plugin)?;
        let version = self.generation.plugins.get(position)?.dialog_version(&frame.dialog)?;
        Some((position, version))
    }

    /// The failure of a dialog that broke a rule of the contract.
    #[expect(clippy::unused_self, reason = "reads as what the turn makes of it")]
    fn refused(&self, frame: &Frame, fault: Fault) -> TurnError {
        TurnError::Plugin { plugin: frame.plugin.clone(), failure: Failure::Fault(fault) }
    }
}

/// As much of a guest's word as an error carries.
fn shortened(word: &str) -> String {
    word.chars().take(64).collect()
}

/// The data of a `resume` event.
pub(super) fn resumed(from: &str, reason: &str, result: Option<Value>) -> Value {
    let mut event = json!({ "from": from, "reason": reason });
    if let Some(result) = result {
        event["result"] = result;
    }
    event
}

/// Whether a waiting frame gets an activity: messages, what belongs to signing in, and the types it asked for.
fn takes(activities: &[String], activity: &crate::activity::Activity) -> bool {
    let kind = activity.kind();
    let name = activity.str("name");
    kind == "message"
        || activities.iter().any(|wanted| wanted == kind)
        || (kind == "event" && name == "tokens/response")
        || (kind == "invoke" && matches!(name, "signin/verifyState" | "signin/tokenExchange" | "signin/failure"))
}
