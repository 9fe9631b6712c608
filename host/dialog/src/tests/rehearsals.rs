//! Dry runs: what is asked of a component, and what follows from its answers.

use super::*;

fn frame(version: u64) -> Frame {
    let mut talk = Talk::with([Step { state: Some("1".into()), ..wait() }]);
    talk.stack.frames[0].state_version = version;
    talk.stack.frames.remove(0)
}

fn said(kind: &str, state: Option<&str>) -> Reply {
    Reply::Step(Step { state: state.map(Into::into), ..step(kind, &Value::Null) })
}

/// Answers the questions in turn, and returns what was asked and what became of the frame.
fn rehearse(frame: &Frame, version: Option<u64>, replies: impl IntoIterator<Item = Reply>) -> (Vec<String>, Fate) {
    let (mut asked, mut replies) = (Vec::new(), replies.into_iter());
    let mut rehearsal = Rehearsal::of(frame, 4, version, false);
    loop {
        match &rehearsal {
            Rehearsal::Ends(fate) => return (asked, fate.clone()),
            Rehearsal::Asks { call, .. } => {
                asked.push(written(&Effect::Call(call.clone())));
                rehearsal = rehearsal.answered(replies.next().unwrap());
            }
        }
    }
}

#[test]
fn a_dialog_of_the_same_version_is_asked_whether_it_can_go_on() {
    for (reply, fate) in [
        (said("accept", None), Fate::Continue),
        (said("accept", Some("2")), Fate::Migrate),
        (said("reject", None), Fate::Reset("its dialog was edited and cannot go on from its state")),
        (said("ignored", None), Fate::Continue),
        (Reply::Fault("what?".into()), Fate::Continue),
        (Reply::Failed("trap".into()), Fate::Fail("trap".into())),
    ] {
        assert_eq!(rehearse(&frame(1), Some(1), [reply]), (vec!["a4 rehearse null in 1".to_owned()], fate));
    }
}

#[test]
fn a_newer_component_migrates_first() {
    let migrate = r#"a4 migrate {"from":1,"to":2} in 1"#;
    for (reply, fate) in [
        (said("reject", None), Fate::Reset("its state could not be migrated")),
        (Reply::Fault("broken".into()), Fate::Fail("broken".into())),
        (Reply::Failed("trap".into()), Fate::Fail("trap".into())),
    ] {
        assert_eq!(rehearse(&frame(1), Some(2), [reply]), (vec![migrate.to_owned()], fate));
    }
    for (state, then) in [(Some("2"), "a4 rehearse null in 2"), (None, "a4 rehearse null in 1")] {
        let (asked, fate) = rehearse(&frame(1), Some(2), [said("accept", state), said("ignored", None)]);
        assert_eq!((asked, fate), (vec![migrate.to_owned(), then.to_owned()], Fate::Migrate));
    }
}

#[test]
fn an_older_component_gets_the_older_state_or_none() {
    let previous = Some(Previous { state_version: 1, state: Some("0".into()), successes: 0 });
    let kept = Frame { previous, ..frame(2) };
    let (asked, fate) = rehearse(&kept, Some(1), [said("ignored", None)]);
    assert_eq!((asked, fate), (vec!["a4 rehearse null in 0".to_owned()], Fate::Restore));
    assert_eq!(rehearse(&frame(2), Some(1), []).1, Fate::Reset("its state is newer than the plugin"));
    assert!(matches!(Rehearsal::of(&frame(2), 1, Some(1), true), Rehearsal::Ends(Fate::Hold)));
}

#[test]
fn what_has_no_state_needs_no_question() {
    for version in [1, 2] {
        let stateless = Frame { state: None, ..frame(1) };
        assert_eq!(rehearse(&stateless, Some(version), []), (vec![], Fate::Continue));
        let begins = Frame { status: Status::Begin { options: Value::Null }, ..frame(1) };
        assert_eq!(rehearse(&begins, Some(version), []), (vec![], Fate::Continue));
    }
    assert_eq!(rehearse(&frame(1), None, []).1, Fate::Reset("its dialog is gone"));
}

#[test]
fn a_fate_has_a_word_and_a_reason() {
    for (fate, label, why) in [
        (Fate::Continue, "continue", None),
        (Fate::Migrate, "migrate", None),
        (Fate::Restore, "restore", None),
        (Fate::Hold, "hold", None),
        (Fate::Reset("gone"), "reset", Some("gone")),
        (Fate::Fail("trap".into()), "fail", Some("trap")),
    ] {
        assert_eq!((fate.label(), fate.why()), (label, why));
    }
}
