"""A bot of the unmodified packages botbuilder-core and botbuilder-integration-aiohttp, for the specs of bridges.

usage: python old_bot.py PORT

It prints `listening` when it serves POST /api/messages. Messages: `two` sends two replies, `edit` updates its reply, everything
else is echoed. GET /proactive?text=... continues the last conversation from its stored reference.
"""

import sys

from aiohttp import web
from botbuilder.core import ActivityHandler, TurnContext
from botbuilder.integration.aiohttp import CloudAdapter, ConfigurationBotFrameworkAuthentication


class Settings:
    APP_ID = ""
    APP_PASSWORD = ""
    APP_TYPE = "MultiTenant"
    APP_TENANTID = ""


class Bot(ActivityHandler):
    reference = None

    async def on_message_activity(self, turn_context: TurnContext):
        Bot.reference = TurnContext.get_conversation_reference(turn_context.activity)
        text = turn_context.activity.text or ""
        if text == "two":
            await turn_context.send_activity("Old: one")
            await turn_context.send_activity("Old: two")
        elif text == "edit":
            sent = await turn_context.send_activity("Old: draft")
            activity = TurnContext.apply_conversation_reference(
                turn_context.activity.create_reply("Old: final"), Bot.reference
            )
            activity.id = sent.id
            await turn_context.update_activity(activity)
        else:
            await turn_context.send_activity(f"Old: {text}")

    async def on_members_added_activity(self, members_added, turn_context: TurnContext):
        await turn_context.send_activity("Old: welcome")


ADAPTER = CloudAdapter(ConfigurationBotFrameworkAuthentication(Settings()))
BOT = Bot()


async def messages(request: web.Request) -> web.Response:
    return await ADAPTER.process(request, BOT)


async def proactive(request: web.Request) -> web.Response:
    async def say(turn_context: TurnContext):
        await turn_context.send_activity(request.query["text"])

    await ADAPTER.continue_conversation(Bot.reference, say, "")
    return web.Response()


async def started(_app):
    print("listening", flush=True)


APP = web.Application()
APP.router.add_post("/api/messages", messages)
APP.router.add_get("/proactive", proactive)
APP.on_startup.append(started)

if __name__ == "__main__":
    web.run_app(APP, host="127.0.0.1", port=int(sys.argv[1]), print=None)
