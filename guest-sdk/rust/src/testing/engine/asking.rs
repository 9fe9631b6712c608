//! Prompts of the host in a test: asked, answered, validated, given up; and the question before an interruption.

use serde_json::{Value, json};

use super::super::memory::{Status, TestFrame, resumed};
use super::super::recognize::{question, recognize};
use super::Engine;
use crate::turn::Host;
use crate::{Fault, Result};

/// Answers to «shall I interrupt?» that are not understood count as a no after so many.
const CONFIRM_ATTEMPTS_MAX: u32 = 3;
impl Engine {
    pub(super) fn ask(&mut self, definition: &Value, attempt: u32) -> Result<()> {
        match question(definition, attempt) {
            Some(question) => self.host.reply(&Value::Object(question.into_object()).to_string()).map(drop),
            None => Ok(()),
        }
    }

    /// Takes the activity as the answer to a prompt.
    pub(super) fn answer(&mut self, frame: &TestFrame, definition: &Value, attempt: u32) -> Result<()> {
        let Some(value) = recognize(definition, &self.activity, self.host.since_epoch_ms()) else {
            return self.answered_wrong(frame, definition, attempt, None);
        };
        let Some(validator) = definition["validator"].as_str() else {
            self.set(&frame.id, Status::Resume(resumed("prompt", "completed", Some(value))));
            return Ok(());
        };
        let data = json!({ "validator": validator, "value": value, "attempt": attempt + 1 });
        let Some(step) = self.tell(frame, "validate", &data)? else { return Ok(()) };
        match step.kind {
            "accept" => {
                let value = if step.data.is_null() { value } else { step.data };
                self.set(&frame.id, Status::Resume(resumed("prompt", "completed", Some(value))));
                Ok(())
            }
            "reject" => self.answered_wrong(frame, definition, attempt, step.data.get("retry").cloned()),
            other => Err(Fault::invalid(format!("a dialog answered `validate` with the step `{other}`"))),
        }
    }

    fn answered_wrong(
        &mut self,
        frame: &TestFrame,
        definition: &Value,
        attempt: u32,
        retry: Option<Value>,
    ) -> Result<()> {
        let attempt = attempt + 1;
        if u64::from(attempt) >= definition["attempts"].as_u64().unwrap_or(100) {
            self.set(&frame.id, Status::Resume(resumed("prompt", "failed", None)));
            return Ok(());
        }
        self.set(&frame.id, Status::Prompt { definition: definition.clone(), attempt });
        let mut asked = definition.clone();
        if let Some(retry) = retry {
            asked["retry"] = retry;
        }
        self.ask(&asked, attempt)
    }

    /// Asks before a route interrupts the dialog that waits.
    pub(super) fn confirm(&mut self, route: String, question: &str) -> Result<()> {
        let definition = json!({ "kind": "confirm", "prompt": question });
        self.ask(&definition, 0)?;
        let activity = Box::new(self.activity.clone());
        self.host.push_confirmation(Status::Confirm { definition, attempt: 0, route, activity })
    }

    /// Takes the activity as the answer to «shall I interrupt?»; false where it is no message.
    pub(super) fn answer_confirmation(&mut self) -> Result<bool> {
        let Some(top) = self.host.staged().top().cloned() else { return Ok(false) };
        let Status::Confirm { definition, attempt, route, activity } = &top.status else { return Ok(false) };
        if self.activity.kind != "message" {
            return Ok(false);
        }
        match recognize(definition, &self.activity, self.host.since_epoch_ms()) {
            None if attempt + 1 < CONFIRM_ATTEMPTS_MAX => {
                self.ask(definition, 0)?;
                let mut again = top.status.clone();
                if let Status::Confirm { attempt, .. } = &mut again {
                    *attempt += 1;
                }
                self.set(&top.id, again);
            }
            Some(Value::Bool(true)) => {
                self.host.staged().stack.pop();
                self.meta.trigger = format!("route:{route}");
                self.activity.clone_from(activity);
                self.take_route(route)?;
            }
            _ => {
                self.host.staged().stack.pop();
                self.host.staged().reprompt = true;
                self.settle()?;
            }
        }
        Ok(true)
    }
}
