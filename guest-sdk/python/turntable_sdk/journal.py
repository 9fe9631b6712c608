"""The journal of a straight-line dialog: the recorded results that a replay returns. Its JSON is the same in every
SDK."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from . import jsontext
from .dialog import Outcome
from .fault import Fault

_ENTRIES_MAX = 1000
_BYTES_MAX = 128 << 10


class Journal:
    """The state of a frame."""

    def __init__(self, stored: Dict[str, Any]) -> None:
        self.options: Any = stored.get("options")
        self.state: Any = stored.get("state")
        self.restarts: int = stored.get("restarts", 0)
        self.entries: List[Dict[str, Any]] = stored.get("entries", [])
        self.waits: Optional[Dict[str, Any]] = stored.get("waits")

    def restarted(self, state: Any) -> Journal:
        """Returns an empty journal that continues from a state."""
        return Journal({"options": self.options, "state": state, "restarts": self.restarts + 1})

    def answered(self, outcome: Outcome) -> None:
        """Records the outcome of the operation that the dialog waited for."""
        if self.waits is None:
            return
        entry = {"kind": self.waits["kind"], "key": self.waits["key"], "result": outcome.result}
        self.entries.append(entry if outcome.is_completed else {**entry, "ended": outcome.reason})
        self.waits = None

    def record(self, kind: str, key: str, result: Any) -> None:
        """Adds an entry. Fault `quota`: there are too many entries."""
        if len(self.entries) >= _ENTRIES_MAX:
            raise Fault.quota(
                f"the journal of the dialog has {_ENTRIES_MAX} entries, which is the limit; "
                "shorten it with `restart_with`"
            )
        self.entries.append({"kind": kind, "key": key, "result": result})

    def to_state(self) -> Dict[str, Any]:
        """Returns the state of the frame. Fault `quota`: it is too large."""
        stored: Dict[str, Any] = {"options": self.options}
        if self.state is not None:
            stored["state"] = self.state
        stored.update(restarts=self.restarts, entries=self.entries)
        if self.waits is not None:
            stored["waits"] = self.waits
        size = len(jsontext.dumps(stored).encode())
        if size > _BYTES_MAX:
            raise Fault.quota(
                f"the journal of the dialog has {size} bytes, the limit is {_BYTES_MAX}; shorten it with `restart_with`"
            )
        return stored

    def summary(self) -> Dict[str, Any]:
        """Returns the state for a migration hook: the last result of each name, and the state of the last restart."""
        names: Dict[str, Any] = {}
        for entry in self.entries:
            if "ended" in entry:
                continue
            _, colon, name = entry["key"].partition(":")
            if entry["kind"] == "ask" and colon:
                names[name] = entry["result"]
            elif entry["kind"] in ("call", "step"):
                names[entry["key"]] = entry["result"]
        if self.state is not None:
            names["state"] = self.state
        return names
