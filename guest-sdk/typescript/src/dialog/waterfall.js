// Waterfalls: dialogs of explicit steps.
import { toActivity } from "../activity.js";
import { Fault } from "../fault.js";
import { Prompt } from "../prompt.js";
import { Turn } from "../turn.js";
import { Hooks, fromVersion, kept, unfit } from "./hooks.js";
import { Step, outcomeOf, steps } from "./step.js";

/** The kind of a step that continues with the next one at once. It never reaches the host. */
const NEXT = "next";
const ALWAYS = Symbol("always");

/** Marks a step that runs however the wait of the step before ended; see `step.outcome`. */
export const always = (run) => Object.assign((step) => run(step), { [ALWAYS]: true });

/**
 * Creates a dialog of steps that run one after another. Each step returns what to wait for, and the next step gets
 * the result.
 */
export const waterfall = (id, functions, options) => new Waterfall(id, functions, options);

/** The argument of a step: the turn, what the step before waited for, and the functions that end a step. */
class WaterfallStep extends Turn {
  constructor(turn, state, outcome) {
    super(turn.meta, turn.activity, turn.host);
    this.options = state.options;
    this.values = state.values;
    this.outcome = outcome;
    this.result = outcome.result;
    this.asked = undefined;
  }

  prompt(prompt) {
    if (!(prompt instanceof Prompt)) throw new TypeError("step.prompt needs a prompt, such as text(…) or number(…)");
    return steps.prompt(prompt);
  }

  wait(question) {
    this.asked = toActivity(question);
    this.reply(question);
    return steps.wait();
  }

  call = steps.call;
  replace = steps.replace;
  done = steps.done;
  cancel = steps.cancelled;
  next = (result = null) => new Step(NEXT, result);
  flush = steps.flush;
}

class Waterfall {
  constructor(id, functions, options) {
    this.id = id;
    this.functions = functions;
    this.hooks = new Hooks(id, options);
    this.version = this.hooks.version;
  }

  async onEvent(turn, event, stored) {
    const fits = (state) => Number.isInteger(state.index) && typeof state.values === "object";
    const state = kept(stored, event, fits, () => ({ index: 0, options: null, values: {} }));
    if (!state) return unfit();
    switch (event.kind) {
      case "begin":
        return this.run(turn, { index: 0, options: event.data, values: {} }, { reason: "completed", result: null });
      case "continue":
      case "resume":
        return this.run(turn, { ...state, index: state.index + 1 }, outcomeOf(event));
      case "reprompt":
        if (state.asked) turn.reply(state.asked);
        return steps.wait();
      case "validate":
        return this.hooks.validate(turn, event);
      case "cancelled":
        return this.hooks.cancelled(turn, event);
      case "migrate":
        return this.migrated(event, state);
      case "rehearse":
        // If an edit removed the step that waits, the answer ends the dialog. That is not a reset.
        return steps.accept();
      default:
        return steps.ignored();
    }
  }

  async run(turn, state, outcome) {
    for (;;) {
      const run = this.functions[state.index];
      if (!run) return steps.done(outcome.result);
      if (!run[ALWAYS] && outcome.reason !== "completed") return steps.cancelled();
      const step = new WaterfallStep(turn, state, outcome);
      const then = await run(step);
      if (!(then instanceof Step)) {
        const what = then === undefined ? "nothing" : typeof then;
        throw new Fault(
          "invalid",
          `step ${state.index + 1} of the dialog \`${this.id}\` returned ${what}; return step.prompt(…), ` +
            "step.wait(…), step.next(), step.done() or another function of the step",
        );
      }
      state = { index: state.index, options: state.options, values: step.values };
      if (then.kind !== NEXT) return then.withState(step.asked ? { ...state, asked: step.asked } : state);
      outcome = { reason: "completed", result: then.data };
      state.index += 1;
    }
  }

  async migrated(event, state) {
    const values = await this.hooks.migrated(fromVersion(event), state.values);
    return values === undefined ? unfit() : steps.accept().withState({ ...state, values });
  }
}
