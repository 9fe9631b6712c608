"""The manifest, which describes a plugin to the host."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence


@dataclass(frozen=True)
class Route:
    """A global handler: a pattern that must match the whole text of a message (Rust crate `regex`)."""

    name: str
    pattern: str
    locales: Sequence[str] = ()
    score: Optional[float] = None
    order: Optional[int] = None
    #: A question that the host asks before the route interrupts a dialog.
    confirm: Optional[str] = None
    #: `reprompt` or `none`: what happens to the interrupted dialog afterwards.
    after: Optional[str] = None
    #: Whether the message stops the turn that runs in the conversation, and is answered next.
    control: bool = False

    def to_json(self) -> Dict[str, Any]:
        """Returns the route as the manifest has it."""
        members = {
            "name": self.name,
            "pattern": self.pattern,
            "locales": list(self.locales) or None,
            "score": self.score,
            "order": self.order,
            "confirm": self.confirm,
            "after": self.after,
            "control": self.control or None,
        }
        return {name: value for name, value in members.items() if value is not None}


@dataclass(frozen=True)
class Manifest:
    """What a bot declares. Name and version come from `pyproject.toml` unless they are given here."""

    name: Optional[str] = None
    version: Optional[str] = None
    description: Optional[str] = None
    #: The types of activities that reach the handlers. Default: all.
    activities: Optional[Sequence[str]] = None
    routes: Sequence[Route] = ()
    #: The scopes of state that the bot uses: `conversation`, `user`, `private`, `bot`.
    state: Sequence[str] = ()
    #: Whether the bot uses `Turn.conversations`.
    conversations: bool = False
    #: Whether the bot uses `Turn.dialogs`. Bots with dialogs always ask for it.
    dialogs: bool = False
    #: Further grants by name.
    wants: Mapping[str, Any] = field(default_factory=dict)
    #: A JSON schema of the settings.
    settings: Optional[Mapping[str, Any]] = None

    def to_json(
        self, package: Mapping[str, str], dialogs: List[Dict[str, Any]], intercepts: Sequence[str]
    ) -> Dict[str, Any]:
        """Returns the manifest as the host reads it."""
        wants: Dict[str, Any] = {}
        if self.dialogs or dialogs:
            wants["dialogs"] = True
        if intercepts:
            wants["middleware"] = True
        if self.state:
            wants["state"] = list(self.state)
        if self.conversations:
            wants["conversations"] = True
        roles = ["handler"] + (["dialogs"] if dialogs else []) + (["middleware"] if intercepts else [])
        members = {
            "name": self.name or package.get("name") or "bot",
            "version": self.version or package.get("version") or "0.0.0",
            "description": self.description or package.get("description") or None,
            "roles": roles,
            "activities": None if self.activities is None else list(self.activities),
            "routes": [route.to_json() for route in self.routes] or None,
            "dialogs": dialogs or None,
            "intercepts": list(intercepts) or None,
            "wants": {**wants, **self.wants},
            "settings": None if self.settings is None else dict(self.settings),
        }
        return {name: value for name, value in members.items() if value is not None}
