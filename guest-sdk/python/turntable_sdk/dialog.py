"""Parts that both styles of dialogs share: events, steps, validators, and hooks for cancelling and migrating."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping, Optional, Protocol, Union

from .activity import Sendable
from .fault import Fault
from .prompt import Prompt, say
from .turn import Turn


@dataclass(frozen=True)
class Step:
    """What the host does next for a dialog. `dialogs.wit` lists the kinds and their data."""

    kind: str
    data: Any = None
    state: Any = None

    def with_state(self, state: Any) -> Step:
        """Sets the state to store until the next event."""
        return Step(self.kind, self.data, state)

    @classmethod
    def wait(cls, *activities: str) -> Step:
        """Waits for a message, or also for activities of other types."""
        return cls("wait", {"activities": list(activities)} if activities else None)

    @classmethod
    def prompt(cls, prompt: Prompt) -> Step:
        """Asks: the dialog resumes with the answer."""
        if not isinstance(prompt, Prompt):
            raise Fault.invalid(f"{type(prompt).__name__} is not a prompt; create it with text(…), number(…) and so on")
        return cls("prompt", prompt.definition)

    @classmethod
    def call(cls, dialog: str, options: Any = None) -> Step:
        """Calls another dialog of this plugin: the dialog resumes with its result."""
        return cls("call", {"dialog": dialog, "options": options})

    @classmethod
    def replace(cls, dialog: str, options: Any = None) -> Step:
        """Ends this dialog and begins another in its place."""
        return cls("replace", {"dialog": dialog, "options": options})

    @classmethod
    def done(cls, result: Any = None) -> Step:
        """Ends the dialog with a result."""
        return cls("done", result)

    @classmethod
    def cancelled(cls) -> Step:
        """Ends the dialog without a result."""
        return cls("cancelled")

    @classmethod
    def flush(cls) -> Step:
        """Delivers what was sent so far, then resumes the dialog."""
        return cls("flush")

    @classmethod
    def accept(cls, value: Any = None) -> Step:
        """Answers `validate`, `migrate` and `rehearse`."""
        return cls("accept", value)

    @classmethod
    def reject(cls, data: Any = None) -> Step:
        """Rejects an answer, or a state from which the dialog cannot continue."""
        return cls("reject", data)

    @classmethod
    def ignored(cls) -> Step:
        """Leaves the event unhandled."""
        return cls("ignored")


@dataclass(frozen=True)
class Outcome:
    """How the prompt or dialog that a dialog waited for has ended."""

    #: `completed`, `cancelled` or `failed`.
    reason: str
    result: Any = None

    @property
    def is_completed(self) -> bool:
        """True if there is a result."""
        return self.reason == "completed"


@dataclass(frozen=True)
class Event:
    """An event of a dialog. `dialogs.wit` lists the kinds and their data."""

    kind: str
    name: str
    data: Any

    def outcome(self) -> Outcome:
        """Returns the outcome of an event `resume`. Other events are completed with their data."""
        if self.kind != "resume":
            return Outcome("completed", self.data)
        return Outcome(self.data.get("reason", "completed"), self.data.get("result"))


class Dialog(Protocol):
    """A dialog. `straight_line` and `waterfall` create one; implement it yourself for another style."""

    id: str
    version: int

    def on_event(self, turn: Turn, event: Event, state: Any) -> Step:
        """Handles one event."""


@dataclass(frozen=True)
class Check:
    """A recognized answer that a validator checks."""

    value: Any
    attempt: int


@dataclass(frozen=True)
class Migration:
    """A state that another version of the dialog stored."""

    from_version: int
    to_version: int
    state: Any


def accept(value: Any = None) -> Step:
    """Accepts an answer, or another value in its place."""
    return Step.accept(value)


def reject(question: Optional[Sendable] = None) -> Step:
    """Rejects an answer. The host asks again, with this question if there is one."""
    return Step.reject(None if question is None else {"retry": say(question)})


Validator = Callable[[Check, Turn], Union[bool, Step]]
OnCancelled = Callable[[Turn, str], Any]
Migrate = Callable[[Migration], Any]

_NEEDS_STATE = ("continue", "resume", "reprompt", "migrate", "rehearse")


class Hooks:
    """The options of a dialog."""

    def __init__(
        self,
        dialog: str,
        version: int = 0,
        validators: Optional[Mapping[str, Validator]] = None,
        on_cancelled: Optional[OnCancelled] = None,
        migrate: Optional[Migrate] = None,
    ) -> None:
        self.dialog = dialog
        self.version = version
        self.validators: Dict[str, Validator] = dict(validators or {})
        self.on_cancelled = on_cancelled
        self.migrate = migrate

    def validate(self, turn: Turn, event: Event) -> Step:
        """Handles the event `validate`."""
        name = event.data.get("validator")
        validator = self.validators.get(name)
        if validator is None:
            raise Fault.invalid(f"the dialog `{self.dialog}` has no validator `{name}`; add it to its `validators`")
        verdict = validator(Check(event.data.get("value"), event.data.get("attempt", 1)), turn)
        if isinstance(verdict, bool):
            return accept() if verdict else reject()
        if isinstance(verdict, Step) and verdict.kind in ("accept", "reject"):
            return verdict
        raise Fault.invalid(
            f"the validator `{name}` returned {type(verdict).__name__}; return True, False, accept(…) or reject(…)"
        )

    def cancelled(self, turn: Turn, event: Event) -> Step:
        """Handles the event `cancelled`."""
        if self.on_cancelled is not None:
            self.on_cancelled(turn, (event.data or {}).get("reason", ""))
        return Step.ignored()

    def migrated(self, from_version: int, state: Any) -> Any:
        """Calls the migration hook. Returns none if there is no hook or it cannot migrate the state."""
        return None if self.migrate is None else self.migrate(Migration(from_version, self.version, state))


def from_version(event: Event) -> int:
    """Returns the version of the state in an event `migrate`."""
    return (event.data or {}).get("from", 0)


def kept(state: Any, event: Event, member: str) -> Optional[Dict[str, Any]]:
    """Reads the state of a frame. Returns none if a dialog of another style stored it and the event needs it."""
    if state is None:
        return {}
    if isinstance(state, dict) and member in state:
        return state
    return None if event.kind in _NEEDS_STATE else {}
