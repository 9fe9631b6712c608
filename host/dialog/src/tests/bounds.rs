//! Bounds: no dialog goes on for ever, and none keeps more than it may.

use super::*;

fn begin(talk: &mut Talk, dialog: &str, options: &str) -> Result<Arc<str>, Refusal> {
    let known = talk.catalog.dialog("p", dialog);
    let begin = Begin { id: talk.catalog.frame_id(), plugin: &"p".into(), dialog, known, options };
    talk.stack.begin(begin)
}

#[test]
fn a_stack_has_a_depth() {
    let mut talk = Talk::new();
    for _ in 0..DEPTH_MAX {
        begin(&mut talk, "a", "null").unwrap();
    }
    let refusal = begin(&mut talk, "a", "null").unwrap_err();
    assert_eq!((refusal.code, &*refusal.message), ("quota", "the limit dialog-depth (32) is reached"));
    let frame = talk.top().clone();
    assert_eq!(talk.stack.push(frame).unwrap_err().code, "quota");
    let broken = talk.goes_on([step("call", &json!({ "dialog": "a" }))]).unwrap_err();
    assert_eq!(broken.refusal.message, "the limit dialog-depth (32) is reached");
}

#[test]
fn the_dialogs_of_a_turn_get_so_many_events() {
    let replace = || step("replace", &json!({ "dialog": "a" }));
    let steps = std::iter::repeat_with(replace).take(EVENTS_MAX as usize);
    let mut talk = Talk::new();
    talk.begin("a", &Value::Null);
    let broken = talk.goes_on(steps).unwrap_err();
    assert_eq!(broken.refusal.message, "the limit dialog-events-per-turn (100) is reached");
    // Who is cancelled then is not told, and nothing fails.
    talk.stack.frames[0].status = Status::Waiting { activities: Vec::new() };
    talk.stack.cancel_all();
    assert_eq!(talk.goes_on([]).unwrap(), [""; 0]);
}

#[test]
fn options_data_and_state_have_a_size() {
    let mut talk = Talk::new();
    talk.catalog.bytes_max = 10;
    let (fits, long) = (format!("\"{}\"", "x".repeat(8)), format!("\"{}\"", "x".repeat(9)));
    let refusal = begin(&mut talk, "a", &long).unwrap_err();
    assert_eq!((refusal.code, &*refusal.message), ("quota", "the limit bytes-per-send (10) is reached"));
    begin(&mut talk, "a", &fits).unwrap();
    let steps = |data: &str, state: &str| Step { kind: "done".into(), state: Some(state.into()), data: data.into() };
    let broken = talk.goes_on([steps(&long, &fits)]).unwrap_err();
    assert_eq!(broken.refusal.message, "the limit bytes-per-send (10) is reached");
    let broken = talk.goes_on([steps(&fits, &long)]).unwrap_err();
    assert_eq!(broken.refusal.message, "the limit state-bytes-per-scope (10) is reached");
    talk.goes_on([steps(&fits, &fits)]).unwrap();
}

#[test]
fn what_a_handler_begins_is_checked() {
    let mut talk = Talk::new();
    let refusal = begin(&mut talk, "z", "null").unwrap_err();
    assert_eq!((refusal.code, &*refusal.message), ("invalid", "the manifest of this plugin has no dialog `z`"));
    let refusal = begin(&mut talk, "a", "{").unwrap_err();
    assert!(refusal.message.starts_with("the options are not JSON"), "{}", refusal.message);
}
