// What the SDK does for handlers, state, invokes, middleware and mistakes.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  Bot,
  Fault,
  dateTime,
  defineBot,
  deliver,
  dialog,
  heroCard,
  message,
  number,
  replaceWith,
  response,
  stop,
  text,
  waterfall,
} from "turntable-sdk";
import { TestHost } from "turntable-sdk/testing";

const says = (bot, words, options) => new TestHost(defineBot(bot), options).says(words);

test("a handler that returns nothing has handled the activity", async () => {
  const answer = await says({ onMessage: (turn) => void turn.reply(`Echo: ${turn.text}`) }, "hi");
  assert.deepEqual([answer.flow, answer.texts], ["handled", ["Echo: hi"]]);
});

test("an activity without a handler goes on", async () => {
  assert.equal((await says({}, "hi")).flow, "next");
  assert.equal((await says({ onMessage: async () => "next" }, "hi")).flow, "next");
});

test("a stream ends with all that was appended", async () => {
  const onMessage = (turn) => {
    const stream = turn.stream("Looking that up");
    for (const word of ["Par", "", "is."]) stream.append(word);
    assert.throws(() => turn.stream(), { code: "invalid" });
    stream.close();
    assert.throws(() => stream.append("more"), { code: "invalid" });
    turn.stream().close(message("Bye", { suggest: ["again"] }));
  };
  assert.deepEqual((await says({ onMessage }, "hi")).texts, ["Paris.", "Bye"]);
});

test("each turn has a bot of its own", async () => {
  class Counts extends Bot {
    count = 0;
    onMessage(turn) {
      this.count += 1;
      turn.reply(String(this.count));
    }
  }
  const host = new TestHost(Counts);
  assert.deepEqual([(await host.says("a")).texts, (await host.says("b")).texts], [["1"], ["1"]]);
});

test("a text, a card and an activity can be sent", async () => {
  const { messages } = await says(
    {
      onMessage(turn) {
        turn.reply(heroCard("Title", { buttons: ["go"] }));
        turn.send(message("pick", { suggest: ["a"] }));
      },
    },
    "hi",
  );
  assert.deepEqual(messages[0].attachments[0].content.buttons, [{ type: "imBack", title: "go", value: "go" }]);
  assert.equal(messages[1].suggestedActions.actions[0].value, "a");
  assert.equal(messages[1].replyToId, undefined);
});

test("members that join are greeted, but not the bot", async () => {
  const bot = defineBot({ onMembersAdded: (turn, members) => void turn.reply(members.map(({ id }) => id).join()) });
  const membersAdded = [{ id: "bot" }, { id: "ann" }];
  const answer = await new TestHost(bot).takes({ type: "conversationUpdate", membersAdded });
  assert.deepEqual(answer.texts, ["ann"]);
});

test("an invoke gets the response of its handler, or 501", async () => {
  const bot = defineBot({
    onAdaptiveCardAction: (_, action) => (action.verb === "save" ? response.message("Saved") : undefined),
  });
  const press = (value) => new TestHost(bot).takes({ type: "invoke", name: "adaptiveCard/action", value });
  assert.equal((await press({ action: { type: "Action.Execute", verb: "save" } })).response.body.value, "Saved");
  assert.equal((await press({ action: { type: "Action.Execute", verb: "other" } })).response.status, 501);
  assert.equal((await press({})).response.status, 400);
});

test("state lasts from turn to turn, and each user has their own", async () => {
  const bot = defineBot({
    manifest: { wants: { state: ["user"] } },
    onMessage: (turn) => void turn.reply(String(turn.state.user("n").update((n) => n + 1, 0))),
  });
  const host = new TestHost(bot);
  await host.says("a");
  assert.deepEqual((await host.says("b")).texts, ["2"]);
  assert.deepEqual((await host.with({ user: "bob" }).says("c")).texts, ["1"]);
  assert.equal(host.stored("user", "n"), 2);
});

test("state that the manifest does not ask for is denied", async () => {
  const { fault } = await says({ onMessage: (turn) => turn.state.user("n").get() }, "hi");
  assert.equal(fault.code, "denied");
});

test("a handler that throws sends nothing, and its fault names the place", async () => {
  const { fault, texts } = await says(
    {
      onMessage(turn) {
        turn.reply("lost");
        turn.missing();
      },
    },
    "hi",
  );
  assert.deepEqual([fault.code, texts], ["internal", []]);
  assert.match(fault.message, /^TypeError: turn\.missing is not a function \(.*sdk\.test\.mjs:\d+:\d+\)$/);
});

test("a fault keeps its code", async () => {
  const { fault } = await says({ onMessage: () => Promise.reject(Fault.quota("too much")) }, "hi");
  assert.deepEqual([fault.code, fault.message], ["quota", "too much"]);
});

test("mistakes of authors are named", async () => {
  const wrong = await says({ onMessage: () => 5 }, "hi");
  assert.match(wrong.fault.message, /onMessage returned number; return "handled", "next" or nothing/);
  assert.throws(() => new TestHost({ onMesage() {} }), /has a handler `onMesage`, which no activity reaches/);
  assert.throws(() => new TestHost(undefined), /the module has no bot/);
  assert.throws(() => text("?", { minlength: 1 }), /has no option `minlength`/);
  const silent = await says(
    { manifest: {}, dialogs: [waterfall("w", [() => undefined])], onMessage: (turn) => void turn.dialogs.begin("w") },
    "hi",
  );
  assert.match(silent.fault.message, /step 1 of the dialog `w` returned nothing/);
});

test("an operation of a dialog that is not awaited is named", async () => {
  const forgets = dialog("forgets", async (d) => {
    const name = d.ask(text("Name?"));
    d.send(`Hello ${name}`);
  });
  const { fault } = await says({ dialogs: [forgets], onMessage: (turn) => void turn.dialogs.begin("forgets") }, "hi");
  assert.match(fault.message, /awaited two operations at once, or continued while one was pending/);
});

test("a dialog that awaits something else fails", async () => {
  const stuck = dialog("stuck", () => new Promise(() => {}));
  const { fault } = await says({ dialogs: [stuck], onMessage: (turn) => void turn.dialogs.begin("stuck") }, "hi");
  assert.match(fault.message, /awaits something that is not a function of its dialogue/);
});

test("a dialog catches no suspension, runs steps once, and restarts", async () => {
  let runs = 0;
  const loops = dialog("loops", async (d) => {
    const sum = d.state ?? 0;
    await d.step("once", async () => (runs += 1));
    let more = 0;
    try {
      more = await d.ask(number("More?", { name: "more" }));
    } catch {
      d.send("never");
    }
    if (more === 0) return d.send(`Sum ${sum}`);
    return d.restartWith(sum + more);
  });
  const host = new TestHost(defineBot({ dialogs: [loops], onMessage: (turn) => void turn.dialogs.begin("loops") }));
  assert.deepEqual((await host.says("go")).texts, ["More?"]);
  await host.says("2");
  await host.says("3");
  const last = await host.says("0");
  assert.deepEqual([last.texts, last.stack, runs], [["Sum 5"], [], 3]);
});

test("notifications and timers are asked for", async () => {
  const { asked } = await says(
    {
      manifest: { wants: { conversations: true } },
      onMessage(turn) {
        const here = turn.conversations.reference();
        turn.conversations.notify(here, "when-idle", "later");
        turn.conversations.schedule("tea", new Date(0), here, "now", deliver.event("tea", 1));
      },
    },
    "hi",
  );
  assert.deepEqual(
    asked.map(({ name, content }) => [name, Object.keys(content)[0]]),
    [
      [undefined, "activity"],
      ["tea", "event"],
    ],
  );
});

test("middleware passes, replaces and stops", async () => {
  const host = new TestHost(
    defineBot({
      onReceive: (turn) => (turn.text === "no" ? stop() : undefined),
      onSend: (_, activity) => replaceWith({ ...activity, text: "!" }),
    }),
  );
  assert.equal((await host.hook("receive", { type: "message", text: "no" })).kind, "stop");
  assert.equal((await host.hook("receive", { type: "message", text: "yes" })).kind, "pass");
  assert.equal((await host.hook("send", { type: "message", text: "a" })).data.text, "!");
  assert.deepEqual(host.plugin.manifest().intercepts, ["receive", "send"]);
});

test("a date is read in the order that its prompt names", async () => {
  const when = (dateOrder) =>
    dialog("when", async (d) => d.send((await d.ask(dateTime("When?", { types: ["date"], dateOrder }))).value));
  for (const [order, date] of [
    ["day-month", "2027-12-05"],
    ["month-day", "2027-05-12"],
  ]) {
    const bot = defineBot({ dialogs: [when(order)], onMessage: (turn) => void turn.dialogs.begin("when") });
    const host = new TestHost(bot);
    await host.says("go");
    assert.deepEqual((await host.says("5/12/2027")).texts, [date], order);
  }
});
