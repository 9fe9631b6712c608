"""Straight-line dialogs: one async function that is replayed from a journal."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Any, Awaitable, Callable, Coroutine, Dict, Generator, List, Mapping, Optional

from . import jsontext
from .activity import Activity, Sendable, to_activity
from .dialog import Event, Hooks, Migrate, OnCancelled, Step, Validator, from_version, kept
from .fault import Fault, caller
from .journal import Journal
from .prompt import Prompt
from .turn import Turn

_RESTARTS_MAX = 100
#: Functions that wait. They are kept, because closing one would run its `finally` blocks.
_dropped: List[Any] = []


class _Suspended:
    """What a coroutine yields to the runner: why it waits."""

    def __init__(
        self,
        *,
        waits: Optional[Dict[str, Any]] = None,
        step: Optional[Step] = None,
        ends: bool = False,
        restarts: Optional[List[Any]] = None,
    ) -> None:
        self.waits = waits
        self.step = step
        self.ends = ends
        self.restarts = restarts


class _Operation(Awaitable[Any]):
    """An operation that the author must await."""

    def __init__(self, core: _Core, run: Callable[[], Generator[Any, Any, Any]], name: str) -> None:
        self._core = core
        self._run = run
        self.place = caller()
        self.name = name
        core.unawaited.append(self)

    def __await__(self) -> Generator[Any, Any, Any]:
        self._core.unawaited.remove(self)
        return self._run()


class _Edited(BaseException):
    """Ends a function that did something else than its journal recorded. It is no `Exception`, so authors do not
    catch it."""


class _Core:
    """State that the runner and the author's function share."""

    def __init__(self, turn: Turn, journal: Journal, awaited: Optional[Dict[str, Any]] = None) -> None:
        self.turn = turn
        self.journal = journal
        #: The position in the journal of the next operation.
        self.at = 0
        self.edited: Optional[int] = None
        self.unawaited: List[_Operation] = []
        #: In a rehearsal: the operation that the function must await after the last entry.
        self.awaited = awaited
        self.has_arrived = False

    def recall(self, kind: str, key: str) -> Optional[Dict[str, Any]]:
        """Returns the entry of an operation, or none if it has none."""
        if self.unawaited:
            first = self.unawaited[0]
            fault = Fault.invalid(f"`d.{first.name}` was not awaited; write `await d.{first.name}(…)`")
            fault.place = first.place
            raise fault
        if self.at < len(self.journal.entries):
            entry = self.journal.entries[self.at]
            if entry["kind"] == kind and entry["key"] == key:
                self.at += 1
                return entry
            self.edited = self.at
            raise _Edited
        if self.awaited is None:
            return None
        if self.awaited["kind"] == kind and self.awaited["key"] == key:
            self.has_arrived = True
        else:
            self.edited = self.at
        raise _Edited

    def unique(self) -> str:
        """Returns a key of frame, run and position."""
        return f"{self.turn.extra('frame') or ''}-{self.journal.restarts}-{self.at}"


class Once(Turn):
    """The argument of the function of `Dialogue.step`: the turn, and a key that stays the same if the step runs
    again."""

    def __init__(self, turn: Turn, key: str) -> None:
        super().__init__(turn.meta, turn.activity, turn._host)
        self.idempotency_key = key


class Dialogue:
    """The handle of a straight-line dialog to its conversation.

    At each event the SDK runs the function again from the start. Operations that the journal holds return what was
    recorded and
    send nothing. Await `ask`, `call`, `hear`, `flush` and their variants one after another, and use state, settings
    and everything
    else outside the dialog only inside `step`.
    """

    def __init__(self, core: _Core) -> None:
        self._core = core

    @property
    def options(self) -> Any:
        """What the dialog was begun with."""
        return self._core.journal.options

    @property
    def state(self) -> Any:
        """What the dialog was restarted with, or what a migration returned."""
        return self._core.journal.state

    def ask(self, prompt: Prompt) -> Awaitable[Any]:
        """Asks. If the attempts are used up, the dialog ends as cancelled."""
        return _Operation(self._core, lambda: self._or_cancel(self._ask(prompt)), "ask")

    def try_ask(self, prompt: Prompt) -> Awaitable[Any]:
        """Asks. Returns none if the attempts are used up."""
        return _Operation(self._core, lambda: self._ask(prompt), "try_ask")

    def call(self, dialog: str, options: Any = None) -> Awaitable[Any]:
        """Runs another dialog. If it is cancelled or fails, this one is cancelled."""
        return _Operation(self._core, lambda: self._or_cancel(self._call(dialog, options)), "call")

    def try_call(self, dialog: str, options: Any = None) -> Awaitable[Any]:
        """Runs another dialog. Returns none if it is cancelled or fails."""
        return _Operation(self._core, lambda: self._call(dialog, options), "try_call")

    def hear(self, question: Sendable) -> Awaitable[Activity]:
        """Sends a question and returns the next message, whatever it contains."""
        return _Operation(self._core, lambda: self._or_cancel(self._hear(to_activity(question))), "hear")

    def flush(self) -> Awaitable[None]:
        """Delivers what was sent so far."""
        return _Operation(self._core, lambda: self._await("flush", "", Step.flush()), "flush")

    def restart_with(self, state: Any) -> Awaitable[Any]:
        """Restarts the dialog with a state and an empty journal: `return await d.restart_with(state)`."""
        return _Operation(self._core, lambda: _suspend(_Suspended(restarts=[state])), "restart_with")

    def replace(self, dialog: str, options: Any = None) -> Awaitable[Any]:
        """Ends the dialog and begins another in its place: `return await d.replace(…)`."""
        return _Operation(
            self._core, lambda: _suspend(_Suspended(step=Step.replace(dialog, options), ends=True)), "replace"
        )

    def cancel(self) -> Awaitable[Any]:
        """Ends the dialog without a result: `return await d.cancel()`."""
        return _Operation(self._core, _cancel, "cancel")

    def send(self, what: Sendable) -> str:
        """Sends an activity and returns its host id."""
        activity = to_activity(what)
        return self._once("send", jsontext.hashed(jsontext.dumps(activity)), lambda turn, _: turn.reply(activity))

    def step(self, name: str, run: Callable[[Once], Any]) -> Any:
        """Runs a function once and records its result. A replay returns the recorded result."""
        return self._once("step", name, lambda turn, key: run(Once(turn, key)))

    def now(self) -> datetime:
        """Returns the current time. A replay returns the recorded time."""
        milliseconds = self._once("now", "", lambda *_: int(time.time() * 1000))
        return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)

    def random(self) -> int:
        """Returns a number from 0 to 4294967295, the same in each replay. Do not use it as a secret."""
        return self._once("random", "", lambda _, seed: _mixed(jsontext.fnv(seed)) >> 32)

    def _ask(self, prompt: Prompt) -> Generator[Any, Any, Any]:
        step = Step.prompt(prompt)
        return self._await("ask", prompt.key(), step)

    def _call(self, dialog: str, options: Any) -> Generator[Any, Any, Any]:
        return self._await("call", dialog, Step.call(dialog, options))

    def _hear(self, asked: Activity) -> Generator[Any, Any, Any]:
        core = self._core
        if core.awaited is None and core.at >= len(core.journal.entries) and not core.unawaited:
            core.turn.reply(asked)
        return self._await("hear", jsontext.hashed(jsontext.dumps(asked)), Step.wait(), asked)

    def _or_cancel(self, operation: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        result = yield from operation
        if result is None:
            yield from _cancel()
        return result

    def _await(self, kind: str, key: str, step: Step, asked: Optional[Activity] = None) -> Generator[Any, Any, Any]:
        entry = self._core.recall(kind, key)
        if entry is not None:
            return None if "ended" in entry else entry["result"]
        waits = {"kind": kind, "key": key} if asked is None else {"kind": kind, "key": key, "asked": asked}
        return (yield from _suspend(_Suspended(waits=waits, step=step)))

    def _once(self, kind: str, key: str, run: Callable[[Turn, str], Any]) -> Any:
        core = self._core
        entry = core.recall(kind, key)
        if entry is not None:
            return entry["result"]
        # Through JSON, so that the first run sees the same value as a replay.
        result = jsontext.loads(jsontext.dumps(run(core.turn, core.unique())))
        core.journal.record(kind, key, result)
        core.at += 1
        return result


def _suspend(why: _Suspended) -> Generator[Any, Any, Any]:
    yield why


def _cancel() -> Generator[Any, Any, Any]:
    yield _Suspended(step=Step.cancelled(), ends=True)


def _mixed(seed: int) -> int:
    """The finaliser of SplitMix64."""
    mask = 0xFFFF_FFFF_FFFF_FFFF
    bits = (seed + 0x9E37_79B9_7F4A_7C15) & mask
    bits = ((bits ^ (bits >> 30)) * 0xBF58_476D_1CE4_E5B9) & mask
    bits = ((bits ^ (bits >> 27)) * 0x94D0_49BB_1331_11EB) & mask
    return bits ^ (bits >> 31)


Function = Callable[[Dialogue], Coroutine[Any, Any, Any]]


def straight_line(
    id: str,
    *,
    version: int = 0,
    validators: Optional[Mapping[str, Validator]] = None,
    on_cancelled: Optional[OnCancelled] = None,
    migrate: Optional[Migrate] = None,
) -> Callable[[Function], StraightLine]:
    """Decorates an async function, which becomes a dialog: it is written as if the user answered at once."""
    return lambda run: StraightLine(id, run, Hooks(id, version, validators, on_cancelled, migrate))


class StraightLine:
    """A dialog that is one function; see `straight_line`."""

    def __init__(self, id: str, run: Function, hooks: Hooks) -> None:
        self.id = id
        self.version = hooks.version
        self._function = run
        self._hooks = hooks

    def on_event(self, turn: Turn, event: Event, state: Any) -> Step:
        """Handles one event."""
        stored = kept(state, event, "entries")
        if stored is None:
            return Step.reject()
        journal = Journal(stored)
        if event.kind == "begin":
            return self._play(turn, Journal({"options": event.data}))
        if event.kind in ("continue", "resume"):
            journal.answered(event.outcome())
            return self._play(turn, journal)
        if event.kind == "reprompt":
            if journal.waits and journal.waits.get("asked"):
                turn.reply(journal.waits["asked"])
            return Step.wait()
        if event.kind == "validate":
            return self._hooks.validate(turn, event)
        if event.kind == "cancelled":
            return self._hooks.cancelled(turn, event)
        if event.kind == "migrate":
            return self._migrated(event, journal)
        return self._rehearsed(turn, journal) if event.kind == "rehearse" else Step.ignored()

    def _play(self, turn: Turn, journal: Journal) -> Step:
        for _ in range(_RESTARTS_MAX + 1):
            then = self._once(turn, journal)
            if isinstance(then, Step):
                return then
            journal = then
        raise Fault.quota(f"the dialog `{self.id}` restarted {_RESTARTS_MAX} times without waiting for anything")

    def _once(self, turn: Turn, journal: Journal) -> Any:
        """Runs the function until it waits, restarts or ends. Returns a step, or the journal of a restart."""
        core = _Core(turn, journal)
        suspended, result = self._run(core)
        unread = suspended is None and core.at < len(journal.entries)
        edited = core.at if core.edited is None and unread else core.edited
        if edited is not None:
            turn.log.warn("the dialog was edited: it differs from its journal", dialog=self.id, ordinal=edited)
            return self._carried_over(journal) or Step.reject()
        if suspended is None:
            return Step.done(result)
        if suspended.restarts is not None:
            return journal.restarted(suspended.restarts[0])
        assert suspended.step is not None
        if suspended.ends:
            return suspended.step
        journal.waits = suspended.waits
        return suspended.step.with_state(journal.to_state())

    def _run(self, core: _Core) -> Any:
        """Returns why the function is suspended and none, or none and its result."""
        coroutine = self._function(Dialogue(core))
        if not hasattr(coroutine, "send"):
            raise Fault.invalid(f"the function of the dialog `{self.id}` is not async; write `async def`")
        try:
            suspended = coroutine.send(None)
        except StopIteration as end:
            if core.unawaited:
                core.recall("end", "")
            return None, end.value
        except _Edited:
            return None, None
        _dropped.append(coroutine)
        if not isinstance(suspended, _Suspended):
            raise Fault.invalid(
                f"the function of the dialog `{self.id}` awaits something that is not a function of its `Dialogue`"
            )
        return suspended, None

    def _carried_over(self, journal: Journal) -> Optional[Journal]:
        state = self._hooks.migrated(self._hooks.version, journal.summary())
        return None if state is None else journal.restarted(state)

    def _rehearsed(self, turn: Turn, journal: Journal) -> Step:
        if journal.waits is None:
            return Step.ignored()
        core = _Core(turn, journal, journal.waits)
        self._run(core)
        if core.has_arrived:
            return Step.accept()
        carried = self._carried_over(journal)
        return Step.reject() if carried is None else Step.accept().with_state(carried.to_state())

    def _migrated(self, event: Event, journal: Journal) -> Step:
        if self._hooks.migrate is None:
            return Step.accept().with_state(journal.to_state())
        # The pending answer belongs to the old run, so the new run does not get it.
        state = self._hooks.migrated(from_version(event), journal.summary())
        return Step.reject() if state is None else Step.accept().with_state(journal.restarted(state).to_state())
