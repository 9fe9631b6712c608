"""Faults: why a call failed."""

from __future__ import annotations

import os
import traceback
from contextlib import contextmanager
from typing import Any, Iterator, NamedTuple, Optional

_HERE = os.path.dirname(os.path.abspath(__file__))


class Fault(Exception):
    """An error with a code of the contract.

    The host raises it for a call that it refuses, and a handler raises it to fail. Any other exception of a handler
    becomes
    fault `internal`, with the file and line in its message. The host then discards what the handler sent.
    """

    def __init__(
        self, code: str, message: str, *, retry_after_ms: Optional[int] = None, detail: Optional[str] = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_ms = retry_after_ms
        self.detail = detail
        #: A mistake of the author that the SDK found: the place that the message names.
        self.place: Optional[str] = None

    @classmethod
    def denied(cls, message: str) -> Fault:
        """The plugin or the user is not allowed to do this."""
        return cls("denied", message)

    @classmethod
    def quota(cls, message: str) -> Fault:
        """A limit was exceeded. The message should name it."""
        return cls("quota", message)

    @classmethod
    def deadline(cls, message: str) -> Fault:
        """The operation took too long."""
        return cls("deadline", message)

    @classmethod
    def conflict(cls, message: str) -> Fault:
        """Another turn changed the value."""
        return cls("conflict", message)

    @classmethod
    def invalid(cls, message: str) -> Fault:
        """An argument is wrong. The message should say which one and why."""
        return cls("invalid", message)

    @classmethod
    def unavailable(cls, message: str) -> Fault:
        """The operation failed now, but may succeed later."""
        return cls("unavailable", message)

    @classmethod
    def internal(cls, message: str) -> Fault:
        """A defect of the plugin or the host."""
        return cls("internal", message)


class Record(NamedTuple):
    """A fault as it crosses the contract."""

    code: str
    message: str
    retry_after_ms: Optional[int]
    detail: Optional[str]


@contextmanager
def host_call() -> Iterator[None]:
    """Turns the errors of the contract into faults."""
    try:
        yield
    except Exception as error:
        record: Any = getattr(error, "value", None)
        if isinstance(error, Fault) or not isinstance(getattr(record, "code", None), str):
            raise
        raise Fault(record.code, record.message, retry_after_ms=record.retry_after_ms, detail=record.detail) from None


def record_of(error: BaseException) -> Record:
    """Returns the record of the contract for anything that an author's code raised."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_own(frame.filename)]
    lines = "".join(traceback.format_list([_short(frame) for frame in frames])) + "".join(
        traceback.format_exception_only(error)
    )
    causes = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    detail = lines if causes is None else f"{lines}Caused by: {record_of(causes).detail}"
    if isinstance(error, Fault):
        message = error.message if error.place is None else f"{error.message} ({error.place})"
        more = detail if error.detail is None else f"{error.detail}\n{detail}"
        return Record(str(error.code), message, error.retry_after_ms, more)
    where = f" ({place(frames[-1])})" if frames else ""
    return Record("internal", f"{type(error).__name__}: {error}{where}", None, detail)


def caller() -> Optional[str]:
    """Returns the place in the author's code that called the SDK."""
    frames = [frame for frame in traceback.extract_stack() if not _is_own(frame.filename)]
    return place(frames[-1]) if frames else None


def place(frame: traceback.FrameSummary) -> str:
    """Returns the file and line of a frame."""
    return f"{_short_name(frame.filename)}:{frame.lineno}"


def _is_own(filename: str) -> bool:
    # A module that was compiled into a component may be named by its folder of the build.
    return os.path.dirname(os.path.abspath(filename)) == _HERE or filename.endswith("turntable_app.py")


def _short(frame: traceback.FrameSummary) -> traceback.FrameSummary:
    return traceback.FrameSummary(
        _short_name(frame.filename), frame.lineno, frame.name, lookup_line=False, line=frame.line
    )


def _short_name(filename: str) -> str:
    """Removes the folders that componentize-py mounts, `/0/` and so on."""
    parts = filename.lstrip("/").split("/")
    return (
        "/".join(parts[1:])
        if len(parts) > 1 and parts[0].isdigit()
        else os.path.relpath(filename)
        if os.path.isabs(filename)
        else filename
    )
