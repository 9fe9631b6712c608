// Globals of a component that every bot has. The build imports this module before the author's.
import * as log from "turntable:bot/log@0.1.0";
import { getRandomBytes } from "wasi:random/random@0.2.0";
import { consoleOver } from "./console.js";
import { Promise, enqueue } from "./promise.js";
import { cryptoOver, random } from "./random.js";
import { clearTimeout, setImmediate, setInterval, setTimeout } from "./timers.js";

const missing = (name, remedy) => ({
  configurable: true,
  get() {
    throw new Error(`${name} does not exist in a bot; ${remedy}`);
  },
});

Object.assign(globalThis, {
  Promise,
  queueMicrotask: enqueue,
  setTimeout,
  setInterval,
  setImmediate,
  clearTimeout,
  clearInterval: clearTimeout,
  clearImmediate: clearTimeout,
  console: consoleOver((...line) => log.write(...line)),
  crypto: cryptoOver((length) => getRandomBytes(length)),
});
Math.random = random;
Object.defineProperties(globalThis, {
  Intl: missing("Intl", "format dates and numbers yourself or bundle a library that needs no Intl"),
  fetch: missing("fetch", "this release has no outbound HTTP"),
  XMLHttpRequest: missing("XMLHttpRequest", "this release has no outbound HTTP"),
  WebSocket: missing("WebSocket", "a bot has no sockets"),
});
