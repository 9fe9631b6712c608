// AbortController and AbortSignal, and the small part of EventTarget that they need.
import { setTimeout } from "./timers.js";

export class Event {
  constructor(type) {
    this.type = type;
  }
}

export class EventTarget {
  #listeners = [];

  addEventListener(type, listener, options = {}) {
    const once = typeof options === "object" && options.once === true;
    if (!this.#listeners.some((it) => it.type === type && it.listener === listener))
      this.#listeners.push({ type, listener, once });
  }

  removeEventListener(type, listener) {
    this.#listeners = this.#listeners.filter((it) => it.type !== type || it.listener !== listener);
  }

  dispatchEvent(event) {
    event.target = this;
    for (const { type, listener, once } of [...this.#listeners]) {
      if (type !== event.type) continue;
      if (once) this.removeEventListener(type, listener);
      if (typeof listener === "function") listener.call(this, event);
      else listener.handleEvent(event);
    }
    this[`on${event.type}`]?.(event);
    return true;
  }
}

const abortError = () => new DOMException("This operation was aborted", "AbortError");

export class AbortSignal extends EventTarget {
  aborted = false;
  reason = undefined;
  onabort = null;

  throwIfAborted() {
    if (this.aborted) throw this.reason;
  }

  static abort(reason = abortError()) {
    return Object.assign(new AbortSignal(), { aborted: true, reason });
  }

  static timeout(delay) {
    const signal = new AbortSignal();
    setTimeout(() => abort(signal, new DOMException("The operation timed out", "TimeoutError")), delay);
    return signal;
  }

  static any(signals) {
    const aborted = signals.find((signal) => signal.aborted);
    if (aborted) return AbortSignal.abort(aborted.reason);
    const any = new AbortSignal();
    for (const signal of signals) signal.addEventListener("abort", () => abort(any, signal.reason), { once: true });
    return any;
  }
}

function abort(signal, reason) {
  if (signal.aborted) return;
  Object.assign(signal, { aborted: true, reason });
  signal.dispatchEvent(new Event("abort"));
}

export class AbortController {
  signal = new AbortSignal();

  abort(reason = abortError()) {
    abort(this.signal, reason);
  }
}
