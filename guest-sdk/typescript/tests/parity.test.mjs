// The test host answers as the host does: `tests/spec/parity.rs` holds the same conversations with the component.
import assert from "node:assert/strict";
import { test } from "node:test";
import { TestHost } from "turntable-sdk/testing";
import { conversations, written } from "./conversations.mjs";
import { guest } from "./guest.mjs";

const { bot } = await guest("parity/bot.ts");

for (const { title, items } of conversations()) {
  test(title, async () => {
    let host = new TestHost(bot(1), { conversation: title });
    for (const { release, activity, answers } of items) {
      if (release) {
        host = host.with({ bot: bot(release) });
        continue;
      }
      const answer = await host.takes(activity);
      assert.deepEqual(written(activity, answer), answers, JSON.stringify([activity, answer.fault]));
    }
  });
}
