//! Dialogs across versions: a state is carried over, or the dialog is reset and the user told.

use std::cell::Cell;

use turntable_sdk::prelude::*;
use turntable_sdk::prompt::text;
use turntable_sdk::testing::{Answer, TestHost};
use turntable_sdk::{Dialog, Event, Step, Value, json};

thread_local! {
    /// Which release of the plugin serves.
    static RELEASE: Cell<u32> = const { Cell::new(1) };
}

const RESET: &str = "Sorry, I have been updated and lost my place. Please start again.";

#[derive(Default)]
struct Desk;

impl Bot for Desk {
    fn manifest(&self) -> Manifest {
        Manifest::new().route(Route::new("quit", "quit"))
    }

    fn on_message(&mut self, turn: &mut Turn) -> Result {
        turn.dialogs().begin(turn.text(), ())?;
        Ok(Handled)
    }

    fn on_route(&mut self, turn: &mut Turn, _name: &str) -> Result {
        turn.dialogs().cancel_all()?;
        Ok(Handled)
    }
}

impl Dialogs for Desk {
    fn dialogs(&self) -> DialogSet {
        let release = RELEASE.get();
        if release == 3 {
            return DialogSet::new();
        }
        let set = match release {
            1 => DialogSet::new().with(StraightLine::new("style", line)),
            _ => DialogSet::new().with(steps("style")),
        };
        set.with(steps("steps").version(release).migrate(|old| {
            let city = old.state["city"].as_str().unwrap_or_default();
            Ok(Some(json!({ "town": format!("{city} ({} to {})", old.from, old.to) })))
        }))
        .with(steps("gives-up").version(release).migrate(|_| Ok(None)))
        .with(steps("no-hook").version(release))
        .with(StraightLine::new("line", line).version(release))
        .with(StraightLine::new("carries", line).version(release).migrate(|old| Ok(Some(old.state))))
        .with(Own)
    }
}

/// Release 1 keeps a `city`, release 2 reads a `town`.
fn steps(id: &str) -> Waterfall {
    Waterfall::new(id)
        .step(|step| step.prompt(text("Which city?")))
        .step(|step| {
            let city: String = step.result()?;
            step.set("city", city)?;
            step.wait("Anything else?")
        })
        .step(|step| {
            let kept = if RELEASE.get() == 1 { "city" } else { "town" };
            let town: String = step.get(kept)?;
            step.turn().reply(town)?;
            step.done(())
        })
        .on_cancelled(|turn, reason| turn.reply(format!("{reason}!")).map(drop))
}

async fn line(d: &mut Dialogue) -> Result<()> {
    if let Some(state) = d.state::<Value>()? {
        d.send(format!("I know {state}."))?;
    }
    let name = d.ask(text("Who?").named("name")).await?;
    d.ask(text(if RELEASE.get() == 1 { "Where?" } else { "Where to?" }).named("to")).await?;
    d.send(format!("{name} goes.")).map(drop)
}

/// A dialog of a style of its own: it counts what it hears.
struct Own;

impl Dialog for Own {
    fn id(&self) -> &str {
        "own"
    }

    fn on_event(&self, turn: &mut Turn, event: &Event, state: Option<Value>) -> Result<Step> {
        match event.kind.as_str() {
            "begin" => Ok(Step::wait().with_state(json!(0))),
            "continue" if turn.text() == "enough" => Step::done(()),
            "continue" => {
                let count = state.and_then(|state| state.as_u64()).unwrap_or_default() + 1;
                turn.reply(count.to_string())?;
                Ok(Step::wait().with_state(json!(count)))
            }
            _ => Ok(Step::ignored()),
        }
    }
}

fn host() -> TestHost<Desk> {
    RELEASE.set(1);
    TestHost::with_dialogs()
}

/// Holds the conversation in release 1 up to the last question, and answers that one in another release.
fn across(dialog: &str, first: &str, release: u32) -> Answer {
    let host = host();
    assert_eq!(host.says(dialog).texts().len(), 1);
    assert_eq!(host.says(first).texts().len(), 1);
    RELEASE.set(release);
    host.says("x").handled()
}

#[test]
fn the_values_of_steps_are_migrated() {
    across("steps", "Rome", 1).replies("Rome").ends_dialogs();
    across("steps", "Rome", 2).replies("Rome (1 to 2)").ends_dialogs();
}

#[test]
fn what_cannot_be_migrated_is_reset_and_said() {
    across("gives-up", "Rome", 2).replies(RESET).ends_dialogs();
    across("no-hook", "Rome", 2).replies(RESET).ends_dialogs();
    across("steps", "Rome", 3).replies(RESET).ends_dialogs();
}

/// The author wrote the dialog anew in the other style, and forgot that its state has another shape now.
#[test]
fn a_state_of_another_style_is_reset_and_said() {
    across("style", "Ann", 1).replies("Ann goes.").ends_dialogs();
    across("style", "Ann", 2).replies(RESET).ends_dialogs();
}

#[test]
fn a_straight_line_keeps_its_journal_where_it_still_fits() {
    across("line", "Ann", 1).replies("Ann goes.").ends_dialogs();
    // The text of a named question may change.
    across("line", "Ann", 2).replies("Ann goes.").ends_dialogs();
}

#[test]
fn a_straight_line_begins_again_with_what_its_hook_carries_over() {
    across("carries", "Ann", 2).says([r#"I know {"name":"Ann"}."#, "Who?"]).waits_in("carries");
}

#[test]
fn a_dialog_of_another_style_works_too() {
    let host = host();
    host.says("own").silent().waits_in("own");
    host.says("a").replies("1");
    host.says("b").replies("2");
    host.says("enough").silent().ends_dialogs();
}

#[test]
fn a_cancelled_dialog_may_say_so() {
    let host = host();
    host.says("steps").replies("Which city?");
    host.takes_route("quit", "quit").replies("cancel-all!").ends_dialogs();
}
