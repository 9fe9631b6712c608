//! Frames across swaps.

use super::*;
use crate::versions::{Plan, plan};

/// Dialog `a` waits with state `1` of version 1, and the plugin has another version now.
fn swapped(version: u64) -> Talk {
    let mut talk = Talk::with([Step { state: Some("1".into()), ..wait() }]);
    talk.catalog.version = version;
    talk
}

fn accept(state: Option<&str>) -> Step {
    Step { state: state.map(Into::into), ..step("accept", &Value::Null) }
}

const MIGRATE: &str = r#"a1 migrate {"from":1,"to":2} in 1"#;

#[test]
fn what_becomes_of_a_frame_follows_from_its_version() {
    let talk = swapped(1);
    let frame = talk.top();
    let older = Previous { state_version: 0, state: None, successes: 0 };
    for (change, version, holds_newer, expected) in [
        (frame.clone(), None, false, Plan::Reset("its dialog is gone")),
        (frame.clone(), Some(1), false, Plan::Continue),
        (frame.clone(), Some(2), false, Plan::Migrate),
        (frame.clone(), Some(0), false, Plan::Reset("its state is newer than the plugin")),
        (frame.clone(), Some(0), true, Plan::Hold),
        (Frame { previous: Some(older.clone()), ..frame.clone() }, Some(0), true, Plan::Restore),
        (Frame { state: None, ..frame.clone() }, Some(0), true, Plan::Begin),
        (Frame { status: Status::Begin { options: Value::Null }, ..frame.clone() }, Some(2), false, Plan::Begin),
    ] {
        assert_eq!(plan(&change, version, holds_newer), expected, "{version:?} {change:?}");
    }
}

#[test]
fn a_migration_comes_before_the_event() {
    let mut talk = swapped(2);
    let (done, offer) = talk.says("x", [accept(Some("2")), wait()]);
    assert_eq!((done, offer), (vec![MIGRATE.to_owned(), "a1 continue  in 2".to_owned()], Offer::Taken));
    assert_eq!(talk.top().state_version, 2);
    // A step after the migration, and the old state is there for a rollback; after the second it is not.
    assert_eq!(talk.top().previous.as_ref().unwrap().state.as_deref(), Some("1"));
    talk.says("x", [wait()]);
    assert_eq!(talk.top().previous, None);
}

#[test]
fn a_rollback_restores_the_state_before() {
    let mut talk = swapped(2);
    talk.says("x", [accept(Some("2")), wait()]);
    talk.catalog.version = 1;
    assert_eq!(talk.says("x", [wait()]).0, ["a1 continue  in 1"]);
    assert_eq!((talk.top().state_version, &talk.top().previous), (1, &None));
}

#[test]
fn a_migration_without_a_state_keeps_the_one_before() {
    let mut talk = swapped(2);
    assert_eq!(talk.says("x", [accept(None), wait()]).0[1], "a1 continue  in 1");
}

#[test]
fn a_dialog_that_cannot_go_on_is_reset_and_the_user_told() {
    let mut talk = swapped(2);
    let (done, offer) = talk.says("x", [step("reject", &Value::Null)]);
    assert_eq!(done, [MIGRATE, "report a: its state could not be migrated", "tell of reset"]);
    assert_eq!((offer, talk.stack.frames.len()), (Offer::Taken, 0));
    let unfit = "report a: its dialog was edited and cannot go on from its state";
    let (done, _) = swapped(1).says("x", [step("reject", &Value::Null)]);
    assert_eq!(done, ["a1 continue  in 1", unfit, "tell of reset"]);
}

#[test]
fn the_user_is_told_once_of_several_resets() {
    let mut talk = Talk::with([step("call", &json!({ "dialog": "b" })), Step { state: Some("1".into()), ..wait() }]);
    talk.stack.frames[0].state = Some("1".into());
    talk.catalog.version = 0;
    let (done, _) = talk.says("x", []);
    let newer = "its state is newer than the plugin";
    assert_eq!(done, [format!("report b: {newer}"), "tell of reset".to_owned(), format!("report a: {newer}")]);
    assert!(!talk.progress.tell_of_reset());
}

#[test]
fn a_held_dialog_leaves_messages_to_the_handlers() {
    let mut talk = Talk { holds_newer: true, ..swapped(0) };
    assert_eq!(talk.says("x", []), (vec![], Offer::Left));
    assert!(!talk.machine(&message("ann", "x", false), |machine| machine.count_failure()), "it is not to blame");
    assert_eq!(talk.top().state.as_deref(), Some("1"));
    // Nor does it repeat its question or go on.
    talk.stack.ask_again();
    assert_eq!(talk.goes_on([]).unwrap(), [""; 0]);
    talk.stack.frames[0].status = Status::Resume { event: Value::Null };
    assert_eq!(talk.says("x", []), (vec![], Offer::Left));
    let prompt = json!({ "kind": "text", "prompt": "?" });
    talk.stack.frames[0].status = Status::Prompt { definition: prompt, attempt: 0 };
    assert_eq!(talk.says("x", []), (vec![], Offer::Left));
}

#[test]
fn a_frame_without_state_takes_the_version_that_serves() {
    let mut talk = Talk::with([wait()]);
    talk.catalog.version = 0;
    assert_eq!(talk.says("x", [wait()]).0, ["a1 continue "]);
    assert_eq!(talk.top().state_version, 0);
}
