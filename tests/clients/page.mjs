// Runs the chat page in Chromium, with the keyboard only, on a desktop and on a phone.
//
// usage: node page.mjs BASE_URL BOT COMPONENT
//
// The host also has the name `turntable.test`. BOT has the plugins `welcome` and `hostile` and was loaded once. COMPONENT is the
// file of `hostile`, which the script changes to test that the page notices. Exit status: 0 all checks passed, 1 a check failed, 2 wrong usage, 3 no browser.

import assert from 'node:assert/strict';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { chromium } from 'playwright-core';

import { launchOptions } from './browser.mjs';

/** How long anything may take. Only a broken host or page lets it pass. */
const PATIENCE_MS = 60_000;
/** Presses of Tab until something must have had the focus. */
const TABS_MAX = 200;
const PICTURE = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

const [base, bot, component] = process.argv.slice(2);
if (!component) {
  console.error('usage: node page.mjs BASE_URL BOT COMPONENT');
  process.exit(2);
}

const way = await wayTo(new URL(base));
const options = launchOptions();
// A phone on the same network uses plain HTTP and a name that browsers do not trust as they trust localhost.
const fromAfar = new URL(base);
fromAfar.hostname = 'turntable.test';
const mapped = [new URL(base), fromAfar].map(({ host }) => `MAP ${host} ${way.address}`);
options.args.push(`--host-resolver-rules=${mapped.join(',')}`);
const browser = await chromium.launch(options);
try {
  await onDesktop();
  await onPhone();
  console.log('page.mjs: all held');
} finally {
  await browser.close();
  way.end();
}

async function onDesktop() {
  const page = await open({ viewport: { width: 1200, height: 800 } });
  await welcomes(page);
  await answers(page);
  await showsTurnAndJson(page);
  await showsErrors(page);
  await showsTextAsText(page);
  await showsMarkdown(page);
  await sendsFiles(page);
  await submitsCards(page);
  await showsCarousels(page);
  await showsStreams(page);
  await showsEditsAndDeletions(page);
  await comesBack(page);
  await showsNewGenerations(page);
  await startsAnew(page);
  await survivesReloads(page);
  await saysWhatWasForgotten(page);
  await givesWayToAnotherTab(page);
  await page.close();
}

/** Opens the page, and fails where anything in it fails later. */
async function open(options, at = base) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.on('pageerror', (error) => assert.fail(`an error in the page: ${error.stack}`));
  // Violations of the content security policy are reported here too.
  page.on('console', (message) => message.type() === 'error' && !isOfCutWay(message) && !isOfPlainHttp(message) && !isOfForgotten(message) && assert.fail(`an error in the console: ${message.text()}`));
  await page.goto(`${at}#${encodeURIComponent(bot)}`);
  await page.locator('#connection[data-state="online"]').waitFor();
  // A later check uses this mark to see that the page was not reloaded.
  await page.evaluate(() => (globalThis.wasNotReloaded = true));
  return page;
}

/** Browsers report a connection that is lost, which here is meant to be. */
function isOfCutWay(message) {
  return /net::ERR_(CONNECTION|EMPTY|INCOMPLETE|NETWORK|SOCKET)/.test(message.text());
}

/** A header that counts over HTTPS, and on localhost, only. */
function isOfPlainHttp(message) {
  return message.text().startsWith('The Cross-Origin-Opener-Policy header has been ignored');
}

/** Browsers report what the host refuses. */
function isOfForgotten(message) {
  return /status of 40[134]/.test(message.text()) && message.location().url.includes('/v3/directline/conversations/');
}

async function welcomes(page) {
  await says(page, 'bot', 'Welcome, Guest!');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'text', 'one can write at once');
  await tabTo(page, '#suggestions button', 'Shift+Tab');
  await page.keyboard.press('Enter');
  await says(page, 'bot', 'ok: help');
  assert.equal(await page.locator('#suggestions button').count(), 0, 'suggestions go once one was taken');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'text', 'and one can go on writing');
}

async function answers(page) {
  await write(page, 'hello');
  await says(page, 'user', 'hello');
  await says(page, 'bot', 'ok: hello');
}

async function showsTurnAndJson(page) {
  const message = page.locator('.message.user', { hasText: 'hello' });
  await message.locator('.turn').waitFor();
  await tabTo(page, '.message.user:last-of-type summary, .message.user summary', 'Shift+Tab');
  await page.keyboard.press('Enter');
  const details = await message.locator('.turn[open] .turn-body').innerText();
  for (const part of [/hostile\s+[0-9a-f]{7}/, /\d (µs|ms|s), CPU \d/, /Generation\s+1/, /Waited\s+\d/, /Outcome\s+completed/]) {
    assert.match(details, part);
  }
  await tabTo(page, '[aria-label="JSON of this message from You"]', 'Shift+Tab');
  await page.keyboard.press('Enter');
  const activity = JSON.parse(await message.locator('pre.code').first().innerText());
  assert.equal(activity.text, 'hello');
  assert.equal(activity.type, 'message');
  await tabTo(page, '#text', 'Tab');
}

async function showsErrors(page) {
  await write(page, 'trap');
  const turn = page.locator('.message.user', { hasText: 'trap' }).locator('.turn.bad[open]');
  await turn.waitFor();
  const text = await turn.innerText();
  for (const part of ['hostile trapped', 'told to trap', 'Backtrace', 'End of stderr', 'hostile.wasm']) {
    assert.ok(text.includes(part), `${part} is not in: ${text}`);
  }
  await write(page, 'still there');
  await says(page, 'bot', 'ok: still there');
}

async function showsTextAsText(page) {
  const markup = '<img src=x onerror=alert(1)><b>bold</b>';
  await write(page, markup);
  await says(page, 'bot', `ok: ${markup}`);
  assert.equal(await page.locator('#log img, #log b').count(), 0);
}

/** What bots write as Markdown is shown as such, also on cards; what they call plain is not, nor what the user types. */
async function showsMarkdown(page) {
  const text = 'Hi **Ann**, see [the menu](https://menu.test):\n- *soup*\n- `bread`';
  await send(page, { type: 'message', text });
  const last = page.locator('.message.bot .content').last();
  await last.locator('strong', { hasText: /^Ann$/ }).waitFor();
  assert.equal(await last.locator('ul > li').count(), 2);
  assert.equal(await last.getByRole('link', { name: 'the menu' }).getAttribute('rel'), 'noopener noreferrer');
  await send(page, { type: 'message', text: '**as it is**', textFormat: 'plain' });
  await says(page, 'bot', '**as it is**');
  const hero = { contentType: 'application/vnd.microsoft.card.hero', content: { title: 'Card', text: 'so *good*' } };
  const block = { contentType: 'application/vnd.microsoft.card.adaptive', content: { type: 'AdaptiveCard', body: [{ type: 'TextBlock', text: 'or **better**' }] } };
  await send(page, { type: 'message', attachments: [hero, block] });
  await page.locator('.card em', { hasText: 'good' }).waitFor();
  await page.locator('.card strong', { hasText: 'better' }).waitFor();
  await write(page, '**mine**');
  await says(page, 'user', '**mine**');
}

async function sendsFiles(page) {
  await page.locator('#file').setInputFiles({ name: 'dot.png', mimeType: 'image/png', buffer: Buffer.from(PICTURE, 'base64') });
  await page.locator('#files', { hasText: 'dot.png' }).waitFor();
  await write(page, 'a picture');
  await says(page, 'bot', 'ok: a picture');
  const picture = page.locator('.message.user', { hasText: 'a picture' }).locator('img');
  await picture.waitFor();
  await page.waitForFunction((image) => image.complete && image.naturalWidth === 1, await picture.elementHandle());
  assert.equal(await page.locator('#files').isVisible(), false, 'a sent file is not offered again');
}

async function submitsCards(page) {
  const card = {
    type: 'AdaptiveCard',
    version: '1.5',
    body: [
      { type: 'TextBlock', text: 'Your trip', size: 'large' },
      { type: 'Input.Text', id: 'city', label: 'City', isRequired: true },
      { type: 'Input.Number', id: 'nights', label: 'Nights', value: 2 },
      { type: 'Input.Toggle', id: 'breakfast', title: 'With breakfast' },
      { type: 'Input.ChoiceSet', id: 'room', label: 'Room', choices: [{ title: 'Single', value: 's' }, { title: 'Double', value: 'd' }] },
    ],
    actions: [{ type: 'Action.Submit', title: 'Book it', data: { action: 'book' } }],
  };
  await send(page, { type: 'message', attachments: [{ contentType: 'application/vnd.microsoft.card.adaptive', content: card }] });
  const form = page.locator('form.adaptive').last();
  await form.waitFor();
  await form.getByRole('button', { name: 'Book it' }).focus();
  await page.keyboard.press('Enter');
  assert.ok(await form.locator('[name="city"]').evaluate((input) => !input.validity.valid), 'what is required is asked for');
  await tabTo(page, '[name="city"]', 'Shift+Tab');
  await page.keyboard.type('Oslo');
  await tabTo(page, '[name="breakfast"]', 'Tab');
  await page.keyboard.press('Space');
  await tabTo(page, '[name="room"]', 'Tab');
  await page.keyboard.type('Dou');
  await tabTo(page, 'form.adaptive .actions button', 'Tab');
  await page.keyboard.press('Enter');
  const reply = page.locator('.message.bot .content', { hasText: 'ok: {' });
  await reply.waitFor();
  const submitted = JSON.parse((await reply.innerText()).replace('ok: ', ''));
  assert.deepEqual(submitted, { action: 'book', breakfast: 'true', city: 'Oslo', nights: '2', room: 'd' });
}

async function showsCarousels(page) {
  const attachments = ['One', 'Two', 'Three', 'Four'].map((title) => ({
    contentType: 'application/vnd.microsoft.card.hero',
    content: { title, text: `Card ${title}`, buttons: [{ type: 'imBack', title: `Take ${title}`, value: `took ${title}` }] },
  }));
  await send(page, { type: 'message', attachmentLayout: 'carousel', attachments });
  const carousel = page.locator('.carousel').last();
  await carousel.waitFor();
  // All are measured at once, because the log may be scrolling.
  const tops = await carousel.evaluate((list) => [...list.children].map((card) => card.getBoundingClientRect().top));
  assert.equal(tops.length, 4);
  assert.ok(tops.every((top) => top === tops[0]), 'the cards stand side by side');
  await carousel.getByRole('button', { name: 'Take Three' }).focus();
  await page.keyboard.press('Enter');
  await says(page, 'bot', 'ok: took Three');
}

async function showsStreams(page) {
  const texts = (more) => page.locator(`.message.bot${more}`, { hasText: 'GENERATION-0000' });
  await write(page, 'stream 300');
  await texts('.partial').waitFor();
  await texts(':not(.partial)').waitFor();
  assert.equal(await texts('').count(), 1, 'the pieces became the message');
}

async function showsEditsAndDeletions(page) {
  await write(page, 'say-id');
  const ids = page.locator('.message.bot .content', { hasText: /^tt-/ });
  await ids.waitFor();
  const id = (await ids.innerText()).trim();
  const said = page.locator('.message.bot', { has: page.getByText('said', { exact: true }) });
  assert.equal(await said.count(), 1);
  await write(page, `edit-id ${id}`);
  await page.locator('.message.bot', { has: page.getByText('edited', { exact: true }) }).waitFor();
  assert.equal(await said.count(), 0);
  await write(page, `unsend-id ${id}`);
  await page.getByText('Message deleted').waitFor();
  assert.equal(await page.locator('.message.bot', { has: page.getByText('edited', { exact: true }) }).count(), 0);
}

/** Both connections are lost while a turn runs; what it did and said is there afterwards, once. */
async function comesBack(page) {
  const turns = await fetch(new URL(`/dev/turns?bot=${encodeURIComponent(bot)}`, base));
  await write(page, 'slow 1000');
  await page.locator('.message.user[data-id*="|"]', { hasText: 'slow 1000' }).waitFor();
  way.close();
  await page.locator('#connection[data-state="offline"]').waitFor();
  await ofMessage(turns);
  way.open();
  await page.locator('#connection[data-state="online"]').waitFor();
  await says(page, 'bot', 'second');
  await page.locator('.message.user', { hasText: 'slow 1000' }).locator('.turn').waitFor();
  assert.equal(await page.locator('.message.bot .content', { hasText: /^second$/ }).count(), 1);
  assert.equal(await page.locator('.message.user .content', { hasText: 'slow 1000' }).count(), 1);
  await page.locator('#trouble > *').waitFor({ state: 'detached' });
}

/** Waits until a feed tells that the turn of a message has ended. */
async function ofMessage(feed) {
  let text = '';
  for await (const bytes of feed.body) {
    text += Buffer.from(bytes).toString();
    if (text.includes('"kind":"message"')) return;
  }
  assert.fail(`the feed ended: ${text}`);
}

/** A way to the host that can be closed: connections on it are cut, and new ones refused. */
async function wayTo(target) {
  const sockets = new Set();
  const way = { isOpen: true };
  const server = createServer((near) => {
    if (!way.isOpen) return near.destroy();
    const far = connect(Number(target.port), target.hostname);
    for (const [from, to] of [[near, far], [far, near]]) {
      sockets.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => sockets.delete(from) && to.destroy());
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  way.address = `127.0.0.1:${server.address().port}`;
  way.open = () => (way.isOpen = true);
  way.close = () => {
    way.isOpen = false;
    sockets.forEach((socket) => socket.destroy());
  };
  way.end = () => {
    way.close();
    server.close();
  };
  return way;
}

/** The bot sends an activity. */
async function send(page, activity) {
  await write(page, `send ${JSON.stringify(activity)}`);
}

async function showsNewGenerations(page) {
  const original = readFileSync(component);
  replace(Buffer.from(original.toString('latin1').replace('GENERATION-0000', 'GENERATION-0001'), 'latin1'));
  const swap = page.locator('.notice.swap', { hasText: 'Generation 2 took over' });
  await swap.waitFor();
  assert.match(await swap.innerText(), /hostile [0-9a-f]{7} → [0-9a-f]{7}/);
  await write(page, 'generation');
  await says(page, 'bot', 'GENERATION-0001');
  replace(Buffer.from('no component'));
  const failure = page.locator('.notice.bad', { hasText: 'generation 2 goes on serving' });
  await failure.waitFor();
  assert.match(await failure.innerText(), /not a WebAssembly/);
  await write(page, 'as before');
  await says(page, 'bot', 'ok: as before');
  assert.ok(await page.evaluate(() => globalThis.wasNotReloaded));
  replace(original);
  await page.locator('.notice.swap', { hasText: 'Generation 3 took over' }).waitFor();
}

async function startsAnew(page) {
  await tabTo(page, '#restart', 'Shift+Tab');
  await page.keyboard.press('Enter');
  await says(page, 'bot', 'Welcome, Guest!');
  assert.equal(await page.locator('.message', { hasText: 'as before' }).count(), 0);
}

/** A reload shows the conversation again, in order, and goes on with it, as the same user. */
async function survivesReloads(page) {
  for (const text of ['before', 'before too']) {
    await write(page, text);
    await says(page, 'bot', `ok: ${text}`);
  }
  const texts = () => page.locator('.message .content').allInnerTexts();
  const shown = await texts();
  await page.reload();
  await says(page, 'bot', 'ok: before too');
  assert.deepEqual(await texts(), shown);
  assert.equal(await page.locator('.message.user').count(), 2);
  await page.locator('#connection[data-state="online"]').waitFor();
  await write(page, 'after');
  await says(page, 'bot', 'ok: after');
  assert.equal(await page.locator('.message', { hasText: 'Welcome, Guest!' }).count(), 1, 'the bot met nobody new');
}

/** Where the host forgot the conversation, the page begins another, and says so. */
async function saysWhatWasForgotten(page) {
  for (const change of [(kept) => (kept.id = '0'.repeat(32)), (kept) => (kept.token = 'none')]) {
    await page.evaluate(`(() => {
      const kept = JSON.parse(sessionStorage.turntable);
      (${change})(Object.values(kept.conversations)[0]);
      sessionStorage.turntable = JSON.stringify(kept);
    })()`);
    await page.reload();
    await page.locator('.notice', { hasText: 'no longer knows the conversation of before' }).waitFor();
    await says(page, 'bot', 'Welcome, Guest!');
    assert.equal(await page.locator('.message.user').count(), 0);
    await page.locator('#connection[data-state="online"]').waitFor();
    await write(page, 'anew');
    await says(page, 'bot', 'ok: anew');
  }
}

/** A tab that the browser duplicates has the same conversation; only one of them can hold its stream. */
async function givesWayToAnotherTab(page) {
  const kept = await page.evaluate(() => sessionStorage.turntable);
  const other = await page.context().newPage();
  await other.addInitScript((kept) => (sessionStorage.turntable = kept), kept);
  await other.goto(page.url());
  await says(other, 'bot', 'ok: anew');
  await page.locator('.notice', { hasText: 'goes on in another tab' }).waitFor();
  await other.locator('#connection[data-state="online"]').waitFor();
  await other.close();
}

async function onPhone() {
  const page = await open({ viewport: { width: 360, height: 640 }, isMobile: true, hasTouch: true, colorScheme: 'dark' }, fromAfar);
  assert.equal(await page.evaluate(() => isSecureContext), false, 'nothing is used that browsers keep for HTTPS');
  await write(page, 'a word that is much-too-long-for-one-line-'.repeat(6));
  await says(page, 'bot', 'ok: a word');
  await tabTo(page, '#bots-toggle', 'Shift+Tab');
  await page.keyboard.press('Enter');
  await page.locator('#bots').waitFor();
  assert.match(await page.locator('#bots').innerText(), /hostile/);
  await page.keyboard.press('Escape');
  await page.locator('#bots').waitFor({ state: 'hidden' });
  await write(page, 'trap');
  await page.locator('.turn.bad[open]').waitFor();
  await send(page, { type: 'message', text: `\`\`\`\n${'code '.repeat(80)}\n\`\`\`` });
  const code = page.locator('.message.bot pre.code').last();
  await code.waitFor();
  assert.ok(await code.evaluate((element) => element.scrollWidth > element.clientWidth), 'long lines scroll in their block');
  assert.ok(await page.locator('#log').evaluate((log) => log.scrollWidth <= log.clientWidth), 'and nowhere else');
  const { scrollWidth, innerWidth } = await page.evaluate(() => ({ scrollWidth: document.documentElement.scrollWidth, innerWidth }));
  const rest = await page.evaluate(() => document.documentElement.scrollHeight - innerHeight);
  assert.ok(rest <= 0, `the page itself does not scroll, by ${rest} px`);
  assert.ok(scrollWidth <= 360 && innerWidth <= 360, `nothing is wider than the screen: ${scrollWidth}, ${innerWidth}`);
  await hasTallButtons(page);
  for (const id of ['#send', '#restart', '#bots-toggle']) {
    const { x, width, height } = await page.locator(id).boundingBox();
    assert.ok(x >= 0 && x + width <= 360 && height >= 44, `${id} can be reached with a finger`);
  }
  await page.close();
}

/** Everything that can be pressed is at least 44 px tall, wherever it is. */
async function hasTallButtons(page) {
  const buttons = [{ type: 'imBack', title: 'Say it', value: 'it' }, { type: 'openUrl', title: 'Read it', value: 'https://a.test' }];
  const body = [
    { type: 'Input.Toggle', id: 'on', title: 'On' },
    { type: 'Input.Text', id: 'name', label: 'Name' },
    { type: 'Input.ChoiceSet', id: 'one', choices: [{ title: 'One', value: '1' }] },
    { type: 'Input.ChoiceSet', id: 'many', isMultiSelect: true, choices: [{ title: 'One', value: '1' }] },
  ];
  const attachments = [
    { contentType: 'application/vnd.microsoft.card.hero', content: { title: 'Hero', buttons } },
    { contentType: 'application/vnd.microsoft.card.adaptive', content: { type: 'AdaptiveCard', body, actions: [{ type: 'Action.Submit', title: 'Go' }] } },
    { contentType: 'text/plain', name: 'notes.txt', contentUrl: 'https://a.test/notes.txt' },
  ];
  const message = { type: 'message', attachments, suggestedActions: { actions: [...buttons, { type: 'imBack', title: 'No', value: 'no' }] } };
  await page.locator('#text').fill(`send ${JSON.stringify(message)}`);
  await page.keyboard.press('Enter');
  await page.locator('#suggestions button').last().waitFor();
  await page.locator('#file').setInputFiles({ name: 'a.png', mimeType: 'image/png', buffer: Buffer.from(PICTURE, 'base64') });
  await page.locator('#files button').waitFor();
  for (const isBots of [false, true]) {
    if (isBots) await page.locator('#bots-toggle').click();
    const small = await page.evaluate(() => {
      const all = document.querySelectorAll('button, .button, summary, .attach, .choice, .file, select, input:not([type="checkbox"], [type="radio"]), textarea');
      const boxes = [...all].filter((element) => element.checkVisibility()).map((element) => [element.outerHTML.slice(0, 80), element.getBoundingClientRect().height]);
      return { count: boxes.length, boxes: boxes.filter(([, height]) => height < 44) };
    });
    assert.deepEqual(small.boxes, [], 'too low for a finger');
    assert.ok(small.count > 15, `${small.count} of them`);
  }
  await page.keyboard.press('Escape');
}

async function write(page, text) {
  await tabTo(page, '#text', 'Tab');
  await page.keyboard.type(text);
  await page.keyboard.press('Enter');
}

async function says(page, who, text) {
  await page.locator(`.message.${who} .content`, { hasText: text }).first().waitFor();
}

/** Presses a key until an element that matches has the focus. */
async function tabTo(page, selector, key) {
  for (let presses = 0; presses < TABS_MAX; presses += 1) {
    if (await page.evaluate((selector) => document.activeElement.matches(selector), selector)) return;
    await page.keyboard.press(key);
  }
  assert.fail(`${TABS_MAX} presses of ${key} do not lead to ${selector}`);
}

/** Replaces the component at once, as build tools do. */
function replace(bytes) {
  writeFileSync(`${component}.new`, bytes);
  renameSync(`${component}.new`, component);
}
