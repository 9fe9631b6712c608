//! Prompts of the host: asked, understood, validated, given up.

use super::*;

fn number() -> Value {
    json!({ "kind": "number", "prompt": "How many?", "retry": "A number.", "attempts": 3 })
}

fn resumed(reason: &str, result: &str) -> String {
    format!(r#"a1 resume {{"from":"prompt","reason":"{reason}"{result}}}"#)
}

#[test]
fn a_prompt_is_asked_until_the_answer_fits() {
    let mut talk = Talk::new();
    talk.begin("a", &Value::Null);
    assert_eq!(talk.goes_on([step("prompt", &number())]).unwrap(), ["a1 begin null", "count p", "send How many?"]);
    assert_eq!(talk.top().waits_for(), "prompt:number");
    let unfit = "report a: there is no number";
    assert_eq!(talk.says("many", []), (vec![unfit.to_owned(), "send A number.".to_owned()], Offer::Taken));
    assert_eq!(talk.says("seven", [wait()]).0, [resumed("completed", ",\"result\":7")]);
}

/// The question names both values, and comes again as such after an interruption.
#[test]
fn a_prompt_asks_which_of_two_values_is_meant() {
    let definition = json!({ "kind": "date-time", "prompt": "When?", "locale": "en" });
    let mut talk = Talk::with([step("prompt", &definition)]);
    let which = "send Do you mean (1) 5 March 2027 or (2) 15 March 2027?";
    let why = "report a: there is more than one date or time";
    assert_eq!(talk.says("5 or 15 March", []).0, [why, which]);
    assert!(talk.stack.ask_again());
    assert_eq!(talk.goes_on([]).unwrap(), [which]);
    let result = ",\"result\":{\"type\":\"date\",\"value\":\"2027-03-15\"}";
    assert_eq!(talk.says("2", [wait()]).0, [resumed("completed", result)]);
}

#[test]
fn a_prompt_fails_when_its_attempts_are_used_up() {
    let mut talk = Talk::with([step("prompt", &number())]);
    for _ in 0..2 {
        assert_eq!(talk.says("many", []).0.last().unwrap(), "send A number.");
    }
    assert_eq!(talk.says("many", [wait()]).0, ["report a: there is no number".to_owned(), resumed("failed", "")]);
}

#[test]
fn a_validator_accepts_replaces_or_rejects() {
    let mut definition = number();
    definition["validator"] = "even".into();
    let mut talk = Talk::with([step("prompt", &definition)]);
    let asked =
        |value: u32, attempt: u32| format!(r#"a1 validate {{"validator":"even","value":{value},"attempt":{attempt}}}"#);
    let retry = step("reject", &json!({ "retry": "Odd." }));
    assert_eq!(talk.says("3", [Step { state: Some("1".into()), ..retry }]).0, [asked(3, 1), "send Odd.".to_owned()]);
    assert_eq!(talk.top().state.as_deref(), Some("1"));
    let again = step("reject", &json!({ "retry": null }));
    assert_eq!(talk.says("5", [again]).0, [asked(5, 2) + " in 1", "send A number.".to_owned()]);
    let accepted = format!("{} in 1", resumed("completed", ",\"result\":8"));
    assert_eq!(talk.says("7", [step("accept", &json!(8)), wait()]).0, [asked(7, 3) + " in 1", accepted]);
    let mut talk = Talk::with([step("prompt", &definition)]);
    let accept = step("accept", &Value::Null);
    assert_eq!(talk.says("4", [accept, wait()]).0, [asked(4, 1), resumed("completed", ",\"result\":4")]);
    for (verdict, why) in [
        (wait(), "`a` answered `validate` with the step `wait`"),
        (step("reject", &json!({ "retry": 7 })), "`a`: retry: `retry` must be"),
    ] {
        let mut talk = Talk::with([step("prompt", &definition)]);
        let broken = talk.takes(&message("ann", "4", false), [verdict]).unwrap_err();
        assert!(broken.refusal.message.starts_with(why), "{}", broken.refusal.message);
    }
}

#[test]
fn a_prompt_that_is_none_breaks_the_contract() {
    let mut talk = Talk::new();
    talk.begin("a", &Value::Null);
    let broken = talk.goes_on([step("prompt", &json!({ "kind": "smell" }))]).unwrap_err();
    assert!(broken.refusal.message.starts_with("`a`: prompt: `kind` is `smell`"), "{}", broken.refusal.message);
}

/// One that an older host took.
#[test]
fn a_stored_prompt_that_is_none_any_more_fails() {
    let mut talk = Talk::with([step("prompt", &number())]);
    talk.stack.frames[0].status = Status::Prompt { definition: json!({ "kind": "smell" }), attempt: 0 };
    assert_eq!(talk.says("x", [wait()]), (vec![resumed("failed", "")], Offer::Taken));
}

#[test]
fn an_interrupted_prompt_is_repeated_by_the_host() {
    let mut talk = Talk::with([step("prompt", &number())]);
    talk.says("many", []);
    assert!(talk.stack.ask_again());
    assert_eq!(talk.goes_on([]).unwrap(), ["send How many?"], "from the start");
    assert!(matches!(talk.top().status, Status::Prompt { attempt: 1, .. }));
}

/// The zone of the activity comes before that of the prompt. The host's clock is in Greenwich.
#[test]
fn a_moment_of_another_zone_is_moved_to_that_of_the_user_or_of_the_prompt() {
    for (prompt, activity, stamp, moment) in [
        (Value::Null, Value::Null, Value::Null, "2026-12-24T18:30:00"),
        ("Europe/Berlin".into(), Value::Null, Value::Null, "2026-12-24T19:30:00"),
        ("Europe/Berlin".into(), "America/New_York".into(), Value::Null, "2026-12-24T13:30:00"),
        ("Europe/Berlin".into(), Value::Null, "2026-06-01T12:00:00+09:00".into(), "2026-12-25T03:30:00"),
    ] {
        let definition = json!({ "kind": "date-time", "prompt": "When?", "time-zone": prompt });
        let mut talk = Talk::with([step("prompt", &definition)]);
        let mut said = message("ann", "2026-12-24T18:30:00Z", false);
        (said["localTimestamp"], said["localTimezone"]) = (stamp, activity);
        let (done, _) = talk.takes(&said, [wait()]).unwrap();
        let result = format!(r#","result":{{"type":"date-time","value":"{moment}"}}"#);
        assert_eq!(done, [resumed("completed", &result)], "{said}");
    }
}

#[test]
fn dates_are_read_in_the_order_of_the_prompt_then_of_the_bot_then_of_the_locale() {
    for (prompt, bot, day) in [
        (Value::Null, None, "2027-05-12"),
        (Value::Null, Some(false), "2027-12-05"),
        ("month-day".into(), Some(false), "2027-05-12"),
        ("day-month".into(), None, "2027-12-05"),
    ] {
        let definition = json!({ "kind": "date-time", "prompt": "When?", "date-order": prompt });
        let mut talk = Talk::with([step("prompt", &definition)]);
        talk.month_first = bot;
        let mut said = message("ann", "5/12/2027", false);
        said["locale"] = "en-US".into();
        let (done, _) = talk.takes(&said, [wait()]).unwrap();
        let result = format!(r#","result":{{"type":"date","value":"{day}"}}"#);
        assert_eq!(done, [resumed("completed", &result)], "{prompt} {bot:?}");
    }
}

#[test]
fn a_guest_cannot_say_between_what_its_prompt_asks_to_choose() {
    let readings = [json!({ "type": "date", "value": "1970-01-01" }), json!({ "type": "date", "value": "1970-01-02" })];
    let definition = json!({ "kind": "date-time", "prompt": "When?", "readings": readings });
    let mut talk = Talk::with([step("prompt", &definition)]);
    assert_eq!(talk.says("1", []).0[1], "send When?");
}

#[test]
fn dates_count_from_the_time_of_the_user_or_of_the_host() {
    let definition = json!({ "kind": "date-time", "prompt": "When?", "types": ["date"] });
    for (timestamp, zone, day) in [
        (Value::Null, Value::Null, "2026-06-02"),
        ("2027-01-01T08:00:00".into(), Value::Null, "2027-01-02"),
        ("2027-01-01T08:00:00.000-08:00".into(), Value::Null, "2027-01-02"),
        (Value::Null, "Pacific/Kiritimati".into(), "2026-06-03"),
        (Value::Null, "Nowhere/Land".into(), "2026-06-02"),
    ] {
        let mut talk = Talk::with([step("prompt", &definition)]);
        let mut said = message("ann", "tomorrow", false);
        (said["localTimestamp"], said["localTimezone"]) = (timestamp, zone);
        let (done, _) = talk.takes(&said, [wait()]).unwrap();
        let result = format!(r#","result":{{"type":"date","value":"{day}"}}"#);
        assert_eq!(done, [resumed("completed", &result)], "{said}");
    }
}
