//! Dialogs as explicit steps, and the stack that they stand on.

use turntable_sdk::prelude::*;
use turntable_sdk::prompt::{attachment, choice, confirm, date_time, number, text};
use turntable_sdk::testing::TestHost;
use turntable_sdk::{After, Value, json};

/// Begins the dialog that a message names.
#[derive(Default)]
struct Desk;

impl Bot for Desk {
    fn manifest(&self) -> Manifest {
        let routes = [Route::new("help", "help"), Route::new("quiet", "quiet").after(After::None)];
        let [help, quiet] = routes;
        Manifest::new()
            .route(help)
            .route(quiet)
            .route(Route::new("aside", "aside"))
            .route(Route::new("cancel", "cancel"))
            .route(Route::new("leave", "leave").confirm("Leave it?"))
    }

    fn on_message(&mut self, turn: &mut Turn) -> Result {
        let (command, dialog) = turn.text().split_once(' ').unwrap_or((turn.text(), ""));
        match command {
            "begin" => drop(turn.dialogs().begin(dialog, json!({ "by": "message" }))?),
            "replace" => drop(turn.dialogs().replace(dialog, ())?),
            _ => drop(turn.reply(format!("heard {}", turn.text()))?),
        }
        Ok(Handled)
    }

    fn on_route(&mut self, turn: &mut Turn, name: &str) -> Result {
        match name {
            "aside" => drop(turn.dialogs().begin("aside", ())?),
            "cancel" | "leave" => {
                let count = turn.dialogs().cancel_all()?;
                turn.reply(format!("cancelled {count}"))?;
            }
            _ => drop(turn.reply(name.to_owned())?),
        }
        Ok(Handled)
    }
}

impl Dialogs for Desk {
    fn dialogs(&self) -> DialogSet {
        DialogSet::new()
            .with(order())
            .with(all_prompts())
            .with(Waterfall::new("aside").step(|step| step.wait("aside?")))
            .with(Waterfall::new("parent").step(|step| step.call("aside", ())).step_always(|step| {
                let said = step.outcome().reason.clone();
                step.turn().reply(format!("child {said}"))?;
                step.done(())
            }))
            .with(Waterfall::new("strict").step(|step| step.call("gives-up", ())).step(|step| step.wait("never")))
            .with(
                Waterfall::new("gives-up")
                    .step(|step| step.prompt(number("a number?").attempts(2)))
                    .step(|step| step.done(())),
            )
            .with(
                Waterfall::new("flushes")
                    .step(|step| {
                        step.turn().reply("first")?;
                        step.flush()
                    })
                    .step(|_| Err(Fault::internal("broken"))),
            )
            .with(
                Waterfall::new("fails")
                    .step(|step| step.wait("say something"))
                    .step(|_| Err(Fault::internal("broken"))),
            )
            .with(Waterfall::new("hands-over").step(|step| step.replace("aside", ())))
            .with(Waterfall::new("endless").step(|step| step.replace("endless", ())))
            .with(Waterfall::new("recursive").step(|step| step.call("recursive", ())))
            .with(Waterfall::new("no-choices").step(|step| step.prompt(choice("which?", Vec::<String>::new()))))
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
        .step(|step| step.next(step.result::<i64>()? * 2))
        .step(|step| {
            let options: Value = step.options()?;
            let (what, twice): (String, i64) = (step.get("what")?, step.result()?);
            step.turn().reply(format!("{twice} {what} by {}", options["by"]))?;
            step.done(twice)
        })
        .validator("even", |_, check| {
            let number: i64 = check.value()?;
            match number {
                0..=10 if number % 2 == 0 => Ok(Verdict::accept()),
                11 => Verdict::accept_as(12),
                _ => Ok(Verdict::reject_with(format!("{number} is odd ({})", check.attempt()))),
            }
        })
        .on_cancelled(|turn, reason| turn.reply(format!("no order: {reason}")).map(drop))
}

fn all_prompts() -> Waterfall {
    Waterfall::new("all")
        .step(|step| step.prompt(confirm("yes?")))
        .step(|step| {
            step.set("yes", step.result::<bool>()?)?;
            step.prompt(choice("which?", ["red", "blue"]))
        })
        .step(|step| {
            let chosen: turntable_sdk::prompt::Chosen = step.result()?;
            step.set("which", chosen.value)?;
            step.prompt(date_time("when?").date().earliest("2026-01-01"))
        })
        .step(|step| {
            let when: turntable_sdk::prompt::Moment = step.result()?;
            step.set("when", when.value)?;
            step.prompt(attachment("a picture?").content_types(["image/*"]))
        })
        .step(|step| {
            let files: Vec<Attachment> = step.result()?;
            let (yes, which, when): (bool, String, String) = (step.get("yes")?, step.get("which")?, step.get("when")?);
            step.turn().reply(format!("{yes} {which} {when} {}", files[0].content_type))?;
            step.done(())
        })
}

fn host() -> TestHost<Desk> {
    TestHost::with_dialogs()
}

#[test]
fn steps_run_one_after_another_over_as_many_turns() {
    let host = host();
    host.says("begin order").replies("What?").waits_in("order");
    assert_eq!(host.stack()[0].waits_for, "prompt:text");
    host.says("tea").replies("How many?");
    host.says("many").replies("A number from 1.");
    host.says("3").replies("3 is odd (2)");
    host.says("2").replies("4 tea by \"message\"").ends_dialogs().handled();
    host.says("after").replies("heard after");
}

#[test]
fn a_validator_may_accept_another_value() {
    let host = host();
    host.says("begin order").replies("What?");
    host.says("tea").replies("How many?");
    host.says("11").replies("24 tea by \"message\"");
}

#[test]
fn all_six_prompts_give_typed_results() {
    let host = host();
    host.says("begin all").replies("yes?");
    host.says("perhaps").replies("yes?");
    let which = host.says("yes").replies("which?");
    let shown = which.sent[0].activity.suggested_actions.as_ref().map(|shown| shown.actions.len());
    assert_eq!(shown, Some(2));
    host.says("green").replies("which?");
    host.says("2").replies("when?");
    host.says("2025-12-31").replies("when?");
    host.says("2026-12-31").replies("a picture?");
    host.takes(Activity::message("").attach(Attachment::file("text/plain", "https://example.org/a")))
        .replies("a picture?");
    let picture = Activity::message("").attach(Attachment::file("image/png", "https://example.org/b"));
    host.takes(picture).replies("true blue 2026-12-31 image/png").ends_dialogs();
}

#[test]
fn an_interruption_ends_with_the_question_again() {
    let host = host();
    host.says("begin order").replies("What?");
    host.takes_route("help", "help").says(["help", "What?"]).waits_in("order");
    host.takes_route("quiet", "quiet").replies("quiet").waits_in("order");
    host.takes_route("aside", "aside").replies("aside?").waits_in("aside");
    // What a dialog said itself is said again by its reprompt, with no word of its author.
    host.takes_route("help", "help").says(["help", "aside?"]);
    host.says("done").replies("What?").waits_in("order");
}

#[test]
fn cancelling_tells_every_dialog() {
    let host = host();
    host.says("begin order").replies("What?");
    host.takes_route("aside", "aside").waits_in("aside").handled();
    host.takes_route("cancel", "cancel").says(["cancelled 2", "no order: cancel-all"]).ends_dialogs();
}

#[test]
fn a_route_asks_before_it_interrupts() {
    let host = host();
    host.takes_route("leave", "leave").replies("cancelled 0");
    host.says("begin order").replies("What?");
    host.takes_route("leave", "leave").replies("Leave it?").waits_in("confirm");
    host.says("perhaps").replies("Leave it?");
    host.says("no").replies("What?").waits_in("order");
    host.takes_route("leave", "leave").replies("Leave it?");
    host.says("yes").says(["cancelled 1", "no order: cancel-all"]).ends_dialogs();
    host.says("begin order").replies("What?");
    host.takes_route("leave", "leave").replies("Leave it?");
    for answer in ["hm", "well"] {
        host.says(answer).replies("Leave it?");
    }
    host.says("hm").replies("What?").waits_in("order");
}

#[test]
fn a_parent_hears_how_its_child_ended() {
    let host = host();
    host.says("begin parent").replies("aside?");
    assert_eq!(host.stack()[1].waits_for, "child");
    host.says("x").replies("child completed").ends_dialogs();
}

#[test]
fn a_step_without_a_result_to_go_on_with_ends_the_dialog() {
    let host = host();
    host.says("begin strict").replies("a number?");
    host.says("many").replies("a number?");
    host.says("plenty").silent().handled().ends_dialogs();
}

#[test]
fn another_dialog_takes_the_place_of_one() {
    let host = host();
    host.says("begin hands-over").replies("aside?").waits_in("aside");
    assert_eq!(host.stack().len(), 1);
    host.says("x").silent().ends_dialogs();
}

#[test]
fn what_was_flushed_survives_a_failure() {
    let host = host();
    host.says("begin flushes").replies("first").fails("internal").waits_in("flushes");
}

#[test]
fn the_third_failure_in_a_row_ends_a_dialog() {
    let host = host();
    host.says("begin fails").replies("say something");
    host.says("a").silent().fails("internal").waits_in("fails");
    host.says("b").silent().fails("internal").waits_in("fails");
    host.says("c")
        .replies("Sorry, I cannot go on with this. I have stopped it; you can start again.")
        .fails("internal")
        .ends_dialogs();
    host.says("d").replies("heard d");
}

#[test]
fn dialogs_that_never_end_meet_a_bound() {
    host().says("begin endless").silent().fails("quota").ends_dialogs();
    host().says("begin recursive").silent().fails("quota").ends_dialogs();
}

#[test]
fn what_makes_no_sense_is_refused_with_a_reason() {
    let fault = host().says("begin nothing").silent().fails("invalid").result.unwrap_err();
    assert_eq!(fault.message, "the manifest of this plugin has no dialog `nothing`");
    let fault = host().says("begin no-choices").silent().fails("invalid").result.unwrap_err();
    assert!(fault.message.contains("nothing to choose from"), "{fault}");
}

#[test]
fn a_waiting_dialog_leaves_other_types_to_the_handlers() {
    let host = host();
    host.says("begin aside").replies("aside?");
    host.event("x", 1).silent().passes().waits_in("aside");
}

#[test]
fn in_a_group_only_who_was_asked_answers() {
    let ann = host();
    let bob = ann.clone().user(ChannelAccount::new("bob"));
    let says = |host: &TestHost<Desk>, text: &str| {
        let group = json!({ "id": "group", "isGroup": true });
        let activity = json!({ "type": "message", "text": text, "conversation": group });
        host.takes(serde_json::from_value(activity).unwrap())
    };
    says(&ann, "begin order").replies("What?").waits_in("order");
    says(&bob, "coffee").replies("heard coffee").waits_in("order");
    let again = says(&bob, "help").says(["help", "What?"]);
    assert_eq!(again.sent[1].activity.recipient.as_ref().map(|user| user.id.as_str()), Some("user"));
    says(&ann, "tea").replies("How many?");
}

/// Who sent an activity is not the host's to say.
#[test]
fn an_activity_that_says_who_sent_it_is_theirs() {
    let host = host();
    let group: Value = json!({ "id": "group", "isGroup": true });
    let said = |user: &str, text: &str| -> Activity {
        let from = json!({ "id": user });
        serde_json::from_value(json!({ "type": "message", "text": text, "from": from, "conversation": group })).unwrap()
    };
    host.takes(said("ann", "begin aside")).replies("aside?");
    host.takes(said("bob", "me")).replies("heard me").waits_in("aside");
    host.takes(said("ann", "me")).silent().ends_dialogs();
}

#[test]
fn the_manifest_lists_dialogs_role_and_grant() {
    let manifest = host().manifest();
    assert_eq!(manifest["roles"], json!(["handler", "dialogs"]));
    assert_eq!(manifest["dialogs"][0], json!({ "id": "order", "state-version": 0 }));
    assert_eq!(manifest["wants"], json!({ "dialogs": true }));
}
