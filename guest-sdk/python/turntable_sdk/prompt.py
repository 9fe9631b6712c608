"""Prompts: questions that the host asks and whose answers it recognizes and validates, in the user's language."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Sequence, Union

from . import jsontext
from .activity import Activity, Sendable, to_activity

Choice = Union[str, Mapping[str, Any]]


class Prompt:
    """A question with its definition (`prompt.schema.json`) and the name that identifies it in a journal."""

    def __init__(self, kind: str, question: Sendable, *, name: Optional[str] = None, **options: Any) -> None:
        self.name = name
        self.definition: Dict[str, Any] = {"kind": kind, "prompt": say(question)}
        for option, value in options.items():
            if value is not None:
                self.definition[option.replace("_", "-")] = say(value) if option == "retry" else value

    def key(self) -> str:
        """Returns the key of this question in a journal."""
        kind = self.definition["kind"]
        if self.name is not None:
            return f"{kind}:{self.name}"
        return f"{kind}#{jsontext.hashed(jsontext.dumps(self.definition['prompt']))}"


def text(
    question: Sendable,
    *,
    name: Optional[str] = None,
    retry: Optional[Sendable] = None,
    attempts: Optional[int] = None,
    validator: Optional[str] = None,
    locale: Optional[str] = None,
    min_length: Optional[int] = None,
    max_length: Optional[int] = None,
    pattern: Optional[str] = None,
) -> Prompt:
    """Asks for a text. The answer is trimmed and has at least one character."""
    return Prompt(
        "text",
        question,
        name=name,
        retry=retry,
        attempts=attempts,
        validator=validator,
        locale=locale,
        min_length=min_length,
        max_length=max_length,
        pattern=pattern,
    )


def number(
    question: Sendable,
    *,
    name: Optional[str] = None,
    retry: Optional[Sendable] = None,
    attempts: Optional[int] = None,
    validator: Optional[str] = None,
    locale: Optional[str] = None,
    min: Optional[float] = None,
    max: Optional[float] = None,
    integer: Optional[bool] = None,
) -> Prompt:
    """Asks for a number."""
    return Prompt(
        "number",
        question,
        name=name,
        retry=retry,
        attempts=attempts,
        validator=validator,
        locale=locale,
        min=min,
        max=max,
        integer=integer,
    )


def confirm(
    question: Sendable,
    *,
    name: Optional[str] = None,
    retry: Optional[Sendable] = None,
    attempts: Optional[int] = None,
    validator: Optional[str] = None,
    locale: Optional[str] = None,
    words: Optional[Sequence[Choice]] = None,
    style: Optional[str] = None,
) -> Prompt:
    """Asks for yes or no. `words` replace those of the language."""
    return Prompt(
        "confirm",
        question,
        name=name,
        retry=retry,
        attempts=attempts,
        validator=validator,
        locale=locale,
        choices=None if words is None else list(words),
        style=style,
    )


def choice(
    question: Sendable,
    choices: Sequence[Choice],
    *,
    name: Optional[str] = None,
    retry: Optional[Sendable] = None,
    attempts: Optional[int] = None,
    validator: Optional[str] = None,
    locale: Optional[str] = None,
    style: Optional[str] = None,
    ordinals: Optional[bool] = None,
    fuzzy: Optional[bool] = None,
) -> Prompt:
    """Asks for one of 1 to 100 choices. The answer is a dict with `value`, `index`, `score` and `synonym`."""
    return Prompt(
        "choice",
        question,
        name=name,
        retry=retry,
        attempts=attempts,
        validator=validator,
        locale=locale,
        choices=list(choices),
        style=style,
        ordinals=ordinals,
        fuzzy=fuzzy,
    )


def date_time(
    question: Sendable,
    *,
    name: Optional[str] = None,
    retry: Optional[Sendable] = None,
    attempts: Optional[int] = None,
    validator: Optional[str] = None,
    locale: Optional[str] = None,
    types: Optional[Sequence[str]] = None,
    earliest: Optional[str] = None,
    latest: Optional[str] = None,
    time_zone: Optional[str] = None,
    date_order: Optional[str] = None,
) -> Prompt:
    """Asks for a date, a time or both. The answer is a dict with `type` and `value` (ISO 8601).

    `time_zone` is the IANA zone of a user whose activity names none. `date_order` is `day-month` or `month-day`; the default
    is that of the locale.
    """
    return Prompt(
        "date-time",
        question,
        name=name,
        retry=retry,
        attempts=attempts,
        validator=validator,
        locale=locale,
        types=None if types is None else list(types),
        earliest=earliest,
        latest=latest,
        time_zone=time_zone,
        date_order=date_order,
    )


def attachment(
    question: Sendable,
    *,
    name: Optional[str] = None,
    retry: Optional[Sendable] = None,
    attempts: Optional[int] = None,
    validator: Optional[str] = None,
    locale: Optional[str] = None,
    content_types: Optional[Sequence[str]] = None,
    max_count: Optional[int] = None,
) -> Prompt:
    """Asks for one or more files. The answer is a list of attachments."""
    return Prompt(
        "attachment",
        question,
        name=name,
        retry=retry,
        attempts=attempts,
        validator=validator,
        locale=locale,
        content_types=None if content_types is None else list(content_types),
        max_count=max_count,
    )


def say(question: Sendable) -> Union[str, Activity]:
    """Writes a question that has only a text as a text, because that is shorter in a stored frame."""
    activity = to_activity(question)
    is_text = len(activity) == 2 and activity.get("type") == "message" and isinstance(activity.get("text"), str)
    return activity["text"] if is_text else activity
