// Faults: why a call failed.

/**
 * An error with a code of the contract. The host throws it for a call that it refuses, and a handler throws it to
 * fail.
 */
export class Fault extends Error {
  constructor(code, message, { retryAfterMs, detail, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "Fault";
    this.code = code;
    this.retryAfterMs = retryAfterMs;
    this.detail = detail;
    /** Set for mistakes of the author that the SDK found: the message then names the place. */
    this.showsPlace = false;
  }
}

for (const code of ["denied", "quota", "deadline", "conflict", "invalid", "unavailable", "internal"]) {
  Fault[code] = (message, more) => new Fault(code, message, more);
}

/** Calls a function of the host and turns what it throws into a `Fault`. */
export function call(run) {
  try {
    return run();
  } catch (thrown) {
    throw fromHost(thrown);
  }
}

function fromHost(thrown) {
  const record = thrown?.payload ?? thrown;
  if (thrown instanceof Fault || typeof record?.code !== "string") return thrown;
  return new Fault(record.code, record.message, {
    retryAfterMs: record.retryAfterMs ?? undefined,
    detail: record.detail ?? undefined,
  });
}

/**
 * Returns the record of the contract for anything that an author's code threw. `trace` maps a stack to the author's
 * files.
 */
export function toRecord(thrown, trace = (stack) => stack) {
  if (!(thrown instanceof Error)) {
    const what = typeof thrown === "string" ? thrown : show(thrown);
    return {
      code: "internal",
      message: `a handler threw ${what}; throw an Error`,
      retryAfterMs: undefined,
      detail: undefined,
    };
  }
  const stacks = causes(thrown).map((error) => `${error.name}: ${error.message}\n${trace(error.stack ?? "")}`);
  const detail = thrown.detail === undefined ? stacks : [String(thrown.detail), ...stacks];
  const is = thrown instanceof Fault;
  const where = is && !thrown.showsPlace ? "" : firstPlace(stacks[0]);
  return {
    code: is ? String(thrown.code) : "internal",
    message: (is ? thrown.message : `${thrown.name}: ${thrown.message}`) + where,
    retryAfterMs: is && Number.isInteger(thrown.retryAfterMs) ? thrown.retryAfterMs : undefined,
    detail: detail.join("\nCaused by: "),
  };
}

function causes(error) {
  const found = [];
  for (let next = error; next instanceof Error && found.length < 8; next = next.cause) found.push(next);
  return found;
}

function firstPlace(stack) {
  const place = /\(?([^\s()]+:\d+:\d+)\)?/.exec(stack.split("\n").slice(1).join("\n"));
  return place ? ` (${place[1]})` : "";
}

function show(value) {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}
