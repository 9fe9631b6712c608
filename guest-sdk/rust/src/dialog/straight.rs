//! Dialogs as one function, replayed over what it did so far.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::dialogue::{Core, Dialogue, Suspension};
use super::hooks::{self, Hooks};
use super::journal::{Journal, Waits};
use super::{Dialog, Event, Step};
use crate::{Activity, Fault, Level, Result, Turn};

/// How often a dialog may restart within one event.
const RESTARTS_MAX: u32 = 100;
/// What the user reads when an edited dialog cannot go on, by default as the host says it of one that it resets.
const LOST: &str = "Sorry, I have been updated and lost my place. Please start again.";

type Run = Box<dyn Fn(Dialogue) -> Pin<Box<dyn Future<Output = Result<Value>>>>>;

/// A dialog as one function, written as if the user answered at once.
///
/// ```
/// use turntable_sdk::prelude::*;
/// use turntable_sdk::prompt::{confirm, text};
///
/// async fn book(d: &mut Dialogue) -> Result<String> {
///     let to = d.ask(text("Where to?").named("to")).await?;
///     let price: u32 = d.step("price", |once| Ok(once.config("price")?.unwrap_or(100)))?;
///     d.send(format!("A trip to {to} costs {price}."))?;
///     if d.ask(confirm("Shall I book it?").named("sure")).await? { Ok(to) } else { d.cancel().await }
/// }
///
/// let dialog = StraightLine::new("book", book).version(1);
/// # let _ = dialog;
/// ```
///
/// # How it is replayed
///
/// With each event the function begins anew, over a journal of what it did: (kind, key, result) of each `ask`, `call`,
/// `hear`, `flush`, `send`, `step`, `now` and `random`, in order. What is in the journal is not done again: nothing leaves,
/// and the recorded result is returned. Behind the last entry it goes on for real, until it waits for something that has
/// not happened yet. So that the replay takes the same way:
///
/// - State, settings, HTTP, the user's language: only inside [`Dialogue::step`]. Time and random numbers: only from
///   [`Dialogue::now`] and [`Dialogue::random`].
/// - Await nothing but what the [`Dialogue`] gives, one after another. Anything else is a fault `invalid`.
/// - The journal has bounds, 1,000 entries and 128 KiB: fault `quota`. A dialog that goes round truncates it with
///   [`Dialogue::restart_with`].
///
/// There is no error that says «suspended», so no `match` or `ok()` can swallow it: a function that waits is dropped.
///
/// # What an edited function does
///
/// The key of a question is its kind and its name, or a hash of its text without one; of a `step` its name, of a `call`
/// the dialog, of a `send` a hash. Where the function does something else than the journal says, or its results have other
/// types now, its source was edited. That counts as a change of the state's version: the hook
/// [`migrate`](Self::migrate) gets the named results and may return a state to restart with (the function reads it with
/// [`Dialogue::state`]); the answer that just arrived is asked for again. Without a hook, or where it returns none, the
/// user reads [`lost_text`](Self::lost_text), the dialog ends as cancelled, and a warning is in the log. With a new [`version`](Self::version) and without a hook, the journal
/// is kept and checked in the same way.
pub struct StraightLine {
    id: String,
    run: Run,
    lost: String,
    hooks: Hooks,
}

impl StraightLine {
    /// Makes a dialog from a function `async fn(&mut Dialogue) -> Result<T>`; what it returns is the result of the dialog.
    pub fn new<T, F>(id: impl Into<String>, run: F) -> Self
    where
        T: Serialize + 'static,
        F: AsyncFn(&mut Dialogue) -> Result<T> + 'static,
    {
        let run = Rc::new(run);
        let run = move |mut dialogue: Dialogue| -> Pin<Box<dyn Future<Output = Result<Value>>>> {
            let run = Rc::clone(&run);
            Box::pin(async move { Ok(serde_json::to_value(run(&mut dialogue).await?)?) })
        };
        Self { id: id.into(), run: Box::new(run), lost: LOST.to_owned(), hooks: Hooks::default() }
    }

    /// Sets what the user reads when the function was edited and cannot go on; `""` is nothing. Default: in English, that
    /// the bot has lost its place.
    #[must_use]
    pub fn lost_text(mut self, text: impl Into<String>) -> Self {
        self.lost = text.into();
        self
    }

    hooks::hook_builders!();

    fn play(&self, turn: &Turn, mut journal: Journal) -> Result<Step> {
        for _ in 0..=RESTARTS_MAX {
            match self.once(turn, journal)? {
                Then::Step(step) => return Ok(step),
                Then::Restart(next) => journal = *next,
            }
        }
        Err(Fault::quota(format!("the dialog `{}` restarts without waiting for anything", self.id)))
    }

    /// Runs the function until it waits or ends.
    fn once(&self, turn: &Turn, journal: Journal) -> Result<Then> {
        let core = Rc::new(RefCell::new(Core::new(turn.share(), journal)));
        let mut future = (self.run)(Dialogue { core: Rc::clone(&core) });
        let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(future);
        let mut core = core.borrow_mut();
        let mut journal = std::mem::take(&mut core.journal);
        if core.torn {
            return Err(self.misused("awaited two things at once, or went on past one"));
        }
        let unread = polled.is_ready() && core.at < journal.entries.len();
        if let Some(at) = core.edited.or_else(|| unread.then_some(core.at)) {
            return self.edited(turn, &journal, at);
        }
        match (polled, core.suspended.take()) {
            (Poll::Pending, Some(Suspension::Waits { kind, key, asked, step })) => {
                journal.waits = Some(Waits { kind: kind.to_owned(), key, asked });
                Ok(Then::Step(step.with_state(journal.to_value()?)))
            }
            (Poll::Pending, Some(Suspension::Ends(step))) => Ok(Then::Step(step)),
            (Poll::Pending, Some(Suspension::Restarts(state))) => Ok(Then::Restart(Box::new(journal.restarted(state)))),
            (Poll::Pending, None) => Err(self.misused("awaits something that is not of its dialogue")),
            (Poll::Ready(_), Some(_)) => Err(self.misused("went on past something that it awaited")),
            (Poll::Ready(result), None) => Ok(Then::Step(Step::done(result?)?)),
        }
    }

    /// The journal is of another function.
    fn edited(&self, turn: &Turn, journal: &Journal, at: usize) -> Result<Then> {
        turn.log(
            Level::Warn,
            "the dialog was edited: it does something else than its journal says",
            &[("dialog", &self.id), ("ordinal", &at)],
        );
        if let Some(state) = self.hooks.migrated(self.hooks.version, journal.summary())? {
            return Ok(Then::Restart(Box::new(journal.restarted(state))));
        }
        if !self.lost.is_empty() {
            turn.reply(self.lost.as_str())?;
        }
        Ok(Then::Step(Step::cancelled()))
    }

    fn misused(&self, what: &str) -> Fault {
        Fault::invalid(format!("the function of the dialog `{}` {what}", self.id))
    }

    fn migrated(&self, event: &Event, journal: &Journal) -> Result<Step> {
        if self.hooks.migrate.is_none() {
            return Ok(hooks::migrated(journal.to_value()?));
        }
        Ok(match self.hooks.migrated(hooks::from_version(event), journal.summary())? {
            // What the frame waits for is asked already: the answer has no place in the new run.
            Some(state) => hooks::migrated(journal.restarted(state).to_value()?),
            None => hooks::not_migrated(),
        })
    }
}

enum Then {
    Step(Step),
    Restart(Box<Journal>),
}

impl Dialog for StraightLine {
    fn id(&self) -> &str {
        &self.id
    }

    fn state_version(&self) -> u32 {
        self.hooks.version
    }

    fn on_event(&self, turn: &mut Turn, event: &Event, state: Option<Value>) -> Result<Step> {
        let mut journal = match state {
            Some(state) => Journal::deserialize(state)?,
            None => Journal::default(),
        };
        match event.kind.as_str() {
            "begin" => self.play(turn, Journal::begun(event.data.clone())),
            "continue" | "resume" => {
                journal.answered(event.outcome());
                self.play(turn, journal)
            }
            "reprompt" => {
                if let Some(Value::Object(question)) = journal.waits.and_then(|waits| waits.asked) {
                    turn.reply(Activity::from_object(question))?;
                }
                Ok(Step::wait())
            }
            "validate" => self.hooks.validate(turn, event),
            "cancelled" => self.hooks.cancelled(turn, event),
            "migrate" => self.migrated(event, &journal),
            _ => Ok(Step::ignored()),
        }
    }
}
