// The test host: runs a bot in Node, without WebAssembly. `turntable testbed` leads the turns, so routes, dialogs and
// prompts behave
// as in the host.
import { Fake } from "./testing/fake.js";
import { Memory } from "./testing/memory.js";
import { Testbed } from "./testing/testbed.js";
import { toActivity } from "./activity.js";
import { toRecord } from "./fault.js";
import { Plugin } from "./plugin.js";

/** The time of a test: 1 June 2026, noon. */
const NOON = Date.UTC(2026, 5, 1, 12);

export class TestHost {
  #options;
  #memory;
  #testbed;

  /** @param bot the default export of the author's module. */
  constructor(bot, options = {}) {
    this.plugin = new Plugin(bot, { name: "test", version: "0.0.0" });
    this.#options = {
      settings: {},
      user: "user",
      conversation: "conversation",
      channel: "test",
      now: NOON,
      ...options,
    };
    this.#memory = options.memory ?? new Memory();
    this.#testbed = options.testbed ?? new Testbed(options.turntable);
  }

  /** Returns a host for another user, conversation, channel, locale, bot or settings, with the same memory. */
  with({ bot, ...options }) {
    return new TestHost(bot ?? this.plugin.definition, {
      ...this.#options,
      ...options,
      memory: this.#memory,
      testbed: this.#testbed,
    });
  }

  /** Sends a message. */
  says(text, more = {}) {
    return this.takes({ type: "message", text, ...more });
  }

  /** Sends an activity and returns the answer. */
  async takes(activity, { trigger = "activity" } = {}) {
    const { user, conversation, channel, locale } = this.#options;
    const incoming = {
      id: `in-${this.#memory.number()}`,
      channelId: channel,
      from: { id: user },
      recipient: { id: "bot" },
      conversation: { id: conversation },
      ...(locale ? { locale } : {}),
      ...toActivity(activity),
    };
    const turn = new Fake(incoming, this.#memory, this.#options, this.plugin.manifest());
    const begun = {
      activity: incoming,
      manifest: this.plugin.manifest(),
      frames: turn.frames,
      number: this.#memory.number(),
      now: this.#options.now,
      trigger,
    };
    const end = await this.#testbed.lead(begun, (request) => this.#answer(turn, request, trigger));
    return turn.end(end);
  }

  /** Calls a hook of middleware with an event, and returns the step: `pass`, `replace` or `stop`. */
  async hook(kind, data, sender = "") {
    const turn = new Fake(
      { type: "message", conversation: { id: this.#options.conversation } },
      this.#memory,
      this.#options,
      this.plugin.manifest(),
    );
    const step = await this.plugin.onEvent(
      turn.meta("activity"),
      { kind, name: sender, data: JSON.stringify(data) },
      turn.imports,
    );
    return { kind: step.kind, data: JSON.parse(step.data) };
  }

  /** Returns a stored value. */
  stored(scope, key) {
    return this.#memory.stored(scope, this.#owner(scope), key);
  }

  /** Stores a value. */
  store(scope, key, value) {
    this.#memory.store(scope, this.#owner(scope), key, value);
  }

  #owner(scope) {
    return Memory.owner(scope, this.#options.user, this.#options.conversation);
  }

  /** Answers a request of the testbed. */
  async #answer(turn, request, trigger) {
    if (request.send) return turn.reply(request.send);
    if (request.flush) return turn.commit();
    if (request.rollback) return turn.rollBack();
    const start = turn.savepoint();
    try {
      if (request.handle) return await this.#handle(turn, request.handle, trigger);
      return { step: await this.#dialog(turn, request.dialog) };
    } catch (error) {
      turn.restore(start);
      const { retryAfterMs, detail, ...fault } = toRecord(error);
      turn.failed(error);
      return { fault: { ...fault, ...(detail ? { detail } : {}) } };
    }
  }

  async #handle(turn, { trigger, activity, frames }) {
    turn.enter(frames);
    const flow = await this.plugin.onActivity(turn.meta(trigger), JSON.stringify(activity), turn.imports);
    return { flow, changes: turn.leave() };
  }

  #dialog(turn, { event, dialog, data, state, frame, depth }) {
    const meta = turn.meta(`dialog:${dialog}`, [
      ["frame", frame],
      ["depth", String(depth)],
    ]);
    return this.plugin.onDialog(meta, { kind: event, name: dialog, data }, state ?? undefined, turn.imports);
  }
}
