//! A test host for plugins. `cargo test` runs the bot in it as native code, without Wasm.
//!
//! [`TestHost`] follows the rules of the host that a plugin can observe. Sends get ids and missing members, a fault discards
//! staged sends, the plugin gets only the activity types of its manifest, an invoke without a response is a 501, and activities
//! that the host would refuse are refused. State and the dialog stack last from turn to turn. Dialogs run as in the host, with
//! prompts, validators, migrations and failures. Routes get the messages that their patterns match, in the order of the host.
//!
//! Dialogs and prompts are the host's own code (`turntable-dialog`), so answers in all five languages are recognized. There are two
//! differences: nothing is delivered, and CPU and memory are not limited.
//!
//! ```
//! use turntable_sdk::prelude::*;
//! use turntable_sdk::testing::TestHost;
//!
//! #[derive(Default)]
//! struct Echo;
//!
//! impl Bot for Echo {
//!     fn on_message(&mut self, turn: &mut Turn) -> Result {
//!         turn.reply(format!("Echo: {}", turn.text()))?;
//!         Ok(Handled)
//!     }
//! }
//!
//! let host = TestHost::<Echo>::new();
//! host.says("hello").replies("Echo: hello").handled();
//! host.joins(["u2"]).silent().passes();
//! ```

mod answer;
mod arrange;
mod engine;
mod fake;
mod memory;
mod server;

pub use answer::{Answer, Asked, LogLine, Sent, SentAs};
pub use server::HttpReply;

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

use serde_json::{Value, json};

use crate::activity::{Activity, ChannelAccount, ConversationAccount};
use crate::http::Request;
use crate::middleware::{self, HookEvent};
use crate::turn::Meta;
use crate::{Bot, DialogSet, Dialogs, Fault, Flow, Manifest, Middleware, Passage, Turn, dispatch};
use turntable_dialog::Progress;

use engine::Engine;
use fake::{FakeHost, Script};
use memory::Memory;
use server::Server;

/// A function of the host; see [`TestHost::refuses`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `Turn::reply`.
    Reply,
    /// `Turn::send`.
    Send,
    /// `Turn::update`.
    Update,
    /// `Turn::delete`.
    Delete,
    /// `Turn::flush`.
    Flush,
    /// `Turn::respond`.
    Respond,
    /// `Turn::state`.
    State,
    /// `Turn::dialogs`.
    Stack,
    /// `Turn::conversations`.
    Conversations,
    /// `Turn::http`.
    Http,
    /// `Turn::stream`.
    Stream,
}

/// A host with one bot, one user and one conversation. Each activity is a turn with a new bot.
///
/// State and dialog stacks last from turn to turn. A clone shares them, so `host.clone().user(…)` is another user of the same
/// bot.
#[derive(Debug)]
pub struct TestHost<B> {
    script: Script,
    channel: String,
    locale: Option<String>,
    user: ChannelAccount,
    conversation: String,
    memory: Rc<RefCell<Memory>>,
    dialogs: fn() -> DialogSet,
    bot: PhantomData<fn() -> B>,
}

const BOT_ID: &str = "bot";
const CONVERSATION_ID: &str = "conversation-1";
/// How often a turn runs again after a conflict.
const RERUNS_MAX: usize = 3;

// Deriving it would require `B: Clone`.
impl<B> Clone for TestHost<B> {
    fn clone(&self) -> Self {
        Self {
            script: self.script.clone(),
            channel: self.channel.clone(),
            locale: self.locale.clone(),
            user: self.user.clone(),
            conversation: self.conversation.clone(),
            memory: Rc::clone(&self.memory),
            ..*self
        }
    }
}

impl<B: Bot + Default> Default for TestHost<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B: Bot + Default> TestHost<B> {
    /// Creates a host without settings. The channel is `directline` and the user is `user`, named Ann.
    pub fn new() -> Self {
        Self {
            script: Script::default(),
            channel: "directline".to_owned(),
            locale: None,
            user: ChannelAccount::new("user").named("Ann"),
            conversation: CONVERSATION_ID.to_owned(),
            memory: Rc::default(),
            dialogs: DialogSet::new,
            bot: PhantomData,
        }
    }

    /// Sets a setting of the plugin.
    #[must_use]
    pub fn setting(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.script.settings.insert(key.to_owned(), value.into());
        self
    }

    /// Sets the channel.
    #[must_use]
    pub fn channel(mut self, channel: &str) -> Self {
        channel.clone_into(&mut self.channel);
        self
    }

    /// Sets the user's language.
    #[must_use]
    pub fn locale(mut self, locale: &str) -> Self {
        self.locale = Some(locale.to_owned());
        self
    }

    /// Sets the user.
    #[must_use]
    pub fn user(mut self, user: ChannelAccount) -> Self {
        self.user = user;
        self
    }

    /// Sets the id of the conversation.
    #[must_use]
    pub fn conversation(mut self, id: &str) -> Self {
        id.clone_into(&mut self.conversation);
        self
    }

    /// Sets the time, in milliseconds since 1970.
    #[must_use]
    pub fn at(mut self, milliseconds: u64) -> Self {
        self.script.now = milliseconds;
        self
    }

    /// Makes every call of this function return a fault.
    #[must_use]
    pub fn refuses(mut self, call: Call, fault: Fault) -> Self {
        self.script.refusals.push((call, fault));
        self
    }

    /// Answers the HTTP requests of the bot. Without it every request is denied. It does not check grants.
    ///
    /// ```
    /// use turntable_sdk::http::Request;
    /// use turntable_sdk::prelude::*;
    /// use turntable_sdk::testing::{HttpReply, TestHost};
    ///
    /// #[derive(Default)]
    /// struct Weather;
    ///
    /// impl Bot for Weather {
    ///     fn on_message(&mut self, turn: &mut Turn) -> Result {
    ///         let answer = turn.http().send(Request::get("https://weather.example/now"))?;
    ///         turn.reply(answer.text()?)?;
    ///         Ok(Handled)
    ///     }
    /// }
    ///
    /// let host = TestHost::<Weather>::new().serves(|request| HttpReply::new(200, format!("fine at {}", request.url)));
    /// host.says("how is it?").replies("fine at https://weather.example/now");
    /// ```
    #[must_use]
    pub fn serves(mut self, server: impl Fn(&Request) -> HttpReply + 'static) -> Self {
        self.script.server = Some(Server(Rc::new(server)));
        self
    }

    /// Runs a turn for a message of the user.
    #[must_use = "a turn that nobody looks at tests nothing"]
    pub fn says(&self, text: &str) -> Answer {
        self.takes(Activity::message(text))
    }

    /// Runs a turn for members that join, given by their ids. The bot's own id is `bot`.
    #[must_use = "a turn that nobody looks at tests nothing"]
    pub fn joins<const N: usize>(&self, ids: [&str; N]) -> Answer {
        let members_added = ids.map(ChannelAccount::new).into();
        self.takes(Activity { members_added, ..Activity::new("conversationUpdate") })
    }

    /// Runs a turn for members that leave, given by their ids.
    #[must_use = "a turn that nobody looks at tests nothing"]
    pub fn leaves<const N: usize>(&self, ids: [&str; N]) -> Answer {
        let members_removed = ids.map(ChannelAccount::new).into();
        self.takes(Activity { members_removed, ..Activity::new("conversationUpdate") })
    }

    /// Runs a turn for an event.
    #[must_use = "a turn that nobody looks at tests nothing"]
    pub fn event(&self, name: &str, value: impl Into<Value>) -> Answer {
        self.takes(Activity::event(name, value))
    }

    /// Runs a turn for an invoke.
    #[must_use = "a turn that nobody looks at tests nothing"]
    pub fn invokes(&self, name: &str, value: impl Into<Value>) -> Answer {
        self.takes(Activity { kind: "invoke".to_owned(), ..Activity::event(name, value) })
    }

    /// Runs a turn for any activity. Members that a channel would set are filled in if they are absent.
    #[must_use = "a turn that nobody looks at tests nothing"]
    pub fn takes(&self, activity: Activity) -> Answer {
        self.run("activity", activity)
    }

    /// Runs a turn for a message that this route of the manifest gets, whatever its pattern.
    ///
    /// # Panics
    ///
    /// Panics if the manifest has no such route.
    #[must_use = "a turn that nobody looks at tests nothing"]
    pub fn takes_route(&self, route: &str, text: &str) -> Answer {
        assert!(B::default().manifest().has_route(route), "the manifest has no route `{route}`");
        self.run(&format!("route:{route}"), Activity::message(text))
    }

    /// Returns the manifest as JSON. It contains name and version only if the bot sets them.
    pub fn manifest(&self) -> Value {
        self.described().into_value()
    }

    fn described(&self) -> Manifest {
        let dialogs = (self.dialogs)();
        let manifest = B::default().manifest();
        if dialogs.ids().next().is_some() { manifest.of_dialogs(&dialogs) } else { manifest }
    }

    fn run(&self, trigger: &str, activity: Activity) -> Answer {
        // The contract passes activities as text, so the test does too.
        let text = Value::Object(self.filled_in(activity).into_object()).to_string();
        let incoming = match turntable_dialog::Activity::parse(&text) {
            Ok(incoming) => incoming,
            Err(error) => return Answer::failed(Fault::invalid(error.to_string())),
        };
        let activity: Activity = match serde_json::from_str(incoming.text()) {
            Ok(activity) => activity,
            Err(error) => return Answer::failed(error.into()),
        };
        let mut meta = self.meta(&activity, trigger);
        let spoken = incoming.spoken_text();
        if incoming.kind() == "message" && spoken != incoming.str("text") {
            meta.extra.push(("spoken-text".to_owned(), spoken));
        }
        let mut last = Answer::new(Ok(Flow::Next));
        for _ in 0..=RERUNS_MAX {
            let (answer, committed) = self.attempt(&meta, &activity, &incoming);
            if committed {
                return answer;
            }
            last = answer;
        }
        let fault = Fault::conflict("somebody else wrote a value that this turn relied on, each time it ran");
        Answer { sent: Vec::new(), result: Err(fault), ..last }
    }

    fn meta(&self, activity: &Activity, trigger: &str) -> Meta {
        Meta {
            turn_id: "01TEST0TURN000000000000000".to_owned(),
            bot_id: "test".to_owned(),
            channel_id: activity.channel_id.clone().unwrap_or_default(),
            conversation_id: activity.conversation.as_ref().map(|it| it.id.clone()).unwrap_or_default(),
            kind: activity.kind.clone(),
            trigger: trigger.to_owned(),
            locale: activity.locale.clone(),
            budget_ms: 100,
            extra: vec![
                ("plugin".to_owned(), "test".to_owned()),
                ("random-seed".to_owned(), "00112233445566778899aabbccddeeff".to_owned()),
            ],
        }
    }

    /// Runs the turn once. Returns false if another turn changed a value that it relied on, so that it must run again.
    fn attempt(&self, meta: &Meta, activity: &Activity, incoming: &turntable_dialog::Activity) -> (Answer, bool) {
        let mut script = self.script.clone();
        script.dialogs = (self.dialogs)().ids().map(|(id, version)| (id.to_owned(), version)).collect();
        let host = Rc::new(FakeHost::new(script, activity.clone(), Rc::clone(&self.memory)));
        let mut engine = Engine {
            host: Rc::clone(&host),
            meta: meta.clone(),
            activity: activity.clone(),
            incoming: incoming.clone(),
            dialogs: (self.dialogs)(),
            manifest: self.described(),
            handler: |turn| dispatch::run(&mut B::default(), turn),
            progress: Progress::default(),
        };
        let result = engine.run();
        host.close_stream();
        let committed = host.commit() || host.has_flushed();
        (host.end(result, engine.progress.reprompts()), committed)
    }

    fn filled_in(&self, mut activity: Activity) -> Activity {
        activity.id.get_or_insert_with(|| "activity-1".to_owned());
        activity.channel_id.get_or_insert_with(|| self.channel.clone());
        activity.service_url.get_or_insert_with(|| "http://localhost/".to_owned());
        activity.from.get_or_insert_with(|| self.user.clone());
        activity.recipient.get_or_insert_with(|| ChannelAccount::new(BOT_ID).named("Bot"));
        activity.conversation.get_or_insert_with(|| ConversationAccount::new(&*self.conversation));
        activity.locale = activity.locale.or_else(|| self.locale.clone());
        activity
    }
}

impl<B: Dialogs + Default> TestHost<B> {
    /// Creates a host like [`new`](Self::new) that also runs the bot's dialogs.
    pub fn with_dialogs() -> Self {
        Self { dialogs: || B::default().dialogs(), ..Self::new() }
    }
}

impl<B: Middleware + Default> TestHost<B> {
    /// Calls the bot's middleware with an incoming activity.
    pub fn receives(&self, activity: impl Into<Activity>) -> crate::Result<Passage> {
        self.intercepts("receive", self.filled_in(activity.into()), "")
    }

    /// Calls the bot's middleware with an activity that a plugin named `sender` sends.
    pub fn intercepts_send(&self, sender: &str, activity: impl Into<Activity>) -> crate::Result<Passage> {
        self.intercepts("send", self.filled_in(activity.into()), sender)
    }

    /// Calls the bot's middleware with an activity that replaces the one with its `id`.
    pub fn intercepts_update(&self, sender: &str, activity: impl Into<Activity>) -> crate::Result<Passage> {
        self.intercepts("update", self.filled_in(activity.into()), sender)
    }

    fn intercepts(&self, kind: &str, activity: Activity, sender: &str) -> crate::Result<Passage> {
        let mut meta = self.meta(&activity, &format!("middleware:{kind}"));
        meta.extra.push(("sender".to_owned(), sender.to_owned()));
        let data = Value::Object(activity.clone().into_object()).to_string();
        let host = Rc::new(FakeHost::new(self.script.clone(), activity.clone(), Rc::clone(&self.memory)));
        let mut turn = Turn::new(meta, activity, host.clone());
        let passage = middleware::take(&mut B::default(), &mut turn, HookEvent { kind, data: &data })?;
        host.commit();
        Ok(passage.unwrap_or(Passage::Pass))
    }
}

impl Answer {
    fn failed(fault: Fault) -> Self {
        Self::new(Err(fault))
    }
}

/// Creates the value of an invoke `adaptiveCard/action` from the verb and data of an `Action.Execute`.
pub fn action_execute(verb: &str, data: impl Into<Value>) -> Value {
    json!({ "action": { "type": "Action.Execute", "verb": verb, "data": data.into() } })
}
