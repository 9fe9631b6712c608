//! Straight-line dialogs: one function that is replayed from a journal.

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

/// Maximum number of restarts within one event.
const RESTARTS_MAX: u32 = 100;

type Run = Box<dyn Fn(Dialogue) -> Pin<Box<dyn Future<Output = Result<Value>>>>>;

/// A dialog that is one function, written as if the user answered at once.
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
/// # Replay
///
/// At each event the SDK runs the function again from the start. A journal records every `ask`, `call`, `hear`, `flush`,
/// `send`, `step`, `now` and `random` in order, each with its kind, key and result. An operation that is in the journal does
/// not run again: it sends nothing and returns the recorded result. After the last entry operations run normally, until the
/// function waits for something that has not happened yet. A replay must take the same path as the first run, so:
///
/// - Use state, settings, HTTP and the user's language only inside [`Dialogue::step`]. Get the time and random numbers only
///   from [`Dialogue::now`] and [`Dialogue::random`].
/// - Await only functions of the [`Dialogue`], one after another. Anything else is fault `invalid`.
/// - Keep the journal below 1,000 entries and 128 KiB; more is fault `quota`. A dialog that loops empties it with
///   [`Dialogue::restart_with`].
///
/// The SDK drops a function that waits instead of returning an error from `await`, so a `match` or `ok()` in the function cannot
/// hide that the dialog is suspended.
///
/// # Editing the function
///
/// The key of a question is its kind and its name, or a hash of its text if it has no name. The key of a `step` is its name, of
/// a `call` the dialog, and of a `send` a hash. If the function does something else than the journal recorded, or if a
/// recorded result has another type, the SDK concludes that the source was edited. It then calls the hook
/// [`migrate`](Self::migrate) with the named results. The hook may return a state, and the function restarts with it (it reads it
/// with [`Dialogue::state`]) and asks again for the answer that just arrived. If there is no hook or it returns none, the host
/// resets the dialog: it sends the user the operator's `dialog-reset-text`, resumes a parent with the reason `failed`, and logs
/// a warning. If the [`version`](Self::version) is new and there is no hook, the SDK keeps the journal and checks it in the same
/// way.
///
/// `turntable deploy --dry-run` replays waiting journals with the new component and reports how many dialogs would continue, be
/// migrated by the hook, or be reset. Such a rehearsal runs nothing after the last entry of the journal.
pub struct StraightLine {
    id: String,
    run: Run,
    hooks: Hooks,
}

impl StraightLine {
    /// Creates a dialog from a function `async fn(&mut Dialogue) -> Result<T>`. Its return value is the result of the dialog.
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

    /// Does nothing. The host sends the bot's `dialog-reset-text` instead.
    #[must_use]
    #[deprecated(note = "the host sends the bot's `dialog-reset-text` instead")]
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
        Err(Fault::quota(format!(
            "the dialog `{}` restarted {RESTARTS_MAX} times without waiting for anything",
            self.id
        )))
    }

    /// Runs the function until it waits, restarts or ends.
    fn once(&self, turn: &Turn, journal: Journal) -> Result<Then> {
        let (core, polled) = self.poll(Core::new(turn.share(), journal));
        let mut core = core.borrow_mut();
        let mut journal = std::mem::take(&mut core.journal);
        if core.torn {
            return Err(self.misused(
                "awaited two operations at once, or continued while one was pending; await one after another",
            ));
        }
        let unread = polled.is_ready() && core.at < journal.entries.len();
        if let Some(at) = core.edited.or_else(|| unread.then_some(core.at)) {
            turn.log(
                Level::Warn,
                "the dialog was edited: it differs from its journal",
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
                Err(self.misused("awaits something that is not a function of its `Dialogue`"))
            }
            (Poll::Ready(_), Some(_)) => Err(self.misused("returned while an operation was pending; await it first")),
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

    /// Migrates the journal of an edited function. Returns none if the hook cannot migrate it.
    fn carried_over(&self, journal: &Journal) -> Result<Option<Journal>> {
        let state = self.hooks.migrated(self.hooks.version, journal.summary())?;
        Ok(state.map(|state| journal.restarted(state)))
    }

    /// Replays the journal to find out whether the function still reaches the operation that the frame waits for.
    fn rehearsed(&self, turn: &Turn, journal: Journal) -> Result<Step> {
        let Some(waits) = journal.waits.clone() else { return Ok(Step::ignored()) };
        let (core, _) = self.poll(Core::rehearsing(turn.share(), journal, waits));
        let core = core.borrow();
        if core.torn {
            return Err(self.misused(
                "awaited two operations at once, or continued while one was pending; await one after another",
            ));
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
            // The pending answer belongs to the old run, so the new run does not get it.
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
