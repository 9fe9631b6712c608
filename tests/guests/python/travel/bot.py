"""The counterpart of plugins/travel: it books a trip. `tests/spec/travel.rs` holds the same conversations with both."""

from turntable_sdk import (
    Bot,
    Dialogue,
    Manifest,
    attachment,
    choice,
    confirm,
    date_time,
    hero_card,
    message,
    number,
    reject,
    straight_line,
    text,
    waterfall,
)

TRIPS = "trips"
TRAVELLERS_MAX = 4
#: Wrong answers to one question after which the booking ends.
ATTEMPTS = 5


def names(trip):
    return ", ".join(traveller["name"] for traveller in trip["travellers"])


def line(trip):
    return f"{trip['to']} on {trip['day']}, for {names(trip)}"


def card(trip):
    passports = ", ".join(traveller["passport"] for traveller in trip["travellers"])
    summary = hero_card(
        f"Your trip to {trip['to']}", subtitle=f"On {trip['day']}", text=f"For {names(trip)}. Passports: {passports}."
    )
    return {"type": "message", "attachments": [summary], "summary": line(trip)}


def not_in_winter(check, turn):
    is_winter = check.value["value"].split("-")[1] in ("12", "01", "02")
    return reject("We do not travel in winter. Another day?") if is_winter else True


@straight_line(
    "book",
    validators={"not-in-winter": not_in_winter},
    on_cancelled=lambda turn, reason: turn.reply("No trip was booked."),
)
async def book(d: Dialogue):
    trip = await plan(d)
    if trip is None:
        d.send("I did not understand that, so no trip was booked. Say «book» to begin again.")
        return await d.cancel()
    d.send(card(trip))
    if not await d.ask(confirm("Shall I book it?", name="sure", attempts=ATTEMPTS)):
        d.send("All right, nothing is booked.")
        return await d.cancel()
    d.step("keep", lambda once: once.state.user(TRIPS).update(lambda trips: [*trips, trip], []) and None)
    d.send(f"Booked: {line(trip)}.")
    return trip


async def plan(d: Dialogue):
    """Asks for everything that a trip needs. Returns none if the attempts at a question were used up."""
    destinations = d.step("destinations", lambda once: once.config("destinations", ["Lisbon", "Oslo", "Rome"]))
    to = await d.try_ask(
        choice("Where to?", destinations, name="to", attempts=ATTEMPTS, retry="I do not go there. Where to?")
    )
    if to is None:
        return None
    day = await d.try_ask(
        date_time(
            f"When do you want to go to {to['value']}?",
            name="day",
            types=["date"],
            earliest="today",
            attempts=ATTEMPTS,
            validator="not-in-winter",
            retry="Which day from now on? «2026-12-24» and «tomorrow» both work.",
        )
    )
    if day is None:
        return None
    count = await d.try_ask(
        number(
            "How many of you are there?",
            name="count",
            integer=True,
            min=1,
            max=TRAVELLERS_MAX,
            attempts=ATTEMPTS,
            retry=f"A whole number from 1 to {TRAVELLERS_MAX}, please.",
        )
    )
    if count is None:
        return None
    travellers = []
    for place in range(1, count + 1):
        traveller = await d.try_call("traveller", {"number": place, "of": count})
        if traveller is None:
            return None
        travellers.append(traveller)
    return {"to": to["value"], "day": day["value"], "travellers": travellers}


def ask_name(step):
    options = step.options
    question = "What is your name?" if options["of"] == 1 else f"What is the name of traveller {options['number']}?"
    return step.prompt(
        text(question, min_length=2, max_length=80, attempts=ATTEMPTS, retry="Two letters at least, please.")
    )


def ask_passport(step):
    step.values["name"] = step.result
    return step.prompt(
        attachment(
            f"A picture of the passport of {step.result}, please.",
            content_types=["image/*", "application/pdf"],
            max_count=1,
            attempts=ATTEMPTS,
            retry="One picture or PDF, please.",
        )
    )


def keep(step):
    file = step.result[0]
    passport = file.get("name") or file.get("contentUrl") or "received"
    return step.done({"name": step.values["name"], "passport": passport})


class Travel(Bot):
    manifest = Manifest(
        name="travel",
        description="Books trips",
        activities=["message"],
        state=["user"],
        settings={
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "destinations": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 20,
                    "items": {"type": "string", "minLength": 1},
                    "description": "Where trips go. Default: Lisbon, Oslo and Rome.",
                }
            },
        },
    )
    dialogs = [book, waterfall("traveller", [ask_name, ask_passport, keep])]

    def on_message(self, turn):
        match turn.spoken_text.lower():
            case "book" | "book a trip":
                turn.dialogs.begin("book")
            case "trips" | "my trips":
                trips = turn.state.user(TRIPS).get([])
                empty = message("You have no trips. Say «book» to book one.", suggest=["book"])
                turn.reply("\n\n".join(map(line, trips)) if trips else empty)
            case _:
                return "next"
