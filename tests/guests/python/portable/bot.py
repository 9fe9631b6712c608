"""The portable handler with the SDK. tests/guests/README.md specifies it for all guest languages."""

from turntable_sdk import (
    Bot,
    Delivery,
    Fault,
    Manifest,
    Route,
    accept,
    adaptive_card,
    always,
    message,
    number,
    reject,
    replace_with,
    stop,
    waterfall,
)


def asked(step):
    return step.prompt(
        number("How old are you?", retry="A number, please.", integer=True, attempts=3, validator="adult")
    )


def ended(step):
    if not step.outcome.is_completed:
        step.reply("Never mind.")
        return step.cancel()
    step.reply(f"You are {step.result}.")
    return step.done(step.result)


def adult(check, turn):
    return accept() if check.value >= 18 else reject(f"At least 18, please ({check.attempt}).")


AGE = waterfall(
    "age",
    [asked, always(ended)],
    validators={"adult": adult},
    on_cancelled=lambda turn, reason: turn.reply(f"cancelled: {reason}"),
)


class Portable(Bot):
    manifest = Manifest(
        name="portable",
        activities=["message", "event"],
        routes=[Route("stop", "stop", after="none")],
        state=["conversation", "user"],
        conversations=True,
    )
    dialogs = [AGE]

    def on_event(self, turn):
        if turn.meta.trigger != "notify":
            return "next"
        turn.send(f"{turn.meta.trigger} {turn.value}")

    def on_route(self, turn, name):
        waiting = "".join(f" {frame.dialog}:{frame.waits_for}" for frame in turn.dialogs.frames())
        turn.reply(f"stopped {turn.dialogs.cancel_all()}{waiting}")

    def on_message(self, turn):
        meta, text = turn.meta, turn.text
        if text.startswith("note "):
            turn.state.user("note").overwrite(text[len("note ") :])
            turn.reply("noted")
            return None
        match text:
            case "card":
                block = {"type": "TextBlock", "text": turn.config("greeting")}
                card = adaptive_card({"type": "AdaptiveCard", "version": "1.4", "body": [block]})
                turn.reply(message("A card", attachments=[card]))
            case "fault":
                raise Fault.invalid("asked to fail")
            case "meta":
                locale = meta.locale or "none"
                turn.reply(f"{meta.kind} {meta.trigger} {meta.channel_id} {locale} {meta.conversation_id}")
            case "config":
                keys = ",".join(turn.config_keys())
                turn.reply(f"greeting={turn.config('greeting')} missing={turn.config('missing', 'none')} keys={keys}")
            case "log":
                turn.log.info("portable log", text=text)
                turn.reply("logged")
            case "next":
                return "next"
            case "twice":
                ids = [turn.reply("one"), turn.send("two")]
                turn.reply(",".join(id[:3] for id in ids))
            case "recall":
                turn.reply(f"note {turn.state.user('note').get('none')}")
            case "forget":
                turn.state.user("note").remove()
                turn.reply("forgotten")
            case "count":
                turn.reply(str(turn.state.conversation("count").update(lambda count: count + 1, 0)))
            case "later":
                here = turn.conversations.reference()
                turn.conversations.notify(here, "when-idle", Delivery.event("later", "now"))
                id = turn.conversations.schedule(
                    "far", "2999-01-01T00:00:00Z", here, "interrupt", Delivery.dialog("age")
                )
                turn.reply(f"cancelled {str(turn.conversations.cancel(id)).lower()}")
            case "ask":
                turn.dialogs.begin("age")
            case _:
                sender = turn.activity["from"]
                turn.reply(f"{turn.config('greeting')}, {sender.get('name') or sender['id']}: {text}")

    def on_receive(self, turn):
        if turn.text == "secret":
            return stop()
        return replace_with({**turn.activity, "text": "swapped"}) if turn.text == "swap" else None

    def on_send(self, turn, activity):
        text = activity.get("text") or ""
        if "hush" in text:
            return stop()
        return replace_with({**activity, "text": f"{text.upper()}!"}) if "loud" in text else None
