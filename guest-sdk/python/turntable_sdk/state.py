"""State: values that outlive the turn. Etags detect concurrent writes."""

from __future__ import annotations

from typing import Any, Callable, Generic, Optional, TypeVar

from . import jsontext
from .fault import host_call
from .host import Host

T = TypeVar("T")


class Stored(Generic[T]):
    """A value of one scope. It remembers the etag that it was read with."""

    def __init__(self, host: Host, scope: str, key: str) -> None:
        self._host = host
        self._scope = scope
        self._key = key
        self._etag: Optional[str] = None

    def get(self, default: Optional[T] = None) -> Any:
        """Returns the value, or `default` if there is none."""
        with host_call():
            entry = self._host.state.get(self._scope, self._key)
        self._etag = entry.etag if entry else ""
        return jsontext.loads(entry.value) if entry else default

    def set(self, value: T) -> None:
        """Writes the value. If another turn changed it after it was read, the host runs this turn again."""
        if self._etag is None:
            self.get()
        self._write(value, self._etag)

    def overwrite(self, value: T) -> None:
        """Writes the value, whatever it was before."""
        self._write(value, None)

    def update(self, change: Callable[[Any], T], default: Optional[T] = None) -> T:
        """Reads the value, writes what `change` returns, and returns it."""
        value = change(self.get(default))
        self.set(value)
        return value

    def remove(self) -> None:
        """Removes the value."""
        if self._etag is None:
            self.get()
        with host_call():
            self._host.state.remove(self._scope, self._key, self._etag)
        self._etag = ""

    def _write(self, value: T, etag: Optional[str]) -> None:
        text = jsontext.dumps(value)
        with host_call():
            self._etag = self._host.state.set(self._scope, self._key, text, etag)


class State:
    """The values of all scopes. They need the grant `state`: `Manifest(state=["user"])`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def conversation(self, key: str) -> Stored[Any]:
        """A value that all users of this conversation share."""
        return self.of("conversation", key)

    def user(self, key: str) -> Stored[Any]:
        """A value of the user, in all conversations of the channel."""
        return self.of("user", key)

    def private(self, key: str) -> Stored[Any]:
        """A value of the user in this conversation."""
        return self.of("private", key)

    def bot(self, key: str) -> Stored[Any]:
        """A value that all conversations of the bot share."""
        return self.of("bot", key)

    def of(self, scope: str, key: str) -> Stored[Any]:
        """A value of the scope with this name."""
        return Stored(self._host, scope, key)
