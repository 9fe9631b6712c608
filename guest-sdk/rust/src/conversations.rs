//! Proactive messages: deliveries into this or another conversation, now or later.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use crate::turn::Host;
use crate::{Activity, Fault, Result};

/// Stages deliveries into conversations; see [`Turn::conversations`](crate::Turn::conversations). It needs the grant
/// `conversations`: see [`Manifest::wants_conversations`](crate::Manifest::wants_conversations).
///
/// The deliveries become real when the turn commits. Each delivery is a turn of its own.
///
/// ```
/// use turntable_sdk::prelude::*;
/// use turntable_sdk::{Delivery, When};
///
/// fn remind(turn: &mut Turn) -> Result<()> {
///     let here = turn.conversations().reference()?;
///     let words = Delivery::activity("Time to stretch.");
///     turn.conversations().schedule("stretch", "0 9-17 * * 1-5 Europe/Berlin", &here, When::Idle, words)?;
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Conversations<'t> {
    host: &'t dyn Host,
}

/// When a delivery happens, and what it does to the dialogs of the conversation (`conversations.wit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At once. Dialogs stay as they are. [`Delivery::dialog`] is not allowed.
    Now,
    /// When no dialog waits.
    Idle,
    /// On top of the dialog that waits. That dialog repeats its question afterwards.
    Interrupt,
    /// After all dialogs have been cancelled.
    Cancel,
}

/// The content of a delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery(Value);

impl When {
    fn name(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Idle => "when-idle",
            Self::Interrupt => "interrupt",
            Self::Cancel => "cancel",
        }
    }
}

impl Delivery {
    /// Delivers an activity that the bot sends.
    pub fn activity(activity: impl Into<Activity>) -> Self {
        Self(json!({ "activity": Value::Object(activity.into().into_object()) }))
    }

    /// Delivers an event to the bot's handlers ([`Bot::on_event`](crate::Bot::on_event)), with the trigger `notify` or
    /// `timer:NAME`.
    pub fn event(name: &str, value: impl Into<Value>) -> Self {
        Self(json!({ "event": { "name": name, "value": value.into() } }))
    }

    fn into_text(self) -> String {
        self.0.to_string()
    }

    /// Begins a dialog of this plugin. Fault `invalid`: the options cannot be written as JSON.
    pub fn dialog(id: &str, options: impl Serialize) -> Result<Self> {
        let options = serde_json::to_value(options)
            .map_err(|error| Fault::invalid(format!("the options of the dialog `{id}`: {error}")))?;
        Ok(Self(json!({ "dialog": id, "options": options })))
    }
}

impl<'t> Conversations<'t> {
    pub(crate) fn new(host: &'t dyn Host) -> Self {
        Self { host }
    }

    /// Returns the reference of this turn's conversation. A plugin may store it and pass it to [`notify`](Self::notify) later.
    pub fn reference(&self) -> Result<String> {
        self.host.reference()
    }

    /// Stages a delivery into the conversation of a reference, and returns the id of the delivery.
    ///
    /// Faults: `invalid` (the reference is not one of this bot, or the bot has not met the conversation), `quota` (a chain of
    /// more than 8 deliveries in which each caused the next, or more than 50 in this turn), `denied`.
    pub fn notify(&self, reference: &str, when: When, delivery: Delivery) -> Result<String> {
        self.host.notify(reference, when.name(), &delivery.into_text())
    }

    /// Stages a delivery for a later time, and returns the id of its timer. Otherwise like [`notify`](Self::notify).
    ///
    /// `at` is an RFC 3339 time with an offset, or a cron expression with a time zone. The timer replaces a timer of the same
    /// name in the same conversation. Further fault: `invalid` for a time that cannot be read.
    pub fn schedule(&self, name: &str, at: &str, reference: &str, when: When, delivery: Delivery) -> Result<String> {
        self.host.schedule(name, at, reference, when.name(), &delivery.into_text())
    }

    /// Stages the cancellation of a delivery or timer, given by the id that `notify` or `schedule` returned. Returns false if
    /// it was delivered already or never existed.
    pub fn cancel(&self, id: &str) -> Result<bool> {
        self.host.cancel(id)
    }
}

impl fmt::Debug for Conversations<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Conversations")
    }
}
