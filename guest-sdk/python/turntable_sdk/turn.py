"""The turn, through which a handler reads the activity and calls the host."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from . import jsontext
from .activity import Activity, Sendable, text_without_recipient, to_activity
from .fault import Fault, host_call
from .host import Host
from .invoke import Response
from .state import State


@dataclass(frozen=True)
class Meta:
    """What the host knows about the turn. A channel cannot forge `turn_id`, `bot_id` and `trigger`."""

    turn_id: str = ""
    bot_id: str = ""
    channel_id: str = ""
    conversation_id: str = ""
    #: The type of the activity.
    kind: str = ""
    #: `activity`, `route:NAME`, `dialog:ID`, `notify`, `timer:NAME`, or a later value.
    trigger: str = "activity"
    locale: Optional[str] = None
    #: CPU time that this plugin may still use in this turn.
    budget_ms: int = 0
    extra: Sequence[Tuple[str, str]] = field(default_factory=list)


class Turn:
    """One activity that is being handled. Sends are staged and leave after the turn has succeeded."""

    def __init__(self, meta: Meta, activity: Activity, host: Host) -> None:
        self.meta = meta
        self.activity = activity
        self._host = host

    @property
    def text(self) -> str:
        """The text as the channel sent it, or an empty text."""
        return self.activity.get("text") or ""

    @property
    def spoken_text(self) -> str:
        """What the user said: the text without mentions of the bot, quotes, escapes and e-mail signatures."""
        spoken = self.extra("spoken-text")
        return text_without_recipient(self.activity) if spoken is None else spoken

    @property
    def route(self) -> Optional[str]:
        """The name of the route that matched."""
        kind, _, name = self.meta.trigger.partition(":")
        return name if kind == "route" else None

    @property
    def value(self) -> Any:
        """The value of the activity."""
        return self.activity.get("value")

    @property
    def locale(self) -> Optional[str]:
        """The language of the activity."""
        return self.meta.locale

    def extra(self, name: str) -> Optional[str]:
        """Returns a fact in `meta.extra`."""
        return next((value for known, value in self.meta.extra if known == name), None)

    def reply(self, what: Sendable) -> str:
        """Answers the activity and returns the host id of the answer."""
        text = jsontext.dumps(to_activity(what))
        with host_call():
            return self._host.turn.reply(text)

    def send(self, what: Sendable) -> str:
        """Adds an activity that answers nothing, and returns its host id."""
        text = jsontext.dumps(to_activity(what))
        with host_call():
            return self._host.turn.send(text)

    def update(self, id: str, what: Sendable) -> None:
        """Replaces an activity that this bot sent."""
        text = jsontext.dumps(to_activity(what))
        with host_call():
            self._host.turn.update(id, text)

    def delete(self, id: str) -> None:
        """Deletes an activity that this bot sent."""
        with host_call():
            self._host.turn.delete(id)

    def typing(self) -> None:
        """Shows a typing indicator, at once."""
        self.reply({"type": "typing"})

    def flush(self) -> None:
        """Delivers what is staged now. If the turn fails later, the flushed part remains. Handlers only."""
        with host_call():
            self._host.turn.flush()

    def stream(self, informative: Optional[str] = None) -> TextStream:
        """Opens a reply that grows while the user reads it, and flushes the turn. `informative` is a first line that the first
        text replaces. Handlers only."""
        with host_call():
            return TextStream(self._host, self._host.text_stream.open(informative))

    def respond(self, response: Response) -> None:
        """Sets the response to an invoke. Handlers of invokes return their response instead."""
        body = None if response.body is None else jsontext.dumps(response.body)
        with host_call():
            self._host.turn.respond(response.status, body)

    @property
    def state(self) -> State:
        """Values that outlive the turn."""
        return State(self._host)

    @property
    def dialogs(self) -> Stack:
        """The dialog stack of the conversation."""
        return Stack(self._host)

    @property
    def conversations(self) -> Conversations:
        """Deliveries into this or another conversation."""
        return Conversations(self._host)

    @property
    def log(self) -> Log:
        """The host's log."""
        return Log(self._host)

    def config(self, key: str, default: Any = None) -> Any:
        """Returns a setting of the operator, or `default`."""
        text = self._host.config.get(key)
        return default if text is None else jsontext.loads(text)

    def required(self, key: str) -> Any:
        """Returns a setting. Fault `invalid` if it is not set."""
        text = self._host.config.get(key)
        if text is None:
            raise Fault.invalid(f"the setting `{key}` is not set")
        return jsontext.loads(text)

    def config_keys(self) -> List[str]:
        """Returns the names of all settings, sorted."""
        return self._host.config.keys()


class TextStream:
    """A reply that grows while the user reads it. A stream that is left open is closed by the host at the end of the handler."""

    def __init__(self, host: Host, id: str) -> None:
        self._host = host
        self._id = id

    def append(self, text: str) -> None:
        """Appends text. Fault `unavailable`: the user stopped the stream, so return."""
        if text:
            with host_call():
                self._host.text_stream.append(self._id, text)

    def close(self, what: Sendable = {"type": "message"}) -> None:
        """Ends the stream. A message without text gets what was appended."""
        activity = jsontext.dumps(to_activity(what))
        with host_call():
            self._host.text_stream.close(self._id, activity)


@dataclass(frozen=True)
class Frame:
    """One dialog on the stack."""

    id: str
    plugin: str
    dialog: str
    #: `message`, `prompt:KIND`, `child` or `none`.
    waits_for: str


class Stack:
    """The dialog stack. It works in handlers only; a dialog returns steps instead."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def begin(self, dialog: str, options: Any = None) -> str:
        """Begins a dialog of this plugin on top of the stack."""
        with host_call():
            return self._host.dialogs.begin(dialog, jsontext.dumps(options))

    def replace(self, dialog: str, options: Any = None) -> str:
        """Cancels the top dialog and begins a dialog of this plugin in its place."""
        with host_call():
            return self._host.dialogs.replace(dialog, jsontext.dumps(options))

    def cancel_all(self) -> int:
        """Cancels all dialogs and returns their number."""
        with host_call():
            return self._host.dialogs.cancel_all()

    def reprompt(self) -> bool:
        """Asks the top dialog to repeat its question. Returns false if no dialog waits."""
        with host_call():
            return self._host.dialogs.reprompt()

    def frames(self) -> List[Frame]:
        """Returns the stack, top first."""
        with host_call():
            return [Frame(it.id, it.plugin, it.dialog, it.waits_for) for it in self._host.dialogs.stack()]


class Delivery:
    """What a notification delivers."""

    def __init__(self, content: Dict[str, Any]) -> None:
        self.content = content

    @classmethod
    def activity(cls, what: Sendable) -> Delivery:
        """An activity that the bot sends."""
        return cls({"activity": to_activity(what)})

    @classmethod
    def event(cls, name: str, value: Any = None) -> Delivery:
        """An event for the bot's handlers."""
        return cls({"event": {"name": name, "value": value}})

    @classmethod
    def dialog(cls, dialog: str, options: Any = None) -> Delivery:
        """A dialog of this plugin to begin."""
        return cls({"dialog": dialog, "options": options})


class Conversations:
    """Deliveries. They need the grant `conversations`: `Manifest(conversations=True)`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def reference(self) -> str:
        """Returns the reference of this conversation, which may be stored."""
        with host_call():
            return self._host.conversations.reference()

    def notify(self, reference: str, when: str, delivery: Union[Delivery, Sendable]) -> str:
        """Delivers `now`, `when-idle`, or with `interrupt` or `cancel`. Returns the id of the delivery."""
        with host_call():
            return self._host.conversations.notify(reference, when, _content(delivery))

    def schedule(
        self, name: str, at: Union[str, datetime], reference: str, when: str, delivery: Union[Delivery, Sendable]
    ) -> str:
        """Delivers at a time: a datetime, RFC 3339, or a cron expression followed by a time zone. Returns the id of
        the timer."""
        if isinstance(at, datetime):
            at = (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).isoformat()
        with host_call():
            return self._host.conversations.schedule(name, at, reference, when, _content(delivery))

    def cancel(self, id: str) -> bool:
        """Cancels a delivery or timer. Returns false if it was delivered already or never existed."""
        with host_call():
            return self._host.conversations.cancel(id)


def _content(delivery: Union[Delivery, Sendable]) -> str:
    return jsontext.dumps((delivery if isinstance(delivery, Delivery) else Delivery.activity(delivery)).content)


class Log:
    """Lines in the host's log. Put constant text into `message` and variable values into fields."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def write(self, level: str, message: str, **fields: Any) -> None:
        """Writes a line with a level."""
        pairs = [(name, value if isinstance(value, str) else str(value)) for name, value in fields.items()]
        self._host.log.write(level, message, pairs)

    def debug(self, message: str, **fields: Any) -> None:
        """Details for the author."""
        self.write("debug", message, **fields)

    def info(self, message: str, **fields: Any) -> None:
        """Normal operation."""
        self.write("info", message, **fields)

    def warn(self, message: str, **fields: Any) -> None:
        """A problem that the plugin can work around."""
        self.write("warn", message, **fields)

    def error(self, message: str, **fields: Any) -> None:
        """A failure."""
        self.write("error", message, **fields)
