"""The functions of the host, the only interface between the SDK and the contract."""

from __future__ import annotations

from typing import Any, Protocol


class Host(Protocol):
    """The imported interfaces of the contract. `component.py` has those of a component, `testing.py` those of a
    test."""

    turn: Any
    state: Any
    config: Any
    log: Any
    dialogs: Any
    conversations: Any
    text_stream: Any
