//! What each step of a dialog does to the stack (`dialogs.wit`, Steps).

use serde_json::Value;

use super::super::stack::{Frame, Status};
use super::super::{Refusal, versions};
use super::{Broken, Effect, Machine, Run, Step, broken, shortened};
use crate::json;

impl Machine<'_> {
    /// Does what a step says that answers an event.
    pub(super) fn apply(
        &mut self,
        run: &mut Run,
        frame: &Frame,
        event: &'static str,
        step: &Step,
    ) -> Result<(), Broken> {
        self.keep_state(frame, step.state.as_deref())?;
        let data = data_of(step).map_err(|refusal| broken(frame, refusal))?;
        match step.kind.as_str() {
            "wait" => {
                let activities = data.get("activities").cloned().unwrap_or(Value::Null);
                let activities = serde_json::from_value::<Option<Vec<String>>>(activities)
                    .map_err(|_| broken(frame, Refusal::invalid("`activities` of step `wait` must be strings")))?;
                self.wait(&frame.id, event, Status::Waiting { activities: activities.unwrap_or_default() });
            }
            "prompt" => self.begin_prompt(run, frame, event, data)?,
            "call" => {
                let child = self.child(frame, &data)?;
                self.stack.set_status(&frame.id, Status::Child);
                self.stack.push(child).map_err(|refusal| broken(frame, refusal))?;
            }
            "replace" => {
                let child = self.child(frame, &data)?;
                self.stack.frames.pop();
                self.stack.push(child).map_err(|refusal| broken(frame, refusal))?;
            }
            "done" => self.stack.hand_back(&frame.id, "completed", Some(data)),
            "cancelled" => self.stack.hand_back(&frame.id, "cancelled", None),
            "flush" => {
                self.stack.resume(&frame.id, "flush", "completed", None);
                run.effects.push_back(Effect::Flush { plugin: frame.plugin.clone() });
            }
            "ignored" if event == "reprompt" => {}
            "reject" if matches!(event, "continue" | "resume" | "reprompt") => self.reset(run, frame, versions::UNFIT),
            other => return Err(unexpected(frame, event, other)),
        }
        Ok(())
    }

    /// Keeps the state of a step, and notes the success.
    pub(super) fn keep_state(&mut self, frame: &Frame, state: Option<&str>) -> Result<(), Broken> {
        let bytes_max = self.known(frame).map(|known| known.state_bytes_max);
        if let Some(max) = bytes_max.filter(|max| state.is_some_and(|state| state.len() > *max)) {
            return Err(broken(frame, Refusal::quota("state-bytes-per-scope", max)));
        }
        let Some(frame) = self.stack.frame_mut(&frame.id) else { return Ok(()) };
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

    /// The frame that a step `call` or `replace` asks for.
    fn child(&self, frame: &Frame, data: &Value) -> Result<Frame, Broken> {
        let dialog = data.get("dialog").and_then(Value::as_str).unwrap_or_default();
        let Some(known) = self.scene.catalog.dialog(&frame.plugin, dialog) else {
            let dialog = shortened(dialog);
            let why = format!("`{}` calls the dialog `{dialog}`, which its manifest does not list", frame.dialog);
            return Err(broken(frame, Refusal::invalid(why)));
        };
        let options = data.get("options").cloned().unwrap_or(Value::Null);
        Ok(Frame::new(self.scene.catalog.frame_id(), &frame.plugin, dialog, known, options))
    }

    /// The frame waits for the user who is asked: in a group, nobody else answers. A question that comes again is for whom
    /// it was, whoever interrupted it. A question that a notification begins is for the user whom the notification is for,
    /// or for everybody.
    pub(super) fn wait(&mut self, id: &str, event: &str, status: Status) {
        let activity = self.scene.activity;
        let user = self.scene.notified.unwrap_or_else(|| activity.account("from"));
        let is_user = !user.is_empty() && user != activity.account("recipient");
        if let Some(frame) = self.stack.frame_mut(id) {
            frame.status = status;
            if is_user && activity.is_group() && event != "reprompt" {
                frame.asked = Some(user.into());
            }
        }
    }
}

/// The error of a step that answers no such event.
pub(super) fn unexpected(frame: &Frame, event: &str, step: &str) -> Broken {
    let why = format!("`{}` answered `{event}` with the step `{}`", frame.dialog, shortened(step));
    broken(frame, Refusal::invalid(why))
}

fn data_of(step: &Step) -> Result<Value, Refusal> {
    match step.data.trim() {
        "" => Ok(Value::Null),
        text => json::value(text).map_err(|error| {
            Refusal::invalid(format!("the data of step `{}` is not JSON: {error}", shortened(&step.kind)))
        }),
    }
}
