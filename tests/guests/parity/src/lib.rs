//! Dialogs of both styles, every prompt, routes and several releases: `conversations.txt` holds what is said to them, once
//! in the host and once in the SDK's test host.
//!
//! Messages are `begin DIALOG`, `replace DIALOG` and `fault`; every other one is answered with `heard …`. The route `stack`
//! lists the dialogs with what they wait for, top first. Specs change the digit of [`RELEASE`] in the built component.

use turntable_sdk::prelude::*;
use turntable_sdk::prompt::{Choice, Prompt, attachment, choice, confirm, date_time, number, text};
use turntable_sdk::{After, Step, Value, json};

/// Which release of the plugin this is.
#[cfg(target_family = "wasm")]
#[used]
static RELEASE: [u8; 9] = *b"RELEASE-1";

/// Read where the compiler does not see what it is.
#[cfg(target_family = "wasm")]
fn release() -> u32 {
    (std::hint::black_box(&RELEASE)[8] - b'0').into()
}

#[cfg(not(target_family = "wasm"))]
thread_local! {
    static RELEASE: std::cell::Cell<u32> = const { std::cell::Cell::new(1) };
}

#[cfg(not(target_family = "wasm"))]
fn release() -> u32 {
    RELEASE.get()
}

#[derive(Default)]
struct Desk;

impl Bot for Desk {
    fn manifest(&self) -> Manifest {
        Manifest::new()
            .route(Route::new("help", "help"))
            .route(Route::new("quiet", "quiet").after(After::None))
            .route(Route::new("aside", "aside"))
            .route(Route::new("again", "again").after(After::None))
            .route(Route::new("cancel", "cancel"))
            .route(Route::new("leave", "leave").confirm("Leave it?"))
            .route(Route::new("stack", "stack").after(After::None))
    }

    fn on_message(&mut self, turn: &mut Turn) -> Result {
        let (command, dialog) = turn.text().split_once(' ').unwrap_or((turn.text(), ""));
        match command {
            "begin" => drop(turn.dialogs().begin(dialog, json!({ "by": "message" }))?),
            "replace" => drop(turn.dialogs().replace(dialog, ())?),
            "fault" => return Err(Fault::internal("broken")),
            _ => drop(turn.reply(format!("heard {}", turn.text()))?),
        }
        Ok(Handled)
    }

    fn on_event(&mut self, turn: &mut Turn) -> Result {
        turn.reply(format!("event {}", turn.activity().name.as_deref().unwrap_or_default()))?;
        Ok(Handled)
    }

    fn on_route(&mut self, turn: &mut Turn, name: &str) -> Result {
        match name {
            "aside" => drop(turn.dialogs().begin("aside", ())?),
            "again" => drop(turn.reply(turn.dialogs().reprompt()?.to_string())?),
            "cancel" | "leave" => drop(turn.reply(format!("cancelled {}", turn.dialogs().cancel_all()?))?),
            "stack" => {
                let frames = turn.dialogs().frames()?;
                let frames: Vec<String> = frames.iter().map(|it| format!("{}:{}", it.dialog, it.waits_for)).collect();
                turn.reply(frames.join(" "))?;
            }
            _ => drop(turn.reply(name.to_owned())?),
        }
        Ok(Handled)
    }
}

impl Dialogs for Desk {
    fn dialogs(&self) -> DialogSet {
        let set = DialogSet::new()
            .with(order())
            .with(StraightLine::new("trip", trip).validator("city", |_, check| {
                let city: String = check.value()?;
                Ok(if city == "Nowhere" { Verdict::reject_with("Where is that?") } else { Verdict::accept() })
            }))
            .with(StraightLine::new("seats", async |d: &mut Dialogue| {
                d.ask(number("How many seats?").integer().min(1).attempts(2)).await
            }))
            .with(Waterfall::new("aside").step(|step| step.wait("aside?")))
            .with(Waterfall::new("parent").step(|step| step.call("aside", ())).step_always(|step| {
                let said = step.outcome().reason.clone();
                step.turn().reply(format!("child {said}"))?;
                step.done(())
            }))
            .with(Waterfall::new("guards").step(|step| step.call("fails", ())).step_always(|step| {
                let said = step.outcome().reason.clone();
                step.wait(format!("child {said}"))
            }))
            .with(Waterfall::new("hands-over").step(|step| step.replace("aside", ())))
            .with(
                Waterfall::new("fails")
                    .step(|step| step.wait("say something"))
                    .step(|_| Err(Fault::internal("broken"))),
            )
            .with(
                Waterfall::new("flushes")
                    .step(|step| {
                        step.turn().reply("first")?;
                        step.flush()
                    })
                    .step(|step| step.wait("second")),
            )
            .with(Waterfall::new("endless").step(|step| step.replace("endless", ())))
            .with(Waterfall::new("recursive").step(|step| step.call("recursive", ())))
            .with(Listens)
            .with(Ignores);
        versioned(prompts(set))
    }
}

fn order() -> Waterfall {
    Waterfall::new("order")
        .step(|step| step.prompt(text("What?")))
        .step(|step| {
            let what: String = step.result()?;
            step.set("what", what)?;
            step.prompt(number("How many?").integer().min(1).retry("A number from 1.").validator("even"))
        })
        .step(|step| {
            let options: Value = step.options()?;
            let (what, many): (String, i64) = (step.get("what")?, step.result()?);
            step.turn().reply(format!("{many} {what} by {}", options["by"]))?;
            step.done(many)
        })
        .validator("even", |_, check| {
            let number: i64 = check.value()?;
            match number {
                11 => Verdict::accept_as(12),
                number if number % 2 == 0 => Ok(Verdict::accept()),
                _ => Ok(Verdict::reject_with(format!("{number} is odd ({})", check.attempt()))),
            }
        })
        .on_cancelled(|turn, reason| turn.reply(format!("no order: {reason}")).map(drop))
}

async fn trip(d: &mut Dialogue) -> Result<String> {
    d.send("Welcome.")?;
    let to = d.ask(text("Where to?").named("to").validator("city")).await?;
    let seats: Option<i64> = d.try_call("seats", ()).await?;
    let code = d.hear("What is your code?").await?;
    d.flush().await?;
    d.send(format!("{seats:?} to {to}, {}", code.text.unwrap_or_default()))?;
    if d.ask(confirm("Sure?")).await? { Ok(to) } else { d.cancel().await }
}

/// A dialog that asks one question and says what the host made of the answer.
fn asks<T: 'static>(set: DialogSet, id: &str, prompt: impl Fn() -> Prompt<T> + 'static) -> DialogSet {
    let dialog = Waterfall::new(id).step(move |step| step.prompt(prompt())).step_always(|step| {
        let outcome = step.outcome().clone();
        step.turn().reply(format!("{} {}", outcome.reason, outcome.result))?;
        step.done(())
    });
    set.with(dialog)
}

fn prompts(set: DialogSet) -> DialogSet {
    let set = asks(set, "text", || text("Code?").pattern("[A-Z]{2}").retry("Two letters.").attempts(3));
    let set = asks(set, "name", || text("Name?").min_length(2).max_length(5));
    let set = asks(set, "number", || number("How much?").min(0.5).max(9.0).attempts(2));
    let set = asks(set, "confirm", || confirm("Sure?"));
    let set = asks(set, "colour", || {
        choice("Which?", [Choice::new("red"), Choice::new("dark green").synonyms(["grass"]), Choice::new("blue")])
    });
    let set = asks(set, "when", || date_time("When?").earliest("today"));
    let set = asks(set, "day", || date_time("Which day?").date());
    let set = asks(set, "picture", || attachment("A picture?").content_types(["image/*"]).max_count(1));
    asks(set, "no-choices", || choice("which?", Vec::<String>::new()))
}

/// Dialogs whose state has another shape in release 2, and which release 3 has no more.
fn versioned(set: DialogSet) -> DialogSet {
    let release = release();
    if release == 3 {
        return set;
    }
    let steps = |id: &str| {
        let kept = if release == 1 { "city" } else { "town" };
        Waterfall::new(id)
            .version(release)
            .step(|step| step.prompt(text("Which city?")))
            .step(|step| {
                let city: String = step.result()?;
                step.set("city", city)?;
                step.wait("Anything else?")
            })
            .step(move |step| {
                let town: String = step.get(kept)?;
                step.turn().reply(town)?;
                step.done(())
            })
    };
    set.with(steps("migrates").migrate(|old| {
        let city = old.state["city"].as_str().unwrap_or_default();
        Ok(Some(json!({ "town": format!("{city} ({} to {})", old.from, old.to) })))
    }))
    .with(steps("gives-up").migrate(|_| Ok(None)))
    .with(steps("no-hook"))
    .with(StraightLine::new("edited", edited))
}

async fn edited(d: &mut Dialogue) -> Result<()> {
    let name = d.ask(text("Who?").named("name")).await?;
    d.ask(text(if release() == 1 { "Where?" } else { "Where to?" })).await?;
    d.send(format!("{name} goes.")).map(drop)
}

/// Waits for events too.
struct Listens;

impl Dialog for Listens {
    fn id(&self) -> &str {
        "listens"
    }

    fn on_event(&self, turn: &mut Turn, event: &Event, _state: Option<Value>) -> Result<Step> {
        match event.kind.as_str() {
            "begin" | "reprompt" => Ok(Step::wait_for(["event"])),
            "continue" => {
                turn.reply(format!("listens to {}", turn.activity().kind))?;
                Step::done(())
            }
            _ => Ok(Step::ignored()),
        }
    }
}

/// Takes no message.
struct Ignores;

impl Dialog for Ignores {
    fn id(&self) -> &str {
        "ignores"
    }

    fn on_event(&self, _turn: &mut Turn, event: &Event, _state: Option<Value>) -> Result<Step> {
        Ok(if event.kind == "begin" { Step::wait() } else { Step::ignored() })
    }
}

turntable_sdk::register!(Desk, dialogs);

#[cfg(test)]
mod conversations;

#[cfg(test)]
mod tests {
    use turntable_sdk::testing::TestHost;
    use turntable_sdk::{Activity, Value};

    use super::conversations::{FAILED, Item, all, answers};
    use super::{Desk, RELEASE};

    /// The same conversations are held with the component in `tests/spec/parity.rs`.
    #[test]
    fn the_test_host_answers_as_the_host_does() {
        let mut drifts = Vec::new();
        for conversation in all() {
            RELEASE.set(1);
            let host = TestHost::<Desk>::with_dialogs();
            for item in conversation.items {
                let (activity, expected) = match item {
                    Item::Release(number) => {
                        RELEASE.set(number.into());
                        continue;
                    }
                    Item::Turn { activity, answers } => (activity, answers),
                };
                let answer = host.takes(serde_json::from_value::<Activity>(activity.clone()).unwrap());
                let sent: Vec<Value> =
                    answer.sent.iter().map(|sent| Value::Object(sent.activity.clone().into_object())).collect();
                let mut said = answers(&activity, &sent);
                if answer.result.is_err() && activity["type"] == "message" {
                    said.insert(0, FAILED.to_owned());
                }
                if said != expected {
                    drifts.push(format!(
                        "{}: {activity}\n  answers  {said:?}\n  expected {expected:?}",
                        conversation.title
                    ));
                }
            }
        }
        assert!(drifts.is_empty(), "{}", drifts.join("\n"));
    }
}
