// Runs the unmodified Microsoft 365 Agents Playground from npm in Chromium, as the channel of a bot that books
// trips and also executes the commands of the hostile guest.
//
// usage: node playground.mjs ENDPOINT PORT     e.g. node playground.mjs http://localhost:3978/api/bots/demo/messages 56150
//
// The Playground listens on PORT. Its `serviceUrl` is http://localhost:PORT/_connector, so that origin must be one of the
// host's `channel.connector-origins`. The bot has the plugins `travel` and `tests/guests/hostile`. Environment: CHROMIUM, the
// browser's path. Exit status: 0 all checks passed, 1 a check failed (see the last line), 2 wrong usage, 3 no browser.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { launchOptions } from './browser.mjs';

/** One step of the conversation. Only a broken host lets it pass. */
const PATIENCE_MS = 45_000;
const CLI = fileURLToPath(new URL('node_modules/@microsoft/m365agentsplayground/cli.js', import.meta.url));

const [endpoint, port] = process.argv.slice(2);
if (!endpoint || !port) {
  console.error('usage: node playground.mjs ENDPOINT PORT');
  process.exit(2);
}
let step = 'start';

const browser = await chromium.launch(launchOptions());
// The Playground writes its log into the folder that it is started in.
const folder = mkdtempSync(join(tmpdir(), 'playground-'));
const playground = spawn(process.execPath, [CLI, 'start', '-e', endpoint, '-p', port, '--disable-telemetry'], {
  cwd: folder,
  env: { ...process.env, APPLICATION_INSIGHTS_NO_STATSBEAT: '1' },
  stdio: ['ignore', 'pipe', 'inherit'],
});
try {
  step = 'start the Playground';
  await listening(playground);
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const problems = [];
  page.on('pageerror', (error) => problems.push(error.message));
  await page.goto(`http://localhost:${port}/`, { waitUntil: 'domcontentloaded' });
  await inPersonalChat(page);
  await inGroupChat(page);
  assert.deepEqual(problems, []);
  console.log('Playground: ok');
} catch (error) {
  console.error(`${step}: ${error.message}`);
  process.exitCode = 1;
} finally {
  await browser.close();
  playground.kill();
  rmSync(folder, { recursive: true, force: true });
}

async function inPersonalChat(page) {
  step = 'get an answer';
  await say(page, 'hello');
  await heard(page, 'ok: hello').waitFor();

  step = 'choose by a suggested action';
  await say(page, 'book');
  await heard(page, 'Where to?').waitFor();
  await page.getByRole('button', { name: 'Rome', exact: true }).click();
  await heard(page, 'When do you want to go to Rome?').waitFor();
  await say(page, 'cancel');
  await heard(page, 'No trip was booked.').waitFor();

  step = 'keep what the Playground does not delete, and go on';
  // The Playground answers DELETE with 501.
  await say(page, 'unsend-sent');
  await heard(page, 'gone').waitFor();
  await say(page, 'still here?');
  await heard(page, 'ok: still here?').waitFor();
  assert.equal(await page.getByRole('paragraph').filter({ hasText: 'gone' }).count(), 1);
}

async function inGroupChat(page) {
  step = 'get choices as a card in a group';
  await page.getByRole('treeitem', { name: 'Group Chat' }).click();
  await say(page, 'book', 'Test Bot');
  await heard(page, 'Where to?').waitFor();
  for (const name of ['Lisbon', 'Oslo', 'Rome']) {
    await page.getByRole('button', { name, exact: true }).waitFor();
  }

  step = 'choose by saying so in a group';
  // The town differs from that in the personal chat, whose last lines the page may still show.
  await say(page, 'Oslo', 'Test Bot');
  await heard(page, 'When do you want to go to Oslo?').waitFor();
}

/** What the page shows of a text: the message, the preview of its chat, the line in the log. */
function heard(page, text) {
  return page.getByText(text, { exact: true }).first();
}

/** Writes and sends a message. In a group, whoever is mentioned first gets it. */
async function say(page, text, mentioned) {
  await page.getByRole('textbox').click();
  if (mentioned) {
    await page.keyboard.type('@');
    await page.getByRole('menuitem', { name: mentioned }).click();
    await page.keyboard.type(' ');
  }
  await page.keyboard.type(text);
  await page.getByRole('button', { name: 'Send Message' }).click();
}

/** Waits until the Playground says that it listens. */
function listening(child) {
  return new Promise((resolve, reject) => {
    let said = '';
    child.stdout.on('data', (chunk) => {
      said += chunk;
      const [, found] = said.match(/Listening on (\d+)\s/) ?? [];
      if (found === port) resolve();
      // The Playground takes another port if this one is in use.
      else if (found) reject(new Error(`port ${port} is taken`));
    });
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`the Playground ended with ${code} before it listened: ${said}`)));
  });
}
