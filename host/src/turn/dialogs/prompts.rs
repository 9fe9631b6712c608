//! Prompts of the host on the stack: asked, answered, validated, given up; and the question before an interruption.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{Offer, resumed};
use crate::activity::Activity;
use crate::json;
use crate::plugin::{Fault, Plugin, Step};
use crate::prompt::{Place, Prompt};
use crate::turn::stack::{Frame, Status};
use crate::turn::{Turn, TurnError};

/// Answers to «shall I interrupt?» that are not understood count as a no after so many.
const CONFIRM_ATTEMPTS_MAX: u32 = 3;

/// Addresses a question that comes again in a group: to the user who is asked, or to everybody.
fn address_again(question: &mut crate::activity::Object, asked: Option<&str>, speaker: &str) {
    match asked {
        Some(user) if user != speaker => {
            question.insert("recipient".into(), json!({ "id": user }));
        }
        Some(_) => {}
        None => {
            if let Some(suggested) = question.get_mut("suggestedActions").and_then(Value::as_object_mut) {
                suggested.insert("to".into(), json!([]));
            }
        }
    }
}

impl Turn {
    /// Begins the prompt that the step asks for which answered an event.
    pub(super) async fn begin_prompt(
        &mut self,
        frame: &Frame,
        event: &str,
        definition: Value,
    ) -> Result<(), TurnError> {
        if let Err(why) = Prompt::parse(&definition) {
            return Err(self.refused(frame, Fault::invalid(format!("`{}`: prompt: {why}", frame.dialog))));
        }
        self.count_question(frame)?;
        self.ask(&definition, 0, None).await?;
        self.wait(&frame.id, event, Status::Prompt { definition, attempt: 0 })
    }

    /// Sends the question of a prompt, or the one for another attempt. `again` is the frame whose question comes again: in a
    /// group it is for whom it was, whoever spoke last.
    pub(super) async fn ask(
        &mut self,
        definition: &Value,
        attempt: u32,
        again: Option<&Frame>,
    ) -> Result<(), TurnError> {
        let activity = &self.activity;
        let question = Prompt::parse(definition)
            .ok()
            .and_then(|prompt| prompt.ask(attempt, &Place::of(activity), activity.str("locale")));
        match question {
            Some(mut question) => {
                if let Some(frame) = again.filter(|_| activity.is_group()) {
                    address_again(&mut question, frame.asked.as_deref(), activity.account("from"));
                }
                self.send(question, true).await.map(drop)
            }
            None => Ok(()),
        }
    }

    /// Takes the message of the turn as the answer to a prompt.
    pub(super) async fn answer_prompt(
        &mut self,
        frame: &Frame,
        definition: &Value,
        attempt: u32,
    ) -> Result<Offer, TurnError> {
        // A plugin that is gone, or of another version, is found out here and not after the last answer.
        let super::Ready::At(_) = self.ready(frame).await? else { return Ok(self.left_or_reset(frame)) };
        // A prompt that an older host took may be none of this one.
        let Ok(prompt) = Prompt::parse(definition) else {
            self.resume(&frame.id, &resumed("prompt", "failed", None))?;
            return Ok(Offer::Taken);
        };
        let value = match recognized(&prompt, &self.activity) {
            Ok(value) => value,
            Err(why) => {
                tracing::debug!(turn = %self.context.turn_id, dialog = %frame.dialog, why, "an answer does not fit its prompt");
                self.answered_wrong(frame, definition, &prompt, attempt, None).await?;
                return Ok(Offer::Taken);
            }
        };
        let Some(validator) = prompt.validator() else {
            self.resume(&frame.id, &resumed("prompt", "completed", Some(value)))?;
            return Ok(Offer::Taken);
        };
        let data = json!({ "validator": validator, "value": value, "attempt": attempt + 1 }).to_string();
        if let Some(step) = self.event(frame, "validate", data.into()).await? {
            self.validated(frame, definition, &prompt, attempt, value, &step).await?;
        }
        Ok(Offer::Taken)
    }

    async fn validated(
        &mut self,
        frame: &Frame,
        definition: &Value,
        prompt: &Prompt,
        attempt: u32,
        value: Value,
        step: &Step,
    ) -> Result<(), TurnError> {
        let data: Value = json::value(&step.data).unwrap_or(Value::Null);
        self.keep_state(frame, step.state.as_deref())?;
        match step.kind.as_str() {
            "accept" => {
                let value = if data.is_null() { value } else { data };
                self.resume(&frame.id, &resumed("prompt", "completed", Some(value)))
            }
            "reject" => {
                let retry = data.get("retry").filter(|retry| !retry.is_null()).cloned();
                self.answered_wrong(frame, definition, prompt, attempt, retry).await
            }
            other => {
                let why = format!("`{}` answered `validate` with the step `{}`", frame.dialog, super::shortened(other));
                Err(self.refused(frame, Fault::invalid(why)))
            }
        }
    }

    /// Asks again, with another question this time where there is one, or gives the prompt up.
    async fn answered_wrong(
        &mut self,
        frame: &Frame,
        definition: &Value,
        prompt: &Prompt,
        attempt: u32,
        retry: Option<Value>,
    ) -> Result<(), TurnError> {
        let attempt = attempt + 1;
        if attempt >= prompt.attempts_max() {
            return self.resume(&frame.id, &resumed("prompt", "failed", None));
        }
        self.set_status(&frame.id, Status::Prompt { definition: definition.clone(), attempt })?;
        match retry {
            Some(retry) => {
                let mut asked = definition.clone();
                asked["retry"] = retry;
                if let Err(why) = Prompt::parse(&asked) {
                    return Err(self.refused(frame, Fault::invalid(format!("`{}`: retry: {why}", frame.dialog))));
                }
                self.ask(&asked, attempt, Some(frame)).await
            }
            None => self.ask(definition, attempt, Some(frame)).await,
        }
    }

    /// Asks before a route interrupts the dialog that waits. The answer runs the route, or repeats the question.
    pub(in crate::turn) async fn confirm_route(
        &mut self,
        plugin: Arc<str>,
        route: String,
        question: &str,
    ) -> Result<(), TurnError> {
        let definition = json!({ "kind": "confirm", "prompt": question });
        let frame = Frame {
            id: ulid::Ulid::new().to_string().into(),
            plugin: "turntable".into(),
            dialog: "confirm".into(),
            state_version: 0,
            state: None,
            status: Status::Confirm {
                definition: definition.clone(),
                attempt: 0,
                plugin,
                route,
                activity: self.activity.text().clone(),
            },
            failures: 0,
            asked: None,
            previous: None,
        };
        let (id, status) = (frame.id.clone(), frame.status.clone());
        {
            let frames = &mut self.staging().stack.frames;
            // The newest question stands. Were they piled up, the users of a group could make the stack grow without end.
            frames.pop_if(|top| matches!(top.status, Status::Confirm { .. }));
            frames.push(frame);
        }
        self.ask(&definition, 0, None).await?;
        self.wait(&id, "begin", status)
    }

    /// Drops the question whether a route may interrupt where the dialog below gets its answer: in a group, whoever
    /// asked to interrupt and fell silent must not keep the others from going on.
    pub(in crate::turn) fn lapse_confirmation(&mut self) -> Result<(), TurnError> {
        let (below, top) = match self.staging().stack.frames.as_slice() {
            [.., below, top] => (below.clone(), top.clone()),
            _ => return Ok(()),
        };
        let is_confirmation = matches!(top.status, Status::Confirm { .. });
        let is_message = self.activity.kind() == "message";
        let is_for_below = below.asked.is_some() && below.waits() && self.may_answer(&below);
        if is_confirmation && is_message && is_for_below && !self.may_answer(&top) {
            self.staging().stack.frames.pop();
        }
        Ok(())
    }

    /// Takes the message of the turn as the answer to «shall I interrupt?».
    pub(super) async fn answer_confirmation(&mut self, frame: &Frame) -> Result<Offer, TurnError> {
        let Status::Confirm { definition, attempt, plugin, route, activity } = &frame.status else {
            return Ok(Offer::Left);
        };
        let answer = Prompt::parse(definition).and_then(|prompt| recognized(&prompt, &self.activity));
        match answer {
            Err(_) if attempt + 1 < CONFIRM_ATTEMPTS_MAX => {
                let (definition, attempt) = (definition.clone(), attempt + 1);
                if let Some(mut frame) = self.frame_mut(&frame.id)
                    && let Status::Confirm { attempt: asked, .. } = &mut frame.status
                {
                    *asked = attempt;
                }
                self.ask(&definition, attempt, Some(frame)).await?;
            }
            Ok(Value::Bool(true)) => {
                self.staging().stack.frames.pop();
                let has_route = |known: &Arc<Plugin>| {
                    known.name == *plugin && known.manifest.routes.iter().any(|known| known.name == *route)
                };
                let position = self.generation.plugins.iter().position(has_route);
                match position {
                    Some(position) => {
                        self.take_route(position, route, activity).await?;
                    }
                    // It went in a swap: what it interrupted goes on.
                    None => _ = self.staging().stack.ask_again(),
                }
            }
            _ => {
                let stack = &mut self.staging().stack;
                stack.frames.pop();
                stack.ask_again();
            }
        }
        Ok(Offer::Taken)
    }

    /// Stages a text of the host itself.
    pub(in crate::turn) async fn say(&mut self, text: &str) -> Result<(), TurnError> {
        if text.is_empty() {
            return Ok(());
        }
        let message = json!({"type": "message", "text": text, "inputHint": "acceptingInput"});
        let message = message.as_object().cloned().unwrap_or_default();
        self.send(message, true).await.map(drop)
    }

    /// The same for a text that nothing depends on: middleware that failed keeps it from leaving, and from nothing else.
    pub(in crate::turn) async fn say_anyway(&mut self, text: &str) -> Result<(), TurnError> {
        match self.say(text).await {
            Err(TurnError::Plugin { plugin, failure }) => {
                tracing::warn!(turn = %self.context.turn_id, %plugin, %failure, "middleware failed, and the user is told nothing");
                Ok(())
            }
            other => other,
        }
    }

    /// A frame that is held leaves the activity to the handlers; one that was reset has answered it.
    pub(super) fn left_or_reset(&mut self, frame: &Frame) -> Offer {
        let held = self.frame(&frame.id).is_some();
        if held { Offer::Left } else { Offer::Taken }
    }
}

fn recognized(prompt: &Prompt, answer: &Activity) -> Result<Value, String> {
    prompt.recognize(answer, answer.str("locale"), local_time(answer)).map_err(|error| error.to_string())
}

/// The time from which «tomorrow» counts: the user's, where the channel says it or their time zone, else this machine's.
fn local_time(answer: &Activity) -> DateTime {
    answer.str("localTimestamp").parse().unwrap_or_else(|_| {
        let zone = TimeZone::get(answer.str("localTimezone")).unwrap_or_else(|_| TimeZone::system());
        Timestamp::now().to_zoned(zone).datetime()
    })
}
