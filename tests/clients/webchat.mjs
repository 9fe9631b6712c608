// Runs the unmodified npm package botframework-webchat in Chromium against a bot that welcomes and echoes, and against TOLD.
//
// usage: node webchat.mjs BASE_URL BOT ORIGIN TOLD     e.g. node webchat.mjs http://localhost:3978 demo http://127.0.0.1:9555 other
//
// TOLD has the plugin `tests/guests/hostile` and also books trips. ORIGIN must be in `server.allowed-origins` of the host; the script
// serves the page with Web Chat there. Environment: CHROMIUM, the browser's path. Exit status: 0 all checks passed, 1 a check failed (see the last line), 2 wrong usage, 3 no browser.

import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { launchOptions } from './browser.mjs';

/** One step of the conversation. Only a broken host lets it pass: a lost stream alone takes Web Chat up to 15 s. */
const PATIENCE_MS = 45_000;
const PICTURE = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const WEB_CHAT = fileURLToPath(new URL('node_modules/.webchat-4.18.1/package/dist/webchat.js', import.meta.url));
const PAGE = `<!doctype html><title>Web Chat</title><meta charset="utf-8">
  <style>html, body, #chat { height: 100%; margin: 0 }</style><div id="chat"></div><script src="/webchat.js"></script>`;

const [base, bot, origin, told] = process.argv.slice(2);
if (!base || !bot || !origin || !told) {
  console.error('usage: node webchat.mjs BASE_URL BOT ORIGIN TOLD');
  process.exit(2);
}
const domain = new URL('/v3/directline', base).href;
const user = { id: 'dl_ann', name: 'Ann' };
let step = 'start';

const servers = [await serve(new URL(origin).port), await serve(0)];
const browser = await chromium.launch(launchOptions());
try {
  await talk(await newPage());
  await choose(await newPage());
  await stream(await newPage());
  await group(await newPage(), await newPage());
  await stranger(await browser.newPage(), `http://127.0.0.1:${servers[1].address().port}/`);
  console.log('Web Chat: ok');
} catch (error) {
  console.error(`${step}: ${error.message}`);
  process.exitCode = 1;
} finally {
  await browser.close();
  servers.forEach((server) => server.close());
}

async function newPage() {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  return page;
}

/** Opens Web Chat with a bot. Returns its send box, and a list of what goes wrong in the page. */
async function open(page, bot) {
  return join(page, await generate(bot), user.id, true);
}

/** Opens Web Chat in a conversation that a token is for. */
async function join(page, { token, conversationId }, userID, webSocket) {
  const problems = [];
  page.on('pageerror', (error) => problems.push(error.message));
  await page.goto(origin);
  await page.evaluate(
    ([domain, token, userID, webSocket]) => {
      const directLine = WebChat.createDirectLine({ domain, token, webSocket });
      WebChat.renderWebChat({ directLine, userID, locale: 'en-US' }, document.getElementById('chat'));
    },
    [domain, token, userID, webSocket],
  );
  const box = page.locator('[data-testid="send box text area"], .webchat__send-box-text-box__input').first();
  await box.waitFor();
  return { box, problems, token, conversationId };
}

async function talk(page) {
  step = 'start a conversation';
  const { box, problems, token, conversationId } = await open(page, bot);
  const bubble = (text) => page.locator('.webchat__bubble', { hasText: text });
  await bubble('Welcome, Ann!').first().waitFor();

  step = 'send a message';
  await box.fill('hello');
  await box.press('Enter');
  await bubble('Echo: hello').waitFor();

  step = 'see the message as sent, once and above its answer';
  const own = page.locator('.webchat__bubble--from-user', { hasText: 'hello' });
  assert.equal(await own.count(), 1);
  const [question, answer] = [await own.boundingBox(), await bubble('Echo: hello').boundingBox()];
  assert.ok(question.y < answer.y, 'the answer stands above the question');
  await settled(page);

  step = 'press a button of the welcome card';
  await page.getByRole('button', { name: 'help', exact: true }).first().click();
  await page.locator('.webchat__bubble--from-user', { hasText: 'help' }).waitFor();
  await settled(page);

  step = 'send a file';
  const file = { name: 'dot.png', mimeType: 'image/png', buffer: Buffer.from(PICTURE, 'base64') };
  await page.locator('input[type="file"]').first().setInputFiles(file);
  // Web Chat reads a file asynchronously. A message that is sent before would not contain it.
  await page.locator('.webchat__attachment-icon--checked').waitFor();
  await box.fill('a picture');
  await box.press('Enter');
  await bubble('Echo: a picture').waitFor();
  // Web Chat shows its own copy, so the script also requests what the host stored.
  const { activities } = await call('GET', `/conversations/${conversationId}/activities`, token);
  const stored = activities.flatMap((activity) => activity.attachments ?? []).find(({ name }) => name === 'dot.png');
  const picture = Buffer.from(await (await fetch(stored.contentUrl)).arrayBuffer());
  assert.equal(picture.toString('base64'), PICTURE);
  await settled(page);

  step = 'lose the stream and go on';
  const { streamUrl } = await call('GET', `/conversations/${conversationId}`, token);
  const other = await page.context().newPage();
  await other.goto(`${origin}/empty`);
  const taken = await other.evaluate(
    (url) => new Promise((resolve) => Object.assign(new WebSocket(url), { onopen: () => resolve(true), onerror: () => resolve(false) })),
    streamUrl,
  );
  assert.ok(taken, 'a second stream of the conversation was refused');
  await box.fill('still there?');
  await box.press('Enter');
  await bubble('Echo: still there?').waitFor();
  await settled(page);
  assert.deepEqual(problems, []);
}

/** The buttons under a message that stand until one was pressed. */
async function choose(page) {
  step = 'see suggested actions';
  const { box, problems } = await open(page, told);
  const ask = async (...actions) => {
    const suggestedActions = { to: [], actions };
    await tell(box, { type: 'message', text: `Which of ${actions.length}?`, suggestedActions });
    await fromBot(page, `Which of ${actions.length}?`).last().waitFor();
  };
  const button = (name) => page.locator('.webchat__suggested-actions').getByRole('button', { name, exact: true });
  const red = { type: 'imBack', title: 'The red one', value: 'red' };
  const green = { type: 'postBack', title: 'The green one', value: { colour: 'green' } };
  await ask(red, green);
  await button('The red one').waitFor();
  assert.equal(await button('The green one').count(), 1);

  step = 'press one, which says its value';
  await button('The red one').click();
  await page.locator('.webchat__bubble--from-user').getByText('red', { exact: true }).waitFor();
  await fromBot(page, 'ok: red').waitFor();
  assert.equal(await button('The green one').count(), 0, 'they go once one was taken');
  await settled(page);

  step = 'press one that says nothing';
  await ask(red, green, { type: 'messageBack', title: 'The blue one', text: 'blue', displayText: 'Blue, please' });
  const own = page.locator('.webchat__bubble--from-user');
  const before = await own.count();
  await button('The green one').click();
  // Web Chat adds its own quotation marks.
  await fromBot(page, /ok: {.colour.:.green.}/).waitFor();
  assert.equal(await own.count(), before, 'the press is not shown');

  step = 'press one that shows another text than it says';
  await ask(green, { type: 'messageBack', title: 'The blue one', text: 'blue', displayText: 'Blue, please' });
  await button('The blue one').click();
  await page.locator('.webchat__bubble--from-user').getByText('Blue, please', { exact: true }).waitFor();
  await fromBot(page, 'ok: blue').waitFor();
  await settled(page);
  assert.deepEqual(problems, []);
}

/** A message that comes in pieces is one message, which grows. */
async function stream(page) {
  step = 'see the first piece of a stream';
  const pieces = [];
  page.on('websocket', (socket) =>
    socket.on('framereceived', ({ payload }) => {
      const { activities = [] } = payload ? JSON.parse(payload) : {};
      pieces.push(...activities.filter(({ channelData }) => channelData?.streamType));
    }),
  );
  const { box, problems } = await open(page, told);
  const info = (streamType, more) => ({ entities: [{ type: 'streaminfo', streamType, ...more }] });
  await tell(box, { type: 'typing', text: 'Once', ...info('streaming', { streamSequence: 1 }) });
  await fromBot(page, 'Once').waitFor();
  const streamId = pieces[0].id;

  step = 'see it grow';
  await tell(box, { type: 'typing', text: 'Once upon', ...info('streaming', { streamId, streamSequence: 2 }) });
  await fromBot(page, 'Once upon').waitFor();
  assert.equal(await fromBot(page, 'Once').count(), 1, 'the second piece took the place of the first');

  step = 'see it end';
  await tell(box, { type: 'message', text: 'Once upon a time.', ...info('final', { streamId }) });
  await fromBot(page, 'Once upon a time.').waitFor();
  assert.equal(await fromBot(page, 'Once').count(), 1, 'the message took the place of the pieces');
  assert.deepEqual(pieces.map(({ channelData }) => channelData.streamType), ['streaming', 'streaming', 'final']);
  await settled(page);
  assert.deepEqual(problems, []);
}

/** Two users in one conversation: Ann at the stream, Ben polling, as a conversation has one stream. */
async function group(annsPage, bensPage) {
  step = 'join a conversation of two';
  const token = await call('POST', '/tokens/generate', undefined, { bot: told });
  const ann = await join(annsPage, token, 'ann', true);
  const ben = await join(bensPage, token, 'ben', false);
  const say = async (box, text) => {
    await box.fill(text);
    await box.press('Enter');
  };
  const said = (page, text) => page.locator('.webchat__bubble').getByText(text, { exact: true });

  step = 'see in a group what the other says, and the answer';
  await say(ann.box, 'hello from Ann');
  await said(bensPage, 'hello from Ann').waitFor();
  await fromBot(bensPage, 'ok: hello from Ann').waitFor();
  await say(ben.box, 'hello from Ben');
  await said(annsPage, 'hello from Ben').waitFor();
  await fromBot(annsPage, 'ok: hello from Ben').waitFor();

  step = 'see in a group the buttons of a question, if one is asked';
  const rome = (page) => page.locator('.webchat__suggested-actions').getByRole('button', { name: 'Rome', exact: true });
  await say(ann.box, 'book');
  await rome(annsPage).waitFor();
  await fromBot(bensPage, 'Where to?').waitFor();
  assert.equal(await rome(bensPage).count(), 0, 'Ben was not asked');

  step = 'answer in a group for nobody else';
  await say(ben.box, 'Oslo');
  await fromBot(annsPage, 'ok: Oslo').waitFor();
  await say(ann.box, 'Rome');
  await fromBot(bensPage, 'When do you want to go to Rome?').waitFor();
  await settled(annsPage);
  await settled(bensPage);
  assert.deepEqual([...ann.problems, ...ben.problems], []);
}

function fromBot(page, text) {
  return page.locator('.webchat__bubble:not(.webchat__bubble--from-user)', { hasText: text });
}

/** Has the bot send an activity. */
async function tell(box, activity) {
  await box.fill(`send ${JSON.stringify(activity)}`);
  await box.press('Enter');
}

/** Waits until Web Chat takes everything for sent. */
async function settled(page) {
  const pending = page.getByText(/^(Sending|Send failed)/);
  await page.waitForFunction(() => !/Sending|Send failed/.test(document.getElementById('chat').innerText));
  assert.equal(await pending.count(), 0);
}

/** A page of another origin gets nothing, not even a token. */
async function stranger(page, url) {
  step = 'keep a foreign page out';
  await page.goto(url);
  const read = await page.evaluate(async (domain) => {
    const body = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' };
    return fetch(`${domain}/tokens/generate`, body).then(() => 'read', () => 'refused');
  }, domain);
  assert.equal(read, 'refused');
}

async function generate(bot) {
  return call('POST', '/tokens/generate', undefined, { bot, user });
}

async function call(method, path, token, body) {
  const headers = { 'content-type': 'application/json' };
  if (token) headers.authorization = `Bearer ${token}`;
  const response = await fetch(domain + path, { method, headers, body: body && JSON.stringify(body) });
  assert.ok(response.ok, `${method} ${path} answered ${response.status}: ${await response.clone().text()}`);
  return response.json();
}

async function serve(port) {
  const server = createServer((request, response) => {
    if (request.url === '/webchat.js') {
      response.setHeader('content-type', 'text/javascript');
      createReadStream(WEB_CHAT).pipe(response);
    } else {
      response.setHeader('content-type', 'text/html');
      response.end(PAGE);
    }
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(Number(port), '127.0.0.1', resolve));
  return server;
}
