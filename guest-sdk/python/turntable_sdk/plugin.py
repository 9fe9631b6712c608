"""A plugin: an author's bot with the functions that the contract exports."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from types import ModuleType
from typing import Any, Dict, Mapping, Optional, Type

from . import jsontext
from .bot import HOOKS, Bot, run
from .dialog import Event, Step
from .fault import Fault
from .host import Host
from .turn import Meta, Turn


def bot_of(module: ModuleType) -> Type[Bot]:
    """Returns the one subclass of `Bot` that a module defines."""
    own = [
        it
        for it in vars(module).values()
        if inspect.isclass(it) and issubclass(it, Bot) and it.__module__ == module.__name__
    ]
    bases = {base for kind in own for base in kind.__mro__[1:]}
    bots = [kind for kind in own if kind not in bases]
    if len(bots) != 1:
        names = ", ".join(kind.__name__ for kind in bots) or "none"
        raise TypeError(
            f"the module `{module.__name__}` must define one class that inherits from `Bot`; it defines {names}"
        )
    return bots[0]


class Plugin:
    """The functions of a component, for a bot and the name and version of its package."""

    def __init__(self, kind: Type[Bot], package: Optional[Mapping[str, str]] = None) -> None:
        self._kind = kind
        self._package = dict(package or {})
        self._package["name"] = (
            re.sub("[^a-z0-9]+", "-", self._package.get("name", "bot").lower()).strip("-")[:64] or "bot"
        )
        bot = kind()
        self._manifest = bot.manifest
        self._dialogs: Dict[str, Any] = {}
        for dialog in bot.dialogs:
            if not callable(getattr(dialog, "on_event", None)):
                raise TypeError(
                    f"a dialog of the bot is {type(dialog).__name__}; create it with @straight_line(…) or waterfall(…)"
                )
            self._dialogs.setdefault(dialog.id, dialog)
        self._hooks = [hook for hook in HOOKS if getattr(kind, hook) is not getattr(Bot, hook)]
        known = set(dir(Bot))
        for name in vars(kind):
            if re.match("on_[a-z]", name) and name not in known:
                handlers = ", ".join(sorted(it for it in known if it.startswith("on_")))
                raise TypeError(f"the bot has a handler `{name}`, which no activity reaches; handlers are {handlers}")

    def manifest(self) -> Dict[str, Any]:
        """Returns the manifest."""
        dialogs = [{"id": it.id, "state-version": getattr(it, "version", 0)} for it in self._dialogs.values()]
        return self._manifest.to_json(self._package, dialogs, [HOOKS[hook] for hook in self._hooks])

    def on_activity(self, meta: Meta, activity: str, host: Host) -> str:
        """Handles one activity and returns the flow."""
        return run(self._kind(), Turn(meta, jsontext.loads(activity), host))

    def on_dialog(self, meta: Meta, event: Event, state: Optional[str], host: Host) -> Step:
        """Handles one event of a dialog. The data of the event is JSON text."""
        dialog = self._dialogs.get(event.name)
        if dialog is None:
            raise Fault.invalid(f"there is no dialog `{event.name}`")
        event = replace(event, data=jsontext.loads(event.data))
        turn = Turn(meta, event.data if event.kind == "continue" and event.data else {}, host)
        step = dialog.on_event(turn, event, None if state is None else jsontext.loads(state))
        if not isinstance(step, Step):
            raise Fault.invalid(
                f"the dialog `{event.name}` returned {type(step).__name__} for `{event.kind}`, which is no Step"
            )
        return step

    def on_event(self, meta: Meta, event: Event, host: Host) -> Step:
        """Handles one event of middleware. The data of the event is JSON text."""
        hook = next((hook for hook in self._hooks if HOOKS[hook] == event.kind), None)
        if hook is None:
            return Step.ignored()
        data = jsontext.loads(event.data)
        meta = replace(meta, extra=[*meta.extra, ("sender", event.name)])
        turn = Turn(meta, data if event.kind == "receive" else {"type": meta.kind}, host)
        run_hook = getattr(self._kind(), hook)
        member = {"delete": "id", "turn-end": "outcome"}.get(event.kind)
        passage = (
            run_hook(turn)
            if event.kind == "receive"
            else run_hook(turn, data if member is None else data.get(member, ""))
        )
        if passage is None:
            return Step("pass")
        if not isinstance(passage, Step):
            raise Fault.invalid(f"{hook} returned {type(passage).__name__}; return replace_with(…), stop() or nothing")
        return passage
