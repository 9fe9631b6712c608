// A plugin: an author's bot with the functions that the contract exports.
import { HANDLERS, dispatch, run } from "./dispatch.js";
import { Fault } from "./fault.js";
import { Step, steps } from "./dialog/step.js";
import { Turn } from "./turn.js";

/** The hooks of middleware and the events that they intercept. */
const HOOKS = { onReceive: "receive", onSend: "send", onUpdate: "update", onDelete: "delete", afterTurn: "turn-end" };

/** Base class for bots that are classes. `defineBot` is the counterpart for objects. */
export class Bot {
  /** Calls the handlers of the turn's activity. Call it if you define `onTurn`. */
  dispatch(turn) {
    return dispatch(this, turn);
  }
}

/** Checks a bot that is an object: its types, and the names of its handlers. */
export const defineBot = (definition) => definition;

/** What a hook of middleware returns instead of nothing. */
export const replaceWith = (activity) => new Step("replace", activity);
export const stop = () => new Step("stop");
/** The plugin that sends the activity in a hook: empty for an incoming one, `turntable` for the host. */
export const sender = (turn) => turn.extra("sender") ?? "";

export class Plugin {
  /** @param definition a class or an object with handlers. @param pack name, version and description of the package. */
  constructor(definition, pack = {}) {
    this.definition = definition;
    this.pack = pack;
    const bot = this.bot();
    this.manifestPart = bot.manifest ?? {};
    this.dialogs = new Map();
    for (const dialog of bot.dialogs ?? []) {
      if (typeof dialog?.onEvent !== "function")
        throw new TypeError(`a dialog of the bot is ${typeof dialog}; create it with dialog(…) or waterfall(…)`);
      if (!this.dialogs.has(dialog.id)) this.dialogs.set(dialog.id, dialog);
    }
    this.intercepts = Object.keys(HOOKS).filter((hook) => typeof bot[hook] === "function");
    const likely = allNames(bot).find((name) => /^on[A-Z]/.test(name) && !HANDLERS.includes(name) && !(name in HOOKS));
    if (likely) {
      const known = [...HANDLERS, ...Object.keys(HOOKS)].join(", ");
      throw new TypeError(`the bot has a handler \`${likely}\`, which no activity reaches; handlers are ${known}`);
    }
  }

  /** Returns a fresh bot, because each turn has its own. */
  bot() {
    const { definition } = this;
    if (typeof definition === "function") return new definition();
    if (definition === null || typeof definition !== "object") {
      throw new TypeError(
        "the module has no bot: write `export default defineBot({ … })` or `export default class extends Bot { … }`",
      );
    }
    return Object.create(definition);
  }

  manifest() {
    const { wants = {}, ...declared } = this.manifestPart;
    const roles = ["handler"];
    if (this.dialogs.size) roles.push("dialogs");
    if (this.intercepts.length) roles.push("middleware");
    const dialogs = [...this.dialogs.values()].map(({ id, version = 0 }) => ({ id, "state-version": version }));
    return {
      ...(this.pack.description ? { description: this.pack.description } : {}),
      name: packageName(this.pack.name),
      version: this.pack.version ?? "0.0.0",
      ...declared,
      roles,
      ...(dialogs.length ? { dialogs } : {}),
      ...(this.intercepts.length ? { intercepts: this.intercepts.map((hook) => HOOKS[hook]) } : {}),
      wants: {
        ...(dialogs.length ? { dialogs: true } : {}),
        ...(this.intercepts.length ? { middleware: true } : {}),
        ...wants,
      },
    };
  }

  /** Handles one activity and returns the flow. */
  onActivity(meta, activity, host) {
    return run(this.bot(), new Turn(meta, JSON.parse(activity), host));
  }

  /** Handles one event of a dialog and returns the step. */
  async onDialog(meta, { kind, name, data }, state, host) {
    const dialog = this.dialogs.get(name);
    if (!dialog) throw new Fault("invalid", `there is no dialog \`${name}\``);
    const event = { kind, name, data: JSON.parse(data) };
    const turn = new Turn(meta, kind === "continue" && event.data ? event.data : {}, host);
    const step = await dialog.onEvent(
      turn,
      event,
      state === undefined || state === null ? undefined : JSON.parse(state),
    );
    if (step instanceof Step) return record(step);
    throw new Fault("invalid", `the dialog \`${name}\` returned no step for \`${kind}\``);
  }

  /** Handles one event of middleware and returns the step. */
  async onEvent(meta, { kind, name, data }, host) {
    const hook = Object.keys(HOOKS).find((known) => HOOKS[known] === kind);
    const bot = this.bot();
    if (!hook || !bot[hook]) return record(steps.ignored());
    const value = JSON.parse(data);
    const turn = new Turn(
      { ...meta, extra: [...meta.extra, ["sender", name]] },
      kind === "receive" ? value : { type: meta.kind },
      host,
    );
    const argument = { receive: undefined, delete: value?.id, "turn-end": value?.outcome }[kind];
    const passage = await (kind === "receive" ? bot[hook](turn) : bot[hook](turn, argument ?? value));
    if (passage === undefined) return record(new Step("pass"));
    if (!(passage instanceof Step))
      throw new Fault("invalid", `${hook} returned ${typeof passage}; return replaceWith(…), stop() or nothing`);
    return record(passage);
  }
}

const record = (step) => ({
  kind: step.kind,
  state: step.state === undefined ? undefined : JSON.stringify(step.state),
  data: JSON.stringify(step.data ?? null),
});

/** Returns a name that a manifest may have. */
function packageName(name = "bot") {
  const last = name
    .split("/")
    .at(-1)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "");
  return last.slice(0, 64) || "bot";
}

function allNames(bot) {
  const names = new Set();
  for (let part = bot; part && part !== Object.prototype; part = Object.getPrototypeOf(part)) {
    for (const name of Object.getOwnPropertyNames(part)) names.add(name);
  }
  return [...names];
}
