//! Parts that both styles of dialogs share: the version of the state, validators, and hooks for cancelling and migrating.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Event, Step};
use crate::{Activity, Fault, Result, Turn, read};

type Validator = Box<dyn Fn(&mut Turn, &Check) -> Result<Verdict>>;
type OnCancelled = Box<dyn Fn(&mut Turn, &str) -> Result<()>>;
type Migrate = Box<dyn Fn(Migration) -> Result<Option<Value>>>;

/// A recognized answer that a validator checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    value: Value,
    attempt: u32,
}

/// The result of a validator.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    step: Step,
}

/// A state that another version of the dialog stored.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Migration {
    /// The version that stored the state.
    pub from: u32,
    /// The current version. It equals `from` if a straight-line dialog was edited without a new version.
    pub to: u32,
    /// The stored state.
    ///
    /// - Waterfall: its values. The number of the step that waits does not change, so keep the steps before it in place or
    ///   return none.
    /// - Straight-line dialog: the results of named questions, calls and steps by name, and under `state` the state that it
    ///   was restarted with.
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
    /// Reads the value. Fault `invalid`: it has another type.
    pub fn value<T: DeserializeOwned>(&self) -> Result<T> {
        read::value(&self.value).map_err(|error| Fault::invalid(format!("the answer: {error}")))
    }

    /// Returns the number of answers to this question so far, including this one.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

impl Verdict {
    /// Accepts the answer.
    pub fn accept() -> Self {
        Self { step: Step::new("accept", Value::Null) }
    }

    /// Accepts the answer and replaces its value. Fault `internal`: the value cannot be written as JSON.
    pub fn accept_as(value: impl Serialize) -> Result<Self> {
        Ok(Self { step: Step::new("accept", serde_json::to_value(value)?) })
    }

    /// Rejects the answer. The host asks again.
    pub fn reject() -> Self {
        Self { step: Step::new("reject", Value::Null) }
    }

    /// Rejects the answer. The host asks again with this question.
    pub fn reject_with(question: impl Into<Activity>) -> Self {
        // A prompt writes a question in the form that the contract requires here.
        let question = crate::prompt::text(question).into_value()["prompt"].take();
        Self { step: Step::new("reject", json!({ "retry": question })) }
    }
}

impl Hooks {
    /// Handles the event `validate`. Fault `invalid`: there is no validator of this name.
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

    /// Handles the event `cancelled`.
    pub(super) fn cancelled(&self, turn: &mut Turn, event: &Event) -> Result<Step> {
        if let Some(hook) = &self.on_cancelled {
            let reason = event.data.get("reason").and_then(Value::as_str).unwrap_or_default();
            hook(turn, reason)?;
        }
        Ok(Step::ignored())
    }

    /// Calls the migration hook. Returns none if there is no hook or it cannot migrate the state.
    pub(super) fn migrated(&self, from: u32, state: Value) -> Result<Option<Value>> {
        match &self.migrate {
            Some(migrate) => migrate(Migration { from, to: self.version, state }),
            None => Ok(None),
        }
    }
}

/// Returns the version of the state in an event `migrate`.
pub(super) fn from_version(event: &Event) -> u32 {
    let from = event.data.get("from").and_then(Value::as_u64).unwrap_or_default();
    u32::try_from(from).unwrap_or(u32::MAX)
}

/// The step for a state that was migrated.
pub(super) fn migrated(state: Value) -> Step {
    Step::new("accept", Value::Null).with_state(state)
}

/// The step for a dialog that can continue from its state.
pub(super) fn fits() -> Step {
    Step::new("accept", Value::Null)
}

/// The step for a dialog that cannot continue from its state, so that the host resets it.
pub(super) fn unfit() -> Step {
    Step::new("reject", Value::Null)
}

/// Reads the state of a frame. Returns none if a dialog of another style stored it and the event needs it.
pub(super) fn kept<T: DeserializeOwned + Default>(state: Option<Value>, event: &Event) -> Option<T> {
    match state.map(T::deserialize).transpose() {
        Ok(kept) => Some(kept.unwrap_or_default()),
        Err(_) if matches!(event.kind.as_str(), "continue" | "resume" | "reprompt" | "migrate" | "rehearse") => None,
        Err(_) => Some(T::default()),
    }
}

/// Builder functions of both styles.
macro_rules! hook_builders {
    () => {
        /// Sets the version of the state (default 0). Increase it whenever the shape of the state changes.
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

        /// Sets a hook that runs when the dialog is cancelled from outside. Its argument is the reason: `cancel-all` or
        /// `replaced`. The frame has been removed already.
        #[must_use]
        pub fn on_cancelled(mut self, hook: impl Fn(&mut crate::Turn, &str) -> crate::Result<()> + 'static) -> Self {
            self.hooks.on_cancelled = Some(Box::new(hook));
            self
        }

        /// Sets a hook that migrates a state of an older version. If it returns none, the host resets the dialog.
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
