//! The functions that a straight-line dialog can call. Each one first looks for its result in the journal.

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

/// The handle of a straight-line dialog to its conversation; see [`StraightLine`](super::StraightLine).
///
/// The async functions (`ask`, `call`, `hear`, `flush`) suspend the dialog. The SDK then drops the dialog's function, and at the
/// next event it runs the function again from the start and replays the journal.
pub struct Dialogue {
    pub(super) core: Rc<RefCell<Core>>,
}

/// State that the runner and the author's function share.
pub(super) struct Core {
    pub(super) turn: Turn,
    pub(super) journal: Journal,
    /// The position in the journal of the next operation.
    pub(super) at: usize,
    pub(super) suspended: Option<Suspension>,
    /// The position at which the function did something else than the journal recorded.
    pub(super) edited: Option<usize>,
    /// True if the author's function awaited two operations at once.
    pub(super) torn: bool,
    /// In a rehearsal: the operation that the function must await after the last entry. The rehearsal ends there.
    awaited: Option<Waits>,
}

/// Why the function is suspended.
pub(super) enum Suspension {
    Waits {
        kind: &'static str,
        key: String,
        asked: Option<Value>,
        step: Step,
    },
    Ends(Step),
    Restarts(Value),
    /// The rehearsal succeeded: the function awaits the same operation as the journal.
    Arrives,
}

/// The argument of the closure of [`Dialogue::step`]: the turn, and an idempotency key.
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
    /// Returns a key that stays the same if this step of this dialog runs again. Pass it to services that accept an
    /// idempotency key, so that they do nothing twice.
    pub fn idempotency_key(&self) -> &str {
        &self.key
    }
}

impl Dialogue {
    /// Asks and returns the answer. If the attempts are used up, the dialog ends as cancelled.
    pub async fn ask<T: DeserializeOwned>(&mut self, prompt: Prompt<T>) -> Result<T> {
        match self.try_ask(prompt).await? {
            Some(answer) => Ok(answer),
            None => self.cancel().await,
        }
    }

    /// Asks and returns the answer, or none if the attempts are used up.
    pub async fn try_ask<T: DeserializeOwned>(&mut self, prompt: Prompt<T>) -> Result<Option<T>> {
        let key = prompt.key();
        self.await_result("ask", key, None, Step::prompt(prompt)).await
    }

    /// Runs another dialog of this plugin and returns its result. If that dialog is cancelled or fails, this one is cancelled.
    pub async fn call<T: DeserializeOwned>(&mut self, dialog: &str, options: impl Serialize) -> Result<T> {
        match self.try_call(dialog, options).await? {
            Some(result) => Ok(result),
            None => self.cancel().await,
        }
    }

    /// Runs another dialog of this plugin and returns its result, or none if it was cancelled or failed.
    pub async fn try_call<T: DeserializeOwned>(&mut self, dialog: &str, options: impl Serialize) -> Result<Option<T>> {
        let step = Step::call(dialog, options)?;
        self.await_result("call", dialog.to_owned(), None, step).await
    }

    /// Sends a question and returns the next message, whatever it contains. After an interruption the question is repeated.
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

    /// Delivers what was sent so far. Use it before slow work.
    pub async fn flush(&mut self) -> Result<()> {
        self.await_result::<Value>("flush", String::new(), None, Step::flush()).await.map(drop)
    }

    /// Sends an activity and returns its host id.
    pub fn send(&mut self, activity: impl Into<Activity>) -> Result<String> {
        let activity = activity.into();
        let key = hash(&Value::Object(activity.clone().into_object()).to_string());
        self.once("send", key, |turn, _| turn.reply(activity))
    }

    /// Runs a closure once and records its result. Use it for everything outside the dialog: state, settings, HTTP, the user's
    /// language. A replay returns the recorded result. If the turn fails after the closure ran, the closure runs again.
    pub fn step<T: Serialize + DeserializeOwned>(
        &mut self,
        name: &str,
        run: impl FnOnce(&Once) -> Result<T>,
    ) -> Result<T> {
        self.once("step", name.to_owned(), |turn, key| run(&Once { turn: turn.share(), key }))
    }

    /// Returns the current time. A replay returns the recorded time.
    pub fn now(&mut self) -> Result<SystemTime> {
        let since = |turn: &Turn, _| Ok(turn.since_epoch_ms());
        let milliseconds: u64 = self.once("now", String::new(), since)?;
        Ok(SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds))
    }

    /// Returns a random number, the same in each replay. It is derived from the frame's id, so do not use it as a secret.
    pub fn random(&mut self) -> Result<u32> {
        // The seed is the key of the entry: frame, number of restarts and position.
        self.once("random", String::new(), |_, seed| Ok((mixed(hash_number(&seed)) >> 32) as u32))
    }

    /// Reads the options that the dialog was begun with. Fault `invalid`: they have another shape.
    pub fn options<T: DeserializeOwned>(&self) -> Result<T> {
        let core = self.core.borrow();
        read::value(&core.journal.options)
            .map_err(|error| Fault::invalid(format!("the options of the dialog: {error}")))
    }

    /// Reads the state that the dialog was restarted with, or that a migration returned. None in the first run. Fault
    /// `invalid`: it has another shape.
    pub fn state<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let core = self.core.borrow();
        let state = core.journal.state.as_ref().map(T::deserialize).transpose();
        state.map_err(|error| Fault::invalid(format!("the state of the dialog: {error}")))
    }

    /// Restarts the dialog with a state and an empty journal. Use it in dialogs that loop:
    /// `return d.restart_with(state).await`.
    pub async fn restart_with<T>(&mut self, state: impl Serialize) -> Result<T> {
        let state = serde_json::to_value(state)?;
        self.suspend(Suspension::Restarts(state)).await
    }

    /// Ends the dialog and begins another in its place, with the same parent. Use it as `return d.replace(…).await`.
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

    /// Handles a recorded result that has another type than the function expects: its source was edited.
    async fn other_type<T>(&mut self) -> T {
        self.core.borrow_mut().found_edited();
        pending().await
    }

    /// Suspends the function by never completing, because the author's code could ignore an error.
    async fn suspend<T>(&mut self, why: Suspension) -> T {
        self.core.borrow_mut().suspend(why);
        pending().await
    }

    /// Runs an operation once and records its result. A replay returns the recorded result.
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
    /// The dialog is suspended, so further operations of the author's code have no effect.
    Inert,
}

impl Core {
    pub(super) fn new(turn: Turn, journal: Journal) -> Self {
        Self { turn, journal, at: 0, suspended: None, edited: None, torn: false, awaited: None }
    }

    /// Creates the core of a rehearsal, which finds out whether the function still awaits what its journal waits for.
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

    /// Handles an operation after the last entry: it runs, or in a rehearsal ends the function.
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

    /// Returns a key of frame, run and position.
    fn unique(&self) -> String {
        let frame = self.turn.meta().extra("frame").unwrap_or_default();
        format!("{frame}-{}-{}", self.journal.restarts, self.at)
    }
}

/// The fault of operations of a suspended dialog. It has no effect, because the runner looks at the core instead.
fn inert() -> Fault {
    Fault::internal("the dialog is suspended; return from its function")
}

/// The finaliser of SplitMix64.
fn mixed(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
