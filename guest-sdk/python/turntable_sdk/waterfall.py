"""Waterfalls: dialogs of explicit steps."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Optional, Sequence

from .activity import Sendable, to_activity
from .dialog import Event, Hooks, Migrate, OnCancelled, Outcome, Step, Validator, from_version, kept
from .fault import Fault
from .prompt import Prompt
from .turn import Turn

#: The kind of a step that continues with the next one at once. It never reaches the host.
_NEXT = "next"


class WaterfallStep(Turn):
    """The argument of a step: the turn, what the step before waited for, and the functions that end a step."""

    def __init__(self, turn: Turn, state: Mapping[str, Any], outcome: Outcome) -> None:
        super().__init__(turn.meta, turn.activity, turn._host)
        self.options: Any = state["options"]
        #: Values for later steps.
        self.values: Dict[str, Any] = state["values"]
        #: How the wait of the step before ended.
        self.outcome = outcome
        #: What the step before waited for: an answer, the result of a dialog, or an activity.
        self.result: Any = outcome.result
        self.asked: Optional[Dict[str, Any]] = None

    def prompt(self, prompt: Prompt) -> Step:
        """Ends the step: the host asks, and the next step gets the answer."""
        return Step.prompt(prompt)

    def wait(self, question: Sendable) -> Step:
        """Ends the step: sends a question and waits for a message. After an interruption the question is repeated."""
        self.asked = to_activity(question)
        self.reply(self.asked)
        return Step.wait()

    def call(self, dialog: str, options: Any = None) -> Step:
        """Ends the step: another dialog runs, and the next step gets its result."""
        return Step.call(dialog, options)

    def replace(self, dialog: str, options: Any = None) -> Step:
        """Ends the dialog and begins another in its place."""
        return Step.replace(dialog, options)

    def next(self, result: Any = None) -> Step:
        """Ends the step: the next step runs at once with this result."""
        return Step(_NEXT, result)

    def flush(self) -> Step:  # type: ignore[override]
        """Ends the step: the host delivers what was sent so far, then the next step runs."""
        return Step.flush()

    def done(self, result: Any = None) -> Step:
        """Ends the dialog with a result."""
        return Step.done(result)

    def cancel(self) -> Step:
        """Ends the dialog without a result."""
        return Step.cancelled()


StepFunction = Callable[[WaterfallStep], Step]


class _Always:
    def __init__(self, run: StepFunction) -> None:
        self.run = run

    def __call__(self, step: WaterfallStep) -> Step:
        return self.run(step)


def always(run: StepFunction) -> StepFunction:
    """Marks a step that runs however the wait of the step before ended; see `WaterfallStep.outcome`."""
    return _Always(run)


def waterfall(
    id: str,
    steps: Sequence[StepFunction],
    *,
    version: int = 0,
    validators: Optional[Mapping[str, Validator]] = None,
    on_cancelled: Optional[OnCancelled] = None,
    migrate: Optional[Migrate] = None,
) -> Waterfall:
    """Creates a dialog of steps that run one after another. Each step returns what to wait for."""
    return Waterfall(id, steps, Hooks(id, version, validators, on_cancelled, migrate))


class Waterfall:
    """A dialog of explicit steps; see `waterfall`."""

    def __init__(self, id: str, steps: Sequence[StepFunction], hooks: Hooks) -> None:
        self.id = id
        self.version = hooks.version
        self._steps = list(steps)
        self._hooks = hooks

    def on_event(self, turn: Turn, event: Event, state: Any) -> Step:
        """Handles one event."""
        found = kept(state, event, "index")
        if found is None:
            return Step.reject()
        now = {"index": 0, "options": None, "values": {}, **found}
        if event.kind == "begin":
            return self._run(turn, {"index": 0, "options": event.data, "values": {}}, Outcome("completed"))
        if event.kind in ("continue", "resume"):
            return self._run(turn, {**now, "index": now["index"] + 1}, event.outcome())
        if event.kind == "reprompt":
            if now.get("asked"):
                turn.reply(now["asked"])
            return Step.wait()
        if event.kind == "validate":
            return self._hooks.validate(turn, event)
        if event.kind == "cancelled":
            return self._hooks.cancelled(turn, event)
        if event.kind == "migrate":
            values = self._hooks.migrated(from_version(event), now["values"])
            return Step.reject() if values is None else Step.accept().with_state({**now, "values": values})
        # If an edit removed the step that waits, the answer ends the dialog. That is not a reset.
        return Step.accept() if event.kind == "rehearse" else Step.ignored()

    def _run(self, turn: Turn, state: Dict[str, Any], outcome: Outcome) -> Step:
        while state["index"] < len(self._steps):
            run = self._steps[state["index"]]
            if not isinstance(run, _Always) and not outcome.is_completed:
                return Step.cancelled()
            step = WaterfallStep(turn, state, outcome)
            then = run(step)
            if not isinstance(then, Step):
                what = "nothing" if then is None else type(then).__name__
                raise Fault.invalid(
                    f"step {state['index'] + 1} of the dialog `{self.id}` returned {what}; "
                    "return step.prompt(…), step.wait(…), "
                    "step.next(), step.done() or another function of the step"
                )
            state = {"index": state["index"], "options": state["options"], "values": step.values}
            if then.kind != _NEXT:
                return then.with_state({**state, "asked": step.asked} if step.asked else state)
            outcome = Outcome("completed", then.data)
            state["index"] += 1
        return Step.done(outcome.result)
