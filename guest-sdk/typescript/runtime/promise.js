// Promises whose queue the SDK can run to its end. QuickJS does not run the jobs of its own promises before a
// synchronous
// export returns. The build lowers async functions to generators, so every `await` uses this class.

const queue = [];
const unhandled = new Set();

/** Adds a job. */
export function enqueue(job) {
  queue.push(job);
}

/** Runs jobs until the queue is empty. */
export function runJobs() {
  for (let at = 0; at < queue.length; at += 1) {
    const job = queue[at];
    queue[at] = undefined;
    job();
    // Keeps the array small in a long chain of jobs.
    if (at === 1023) {
      queue.splice(0, at + 1);
      at = -1;
    }
  }
  queue.length = 0;
}

/** Returns the reasons of rejected promises that nobody handled, and forgets them. */
export function takeUnhandled() {
  const reasons = [...unhandled].map((promise) => promise.reason());
  unhandled.clear();
  return reasons;
}

/** Drops the jobs of a turn that failed. */
export function dropJobs() {
  queue.length = 0;
  unhandled.clear();
}

export class Promise {
  #state = "pending";
  #value;
  #reactions = [];
  #isHandled = false;

  constructor(executor) {
    if (typeof executor !== "function") throw new TypeError("the executor of a Promise must be a function");
    const { resolve, reject } = this.#resolvers();
    try {
      executor(resolve, reject);
    } catch (error) {
      reject(error);
    }
  }

  get [Symbol.toStringTag]() {
    return "Promise";
  }

  static get [Symbol.species]() {
    return this;
  }

  reason() {
    return this.#value;
  }

  then(onFulfilled, onRejected) {
    this.#isHandled = true;
    unhandled.delete(this);
    const capability = Promise.withResolvers.call(this.constructor[Symbol.species] ?? Promise);
    const reaction = { onFulfilled, onRejected, capability };
    if (this.#state === "pending") this.#reactions.push(reaction);
    else this.#react(reaction);
    return capability.promise;
  }

  catch(onRejected) {
    return this.then(undefined, onRejected);
  }

  finally(run) {
    if (typeof run !== "function") return this.then(run, run);
    const after = (then) => (value) => Promise.resolve(run()).then(() => then(value));
    return this.then(
      after((value) => value),
      after((reason) => Promise.reject(reason)),
    );
  }

  #resolvers() {
    let isDone = false;
    const once = (run) => (value) => {
      if (isDone) return;
      isDone = true;
      run(value);
    };
    return {
      resolve: once((value) => this.#resolve(value)),
      reject: once((reason) => this.#settle("rejected", reason)),
    };
  }

  #resolve(value) {
    if (value === this) return this.#settle("rejected", new TypeError("a promise cannot be resolved with itself"));
    if (value === null || (typeof value !== "object" && typeof value !== "function"))
      return this.#settle("fulfilled", value);
    let then;
    try {
      then = value.then;
    } catch (error) {
      return this.#settle("rejected", error);
    }
    if (typeof then !== "function") return this.#settle("fulfilled", value);
    const { resolve, reject } = this.#resolvers();
    enqueue(() => {
      try {
        then.call(value, resolve, reject);
      } catch (error) {
        reject(error);
      }
    });
  }

  #settle(state, value) {
    this.#state = state;
    this.#value = value;
    if (state === "rejected" && !this.#isHandled) unhandled.add(this);
    for (const reaction of this.#reactions) this.#react(reaction);
    this.#reactions = [];
  }

  #react({ onFulfilled, onRejected, capability }) {
    const handler = this.#state === "fulfilled" ? onFulfilled : onRejected;
    enqueue(() => {
      if (typeof handler !== "function") {
        return this.#state === "fulfilled" ? capability.resolve(this.#value) : capability.reject(this.#value);
      }
      try {
        capability.resolve(handler(this.#value));
      } catch (error) {
        capability.reject(error);
      }
    });
  }

  static withResolvers() {
    const capability = {};
    capability.promise = new this((resolve, reject) => Object.assign(capability, { resolve, reject }));
    return capability;
  }

  static resolve(value) {
    return value instanceof Promise && value.constructor === this ? value : new this((resolve) => resolve(value));
  }

  static reject(reason) {
    return new this((_, reject) => reject(reason));
  }

  static try(run, ...values) {
    return new this((resolve) => resolve(run(...values)));
  }

  static all(values) {
    return collect(this, values, (promise, { keep, reject }) => promise.then(keep, reject));
  }

  static allSettled(values) {
    return collect(this, values, (promise, { keep }) =>
      promise.then(
        (value) => keep({ status: "fulfilled", value }),
        (reason) => keep({ status: "rejected", reason }),
      ),
    );
  }

  static any(values) {
    return new this((resolve, reject) => {
      collect(this, values, (promise, { keep }) => promise.then(resolve, keep)).then(
        (errors) => reject(new AggregateError(errors, "All promises were rejected")),
        reject,
      );
    });
  }

  static race(values) {
    return new this((resolve, reject) => {
      for (const value of values) this.resolve(value).then(resolve, reject);
    });
  }
}

function collect(kind, values, watch) {
  return new kind((resolve, reject) => {
    const results = [];
    let left = 1;
    const end = () => {
      left -= 1;
      if (left === 0) resolve(results);
    };
    let index = 0;
    for (const value of values) {
      const at = index;
      index += 1;
      left += 1;
      const keep = (result) => {
        results[at] = result;
        end();
      };
      watch(kind.resolve(value), { keep, reject });
    }
    end();
  });
}
