"""The portable handler in Python. tests/guests/README.md specifies it for all guest languages."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import config, conversations, dialogs, log, state, turn
from wit_world.imports.types import Fault, Flow, Step


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


def say(text):
    turn.reply(message(text))


def count():
    entry = state.get("conversation", "count")
    total = (json.loads(entry.value) if entry else 0) + 1
    state.set("conversation", "count", json.dumps(total), entry.etag if entry else "")
    say(str(total))


def stop():
    waiting = "".join(f" {frame.dialog}:{frame.waits_for}" for frame in dialogs.stack())
    say(f"stopped {dialogs.cancel_all()}{waiting}")


def later():
    here = conversations.reference()
    conversations.notify(here, "when-idle", json.dumps({"event": {"name": "later", "value": "now"}}))
    age = json.dumps({"dialog": "age", "options": None})
    timer = conversations.schedule("far", "2999-01-01T00:00:00Z", here, "interrupt", age)
    say(f"cancelled {str(conversations.cancel(timer)).lower()}")


def step(kind, data=None):
    return Step(kind, None, json.dumps(data))


def ended(end):
    if end["reason"] != "completed":
        say("Never mind.")
        return step("cancelled")
    say(f"You are {end['result']}.")
    return step("done", end["result"])


AGE = {
    "kind": "number",
    "prompt": "How old are you?",
    "retry": "A number, please.",
    "integer": True,
    "attempts": 3,
    "validator": "adult",
}


class DialogHandler(exports.DialogHandler):
    def on_dialog(self, meta, event, state):
        data = json.loads(event.data)
        match event.kind:
            case "begin":
                return step("prompt", AGE)
            case "resume":
                return ended(data)
            case "validate":
                if data["value"] >= 18:
                    return step("accept")
                return step("reject", {"retry": f"At least 18, please ({data['attempt']})."})
            case "cancelled":
                say(f"cancelled: {data['reason']}")
        return step("ignored")


class Middleware(exports.Middleware):
    def on_event(self, meta, event):
        activity = json.loads(event.data)
        text = activity.get("text") or ""
        match event.kind:
            case "receive" if text == "secret":
                return step("stop")
            case "receive" if text == "swap":
                return step("replace", {**activity, "text": "swapped"})
            case "send" if "hush" in text:
                return step("stop")
            case "send" if "loud" in text:
                return step("replace", {**activity, "text": text.upper() + "!"})
        return step("pass")


class BotHandler(exports.BotHandler):
    def describe(self):
        return json.dumps(
            {
                "name": "portable",
                "version": "0.1.0",
                "roles": ["handler", "dialogs", "middleware"],
                "intercepts": ["receive", "send"],
                "activities": ["message", "event"],
                "routes": [{"name": "stop", "pattern": "stop", "after": "none"}],
                "dialogs": [{"id": "age", "state-version": 0}],
                "wants": {"state": ["conversation", "user"], "conversations": True, "dialogs": True, "middleware": True},
            }
        )

    def on_activity(self, meta, activity):
        activity = json.loads(activity)
        if activity["type"] == "event" and meta.trigger == "notify":
            turn.send(message(f"{meta.trigger} {activity['value']}"))
            return Flow.HANDLED
        if activity["type"] != "message":
            return Flow.NEXT
        text = activity.get("text", "")
        if meta.trigger == "route:stop":
            stop()
            return Flow.HANDLED
        if text.startswith("note "):
            state.set("user", "note", json.dumps(text[5:]), None)
            say("noted")
            return Flow.HANDLED
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
            case "recall":
                entry = state.get("user", "note")
                say(f"note {json.loads(entry.value) if entry else 'none'}")
            case "forget":
                state.remove("user", "note", None)
                say("forgotten")
            case "count":
                count()
            case "later":
                later()
            case "ask":
                dialogs.begin("age", "null")
            case _:
                sender = activity["from"]
                turn.reply(message(f"{setting('greeting')}, {sender.get('name') or sender['id']}: {text}"))
        return Flow.HANDLED
