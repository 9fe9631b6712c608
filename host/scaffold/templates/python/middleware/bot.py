"""Middleware: removes «please» from what users say, and ends every answer with an exclamation mark."""

from turntable_sdk import Activity, Bot, Turn, replace_with


class Polite(Bot):
    def on_message(self, turn: Turn):
        turn.reply(f"You said: {turn.text}")

    def on_receive(self, turn: Turn):
        if turn.text.startswith("please "):
            return replace_with({**turn.activity, "text": turn.text.removeprefix("please ")})

    def on_send(self, turn: Turn, activity: Activity):
        if activity.get("text") is not None:
            return replace_with({**activity, "text": f"{activity['text']}!"})
