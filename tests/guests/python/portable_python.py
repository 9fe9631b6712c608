"""The handler that every language must pass identically; tests/guests/rust and tests/guests/js hold the others."""

import json

from componentize_py_types import Err
from wit_world.exports import BotHandler as Contract
from wit_world.imports import config, log, turn
from wit_world.imports.types import Fault, Flow


def setting(name):
    text = config.get(name)
    return None if text is None else json.loads(text)


def message(text, **more):
    return json.dumps({"type": "message", "text": text, **more})


def card():
    block = {"type": "TextBlock", "text": setting("greeting")}
    content = {"type": "AdaptiveCard", "version": "1.4", "body": [block]}
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": content}
    return message("A card", attachments=[attachment])


class BotHandler(Contract):
    def describe(self):
        return json.dumps({"name": "portable", "version": "0.1.0", "activities": ["message"]})

    def on_activity(self, meta, activity):
        activity = json.loads(activity)
        if activity["type"] != "message":
            return Flow.NEXT
        text = activity.get("text", "")
        match text:
            case "card":
                turn.reply(card())
            case "fault":
                raise Err(Fault("invalid", "asked to fail", None, None))
            case "meta":
                locale = meta.locale or "none"
                turn.reply(message(f"{meta.kind} {meta.trigger} {meta.channel_id} {locale} {meta.conversation_id}"))
            case "config":
                missing = setting("missing") or "none"
                keys = ",".join(config.keys())
                turn.reply(message(f"greeting={setting('greeting')} missing={missing} keys={keys}"))
            case "log":
                log.write("info", "portable log", [("text", text)])
                turn.reply(message("logged"))
            case "next":
                return Flow.NEXT
            case "twice":
                ids = [turn.reply(message("one")), turn.send(message("two"))]
                turn.reply(message(",".join(id[:3] for id in ids)))
            case _:
                sender = activity["from"]
                turn.reply(message(f"{setting('greeting')}, {sender.get('name') or sender['id']}: {text}"))
        return Flow.HANDLED
