//! Waterfalls: dialogs of explicit steps.

use std::ops::Deref;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::hooks::{self, Hooks};
use super::{Dialog, Event, Outcome, Step};
use crate::activity::Object;
use crate::prompt::Prompt;
use crate::{Activity, Fault, Result, Turn, read};

type StepFn = Box<dyn Fn(&mut WaterfallStep<'_>) -> Result<Step>>;

/// A dialog of steps that run one after another. Each step returns what to wait for, and the next step gets the result.
///
/// ```
/// use turntable_sdk::prelude::*;
/// use turntable_sdk::prompt::{number, text};
///
/// let order = Waterfall::new("order")
///     .step(|step| step.prompt(text("What would you like?")))
///     .step(|step| {
///         let what: String = step.result()?;
///         step.set("what", what)?;
///         step.prompt(number("How many?").integer().min(1))
///     })
///     .step(|step| {
///         let (what, count): (String, i64) = (step.get("what")?, step.result()?);
///         step.reply(format!("{count} × {what}, coming"))?;
///         step.done(count)
///     });
/// # let _ = order;
/// ```
///
/// After its last step the dialog is done, and its result is what that step waited for.
pub struct Waterfall {
    id: String,
    steps: Vec<(Runs, StepFn)>,
    hooks: Hooks,
}

/// When a step runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Runs {
    WithResult,
    Always,
}

/// The argument of a step of a [`Waterfall`]. A step returns the result of one of the functions that end a step.
///
/// It dereferences to [`Turn`]: `step.reply(…)`, `step.state()`, `step.config(…)`.
pub struct WaterfallStep<'a> {
    turn: &'a mut Turn,
    options: &'a Value,
    values: &'a mut Object,
    outcome: Outcome,
    asked: Option<Value>,
}

/// The state of a frame.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    /// The step that ran last.
    index: usize,
    options: Value,
    values: Object,
    /// The question of `wait`, which the SDK repeats itself because the host does not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked: Option<Value>,
}

/// The kind of a step that continues with the next one at once. It never reaches the host.
const NEXT: &str = "next";

impl Waterfall {
    /// Creates a dialog without steps.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), steps: Vec::new(), hooks: Hooks::default() }
    }

    /// Adds a step. It runs if the wait of the step before completed. Otherwise (a prompt ran out of attempts, or a called
    /// dialog was cancelled) this dialog ends as cancelled.
    #[must_use]
    pub fn step(mut self, step: impl Fn(&mut WaterfallStep<'_>) -> Result<Step> + 'static) -> Self {
        self.steps.push((Runs::WithResult, Box::new(step)));
        self
    }

    /// Adds a step that runs however the wait of the step before ended; see [`WaterfallStep::outcome`].
    #[must_use]
    pub fn step_always(mut self, step: impl Fn(&mut WaterfallStep<'_>) -> Result<Step> + 'static) -> Self {
        self.steps.push((Runs::Always, Box::new(step)));
        self
    }

    hooks::hook_builders!();

    fn run(&self, turn: &mut Turn, mut kept: Kept, mut outcome: Outcome) -> Result<Step> {
        loop {
            let Some((runs, run)) = self.steps.get(kept.index) else { return Step::done(outcome.result) };
            if *runs == Runs::WithResult && !outcome.is_completed() {
                return Ok(Step::cancelled());
            }
            let mut step =
                WaterfallStep { turn, options: &kept.options, values: &mut kept.values, outcome, asked: None };
            let then = run(&mut step)?;
            kept.asked = step.asked;
            if then.kind != NEXT {
                return Ok(then.with_state(serde_json::to_value(&kept)?));
            }
            outcome = Outcome::completed(then.data);
            kept.index += 1;
        }
    }

    fn repeat(turn: &Turn, kept: &Kept) -> Result<Step> {
        if let Some(Value::Object(question)) = &kept.asked {
            turn.reply(Activity::from_object(question.clone()))?;
        }
        Ok(Step::wait())
    }

    fn migrated(&self, event: &Event, mut kept: Kept) -> Result<Step> {
        let values = Value::Object(std::mem::take(&mut kept.values));
        Ok(match self.hooks.migrated(hooks::from_version(event), values)? {
            Some(Value::Object(values)) => {
                kept.values = values;
                hooks::migrated(serde_json::to_value(kept)?)
            }
            _ => hooks::unfit(),
        })
    }
}

impl Dialog for Waterfall {
    fn id(&self) -> &str {
        &self.id
    }

    fn state_version(&self) -> u32 {
        self.hooks.version
    }

    fn on_event(&self, turn: &mut Turn, event: &Event, state: Option<Value>) -> Result<Step> {
        let Some(mut kept) = hooks::kept::<Kept>(state, event) else { return Ok(hooks::unfit()) };
        match event.kind.as_str() {
            "begin" => {
                let kept = Kept { options: event.data.clone(), ..Kept::default() };
                self.run(turn, kept, Outcome::completed(Value::Null))
            }
            "continue" | "resume" => {
                kept.index += 1;
                self.run(turn, kept, event.outcome())
            }
            "reprompt" => Self::repeat(turn, &kept),
            "validate" => self.hooks.validate(turn, event),
            "cancelled" => self.hooks.cancelled(turn, event),
            "migrate" => self.migrated(event, kept),
            // If an edit removed the step that waits, the answer ends the dialog. That is not a reset.
            "rehearse" => Ok(hooks::fits()),
            _ => Ok(Step::ignored()),
        }
    }
}

impl Deref for WaterfallStep<'_> {
    type Target = Turn;

    fn deref(&self) -> &Turn {
        self.turn
    }
}

impl WaterfallStep<'_> {
    /// Returns the turn, for functions that take a `&mut Turn`.
    pub fn turn(&mut self) -> &mut Turn {
        self.turn
    }

    /// Reads the options that the dialog was begun with. Fault `invalid`: they have another shape.
    pub fn options<T: DeserializeOwned>(&self) -> Result<T> {
        read::value(self.options).map_err(|error| Fault::invalid(format!("the options of the dialog: {error}")))
    }

    /// Reads the result that the step before waited for: an answer, the result of a dialog, or the activity after
    /// [`wait`](Self::wait). Fault `invalid`: it has another shape.
    pub fn result<T: DeserializeOwned>(&self) -> Result<T> {
        self.outcome.read()
    }

    /// Returns how the wait of the step before ended.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Stores a value for later steps. Fault `internal`: it cannot be written as JSON.
    pub fn set(&mut self, name: &str, value: impl Serialize) -> Result<()> {
        self.values.insert(name.to_owned(), serde_json::to_value(value)?);
        Ok(())
    }

    /// Reads a value that an earlier step stored. Fault `invalid`: there is no such value, or it has another shape.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let value = self.values.get(name).unwrap_or(&Value::Null);
        read::value(value).map_err(|error| Fault::invalid(format!("the value `{name}` of the dialog: {error}")))
    }

    /// Ends the step: the host asks, and the next step gets the answer.
    pub fn prompt<T>(&mut self, prompt: Prompt<T>) -> Result<Step> {
        Ok(Step::prompt(prompt))
    }

    /// Ends the step: sends a question and waits for a message. After an interruption the question is repeated.
    pub fn wait(&mut self, question: impl Into<Activity>) -> Result<Step> {
        let question: Activity = question.into();
        self.asked = Some(Value::Object(question.clone().into_object()));
        self.turn.reply(question)?;
        Ok(Step::wait())
    }

    /// Ends the step: another dialog of this plugin runs, and the next step gets its result.
    pub fn call(&mut self, dialog: &str, options: impl Serialize) -> Result<Step> {
        Step::call(dialog, options)
    }

    /// Ends the dialog and begins another dialog of this plugin in its place.
    pub fn replace(&mut self, dialog: &str, options: impl Serialize) -> Result<Step> {
        Step::replace(dialog, options)
    }

    /// Ends the step: the next step runs at once with this result.
    pub fn next(&mut self, result: impl Serialize) -> Result<Step> {
        Ok(Step::new(NEXT, serde_json::to_value(result)?))
    }

    /// Ends the step: the host delivers what was sent so far, then the next step runs.
    pub fn flush(&mut self) -> Result<Step> {
        Ok(Step::flush())
    }

    /// Ends the dialog with a result.
    pub fn done(&mut self, result: impl Serialize) -> Result<Step> {
        Step::done(result)
    }

    /// Ends the dialog without a result.
    pub fn cancel(&mut self) -> Result<Step> {
        Ok(Step::cancelled())
    }
}
