"""The test host answers as the host does: `tests/spec/parity.rs` holds the same conversations with the component."""

import os
import sys
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
sys.path[:0] = [os.path.join(ROOT, "guest-sdk/python"), os.path.join(ROOT, "tests/guests/python/parity")]

from parity_bot import bot  # noqa: E402
from turntable_sdk.testing import TestHost  # noqa: E402


def conversations():
    """Reads conversations.txt; the header of src/conversations.rs beside it explains the format."""
    found = []
    with open(os.path.join(ROOT, "tests/guests/parity/conversations.txt"), encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file if line.strip("\n")]
    about = {}
    for line in lines:
        if line.startswith("== "):
            about = {"channelId": "test", "conversation": {"id": line[3:]}}
            found.append((line[3:], []))
            continue
        head, _, rest = line.partition(" ")
        items = found[-1][1]
        if head == "-":
            about = set_up(about, rest, items)
        elif head == "<":
            items[-1][2].append(rest)
        else:
            items.append(("turn", sent(about, head, rest), []))
    return found


def set_up(about, line, items):
    name, _, value = line.partition(" ")
    match name:
        case "release":
            items.append(("release", int(value), []))
        case "locale":
            return {**about, "locale": value}
        case "channel":
            return {**about, "channelId": value}
        case "group":
            return {**about, "conversation": {**about["conversation"], "isGroup": True}}
    return about


def sent(about, user, said):
    name, mark = user[:-1], user[-1]
    base = {**about, "from": {"id": name}, "recipient": {"id": "bot"}, "localTimestamp": "2026-06-01T12:00:00"}
    match mark:
        case ">":
            return {**base, "type": "message", "text": said}
        case "+":
            return {
                **base,
                "type": "message",
                "attachments": [{"contentType": said, "contentUrl": "https://example.org/file"}],
            }
    return {**base, "type": "event", "name": said}


def written(activity, answer):
    speaker = activity["from"]["id"]
    texts = []
    for message in answer.messages:
        to = (message.get("recipient") or {}).get("id", speaker)
        texts.append(f"@{to} {message.get('text', '')}" if to != speaker else message.get("text", ""))
    return ["FAILED", *texts] if answer.fault and activity["type"] == "message" else texts


class Parity(unittest.TestCase):
    def test_the_test_host_answers_as_the_host_does(self):
        for title, items in conversations():
            host = TestHost(bot(1), conversation=title)
            for kind, what, answers in items:
                if kind == "release":
                    host = host.with_(bot=bot(what))
                    continue
                answer = host.takes(what)
                with self.subTest(title=title, said=what.get("text"), fault=answer.fault):
                    self.assertEqual(written(what, answer), answers)


if __name__ == "__main__":
    unittest.main()
