//! Dialogs as one function, replayed over what it did so far.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use serde::Serialize;
use serde_json::Value;

use super::dialogue::{Core, Dialogue, Suspension};
use super::hooks::{self, Hooks};
use super::journal::{Journal, Waits};
use super::{Dialog, Event, Step};
use crate::{Activity, Fault, Level, Result, Turn};

/// How often a dialog may restart within one event.
const RESTARTS_MAX: u32 = 100;

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
/// host resets the dialog: the user reads the `dialog-reset-text` of the operator, a parent resumes with the reason
/// `failed`, and a warning is in the log. With a new [`version`](Self::version) and without a hook, the journal
/// is kept and checked in the same way.
///
/// `turntable deploy --dry-run` replays the journals that wait with the new component, and says how many would go on,
/// be carried over by the hook, or be reset. In such a rehearsal nothing behind the journal runs.
pub struct StraightLine {
    id: String,
    run: Run,
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
        Self { id: id.into(), run: Box::new(run), hooks: Hooks::default() }
    }

    /// Does nothing any more.
    #[must_use]
    #[deprecated(note = "the host says it, in the words of the bot's `dialog-reset-text`")]
    pub fn lost_text(self, _text: impl Into<String>) -> Self {
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
        let (core, polled) = self.poll(Core::new(turn.share(), journal));
        let mut core = core.borrow_mut();
        let mut journal = std::mem::take(&mut core.journal);
        if core.torn {
            return Err(self.misused("awaited two things at once, or went on past one"));
        }
        let unread = polled.is_ready() && core.at < journal.entries.len();
        if let Some(at) = core.edited.or_else(|| unread.then_some(core.at)) {
            turn.log(
                Level::Warn,
                "the dialog was edited: it does something else than its journal says",
                &[("dialog", &self.id), ("ordinal", &at)],
            );
            let carried = self.carried_over(&journal)?;
            return Ok(carried.map_or_else(|| Then::Step(hooks::unfit()), |journal| Then::Restart(Box::new(journal))));
        }
        match (polled, core.suspended.take()) {
            (Poll::Pending, Some(Suspension::Waits { kind, key, asked, step })) => {
                journal.waits = Some(Waits { kind: kind.to_owned(), key, asked });
                Ok(Then::Step(step.with_state(journal.to_value()?)))
            }
            (Poll::Pending, Some(Suspension::Ends(step))) => Ok(Then::Step(step)),
            (Poll::Pending, Some(Suspension::Restarts(state))) => Ok(Then::Restart(Box::new(journal.restarted(state)))),
            (Poll::Pending, Some(Suspension::Arrives) | None) => {
                Err(self.misused("awaits something that is not of its dialogue"))
            }
            (Poll::Ready(_), Some(_)) => Err(self.misused("went on past something that it awaited")),
            (Poll::Ready(result), None) => Ok(Then::Step(Step::done(result?)?)),
        }
    }

    fn poll(&self, core: Core) -> (Rc<RefCell<Core>>, Poll<Result<Value>>) {
        let core = Rc::new(RefCell::new(core));
        let mut future = (self.run)(Dialogue { core: Rc::clone(&core) });
        let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(future);
        (core, polled)
    }

    /// The journal to go on with where the present one is of another function; none where the hook gives up.
    fn carried_over(&self, journal: &Journal) -> Result<Option<Journal>> {
        let state = self.hooks.migrated(self.hooks.version, journal.summary())?;
        Ok(state.map(|state| journal.restarted(state)))
    }

    /// Finds out whether the function, given its journal, still comes to what the frame waits for.
    fn rehearsed(&self, turn: &Turn, journal: Journal) -> Result<Step> {
        let Some(waits) = journal.waits.clone() else { return Ok(Step::ignored()) };
        let (core, _) = self.poll(Core::rehearsing(turn.share(), journal, waits));
        let core = core.borrow();
        if core.torn {
            return Err(self.misused("awaited two things at once, or went on past one"));
        }
        if core.edited.is_none() && matches!(core.suspended, Some(Suspension::Arrives)) {
            return Ok(hooks::fits());
        }
        Ok(match self.carried_over(&core.journal)? {
            Some(journal) => hooks::migrated(journal.to_value()?),
            None => hooks::unfit(),
        })
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
            None => hooks::unfit(),
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
        let Some(mut journal) = hooks::kept::<Journal>(state, event) else { return Ok(hooks::unfit()) };
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
            "rehearse" => self.rehearsed(turn, journal),
            _ => Ok(Step::ignored()),
        }
    }
}
