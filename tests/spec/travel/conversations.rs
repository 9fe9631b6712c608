//! The conversations, see `travel.rs`.

use serde_json::{Value, json};

use crate::support::{Config, Host, expecting_replies, message};

const TEXT: &str = "Say «book» to book a trip.";
const BOOKING: &str = "I am booking a trip for you. Answer my question, or say «cancel».";
/// The channel of the specs has no buttons, so the choices are in the text.
const WHERE: &str = "Where to? (1) Lisbon, (2) Oslo, or (3) Rome";

async fn start() -> Option<Host> {
    // The module is included once for each language and has the name of the language.
    let component = match module_path!().rsplit("::").next() {
        Some("rust") | None => "travel".to_owned(),
        Some(language) => format!("travel-{language}"),
    };
    let component = component.as_str();
    let help = format!(
        "grants = {{ dialogs = true }}\nsettings.text = '{TEXT}'\nsettings.dialogs = {{ 'travel/book' = '{BOOKING}' }}"
    );
    let keeps = "grants = { state = ['user'], dialogs = true }";
    let config = Config::new()
        // A component with an interpreter takes long to compile on a busy machine.
        .set("runtime.compile-ms", "600000")
        .bot("travel", &[])
        .plugin("travel", "help", &help)
        .plugin("travel", "cancel", "grants = { dialogs = true }")
        .plugin("travel", "settings", keeps)
        .plugin("travel", component, &format!("name = 'travel'\n{keeps}"));
    Host::start(config).await
}

/// Returns a message with a picture and without text.
fn passport(name: &str) -> Value {
    let mut activity = message("");
    activity["attachments"] =
        json!([{ "contentType": "image/png", "contentUrl": "https://example.org/passport", "name": name }]);
    activity
}

fn in_german(text: &str) -> Value {
    let mut activity = message(text);
    activity["locale"] = "de-DE".into();
    activity
}

/// Returns a message with this local time.
fn at(text: &str, time: &str) -> Value {
    let mut activity = message(text);
    activity["localTimestamp"] = time.into();
    activity
}

fn shows_the_trip(activity: &Value) -> bool {
    let card = &activity["attachments"][0]["content"];
    card["title"] == "Your trip to Rome" && card["text"] == "For Ann, Bo. Passports: ann.png, bo.png."
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trip_is_booked() {
    let Some(host) = start().await else { return };
    host.bot("travel")
        .says("my trips")
        .replies("You have no trips. Say «book» to book one.")
        .says("book")
        .replies(WHERE)
        .says("to the moon")
        .replies("I do not go there. Where to? (1) Lisbon, (2) Oslo, or (3) Rome")
        .says("the last one")
        .replies("When do you want to go to Rome?")
        .says("2027-01-10")
        .replies("We do not travel in winter. Another day?")
        .sends(at("yesterday", "2026-11-20T15:30:00+01:00"))
        .replies("Which day from now on? «2026-12-24» and «tomorrow» both work.")
        .says("June 1, 2027")
        .replies("How many of you are there?")
        .says("two")
        .replies("What is the name of traveller 1?")
        .says("Ann")
        .replies("A picture of the passport of Ann, please.")
        .says("here it is")
        .replies("One picture or PDF, please.")
        .sends(passport("ann.png"))
        .replies("What is the name of traveller 2?")
        .says("Bo")
        .replies("A picture of the passport of Bo, please.")
        .sends(passport("bo.png"))
        .replies_with("the trip as a card", shows_the_trip)
        .replies("Shall I book it? (1) Yes or (2) No")
        .says("yes, please")
        .replies("Booked: Rome on 2027-06-01, for Ann, Bo.")
        .says("my trips")
        .replies("Rome on 2027-06-01, for Ann, Bo")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn help_explains_the_dialog_and_the_question_comes_again() {
    let Some(host) = start().await else { return };
    host.bot("travel")
        .says("help")
        .replies(TEXT)
        .says("book")
        .replies(WHERE)
        .says("help")
        .replies(BOOKING)
        .replies(WHERE)
        .says("Rome")
        .replies("When do you want to go to Rome?")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_come_on_top_and_the_booking_goes_on() {
    let Some(host) = start().await else { return };
    host.bot("travel")
        .says("book")
        .replies(WHERE)
        .says("settings")
        .replies("What shall I call you?")
        .says("Ann")
        .replies("Kilometres or miles? (1) kilometres or (2) miles")
        .says("miles")
        .replies("Saved: Ann, miles.")
        .replies(WHERE)
        .says("Oslo")
        .replies("When do you want to go to Oslo?")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_ends_every_dialog_in_the_language_of_the_user() {
    let Some(host) = start().await else { return };
    host.bot("travel")
        .says("book")
        .replies(WHERE)
        .says("settings")
        .replies("What shall I call you?")
        .says("quit")
        .replies("OK, I have cancelled that.")
        .replies("The settings stay as they were.")
        .replies("No trip was booked.")
        .sends(in_german("Abbrechen"))
        .replies("Es gibt nichts abzubrechen.")
        .says("book")
        .replies(WHERE)
        .await;
}

/// The journal of the booking, the frames of both dialogs and the prompt are on disk after each turn.
#[tokio::test(flavor = "multi_thread")]
async fn a_booking_goes_on_after_the_host_was_killed() {
    let Some(mut host) = start().await else { return };
    let conversation = [
        (message("book"), WHERE),
        (message("Rome"), "When do you want to go to Rome?"),
        (message("2027-06-01"), "How many of you are there?"),
        (message("1"), "What is your name?"),
        (message("Ann"), "A picture of the passport of Ann, please."),
        (passport("ann.png"), "Shall I book it? (1) Yes or (2) No"),
        (message("yes"), "Booked: Rome on 2027-06-01, for Ann."),
        (message("my trips"), "Rome on 2027-06-01, for Ann"),
    ];
    for (mut activity, last_words) in conversation {
        activity["conversation"]["id"] = "one trip".into();
        let replies = host.post("travel", &expecting_replies(activity)).await.replies();
        assert_eq!(replies.last().map(|reply| &reply["text"]), Some(&json!(last_words)));
        host.again(None).await;
    }
}
