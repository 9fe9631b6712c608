//! Conversations about trips.

use turntable_sdk::testing::{Answer, TestHost};

use super::*;

const GIVEN_UP: &str = "I did not understand that, so no trip was booked. Say «book» to begin again.";

const WHICH_DAY: &str = "Which day from now on? «2026-12-24» and «tomorrow» both work.";

fn host() -> TestHost<Travel> {
    TestHost::with_dialogs()
}

fn passport(host: &TestHost<Travel>, name: &str) -> Answer {
    let file = Attachment::file("image/png", "https://example.org/passport").named(name);
    host.takes(Activity::message("").attach(file))
}

/// Answers up to the question for the first traveller.
fn up_to_travellers(host: &TestHost<Travel>, count: &str) -> Answer {
    host.says("book").replies("Where to?").waits_in("book");
    host.says("Rome").replies("When do you want to go to Rome?");
    host.says("2026-06-01").replies("How many of you are there?");
    host.says(count)
}

#[test]
fn a_trip_is_booked_and_kept() {
    let host = host();
    up_to_travellers(&host, "1").replies("What is your name?").waits_in("traveller");
    host.says("Ann").replies("A picture of the passport of Ann, please.");
    let summary = passport(&host, "ann.png").says(["", "Shall I book it?"]);
    let card = summary.sent[0].activity.attachments[0].content.clone().unwrap_or_default();
    assert_eq!(card["title"], "Your trip to Rome");
    assert_eq!(card["text"], "For Ann. Passports: ann.png.");
    host.says("yes").replies("Booked: Rome on 2026-06-01, for Ann.").ends_dialogs();
    let kept = json!([{ "to": "Rome", "day": "2026-06-01", "travellers": [{ "name": "Ann", "passport": "ann.png" }] }]);
    assert_eq!(host.stored(Scope::User, TRIPS), Some(kept));
    host.clone().conversation("elsewhere").says("my trips").replies("Rome on 2026-06-01, for Ann");
}

#[test]
fn each_traveller_is_asked_for() {
    let host = host();
    up_to_travellers(&host, "2").replies("What is the name of traveller 1?");
    host.says("Ann").handled().waits_in("traveller").texts();
    passport(&host, "ann.png").replies("What is the name of traveller 2?");
    host.says("Bo").replies("A picture of the passport of Bo, please.");
    passport(&host, "bo.png").says(["", "Shall I book it?"]);
    host.says("yes").replies("Booked: Rome on 2026-06-01, for Ann, Bo.");
}

#[test]
fn answers_that_do_not_fit_are_asked_for_again() {
    let host = host();
    host.says("book").replies("Where to?");
    host.says("the moon").replies("I do not go there. Where to?");
    host.says("2").replies("When do you want to go to Oslo?");
    host.says("soon").replies(WHICH_DAY);
    host.says("2026-12-24").replies("We do not travel in winter. Another day?");
    host.says("2026-06-01").replies("How many of you are there?");
    host.says("9").replies("A whole number from 1 to 4, please.");
    host.says("1").replies("What is your name?");
    host.says("A").replies("Two letters at least, please.");
    host.says("Ann").replies("A picture of the passport of Ann, please.");
    host.says("I have none").replies("One picture or PDF, please.");
}

/// The day of the user counts, not that of the channel: they write from where it is the first of June already.
#[test]
fn nobody_travels_on_a_day_that_is_over() {
    let host = host();
    let answers = |day: &str| {
        let now = Some("2026-06-01T01:30:00+02:00".to_owned());
        host.takes(Activity { local_timestamp: now, ..Activity::message(day) })
    };
    host.says("book").replies("Where to?");
    host.says("Rome").replies("When do you want to go to Rome?");
    answers("2026-05-31").replies(WHICH_DAY);
    answers("2026-06-01").replies("How many of you are there?");
}

#[test]
fn a_no_books_nothing() {
    let host = host();
    up_to_travellers(&host, "1").replies("What is your name?");
    host.says("Ann").waits_in("traveller").handled().texts();
    passport(&host, "ann.png").waits_in("book").handled().texts();
    host.says("no").replies("All right, nothing is booked.").ends_dialogs();
    assert_eq!(host.stored(Scope::User, TRIPS), None);
}

#[test]
fn too_many_wrong_answers_end_the_booking() {
    let host = host();
    up_to_travellers(&host, "1").replies("What is your name?");
    for _ in 0..4 {
        host.says("A").replies("Two letters at least, please.");
    }
    host.says("A").replies(GIVEN_UP).handled().ends_dialogs();
    host.says("book").replies("Where to?");
    for _ in 0..4 {
        host.says("the moon").replies("I do not go there. Where to?");
    }
    host.says("the moon").replies(GIVEN_UP).ends_dialogs();
}

#[test]
fn two_bookings_at_once_are_both_kept() {
    let host = host();
    let other = json!([{ "to": "Oslo", "day": "2026-07-01", "travellers": [] }]);
    up_to_travellers(&host, "1").replies("What is your name?");
    host.says("Ann").waits_in("traveller").handled().texts();
    passport(&host, "ann.png").waits_in("book").handled().texts();
    host.meanwhile(Scope::User, TRIPS, other);
    host.says("yes").replies("Booked: Rome on 2026-06-01, for Ann.");
    let kept = host.stored(Scope::User, TRIPS).unwrap_or_default();
    assert_eq!((&kept[0]["to"], &kept[1]["to"]), (&json!("Oslo"), &json!("Rome")));
}

#[test]
fn the_operator_says_where_trips_go() {
    let host = host().setting("destinations", json!(["Bergen"]));
    let asked = host.says("book").replies("Where to?");
    let shown = asked.sent[0].activity.suggested_actions.clone().unwrap_or_default();
    assert_eq!(shown.actions[0].title.as_deref(), Some("Bergen"));
}

#[test]
fn other_messages_are_for_others() {
    host().says("hello").silent().passes();
    host().says("trips").replies("You have no trips. Say «book» to book one.").handled();
}

#[test]
fn the_manifest_lists_both_dialogs() {
    let manifest = host().manifest();
    let dialogs = json!([{ "id": "book", "state-version": 0 }, { "id": "traveller", "state-version": 0 }]);
    assert_eq!(manifest["dialogs"], dialogs);
    assert_eq!(manifest["wants"], json!({ "state": ["user"], "dialogs": true }));
}
