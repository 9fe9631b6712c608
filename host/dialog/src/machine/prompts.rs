//! Prompts of the host on the stack: asked, answered, validated, given up.

use jiff::Zoned;
use jiff::fmt::temporal::Pieces;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::super::Refusal;
use super::super::stack::{Frame, Status};
use super::steps::unexpected;
use super::{Awaits, Broken, Effect, Machine, Report, Run, Step, broken};
use crate::activity::{Activity, Object};
use crate::json;
use crate::prompt::{NotRecognized, Now, Place, Prompt, READINGS};

impl Machine<'_> {
    /// Begins the prompt that the step asks for which answered an event.
    pub(super) fn begin_prompt(
        &mut self,
        run: &mut Run,
        frame: &Frame,
        event: &str,
        mut definition: Value,
    ) -> Result<(), Broken> {
        // Only the host stores what an answer may mean.
        if let Some(members) = definition.as_object_mut() {
            members.remove(READINGS);
        }
        if let Err(why) = Prompt::parse(&definition) {
            return Err(broken(frame, Refusal::invalid(format!("`{}`: prompt: {why}", frame.dialog))));
        }
        run.effects.push_back(Effect::Count { plugin: frame.plugin.clone() });
        self.ask(run, &definition, 0, None);
        self.wait(&frame.id, event, Status::Prompt { definition, attempt: 0 });
        Ok(())
    }

    /// Sends the question of a prompt, or the one for another attempt. `again` is the frame whose question comes again: in a
    /// group it is for whom it was, whoever spoke last.
    pub(super) fn ask(&self, run: &mut Run, definition: &Value, attempt: u32, again: Option<&Frame>) {
        let activity = self.scene.activity;
        let prompt = Prompt::parse(definition).ok();
        let (place, locale) = (Place::of(activity), activity.str("locale"));
        let question = prompt.and_then(|it| {
            let which = it.ask_which(it.readings(), &place, locale);
            which.or_else(|| it.ask(attempt, &place, locale))
        });
        let Some(mut question) = question else { return };
        if let Some(frame) = again.filter(|_| activity.is_group()) {
            address_again(&mut question, frame.asked.as_deref(), activity.account("from"));
        }
        run.effects.push_back(Effect::Send(question));
    }

    /// Takes the message of the turn as the answer to a prompt.
    pub(super) fn answer_prompt(&mut self, run: &mut Run, frame: &Frame) -> Result<(), Broken> {
        let Status::Prompt { definition, attempt } = &frame.status else { return Ok(()) };
        // A prompt that an older host took may be none of this one.
        let Ok(prompt) = Prompt::parse(definition) else {
            self.stack.resume(&frame.id, "prompt", "failed", None);
            return Ok(());
        };
        let value = match self.recognized(&prompt) {
            Ok(value) => value,
            Err(error) => {
                let why = error.to_string();
                run.effects.push_back(Effect::Report(Report::Unfit { dialog: frame.dialog.clone(), why }));
                return self.answered_wrong(run, frame, None, error.readings);
            }
        };
        let Some(validator) = prompt.validator() else {
            self.stack.resume(&frame.id, "prompt", "completed", Some(value));
            return Ok(());
        };
        let data = json!({ "validator": validator, "value": value, "attempt": attempt + 1 }).to_string();
        self.call(run, frame, "validate", data.into(), Awaits::Verdict { frame: frame.id.clone(), value })
    }

    /// Takes the verdict of a validator about a value.
    pub(super) fn validated(&mut self, run: &mut Run, frame: &Frame, value: Value, step: &Step) -> Result<(), Broken> {
        let data: Value = json::value(&step.data).unwrap_or(Value::Null);
        self.keep_state(frame, step.state.as_deref())?;
        match step.kind.as_str() {
            "accept" => {
                let value = if data.is_null() { value } else { data };
                self.stack.resume(&frame.id, "prompt", "completed", Some(value));
                Ok(())
            }
            "reject" => {
                let retry = data.get("retry").filter(|retry| !retry.is_null()).cloned();
                self.answered_wrong(run, frame, retry, Vec::new())
            }
            other => Err(unexpected(frame, "validate", other)),
        }
    }

    pub(super) fn recognized(&self, prompt: &Prompt) -> Result<Value, NotRecognized> {
        let answer = self.scene.activity;
        let mut now = local_time(answer, prompt, self.scene.now);
        now.month_first = self.scene.month_first;
        prompt.recognize(answer, answer.str("locale"), now)
    }

    /// Asks again, with another question this time where there is one, or which of two readings is meant, or gives the
    /// prompt up.
    fn answered_wrong(
        &mut self,
        run: &mut Run,
        frame: &Frame,
        retry: Option<Value>,
        readings: Vec<Value>,
    ) -> Result<(), Broken> {
        let Status::Prompt { definition, attempt } = &frame.status else { return Ok(()) };
        let attempt = attempt + 1;
        let attempts_max = Prompt::parse(definition).map_or(0, |prompt| prompt.attempts_max());
        if attempt >= attempts_max {
            self.stack.resume(&frame.id, "prompt", "failed", None);
            return Ok(());
        }
        let mut definition = definition.clone();
        if let Some(members) = definition.as_object_mut() {
            members.remove(READINGS);
            if !readings.is_empty() {
                members.insert(READINGS.into(), readings.into());
            }
        }
        self.stack.set_status(&frame.id, Status::Prompt { definition: definition.clone(), attempt });
        let definition = &definition;
        let Some(retry) = retry else {
            self.ask(run, definition, attempt, Some(frame));
            return Ok(());
        };
        let mut asked = definition.clone();
        asked["retry"] = retry;
        if let Err(why) = Prompt::parse(&asked) {
            return Err(broken(frame, Refusal::invalid(format!("`{}`: retry: {why}", frame.dialog))));
        }
        self.ask(run, &asked, attempt, Some(frame));
        Ok(())
    }
}

/// Addresses a question that comes again in a group: to the user who is asked, or to everybody.
fn address_again(question: &mut Object, asked: Option<&str>, speaker: &str) {
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

/// The time from which «tomorrow» counts, with its zone: the user's, where the channel says it or their time zone, then that
/// of the prompt, then the bot's.
fn local_time(answer: &Activity, prompt: &Prompt, now: &dyn Fn() -> Zoned) -> Now {
    let stamp = answer.str("localTimestamp");
    let offset = || Pieces::parse(stamp).ok()?.to_numeric_offset().map(TimeZone::fixed);
    let zone = TimeZone::get(answer.str("localTimezone")).ok().or_else(offset).or_else(|| prompt.time_zone().cloned());
    let now = || match &zone {
        Some(zone) => now().with_time_zone(zone.clone()),
        None => now(),
    };
    match stamp.parse() {
        Ok(local) => Now { local, zone: zone.clone().unwrap_or_else(|| now().time_zone().clone()), month_first: None },
        Err(_) => now().into(),
    }
}
