"""The bot: one handler for each kind of activity, and the hooks of middleware."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

from . import invoke as invokes
from .activity import Activity, accounts
from .dialog import Dialog, Step
from .fault import Fault
from .invoke import Response
from .manifest import Manifest
from .turn import Turn

#: What a handler returns: `"handled"` or nothing ends the turn, `"next"` goes on with the next plugin.
Flow = Optional[str]

_SIMPLE = {
    "message": "on_message",
    "messageUpdate": "on_message_update",
    "messageDelete": "on_message_delete",
    "endOfConversation": "on_end_of_conversation",
    "typing": "on_typing",
    "command": "on_command",
    "commandResult": "on_command_result",
}


class Bot:
    """The logic of a bot. Override the handlers that you need; an activity without a handler goes to the next plugin.

    Each turn has an instance of its own, so attributes do not outlive it.
    """

    manifest: Manifest = Manifest()
    dialogs: Sequence[Dialog] = ()

    def on_turn(self, turn: Turn) -> Flow:
        """Handles every activity. The default calls the other handlers; call `super().on_turn(turn)` for them."""
        return dispatch(self, turn)

    def on_turn_end(self, turn: Turn, flow: str) -> Flow:
        """Runs last in a turn that did not fail. What it returns replaces the flow."""
        return flow

    def on_route(self, turn: Turn, name: str) -> Flow:
        """A route of the manifest matched a message."""
        return self.on_message(turn)

    def on_message(self, turn: Turn) -> Flow:
        """A user sent a message, or pressed a button that sends one."""
        return "next"

    def on_message_update(self, turn: Turn) -> Flow:
        """A user edited a message."""
        return "next"

    def on_message_delete(self, turn: Turn) -> Flow:
        """A user deleted a message."""
        return "next"

    def on_conversation_update(self, turn: Turn) -> Flow:
        """The members or the topic changed. Return `next` to go on with `on_members_added` or `on_members_removed`."""
        return "next"

    def on_members_added(self, turn: Turn, members: List[Dict[str, Any]]) -> Flow:
        """Members joined. The bot itself is never among them."""
        return "next"

    def on_members_removed(self, turn: Turn, members: List[Dict[str, Any]]) -> Flow:
        """Members left, and nobody joined."""
        return "next"

    def on_message_reaction(self, turn: Turn) -> Flow:
        """The reactions to a message changed. Return `next` to go on with the handlers of single reactions."""
        return "next"

    def on_reactions_added(self, turn: Turn, reactions: List[Dict[str, Any]]) -> Flow:
        """A user reacted to a message."""
        return "next"

    def on_reactions_removed(self, turn: Turn, reactions: List[Dict[str, Any]]) -> Flow:
        """A user removed a reaction."""
        return "next"

    def on_event(self, turn: Turn) -> Flow:
        """An event arrived."""
        return "next"

    def on_token_response(self, turn: Turn, token: Dict[str, Any]) -> Flow:
        """The event `tokens/response` arrived: the user has signed in."""
        return "next"

    def on_invoke(self, turn: Turn) -> Optional[Response]:
        """An invoke arrived. None passes it to the handlers of single invokes and then to other plugins."""

    def on_adaptive_card_action(self, turn: Turn, action: Dict[str, Any]) -> Optional[Response]:
        """A user pressed an `Action.Execute`."""

    def on_search(self, turn: Turn, search: Dict[str, Any]) -> Optional[Response]:
        """A user types into a search field."""

    def on_sign_in_verify(self, turn: Turn, state: str) -> Optional[Response]:
        """The invoke `signin/verifyState` arrived."""

    def on_sign_in_exchange(self, turn: Turn, exchange: Dict[str, Any]) -> Optional[Response]:
        """The invoke `signin/tokenExchange` arrived."""

    def on_end_of_conversation(self, turn: Turn) -> Flow:
        """The other party ended the conversation."""
        return "next"

    def on_typing(self, turn: Turn) -> Flow:
        """The other party is typing."""
        return "next"

    def on_installation_update(self, turn: Turn) -> Flow:
        """The bot was installed or removed. Return `next` to go on with the two handlers below."""
        return "next"

    def on_installation_added(self, turn: Turn) -> Flow:
        """The bot was installed."""
        return "next"

    def on_installation_removed(self, turn: Turn) -> Flow:
        """The bot was removed."""
        return "next"

    def on_command(self, turn: Turn) -> Flow:
        """A command arrived."""
        return "next"

    def on_command_result(self, turn: Turn) -> Flow:
        """The answer to a command of this bot arrived."""
        return "next"

    def on_unrecognized(self, turn: Turn) -> Flow:
        """An activity of a type that this version of the SDK does not know arrived."""
        return "next"

    def on_receive(self, turn: Turn) -> Optional[Step]:
        """Middleware: an incoming activity, before routes, dialogs and handlers."""

    def on_send(self, turn: Turn, activity: Activity) -> Optional[Step]:
        """Middleware: an outgoing activity, at the moment it is staged."""

    def on_update(self, turn: Turn, activity: Activity) -> Optional[Step]:
        """Middleware: an activity that replaces another."""

    def on_delete(self, turn: Turn, id: str) -> Optional[Step]:
        """Middleware: a deletion."""

    def after_turn(self, turn: Turn, outcome: str) -> None:
        """Middleware: the turn is about to commit. `outcome` is `completed`, `failed` or `stopped`."""


#: The hooks of middleware and the events that they intercept.
HOOKS = {
    "on_receive": "receive",
    "on_send": "send",
    "on_update": "update",
    "on_delete": "delete",
    "after_turn": "turn-end",
}


def replace_with(activity: Activity) -> Step:
    """A hook of middleware returns this to replace the activity."""
    return Step("replace", activity)


def stop() -> Step:
    """A hook of middleware returns this to stop the activity."""
    return Step("stop")


def sender(turn: Turn) -> str:
    """Returns the plugin that sends the activity in a hook: empty for an incoming one, `turntable` for the host."""
    return turn.extra("sender") or ""


def run(bot: Bot, turn: Turn) -> str:
    """Runs one turn: the handlers, then `on_turn_end`."""
    flow = _flow("on_turn", bot.on_turn(turn))
    return _flow("on_turn_end", bot.on_turn_end(turn, flow), flow)


def dispatch(bot: Bot, turn: Turn) -> str:
    """Calls the handlers of the turn's activity."""
    if turn.route is not None:
        return _flow("on_route", bot.on_route(turn, turn.route))
    kind = turn.activity.get("type", "")
    complex_handler = {
        "conversationUpdate": _conversation_update,
        "messageReaction": _message_reaction,
        "event": _event,
        "invoke": _invoke,
        "installationUpdate": _installation_update,
    }.get(kind)
    if complex_handler is not None:
        return complex_handler(bot, turn)
    name = _SIMPLE.get(kind, "on_unrecognized")
    return _flow(name, getattr(bot, name)(turn))


def _flow(handler: str, flow: Any, default: str = "handled") -> str:
    if flow is None:
        return default
    if flow in ("handled", "next"):
        return flow
    if hasattr(flow, "send"):
        flow.close()
        raise Fault.invalid(
            f"{handler} is an async function; handlers are plain functions, because host calls do not wait"
        )
    what = f'"{flow}"' if isinstance(flow, str) else type(flow).__name__
    raise Fault.invalid(f'{handler} returned {what}; return "handled", "next" or nothing')


def _conversation_update(bot: Bot, turn: Turn) -> str:
    if _flow("on_conversation_update", bot.on_conversation_update(turn)) == "handled":
        return "handled"
    added = accounts(turn.activity, "membersAdded")
    if added:
        return _flow("on_members_added", bot.on_members_added(turn, added))
    removed = accounts(turn.activity, "membersRemoved")
    return _flow("on_members_removed", bot.on_members_removed(turn, removed)) if removed else "next"


def _message_reaction(bot: Bot, turn: Turn) -> str:
    if _flow("on_message_reaction", bot.on_message_reaction(turn)) == "handled":
        return "handled"
    added, removed = turn.activity.get("reactionsAdded"), turn.activity.get("reactionsRemoved")
    flows = []
    if added:
        flows.append(_flow("on_reactions_added", bot.on_reactions_added(turn, added)))
    if removed:
        flows.append(_flow("on_reactions_removed", bot.on_reactions_removed(turn, removed)))
    return "handled" if "handled" in flows else "next"


def _event(bot: Bot, turn: Turn) -> str:
    flow = _flow("on_event", bot.on_event(turn))
    if flow == "handled" or turn.activity.get("name") != "tokens/response":
        return flow
    return _flow("on_token_response", bot.on_token_response(turn, turn.value or {}))


def _invoke(bot: Bot, turn: Turn) -> str:
    answer = bot.on_invoke(turn) or _named_invoke(bot, turn)
    if answer is None:
        return "next"
    if not isinstance(answer, Response):
        raise Fault.invalid(f"a handler of an invoke returned {type(answer).__name__}; return a Response or nothing")
    turn.respond(answer)
    return "handled"


def _named_invoke(bot: Bot, turn: Turn) -> Optional[Response]:
    name, value = turn.activity.get("name"), turn.value
    kind = type(bot)
    if name == "adaptiveCard/action" and kind.on_adaptive_card_action is not Bot.on_adaptive_card_action:
        action = invokes.card_action(value)
        return action if isinstance(action, Response) else bot.on_adaptive_card_action(turn, action)
    if name == "application/search" and kind.on_search is not Bot.on_search:
        search = invokes.search(value, turn.meta.channel_id)
        return search if isinstance(search, Response) else bot.on_search(turn, search)
    if name == "signin/verifyState":
        state = value.get("state") if isinstance(value, dict) else None
        return bot.on_sign_in_verify(turn, state if isinstance(state, str) else "")
    if name == "signin/tokenExchange":
        return bot.on_sign_in_exchange(turn, value if isinstance(value, dict) else {})
    return None


def _installation_update(bot: Bot, turn: Turn) -> str:
    if _flow("on_installation_update", bot.on_installation_update(turn)) == "handled":
        return "handled"
    action = turn.activity.get("action")
    if action in ("add", "add-upgrade"):
        return _flow("on_installation_added", bot.on_installation_added(turn))
    if action in ("remove", "remove-upgrade"):
        return _flow("on_installation_removed", bot.on_installation_removed(turn))
    return "next"
