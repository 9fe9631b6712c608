// Markdown as elements: what bots write, never as markup. Raw HTML stays text, links lead to http, https and mailto only,
// and pictures are links: a text must not load anything.
//
// The subset: paragraphs and line breaks, headings, lists, quotes, code, rules, emphasis, strong, struck out, links.
// Every function here takes time in proportion to the text, whatever the text is.

import { el, link, linkUrl } from "./dom.js";

/** Longer texts are shown as they are. */
const CHARS_MAX = 65_536;
/** Quotes and lists within each other. */
const BLOCK_DEPTH_MAX = 6;
/** Marks of one block that wait for their counterpart; further ones are text. */
const OPEN_MAX = 32;
const URL_CHARS_MAX = 2048;
/** Parentheses within each other in the target of a link. */
const PARENTHESES_MAX = 4;

const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+|$)/;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])([ \t]+|$)/;
const ANGLED_URL = /<((?:https?:\/\/|mailto:)[^\s<>]{1,2048})>/iy;
const BARE_URL = /https?:\/\/[^\s<>"`]{1,2048}/iy;
const ENTITY = /&(amp|lt|gt|quot|apos|nbsp|#39);/y;
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", "#39": "'", nbsp: "\u00a0" };

/** Makes the elements of a text. */
export function markdown(text) {
  if (text.length > CHARS_MAX) return [el("p", { text })];
  return blocks(text.split(/\r\n|\r|\n/), 0);
}

function blocks(lines, depth) {
  const made = [];
  let at = 0;
  while (at < lines.length) {
    if (isBlank(lines[at])) {
      at += 1;
      continue;
    }
    const [block, next] = blockAt(lines, at, depth);
    made.push(block);
    at = next;
  }
  return made;
}

/** Returns the block that begins at a line, and the line behind it. */
function blockAt(lines, at, depth) {
  const line = lines[at];
  const fence = fenceOf(line);
  if (fence) return codeBlock(lines, at, fence);
  const heading = HEADING.exec(line);
  // Level 3 is the message's own.
  if (heading) return [el(`h${Math.min(heading[1].length + 3, 6)}`, {}, inlines(headingText(line.slice(heading[0].length)))), at + 1];
  if (RULE.test(line)) return [el("hr"), at + 1];
  if (depth < BLOCK_DEPTH_MAX) {
    if (QUOTE.test(line)) return quote(lines, at, depth);
    if (ITEM.test(line)) return listBlock(lines, at, depth);
  }
  let end = at + 1;
  while (end < lines.length && !isBlank(lines[end]) && !beginsBlock(lines[end], depth)) end += 1;
  return [el("p", {}, inlines(lines.slice(at, end).join("\n"))), end];
}

function isBlank(line) {
  return line.trim() === "";
}

function beginsBlock(line, depth) {
  const isContainer = depth < BLOCK_DEPTH_MAX && (QUOTE.test(line) || ITEM.test(line));
  return isContainer || fenceOf(line) !== null || HEADING.test(line) || RULE.test(line);
}

/** Returns the fence that a line is, and what stands behind it. */
function fenceOf(line) {
  const [mark, fence] = FENCE.exec(line) ?? [];
  const info = mark && line.slice(mark.length);
  // Backticks behind backticks are code within a line.
  return !mark || (fence[0] === "`" && info.includes("`")) ? null : { fence, info };
}

/** Returns the text of a heading without the marks that may close it. */
function headingText(text) {
  let end = text.trimEnd().length;
  const marked = end;
  while (text[end - 1] === "#") end -= 1;
  const closes = end < marked && (end === 0 || " \t".includes(text[end - 1]));
  return text.slice(0, closes ? end : marked).trim();
}

function codeBlock(lines, at, { fence, info }) {
  const closes = (line) => {
    const text = line.trim();
    return text.length >= fence.length && text === fence[0].repeat(text.length);
  };
  let end = at + 1;
  while (end < lines.length && !closes(lines[end])) end += 1;
  const label = info.trim() ? `Code, ${info.trim().slice(0, 40)}` : "Code";
  const code = el("code", { text: lines.slice(at + 1, end).join("\n") });
  return [el("pre", { class: "code", tabindex: "0", role: "region", "aria-label": label }, code), end + 1];
}

function quote(lines, at, depth) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  const inner = lines.slice(at, end).map((line) => line.replace(QUOTE, ""));
  return [el("blockquote", {}, blocks(inner, depth + 1)), end];
}

/** Consecutive items of one kind; what stands further in than the mark of an item belongs to it. */
function listBlock(lines, at, depth) {
  const kind = kindOf(ITEM.exec(lines[at]));
  const items = [];
  let end = at;
  while (end < lines.length) {
    const item = ITEM.exec(lines[end]);
    if (!item || kindOf(item) !== kind || RULE.test(lines[end])) break;
    const [content, next] = itemLines(lines, end, item, depth);
    items.push(el("li", {}, itemContent(blocks(content, depth + 1))));
    end = next;
  }
  const start = Number.parseInt(ITEM.exec(lines[at])[2], 10);
  if (kind.length > 1) return [el("ol", { start: start === 1 ? null : String(start) }, items), end];
  return [el("ul", {}, items), end];
}

/** A list goes on while its items have the same mark: the hyphen, or numbers with the same closing mark. */
function kindOf([, , mark]) {
  return mark.length > 1 ? `1${mark.at(-1)}` : mark;
}

function itemLines(lines, at, [mark, before, sign], depth) {
  const content = [lines[at].slice(mark.length)];
  const least = before.length + Math.min(sign.length, 2);
  let end = at + 1;
  while (end < lines.length) {
    const line = lines[end];
    const isFurtherIn = line.length - line.trimStart().length >= least;
    // Blank lines belong to the item where it goes on behind them.
    if (isBlank(line)) {
      if (!(lines[end + 1] ?? "").startsWith(" ".repeat(least)) || isBlank(lines[end + 1] ?? "")) break;
    } else if (!isFurtherIn && (beginsBlock(line, depth) || isBlank(lines[end - 1]))) {
      break;
    }
    content.push(isFurtherIn ? line.slice(Math.min(mark.length, line.length - line.trimStart().length)) : line);
    end += 1;
  }
  while (end < lines.length && isBlank(lines[end]) && ITEM.test(lines[end + 1] ?? "")) end += 1;
  return [content, end];
}

/** The first paragraph of an item stands beside its mark. */
function itemContent(made) {
  const [first, ...rest] = made;
  return first?.tagName === "P" ? [...first.childNodes, ...rest] : made;
}

/** Makes the nodes of a text within a block. */
function inlines(text) {
  return new Inline(text).nodes();
}

/** Reads a text once, from left to right; what is open waits on a stack of at most `OPEN_MAX` entries. */
class Inline {
  #text;
  #at = 0;
  #plain = "";
  /** Each with the mark that opened it, and the nodes behind that. */
  #stack = [{ mark: "", nodes: [] }];
  /** Where runs of so many backticks begin, ascending. */
  #ticks;

  constructor(text) {
    this.#text = text;
    this.#ticks = new Map();
    for (const run of text.matchAll(/`+/g)) {
      const places = this.#ticks.get(run[0].length) ?? [];
      places.push(run.index);
      this.#ticks.set(run[0].length, places);
    }
    for (const places of this.#ticks.values()) places.reverse();
  }

  nodes() {
    while (this.#at < this.#text.length) this.#step();
    this.#flush();
    return this.#unclosed(0);
  }

  #step() {
    const char = this.#text[this.#at];
    switch (char) {
      case "\\":
        return this.#escaped();
      case "\n":
        return this.#append(el("br"), 1);
      case "`":
        return this.#code();
      case "*":
      case "_":
      case "~":
        return this.#marks(char);
      case "!":
        return this.#text[this.#at + 1] === "[" ? this.#open("![") : this.#literal(char);
      case "[":
        return this.#open("[");
      case "]":
        return this.#closeLink();
      case "<":
        return this.#angled();
      case "&":
        return this.#entity();
      case "h":
      case "H":
        return this.#bareUrl(char);
      default:
        return this.#literal(char);
    }
  }

  #literal(text) {
    this.#plain += text;
    this.#at += text.length;
  }

  #append(node, chars) {
    this.#flush();
    this.#stack.at(-1).nodes.push(node);
    this.#at += chars;
  }

  #flush() {
    if (this.#plain) this.#stack.at(-1).nodes.push(this.#plain);
    this.#plain = "";
  }

  #open(mark) {
    if (this.#stack.length > OPEN_MAX) return this.#literal(mark);
    this.#flush();
    this.#stack.push({ mark, nodes: [] });
    this.#at += mark.length;
    return undefined;
  }

  /** Takes everything from an entry on off the stack: what it opened was never closed, so its mark is text. */
  #unclosed(from) {
    return this.#stack.splice(from).flatMap(({ mark, nodes }) => (mark ? [mark, ...nodes] : nodes));
  }

  /** Closes an entry: what stands behind its mark goes into an element. */
  #close(place, make) {
    this.#flush();
    const [{ nodes }] = this.#stack.slice(place);
    const inner = [...nodes, ...this.#unclosed(place + 1)];
    this.#stack.pop();
    this.#stack.at(-1).nodes.push(make(inner));
  }

  #escaped() {
    const next = this.#text[this.#at + 1] ?? "";
    if (next === "\n") return this.#literal("\\");
    if (!/[!-/:-@[-`{-~]/.test(next)) return this.#literal("\\");
    this.#plain += next;
    this.#at += 2;
    return undefined;
  }

  #entity() {
    const found = this.#match(ENTITY);
    if (!found) return this.#literal("&");
    this.#plain += ENTITIES[found[1]];
    this.#at += found[0].length;
    return undefined;
  }

  #code() {
    let size = 1;
    while (this.#text[this.#at + size] === "`") size += 1;
    const places = this.#ticks.get(size) ?? [];
    while (places.length > 0 && places.at(-1) <= this.#at) places.pop();
    if (places.length === 0) return this.#literal("`".repeat(size));
    const end = places.at(-1);
    let text = this.#text.slice(this.#at + size, end).replaceAll("\n", " ");
    if (text.startsWith(" ") && text.endsWith(" ") && text.trim()) text = text.slice(1, -1);
    return this.#append(el("code", { text }), end + size - this.#at);
  }

  /** A run of `*`, `_` or `~`: closes what it can, and opens with the rest. */
  #marks(char) {
    let size = 1;
    while (this.#text[this.#at + size] === char) size += 1;
    const before = this.#at > 0 ? this.#text[this.#at - 1] : " ";
    const after = this.#text[this.#at + size] ?? " ";
    const isWithinWord = char === "_" && isWordy(before) && isWordy(after);
    const canClose = !/\s/u.test(before) && !isWithinWord;
    const canOpen = !/\s/u.test(after) && !isWithinWord;
    while (size > 0 && canClose) {
      const place = this.#stack.findLastIndex(({ mark }) => mark[0] === char);
      const mark = this.#stack[place]?.mark;
      // Nothing is emphasized between marks that touch.
      if (!mark || mark.length > size || (place === this.#stack.length - 1 && this.#isEmpty(place))) break;
      this.#close(place, (nodes) => el(elementOf(mark), {}, nodes));
      this.#at += mark.length;
      size -= mark.length;
    }
    while (size > 0) {
      const mark = char.repeat(size % 2 === 1 && char !== "~" ? 1 : Math.min(size, 2));
      if (canOpen && (char !== "~" || mark.length === 2)) this.#open(mark);
      else this.#literal(mark);
      size -= mark.length;
    }
  }

  #isEmpty(place) {
    return this.#stack[place].nodes.length === 0 && this.#plain === "";
  }

  #closeLink() {
    const place = this.#stack.findLastIndex(({ mark }) => mark.endsWith("["));
    if (place < 0) return this.#literal("]");
    const target = this.#text[this.#at + 1] === "(" ? this.#target(this.#at + 2) : null;
    const href = target && linkUrl(target.url);
    if (!href) {
      this.#flush();
      for (const node of this.#unclosed(place)) this.#stack.at(-1).nodes.push(node);
      return this.#literal("]");
    }
    this.#close(place, (nodes) => named(href, plainText(nodes) || href, nodes));
    this.#at = target.end;
    return undefined;
  }

  /** Reads the target of a link from behind its parenthesis; none where it does not end as one. */
  #target(from) {
    let [at, depth] = [from, 0];
    const most = Math.min(this.#text.length, from + URL_CHARS_MAX);
    while (at < most && !/[\s<>]/u.test(this.#text[at])) {
      if (this.#text[at] === ")" && depth === 0) return { url: this.#text.slice(from, at), end: at + 1 };
      if (this.#text[at] === ")") depth -= 1;
      if (this.#text[at] === "(" && (depth += 1) > PARENTHESES_MAX) return null;
      at += 1;
    }
    const title = /[ \t]+(?:"[^"\n]{0,200}"|'[^'\n]{0,200}')[ \t]*\)/y;
    title.lastIndex = at;
    const found = title.exec(this.#text);
    return found && { url: this.#text.slice(from, at), end: title.lastIndex };
  }

  #angled() {
    const found = this.#match(ANGLED_URL);
    const href = found && linkUrl(found[1]);
    return href ? this.#append(named(href, found[1], [found[1]]), found[0].length) : this.#literal("<");
  }

  #bareUrl(char) {
    const isWithin = this.#at > 0 && isWordy(this.#text[this.#at - 1]);
    const found = isWithin || this.#stack.some(({ mark }) => mark.endsWith("[")) ? null : this.#match(BARE_URL);
    const text = found && withoutPunctuation(found[0]);
    const href = text && linkUrl(text);
    return href ? this.#append(named(href, text, [text]), text.length) : this.#literal(char);
  }

  #match(pattern) {
    pattern.lastIndex = this.#at;
    return pattern.exec(this.#text);
  }
}

function elementOf(mark) {
  if (mark === "~~") return "s";
  return mark.length === 2 ? "strong" : "em";
}

/** Makes a link that says where it leads where its text does not. */
function named(href, text, nodes) {
  const made = link(href, nodes.length > 0 ? nodes : href);
  if (text !== href) made.title = href;
  return made;
}

/** Takes the links out of nodes that go into a link themselves, and returns their text. */
function plainText(nodes) {
  for (const [place, node] of nodes.entries()) {
    if (node instanceof HTMLAnchorElement) nodes[place] = node.textContent;
    else if (node instanceof Element) node.querySelectorAll("a").forEach((inner) => inner.replaceWith(inner.textContent));
  }
  return nodes.map((node) => (typeof node === "string" ? node : node.textContent)).join("");
}

function isWordy(char) {
  return /[\p{L}\p{N}_]/u.test(char);
}

/** Returns a bare URL without what ends the sentence around it. */
function withoutPunctuation(url) {
  let end = url.length;
  const open = url.split("(").length;
  let close = url.split(")").length;
  while (/[.,;:!?'*_~)\]}]/.test(url[end - 1])) {
    if (url[end - 1] === ")" && close <= open) break;
    if (url[end - 1] === ")") close -= 1;
    end -= 1;
  }
  return url.slice(0, end);
}
