//! Speaking first: messages that answer nothing, now or later, here or in another conversation.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use crate::turn::Host;
use crate::{Activity, Fault, Result};

/// What a turn can say into conversations later. It needs the grant `conversations`: see
/// [`Manifest::wants_conversations`](crate::Manifest::wants_conversations).
///
/// What is asked for becomes real with the turn. Each delivery is a turn of its own.
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

/// How something is delivered into a conversation (`conversations.wit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At once; dialogs are left as they are. Not for dialogs.
    Now,
    /// Once no dialog waits.
    Idle,
    /// On top of the dialog that waits, which repeats its question afterwards.
    Interrupt,
    /// After the dialogs were cancelled.
    Cancel,
}

/// What is delivered.
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
    /// An activity that the bot sends.
    pub fn activity(activity: impl Into<Activity>) -> Self {
        Self(json!({ "activity": Value::Object(activity.into().into_object()) }))
    }

    /// An event for the bot's handlers: [`Bot::on_event`](crate::Bot::on_event), with the trigger `notify` or `timer:NAME`.
    pub fn event(name: &str, value: impl Into<Value>) -> Self {
        Self(json!({ "event": { "name": name, "value": value.into() } }))
    }

    fn into_text(self) -> String {
        self.0.to_string()
    }

    /// A dialog of this plugin. Fault `invalid`: the options are nothing that JSON has a form for.
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

    /// Returns what stands for this turn's conversation, to be kept and given to [`notify`](Self::notify) later.
    pub fn reference(&self) -> Result<String> {
        self.host.reference()
    }

    /// Delivers something into the conversation of a reference, and returns its id. Faults: `invalid` (no reference of this
    /// bot, a conversation that it has not met), `quota` (a chain of more than 8, more than 50 in one turn), `denied`.
    pub fn notify(&self, reference: &str, when: When, delivery: Delivery) -> Result<String> {
        self.host.notify(reference, when.name(), &delivery.into_text())
    }

    /// The same at a time: RFC 3339 with an offset, or a cron expression with a time zone. A timer of the same name in the
    /// same conversation is replaced. Faults: as of `notify`, and `invalid` for a time that is none.
    pub fn schedule(&self, name: &str, at: &str, reference: &str, when: When, delivery: Delivery) -> Result<String> {
        self.host.schedule(name, at, reference, when.name(), &delivery.into_text())
    }

    /// Cancels what `notify` or `schedule` returned. False: it was delivered already, or never existed.
    pub fn cancel(&self, id: &str) -> Result<bool> {
        self.host.cancel(id)
    }
}

impl fmt::Debug for Conversations<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Conversations")
    }
}
