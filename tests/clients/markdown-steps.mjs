// The cost of Markdown in the chat page: the number of steps is linear in the length of the text. The script counts steps instead of
// measuring time, so that the result does not depend on the machine.
//
// usage: node markdown-steps.mjs FOLDER_OF_THE_PAGE
//
// Exit status: 0 all checks passed, 1 a check failed, 2 wrong usage.

import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [page] = process.argv.slice(2);
if (!page) {
  console.error('usage: node markdown-steps.mjs FOLDER_OF_THE_PAGE');
  process.exit(2);
}

/** Texts that make bad parsers slow, each repeated to so many characters. */
const SLOW = ['*', '**a', '*a ', '_a_', '[', '[a](', '![', '[](', ']', '`', '`a``', '> ', '>', '- ', '- a\n', '1. ', '# ', '#', '\\', '<', '<https://a', 'https://a.test ', '~~~', '~', '~~a', '&', '&amp;', '\n', 'a\n', '*_', '*_a', '[*', '](a', '`*[', '((', '[a](b"', ' ', '\t', '- - ', '* * ', '```\n', '~~~a`\n', '\u202e', '👍', '\ud83d', '  - a\n'];

/** What is not linear, to show that the counter sees it: in loops, in patterns, in copies. */
const QUADRATIC = {
  loop: 'for (const a of text) for (const b of text) if (a !== b) return b;',
  pattern: 'for (const a of text) if (/c.*d/.test(text)) return a;',
  copy: 'let copy = []; for (const a of text) copy = [...copy, a]; return copy;',
};

/** As few texts as show every bound of the page at work (2,048 characters of a URL), and eight times as much. */
const [FEW, MANY] = [4_000, 32_000];
/** Eight, and something for what is the same for every text. */
const GROWTH_MAX = 12;

/** The engine's own functions that go through a text or a list; they add what they went through here. */
let handled = 0;
let isCounting = false;

const folder = mkdtempSync(join(tmpdir(), 'markdown-steps-'));
try {
  // Node treats scripts as modules if a package.json says so.
  for (const script of ['markdown.js', 'dom.js']) cpSync(join(page, script), join(folder, script));
  const quadratic = Object.entries(QUADRATIC).map(([name, body]) => `export function ${name}(text) { ${body} }`);
  writeFileSync(join(folder, 'quadratic.js'), quadratic.join('\n'));
  writeFileSync(join(folder, 'elements.js'), `(${elements})();`);
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  const load = (script) => import(pathToFileURL(join(folder, script)));

  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  await load('elements.js');
  const { markdown } = await load('markdown.js');
  countNatives();

  /** How often each block of the scripts runs for a text, and what natives go through. */
  const steps = async (work, piece, chars) => {
    const text = piece.repeat(Math.ceil(chars / piece.length)).slice(0, chars);
    await session.post('Profiler.takePreciseCoverage');
    handled = 0;
    isCounting = true;
    work(text);
    isCounting = false;
    const { result } = await session.post('Profiler.takePreciseCoverage');
    const scripts = result.filter(({ url }) => url.includes('markdown-steps-'));
    const ran = scripts.flatMap(({ functions }) => functions.flatMap(({ ranges }) => ranges.map(({ count }) => count)));
    return handled + ran.reduce((sum, count) => sum + count, 0);
  };

  const twice = [await steps(markdown, SLOW[0], FEW), await steps(markdown, SLOW[0], FEW)];
  assert.equal(twice[0], twice[1], 'the same text takes the same steps');
  for (const [name, work] of Object.entries(await load('quadratic.js'))) {
    const [few, many] = [await steps(work, 'a', FEW / 10), await steps(work, 'a', MANY / 10)];
    assert.ok(many > GROWTH_MAX * few, `${name} passes for linear: ${few} and ${many} steps`);
  }
  for (const piece of SLOW) {
    const [few, many] = [await steps(markdown, piece, FEW), await steps(markdown, piece, MANY)];
    const told = `${JSON.stringify(piece)}: ${FEW} characters take ${few} steps, ${MANY} take ${many}`;
    assert.ok(many < GROWTH_MAX * few, told);
    const text = piece.repeat(Math.ceil(MANY / piece.length)).slice(0, MANY);
    let depth = 1;
    for (let level = markdown(text); level.length > 0; depth += 1) level = level.flatMap(({ children }) => children ?? []);
    assert.ok(depth < 60, `${JSON.stringify(piece)} is ${depth} elements deep`);
  }
  console.log('markdown-steps.mjs: all held');
} finally {
  rmSync(folder, { recursive: true });
}

/** As much of elements as the page's Markdown needs; part of what is counted. It becomes a script of its own. */
function elements() {
  class Element {
    constructor(tag) {
      this.tagName = tag.toUpperCase();
      this.childNodes = [];
    }
    get children() {
      return this.childNodes.filter((node) => node instanceof Element);
    }
    setAttribute(name, value) {
      this[name] = value;
    }
    append(node) {
      this.childNodes.push(node);
    }
    get textContent() {
      let text = '';
      for (const node of this.childNodes) text += typeof node === 'string' ? node : node.textContent;
      return text;
    }
    set textContent(text) {
      this.childNodes = [text];
    }
    querySelectorAll(tag) {
      const found = [];
      for (const [place, node] of this.childNodes.entries()) {
        if (!(node instanceof Element)) continue;
        if (node.tagName === tag.toUpperCase()) {
          node.replaceWith = (text) => (this.childNodes[place] = text);
          found.push(node);
        }
        found.push(...node.querySelectorAll(tag));
      }
      return found;
    }
  }
  class HTMLAnchorElement extends Element {}
  globalThis.Element = Element;
  globalThis.HTMLAnchorElement = HTMLAnchorElement;
  globalThis.document = { createElement: (tag) => (tag === 'a' ? new HTMLAnchorElement(tag) : new Element(tag)) };
}

function countNatives() {
  // What a pattern goes through: up to the end of what it finds, else the text, unless it may match in one place only. The page's
  // patterns of that kind have bounds themselves.
  count(RegExp.prototype, ['exec'], ({ sticky, global }, [text], found, from) => {
    const begin = sticky || global ? from : 0;
    if (found) return found.index + found[0].length - begin + 1;
    return sticky ? 1 : text.length - begin + 1;
  });
  count(String.prototype, ['split', 'trim', 'trimStart', 'trimEnd', 'includes', 'indexOf'], (text) => text.length + 1);
  count(String.prototype, ['slice', 'repeat', 'replaceAll', 'replace'], (text, args, made) => made.length + 1);
  count(Array.prototype, ['slice', 'splice', 'join', 'flat', 'flatMap', 'map'], (list, args, made) => made.length + 1);
  count(Array.prototype, [Symbol.iterator], (list) => list.length + 1);
}

/** Puts a counter around functions of the engine: what a call costs follows from its receiver, arguments and result. */
function count(prototype, names, cost) {
  for (const name of names) {
    const native = prototype[name];
    prototype[name] = function counted(...args) {
      const from = this.lastIndex;
      const result = native.apply(this, args);
      if (isCounting) {
        isCounting = false;
        handled += cost(this, args, result, from);
        isCounting = true;
      }
      return result;
    };
  }
}
