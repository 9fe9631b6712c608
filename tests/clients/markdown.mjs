// Markdown of the chat page in Chromium: it creates only elements of a small subset, and never runs or loads anything.
// markdown-steps.mjs checks that it takes linear time.
//
// usage: node markdown.mjs BASE_URL
//
// Exit status: 0 all checks passed, 1 a check failed, 2 wrong usage, 3 no browser on this machine.

import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

import { launchOptions } from './browser.mjs';

const [base] = process.argv.slice(2);
if (!base) {
  console.error('usage: node markdown.mjs BASE_URL');
  process.exit(2);
}

/** Markdown, and the elements that are made of it. `«…»` is a link: its target, then what it shows. */
const SHOWN = [
  ['plain', '<p>plain</p>'],
  ['', ''],
  ['  \n\n ', ''],
  ['two\nlines', '<p>two<br>lines</p>'],
  ['one\r\n\r\ntwo', '<p>one</p><p>two</p>'],
  ['*a* _b_ **c** __d__ ~~e~~', '<p><em>a</em> <em>b</em> <strong>c</strong> <strong>d</strong> <s>e</s></p>'],
  ['***a*** **b *c***', '<p><em><strong>a</strong></em> <strong>b <em>c</em></strong></p>'],
  ['2 * 3 * 4, snake_case_name, a ~ b, ~c~', '<p>2 * 3 * 4, snake_case_name, a ~ b, ~c~</p>'],
  ['**open', '<p>**open</p>'],
  ['*a **b* c**', '<p>*a <strong>b* c</strong></p>'],
  ['\\*a\\* \\[b](http://c.test) \\q', '<p>*a* [b](«http://c.test/|http://c.test») \\q</p>'],
  ['`a*b*` ``c`d`` `open', '<p><code>a*b*</code> <code>c`d</code> `open</p>'],
  ['# One #\n## Two\n####### no', '<h4>One</h4><h5>Two</h5><p>####### no</p>'],
  ['#no\n# C#', '<p>#no</p><h4>C#</h4>'],
  ['---\n***\n- - -', '<hr><hr><hr>'],
  ['> a\n> b\n>\n> > c', '<blockquote><p>a<br>b</p><blockquote><p>c</p></blockquote></blockquote>'],
  ['- a\n- b\n  - c\n- d', '<ul><li>a</li><li>b<ul><li>c</li></ul></li><li>d</li></ul>'],
  ['3. a\n4. b', '<ol start="3"><li>a</li><li>b</li></ol>'],
  ['1. a\n\n2. b\n\nend', '<ol><li>a</li><li>b</li></ol><p>end</p>'],
  ['- a\n* b', '<ul><li>a</li></ul><ul><li>b</li></ul>'],
  ['- a\n\n  b\n- c', '<ul><li>a<p>b</p></li><li>c</li></ul>'],
  ['say:\n- a', '<p>say:</p><ul><li>a</li></ul>'],
  ['```rust\nlet a = "*b*";\n\n<b>\n```\nend', '<pre><code>let a = "*b*";\n\n&lt;b&gt;</code></pre><p>end</p>'],
  ['~~~\nopen', '<pre><code>open</code></pre>'],
  ['-5 °C and 1.5', '<p>-5 °C and 1.5</p>'],
  ['[a *b*](https://c.test "d") e', '<p>«https://c.test/|a <em>b</em>» e</p>'],
  ['[a](http://b.test/c_(d)) <https://e.test> <mailto:f@g.test>', '<p>«http://b.test/c_(d)|a» «https://e.test/|https://e.test» «mailto:f@g.test|mailto:f@g.test»</p>'],
  ['see https://a.test/b_c_d, or (http://e.test).', '<p>see «https://a.test/b_c_d|https://a.test/b_c_d», or («http://e.test/|http://e.test»).</p>'],
  ['xhttps://a.test', '<p>xhttps://a.test</p>'],
  ['![a picture](https://b.test/c.png)', '<p>«https://b.test/c.png|a picture»</p>'],
  ['a &amp; b &lt;c&gt; &copy; &#106;', '<p>a &amp; b &lt;c&gt; &amp;copy; &amp;#106;</p>'],
  ['👍🏽 *é* naïve_text_é', '<p>👍🏽 <em>é</em> naïve_text_é</p>'],
];

/** What must stay text, and lead nowhere. */
const HOSTILE = [
  '<script>alert(1)</script>',
  '<img src=x onerror=alert(1)>',
  '<a href="javascript:alert(1)">x</a>',
  '<svg/onload=alert(1)>',
  '<iframe srcdoc="<script>alert(1)</script>">',
  '[x](javascript:alert(1))',
  '[x](JaVaScRiPt:alert(1))',
  '[x](java\tscript:alert(1))',
  '[x](java\nscript:alert(1))',
  '[x](\u0001javascript:alert(1))',
  '[x](\u00a0javascript:alert(1))',
  '[x](&#106;avascript:alert(1))',
  '[x](javascript&colon;alert(1))',
  '[x](javascript:alert(1)//https://a.test)',
  '[x](vbscript:msgbox(1))',
  '[x](data:text/html,<script>alert(1)</script>)',
  '[x](data:text/html;base64,PHNjcmlwdD4=)',
  '[x](file:///etc/passwd)',
  '[x](blob:https://a.test/b)',
  '[x](//a.test)',
  '[x](/dev/bots)',
  '[x](#y)',
  '![x](javascript:alert(1))',
  '![x](data:image/svg+xml,<svg onload=alert(1)>)',
  '<javascript:alert(1)>',
  '[![x](javascript:alert(1))](javascript:alert(2))',
  '`<img src=x onerror=alert(1)>`',
  '```<img src=x onerror=alert(1)>\n<script>alert(1)</script>\n```',
  '# <img src=x onerror=alert(1)>',
  '> - <img src=x onerror=alert(1)>',
  '[x]: javascript:alert(1)\n\n[x]',
  '**<b onmouseover=alert(1)>x</b>**',
];

const browser = await chromium.launch(launchOptions());
try {
  const page = await browser.newPage();
  page.on('dialog', () => assert.fail('a script ran'));
  page.on('pageerror', (error) => assert.fail(`an error in the page: ${error.stack}`));
  const asked = [];
  page.on('request', (request) => asked.push(request.url()));
  await page.goto(base);
  await page.evaluate(async () => {
    const { markdown } = await import('/page/markdown.js');
    globalThis.made = (text) => {
      const root = document.createElement('div');
      root.append(...markdown(text));
      return root;
    };
  });

  for (const [text, wanted] of SHOWN) assert.equal(await shown(page, text), wanted, JSON.stringify(text));

  for (const text of HOSTILE) {
    const found = await page.evaluate((text) => {
      const root = made(text);
      document.body.append(root);
      const elements = [...root.querySelectorAll('*')].map((element) => element.tagName.toLowerCase());
      const attributes = [...root.querySelectorAll('*')].flatMap((element) => element.getAttributeNames());
      const targets = [...root.querySelectorAll('a')].map((a) => a.href);
      return { elements, attributes, targets, text: root.textContent };
    }, text);
    const of = JSON.stringify({ text, ...found });
    const allowed = ['p', 'br', 'h4', 'blockquote', 'ul', 'li', 'pre', 'code', 'strong', 'a'];
    assert.ok(found.elements.every((name) => allowed.includes(name)), of);
    assert.ok(found.attributes.every((name) => ['class', 'tabindex', 'role', 'aria-label', 'href', 'target', 'rel', 'title'].includes(name)), of);
    assert.ok(found.targets.every((target) => target.startsWith('https://a.test')), of);
  }

  // A link shows its target if its text does not, and the target page has no access to this page.
  const link = await page.evaluate(() => {
    const { href, rel, target, title } = made('[https://bank.test](https://user@evil.test/\u202e)').querySelector('a');
    return { href, rel, target, title };
  });
  assert.deepEqual(link, { href: 'https://user@evil.test/%E2%80%AE', rel: 'noopener noreferrer', target: '_blank', title: 'https://user@evil.test/%E2%80%AE' });

  const marks = '*_~`[]()<>!#-\\ \nab1.&;:/h';
  await page.evaluate((marks) => {
    // No input throws an error or loses a character.
    let seed = 1;
    const next = (below) => (seed = (seed * 48271) % 2147483647) % below;
    for (let round = 0; round < 3000; round += 1) {
      const text = Array.from({ length: 1 + next(60) }, () => marks[next(marks.length)]).join('');
      const kept = (text) => text.replace(/[^ab]/g, '');
      const told = made(text).textContent;
      const info = /^ {0,3}(`{3,}|~{3,})/m.test(text);
      if (!info && kept(told.replaceAll('&', '')) !== kept(text) && !text.includes('](')) throw new Error(JSON.stringify([text, told]));
    }
  }, marks);

  assert.deepEqual(asked.filter((url) => !/^(http|ws)s?:\/\/(127\.0\.0\.1|localhost)/.test(url)), [], 'nothing was loaded from elsewhere');
  console.log('markdown.mjs: all held');
} finally {
  await browser.close();
}

/** The elements of a text, without what all of a kind have. */
async function shown(page, text) {
  const html = await page.evaluate((text) => made(text).innerHTML, text);
  const bare = html.replaceAll(/<pre [^>]*>/g, '<pre>');
  const links = /<a href="([^"]*)" target="_blank" rel="noopener noreferrer"(?: title="[^"]*")?>(.*?)<\/a>/gs;
  return bare.replaceAll(links, '«$1|$2»');
}
