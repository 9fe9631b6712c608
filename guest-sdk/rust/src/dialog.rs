//! Dialogs: parts of a conversation that take more than one turn. The host keeps the stack; the plugin implements what a
//! dialog does.

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

/// A bot that owns dialogs. Register it with `turntable_sdk::register!(YourBot, dialogs)`. The manifest then lists the dialogs
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
    label = "this type does not implement `Dialogs`",
    note = "implement `turntable_sdk::Dialogs` for it, or register it without `, dialogs`"
)]
pub trait Dialogs: Bot {
    /// Returns the dialogs. The same settings must give the same dialogs.
    fn dialogs(&self) -> DialogSet;
}

/// One dialog. [`Waterfall`] and [`StraightLine`] implement this trait; implement it yourself for another style.
pub trait Dialog {
    /// Returns the id: at most 64 lower-case letters, digits and hyphens.
    fn id(&self) -> &str;

    /// Returns the version of the state. A frame whose stored state has an older version gets the event `migrate` first.
    fn state_version(&self) -> u32 {
        0
    }

    /// Handles one event. `state` is what the last step stored. For the event `continue` the activity of the turn is the
    /// activity that arrived; for other events it is empty. Return [`Step::ignored`] for an event that you do not know.
    fn on_event(&self, turn: &mut Turn, event: &Event, state: Option<Value>) -> Result<Step>;
}

/// The dialogs of a plugin.
#[derive(Default)]
pub struct DialogSet {
    dialogs: Vec<Box<dyn Dialog>>,
}

/// An event of a dialog. `dialogs.wit` lists the kinds and their data.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `begin`, `continue`, `resume`, `reprompt`, `cancelled`, `validate`, `migrate`, or a later one.
    pub kind: String,
    /// The id of the dialog.
    pub name: String,
    /// The data. Its shape depends on the kind.
    pub data: Value,
}

/// What the host does next for a dialog. `dialogs.wit` lists the kinds and their data.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a step does nothing unless it is returned"]
pub struct Step {
    pub(crate) kind: &'static str,
    pub(crate) state: Option<Value>,
    pub(crate) data: Value,
}

/// How the prompt or dialog that a dialog waited for has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// `completed`, `cancelled` or `failed`.
    pub reason: String,
    /// The result. `null` unless the reason is `completed`.
    pub result: Value,
}

impl DialogSet {
    /// Creates an empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a dialog. If two dialogs have the same id, the first one counts.
    #[must_use]
    pub fn with(mut self, dialog: impl Dialog + 'static) -> Self {
        self.dialogs.push(Box::new(dialog));
        self
    }

    /// Returns the id and the state version of each dialog.
    pub fn ids(&self) -> impl Iterator<Item = (&str, u32)> {
        self.dialogs.iter().map(|dialog| (dialog.id(), dialog.state_version()))
    }

    /// Passes an event to its dialog. Faults: `invalid` if there is no dialog of this id, `internal` if the state is not JSON.
    pub(crate) fn take(&self, turn: &mut Turn, event: &Event, state: Option<&str>) -> Result<Step> {
        let dialog = self.dialogs.iter().find(|dialog| dialog.id() == event.name);
        let dialog = dialog.ok_or_else(|| Fault::invalid(format!("there is no dialog `{}`", event.name)))?;
        dialog.on_event(turn, event, state.map(serde_json::from_str).transpose()?)
    }
}

impl Event {
    /// Reads an event from its parts in the contract.
    pub(crate) fn read(kind: &str, name: &str, data: &str) -> Result<Self> {
        Ok(Self { kind: kind.to_owned(), name: name.to_owned(), data: serde_json::from_str(data)? })
    }

    /// Returns the activity that a handler of this event sees.
    pub(crate) fn activity(&self) -> Activity {
        match (&*self.kind, &self.data) {
            ("continue", Value::Object(activity)) => Activity::from_object(activity.clone()),
            _ => Activity::default(),
        }
    }

    /// Reads the outcome of an event `resume`. For other events, such as `continue`, it is completed with the event's data.
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

    /// Waits: the next message goes to this dialog.
    pub fn wait() -> Self {
        Self::new("wait", Value::Null)
    }

    /// Waits: the next message or activity of one of these types goes to this dialog.
    pub fn wait_for<const N: usize>(types: [&str; N]) -> Self {
        Self::new("wait", json!({ "activities": types.as_slice() }))
    }

    /// Asks: the host runs the prompt, and the dialog resumes with the answer.
    pub fn prompt<T>(prompt: Prompt<T>) -> Self {
        Self::new("prompt", prompt.into_value())
    }

    /// Calls another dialog of this plugin. It runs on top, and this one resumes with its result. Fault `internal`: the options
    /// cannot be written as JSON.
    pub fn call(dialog: &str, options: impl Serialize) -> Result<Self> {
        Ok(Self::new("call", json!({ "dialog": dialog, "options": serde_json::to_value(options)? })))
    }

    /// Ends this dialog and begins another in its place, with the same parent. Fault `internal`: the options cannot be written as
    /// JSON.
    pub fn replace(dialog: &str, options: impl Serialize) -> Result<Self> {
        Ok(Self::new("replace", json!({ "dialog": dialog, "options": serde_json::to_value(options)? })))
    }

    /// Ends the dialog with a result for its parent. Fault `internal`: the result cannot be written as JSON.
    pub fn done(result: impl Serialize) -> Result<Self> {
        Ok(Self::new("done", serde_json::to_value(result)?))
    }

    /// Ends the dialog without a result.
    pub fn cancelled() -> Self {
        Self::new("cancelled", Value::Null)
    }

    /// Delivers what was sent so far, then resumes the dialog.
    pub fn flush() -> Self {
        Self::new("flush", Value::Null)
    }

    /// Leaves the event unhandled.
    pub fn ignored() -> Self {
        Self::new("ignored", Value::Null)
    }

    /// Sets the state to store until the next event. Without this call the stored state stays.
    pub fn with_state(mut self, state: Value) -> Self {
        self.state = Some(state);
        self
    }
}

impl Outcome {
    fn completed(result: Value) -> Self {
        Self { reason: "completed".to_owned(), result }
    }

    /// Returns true if there is a result.
    pub fn is_completed(&self) -> bool {
        self.reason == "completed"
    }

    /// Reads the result. Fault `invalid`: there is no result, or it has another shape.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        read::value(&self.result).map_err(|error| Fault::invalid(format!("the result ({}): {error}", self.reason)))
    }
}

/// Returns the 64-bit FNV-1a hash in hexadecimal. It detects that a text was edited; it protects against nothing.
pub(crate) fn hash(text: &str) -> String {
    format!("{:016x}", hash_number(text))
}

pub(crate) fn hash_number(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
