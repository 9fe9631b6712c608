// The exports of a component.
import * as config from "turntable:bot/config@0.1.0";
import * as conversations from "turntable:bot/conversations@0.1.0";
import * as dialogs from "turntable:bot/dialogs@0.1.0";
import * as log from "turntable:bot/log@0.1.0";
import * as state from "turntable:bot/state@0.1.0";
import * as textStream from "turntable:bot/text-stream@0.1.0";
import * as turn from "turntable:bot/turn@0.1.0";
import { subscribeDuration } from "wasi:clocks/monotonic-clock@0.2.0";
import { Fault, toRecord } from "../src/fault.js";
import { platform } from "../src/platform.js";
import { Plugin } from "../src/plugin.js";
import { dropJobs, runJobs, takeUnhandled } from "./promise.js";
import { seed } from "./random.js";
import { dropTimers, runTimer } from "./timers.js";
import { trace } from "./trace.js";

const host = { config, conversations, dialogs, log, state, textStream, turn };
const idle = [];

/** A component has no event loop beside the SDK's, so the end of the queue says that nothing can happen any more. */
platform.settled = (woken) =>
  new Promise((resolve) => {
    idle.push(resolve);
    // While a timer waits, the queue is empty only for a moment, and the timer may still resolve it.
    woken.then(() => {});
  });

const sleep = (milliseconds) => subscribeDuration(Math.ceil(milliseconds * 1e6)).block();

/** Runs an async function to its end and returns its result. Throws the fault record of the contract. */
function settle(meta, run) {
  const fresh = meta.extra.find(([name]) => name === "random-seed");
  if (fresh) seed(fresh[1]);
  let end;
  try {
    new Promise((resolve) => resolve(run())).then(
      (value) => (end = { value }),
      (error) => (end = { error }),
    );
    do runJobs();
    while (!end && (runTimer(sleep) || somebodyWaits()));
    const unhandled = takeUnhandled();
    if (!end) throw new Fault("internal", "a handler awaits something that never settles");
    if ("error" in end) throw end.error;
    if (unhandled.length) throw unhandled[0];
    return end.value;
  } catch (error) {
    throw toRecord(error, trace);
  } finally {
    idle.length = 0;
    dropJobs();
    dropTimers();
  }
}

/** Tells whoever waits for the end of the queue. Returns false if nobody does. */
function somebodyWaits() {
  const waiting = idle.pop();
  waiting?.();
  return waiting !== undefined;
}

/** Returns the exports for a bot. `pack` is the author's package.json. */
export function component(bot, pack) {
  const plugin = new Plugin(bot, pack);
  return {
    botHandler: {
      describe: () => JSON.stringify(plugin.manifest()),
      onActivity: (meta, activity) => settle(meta, () => plugin.onActivity(meta, activity, host)),
    },
    dialogHandler: { onDialog: (meta, event, kept) => settle(meta, () => plugin.onDialog(meta, event, kept, host)) },
    middleware: { onEvent: (meta, event) => settle(meta, () => plugin.onEvent(meta, event, host)) },
  };
}
