"""The exports of a component. The build writes a module that calls `exports_for`; see `build.py`."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Callable, Mapping, NamedTuple, Type

from componentize_py_types import Err  # type: ignore[import-not-found]
from wit_world import exports  # type: ignore[import-not-found]
from wit_world.imports import config, conversations, dialogs, log, state, text_stream, turn, types  # type: ignore[import-not-found]

from . import jsontext
from .dialog import Event, Step
from .fault import record_of
from .plugin import Plugin, bot_of
from .turn import Meta


class _Host(NamedTuple):
    turn: Any
    state: Any
    config: Any
    log: Any
    dialogs: Any
    conversations: Any
    text_stream: Any


_HOST = _Host(turn, state, config, log, dialogs, conversations, text_stream)


def _meta(meta: Any) -> Meta:
    return Meta(
        meta.turn_id,
        meta.bot_id,
        meta.channel_id,
        meta.conversation_id,
        meta.kind,
        meta.trigger,
        meta.locale,
        meta.budget_ms,
        meta.extra,
    )


def _guarded(run: Callable[[], Any]) -> Any:
    try:
        return run()
    except Exception as error:
        raise Err(types.Fault(*record_of(error))) from None


def _step(step: Step) -> Any:
    kept = None if step.state is None else jsontext.dumps(step.state)
    return types.Step(step.kind, kept, jsontext.dumps(step.data))


class Exports(NamedTuple):
    """The classes that a component exports."""

    bot_handler: Type[Any]
    dialog_handler: Type[Any]
    middleware: Type[Any]


def exports_for(module: ModuleType, package: Mapping[str, str]) -> Exports:
    """Returns the exports for the bot of a module."""
    plugin = Plugin(bot_of(module), package)
    manifest = jsontext.dumps(plugin.manifest())

    class BotHandler(exports.BotHandler):  # type: ignore[misc]
        def describe(self) -> str:
            return manifest

        def on_activity(self, meta: Any, activity: str) -> Any:
            flow = _guarded(lambda: plugin.on_activity(_meta(meta), activity, _HOST))
            return types.Flow.HANDLED if flow == "handled" else types.Flow.NEXT

    class DialogHandler(exports.DialogHandler):  # type: ignore[misc]
        def on_dialog(self, meta: Any, event: Any, state: Any) -> Any:
            read = Event(event.kind, event.name, event.data)
            return _guarded(lambda: _step(plugin.on_dialog(_meta(meta), read, state, _HOST)))

    class Middleware(exports.Middleware):  # type: ignore[misc]
        def on_event(self, meta: Any, event: Any) -> Any:
            read = Event(event.kind, event.name, event.data)
            return _guarded(lambda: _step(plugin.on_event(_meta(meta), read, _HOST)))

    return Exports(BotHandler, DialogHandler, Middleware)
