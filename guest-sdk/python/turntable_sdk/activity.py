"""Builders of activities. An activity is a dict; members that this file does not know are kept."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from .fault import Fault

Activity = Dict[str, Any]
Attachment = Dict[str, Any]
#: What `Turn.reply` sends: a text, an attachment or an activity.
Sendable = Union[str, Mapping[str, Any]]


def message(text: str, *, suggest: Sequence[Union[str, Mapping[str, Any]]] = (), **members: Any) -> Activity:
    """Creates a message. `members` are further members of the activity, such as `attachments` or `speak`."""
    activity: Activity = {"type": "message", "text": text, **members}
    if suggest:
        activity["suggestedActions"] = {"to": [], "actions": [action(button) for button in suggest]}
    return activity


def event(name: str, value: Any = None) -> Activity:
    """Creates an event."""
    return {"type": "event", "name": name, "value": value}


def action(button: Union[str, Mapping[str, Any]]) -> Dict[str, Any]:
    """Creates a button. A text is a button that sends the text as a message of the user."""
    return {"type": "imBack", "title": button, "value": button} if isinstance(button, str) else dict(button)


def adaptive_card(content: Mapping[str, Any]) -> Attachment:
    """Creates an attachment with an adaptive card."""
    return {"contentType": "application/vnd.microsoft.card.adaptive", "content": dict(content)}


def hero_card(
    title: str,
    *,
    subtitle: Optional[str] = None,
    text: Optional[str] = None,
    images: Sequence[str] = (),
    buttons: Sequence[Union[str, Mapping[str, Any]]] = (),
) -> Attachment:
    """Creates an attachment with a hero card."""
    content: Dict[str, Any] = {"title": title}
    if subtitle is not None:
        content["subtitle"] = subtitle
    if text is not None:
        content["text"] = text
    if images:
        content["images"] = [{"url": url} for url in images]
    if buttons:
        content["buttons"] = [action(button) for button in buttons]
    return {"contentType": "application/vnd.microsoft.card.hero", "content": content}


def file(content_type: str, content_url: str, name: Optional[str] = None) -> Attachment:
    """Creates an attachment with a file."""
    attachment = {"contentType": content_type, "contentUrl": content_url}
    return attachment if name is None else {**attachment, "name": name}


def mention(account: Mapping[str, Any]) -> Dict[str, Any]:
    """Creates a mention of an account, for `entities`. The text of the message must contain the `text` of the
    mention."""
    return {"type": "mention", "mentioned": dict(account), "text": f"<at>{account.get('name') or account['id']}</at>"}


def to_activity(what: Sendable) -> Activity:
    """Returns the activity for what `Turn.reply` accepts. Fault `invalid`: it is none."""
    if isinstance(what, str):
        return message(what)
    if not isinstance(what, Mapping):
        raise Fault.invalid(
            f"{type(what).__name__} is not an activity; pass a text, an attachment or a dict with a `type`"
        )
    if not isinstance(what.get("type"), str) and isinstance(what.get("contentType"), str):
        return {"type": "message", "attachments": [dict(what)]}
    return dict(what)


def is_bot(activity: Mapping[str, Any], account: Any) -> bool:
    """Returns whether the account is the bot that the activity was sent to."""
    recipient = activity.get("recipient") or {}
    return isinstance(account, Mapping) and account.get("id") is not None and account.get("id") == recipient.get("id")


def text_without_recipient(activity: Mapping[str, Any]) -> str:
    """Returns the text of a message without mentions of its recipient."""
    text = activity.get("text") or ""
    for entity in activity.get("entities") or []:
        if (
            isinstance(entity, Mapping)
            and entity.get("type") == "mention"
            and is_bot(activity, entity.get("mentioned"))
        ):
            text = text.replace(entity.get("text") or "", "") if entity.get("text") else text
    return text.strip()


def accounts(activity: Mapping[str, Any], member: str) -> List[Dict[str, Any]]:
    """Returns the accounts of a member of the activity that are not the bot."""
    return [account for account in activity.get(member) or [] if not is_bot(activity, account)]
