//! Straight-line dialogs: replay does nothing twice, and an edited function is noticed.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::task::{Context, Waker};
use std::time::UNIX_EPOCH;

use turntable_sdk::prelude::*;
use turntable_sdk::prompt::{confirm, number, text};
use turntable_sdk::testing::{Answer, TestHost};
use turntable_sdk::{Value, json};

thread_local! {
    /// How often the closure of a step ran.
    static STEPS: Cell<u32> = const { Cell::new(0) };
    /// Which edition of the source of `edited` runs.
    static EDITION: Cell<u32> = const { Cell::new(0) };
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

#[derive(Default)]
struct Clerk;

impl Bot for Clerk {
    fn manifest(&self) -> Manifest {
        Manifest::new().route(Route::new("help", "help"))
    }

    fn on_message(&mut self, turn: &mut Turn) -> Result {
        turn.dialogs().begin(turn.text(), json!({ "home": "Oslo" }))?;
        Ok(Handled)
    }

    fn on_route(&mut self, turn: &mut Turn, _name: &str) -> Result {
        turn.reply("help")?;
        Ok(Handled)
    }
}

impl Dialogs for Clerk {
    fn dialogs(&self) -> DialogSet {
        DialogSet::new()
            .with(StraightLine::new("book", book).validator("city", |_, check| {
                let city: String = check.value()?;
                Ok(if city == "Nowhere" { Verdict::reject_with("Where is that?") } else { Verdict::accept() })
            }))
            .with(StraightLine::new("seats", async |d: &mut Dialogue| {
                d.ask(number("How many seats?").integer().min(1).attempts(2)).await
            }))
            .with(StraightLine::new("parent", async |d: &mut Dialogue| {
                let seats: Option<i64> = d.try_call("seats", ()).await?;
                d.send(format!("{seats:?}"))
            }))
            .with(StraightLine::new("edited", edited))
            .with(
                StraightLine::new("migrates", edited)
                    .version(2)
                    .migrate(|old| Ok(old.state.get("name").map(|name| json!({ "name": name, "from": old.from })))),
            )
            .with(StraightLine::new("round", round))
            .with(StraightLine::new("swallows", swallows))
            .with(StraightLine::new("foreign", async |_: &mut Dialogue| {
                std::future::pending::<()>().await;
                Ok(())
            }))
            .with(StraightLine::new("goes-on", goes_on))
            .with(StraightLine::new("spins", async |d: &mut Dialogue| d.restart_with::<()>(1).await))
            .with(StraightLine::new("long", async |d: &mut Dialogue| (0..2000).try_for_each(|_| d.now().map(drop))))
            .with(StraightLine::new("fails", async |d: &mut Dialogue| {
                d.hear("go on?").await?;
                d.send("lost")?;
                d.step("once", |_| Err::<(), _>(Fault::unavailable("the service is down")))
            }))
    }
}

async fn book(d: &mut Dialogue) -> Result<String> {
    let options: Value = d.options()?;
    d.send(format!("From {}.", options["home"].as_str().unwrap_or_default()))?;
    let to = d.ask(text("Where to?").named("to").validator("city")).await?;
    let seats: i64 = d.call("seats", ()).await?;
    let price: i64 = d.step("price", |once| {
        STEPS.set(STEPS.get() + 1);
        SEEN.with_borrow_mut(|seen| seen.push(once.idempotency_key().to_owned()));
        Ok(once.config("price")?.unwrap_or(100))
    })?;
    let (drawn, now) = (d.random()?, d.now()?);
    let code = d.hear("What is your code?").await?;
    d.flush().await?;
    let again = (drawn, now.duration_since(UNIX_EPOCH).map_err(Fault::from)?.as_millis());
    SEEN.with_borrow_mut(|seen| seen.push(format!("{again:?}")));
    d.send(format!("{seats} to {to} for {}, {}", seats * price, code.text.unwrap_or_default()))?;
    if d.ask(confirm("Sure?")).await? { Ok(to) } else { d.cancel().await }
}

/// Four editions of one source.
async fn edited(d: &mut Dialogue) -> Result<String> {
    if let Some(state) = d.state::<Value>()? {
        d.send(format!("carried over: {state}"))?;
        return d.ask(text("And now?")).await;
    }
    let name = d.ask(text("Name?").named("name")).await?;
    match EDITION.get() {
        1 => drop(d.send("a new line")?),
        2 => drop(d.ask(number("Age?")).await?),
        3 => return Ok(name),
        _ => {}
    }
    let town = d.ask(text("Town?")).await?;
    d.send(format!("{name} of {town}"))?;
    Ok(town)
}

async fn round(d: &mut Dialogue) -> Result<u32> {
    let count: u32 = d.state()?.unwrap_or_default();
    if d.ask(confirm(format!("Another? You have {count}."))).await? {
        return d.restart_with(count + 1).await;
    }
    Ok(count)
}

/// Does what it can to go on past a question.
async fn swallows(d: &mut Dialogue) -> Result<String> {
    let answer = d.ask(text("Well?")).await.or_else(|_| Ok::<_, Fault>("swallowed".to_owned()))?;
    d.send(format!("went on with {answer}")).ok();
    Ok(answer)
}

/// Polls a question by hand, lets go of it, and speaks.
async fn goes_on(d: &mut Dialogue) -> Result<()> {
    let mut question = Box::pin(d.ask(text("Well?")));
    let polled = question.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
    drop(question);
    let _ = d.send("never mind");
    Ok(())
}

fn host() -> TestHost<Clerk> {
    TestHost::with_dialogs().at(1_800_000_000_123)
}

const LOST: &str = "Sorry, I have been updated and lost my place. Please start again.";

#[test]
fn the_function_reads_as_if_the_user_answered_at_once() {
    let host = host().setting("price", 50);
    host.says("book").says(["From Oslo.", "Where to?"]).waits_in("book");
    host.says("Nowhere").replies("Where is that?");
    host.says("Rome").replies("How many seats?").waits_in("seats");
    host.says("3").replies("What is your code?").waits_in("book");
    host.takes_route("help", "help").says(["help", "What is your code?"]);
    host.says("X7").says(["3 to Rome for 150, X7", "Sure?"]);
    host.says("yes").silent().ends_dialogs().handled();
}

#[test]
fn a_step_runs_once_and_time_and_chance_stay() {
    STEPS.set(0);
    SEEN.take();
    let host = host();
    for text in ["book", "Rome", "3", "X7", "yes"] {
        assert!(host.says(text).result.is_ok());
    }
    assert_eq!(STEPS.get(), 1);
    let seen = SEEN.take();
    assert!(seen[0].starts_with("frame-1-0-"), "{seen:?}");
    assert_eq!(seen[1], seen[2], "the replay drew or read something else");
    assert!(seen[1].ends_with("1800000000123)"), "{seen:?}");
}

#[test]
fn a_child_without_a_result_ends_the_parent_unless_it_asks_how() {
    let host = host();
    host.says("parent").replies("How many seats?");
    host.says("none").replies("How many seats?");
    host.says("none").replies("None").ends_dialogs();
    host.says("book").waits_in("book").handled();
    host.says("Rome").replies("How many seats?");
    host.says("none").replies("How many seats?");
    host.says("none").silent().handled().ends_dialogs();
}

#[test]
fn a_failure_keeps_the_journal_of_before() {
    let host = host();
    host.says("fails").replies("go on?");
    host.says("a").silent().fails("unavailable").waits_in("fails");
    host.says("b").silent().fails("unavailable").waits_in("fails");
}

#[test]
fn a_dialog_that_goes_round_truncates_its_journal() {
    let host = host();
    host.says("round").replies("Another? You have 0.");
    for count in 1..=1500 {
        host.says("yes").replies(&format!("Another? You have {count}.")).waits_in("round");
    }
    host.says("no").silent().ends_dialogs();
}

#[test]
fn nothing_swallows_a_suspension() {
    let host = host();
    host.says("swallows").replies("Well?").waits_in("swallows");
    host.says("fine").replies("went on with fine").ends_dialogs();
}

#[test]
fn misuse_is_a_fault_that_says_what_is_wrong() {
    let fault = host().says("foreign").silent().fails("invalid").result.unwrap_err();
    assert_eq!(
        fault.message,
        "the function of the dialog `foreign` awaits something that is not a function of its `Dialogue`"
    );
    let fault = host().says("goes-on").silent().fails("invalid").result.unwrap_err();
    assert!(fault.message.ends_with("continued while one was pending; await one after another"), "{fault}");
    let fault = host().says("long").silent().fails("quota").result.unwrap_err();
    assert!(fault.message.contains("restart_with"), "{fault}");
    host().says("spins").silent().fails("quota");
}

fn edit(dialog: &str, edition: u32) -> Answer {
    EDITION.set(0);
    let host = host();
    host.says(dialog).replies("Name?");
    host.says("Ann").replies("Town?");
    EDITION.set(edition);
    let answer = host.says("Rome");
    EDITION.set(0);
    answer
}

#[test]
fn an_edited_function_is_noticed() {
    edit("edited", 0).replies("Ann of Rome").ends_dialogs();
    for edition in 1..=3 {
        let answer = edit("edited", edition).replies(LOST).ends_dialogs();
        let line = answer.logs("the dialog was edited: it differs from its journal").log.remove(0);
        assert_eq!(line.level, "warn");
    }
}

#[test]
fn an_edited_function_can_carry_over_what_it_has() {
    edit("migrates", 1).says([r#"carried over: {"name":"Ann","from":2}"#, "And now?"]).waits_in("migrates");
}

// The property: whatever a dialog does, and wherever it was interrupted, replaying it sends nothing again and nothing else.

/// What a generated dialog does next.
#[derive(Debug, Clone, PartialEq)]
enum Op {
    Send(u32),
    Ask(u32),
    Step(u32),
    Draw,
    Time,
    Child,
    Hear(u32),
}

thread_local! {
    static PROGRAM: RefCell<Vec<Op>> = const { RefCell::new(Vec::new()) };
}

#[derive(Default)]
struct Generated;

impl Bot for Generated {
    fn on_message(&mut self, turn: &mut Turn) -> Result {
        turn.dialogs().begin("program", ())?;
        Ok(Handled)
    }
}

impl Dialogs for Generated {
    fn dialogs(&self) -> DialogSet {
        DialogSet::new()
            .with(StraightLine::new("program", program))
            .with(StraightLine::new("child", async |d: &mut Dialogue| d.ask(text("child?")).await))
    }
}

async fn program(d: &mut Dialogue) -> Result<()> {
    let mut heard = String::new();
    for op in PROGRAM.with_borrow(Clone::clone) {
        match op {
            Op::Send(number) => drop(d.send(format!("say {number} {heard}"))?),
            Op::Ask(number) => heard += &d.ask(text(format!("ask {number}?"))).await?,
            Op::Step(number) => heard += &d.step(&format!("step {number}"), |_| Ok(number.to_string()))?,
            Op::Draw => heard += &(d.random()? % 10).to_string(),
            Op::Time => heard += if d.now()? > UNIX_EPOCH { "t" } else { "0" },
            Op::Child => heard += &d.call::<String>("child", ()).await?,
            Op::Hear(number) => heard += &d.hear(format!("hear {number}?")).await?.text.unwrap_or_default(),
        }
    }
    d.send(format!("end {heard}")).map(drop)
}

/// What the dialog would say if the user answered at once: the same program, run without any journal.
fn said_at_once(ops: &[Op], answers: &[String], draws: &[String]) -> Vec<String> {
    let (mut said, mut heard) = (Vec::new(), String::new());
    let (mut answers, mut draws) = (answers.iter(), draws.iter());
    for op in ops {
        let asked = match op {
            Op::Send(number) => {
                said.push(format!("say {number} {heard}"));
                continue;
            }
            Op::Step(number) => {
                heard += &number.to_string();
                continue;
            }
            Op::Draw => {
                heard += draws.next().map_or("", String::as_str);
                continue;
            }
            Op::Time => {
                heard += "t";
                continue;
            }
            Op::Ask(number) => format!("ask {number}?"),
            Op::Child => "child?".to_owned(),
            Op::Hear(number) => format!("hear {number}?"),
        };
        said.push(asked);
        match answers.next() {
            Some(answer) => heard += answer,
            None => return said,
        }
    }
    said.push(format!("end {heard}"));
    said
}

/// A small generator (xorshift), so that every run tests the same thousand programs.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn op(&mut self) -> Op {
        let number = self.roll(3) as u32;
        match self.roll(8) {
            0 | 1 => Op::Send(number),
            2 | 3 => Op::Ask(number),
            4 => Op::Step(number),
            5 => Op::Draw,
            6 => {
                if number == 0 {
                    Op::Time
                } else {
                    Op::Child
                }
            }
            _ => Op::Hear(number),
        }
    }
}

fn play(host: &TestHost<Generated>, answers: &[String]) -> Vec<String> {
    let mut said = Vec::new();
    let turns = std::iter::once("start").chain(answers.iter().map(String::as_str));
    for text in turns {
        let answer = host.says(text).handled();
        said.extend(answer.texts().iter().map(|text| (*text).to_owned()));
    }
    said
}

/// Draws are of the frame: the first frame of every host has the same.
fn draws(ops: &[Op]) -> Vec<String> {
    let mut found = Vec::new();
    for at in (0..ops.len()).filter(|at| ops[*at] == Op::Draw) {
        // A program of the same length in front draws the same, and says so.
        let mut probe: Vec<Op> = vec![Op::Time; at];
        probe.push(Op::Draw);
        PROGRAM.set(probe);
        let said = play(&TestHost::with_dialogs().at(1), &[]);
        found.push(said[0].trim_start_matches("end ").trim_start_matches('t').to_owned());
    }
    found
}

#[test]
fn any_prefix_of_answers_replayed_yields_the_same_sends() {
    let mut dice = Dice(0x5eed_cafe_f00d_0001);
    for _ in 0..300 {
        let ops: Vec<Op> = (0..dice.roll(12) + 1).map(|_| dice.op()).collect();
        let questions = ops.iter().filter(|op| matches!(op, Op::Ask(_) | Op::Child | Op::Hear(_))).count();
        let answers: Vec<String> =
            (0..questions).map(|_| format!("a{} ", dice.roll(9))).map(|a| a.trim().to_owned()).collect();
        let draws = draws(&ops);
        PROGRAM.set(ops.clone());
        for known in 0..=answers.len() {
            let said = play(&TestHost::with_dialogs().at(1), &answers[..known]);
            assert_eq!(said, said_at_once(&ops, &answers[..known], &draws), "{ops:?} after {known} answers");
        }
    }
}

#[test]
fn any_edit_of_what_was_played_is_noticed() {
    let mut dice = Dice(0x5eed_cafe_f00d_0002);
    let mut noticed = 0;
    for _ in 0..300 {
        let mut ops: Vec<Op> = (0..dice.roll(8) + 2).map(|_| dice.op()).collect();
        // The last thing waits, so that all before it was played.
        ops.push(Op::Ask(9));
        let questions = ops.iter().filter(|op| matches!(op, Op::Ask(_) | Op::Child | Op::Hear(_))).count();
        let answers: Vec<String> = vec!["x".to_owned(); questions - 1];
        PROGRAM.set(ops.clone());
        let host = TestHost::<Generated>::with_dialogs().at(1);
        assert_eq!(play(&host, &answers).last().map(String::as_str), Some("ask 9?"), "{ops:?}");
        let at = dice.roll(ops.len() as u64 - 1) as usize;
        let mut edited = ops.clone();
        edited[at] = dice.op();
        if edited[at] == ops[at] {
            continue;
        }
        PROGRAM.set(edited.clone());
        let said = host.says("x").handled().ends_dialogs();
        assert_eq!(said.texts(), [LOST], "{ops:?} became {edited:?}");
        noticed += 1;
    }
    assert!(noticed > 200, "{noticed}");
}
