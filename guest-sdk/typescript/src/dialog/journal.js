// The journal of a straight-line dialog: the recorded results that a replay returns. Its JSON is the same in every SDK.
import { Fault } from "../fault.js";
import { utf8 } from "./hash.js";

const ENTRIES_MAX = 1000;
const BYTES_MAX = 128 << 10;

export class Journal {
  constructor({ options = null, state, restarts = 0, entries = [], waits } = {}) {
    Object.assign(this, { options, state, restarts, entries, waits });
  }

  static fits(state) {
    return Array.isArray(state.entries);
  }

  /** Returns an empty journal that continues from a state. */
  restarted(state) {
    return new Journal({ options: this.options, state, restarts: this.restarts + 1 });
  }

  /** Records the outcome of the operation that the dialog waited for. */
  answered({ reason, result }) {
    if (!this.waits) return;
    const { kind, key } = this.waits;
    this.entries.push({ kind, key, result, ...(reason === "completed" ? {} : { ended: reason }) });
    this.waits = undefined;
  }

  record(kind, key, result) {
    if (this.entries.length >= ENTRIES_MAX) {
      throw new Fault(
        "quota",
        `the journal of the dialog has ${ENTRIES_MAX} entries, which is the limit; shorten it with \`restartWith\``,
      );
    }
    this.entries.push({ kind, key, result });
  }

  /** Returns the state of the frame. Fault `quota`: it is too large. */
  toState() {
    const { options, state, restarts, entries, waits } = this;
    const stored = {
      options,
      ...(state === undefined ? {} : { state }),
      restarts,
      entries,
      ...(waits ? { waits } : {}),
    };
    const json = JSON.stringify(stored);
    // A character has at most 3 bytes for each of its units, so most journals need no count.
    const bytes = json.length * 3 <= BYTES_MAX ? json.length : [...utf8(json)].length;
    if (bytes > BYTES_MAX) {
      throw new Fault(
        "quota",
        `the journal of the dialog has ${bytes} bytes, the limit is ${BYTES_MAX}; shorten it with \`restartWith\``,
      );
    }
    return stored;
  }

  /** Returns the state for a migration hook: the last result of each name, and the state of the last restart. */
  summary() {
    const names = {};
    for (const { kind, key, result, ended } of this.entries) {
      if (ended) continue;
      const colon = key.indexOf(":");
      if (kind === "ask" && colon >= 0) names[key.slice(colon + 1)] = result;
      if (kind === "call" || kind === "step") names[key] = result;
    }
    if (this.state !== undefined) names.state = this.state;
    return names;
  }
}
