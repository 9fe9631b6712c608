// URL and URLSearchParams, by the rules of the WHATWG for URLs in ASCII. Domain names beyond ASCII must be written in
// Punycode.
import { utf8 } from "../src/dialog/hash.js";

const PORTS = { "http:": "80", "https:": "443", "ws:": "80", "wss:": "443", "ftp:": "21", "file:": "" };
const PATH = /[\x00-\x20"#<>?`{}^\x7f-\uffff]/u;
const QUERY = /[\x00-\x20"#<>'\x7f-\uffff]/u;
const FRAGMENT = /[\x00-\x20"<>`\x7f-\uffff]/u;
const USER = /[\x00-\x20"#<>?`{}/:;=@[\\\]^|\x7f-\uffff]/u;

function encode(text, unsafe) {
  let encoded = "";
  for (const char of text) {
    const isUnsafe = char.length > 1 || unsafe.test(char);
    encoded += isUnsafe
      ? [...utf8(char)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("")
      : char;
  }
  return encoded;
}

export class URLSearchParams {
  #pairs = [];
  #changed;

  constructor(init = "", changed = () => {}) {
    this.#changed = changed;
    if (typeof init === "string") this.#pairs = parsePairs(init);
    else if (typeof init?.[Symbol.iterator] === "function")
      this.#pairs = [...init].map(([name, value]) => [String(name), String(value)]);
    else this.#pairs = Object.entries(init ?? {}).map(([name, value]) => [name, String(value)]);
  }

  get size() {
    return this.#pairs.length;
  }

  append(name, value) {
    this.#pairs.push([String(name), String(value)]);
    this.#changed();
  }

  delete(name, value = undefined) {
    this.#pairs = this.#pairs.filter(([known, has]) => known !== name || (value !== undefined && has !== value));
    this.#changed();
  }

  get(name) {
    return this.#pairs.find(([known]) => known === name)?.[1] ?? null;
  }

  getAll(name) {
    return this.#pairs.filter(([known]) => known === name).map(([, value]) => value);
  }

  has(name, value = undefined) {
    return this.#pairs.some(([known, has]) => known === name && (value === undefined || has === value));
  }

  set(name, value) {
    const at = this.#pairs.findIndex(([known]) => known === name);
    if (at < 0) return this.append(name, value);
    this.#pairs = this.#pairs.filter(([known], index) => known !== name || index === at);
    this.#pairs[this.#pairs.findIndex(([known]) => known === name)][1] = String(value);
    this.#changed();
  }

  sort() {
    this.#pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    this.#changed();
  }

  forEach(run, self = undefined) {
    for (const [name, value] of this.#pairs) run.call(self, value, name, this);
  }

  *keys() {
    for (const [name] of this.#pairs) yield name;
  }

  *values() {
    for (const [, value] of this.#pairs) yield value;
  }

  *entries() {
    for (const pair of this.#pairs) yield [...pair];
  }

  [Symbol.iterator]() {
    return this.entries();
  }

  toString() {
    const form = (text) => encode(text, /[^A-Za-z0-9*\-._ ]/u).replaceAll(" ", "+");
    return this.#pairs.map(([name, value]) => `${form(name)}=${form(value)}`).join("&");
  }
}

function parsePairs(text) {
  const decode = (part) => {
    const spaced = part.replaceAll("+", " ");
    try {
      return decodeURIComponent(spaced);
    } catch {
      return spaced;
    }
  };
  return text
    .replace(/^\?/, "")
    .split("&")
    .filter(Boolean)
    .map((pair) => {
      const at = pair.indexOf("=");
      return at < 0 ? [decode(pair), ""] : [decode(pair.slice(0, at)), decode(pair.slice(at + 1))];
    });
}

export class URL {
  #parts;
  #params;

  constructor(url, base = undefined) {
    const text = String(url)
      .trim()
      .replace(/[\t\n\r]/g, "");
    this.#parts = parse(text, base === undefined ? undefined : new URL(base).#parts);
    this.#params = this.#readParams();
  }

  static canParse(url, base = undefined) {
    try {
      return Boolean(new URL(url, base));
    } catch {
      return false;
    }
  }

  #readParams() {
    const params = new URLSearchParams(this.#parts.search, () => {
      const query = params.toString();
      this.#parts.search = query ? `?${query}` : "";
    });
    return params;
  }

  get href() {
    const { protocol, username, password, host, pathname, search, hash } = this.#parts;
    if (host === undefined) return protocol + pathname + search + hash;
    const user = username || password ? `${username}${password ? `:${password}` : ""}@` : "";
    return `${protocol}//${user}${host}${this.port ? `:${this.port}` : ""}${pathname}${search}${hash}`;
  }

  get origin() {
    const { protocol } = this.#parts;
    return protocol in PORTS && protocol !== "file:" ? `${protocol}//${this.host}` : "null";
  }

  get protocol() {
    return this.#parts.protocol;
  }

  get username() {
    return this.#parts.username;
  }

  get password() {
    return this.#parts.password;
  }

  get hostname() {
    return this.#parts.host ?? "";
  }

  get port() {
    return this.#parts.port;
  }

  get host() {
    return this.hostname + (this.port ? `:${this.port}` : "");
  }

  get pathname() {
    return this.#parts.pathname;
  }

  set pathname(path) {
    this.#parts.pathname =
      this.#parts.host === undefined ? encode(path, PATH) : normalized(path.startsWith("/") ? path : `/${path}`);
  }

  get search() {
    return this.#parts.search;
  }

  set search(search) {
    const query = String(search).replace(/^\?/, "");
    this.#parts.search = query ? `?${encode(query, QUERY)}` : "";
    this.#params = this.#readParams();
  }

  get searchParams() {
    return this.#params;
  }

  get hash() {
    return this.#parts.hash;
  }

  set hash(hash) {
    const fragment = String(hash).replace(/^#/, "");
    this.#parts.hash = fragment ? `#${encode(fragment, FRAGMENT)}` : "";
  }

  toString() {
    return this.href;
  }

  toJSON() {
    return this.href;
  }
}

function parse(text, base) {
  const [, rest, fragment] = /^([^#]*)(#[\s\S]*)?$/.exec(text);
  const hash = fragment && fragment !== "#" ? `#${encode(fragment.slice(1), FRAGMENT)}` : "";
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(rest);
  if (!scheme) return { ...relative(rest, base, text), hash };
  const protocol = `${scheme[1].toLowerCase()}:`;
  const after = rest.slice(scheme[0].length);
  const isSpecial = protocol in PORTS;
  if (!isSpecial && !after.startsWith("//")) {
    const [path, query] = divided(after);
    return {
      protocol,
      username: "",
      password: "",
      host: undefined,
      port: "",
      pathname: encode(path, /[\x00-\x1f\x7f-\uffff]/u),
      search: query,
      hash,
    };
  }
  return { ...authority(protocol, after.replace(isSpecial ? /^[/\\]*/ : /^\/\//, ""), text), hash };
}

function relative(rest, base, text) {
  if (!base || base.host === undefined) throw invalid(text);
  const path = base.protocol in PORTS ? rest.replace(/\\/g, "/") : rest;
  if (path.startsWith("//")) return authority(base.protocol, path.slice(2), text);
  const [pathname, search] = divided(path);
  if (pathname === "") return { ...base, search: path.startsWith("?") ? search : base.search };
  const from = pathname.startsWith("/") ? "" : base.pathname.slice(0, base.pathname.lastIndexOf("/") + 1);
  return { ...base, pathname: normalized(from + pathname), search };
}

function authority(protocol, rest, text) {
  const end = rest.search(protocol in PORTS ? /[/\\?]/ : /[/?]/);
  const [place, after] = end < 0 ? [rest, ""] : [rest.slice(0, end), rest.slice(end)];
  const at = place.lastIndexOf("@");
  const [username, ...password] = at < 0 ? [""] : place.slice(0, at).split(":");
  const host = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]*)(?::(\d*))?$/.exec(place.slice(at + 1));
  if (!host || (host[1] === "" && protocol !== "file:") || Number(host[2] ?? 0) > 65535) throw invalid(text);
  const name = decodeURIComponent(host[1]).toLowerCase();
  if (/[^\x21-\x7e]|[#%/<>?@\\^|]/.test(name))
    throw invalid(text, "; a host has ASCII letters, so write it in Punycode");
  const port = host[2] ? String(Number(host[2])) : "";
  const [path, search] = divided(after);
  return {
    protocol,
    username: encode(username, USER),
    password: encode(password.join(":"), USER),
    host: name,
    port: port === PORTS[protocol] ? "" : port,
    pathname: normalized(path, protocol),
    search,
  };
}

function divided(text) {
  const at = text.indexOf("?");
  if (at < 0) return [text, ""];
  const query = text.slice(at + 1);
  return [text.slice(0, at), query ? `?${encode(query, QUERY)}` : ""];
}

/** Encodes a path and removes its dot segments. */
function normalized(path, protocol = "http:") {
  const text = protocol in PORTS ? path.replace(/\\/g, "/") : path;
  const segments = [];
  const all = text.replace(/^\//, "").split("/");
  all.forEach((segment, index) => {
    const isLast = index === all.length - 1;
    const plain = segment.replace(/%2e/gi, ".");
    if (plain === "..") segments.pop();
    if (plain === "." || plain === "..") return isLast && segments.push("");
    return segments.push(encode(segment, PATH));
  });
  return `/${segments.join("/")}`;
}

const invalid = (text, why = "") => new TypeError(`Invalid URL: ${text}${why}`);
