//! The dialogs: a straight-line dialog for the trip, and a waterfall for each traveller.

use turntable_sdk::prelude::*;
use turntable_sdk::prompt::{Choice, Moment, attachment, choice, confirm, date_time, number, text};
use turntable_sdk::{Fault, Value, json};

use crate::trip::{TRIPS, Traveller, Trip};

/// Maximum number of travellers of one trip.
const TRAVELLERS_MAX: i64 = 4;
/// Wrong answers to one question after which the booking ends.
const ATTEMPTS: u32 = 5;

/// The dialog that books a trip. Its result is the trip.
pub(crate) fn book() -> StraightLine {
    StraightLine::new("book", run)
        .validator("not-in-winter", not_in_winter)
        .on_cancelled(|turn, _| turn.reply("No trip was booked.").map(drop))
}

async fn run(d: &mut Dialogue) -> Result<Trip> {
    let Some(trip) = plan(d).await? else {
        d.send("I did not understand that, so no trip was booked. Say «book» to begin again.")?;
        return d.cancel().await;
    };
    d.send(trip.card())?;
    if !d.ask(confirm("Shall I book it?").named("sure").attempts(ATTEMPTS)).await? {
        d.send("All right, nothing is booked.")?;
        return d.cancel().await;
    }
    d.step("keep", |once| once.state().user::<Vec<Trip>>(TRIPS).update(|trips| trips.push(trip.clone())))?;
    d.send(format!("Booked: {}.", trip.line()))?;
    Ok(trip)
}

/// Asks for everything that a trip needs. Returns none if the attempts at a question were used up.
async fn plan(d: &mut Dialogue) -> Result<Option<Trip>> {
    let destinations = d.step("destinations", |once| {
        let set: Option<Vec<String>> = once.config("destinations")?;
        Ok(set.unwrap_or_else(|| ["Lisbon", "Oslo", "Rome"].map(str::to_owned).into()))
    })?;
    let Some(to) = d.try_ask(where_to(&destinations)).await? else { return Ok(None) };
    let to = to.value;
    let day = date_time(format!("When do you want to go to {to}?")).named("day").date().earliest("today");
    let day = day.retry("Which day from now on? «2026-12-24» and «tomorrow» both work.");
    let day = day.attempts(ATTEMPTS).validator("not-in-winter");
    let Some(day) = d.try_ask(day).await? else { return Ok(None) };
    let count = number("How many of you are there?").integer().min(1).max(TRAVELLERS_MAX).attempts(ATTEMPTS);
    let count = count.named("count").retry(format!("A whole number from 1 to {TRAVELLERS_MAX}, please."));
    let Some(count) = d.try_ask(count).await? else { return Ok(None) };
    let mut travellers: Vec<Traveller> = Vec::new();
    for number in 1..=count {
        match d.try_call("traveller", json!({ "number": number, "of": count })).await? {
            Some(traveller) => travellers.push(traveller),
            None => return Ok(None),
        }
    }
    Ok(Some(Trip { to, day: day.value, travellers }))
}

fn where_to(destinations: &[String]) -> turntable_sdk::Prompt<turntable_sdk::prompt::Chosen> {
    let choices = destinations.iter().map(|name| Choice::new(name.as_str()));
    choice("Where to?", choices).named("to").attempts(ATTEMPTS).retry("I do not go there. Where to?")
}

/// The validator of the date: there are no trips from December to February.
fn not_in_winter(_turn: &mut Turn, check: &Check) -> Result<Verdict> {
    let day: Moment = check.value()?;
    let month = day.value.split('-').nth(1).ok_or_else(|| Fault::invalid("the day is no date"))?;
    Ok(match month {
        "12" | "01" | "02" => Verdict::reject_with("We do not travel in winter. Another day?"),
        _ => Verdict::accept(),
    })
}

/// The dialog that asks for one traveller. Its result is the traveller.
pub(crate) fn traveller() -> Waterfall {
    Waterfall::new("traveller")
        .step(|step| {
            let options: Value = step.options()?;
            let question = match options["of"].as_i64() {
                Some(1) => "What is your name?".to_owned(),
                _ => format!("What is the name of traveller {}?", options["number"]),
            };
            step.prompt(
                text(question).min_length(2).max_length(80).attempts(ATTEMPTS).retry("Two letters at least, please."),
            )
        })
        .step(|step| {
            let name: String = step.result()?;
            let question = format!("A picture of the passport of {name}, please.");
            step.set("name", name)?;
            step.prompt(
                attachment(question)
                    .content_types(["image/*", "application/pdf"])
                    .max_count(1)
                    .attempts(ATTEMPTS)
                    .retry("One picture or PDF, please."),
            )
        })
        .step(|step| {
            let files: Vec<Attachment> = step.result()?;
            let file = files.into_iter().next().unwrap_or_default();
            let passport = file.name.or(file.content_url).unwrap_or_else(|| "received".to_owned());
            step.done(Traveller { name: step.get("name")?, passport })
        })
}
