// What outlives a turn in a test.

export class Memory {
  values = new Map();
  frames = new Map();
  #count = 0;

  /** Returns a number that was never used. */
  number() {
    this.#count += 1;
    return this.#count;
  }

  static owner(scope, user, conversation) {
    return { user, private: JSON.stringify([conversation, user]), conversation, bot: "bot" }[scope];
  }

  static place(scope, owner, key) {
    return JSON.stringify([scope, owner, key]);
  }

  stored(scope, owner, key) {
    const entry = this.values.get(Memory.place(scope, owner, key));
    return entry && JSON.parse(entry.value);
  }

  store(scope, owner, key, value) {
    this.values.set(Memory.place(scope, owner, key), { value: JSON.stringify(value), etag: String(this.number()) });
  }
}
