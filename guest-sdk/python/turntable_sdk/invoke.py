"""Responses to invokes, and the invokes that have handlers of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union


@dataclass(frozen=True)
class Response:
    """The response to an invoke: an HTTP status and a JSON body."""

    status: int
    body: Any = None

    @classmethod
    def ok(cls, body: Any = None) -> Response:
        """Status 200 with a body."""
        return cls(200, body)

    @classmethod
    def card(cls, card: Mapping[str, Any]) -> Response:
        """Answers `adaptiveCard/action` with a card."""
        return cls._typed(200, "application/vnd.microsoft.card.adaptive", dict(card))

    @classmethod
    def message(cls, text: str) -> Response:
        """Answers `adaptiveCard/action` with a text."""
        return cls._typed(200, "application/vnd.microsoft.activity.message", text)

    @classmethod
    def results(cls, results: Sequence[Tuple[str, str]]) -> Response:
        """Answers `application/search` with pairs of value and title."""
        found = [{"value": value, "title": title} for value, title in results]
        return cls._typed(200, "application/vnd.microsoft.search.searchResponse", {"results": found})

    @classmethod
    def error(cls, status: int, code: str, message: str) -> Response:
        """Answers with an error."""
        return cls._typed(status, "application/vnd.microsoft.error", {"code": code, "message": message})

    @classmethod
    def _typed(cls, status: int, kind: str, value: Any) -> Response:
        return cls(status, {"statusCode": status, "type": kind, "value": value})


def card_action(value: Any) -> Union[Dict[str, Any], Response]:
    """Reads the value of `adaptiveCard/action`. Returns the response for a wrong value."""
    action: Optional[Any] = value.get("action") if isinstance(value, Mapping) else None
    if not isinstance(action, Mapping):
        return Response.error(400, "BadRequest", "the value has no object `action`")
    if action.get("type") != "Action.Execute":
        return Response.error(400, "NotSupported", f"the action type `{action.get('type') or ''}` is not supported")
    return dict(action)


def search(value: Any, channel: str) -> Union[Dict[str, Any], Response]:
    """Reads the value of `application/search`. Returns the response for a wrong value."""
    if not isinstance(value, Mapping):
        return Response.error(400, "BadRequest", "the value has no object")
    kind = value.get("kind") or ("search" if channel == "msteams" else "")
    if not kind:
        return Response.error(400, "BadRequest", "the value has no `kind`")
    if not value.get("queryText"):
        return Response.error(400, "BadRequest", "the value has no `queryText`")
    return {**value, "kind": kind}
