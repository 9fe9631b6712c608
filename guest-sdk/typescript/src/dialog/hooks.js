// Parts that both styles of dialogs share: the version of the state, validators, and hooks for cancelling and
// migrating.
import { Fault } from "../fault.js";
import { say } from "../prompt.js";
import { Step, steps } from "./step.js";

/** Verdicts of a validator. A validator may also return true or false. */
export const accept = (value = null) => steps.accept(value);
export const reject = (question = undefined) => steps.reject(question === undefined ? null : { retry: say(question) });

const OPTIONS = ["version", "validators", "onCancelled", "migrate"];

/** The options of a dialog. */
export class Hooks {
  constructor(dialog, options = {}) {
    const unknown = Object.keys(options).find((option) => !OPTIONS.includes(option));
    if (unknown)
      throw new TypeError(`the dialog \`${dialog}\` has no option \`${unknown}\`; options are ${OPTIONS.join(", ")}`);
    this.dialog = dialog;
    this.version = options.version ?? 0;
    this.validators = options.validators ?? {};
    this.onCancelled = options.onCancelled;
    this.migrate = options.migrate;
  }

  async validate(turn, { data }) {
    const validator = Object.hasOwn(this.validators, data.validator) ? this.validators[data.validator] : undefined;
    if (!validator) {
      throw new Fault(
        "invalid",
        `the dialog \`${this.dialog}\` has no validator \`${data.validator}\`; add it to its \`validators\``,
      );
    }
    const verdict = await validator({ value: data.value, attempt: data.attempt ?? 1 }, turn);
    if (typeof verdict === "boolean") return verdict ? accept() : reject();
    if (verdict instanceof Step && ["accept", "reject"].includes(verdict.kind)) return verdict;
    throw new Fault(
      "invalid",
      `the validator \`${data.validator}\` returned ${typeof verdict}; return true, false, accept(…) or reject(…)`,
    );
  }

  async cancelled(turn, { data }) {
    await this.onCancelled?.(turn, data?.reason ?? "");
    return steps.ignored();
  }

  /** Calls the migration hook. Returns undefined if there is no hook or it cannot migrate the state. */
  async migrated(from, state) {
    const migrated = await this.migrate?.({ from, to: this.version, state });
    return migrated ?? undefined;
  }
}

/** Returns the version of the state in an event `migrate`. */
export const fromVersion = (event) => event.data?.from ?? 0;

/** The step for a dialog that cannot continue from its state, so that the host resets it. */
export const unfit = () => steps.reject();

const NEEDS_STATE = ["continue", "resume", "reprompt", "migrate", "rehearse"];

/** Reads the state of a frame. Returns undefined if a dialog of another style stored it and the event needs it. */
export function kept(state, event, fits, fresh) {
  if (state === undefined || state === null) return fresh();
  if (fits(state)) return state;
  return NEEDS_STATE.includes(event.kind) ? undefined : fresh();
}
