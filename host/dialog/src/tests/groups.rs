//! Groups: whom a question is for.

use super::*;

fn group() -> Talk {
    Talk { is_group: true, ..Talk::new() }
}

fn prompt() -> Step {
    step("prompt", &json!({ "kind": "confirm", "prompt": "Lunch?", "style": "suggested-action" }))
}

#[test]
fn who_spoke_in_the_turn_that_asks_is_asked() {
    let mut talk = group();
    talk.begin("a", &Value::Null);
    talk.goes_on([wait()]).unwrap();
    assert_eq!(talk.top().asked.as_deref(), Some("ann"));
    assert_eq!(talk.said("bob", "me", []), (vec![], Offer::Left));
    assert_eq!(talk.said("ann", "me", [wait()]).1, Offer::Taken);
    // Elsewhere there is nobody else.
    assert_eq!(Talk::with([wait()]).top().asked, None);
}

#[test]
fn a_notification_asks_its_user_or_everybody() {
    for (notified, asked) in [("ben", Some("ben")), ("", None), ("bot", None)] {
        let mut talk = Talk { notified: Some(notified), ..group() };
        talk.begin("a", &Value::Null);
        talk.goes_on([wait()]).unwrap();
        assert_eq!(talk.top().asked.as_deref(), asked, "{notified}");
    }
}

#[test]
fn a_question_that_comes_again_is_for_whom_it_was() {
    let mut talk = group();
    talk.begin("a", &Value::Null);
    talk.goes_on([wait()]).unwrap();
    assert!(talk.stack.ask_again());
    let bob = message("bob", "help", true);
    talk.steps.push_back(wait());
    talk.perform(&bob, Run::default()).unwrap();
    assert_eq!(talk.top().asked.as_deref(), Some("ann"), "not Bob, who interrupted");
}

#[test]
fn a_prompt_that_comes_again_is_addressed() {
    let mut talk = group();
    talk.begin("a", &Value::Null);
    talk.goes_on([prompt()]).unwrap();
    let repeats = |talk: &mut Talk, user: &str| {
        assert!(talk.stack.ask_again());
        let about = message(user, "help", true);
        let mut run = Run::default();
        match talk.machine(&about, |machine| machine.next(&mut run)).unwrap() {
            Some(Effect::Send(question)) => question,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(repeats(&mut talk, "bob")["recipient"], json!({ "id": "ann" }));
    assert_eq!(repeats(&mut talk, "ann").get("recipient"), None);
    // A question to everybody shows its buttons to everybody.
    talk.stack.frames[0].asked = None;
    let question = repeats(&mut talk, "bob");
    assert_eq!((question.get("recipient"), &question["suggestedActions"]["to"]), (None, &json!([])));
}
