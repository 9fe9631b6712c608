// Drives the chat page in Chromium, by keyboard only, on a desktop and on a phone.
//
// usage: node page.mjs BASE_URL BOT COMPONENT
//
// BOT has the plugins `welcome` and `hostile` and was loaded once; COMPONENT is the file of `hostile`, which the script
// changes to see the page notice. Exit status: 0 all held, 1 something did not, 2 wrong usage, 3 no browser here.

import assert from 'node:assert/strict';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

import { launchOptions } from './browser.mjs';

/** How long anything may take. Only a broken host or page lets it pass. */
const PATIENCE_MS = 60_000;
/** Presses of Tab until something must have had the focus. */
const TABS_MAX = 40;

const [base, bot, component] = process.argv.slice(2);
if (!component) {
  console.error('usage: node page.mjs BASE_URL BOT COMPONENT');
  process.exit(2);
}

const browser = await chromium.launch(launchOptions());
try {
  await onDesktop();
  await onPhone();
  console.log('page.mjs: all held');
} finally {
  await browser.close();
}

async function onDesktop() {
  const page = await open({ viewport: { width: 1200, height: 800 } });
  await welcomes(page);
  await answers(page);
  await showsTurnAndJson(page);
  await showsErrors(page);
  await showsTextAsText(page);
  await showsNewGenerations(page);
  await startsAnew(page);
  await page.close();
}

/** Opens the page, and fails where anything in it fails later. */
async function open(options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.on('pageerror', (error) => assert.fail(`an error in the page: ${error.stack}`));
  // Violations of the content security policy are reported here, too.
  page.on('console', (message) => message.type() === 'error' && assert.fail(`an error in the console: ${message.text()}`));
  await page.goto(`${base}#${encodeURIComponent(bot)}`);
  await page.locator('#connection[data-state="online"]').waitFor();
  // What one reloads to see new logic would be gone.
  await page.evaluate(() => (globalThis.wasNotReloaded = true));
  return page;
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

async function onPhone() {
  const page = await open({ viewport: { width: 360, height: 640 }, isMobile: true, hasTouch: true, colorScheme: 'dark' });
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
  const { scrollWidth, innerWidth } = await page.evaluate(() => ({ scrollWidth: document.documentElement.scrollWidth, innerWidth }));
  assert.ok(scrollWidth <= 360 && innerWidth <= 360, `nothing is wider than the screen: ${scrollWidth}, ${innerWidth}`);
  for (const id of ['#send', '#restart', '#bots-toggle']) {
    const { x, width, height } = await page.locator(id).boundingBox();
    assert.ok(x >= 0 && x + width <= 360 && height >= 32, `${id} can be reached with a finger`);
  }
  await page.close();
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
