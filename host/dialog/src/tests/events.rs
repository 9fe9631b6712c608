//! Events and steps: which dialog gets what, and what becomes of the stack.

use super::*;

#[test]
fn a_dialog_begins_waits_and_ends() {
    let mut talk = Talk::new();
    talk.begin("a", &json!({ "n": 1 }));
    assert_eq!(talk.top().waits_for(), "none");
    assert_eq!(talk.goes_on([wait()]).unwrap(), [r#"a1 begin {"n":1}"#]);
    assert_eq!(talk.top().waits_for(), "message");
    assert_eq!(talk.says("x", [step("done", &json!(7))]), (vec!["a1 continue ".to_owned()], Offer::Taken));
    assert!(talk.stack.frames.is_empty());
    assert_eq!(talk.says("y", []), (vec![], Offer::Left));
}

#[test]
fn a_state_lasts_until_a_step_sets_another() {
    let mut talk = Talk::with([Step { state: Some("1".into()), ..wait() }]);
    assert_eq!(talk.says("x", [wait()]).0, ["a1 continue  in 1"]);
    assert_eq!(talk.says("x", [Step { state: Some("2".into()), ..wait() }]).0, ["a1 continue  in 1"]);
    assert_eq!(talk.top().state.as_deref(), Some("2"));
}

#[test]
fn what_a_dialog_ignores_is_left_to_the_handlers() {
    let mut talk = Talk::with([wait()]);
    assert_eq!(talk.says("x", [step("ignored", &Value::Null)]).1, Offer::Left);
    // No failure of a handler counts against it.
    assert!(!talk.machine(&message("ann", "x", false), |machine| machine.count_failure()));
    assert_eq!(talk.top().failures, 0);
}

#[test]
fn a_waiting_dialog_gets_messages_signing_in_and_what_it_asked_for() {
    let activity = |kind: &str, name: &str| {
        let mut activity = message("ann", "", false);
        (activity["type"], activity["name"]) = (kind.into(), name.into());
        activity
    };
    for (kind, name, is_taken) in [
        ("message", "", true),
        ("event", "tokens/response", true),
        ("event", "lunch", false),
        ("invoke", "signin/verifyState", true),
        ("invoke", "signin/tokenExchange", true),
        ("invoke", "signin/failure", true),
        ("invoke", "tokens/response", false),
        ("event", "signin/failure", false),
        ("typing", "", false),
        ("messageReaction", "", true),
    ] {
        let mut talk = Talk::with([step("wait", &json!({ "activities": ["messageReaction"] }))]);
        let steps = is_taken.then(wait);
        let (_, offer) = talk.takes(&activity(kind, name), steps).unwrap();
        assert_eq!(offer == Offer::Taken, is_taken, "{kind} {name}");
    }
    let prompt = json!({ "kind": "text", "prompt": "?" });
    let mut talk = Talk::with([step("prompt", &prompt)]);
    assert_eq!(talk.takes(&activity("event", "tokens/response"), []).unwrap(), (vec![], Offer::Left));
}

#[test]
fn a_parent_resumes_with_what_became_of_its_child() {
    let call = step("call", &json!({ "dialog": "b", "options": [1] }));
    let mut talk = Talk::new();
    talk.begin("a", &Value::Null);
    assert_eq!(talk.goes_on([call, wait()]).unwrap(), ["a1 begin null", "b2 begin [1]"]);
    let kinds: Vec<String> = talk.stack.top_first().map(Frame::waits_for).collect();
    assert_eq!(kinds, ["message", "child"]);
    let resumed = r#"a1 resume {"from":"dialog","reason":"completed","result":3}"#;
    assert_eq!(talk.says("x", [step("done", &json!(3)), wait()]).0, ["b2 continue ", resumed]);
    let call = step("call", &json!({ "dialog": "b" }));
    let (done, _) = talk.says("x", [call, step("cancelled", &Value::Null), wait()]);
    assert_eq!(done, ["a1 continue ", "b2 begin null", r#"a1 resume {"from":"dialog","reason":"cancelled"}"#]);
}

#[test]
fn a_replaced_dialog_leaves_its_parent_to_the_next() {
    let call = step("call", &json!({ "dialog": "b" }));
    let mut talk = Talk::with([call, step("replace", &json!({ "dialog": "c", "options": 2 })), wait()]);
    let dialogs: Vec<&str> = talk.stack.frames.iter().map(|frame| &*frame.dialog).collect();
    assert_eq!(dialogs, ["a", "c"]);
    assert_eq!(talk.says("x", [step("done", &Value::Null), wait()]).0.len(), 2);
    assert_eq!(talk.stack.frames.len(), 1);
}

#[test]
fn an_interrupted_dialog_repeats_its_question() {
    let mut talk = Talk::with([wait()]);
    talk.begin("b", &Value::Null);
    assert_eq!(talk.goes_on([wait()]).unwrap(), ["b2 begin null"]);
    let (done, _) = talk.says("x", [step("done", &Value::Null), wait()]);
    assert_eq!(done, ["b2 continue ", "a1 reprompt null"]);
    assert_eq!(talk.progress.reprompts(), 1);
    // A dialog that knows no `reprompt` waits on.
    assert!(talk.stack.ask_again());
    assert_eq!(talk.goes_on([step("ignored", &Value::Null)]).unwrap(), ["a1 reprompt null"]);
    assert_eq!(talk.top().waits_for(), "message");
    // One that has not begun has nothing to repeat.
    talk.begin("b", &Value::Null);
    assert!(!talk.stack.ask_again());
}

#[test]
fn who_is_cancelled_hears_of_it_once_it_has_begun() {
    let mut talk = Talk::with([step("call", &json!({ "dialog": "b" })), wait()]);
    talk.begin("c", &Value::Null);
    assert_eq!(talk.stack.cancel_all(), 3);
    let told = ["b0 cancelled {\"reason\":\"cancel-all\"}", "a0 cancelled {\"reason\":\"cancel-all\"}"];
    assert_eq!(talk.goes_on([]).unwrap(), told);
    let mut talk = Talk::with([wait()]);
    let known = talk.catalog.dialog("p", "b");
    let begin = Begin { id: "r".into(), plugin: &"p".into(), dialog: "b", known, options: "null" };
    talk.stack.replace(begin).unwrap();
    let done = talk.goes_on([wait()]).unwrap();
    assert_eq!(done, ["a0 cancelled {\"reason\":\"replaced\"}", "b1 begin null"]);
    // One of another version could not read its state.
    talk.stack.cancel_all();
    talk.catalog.version = 2;
    assert_eq!(talk.goes_on([]).unwrap(), [""; 0]);
}

#[test]
fn a_flush_comes_before_the_dialog_goes_on() {
    let mut talk = Talk::new();
    talk.begin("a", &Value::Null);
    let done = talk.goes_on([step("flush", &Value::Null), wait()]).unwrap();
    assert_eq!(done, ["a1 begin null", "flush p", r#"a1 resume {"from":"flush","reason":"completed"}"#]);
}

/// Its turn failed after a flush: with the next message it goes on, and that message answers nothing yet.
#[test]
fn a_dialog_that_was_to_go_on_does_so_with_the_next_message() {
    let mut talk = Talk::new();
    talk.begin("a", &Value::Null);
    assert_eq!(talk.says("x", [wait()]), (vec!["a1 begin null".to_owned()], Offer::Taken));
    // What is no message has it go on too, and is left.
    talk.begin("b", &Value::Null);
    let mut event = message("ann", "", false);
    event["type"] = "event".into();
    assert_eq!(talk.takes(&event, [wait()]).unwrap(), (vec!["b2 begin null".to_owned()], Offer::Left));
    // A child that is gone has failed.
    let mut talk = Talk::with([step("call", &json!({ "dialog": "b" })), wait()]);
    talk.stack.frames.pop();
    let (done, _) = talk.says("x", [wait()]);
    assert_eq!(done, [r#"a1 resume {"from":"dialog","reason":"failed"}"#]);
}

#[test]
fn the_third_failure_in_a_row_takes_a_dialog_off() {
    let mut talk = Talk::with([step("call", &json!({ "dialog": "b" })), wait()]);
    let about = message("ann", "x", false);
    let fails = |talk: &mut Talk| {
        talk.progress = Progress::default();
        // The dialog gets the message, and its call fails.
        let mut run = talk.machine(&about, |machine| machine.offer()).unwrap();
        assert!(matches!(talk.machine(&about, |machine| machine.next(&mut run)), Ok(Some(Effect::Call(_)))));
        talk.machine(&about, |machine| machine.count_failure())
    };
    assert!(!fails(&mut talk));
    talk.says("x", [wait()]);
    assert!(!fails(&mut talk) && !fails(&mut talk), "a success in between begins the count anew");
    // What stands above goes with it.
    let mut above = talk.top().clone();
    above.id = "above".into();
    let turns_about = talk.top().id.clone();
    talk.progress = Progress::default();
    let mut run = talk.machine(&about, |machine| machine.offer()).unwrap();
    talk.machine(&about, |machine| machine.next(&mut run)).unwrap();
    talk.stack.push(above).unwrap();
    assert!(talk.machine(&about, |machine| machine.count_failure()));
    assert!(talk.stack.frames.iter().all(|frame| frame.id != turns_about && *frame.id != *"above"));
    assert_eq!(talk.goes_on([wait()]).unwrap(), [r#"a1 resume {"from":"dialog","reason":"failed"}"#]);
    talk.progress.blame_nobody();
    assert!(!talk.machine(&about, |machine| machine.count_failure()));
}

#[test]
fn a_step_that_answers_no_such_event_breaks_the_contract() {
    for (kind, why) in [
        ("dance", "`a` answered `begin` with the step `dance`"),
        ("ignored", "`a` answered `begin` with the step `ignored`"),
        ("reject", "`a` answered `begin` with the step `reject`"),
        ("accept", "`a` answered `begin` with the step `accept`"),
    ] {
        let mut talk = Talk::new();
        talk.begin("a", &Value::Null);
        let broken = talk.goes_on([step(kind, &Value::Null)]).unwrap_err();
        assert_eq!((&*broken.plugin, &*broken.refusal.message), ("p", why));
    }
    let mut talk = Talk::new();
    talk.begin("a", &Value::Null);
    let long = "x".repeat(100);
    let broken = talk.goes_on([Step { data: "{".into(), ..step(&long, &Value::Null) }]).unwrap_err();
    assert!(broken.refusal.message.starts_with(&format!("the data of step `{}` is not JSON", &long[..64])));
    talk.stack.frames[0].status = Status::Begin { options: Value::Null };
    let broken = talk.goes_on([step("wait", &json!({ "activities": 1 }))]).unwrap_err();
    assert_eq!(broken.refusal.message, "`activities` of step `wait` must be strings");
    let broken = talk.goes_on([step("call", &json!({ "dialog": "z" }))]).unwrap_err();
    assert_eq!(broken.refusal.message, "`a` calls the dialog `z`, which its manifest does not list");
}

/// The form in which stacks are stored; a host of another version reads it.
#[test]
fn a_stack_is_stored_as_json() {
    let prompt = json!({ "kind": "text", "prompt": "?" });
    let talk = Talk::with([Step { state: Some("{}".into()), ..step("prompt", &prompt) }]);
    let stored = json!([{ "id": "f1", "plugin": "p", "dialog": "a", "state-version": 1, "state": "{}", "failures": 0,
        "status": { "prompt": { "definition": prompt, "attempt": 0 } } }]);
    assert_eq!(serde_json::to_value(&talk.stack.frames).unwrap(), stored);
    assert_eq!(serde_json::from_value::<Vec<Frame>>(stored).unwrap(), talk.stack.frames);
}

#[test]
fn numbers_of_a_stored_stack_stay_as_they_are_written() {
    let digits = "9".repeat(60);
    let sent = format!(r#"{{"a":[1E400,-1E-400,1E5,{digits}]}}"#);
    for status in [
        format!(r#"{{"begin":{{"options":{sent}}}}}"#),
        format!(r#"{{"resume":{{"event":{sent}}}}}"#),
        format!(r#"{{"prompt":{{"definition":{sent},"attempt":0}}}}"#),
    ] {
        let text =
            format!(r#"[{{"id":"1","plugin":"p","dialog":"d","state-version":0,"status":{status},"failures":0}}]"#);
        let frames: Vec<Frame> = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&frames).unwrap(), text);
    }
}
