"""Uses the whole contract including drafts, which proves that its types are portable to Python."""

import json

from wit_world import exports
from wit_world.imports import calls, config, conversations, dialogs, log, state, text_stream, turn, users
from wit_world.imports.types import Flow, Step


def echo(event, kept):
    return Step(event.kind, kept, event.data)


class BotHandler(exports.BotHandler):
    def describe(self):
        roles = ["handler", "dialogs", "middleware", "calls"]
        return json.dumps({"name": "surface", "version": "0.1.0", "roles": roles})

    def on_activity(self, meta, activity):
        log.write("info", ",".join(config.keys()), [("locale", meta.locale or "")])
        id = turn.send(activity)
        turn.update(id, activity)
        turn.delete(turn.reply(activity))
        turn.flush()
        turn.respond(200, config.get("body"))
        entry = state.get("user", "key")
        etag = state.set("user", "key", "1", entry.etag if entry else None)
        state.remove("user", "key", etag)
        reference = conversations.reference()
        notified = conversations.notify(reference, "now", "{}")
        conversations.schedule("reminder", "2027-01-01T00:00:00Z", reference, "when-idle", "{}")
        conversations.cancel(notified)
        dialogs.begin("book", "{}")
        dialogs.replace("book", "{}")
        dialogs.reprompt()
        log.write("debug", str(sum(frame.waits_for == "message" for frame in dialogs.stack())), [])
        dialogs.cancel_all()
        calls.act("call", "play", "{}")
        stream = text_stream.open("Looking that up")
        text_stream.append(stream, "text")
        text_stream.close(stream, activity)
        if users.get("graph", None) is None:
            users.sign_in("graph")
        users.exchange("graph")
        users.sign_out("graph")
        return Flow.HANDLED


class DialogHandler(exports.DialogHandler):
    def on_dialog(self, meta, event, state):
        return echo(event, state)


class Middleware(exports.Middleware):
    def on_event(self, meta, event):
        return echo(event, None)


class CallHandler(exports.CallHandler):
    def on_call(self, meta, event, state):
        return echo(event, state)
