//! What both styles of dialogs share: the version of the state, validators, and hooks for cancelling and migrating.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Event, Step};
use crate::{Activity, Fault, Result, Turn, read};

type Validator = Box<dyn Fn(&mut Turn, &Check) -> Result<Verdict>>;
type OnCancelled = Box<dyn Fn(&mut Turn, &str) -> Result<()>>;
type Migrate = Box<dyn Fn(Migration) -> Result<Option<Value>>>;

/// An answer that was recognized, for a validator to look at.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    value: Value,
    attempt: u32,
}

/// What a validator thinks of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    step: Step,
}

/// A state that was kept by another version of the dialog.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Migration {
    /// The version that kept it.
    pub from: u32,
    /// The version of now; the same for a straight-line dialog whose source was edited without a new version.
    pub to: u32,
    /// What was kept. Of a waterfall: its values; the step that waits keeps its number, so leave the steps before it where
    /// they are, or give up. Of a straight-line dialog: the named answers, calls and steps so far,
    /// by name, and under `state` what it was restarted with.
    pub state: Value,
}

#[derive(Default)]
pub(super) struct Hooks {
    pub(super) version: u32,
    pub(super) validators: BTreeMap<String, Validator>,
    pub(super) on_cancelled: Option<OnCancelled>,
    pub(super) migrate: Option<Migrate>,
}

impl Check {
    /// Reads the value. Fault `invalid`: it is of another type.
    pub fn value<T: DeserializeOwned>(&self) -> Result<T> {
        read::value(&self.value).map_err(|error| Fault::invalid(format!("the answer: {error}")))
    }

    /// How many answers there were to this question, with this one.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

impl Verdict {
    /// The answer is good.
    pub fn accept() -> Self {
        Self { step: Step::new("accept", Value::Null) }
    }

    /// The answer is good, and means this. Fault: the value is no JSON.
    pub fn accept_as(value: impl Serialize) -> Result<Self> {
        Ok(Self { step: Step::new("accept", serde_json::to_value(value)?) })
    }

    /// Ask again.
    pub fn reject() -> Self {
        Self { step: Step::new("reject", Value::Null) }
    }

    /// Ask again, this way.
    pub fn reject_with(question: impl Into<Activity>) -> Self {
        // Written as a prompt writes its questions.
        let question = crate::prompt::text(question).into_value()["prompt"].take();
        Self { step: Step::new("reject", json!({ "retry": question })) }
    }
}

impl Hooks {
    /// Answers `validate`. Fault `invalid`: there is no validator of this name.
    pub(super) fn validate(&self, turn: &mut Turn, event: &Event) -> Result<Step> {
        let name = event.data.get("validator").and_then(Value::as_str).unwrap_or_default();
        let validator = self.validators.get(name);
        let validator = validator.ok_or_else(|| {
            Fault::invalid(format!(
                "the dialog `{}` has no validator `{name}`; add it with `.validator(…)`",
                event.name
            ))
        })?;
        let attempt = event.data.get("attempt").and_then(Value::as_u64).unwrap_or(1);
        let check = Check {
            value: event.data.get("value").cloned().unwrap_or_default(),
            attempt: u32::try_from(attempt).unwrap_or(u32::MAX),
        };
        validator(turn, &check).map(|verdict| verdict.step)
    }

    /// Answers `cancelled`.
    pub(super) fn cancelled(&self, turn: &mut Turn, event: &Event) -> Result<Step> {
        if let Some(hook) = &self.on_cancelled {
            let reason = event.data.get("reason").and_then(Value::as_str).unwrap_or_default();
            hook(turn, reason)?;
        }
        Ok(Step::ignored())
    }

    /// Asks the hook for the state of now; none where there is no hook or it gives up.
    pub(super) fn migrated(&self, from: u32, state: Value) -> Result<Option<Value>> {
        match &self.migrate {
            Some(migrate) => migrate(Migration { from, to: self.version, state }),
            None => Ok(None),
        }
    }
}

/// The version that the state of an event `migrate` is of.
pub(super) fn from_version(event: &Event) -> u32 {
    let from = event.data.get("from").and_then(Value::as_u64).unwrap_or_default();
    u32::try_from(from).unwrap_or(u32::MAX)
}

/// A migrated state.
pub(super) fn migrated(state: Value) -> Step {
    Step::new("accept", Value::Null).with_state(state)
}

/// The dialog can go on from its state.
pub(super) fn fits() -> Step {
    Step::new("accept", Value::Null)
}

/// This version of the dialog cannot go on from its state: the host resets it.
pub(super) fn unfit() -> Step {
    Step::new("reject", Value::Null)
}

/// Reads what a frame keeps. None: it is of a dialog of another style, and the event needs it.
pub(super) fn kept<T: DeserializeOwned + Default>(state: Option<Value>, event: &Event) -> Option<T> {
    match state.map(T::deserialize).transpose() {
        Ok(kept) => Some(kept.unwrap_or_default()),
        Err(_) if matches!(event.kind.as_str(), "continue" | "resume" | "reprompt" | "migrate" | "rehearse") => None,
        Err(_) => Some(T::default()),
    }
}

/// The builder functions that both styles have.
macro_rules! hook_builders {
    () => {
        /// Sets the version of the state, from 0. Give each shape of it a number of its own, higher than the last.
        #[must_use]
        pub fn version(mut self, version: u32) -> Self {
            self.hooks.version = version;
            self
        }

        /// Adds a validator for prompts that name it; see [`Prompt::validator`](crate::Prompt::validator).
        #[must_use]
        pub fn validator(
            mut self,
            name: impl Into<String>,
            check: impl Fn(&mut crate::Turn, &super::Check) -> crate::Result<super::Verdict> + 'static,
        ) -> Self {
            self.hooks.validators.insert(name.into(), Box::new(check));
            self
        }

        /// Sets what happens when the dialog is cancelled from outside. It gets the reason: `cancel-all`, `replaced`,
        /// `failed` or `reset`. The frame is gone already.
        #[must_use]
        pub fn on_cancelled(mut self, hook: impl Fn(&mut crate::Turn, &str) -> crate::Result<()> + 'static) -> Self {
            self.hooks.on_cancelled = Some(Box::new(hook));
            self
        }

        /// Sets how a state of an older version is carried over. None: it cannot be; the host resets the dialog.
        #[must_use]
        pub fn migrate(
            mut self,
            hook: impl Fn(super::Migration) -> crate::Result<Option<serde_json::Value>> + 'static,
        ) -> Self {
            self.hooks.migrate = Some(Box::new(hook));
            self
        }
    };
}

pub(super) use hook_builders;
