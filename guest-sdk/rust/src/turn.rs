//! The turn: what a handler knows and what it can do.

use std::fmt::Display;
use std::rc::Rc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::conversations::Conversations;
use crate::stack::{Frame, Stack};
use crate::state::{Entry, State};
use crate::{Activity, Fault, InvokeResponse, Result, read};

/// What the host does for a plugin: the one seam between the SDK and the contract. Implemented over the imports of the
/// component (`host.rs`) and by the fake host of the tests (`testing.rs`).
pub(crate) trait Host {
    fn reply(&self, activity: &str) -> Result<String>;
    fn send(&self, activity: &str) -> Result<String>;
    fn update(&self, id: &str, activity: &str) -> Result<()>;
    fn delete(&self, id: &str) -> Result<()>;
    fn flush(&self) -> Result<()>;
    fn respond(&self, status: u32, body: Option<&str>) -> Result<()>;
    fn setting(&self, key: &str) -> Option<String>;
    fn setting_keys(&self) -> Vec<String>;
    fn log(&self, level: &str, message: &str, fields: Vec<(String, String)>);
    fn state_get(&self, scope: &str, key: &str) -> Result<Option<Entry>>;
    fn state_set(&self, scope: &str, key: &str, value: &str, etag: Option<&str>) -> Result<String>;
    fn state_remove(&self, scope: &str, key: &str, etag: Option<&str>) -> Result<()>;
    fn begin(&self, dialog: &str, options: &str) -> Result<String>;
    fn replace(&self, dialog: &str, options: &str) -> Result<String>;
    fn cancel_all(&self) -> Result<u32>;
    fn reprompt(&self) -> Result<bool>;
    fn stack(&self) -> Result<Vec<Frame>>;
    fn reference(&self) -> Result<String>;
    fn notify(&self, reference: &str, mode: &str, content: &str) -> Result<String>;
    fn schedule(&self, name: &str, at: &str, reference: &str, mode: &str, content: &str) -> Result<String>;
    fn cancel(&self, id: &str) -> Result<bool>;
    fn since_epoch_ms(&self) -> u64;
}

/// One activity being handled.
///
/// What a handler sends is staged: it leaves, in order, once the whole turn has succeeded. A handler that returns a fault
/// or panics has sent nothing. Only `typing` and streaming activities leave at once.
///
/// Handlers get it as `&mut Turn`, as theirs alone. None of its functions needs that: they take `&self`, so a function of
/// yours takes `&Turn`.
///
/// ```
/// use turntable_sdk::prelude::*;
///
/// fn greet(turn: &Turn) -> Result {
///     turn.reply(format!("Hello, {}!", turn.text()))?;
///     Ok(Handled)
/// }
///
/// #[derive(Default)]
/// struct Greeter;
///
/// impl Bot for Greeter {
///     fn on_message(&mut self, turn: &mut Turn) -> Result {
///         greet(turn)
///     }
/// }
/// ```
pub struct Turn {
    meta: Meta,
    activity: Activity,
    host: Rc<dyn Host>,
}

/// What the host knows about the turn; a channel cannot forge it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Meta {
    /// The turn in logs, metrics and the admin API.
    pub turn_id: String,
    /// The configured name of the bot.
    pub bot_id: String,
    /// The channel, such as `directline` or `msteams`.
    pub channel_id: String,
    /// The conversation, opaque.
    pub conversation_id: String,
    /// The type of the activity.
    pub kind: String,
    /// Why the plugin runs: `activity`, `route:NAME`, and others later.
    pub trigger: String,
    /// The language that the channel named, as a BCP-47 tag.
    pub locale: Option<String>,
    /// CPU time that is left to this plugin in this turn, in milliseconds.
    pub budget_ms: u32,
    /// Further facts by name.
    pub extra: Vec<(String, String)>,
}

/// How important a line in the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For following single steps.
    Trace,
    /// For the author.
    Debug,
    /// For the operator, in normal operation.
    Info,
    /// Something is off; the plugin goes on.
    Warn,
    /// Something failed.
    Error,
}

impl Turn {
    pub(crate) fn new(meta: Meta, activity: Activity, host: Rc<dyn Host>) -> Self {
        Self { meta, activity, host }
    }

    /// The same turn once more, for what outlives a borrow of it.
    pub(crate) fn share(&self) -> Self {
        Self { meta: self.meta.clone(), activity: self.activity.clone(), host: Rc::clone(&self.host) }
    }

    pub(crate) fn since_epoch_ms(&self) -> u64 {
        self.host.since_epoch_ms()
    }

    /// Returns what the host knows about the turn.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Returns the activity as it arrived.
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Returns the text of the activity, or `""` where it has none.
    pub fn text(&self) -> &str {
        self.activity.text.as_deref().unwrap_or_default()
    }

    /// Returns what the user said: the text without mentions of the bot, quotes of other messages, the escapes of the channel
    /// and the signatures of mails, trimmed. [`text`](Self::text) is what the channel sent.
    pub fn spoken_text(&self) -> String {
        match self.meta.extra("spoken-text") {
            Some(spoken) => spoken.to_owned(),
            None => self.activity.text_without_recipient(),
        }
    }

    /// Returns the name of the route that matched, or none for an ordinary activity.
    pub fn route(&self) -> Option<&str> {
        self.meta.trigger.strip_prefix("route:")
    }

    /// Answers the activity and returns the host's id of the answer, good for [`update`](Self::update) and
    /// [`delete`](Self::delete). Takes a text, a card, an attachment or an [`Activity`].
    ///
    /// The host fills in who, where and what it answers. Faults: `invalid` (not an activity, or a type that only the host
    /// sends), `quota` (too many or too large).
    pub fn reply(&self, activity: impl Into<Activity>) -> Result<String> {
        self.host.reply(&text_of(activity.into()))
    }

    /// Says something in the conversation that answers nothing in particular. Otherwise like [`reply`](Self::reply).
    pub fn send(&self, activity: impl Into<Activity>) -> Result<String> {
        self.host.send(&text_of(activity.into()))
    }

    /// Replaces an activity that this bot sent, given by the host's id or the channel's. Faults: as for `reply`, and
    /// `invalid` for an id that this conversation does not know.
    pub fn update(&self, id: &str, activity: impl Into<Activity>) -> Result<()> {
        self.host.update(id, &text_of(activity.into()))
    }

    /// Deletes an activity that this bot sent. Ids and faults as for [`update`](Self::update).
    pub fn delete(&self, id: &str) -> Result<()> {
        self.host.delete(id)
    }

    /// Shows that the bot is at work, at once, for about three seconds.
    pub fn typing(&self) -> Result<()> {
        self.reply(Activity::new("typing")).map(drop)
    }

    /// Delivers what is staged now, before slow work. From here on a failure keeps what was flushed.
    pub fn flush(&self) -> Result<()> {
        self.host.flush()
    }

    /// Sets the answer to an invoke. The last one of the turn counts; without one the caller gets 501. The handlers of
    /// single invokes return their answer instead. Faults: `invalid` (the turn is no invoke), `quota`.
    pub fn respond(&self, response: InvokeResponse) -> Result<()> {
        let body = response.body.map(|body| body.to_string());
        self.host.respond(response.status.into(), body.as_deref())
    }

    /// Returns the values that outlive the turn. They need the grant `state`: see [`Manifest::wants_state`](crate::Manifest::wants_state).
    pub fn state(&self) -> State<'_> {
        State::new(&*self.host)
    }

    /// Returns the dialog stack of the conversation. It needs the grant `dialogs`: see
    /// [`Manifest::wants_dialogs`](crate::Manifest::wants_dialogs).
    pub fn dialogs(&self) -> Stack<'_> {
        Stack::new(&*self.host)
    }

    /// Returns the way to speak first: later, or in another conversation. It needs the grant `conversations`: see
    /// [`Manifest::wants_conversations`](crate::Manifest::wants_conversations).
    pub fn conversations(&self) -> Conversations<'_> {
        Conversations::new(&*self.host)
    }

    /// Returns a setting, or none where the operator did not set it. Fault `invalid`: it is of another type.
    pub fn config<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let Some(text) = self.host.setting(key) else { return Ok(None) };
        let value = read::text(&text).map_err(|error| Fault::invalid(format!("the setting `{key}`: {error}")))?;
        Ok(Some(value))
    }

    /// Returns a setting that must be there; better say so in the settings schema of the manifest. Fault `invalid`: it is
    /// not set, or of another type.
    pub fn required<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        self.config(key)?.ok_or_else(|| Fault::invalid(format!("the setting `{key}` is not set")))
    }

    /// Returns the names of all settings, sorted.
    pub fn config_keys(&self) -> Vec<String> {
        self.host.setting_keys()
    }

    /// Reads `value` of the activity into an author's type. Fault `invalid`: it is absent or of another shape.
    pub fn value<T: DeserializeOwned>(&self) -> Result<T> {
        let value = self.activity.value.as_ref().unwrap_or(&Value::Null);
        read::value(value).map_err(|error| Fault::invalid(format!("the value of the activity: {error}")))
    }

    /// Writes a line to the host's log. `message` is constant text and `fields` its variables, so that lines can be found.
    ///
    /// ```
    /// # use turntable_sdk::prelude::*;
    /// # fn handler(turn: &mut Turn) {
    /// turn.log(Level::Info, "ticket opened", &[("ticket", &42), ("queue", &"desk")]);
    /// # }
    /// ```
    pub fn log(&self, level: Level, message: &str, fields: &[(&str, &dyn Display)]) {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect();
        self.host.log(level.name(), message, fields);
    }
}

impl Meta {
    /// Returns a further fact by its name.
    pub fn extra(&self, name: &str) -> Option<&str> {
        self.extra.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Level {
    /// Returns the level's name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

fn text_of(activity: Activity) -> String {
    Value::Object(activity.into_object()).to_string()
}
