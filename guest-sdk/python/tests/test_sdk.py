"""What the SDK does for handlers, state, invokes, middleware and mistakes."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from turntable_sdk import (  # noqa: E402
    Bot,
    Delivery,
    Fault,
    Manifest,
    Response,
    date_time,
    hero_card,
    message,
    number,
    replace_with,
    stop,
    straight_line,
    text,
    waterfall,
)
from turntable_sdk.testing import TestHost  # noqa: E402


def bot(**members):
    return type("Tested", (Bot,), members)


def says(words, **members):
    return TestHost(bot(**members)).says(words)


class Handlers(unittest.TestCase):
    def test_a_handler_that_returns_nothing_has_handled_the_activity(self):
        answer = says("hi", on_message=lambda self, turn: turn.reply(f"Echo: {turn.text}") and None)
        self.assertEqual((answer.flow, answer.texts), ("handled", ["Echo: hi"]))

    def test_a_stream_ends_with_all_that_was_appended(self):
        def on_message(test, turn):
            stream = turn.stream("Looking that up")
            for word in ("Par", "", "is."):
                stream.append(word)
            with self.assertRaises(Fault):
                turn.stream()
            stream.close()
            with self.assertRaises(Fault):
                stream.append("more")
            turn.stream().close(message("Bye", suggest=["again"]))

        self.assertEqual(says("hi", on_message=on_message).texts, ["Paris.", "Bye"])

    def test_an_activity_without_a_handler_goes_on(self):
        self.assertEqual(says("hi").flow, "next")

    def test_a_card_and_an_activity_can_be_sent(self):
        def on_message(self, turn):
            turn.reply(hero_card("Title", buttons=["go"]))
            turn.send(message("pick", suggest=["a"]))

        first, second = says("hi", on_message=on_message).messages
        self.assertEqual(
            first["attachments"][0]["content"]["buttons"], [{"type": "imBack", "title": "go", "value": "go"}]
        )
        self.assertEqual(second["suggestedActions"]["actions"][0]["value"], "a")
        self.assertNotIn("replyToId", second)

    def test_members_that_join_are_greeted_but_not_the_bot(self):
        def on_members_added(self, turn, members):
            turn.reply(",".join(member["id"] for member in members))

        host = TestHost(bot(on_members_added=on_members_added))
        answer = host.takes({"type": "conversationUpdate", "membersAdded": [{"id": "bot"}, {"id": "ann"}]})
        self.assertEqual(answer.texts, ["ann"])

    def test_an_invoke_gets_the_response_of_its_handler_or_501(self):
        def on_adaptive_card_action(self, turn, action):
            return Response.message("Saved") if action.get("verb") == "save" else None

        host = TestHost(bot(on_adaptive_card_action=on_adaptive_card_action))

        def press(value):
            return host.takes({"type": "invoke", "name": "adaptiveCard/action", "value": value}).response

        self.assertEqual(press({"action": {"type": "Action.Execute", "verb": "save"}})["body"]["value"], "Saved")
        self.assertEqual(press({"action": {"type": "Action.Execute", "verb": "other"}})["status"], 501)
        self.assertEqual(press({})["status"], 400)

    def test_state_lasts_and_each_user_has_their_own(self):
        def on_message(self, turn):
            turn.reply(str(turn.state.user("n").update(lambda n: n + 1, 0)))

        host = TestHost(bot(manifest=Manifest(state=["user"]), on_message=on_message))
        host.says("a")
        self.assertEqual(host.says("b").texts, ["2"])
        self.assertEqual(host.with_(user="bob").says("c").texts, ["1"])
        self.assertEqual(host.stored("user", "n"), 2)

    def test_state_that_the_manifest_does_not_ask_for_is_denied(self):
        self.assertEqual(says("hi", on_message=lambda self, turn: turn.state.user("n").get()).fault["code"], "denied")

    def test_notifications_and_timers_are_asked_for(self):
        def on_message(self, turn):
            here = turn.conversations.reference()
            turn.conversations.notify(here, "when-idle", "later")
            turn.conversations.schedule("tea", "2030-01-01T00:00:00Z", here, "now", Delivery.event("tea", 1))

        asked = says("hi", manifest=Manifest(conversations=True), on_message=on_message).asked
        self.assertEqual([(it.name, list(it.content)) for it in asked], [(None, ["activity"]), ("tea", ["event"])])

    def test_middleware_passes_replaces_and_stops(self):
        host = TestHost(
            bot(
                on_receive=lambda self, turn: stop() if turn.text == "no" else None,
                on_send=lambda self, turn, activity: replace_with({**activity, "text": "!"}),
            )
        )
        self.assertEqual(host.hook("receive", {"type": "message", "text": "no"})[0], "stop")
        self.assertEqual(host.hook("receive", {"type": "message", "text": "yes"})[0], "pass")
        self.assertEqual(host.hook("send", {"type": "message", "text": "a"})[1]["text"], "!")
        self.assertEqual(host.plugin.manifest()["intercepts"], ["receive", "send"])


class Mistakes(unittest.TestCase):
    def test_a_handler_that_raises_sends_nothing_and_its_fault_names_the_place(self):
        def on_message(self, turn):
            turn.reply("lost")
            turn.missing()

        answer = says("hi", on_message=on_message)
        self.assertEqual(answer.texts, [])
        self.assertRegex(answer.fault["message"], r"^AttributeError: .*'missing' \(.*test_sdk\.py:\d+\)$")
        self.assertIn("turn.missing()", answer.fault["detail"])

    def test_a_fault_keeps_its_code(self):
        def on_message(self, turn):
            raise Fault.quota("too much")

        fault = says("hi", on_message=on_message).fault
        self.assertEqual((fault["code"], fault["message"]), ("quota", "too much"))

    def test_a_wrong_result_and_an_unknown_handler_are_named(self):
        self.assertIn("on_message returned int", says("hi", on_message=lambda self, turn: 5).fault["message"])
        with self.assertRaisesRegex(TypeError, "has a handler `on_mesage`, which no activity reaches"):
            TestHost(bot(on_mesage=lambda self, turn: None))

        async def on_message(self, turn):
            turn.reply("never")

        self.assertIn("on_message is an async function", says("hi", on_message=on_message).fault["message"])

    def test_a_step_that_returns_nothing_is_named(self):
        begins = {
            "dialogs": [waterfall("w", [lambda step: None])],
            "on_message": lambda self, turn: turn.dialogs.begin("w") and None,
        }
        self.assertIn("step 1 of the dialog `w` returned nothing", says("hi", **begins).fault["message"])

    def test_an_operation_that_is_not_awaited_is_named_with_its_place(self):
        @straight_line("forgets")
        async def forgets(d):
            name = d.ask(text("Name?"))
            d.send(f"Hello {name}")

        fault = says(
            "hi", dialogs=[forgets], on_message=lambda self, turn: turn.dialogs.begin("forgets") and None
        ).fault
        self.assertRegex(
            fault["message"], r"^`d\.ask` was not awaited; write `await d\.ask\(…\)` \(.*test_sdk\.py:\d+\)$"
        )


class Replay(unittest.TestCase):
    def test_a_dialog_catches_no_suspension_runs_steps_once_and_restarts(self):
        runs = []

        @straight_line("loops")
        async def loops(d):
            total = d.state or 0
            d.step("once", lambda once: runs.append(1))
            more = 0
            try:
                more = await d.ask(number("More?", name="more", integer=True))
            except Exception:
                d.send("never")
            finally:
                if more:
                    d.step("finally", lambda once: None)
            if more == 0:
                return d.send(f"Sum {total}")
            return await d.restart_with(total + more)

        host = TestHost(bot(dialogs=[loops], on_message=lambda self, turn: turn.dialogs.begin("loops") and None))
        self.assertEqual(host.says("go").texts, ["More?"])
        host.says("2")
        host.says("3")
        last = host.says("0")
        self.assertEqual((last.texts, last.stack, len(runs)), (["Sum 5"], [], 3))

    def test_a_date_is_read_in_the_order_that_its_prompt_names(self):
        for order, date in (("day-month", "2027-12-05"), ("month-day", "2027-05-12")):

            @straight_line("when")
            async def when(d, order=order):
                d.send((await d.ask(date_time("When?", types=["date"], date_order=order)))["value"])

            host = TestHost(bot(dialogs=[when], on_message=lambda self, turn: turn.dialogs.begin("when") and None))
            host.says("go")
            self.assertEqual(host.says("5/12/2027").texts, [date], order)


if __name__ == "__main__":
    unittest.main()
