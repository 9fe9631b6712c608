//! Routes over a dialog that waits.

use super::*;

const ASKS: &str = "send Stop? (1) Yes or (2) No";

/// A user calls the route `stop`, which asks before it interrupts.
fn calls(talk: &mut Talk, user: &str, route: &str) -> Vec<String> {
    let about = message(user, "stop!", talk.is_group);
    let run = talk.machine(&about, |machine| machine.confirm_route("p".into(), route, "Stop?"));
    talk.perform(&about, run).unwrap().0
}

#[test]
fn yes_runs_the_route_with_what_was_said() {
    let mut talk = Talk::with([wait()]);
    assert_eq!(calls(&mut talk, "ann", "stop"), [ASKS]);
    let frame = talk.top();
    assert_eq!(
        (&*frame.plugin, &*frame.dialog, frame.waits_for().as_str()),
        ("turntable", "confirm", "prompt:confirm")
    );
    let (done, offer) = talk.says("yes", []);
    let Offer::Route { plugin, route, activity } = offer else { panic!("{offer:?}") };
    assert_eq!((&*plugin, route.as_str(), done.len(), talk.stack.frames.len()), ("p", "stop", 0, 1));
    assert_eq!(Activity::parse(&activity).unwrap().str("text"), "stop!");
}

#[test]
fn no_or_a_route_that_is_gone_repeats_the_question_below() {
    for (route, answer) in [("stop", "no"), ("gone", "yes")] {
        let mut talk = Talk::with([wait()]);
        calls(&mut talk, "ann", route);
        let (done, offer) = talk.says(answer, [wait()]);
        assert_eq!((done, offer), (vec!["a1 reprompt null".to_owned()], Offer::Taken), "{route} {answer}");
    }
}

#[test]
fn the_third_answer_that_is_not_understood_is_a_no() {
    let mut talk = Talk::with([wait()]);
    calls(&mut talk, "ann", "stop");
    for _ in 0..2 {
        assert_eq!(talk.says("hm", []), (vec![ASKS.to_owned()], Offer::Taken));
    }
    assert_eq!(talk.says("hm", [wait()]).0, ["a1 reprompt null"]);
}

#[test]
fn of_several_questions_the_newest_stands() {
    let mut talk = Talk { is_group: true, ..Talk::new() };
    talk.begin("a", &Value::Null);
    talk.goes_on([wait()]).unwrap();
    calls(&mut talk, "bob", "stop");
    calls(&mut talk, "cid", "stop");
    assert_eq!((talk.stack.frames.len(), talk.top().asked.as_deref()), (2, Some("cid")));
}

#[test]
fn a_question_lapses_for_whoever_the_dialog_below_asked() {
    for (is_group, user, kind, frames) in [
        (true, "ann", "message", 1),
        (true, "bob", "message", 2),
        (true, "cid", "message", 2),
        (true, "ann", "event", 2),
        (false, "ann", "message", 2),
    ] {
        let mut talk = Talk { is_group, ..Talk::new() };
        talk.begin("a", &Value::Null);
        talk.goes_on([wait()]).unwrap();
        calls(&mut talk, "bob", "stop");
        let mut about = message(user, "x", is_group);
        about["type"] = kind.into();
        talk.machine(&about, |machine| machine.lapse_confirmation());
        assert_eq!(talk.stack.frames.len(), frames, "{user} {kind} {is_group}");
    }
}

#[test]
fn a_dialog_that_was_left_alone_repeats_its_question_once() {
    let about = message("ann", "help", false);
    let mut talk = Talk::with([wait()]);
    let before = talk.machine(&about, |machine| machine.interruption());
    assert!(talk.machine(&about, |machine| machine.interrupted(&before)));
    assert_eq!(talk.goes_on([wait()]).unwrap(), ["a1 reprompt null"]);
    assert!(!talk.machine(&about, |machine| machine.interrupted(&before)), "it was repeated already");
    let before = talk.machine(&about, |machine| machine.interruption());
    talk.begin("b", &Value::Null);
    assert!(!talk.machine(&about, |machine| machine.interrupted(&before)), "the stack is another");
}
