// Steps: what a dialog returns to the host.

/** What the host does next for a dialog. `dialogs.wit` lists the kinds and their data. */
export class Step {
  constructor(kind, data = null, state = undefined) {
    this.kind = kind;
    this.data = data;
    this.state = state;
  }

  withState(state) {
    return new Step(this.kind, this.data, state);
  }
}

/** The steps, for dialogs that handle events themselves. */
export const steps = {
  wait: () => new Step("wait"),
  waitFor: (...activities) => new Step("wait", { activities }),
  prompt: (prompt) => new Step("prompt", prompt.definition),
  call: (dialog, options = null) => new Step("call", { dialog, options }),
  replace: (dialog, options = null) => new Step("replace", { dialog, options }),
  done: (result = null) => new Step("done", result),
  cancelled: () => new Step("cancelled"),
  flush: () => new Step("flush"),
  accept: (value = null) => new Step("accept", value),
  reject: (data = null) => new Step("reject", data),
  ignored: () => new Step("ignored"),
};

/** Returns how the wait of a dialog ended: `{ reason, result }`. */
export function outcomeOf(event) {
  if (event.kind !== "resume") return { reason: "completed", result: event.data };
  return { reason: event.data?.reason ?? "completed", result: event.data?.result ?? null };
}
