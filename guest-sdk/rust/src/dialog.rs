//! Dialogs: conversations of more than one turn. The stack is the host's, what a dialog does is the plugin's.

mod dialogue;
mod hooks;
mod journal;
mod straight;
mod waterfall;

pub use dialogue::{Dialogue, Once};
pub use hooks::{Check, Migration, Verdict};
pub use straight::StraightLine;
pub use waterfall::{Waterfall, WaterfallStep};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::prompt::Prompt;
use crate::{Activity, Bot, Fault, Result, Turn, read};

/// A bot that owns dialogs. Register it with `turntable_sdk::register!(YourBot, dialogs)`; the manifest then lists them
/// and asks for the grant `dialogs`.
///
/// ```
/// use turntable_sdk::prelude::*;
/// use turntable_sdk::prompt::text;
///
/// #[derive(Default)]
/// struct Greeter;
///
/// impl Bot for Greeter {
///     fn on_message(&mut self, turn: &mut Turn) -> Result {
///         turn.dialogs().begin("greet", ())?;
///         Ok(Handled)
///     }
/// }
///
/// impl Dialogs for Greeter {
///     fn dialogs(&self) -> DialogSet {
///         DialogSet::new().with(StraightLine::new("greet", greet))
///     }
/// }
///
/// async fn greet(d: &mut Dialogue) -> Result<String> {
///     let name = d.ask(text("What is your name?")).await?;
///     d.send(format!("Hello, {name}!"))?;
///     Ok(name)
/// }
///
/// turntable_sdk::register!(Greeter, dialogs);
/// # fn main() {}
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no dialogs",
    label = "this type does not say which dialogs it owns",
    note = "implement `turntable_sdk::Dialogs` for it, or register it without `, dialogs`"
)]
pub trait Dialogs: Bot {
    /// Returns the dialogs. It must return the same for the same settings.
    fn dialogs(&self) -> DialogSet;
}

/// One kind of dialog. [`Waterfall`] and [`StraightLine`] are two; implement it for one of another style.
pub trait Dialog {
    /// Returns its id: lower-case letters, digits and hyphens, at most 64.
    fn id(&self) -> &str;

    /// Returns the version of the state that it keeps. A frame with a state of an older one gets event `migrate` first.
    fn state_version(&self) -> u32 {
        0
    }

    /// Takes one event. `state` is what the last step kept. The activity of the turn is the one of event `continue`, and
    /// empty for other events. Answer [`Step::ignored`] to an event that you do not know.
    fn on_event(&self, turn: &mut Turn, event: &Event, state: Option<Value>) -> Result<Step>;
}

/// The dialogs of a plugin.
#[derive(Default)]
pub struct DialogSet {
    dialogs: Vec<Box<dyn Dialog>>,
}

/// Something that happened to a dialog; `dialogs.wit` lists the kinds and their data.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `begin`, `continue`, `resume`, `reprompt`, `cancelled`, `validate`, `migrate`, or a later one.
    pub kind: String,
    /// The id of the dialog.
    pub name: String,
    /// Shaped by the kind.
    pub data: Value,
}

/// What a dialog wants next; `dialogs.wit` lists the kinds and their data.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a step does nothing unless it is returned"]
pub struct Step {
    pub(crate) kind: &'static str,
    pub(crate) state: Option<Value>,
    pub(crate) data: Value,
}

/// What became of the thing that a dialog waited for.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// `completed`, `cancelled` or `failed`.
    pub reason: String,
    /// The result; `null` unless completed.
    pub result: Value,
}

impl DialogSet {
    /// Makes an empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a dialog. Of two with one id the first counts.
    #[must_use]
    pub fn with(mut self, dialog: impl Dialog + 'static) -> Self {
        self.dialogs.push(Box::new(dialog));
        self
    }

    /// Returns id and state version of each dialog.
    pub fn ids(&self) -> impl Iterator<Item = (&str, u32)> {
        self.dialogs.iter().map(|dialog| (dialog.id(), dialog.state_version()))
    }

    /// Sends an event to the dialog that it names. Fault `invalid`: there is none of this id, or the state is no JSON.
    pub(crate) fn take(&self, turn: &mut Turn, event: &Event, state: Option<&str>) -> Result<Step> {
        let dialog = self.dialogs.iter().find(|dialog| dialog.id() == event.name);
        let dialog = dialog.ok_or_else(|| Fault::invalid(format!("there is no dialog `{}`", event.name)))?;
        dialog.on_event(turn, event, state.map(serde_json::from_str).transpose()?)
    }
}

impl Event {
    /// Reads an event as it crosses the contract.
    pub(crate) fn read(kind: &str, name: &str, data: &str) -> Result<Self> {
        Ok(Self { kind: kind.to_owned(), name: name.to_owned(), data: serde_json::from_str(data)? })
    }

    /// The activity that a handler of this event sees.
    pub(crate) fn activity(&self) -> Activity {
        match (&*self.kind, &self.data) {
            ("continue", Value::Object(activity)) => Activity::from_object(activity.clone()),
            _ => Activity::default(),
        }
    }

    /// Reads the data of an event `resume`, or of `continue`, whose result is the activity.
    pub(crate) fn outcome(&self) -> Outcome {
        if self.kind != "resume" {
            return Outcome::completed(self.data.clone());
        }
        let reason = self.data.get("reason").and_then(Value::as_str).unwrap_or("completed").to_owned();
        Outcome { reason, result: self.data.get("result").cloned().unwrap_or_default() }
    }
}

impl Step {
    fn new(kind: &'static str, data: Value) -> Self {
        Self { kind, state: None, data }
    }

    /// The next message goes to this dialog.
    pub fn wait() -> Self {
        Self::new("wait", Value::Null)
    }

    /// The next message goes to this dialog, and so does an activity of one of these types.
    pub fn wait_for<const N: usize>(types: [&str; N]) -> Self {
        Self::new("wait", json!({ "activities": types.as_slice() }))
    }

    /// The host asks, and the dialog resumes with the answer.
    pub fn prompt<T>(prompt: Prompt<T>) -> Self {
        Self::new("prompt", prompt.into_value())
    }

    /// Another dialog of this plugin runs on top, and this one resumes with its result. Fault: the options are no JSON.
    pub fn call(dialog: &str, options: impl Serialize) -> Result<Self> {
        Ok(Self::new("call", json!({ "dialog": dialog, "options": serde_json::to_value(options)? })))
    }

    /// This dialog ends and another takes its place, with the same parent. Fault: the options are no JSON.
    pub fn replace(dialog: &str, options: impl Serialize) -> Result<Self> {
        Ok(Self::new("replace", json!({ "dialog": dialog, "options": serde_json::to_value(options)? })))
    }

    /// The dialog ends with a result for its parent. Fault: the result is no JSON.
    pub fn done(result: impl Serialize) -> Result<Self> {
        Ok(Self::new("done", serde_json::to_value(result)?))
    }

    /// The dialog ends without a result.
    pub fn cancelled() -> Self {
        Self::new("cancelled", Value::Null)
    }

    /// What was sent so far is delivered, then the dialog resumes.
    pub fn flush() -> Self {
        Self::new("flush", Value::Null)
    }

    /// The event is not taken.
    pub fn ignored() -> Self {
        Self::new("ignored", Value::Null)
    }

    /// Sets the state to keep until the next event. Without, what was kept before stays.
    pub fn with_state(mut self, state: Value) -> Self {
        self.state = Some(state);
        self
    }
}

impl Outcome {
    fn completed(result: Value) -> Self {
        Self { reason: "completed".to_owned(), result }
    }

    /// Tells whether there is a result.
    pub fn is_completed(&self) -> bool {
        self.reason == "completed"
    }

    /// Reads the result. Fault `invalid`: it is of another shape, or there is none.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        read::value(&self.result).map_err(|error| Fault::invalid(format!("the result ({}): {error}", self.reason)))
    }
}

/// FNV-1a, 64 bits, in hexadecimal: enough to tell an edited text from the one that was recorded.
pub(crate) fn hash(text: &str) -> String {
    format!("{:016x}", hash_number(text))
}

pub(crate) fn hash_number(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
