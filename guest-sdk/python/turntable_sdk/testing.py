"""The test host: runs a bot in any Python, without WebAssembly.

`turntable testbed` leads the turns, so routes, dialogs and prompts behave as in the host. The program is found on the
PATH, or
through the variable TURNTABLE.

    def test_echo():
        assert TestHost(Echo).says("hello").texts == ["Echo: hello"]
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple, Type

from . import jsontext
from .activity import Sendable, to_activity
from .bot import Bot
from .dialog import Event
from .fault import Fault, record_of
from .plugin import Plugin
from .turn import Meta

_STATE_BYTES_MAX = 256 << 10
#: The time of a test: 1 June 2026, noon.
_NOON = 1_780_315_200_000


class Sent(NamedTuple):
    """An activity that was sent."""

    id: str
    #: `reply`, `send`, `update` or `delete`.
    sent_as: str
    activity: Dict[str, Any]


class Asked(NamedTuple):
    """A notification or a timer."""

    id: str
    name: Optional[str]
    at: Optional[str]
    reference: str
    mode: str
    content: Dict[str, Any]


@dataclass
class Answer:
    """What a turn did."""

    flow: str
    #: Why the turn failed: code, message, detail.
    fault: Optional[Dict[str, Any]]
    #: What the author's code raised.
    error: Optional[BaseException]
    sent: List[Sent]
    response: Optional[Dict[str, Any]]
    log: List[Tuple[str, str, Dict[str, str]]]
    asked: List[Asked]
    #: The dialog stack, top first.
    stack: List[Dict[str, Any]]
    reprompts: int

    @property
    def messages(self) -> List[Dict[str, Any]]:
        """The messages that were sent."""
        return [
            sent.activity for sent in self.sent if sent.activity.get("type") == "message" and sent.sent_as != "delete"
        ]

    @property
    def texts(self) -> List[str]:
        """The texts of the messages."""
        return [message.get("text") or "" for message in self.messages]


class TestHost:
    """Runs turns of a bot. State and dialogs last from turn to turn."""

    __test__ = False  # It is no test for pytest to collect.

    def __init__(
        self,
        bot: Type[Bot],
        *,
        settings: Optional[Mapping[str, Any]] = None,
        user: str = "user",
        conversation: str = "conversation",
        channel: str = "test",
        locale: Optional[str] = None,
        now: int = _NOON,
        memory: Optional[_Memory] = None,
    ) -> None:
        self.bot = bot
        self.plugin = Plugin(bot, {"name": "test"})
        self.settings = dict(settings or {})
        self.user = user
        self.conversation = conversation
        self.channel = channel
        self.locale = locale
        self.now = now
        self._memory = memory or _Memory()

    def with_(self, **changes: Any) -> TestHost:
        """Returns a host for another `bot`, `user`, `conversation`, `channel`, `locale` or `settings`, with the same
        memory."""
        own = {
            name: getattr(self, name)
            for name in ("bot", "settings", "user", "conversation", "channel", "locale", "now")
        }
        return TestHost(**{**own, **changes}, memory=self._memory)

    def says(self, text: str, **more: Any) -> Answer:
        """Sends a message."""
        return self.takes({"type": "message", "text": text, **more})

    def takes(self, activity: Sendable, trigger: str = "activity") -> Answer:
        """Sends an activity and returns the answer."""
        incoming: Dict[str, Any] = {
            "id": f"in-{self._memory.number()}",
            "channelId": self.channel,
            "from": {"id": self.user},
            "recipient": {"id": "bot"},
            "conversation": {"id": self.conversation},
            **({"locale": self.locale} if self.locale else {}),
            **to_activity(activity),
        }
        turn = _Turn(self, incoming, self._memory)
        begun = {
            "activity": incoming,
            "manifest": self.plugin.manifest(),
            "frames": self._memory.frames.get(self.conversation, []),
            "number": self._memory.number(),
            "now": self.now,
            "trigger": trigger,
        }
        return turn.end(_testbed().lead(begun, turn.answer))

    def hook(self, kind: str, data: Any, sender: str = "") -> Tuple[str, Any]:
        """Calls a hook of middleware: `receive`, `send`, `update`, `delete` or `turn-end`.

        Returns the kind and the data of its step.
        """
        turn = _Turn(self, {"type": "message"}, self._memory)
        step = self.plugin.on_event(turn.meta("activity"), Event(kind, sender, jsontext.dumps(data)), turn)
        return step.kind, step.data

    def stored(self, scope: str, key: str) -> Any:
        """Returns a stored value, or none."""
        entry = self._memory.values.get(_place(scope, self.user, self.conversation, key))
        return None if entry is None else jsontext.loads(entry.value)

    def store(self, scope: str, key: str, value: Any) -> None:
        """Stores a value."""
        place = _place(scope, self.user, self.conversation, key)
        self._memory.values[place] = _Entry(jsontext.dumps(value), str(self._memory.number()))


class _Entry(NamedTuple):
    value: str
    etag: str


class _Frame(NamedTuple):
    id: str
    plugin: str
    dialog: str
    waits_for: str


class _Memory:
    """What outlives a turn."""

    def __init__(self) -> None:
        self.values: Dict[Tuple[str, ...], _Entry] = {}
        self.frames: Dict[str, Any] = {}
        self._count = 0

    def number(self) -> int:
        self._count += 1
        return self._count


def _place(scope: str, user: str, conversation: str, key: str) -> Tuple[str, ...]:
    owners = {"user": (user,), "private": (conversation, user), "conversation": (conversation,), "bot": ()}
    if scope not in owners:
        raise Fault.invalid(f"there is no state scope `{scope}`")
    return (scope, *owners[scope], key)


@dataclass
class _Staged:
    values: Dict[Tuple[str, ...], _Entry]
    sent: List[Sent] = field(default_factory=list)
    asked: List[Asked] = field(default_factory=list)
    response: Optional[Dict[str, Any]] = None

    def copy(self) -> _Staged:
        return _Staged(dict(self.values), list(self.sent), list(self.asked), self.response)


class _Turn:
    """The imports of the contract in a test, and what one turn stages."""

    def __init__(self, host: TestHost, incoming: Dict[str, Any], memory: _Memory) -> None:
        self._host = host
        self._incoming = incoming
        self._memory = memory
        self._staged = _Staged(dict(memory.values))
        self._committed = self._staged.copy()
        self._log: List[Tuple[str, str, Dict[str, str]]] = []
        self._in_handler = False
        self._shown: List[_Frame] = []
        self._changes: List[Any] = []
        self._error: Optional[BaseException] = None
        self._manifest = host.plugin.manifest()
        self.turn = _TurnImports(self)
        self.text_stream = _TextStreamImports(self)
        self.state = _StateImports(self)
        self.config = _ConfigImports(host.settings)
        self.log = self
        self.dialogs = _DialogImports(self)
        self.conversations = _ConversationImports(self)

    def write(self, level: str, message: str, fields: List[Tuple[str, str]]) -> None:
        """The function of the interface `log`."""
        self._log.append((level, message, dict(fields)))

    def meta(self, trigger: str, *extra: Tuple[str, str]) -> Meta:
        host = self._host
        return Meta(
            "turn",
            "bot",
            host.channel,
            host.conversation,
            self._incoming["type"],
            trigger,
            self._incoming.get("locale"),
            1000,
            [("random-seed", "00112233445566778899aabbccddeeff"), ("plugin", "test"), *extra],
        )

    def answer(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """Answers a request of the testbed."""
        if "send" in request:
            self.stage(request["send"], "reply")
            return {}
        if "flush" in request:
            return self.commit()
        if "rollback" in request:
            self._staged = self._committed.copy()
            return {}
        start = self._staged.copy()
        try:
            return self._handle(request["handle"]) if "handle" in request else self._dialog(request["dialog"])
        except Exception as error:
            self._staged, self._in_handler, self._error = start, False, error
            record = record_of(error)
            return {"fault": {"code": record.code, "message": record.message, "detail": record.detail}}

    def _handle(self, request: Dict[str, Any]) -> Dict[str, Any]:
        self._in_handler, self._changes = True, []
        self._shown = [_Frame(it["id"], it["plugin"], it["dialog"], it["waitsFor"]) for it in request["frames"]]
        flow = self._host.plugin.on_activity(self.meta(request["trigger"]), jsontext.dumps(request["activity"]), self)
        self._in_handler = False
        return {"flow": flow, "changes": self._changes}

    def _dialog(self, call: Dict[str, Any]) -> Dict[str, Any]:
        meta = self.meta(f"dialog:{call['dialog']}", ("frame", call["frame"]), ("depth", str(call["depth"])))
        step = self._host.plugin.on_dialog(
            meta, Event(call["event"], call["dialog"], call["data"]), call["state"], self
        )
        state = None if step.state is None else jsontext.dumps(step.state)
        return {"step": {"kind": step.kind, "state": state, "data": jsontext.dumps(step.data)}}

    def commit(self) -> Dict[str, Any]:
        self._committed = self._staged.copy()
        self._memory.values = dict(self._staged.values)
        return {}

    def end(self, end: Dict[str, Any]) -> Answer:
        if end["frames"] is not None:
            self._memory.frames[self._host.conversation] = end["frames"]
        self.commit()
        response = self._staged.response
        if response is None and self._incoming["type"] == "invoke":
            response = {"status": 500 if end["fault"] else 501}
        return Answer(
            end["flow"],
            end["fault"],
            self._error,
            self._staged.sent,
            response,
            self._log,
            self._staged.asked,
            end["stack"],
            end["reprompts"],
        )

    def stage(self, activity: Any, sent_as: str) -> str:
        if not isinstance(activity, dict) or not isinstance(activity.get("type"), str):
            raise Fault.invalid("the activity has no `type`")
        if activity["type"] == "invokeResponse":
            raise Fault.invalid("only the host sends `invokeResponse`")
        incoming = self._incoming
        known = {
            "from": incoming.get("recipient"),
            "recipient": incoming.get("from"),
            "conversation": incoming.get("conversation"),
            "channelId": incoming.get("channelId"),
            "locale": incoming.get("locale"),
            "replyToId": incoming.get("id") if sent_as == "reply" else None,
        }
        own = {name: value for name, value in activity.items() if name not in ("id", "timestamp")}
        complete = {**{name: value for name, value in known.items() if value is not None}, **own}
        id = f"tt-{self._memory.number():026}"
        self._staged.sent.append(Sent(id, sent_as, complete))
        return id

    def change(self, id: str, sent_as: str, activity: Dict[str, Any]) -> None:
        if not id or (id.startswith("tt-") and all(sent.id != id for sent in self._staged.sent)):
            raise Fault.invalid(f"no activity has the id `{id}`")
        self._staged.sent.append(Sent(id, sent_as, activity))

    def wants(self, grant: str) -> Any:
        return self._manifest.get("wants", {}).get(grant)


class _TurnImports:
    def __init__(self, turn: _Turn) -> None:
        self._turn = turn

    def reply(self, activity: str) -> str:
        return self._turn.stage(jsontext.loads(activity), "reply")

    def send(self, activity: str) -> str:
        return self._turn.stage(jsontext.loads(activity), "send")

    def update(self, id: str, activity: str) -> None:
        self._turn.change(id, "update", jsontext.loads(activity))

    def delete(self, id: str) -> None:
        self._turn.change(id, "delete", {})

    def flush(self) -> None:
        if not self._turn._in_handler:
            raise Fault.denied("return the step `flush` instead")
        self._turn.commit()

    def respond(self, status: int, body: Optional[str]) -> None:
        if self._turn._incoming["type"] != "invoke":
            raise Fault.invalid("the turn is no invoke")
        if not 200 <= status < 600:
            raise Fault.invalid(f"the status {status} is not between 200 and 599")
        self._turn._staged.response = {"status": status, **({} if body is None else {"body": jsontext.loads(body)})}


class _TextStreamImports:
    def __init__(self, turn: _Turn) -> None:
        self._turn = turn
        self._open: Optional[str] = None
        self._text = ""

    def open(self, informative: Optional[str]) -> str:
        if not self._turn._in_handler:
            raise Fault.denied("not within `on-dialog` or `on-event`")
        if self._open is not None:
            raise Fault.invalid("a stream is open in this turn")
        self._turn.commit()
        self._open, self._text = f"stream-{self._turn._memory.number()}", ""
        return self._open

    def append(self, id: str, text: str) -> None:
        self._check(id)
        self._text += text

    def close(self, id: str, activity: str) -> None:
        self._check(id)
        self._open = None
        last = jsontext.loads(activity)
        self._turn.stage({**last, "text": last.get("text") or self._text}, "reply")

    def _check(self, id: str) -> None:
        if self._open is None or self._open != id:
            raise Fault.invalid("no stream with this id is open in this turn")


class _StateImports:
    def __init__(self, turn: _Turn) -> None:
        self._turn = turn

    def _place(self, scope: str, key: str) -> Tuple[str, ...]:
        turn = self._turn
        user = (turn._incoming.get("from") or {}).get("id") or turn._host.user
        place = _place(scope, user, turn._host.conversation, key)
        if scope not in (turn.wants("state") or []):
            raise Fault.denied(f"the manifest does not ask for state of `{scope}`: add it to `Manifest(state=[…])`")
        if not 1 <= len(key.encode()) <= 256:
            raise Fault.invalid(f"a key has 1 to 256 bytes, this one has {len(key.encode())}")
        return place

    def get(self, scope: str, key: str) -> Optional[_Entry]:
        return self._turn._staged.values.get(self._place(scope, key))

    def _check(self, place: Tuple[str, ...], etag: Optional[str]) -> None:
        current = self._turn._staged.values.get(place)
        if etag is not None and etag != (current.etag if current else ""):
            raise Fault.conflict(f"the value of `{place[-1]}` is not the one that the etag names")

    def set(self, scope: str, key: str, value: str, etag: Optional[str]) -> str:
        place = self._place(scope, key)
        self._check(place, etag)
        if len(value) + len(key) > _STATE_BYTES_MAX:
            raise Fault.quota(f"state-bytes-per-scope ({_STATE_BYTES_MAX})")
        entry = _Entry(value, str(self._turn._memory.number()))
        self._turn._staged.values[place] = entry
        return entry.etag

    def remove(self, scope: str, key: str, etag: Optional[str]) -> None:
        place = self._place(scope, key)
        self._check(place, etag)
        self._turn._staged.values.pop(place, None)


class _ConfigImports:
    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings

    def get(self, key: str) -> Optional[str]:
        return jsontext.dumps(self._settings[key]) if key in self._settings else None

    def keys(self) -> List[str]:
        return sorted(self._settings)


class _DialogImports:
    def __init__(self, turn: _Turn) -> None:
        self._turn = turn

    def _check(self) -> None:
        if not self._turn.wants("dialogs"):
            raise Fault.denied("the manifest does not ask for `dialogs`")
        if not self._turn._in_handler:
            raise Fault.denied("a dialog changes the stack by the step that it returns")

    def _begin(self, change: str, dialog: str, options: str) -> str:
        self._check()
        turn = self._turn
        if all(known["id"] != dialog for known in turn._manifest.get("dialogs", [])):
            raise Fault.invalid(f"the manifest has no dialog `{dialog}`")
        id = f"frame-{turn._memory.number()}"
        turn._changes.append({change: {"dialog": dialog, "options": options, "id": id}})
        turn._shown = [_Frame(id, "test", dialog, "none"), *(turn._shown[1:] if change == "replace" else turn._shown)]
        return id

    def begin(self, dialog: str, options: str) -> str:
        return self._begin("begin", dialog, options)

    def replace(self, dialog: str, options: str) -> str:
        return self._begin("replace", dialog, options)

    def cancel_all(self) -> int:
        self._check()
        count, self._turn._shown = len(self._turn._shown), []
        self._turn._changes.append("cancel-all")
        return count

    def reprompt(self) -> bool:
        self._check()
        self._turn._changes.append("reprompt")
        return bool(self._turn._shown) and self._turn._shown[0].waits_for != "none"

    def stack(self) -> List[_Frame]:
        return self._turn._shown


class _ConversationImports:
    def __init__(self, turn: _Turn) -> None:
        self._turn = turn

    def reference(self) -> str:
        return jsontext.dumps({"conversation": self._turn._host.conversation})

    def _ask(self, name: Optional[str], at: Optional[str], reference: str, mode: str, content: str) -> str:
        if not self._turn.wants("conversations"):
            raise Fault.denied("the manifest does not ask for `conversations`")
        read = jsontext.loads(content)
        if mode == "now" and "dialog" in read:
            raise Fault.invalid("a dialog cannot be delivered `now`")
        id = str(self._turn._memory.number())
        self._turn._staged.asked.append(Asked(id, name, at, reference, mode, read))
        return id

    def notify(self, reference: str, mode: str, content: str) -> str:
        return self._ask(None, None, reference, mode, content)

    def schedule(self, name: str, at: str, reference: str, mode: str, content: str) -> str:
        return self._ask(name, at, reference, mode, content)

    def cancel(self, id: str) -> bool:
        asked = self._turn._staged.asked
        self._turn._staged.asked = [it for it in asked if it.id != id]
        return len(self._turn._staged.asked) < len(asked)


class _Testbed:
    """The connection to `turntable testbed`."""

    def __init__(self) -> None:
        command = os.environ.get("TURNTABLE", "turntable")
        try:
            self._process = subprocess.Popen(
                [command, "testbed"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
            )
        except OSError as error:
            raise RuntimeError(
                f"`{command}` could not start ({error}); the test host needs the program `turntable`: "
                "put it on the PATH, or set "
                "TURNTABLE to its file"
            ) from None

    def lead(self, begun: Dict[str, Any], answer: Any) -> Dict[str, Any]:
        message: Dict[str, Any] = {"turn": begun}
        while True:
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
            if not line:
                raise RuntimeError("`turntable testbed` ended in the middle of a turn; its message is on stderr")
            request = json.loads(line)
            if "end" in request:
                return request["end"]
            message = answer(request)


_shared: List[_Testbed] = []


def _testbed() -> _Testbed:
    """Returns the one testbed of the process."""
    if not _shared:
        _shared.append(_Testbed())
    return _shared[0]
