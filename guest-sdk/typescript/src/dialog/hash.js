// Hashes of texts in journals, the same as in the SDKs of other languages.

const MASK = (1n << 64n) - 1n;

/**
 * Returns the 64-bit FNV-1a hash of the UTF-8 bytes. It detects that a text was edited; it protects against nothing.
 */
export function hashNumber(text) {
  // The hash as two halves of 32 bits, because BigInt is slow in loops.
  let [high, low] = [0xcbf29ce4, 0x84222325];
  for (const byte of utf8(text)) {
    low = (low ^ byte) >>> 0;
    // Times 0x100000001b3: the product of the low halves, whose upper part carries over.
    const product = low * 0x1b3;
    const carry = Math.floor(product / 0x100000000);
    high = (Math.imul(high, 0x1b3) + carry + (low << 8)) >>> 0;
    low = product >>> 0;
  }
  return (BigInt(high) << 32n) | BigInt(low);
}

/** Returns the hash in hexadecimal. */
export const hash = (text) => hashNumber(text).toString(16).padStart(16, "0");

/** The finaliser of SplitMix64. */
export function mixed(seed) {
  let bits = (seed + 0x9e3779b97f4a7c15n) & MASK;
  bits = ((bits ^ (bits >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
  bits = ((bits ^ (bits >> 27n)) * 0x94d049bb133111ebn) & MASK;
  return bits ^ (bits >> 31n);
}

/** Yields the UTF-8 bytes of a text. Half characters become U+FFFD. */
export function* utf8(text) {
  for (const char of text) {
    let code = char.codePointAt(0);
    if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd;
    if (code < 0x80) yield code;
    else if (code < 0x800) yield* [0xc0 | (code >> 6), 0x80 | (code & 63)];
    else if (code < 0x10000) yield* [0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63)];
    else yield* [0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63)];
  }
}
