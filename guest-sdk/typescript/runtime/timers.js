// Timers within a turn. The component sleeps until the next timer is due; sleeping uses no CPU time.

const timers = new Map();
let last = 0;

function add(run, delay, values, every) {
  if (typeof run !== "function") throw new TypeError("the callback of a timer must be a function");
  const wait = Math.max(0, Number(delay) || 0);
  last += 1;
  timers.set(last, { run: () => run(...values), due: Date.now() + wait, every: every ? Math.max(1, wait) : undefined });
  return last;
}

export const setTimeout = (run, delay, ...values) => add(run, delay, values, false);
export const setInterval = (run, delay, ...values) => add(run, delay, values, true);
export const setImmediate = (run, ...values) => add(run, 0, values, false);
export const clearTimeout = (id) => void timers.delete(id);

/** Runs the next timer, after sleeping until it is due. Returns false if there is none. */
export function runTimer(sleep) {
  let next;
  for (const [id, timer] of timers) if (!next || timer.due < next.timer.due) next = { id, timer };
  if (!next) return false;
  const { id, timer } = next;
  const wait = timer.due - Date.now();
  if (wait > 0) sleep(wait);
  if (timer.every === undefined) timers.delete(id);
  else timer.due = Date.now() + timer.every;
  timer.run();
  return true;
}

/** Drops all timers. A turn that has ended runs no more timers. */
export const dropTimers = () => timers.clear();
