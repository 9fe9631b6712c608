//! The turn, through which a handler reads the activity and calls the host.

use std::fmt::Display;
use std::rc::Rc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::conversations::Conversations;
use crate::http::{Http, Reply, Request};
use crate::stack::{Frame, Stack};
use crate::state::{Entry, State};
use crate::{Activity, Fault, InvokeResponse, Result, TextStream, read};

/// The functions of the host, the only interface between the SDK and the contract. `host.rs` implements it with the imports of
/// the component, and `testing.rs` with a fake host.
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
    fn http(&self, request: Request) -> Result<Reply>;
    fn stream_open(&self, informative: Option<&str>) -> Result<String>;
    fn stream_append(&self, id: &str, text: &str) -> Result<()>;
    fn stream_close(&self, id: &str, activity: &str) -> Result<()>;
    fn since_epoch_ms(&self) -> u64;
}

/// The turn: one activity that is being handled.
///
/// Sends are staged. They leave, in order, after the whole turn has succeeded. If a handler returns a fault or panics, the host
/// discards what it sent. Only `typing` and streaming activities leave at once.
///
/// Handlers get a `&mut Turn`, but all functions take `&self`, so your own functions can take a `&Turn`.
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

/// What the host knows about the turn. A channel cannot forge `turn_id`, `bot_id` and `trigger`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Meta {
    /// The id of the turn in logs, metrics and the admin API.
    pub turn_id: String,
    /// The name of the bot in the configuration.
    pub bot_id: String,
    /// The channel, such as `directline` or `msteams`.
    pub channel_id: String,
    /// The id of the conversation: opaque.
    pub conversation_id: String,
    /// The type of the activity.
    pub kind: String,
    /// Why the plugin runs: `activity`, `route:NAME`, `dialog:ID`, `notify`, `timer:NAME`, or another value. Treat a value that
    /// you do not know as `activity`.
    pub trigger: String,
    /// The language of the activity, as a BCP-47 tag, if the channel sent one.
    pub locale: Option<String>,
    /// CPU time that this plugin may still use in this turn, in milliseconds.
    pub budget_ms: u32,
    /// Further facts as pairs of name and value; `types.wit` lists the names.
    pub extra: Vec<(String, String)>,
}

/// The level of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Single steps, for debugging.
    Trace,
    /// Details for the author of the plugin.
    Debug,
    /// Normal operation, for the operator.
    Info,
    /// A problem that the plugin can work around.
    Warn,
    /// A failure.
    Error,
}

impl Turn {
    pub(crate) fn new(meta: Meta, activity: Activity, host: Rc<dyn Host>) -> Self {
        Self { meta, activity, host }
    }

    /// Returns a second handle to the same turn, for owners that outlive a borrow.
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

    /// Returns the text of the activity as the channel sent it, or `""` if it has no text.
    pub fn text(&self) -> &str {
        self.activity.text.as_deref().unwrap_or_default()
    }

    /// Returns what the user said: the text without mentions of the bot, quotes of other messages, escapes of the channel and
    /// e-mail signatures, trimmed. [`text`](Self::text) returns the text as the channel sent it.
    pub fn spoken_text(&self) -> String {
        match self.meta.extra("spoken-text") {
            Some(spoken) => spoken.to_owned(),
            None => self.activity.text_without_recipient(),
        }
    }

    /// Returns the name of the route that matched, or none if no route matched.
    pub fn route(&self) -> Option<&str> {
        self.meta.trigger.strip_prefix("route:")
    }

    /// Sends a reply to the activity: a text, a card, an attachment or an [`Activity`]. Returns its host id, which
    /// [`update`](Self::update) and [`delete`](Self::delete) accept.
    ///
    /// The host fills in the accounts, the conversation and `reply_to_id`. Faults: `invalid` (not an activity, or a type that only
    /// the host may send), `quota` (too many sends, or too large).
    pub fn reply(&self, activity: impl Into<Activity>) -> Result<String> {
        self.host.reply(&text_of(activity.into()))
    }

    /// Sends an activity to the conversation that does not refer to the activity of the turn. Otherwise like
    /// [`reply`](Self::reply).
    pub fn send(&self, activity: impl Into<Activity>) -> Result<String> {
        self.host.send(&text_of(activity.into()))
    }

    /// Replaces an activity that this bot sent. `id` is its host id or the channel's id. Faults are as for `reply`, and `invalid`
    /// for an id that is unknown in this conversation.
    pub fn update(&self, id: &str, activity: impl Into<Activity>) -> Result<()> {
        self.host.update(id, &text_of(activity.into()))
    }

    /// Deletes an activity that this bot sent. Ids and faults are as for [`update`](Self::update).
    pub fn delete(&self, id: &str) -> Result<()> {
        self.host.delete(id)
    }

    /// Shows a typing indicator. It leaves at once and lasts for about three seconds.
    pub fn typing(&self) -> Result<()> {
        self.reply(Activity::new("typing")).map(drop)
    }

    /// Opens a reply that grows while the user reads it. `informative` is a first line that the first text replaces, or `None`.
    /// Opening a stream flushes the turn, see [`flush`](Self::flush). It works in handlers, not in dialogs and middleware.
    ///
    /// ```
    /// # use turntable_sdk::prelude::*;
    /// # fn answer(turn: &Turn) -> Result {
    /// let mut stream = turn.stream("Looking that up …")?;
    /// for word in ["Paris", " is the", " capital of France."] {
    ///     stream.append(word)?;
    /// }
    /// stream.close()?;
    /// # Ok(Handled)
    /// # }
    /// ```
    ///
    /// Faults: `denied` (in a dialog or middleware), `invalid` (another stream is open), and those of `flush`.
    pub fn stream<'a>(&self, informative: impl Into<Option<&'a str>>) -> Result<TextStream<'_>> {
        TextStream::open(&*self.host, informative.into())
    }

    /// Delivers what is staged now. Use it before slow work. If the turn fails later, the flushed part remains.
    pub fn flush(&self) -> Result<()> {
        self.host.flush()
    }

    /// Sets the response to an invoke. The last one of the turn counts. If no plugin sets one, the caller gets 501. Handlers of
    /// invokes return their response instead. Faults: `invalid` (the activity is not an invoke), `quota`.
    pub fn respond(&self, response: InvokeResponse) -> Result<()> {
        let body = response.body.map(|body| body.to_string());
        self.host.respond(response.status.into(), body.as_deref())
    }

    /// Returns the state: values that outlive the turn. It needs the grant `state`: see
    /// [`Manifest::wants_state`](crate::Manifest::wants_state).
    pub fn state(&self) -> State<'_> {
        State::new(&*self.host)
    }

    /// Returns the dialog stack of the conversation. It needs the grant `dialogs`: see
    /// [`Manifest::wants_dialogs`](crate::Manifest::wants_dialogs).
    pub fn dialogs(&self) -> Stack<'_> {
        Stack::new(&*self.host)
    }

    /// Returns the functions to send messages later or into another conversation. They need the grant `conversations`: see
    /// [`Manifest::wants_conversations`](crate::Manifest::wants_conversations).
    pub fn conversations(&self) -> Conversations<'_> {
        Conversations::new(&*self.host)
    }

    /// Returns the functions to send HTTP requests. They need the grant `http`: see
    /// [`Manifest::wants_http`](crate::Manifest::wants_http).
    pub fn http(&self) -> Http<'_> {
        Http::new(&*self.host)
    }

    /// Returns a setting, or none if the operator did not set it. Fault `invalid`: it has another type.
    pub fn config<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let Some(text) = self.host.setting(key) else { return Ok(None) };
        let value = read::text(&text).map_err(|error| Fault::invalid(format!("the setting `{key}`: {error}")))?;
        Ok(Some(value))
    }

    /// Returns a required setting. Fault `invalid`: it is not set or has another type. List it as `required` in the manifest's
    /// settings schema too, so that the host reports a missing setting when it loads the plugin.
    pub fn required<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        self.config(key)?.ok_or_else(|| Fault::invalid(format!("the setting `{key}` is not set")))
    }

    /// Returns the names of all settings, sorted.
    pub fn config_keys(&self) -> Vec<String> {
        self.host.setting_keys()
    }

    /// Reads the `value` of the activity. Fault `invalid`: it is absent or has another shape.
    pub fn value<T: DeserializeOwned>(&self) -> Result<T> {
        let value = self.activity.value.as_ref().unwrap_or(&Value::Null);
        read::value(value).map_err(|error| Fault::invalid(format!("the value of the activity: {error}")))
    }

    /// Writes a line to the host's log. Put constant text into `message` and variable values into `fields`, so that operators can
    /// search for a message.
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
    /// Returns a fact in `extra` by its name.
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
