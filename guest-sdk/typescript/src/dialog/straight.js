// Straight-line dialogs: one async function that is replayed from a journal.
import { Fault } from "../fault.js";
import { platform } from "../platform.js";
import { Core, Dialogue } from "./dialogue.js";
import { Hooks, fromVersion, kept, unfit } from "./hooks.js";
import { Journal } from "./journal.js";
import { outcomeOf, steps } from "./step.js";

const RESTARTS_MAX = 100;
const TWICE = "awaited two operations at once, or continued while one was pending; await one after another";

/** Creates a dialog that is one async function, written as if the user answered at once. */
export const dialog = (id, run, options) => new StraightLine(id, run, options);

class StraightLine {
  constructor(id, run, options) {
    this.id = id;
    this.function = run;
    this.hooks = new Hooks(id, options);
    this.version = this.hooks.version;
  }

  async onEvent(turn, event, stored) {
    const state = kept(stored, event, Journal.fits, () => ({}));
    if (!state) return unfit();
    const journal = new Journal(state);
    switch (event.kind) {
      case "begin":
        return this.play(turn, new Journal({ options: event.data }));
      case "continue":
      case "resume":
        journal.answered(outcomeOf(event));
        return this.play(turn, journal);
      case "reprompt":
        if (journal.waits?.asked) turn.reply(journal.waits.asked);
        return steps.wait();
      case "validate":
        return this.hooks.validate(turn, event);
      case "cancelled":
        return this.hooks.cancelled(turn, event);
      case "migrate":
        return this.migrated(event, journal);
      case "rehearse":
        return this.rehearsed(turn, journal);
      default:
        return steps.ignored();
    }
  }

  async play(turn, first) {
    let journal = first;
    for (let restarts = 0; restarts <= RESTARTS_MAX; restarts += 1) {
      const then = await this.once(turn, journal);
      if (!(then instanceof Journal)) return then;
      journal = then;
    }
    throw new Fault("quota", `the dialog \`${this.id}\` restarted ${RESTARTS_MAX} times without waiting for anything`);
  }

  /** Runs the function until it waits, restarts or ends. Returns a step, or the journal of a restart. */
  async once(turn, journal) {
    const core = new Core(turn, journal);
    const ended = await this.run(core);
    if (core.torn !== undefined) throw this.misused(TWICE, core.torn);
    const unread = ended && core.at < journal.entries.length;
    const edited = core.edited ?? (unread ? core.at : undefined);
    if (edited !== undefined) {
      turn.log.warn("the dialog was edited: it differs from its journal", { dialog: this.id, ordinal: edited });
      return (await this.carriedOver(journal)) ?? unfit();
    }
    const suspended = core.suspended;
    if (ended) {
      if (suspended) throw this.misused("returned while an operation was pending; await it first");
      if ("error" in ended) throw ended.error;
      return steps.done(ended.result ?? null);
    }
    if (!suspended) throw this.misused("awaits something that is not a function of its dialogue");
    if (suspended.ends) return suspended.ends;
    if ("restarts" in suspended) return journal.restarted(suspended.restarts);
    journal.waits = suspended.waits;
    return suspended.step.withState(journal.toState());
  }

  /**
   * Runs the function until it is quiet. Returns its end, `{ result }` or `{ error }`, or undefined while it is
   * pending.
   */
  async run(core) {
    let ended;
    const woken = new Promise((resolve) => {
      core.wake = resolve;
    });
    const end = (how) => {
      ended = how;
      core.wake();
    };
    // A promise of its own, so that a function that throws before its first await is treated like one that rejects.
    new Promise((resolve) => resolve(this.function(new Dialogue(core)))).then(
      (result) => end({ result }),
      (error) => end({ error }),
    );
    await platform.settled(woken, () => core.running > 0);
    return ended;
  }

  /** Migrates the journal of an edited function. Returns undefined if the hook cannot migrate it. */
  async carriedOver(journal) {
    const state = await this.hooks.migrated(this.hooks.version, journal.summary());
    return state === undefined ? undefined : journal.restarted(state);
  }

  /** Replays the journal to find out whether the function still reaches the operation that the frame waits for. */
  async rehearsed(turn, journal) {
    if (!journal.waits) return steps.ignored();
    const core = new Core(turn, journal, journal.waits);
    await this.run(core);
    if (core.torn !== undefined) throw this.misused(TWICE, core.torn);
    if (core.edited === undefined && core.suspended?.arrives) return steps.accept();
    const carried = await this.carriedOver(journal);
    return carried ? steps.accept().withState(carried.toState()) : unfit();
  }

  async migrated(event, journal) {
    if (!this.hooks.migrate) return steps.accept().withState(journal.toState());
    // The pending answer belongs to the old run, so the new run does not get it.
    const state = await this.hooks.migrated(fromVersion(event), journal.summary());
    return state === undefined ? unfit() : steps.accept().withState(journal.restarted(state).toState());
  }

  misused(what, stack = undefined) {
    const fault = new Fault("invalid", `the function of the dialog \`${this.id}\` ${what}`);
    if (stack) Object.assign(fault, { stack, showsPlace: true });
    return fault;
  }
}
