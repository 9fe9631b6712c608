//! What a straight-line dialog can do; each function looks into the journal first.

use std::cell::RefCell;
use std::future::pending;
use std::ops::Deref;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::journal::{Entry, Journal, Waits};
use super::{Step, hash, hash_number};
use crate::prompt::Prompt;
use crate::{Activity, Fault, Result, Turn, read};

/// The conversation that a straight-line dialog leads; see [`StraightLine`](super::StraightLine).
///
/// What awaits (`ask`, `call`, `hear`, `flush`) suspends the dialog: the function is dropped there and begins anew with the
/// next event, over the journal of what it did so far.
pub struct Dialogue {
    pub(super) core: Rc<RefCell<Core>>,
}

/// What the runner and the author's function share.
pub(super) struct Core {
    pub(super) turn: Turn,
    pub(super) journal: Journal,
    /// The ordinal of what is done next.
    pub(super) at: usize,
    pub(super) suspended: Option<Suspension>,
    /// The ordinal where the function did something else than the journal says.
    pub(super) edited: Option<usize>,
    /// The author awaited two things at once.
    pub(super) torn: bool,
    /// In a rehearsal, what the function must come to wait for behind the last entry. It does nothing else there.
    awaited: Option<Waits>,
}

/// Why the function does not go on now.
pub(super) enum Suspension {
    Waits {
        kind: &'static str,
        key: String,
        asked: Option<Value>,
        step: Step,
    },
    Ends(Step),
    Restarts(Value),
    /// The end of a rehearsal: the function waits for what its journal waits for.
    Arrives,
}

/// What the closure of [`Dialogue::step`] gets: the turn, and a key.
pub struct Once {
    turn: Turn,
    key: String,
}

impl Deref for Once {
    type Target = Turn;

    fn deref(&self) -> &Turn {
        &self.turn
    }
}

impl Once {
    /// Returns a text that is the same whenever this step of this dialog runs again: for services that take one, so that
    /// they do nothing twice.
    pub fn idempotency_key(&self) -> &str {
        &self.key
    }
}

impl Dialogue {
    /// Asks, and returns the answer. Where the attempts are used up, the dialog ends as cancelled.
    pub async fn ask<T: DeserializeOwned>(&mut self, prompt: Prompt<T>) -> Result<T> {
        match self.try_ask(prompt).await? {
            Some(answer) => Ok(answer),
            None => self.cancel().await,
        }
    }

    /// Asks, and returns the answer, or none where the attempts are used up.
    pub async fn try_ask<T: DeserializeOwned>(&mut self, prompt: Prompt<T>) -> Result<Option<T>> {
        let key = prompt.key();
        self.await_result("ask", key, None, Step::prompt(prompt)).await
    }

    /// Runs another dialog of this plugin and returns its result. Where it is cancelled or fails, this one is cancelled.
    pub async fn call<T: DeserializeOwned>(&mut self, dialog: &str, options: impl Serialize) -> Result<T> {
        match self.try_call(dialog, options).await? {
            Some(result) => Ok(result),
            None => self.cancel().await,
        }
    }

    /// Runs another dialog of this plugin and returns its result, or none where it was cancelled or failed.
    pub async fn try_call<T: DeserializeOwned>(&mut self, dialog: &str, options: impl Serialize) -> Result<Option<T>> {
        let step = Step::call(dialog, options)?;
        self.await_result("call", dialog.to_owned(), None, step).await
    }

    /// Says something and returns what comes next, whatever it is. It is said again after an interruption.
    pub async fn hear(&mut self, question: impl Into<Activity>) -> Result<Activity> {
        let question = Value::Object(question.into().into_object());
        let key = hash(&question.to_string());
        let fresh = self.core.borrow_mut().is_fresh();
        if fresh && let Value::Object(question) = &question {
            self.core.borrow().turn.reply(Activity::from_object(question.clone()))?;
        }
        match self.await_result("hear", key, Some(question), Step::wait()).await? {
            Some(activity) => Ok(activity),
            None => self.cancel().await,
        }
    }

    /// Delivers what was sent so far, before slow work.
    pub async fn flush(&mut self) -> Result<()> {
        self.await_result::<Value>("flush", String::new(), None, Step::flush()).await.map(drop)
    }

    /// Says something. Returns the host's id of it.
    pub fn send(&mut self, activity: impl Into<Activity>) -> Result<String> {
        let activity = activity.into();
        let key = hash(&Value::Object(activity.clone().into_object()).to_string());
        self.once("send", key, |turn, _| turn.reply(activity))
    }

    /// Does what reaches out of the dialog: state, settings, HTTP, the user's language. The result is recorded, and the
    /// closure does not run again; but it runs at least once, and again where the turn failed after it.
    pub fn step<T: Serialize + DeserializeOwned>(
        &mut self,
        name: &str,
        run: impl FnOnce(&Once) -> Result<T>,
    ) -> Result<T> {
        self.once("step", name.to_owned(), |turn, key| run(&Once { turn: turn.share(), key }))
    }

    /// Returns the time at which the dialog first asked for it here.
    pub fn now(&mut self) -> Result<SystemTime> {
        let since = |turn: &Turn, _| Ok(turn.since_epoch_ms());
        let milliseconds: u64 = self.once("now", String::new(), since)?;
        Ok(SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds))
    }

    /// Returns a random number, seeded from the frame. No secret: who knows the frame's id can tell it.
    pub fn random(&mut self) -> Result<u32> {
        // The seed is the key of the entry: frame, restarts and ordinal.
        self.once("random", String::new(), |_, seed| Ok((mixed(hash_number(&seed)) >> 32) as u32))
    }

    /// Reads what the dialog was begun with. Fault `invalid`: it is of another shape.
    pub fn options<T: DeserializeOwned>(&self) -> Result<T> {
        let core = self.core.borrow();
        read::value(&core.journal.options)
            .map_err(|error| Fault::invalid(format!("the options of the dialog: {error}")))
    }

    /// Reads what the dialog was restarted with, or what a migration made; none in the first run. Fault `invalid`: it is
    /// of another shape.
    pub fn state<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let core = self.core.borrow();
        let state = core.journal.state.as_ref().map(T::deserialize).transpose();
        state.map_err(|error| Fault::invalid(format!("the state of the dialog: {error}")))
    }

    /// Begins the dialog anew with a state, and forgets the journal: for dialogs that go round. Use it as
    /// `return d.restart_with(state).await`.
    pub async fn restart_with<T>(&mut self, state: impl Serialize) -> Result<T> {
        let state = serde_json::to_value(state)?;
        self.suspend(Suspension::Restarts(state)).await
    }

    /// Ends the dialog; another takes its place, with the same parent. Use it as `return d.replace(…).await`.
    pub async fn replace<T>(&mut self, dialog: &str, options: impl Serialize) -> Result<T> {
        let step = Step::replace(dialog, options)?;
        self.suspend(Suspension::Ends(step)).await
    }

    /// Ends the dialog without a result. Use it as `return d.cancel().await`.
    pub async fn cancel<T>(&mut self) -> Result<T> {
        self.suspend(Suspension::Ends(Step::cancelled())).await
    }

    async fn await_result<T: DeserializeOwned>(
        &mut self,
        kind: &'static str,
        key: String,
        asked: Option<Value>,
        step: Step,
    ) -> Result<Option<T>> {
        let recorded = self.core.borrow_mut().recall(kind, &key);
        match recorded {
            Recall::Is(entry) if entry.ended.is_some() => Ok(None),
            Recall::Is(entry) => match read::value(&entry.result) {
                Ok(result) => Ok(Some(result)),
                Err(_) => self.other_type().await,
            },
            Recall::New => self.suspend(Suspension::Waits { kind, key, asked, step }).await,
            Recall::Inert => pending().await,
        }
    }

    /// The recorded result is of another type than the function wants now: its source was edited.
    async fn other_type<T>(&mut self) -> T {
        self.core.borrow_mut().found_edited();
        pending().await
    }

    /// Stops the function for good: there is no error that the author's code could swallow.
    async fn suspend<T>(&mut self, why: Suspension) -> T {
        self.core.borrow_mut().suspend(why);
        pending().await
    }

    /// Does something once, and returns what was recorded whenever it is replayed.
    fn once<T: Serialize + DeserializeOwned>(
        &mut self,
        kind: &'static str,
        key: String,
        run: impl FnOnce(&Turn, String) -> Result<T>,
    ) -> Result<T> {
        let recalled = self.core.borrow_mut().recall(kind, &key);
        match recalled {
            Recall::Is(entry) => read::value(&entry.result).map_err(|_| {
                self.core.borrow_mut().found_edited();
                inert()
            }),
            Recall::Inert => Err(inert()),
            Recall::New => {
                let (turn, unique) = {
                    let core = self.core.borrow();
                    (core.turn.share(), core.unique())
                };
                let result = run(&turn, unique)?;
                let recorded = serde_json::to_value(&result)?;
                let mut core = self.core.borrow_mut();
                core.journal.record(kind, key, recorded)?;
                core.at += 1;
                Ok(result)
            }
        }
    }
}

enum Recall {
    Is(Entry),
    New,
    /// The dialog is over for now, whatever the author's code still does.
    Inert,
}

impl Core {
    pub(super) fn new(turn: Turn, journal: Journal) -> Self {
        Self { turn, journal, at: 0, suspended: None, edited: None, torn: false, awaited: None }
    }

    /// The same for a function that is only asked whether it still comes to what its journal waits for.
    pub(super) fn rehearsing(turn: Turn, journal: Journal, awaited: Waits) -> Self {
        Self { awaited: Some(awaited), ..Self::new(turn, journal) }
    }

    fn recall(&mut self, kind: &str, key: &str) -> Recall {
        if self.edited.is_some() || self.suspended.is_some() {
            self.torn |= self.suspended.is_some();
            return Recall::Inert;
        }
        match self.journal.entries.get(self.at) {
            None => self.beyond(kind, key),
            Some(entry) if entry.kind == kind && entry.key == key => {
                self.at += 1;
                Recall::Is(entry.clone())
            }
            Some(_) => {
                self.edited = Some(self.at);
                Recall::Inert
            }
        }
    }

    /// Behind the last entry: the function goes on for real, or in a rehearsal ends.
    fn beyond(&mut self, kind: &str, key: &str) -> Recall {
        match &self.awaited {
            None => return Recall::New,
            Some(awaited) if awaited.kind == kind && awaited.key == key => self.suspended = Some(Suspension::Arrives),
            Some(_) => self.edited = Some(self.at),
        }
        Recall::Inert
    }

    fn is_fresh(&self) -> bool {
        let goes_on = self.edited.is_none() && self.suspended.is_none() && self.awaited.is_none();
        goes_on && self.at >= self.journal.entries.len()
    }

    fn found_edited(&mut self) {
        self.edited = Some(self.at.saturating_sub(1));
    }

    fn suspend(&mut self, why: Suspension) {
        if self.edited.is_some() {
            return;
        }
        match self.suspended {
            Some(_) => self.torn = true,
            None => self.suspended = Some(why),
        }
    }

    /// Names the frame, the run and the ordinal.
    fn unique(&self) -> String {
        let frame = self.turn.meta().extra("frame").unwrap_or_default();
        format!("{frame}-{}-{}", self.journal.restarts, self.at)
    }
}

/// What a function gets that goes on although its dialog does not. Nothing comes of it: the runner looks at the core.
fn inert() -> Fault {
    Fault::internal("the dialog does not go on here")
}

/// The finaliser of SplitMix64.
fn mixed(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
