// The functions that a straight-line dialog can call. Each one first looks for its result in the journal.
import { toActivity } from "../activity.js";
import { Fault } from "../fault.js";
import { Prompt } from "../prompt.js";
import { Turn } from "../turn.js";
import { hash, hashNumber, mixed } from "./hash.js";
import { steps } from "./step.js";

/** Never settles: the function of a suspended dialog waits here until it is dropped. */
const forever = () => new Promise(() => {});

/** Thrown by operations of a suspended dialog. It has no effect, because the runner looks at the core instead. */
const inert = () => new Fault("internal", "the dialog is suspended; await the operation before this one");

/** State that the runner and the author's function share. */
export class Core {
  constructor(turn, journal, awaited = undefined) {
    this.turn = turn;
    this.journal = journal;
    /** The position in the journal of the next operation. */
    this.at = 0;
    this.suspended = undefined;
    /** The position at which the function did something else than the journal recorded. */
    this.edited = undefined;
    /** The stack of an operation that ran while another one was pending. */
    this.torn = undefined;
    /** Number of closures of `step` that have not settled. */
    this.running = 0;
    /** In a rehearsal: the operation that the function must await after the last entry. */
    this.awaited = awaited;
    this.wake = () => {};
  }

  /** Returns the entry of an operation, `"new"` if it has none, or `"inert"` if the dialog is suspended. */
  recall(kind, key) {
    if (this.edited !== undefined || this.suspended || this.running > 0) {
      if (this.suspended || this.running > 0) this.torn ??= new Error().stack ?? "";
      return "inert";
    }
    const entry = this.journal.entries[this.at];
    if (!entry) return this.beyond(kind, key);
    if (entry.kind === kind && entry.key === key) {
      this.at += 1;
      return entry;
    }
    this.foundEdited(this.at);
    return "inert";
  }

  /** Handles an operation after the last entry: it runs, or in a rehearsal ends the function. */
  beyond(kind, key) {
    if (!this.awaited) return "new";
    if (this.awaited.kind === kind && this.awaited.key === key) this.suspend({ arrives: true });
    else this.foundEdited(this.at);
    return "inert";
  }

  foundEdited(at) {
    this.edited = at;
    this.wake();
  }

  suspend(why) {
    if (this.edited !== undefined) return;
    if (this.suspended) this.torn ??= new Error().stack ?? "";
    else this.suspended = why;
    this.wake();
  }

  /** A key of frame, run and position. */
  unique() {
    return `${this.turn.extra("frame") ?? ""}-${this.journal.restarts}-${this.at}`;
  }
}

/** The argument of the closure of `step`: the turn, and an idempotency key. */
class Once extends Turn {
  constructor(turn, key) {
    super(turn.meta, turn.activity, turn.host);
    this.idempotencyKey = key;
  }
}

/** The handle of a straight-line dialog to its conversation. */
export class Dialogue {
  #core;

  constructor(core) {
    this.#core = core;
  }

  get options() {
    return this.#core.journal.options;
  }

  get state() {
    return this.#core.journal.state;
  }

  async ask(prompt) {
    const answer = await this.tryAsk(prompt);
    return answer === undefined ? this.cancel() : answer;
  }

  async tryAsk(prompt) {
    if (!(prompt instanceof Prompt)) throw new TypeError("d.ask needs a prompt, such as text(…) or number(…)");
    return this.#result("ask", prompt.key(), steps.prompt(prompt));
  }

  async call(dialog, options = null) {
    const result = await this.tryCall(dialog, options);
    return result === undefined ? this.cancel() : result;
  }

  async tryCall(dialog, options = null) {
    return this.#result("call", dialog, steps.call(dialog, options));
  }

  async hear(question) {
    const asked = toActivity(question);
    const core = this.#core;
    const isFresh =
      core.edited === undefined && !core.suspended && !core.awaited && core.at >= core.journal.entries.length;
    if (isFresh) core.turn.reply(asked);
    const heard = await this.#result("hear", hash(JSON.stringify(asked)), steps.wait(), asked);
    return heard === undefined ? this.cancel() : heard;
  }

  async flush() {
    await this.#result("flush", "", steps.flush());
  }

  send(what) {
    const activity = toActivity(what);
    return this.#once("send", hash(JSON.stringify(activity)), (turn) => turn.reply(activity));
  }

  async step(name, run) {
    const core = this.#core;
    const entry = core.recall("step", name);
    if (entry === "inert") return forever();
    if (entry !== "new") return entry.result;
    const result = run(new Once(core.turn, core.unique()));
    if (typeof result?.then !== "function") return this.#record("step", name, result);
    core.running += 1;
    try {
      const settled = await result;
      core.running -= 1;
      return this.#record("step", name, settled);
    } catch (error) {
      core.running -= 1;
      throw error;
    }
  }

  now() {
    return new Date(this.#once("now", "", () => Date.now()));
  }

  random() {
    // The seed is the key of the entry: frame, number of restarts and position.
    return this.#once("random", "", (_, seed) => Number(mixed(hashNumber(seed)) >> 32n));
  }

  restartWith(state) {
    return this.#suspend({ restarts: state ?? null });
  }

  replace(dialog, options = null) {
    return this.#suspend({ ends: steps.replace(dialog, options) });
  }

  cancel() {
    return this.#suspend({ ends: steps.cancelled() });
  }

  async #result(kind, key, step, asked = undefined) {
    const entry = this.#core.recall(kind, key);
    if (entry === "inert") return forever();
    if (entry === "new") return this.#suspend({ waits: { kind, key, ...(asked ? { asked } : {}) }, step });
    return entry.ended ? undefined : entry.result;
  }

  /** Suspends the function by never settling, because the author's code could catch an error. */
  #suspend(why) {
    this.#core.suspend(why);
    return forever();
  }

  /** Runs an operation once and records its result. A replay returns the recorded result. */
  #once(kind, key, run) {
    const core = this.#core;
    const entry = core.recall(kind, key);
    if (entry === "inert") throw inert();
    if (entry !== "new") return entry.result;
    return this.#record(kind, key, run(core.turn, core.unique()));
  }

  #record(kind, key, result) {
    // Through JSON, so that the first run sees the same value as a replay.
    const json = JSON.stringify(result);
    const recorded = json === undefined ? null : JSON.parse(json);
    this.#core.journal.record(kind, key, recorded);
    this.#core.at += 1;
    return recorded;
  }
}
