"""Write the logic of a bot in Python, as a plugin of Turntable."""

from .activity import Activity, action, adaptive_card, event, file, hero_card, mention, message
from .bot import Bot, replace_with, sender, stop
from .dialog import Dialog, Event, Migration, Outcome, Step, accept, reject
from .fault import Fault
from .invoke import Response
from .manifest import Manifest, Route
from .prompt import Prompt, attachment, choice, confirm, date_time, number, text
from .straight import Dialogue, Once, straight_line
from .turn import Delivery, Frame, Meta, Turn
from .waterfall import WaterfallStep, always, waterfall

__all__ = [
    "Activity",
    "Bot",
    "Delivery",
    "Dialog",
    "Dialogue",
    "Event",
    "Fault",
    "Frame",
    "Manifest",
    "Meta",
    "Migration",
    "Once",
    "Outcome",
    "Prompt",
    "Response",
    "Route",
    "Step",
    "Turn",
    "WaterfallStep",
    "accept",
    "action",
    "adaptive_card",
    "always",
    "attachment",
    "choice",
    "confirm",
    "date_time",
    "event",
    "file",
    "hero_card",
    "mention",
    "message",
    "number",
    "reject",
    "replace_with",
    "sender",
    "stop",
    "straight_line",
    "text",
    "waterfall",
]
