// State: values that outlive the turn. Etags detect concurrent writes.
import { call } from "./fault.js";

/** A value of one scope. It remembers the etag that it was read with. */
export class Stored {
  #host;
  #scope;
  #key;
  #etag;

  constructor(host, scope, key) {
    this.#host = host;
    this.#scope = scope;
    this.#key = key;
  }

  /** Returns the value, or `fallback` if there is none. */
  get(fallback = undefined) {
    const entry = call(() => this.#host.state.get(this.#scope, this.#key));
    this.#etag = entry?.etag ?? "";
    return entry ? JSON.parse(entry.value) : fallback;
  }

  /** Writes the value. If another turn changed it after it was read, the host runs this turn again. */
  set(value) {
    if (this.#etag === undefined) this.get();
    this.#write(value, this.#etag);
  }

  /** Writes the value whatever it was before. */
  overwrite(value) {
    this.#write(value, undefined);
  }

  /** Reads the value, passes it to `change`, and writes what `change` returns. Returns the new value. */
  update(change, fallback = undefined) {
    const value = change(this.get(fallback));
    this.set(value);
    return value;
  }

  /** Removes the value. */
  remove() {
    if (this.#etag === undefined) this.get();
    call(() => this.#host.state.remove(this.#scope, this.#key, this.#etag));
    this.#etag = "";
  }

  #write(value, etag) {
    const text = JSON.stringify(value);
    if (text === undefined)
      throw new TypeError(`state \`${this.#key}\`: ${typeof value} cannot be written as JSON; use remove() to delete`);
    this.#etag = call(() => this.#host.state.set(this.#scope, this.#key, text, etag));
  }
}

/** The values of all scopes. */
export class State {
  #host;

  constructor(host) {
    this.#host = host;
  }

  conversation = (key) => this.of("conversation", key);
  user = (key) => this.of("user", key);
  private = (key) => this.of("private", key);
  bot = (key) => this.of("bot", key);

  of(scope, key) {
    return new Stored(this.#host, scope, key);
  }
}
