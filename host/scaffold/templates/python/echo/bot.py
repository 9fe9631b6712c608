"""Repeats what the user says."""

from turntable_sdk import Bot, Turn


class Echo(Bot):
    def on_message(self, turn: Turn):
        turn.reply(f"Echo: {turn.text}")
