"""The counterpart of tests/guests/parity/src/lib.rs, which holds the same conversations in Rust."""

import json
from typing import Any, Callable, List, Type

from turntable_sdk import (
    Bot,
    Dialog,
    Dialogue,
    Event,
    Fault,
    Manifest,
    Outcome,
    Prompt,
    Route,
    Step,
    Turn,
    accept,
    always,
    attachment,
    choice,
    confirm,
    date_time,
    number,
    reject,
    straight_line,
    text,
    waterfall,
)


def what(step):
    return step.prompt(text("What?"))


def how_many(step):
    step.values["what"] = step.result
    return step.prompt(number("How many?", integer=True, min=1, retry="A number from 1.", validator="even"))


def ordered(step):
    step.reply(f"{step.result} {step.values['what']} by {json.dumps(step.options['by'])}")
    return step.done(step.result)


def even(check, turn):
    if check.value == 11:
        return accept(12)
    return check.value % 2 == 0 or reject(f"{check.value} is odd ({check.attempt})")


ORDER = waterfall(
    "order",
    [what, how_many, ordered],
    validators={"even": even},
    on_cancelled=lambda turn, reason: turn.reply(f"no order: {reason}"),
)


@straight_line("trip", validators={"city": lambda check, turn: check.value != "Nowhere" or reject("Where is that?")})
async def trip(d: Dialogue):
    d.send("Welcome.")
    to = await d.ask(text("Where to?", name="to", validator="city"))
    seats = await d.try_call("seats")
    code = await d.hear("What is your code?")
    await d.flush()
    d.send(f"{'None' if seats is None else f'Some({seats})'} to {to}, {code.get('text', '')}")
    return to if await d.ask(confirm("Sure?")) else await d.cancel()


@straight_line("seats")
async def seats(d: Dialogue):
    return await d.ask(number("How many seats?", integer=True, min=1, attempts=2))


def child_said(step):
    step.reply(f"child {step.outcome.reason}")
    return step.done()


def fail(step):
    raise Fault.internal("broken")


def first(step):
    step.reply("first")
    return step.flush()


class Listens:
    """Waits for events too."""

    id = "listens"
    version = 0

    def on_event(self, turn: Turn, event: Event, state: Any) -> Step:
        if event.kind in ("begin", "reprompt"):
            return Step.wait("event")
        if event.kind != "continue":
            return Step.ignored()
        turn.reply(f"listens to {turn.activity['type']}")
        return Step.done()


class Ignores:
    """Takes no message."""

    id = "ignores"
    version = 0

    def on_event(self, turn: Turn, event: Event, state: Any) -> Step:
        return Step.wait() if event.kind == "begin" else Step.ignored()


SMALL: List[Dialog] = [
    waterfall("aside", [lambda step: step.wait("aside?")]),
    waterfall("parent", [lambda step: step.call("aside"), always(child_said)]),
    waterfall(
        "guards", [lambda step: step.call("fails"), always(lambda step: step.wait(f"child {step.outcome.reason}"))]
    ),
    waterfall("hands-over", [lambda step: step.replace("aside")]),
    waterfall("fails", [lambda step: step.wait("say something"), fail]),
    waterfall("flushes", [first, lambda step: step.wait("second")]),
    waterfall("endless", [lambda step: step.replace("endless")]),
    waterfall("recursive", [lambda step: step.call("recursive")]),
    Listens(),
    Ignores(),
]


def asks(id: str, prompt: Callable[[], Prompt]) -> Dialog:
    """A dialog that asks one question and says what the host made of the answer."""

    def ended(step):
        outcome: Outcome = step.outcome
        step.reply(f"{outcome.reason} {json.dumps(outcome.result, ensure_ascii=False, separators=(',', ':'))}")
        return step.done()

    return waterfall(id, [lambda step: step.prompt(prompt()), always(ended)])


PROMPTS = [
    asks("text", lambda: text("Code?", pattern="[A-Z]{2}", retry="Two letters.", attempts=3)),
    asks("name", lambda: text("Name?", min_length=2, max_length=5)),
    asks("number", lambda: number("How much?", min=0.5, max=9, attempts=2)),
    asks("confirm", lambda: confirm("Sure?")),
    asks("colour", lambda: choice("Which?", ["red", {"value": "dark green", "synonyms": ["grass"]}, "blue"])),
    asks("when", lambda: date_time("When?", earliest="today")),
    asks("day", lambda: date_time("Which day?", types=["date"])),
    asks("picture", lambda: attachment("A picture?", content_types=["image/*"], max_count=1)),
    asks("no-choices", lambda: choice("which?", [])),
]


def versioned(release: int) -> List[Dialog]:
    """Dialogs whose state has another shape in release 2, and which release 3 has no more."""
    if release == 3:
        return []

    def city(step):
        step.values["city"] = step.result
        return step.wait("Anything else?")

    def town(step):
        step.reply(step.values["city" if release == 1 else "town"])
        return step.done()

    def steps(id, migrate=None):
        return waterfall(
            id, [lambda step: step.prompt(text("Which city?")), city, town], version=release, migrate=migrate
        )

    def moved(old):
        return {"town": f"{old.state['city']} ({old.from_version} to {old.to_version})"}

    @straight_line("edited")
    async def edited(d: Dialogue):
        name = await d.ask(text("Who?", name="name"))
        await d.ask(text("Where?" if release == 1 else "Where to?"))
        d.send(f"{name} goes.")

    return [steps("migrates", moved), steps("gives-up", lambda old: None), steps("no-hook"), edited]


def bot(release: int) -> Type[Bot]:
    """Returns the bot of a release of the plugin."""

    class Desk(Bot):
        manifest = Manifest(
            name="parity",
            routes=[
                Route("help", "help"),
                Route("quiet", "quiet", after="none"),
                Route("aside", "aside"),
                Route("again", "again", after="none"),
                Route("cancel", "cancel"),
                Route("leave", "leave", confirm="Leave it?"),
                Route("stack", "stack", after="none"),
            ],
        )
        dialogs = [ORDER, trip, seats, *SMALL, *PROMPTS, *versioned(release)]

        def on_message(self, turn):
            command, _, dialog = turn.text.partition(" ")
            match command:
                case "begin":
                    turn.dialogs.begin(dialog, {"by": "message"})
                case "replace":
                    turn.dialogs.replace(dialog)
                case "fault":
                    raise Fault.internal("broken")
                case _:
                    turn.reply(f"heard {turn.text}")

        def on_event(self, turn):
            turn.reply(f"event {turn.activity.get('name', '')}")

        def on_route(self, turn, name):
            match name:
                case "aside":
                    turn.dialogs.begin("aside")
                case "again":
                    turn.reply(str(turn.dialogs.reprompt()).lower())
                case "cancel" | "leave":
                    turn.reply(f"cancelled {turn.dialogs.cancel_all()}")
                case "stack":
                    turn.reply(" ".join(f"{it.dialog}:{it.waits_for}" for it in turn.dialogs.frames()))
                case _:
                    turn.reply(name)

    return Desk
