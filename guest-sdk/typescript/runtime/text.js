// TextEncoder and TextDecoder for UTF-8.
import { utf8 } from "../src/dialog/hash.js";

export class TextEncoder {
  get encoding() {
    return "utf-8";
  }

  encode(text = "") {
    return Uint8Array.from(utf8(String(text)));
  }

  encodeInto(text, into) {
    let [read, written] = [0, 0];
    for (const char of text) {
      const bytes = [...utf8(char)];
      if (written + bytes.length > into.length) break;
      into.set(bytes, written);
      written += bytes.length;
      read += char.length;
    }
    return { read, written };
  }
}

export class TextDecoder {
  #fatal;
  #keepsMark;
  #rest = [];

  constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    if (!["utf-8", "utf8", "unicode-1-1-utf-8"].includes(String(label).toLowerCase().trim())) {
      throw new RangeError(`TextDecoder of a bot decodes only UTF-8, not ${label}`);
    }
    this.#fatal = fatal;
    this.#keepsMark = ignoreBOM;
  }

  get encoding() {
    return "utf-8";
  }

  get fatal() {
    return this.#fatal;
  }

  decode(input = new Uint8Array(), { stream = false } = {}) {
    const view =
      input instanceof ArrayBuffer
        ? new Uint8Array(input)
        : new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
    const bytes = this.#rest.length ? [...this.#rest, ...view] : view;
    this.#rest = [];
    const parts = [];
    let at = 0;
    while (at < bytes.length) {
      const [code, length] = character(bytes, at);
      if (code < 0 && stream && at + length >= bytes.length && length < 4) {
        this.#rest = Array.from(bytes).slice(at);
        break;
      }
      if (code < 0 && this.#fatal) throw new TypeError("the bytes are not UTF-8");
      parts.push(String.fromCodePoint(code < 0 ? 0xfffd : code));
      at += length;
    }
    const text = parts.join("");
    return !this.#keepsMark && text.startsWith("\ufeff") ? text.slice(1) : text;
  }
}

/** Returns the code point at a position and its number of bytes; -1 and the number of wrong bytes if there is none. */
function character(bytes, at) {
  const first = bytes[at];
  if (first < 0x80) return [first, 1];
  const length =
    first >= 0xf0 && first < 0xf5 ? 4 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xc2 && first < 0xe0 ? 2 : 0;
  if (length === 0) return [-1, 1];
  let code = first & (0xff >> (length + 1));
  for (let offset = 1; offset < length; offset += 1) {
    const byte = bytes[at + offset];
    if (byte === undefined || (byte & 0xc0) !== 0x80 || !mayFollow(first, byte, offset)) return [-1, offset];
    code = (code << 6) | (byte & 63);
  }
  return [code, length];
}

/** Refuses overlong forms, halves of surrogates and numbers above U+10FFFF. */
function mayFollow(first, byte, offset) {
  if (offset !== 1) return true;
  if (first === 0xe0) return byte >= 0xa0;
  if (first === 0xed) return byte < 0xa0;
  if (first === 0xf0) return byte >= 0x90;
  return first !== 0xf4 || byte < 0x90;
}
