// Runs the unmodified npm package botframework-directlinejs against an echo bot of a host in production mode, with a secret
// or with a token that comes from one.
//
// usage: node production.mjs BASE_URL secret|token TEXT
//
// Exit status: 0 the bot answered, 1 it did not, 2 wrong usage.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { JSDOM } from 'jsdom';

const PATIENCE_MS = 90_000;

const [base, kind, text] = process.argv.slice(2);
if (!text || !['secret', 'token'].includes(kind)) {
  console.error('usage: node production.mjs BASE_URL secret|token TEXT');
  process.exit(2);
}
const { window } = new JSDOM('', { url: base });
const { WebSocket, XMLHttpRequest, FormData, Blob } = window;
Object.assign(globalThis, { WebSocket, XMLHttpRequest, FormData, Blob });
// The client looks for these globals when it is loaded, so they must exist before.
const { DirectLine } = createRequire(import.meta.url)('botframework-directlinejs');

const fail = (why) => {
  console.error(why);
  process.exit(1);
};
setTimeout(() => fail('the bot did not answer'), PATIENCE_MS);

const line = new DirectLine({ domain: new URL('/v3/directline', base).href, [kind]: text });
line.activity$.subscribe((activity) => {
  if (activity.text !== 'Echo: hello') return;
  assert.equal(activity.from.role, 'bot');
  process.exit(0);
}, fail);
line
  .postActivity({ type: 'message', text: 'hello', from: { id: 'dl_ann' } })
  .subscribe((id) => (id === 'retry' ? fail('the message was not taken') : undefined), fail);
