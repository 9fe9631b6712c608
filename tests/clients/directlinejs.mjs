// Runs the unmodified npm package botframework-directlinejs against an echo bot: once over WebSocket, once with polling.
//
// usage: node directlinejs.mjs BASE_URL BOT     e.g. node directlinejs.mjs http://localhost:3978 echo
//
// The client is written for browsers. jsdom provides XMLHttpRequest, WebSocket, FormData and Blob of a page at BASE_URL, with
// the browser's rules for origins. Exit status: 0 all checks passed, 1 a check failed (see the last line), 2 wrong usage.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { JSDOM } from 'jsdom';

/** Everything together. Only a broken host lets it pass. */
const PATIENCE_MS = 90_000;
const POLLING_MS = 250;
/** ConnectionStatus of the client. */
const ONLINE = 2;
const PICTURE = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

const [base, bot] = process.argv.slice(2);
if (!base || !bot) {
  console.error('usage: node directlinejs.mjs BASE_URL BOT');
  process.exit(2);
}
const domain = new URL('/v3/directline', base).href;
const user = { id: 'dl_ann', name: 'Ann' };
let step = 'start';

const sockets = [];
const { window } = new JSDOM('', { url: base });
class WebSocket extends window.WebSocket {
  constructor(url) {
    super(url);
    sockets.push(this);
  }
}
const { XMLHttpRequest, FormData, Blob } = window;
Object.assign(globalThis, { WebSocket, XMLHttpRequest, FormData, Blob });
// The client looks for these globals when it is loaded, so they must exist before.
const { DirectLine } = createRequire(import.meta.url)('botframework-directlinejs');

/** A client, and everything it has received. */
class Client {
  constructor(options) {
    // The client waits a random 3 to 15 s before it reconnects. Here it always waits the shortest time.
    this.line = new DirectLine({ domain, pollingInterval: POLLING_MS, random: () => 0, ...options });
    this.received = [];
    this.waiting = [];
    this.subscription = this.line.activity$.subscribe(
      (activity) => {
        this.received.push(activity);
        this.look();
      },
      (error) => fail(new Error(`the stream of activities failed: ${describe(error)}`)),
    );
  }

  look() {
    this.waiting = this.waiting.filter(({ matches, found }) => {
      const activity = this.received.find(matches);
      if (activity) found(activity);
      return !activity;
    });
  }

  /** Waits for an activity, received before or after. */
  until(matches) {
    return new Promise((found) => {
      this.waiting.push({ matches, found });
      this.look();
    });
  }

  async online() {
    await this.line.connectionStatus$.filter((status) => status === ONLINE).take(1).toPromise();
  }

  /** Sends an activity and waits for its echo. */
  async send(activity) {
    const clientActivityID = Math.random().toString(36).slice(2);
    const sent = { from: user, channelData: { clientActivityID }, ...activity };
    const id = await this.line.postActivity(sent).toPromise();
    assert.match(String(id), /^[^|]+\|\d{7}$/, `postActivity returned ${id}`);
    const echo = await this.until((activity) => activity.channelData?.clientActivityID === clientActivityID);
    assert.equal(echo.id, id, 'the echo has the id that postActivity returned');
    assert.equal(echo.from.id, user.id);
    assert.equal(echo.from.role, 'user');
    return echo;
  }

  /** Says a text; checks echo and reply. */
  async say(text, more) {
    const echo = await this.send({ type: 'message', text, ...more });
    const reply = await this.until((activity) => activity.replyToId === echo.id && activity.type === 'message');
    assert.equal(reply.text, `Echo: ${text}`);
    assert.equal(reply.from.role, 'bot');
    assert.notEqual(reply.from.id, user.id);
    assert(this.received.indexOf(echo) < this.received.indexOf(reply), 'the echo comes before the reply');
    return { echo, reply };
  }

  /** Checks what holds for everything that was received: nothing twice, nothing out of order. */
  check() {
    const kept = this.received.filter(({ type }) => type !== 'typing');
    for (const [before, after] of kept.slice(1).map((activity, index) => [kept[index], activity])) {
      assert(before.id < after.id, `${after.id} came after ${before.id}`);
      assert(Date.parse(before.timestamp) < Date.parse(after.timestamp), `time of ${after.id} is not after ${before.id}`);
    }
  }

  end() {
    // This comes first, because the client reports its own end as an error of the stream.
    this.subscription.unsubscribe();
    this.line.end();
    this.check();
  }
}

async function token() {
  const response = await fetch(`${domain}/tokens/generate`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ bot, user }),
  });
  assert.equal(response.status, 200, `tokens/generate: ${response.status} ${await response.clone().text()}`);
  return response.json();
}

async function upload(client) {
  const attachment = { name: 'dot.png', contentType: 'image/png', contentUrl: `data:image/png;base64,${PICTURE}` };
  const { echo } = await client.say('a picture', { attachments: [attachment] });
  assert.equal(echo.attachments.length, 1);
  const { contentUrl, contentType, name } = echo.attachments[0];
  assert.deepEqual([contentType, name], ['image/png', 'dot.png']);
  const file = await fetch(contentUrl);
  assert.equal(file.status, 200, `the uploaded file: ${file.status}`);
  assert.equal(Buffer.from(await file.arrayBuffer()).toString('base64'), PICTURE);
  assert.equal(file.headers.get('x-content-type-options'), 'nosniff');
  assert.match(file.headers.get('content-security-policy') ?? '', /sandbox/);
}

/** The server sees the connection go; what is said meanwhile arrives afterwards, once. */
async function loseStream(client) {
  const opened = sockets.length;
  sockets.at(-1).close();
  await client.say('said while away');
  assert(sockets.length > opened, 'the client opened a new stream');
}

async function converse(webSocket) {
  const mode = webSocket ? 'WebSocket' : 'polling';
  const at = (what) => (step = `${mode}: ${what}`);

  at('connect');
  const issued = await token();
  const first = new Client({ token: issued.token, webSocket });
  await first.online();
  assert.equal(first.line.conversationId, issued.conversationId);

  at('messages in order');
  for (const text of ['one', 'two', 'three']) await first.say(text);

  at('messages at once');
  await Promise.all(['four', 'five', 'six'].map((text) => first.say(text)));

  at('upload');
  await upload(first);

  if (webSocket) {
    at('stream lost');
    await loseStream(first);
  }

  at('refresh of the token');
  const refreshed = await first.line.refreshToken().toPromise();
  assert.equal(first.line.parseToken(refreshed), user.id);
  const { watermark } = first.line;
  assert.match(String(watermark), /^\d+$/);
  const last = first.received.at(-1);
  first.end();

  at('new client, old conversation');
  const { conversationId } = issued;
  const second = new Client({ token: refreshed, conversationId, watermark, webSocket });
  await second.online();
  await second.say('back again');
  assert(second.received[0].id > last.id, `${second.received[0].id} was received before the watermark ${watermark}`);
  second.end();
  console.log(`${mode}: ok, ${first.received.length + second.received.length} activities`);
}

function describe(error) {
  return String(error?.message || error?.reason || JSON.stringify(error)).replaceAll('\n', ' ');
}

function fail(error) {
  const status = error?.status === undefined ? '' : ` (HTTP ${error.status} ${JSON.stringify(error.response)})`;
  if (error?.stack) console.error(error.stack);
  console.error(`FAILED: ${step}${status}: ${describe(error)}`);
  process.exit(1);
}

setTimeout(() => fail(new Error(`did not happen within ${PATIENCE_MS} ms of the start`)), PATIENCE_MS);
try {
  await converse(true);
  await converse(false);
  process.exit(0);
} catch (error) {
  fail(error);
}
