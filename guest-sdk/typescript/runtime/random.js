// Random numbers. QuickJS snapshots its generator when the component is built, so it is seeded again for each call.

let state = [0, 0, 0, 0];

/** Seeds `Math.random` (sfc32) with 32 hexadecimal digits. */
export function seed(text) {
  state = [0, 8, 16, 24].map((at) => Number.parseInt(text.slice(at, at + 8), 16) >>> 0);
  for (let round = 0; round < 12; round += 1) next();
}

function next() {
  let [a, b, c, d] = state;
  const sum = (a + b + d) >>> 0;
  state = [(b ^ (b >>> 9)) >>> 0, (c + (c << 3)) >>> 0, (((c << 21) | (c >>> 11)) + sum) >>> 0, (d + 1) >>> 0];
  return sum;
}

export const random = () => next() / 4294967296;

/** Returns the object `crypto` over a source of bytes. */
export function cryptoOver(bytes) {
  return {
    getRandomValues(array) {
      const view = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
      if (view.length > 65536) throw new RangeError("getRandomValues fills at most 65536 bytes");
      if (view.length > 0) view.set(bytes(view.length));
      return array;
    },
    randomUUID() {
      const raw = bytes(16);
      raw[6] = (raw[6] & 0x0f) | 0x40;
      raw[8] = (raw[8] & 0x3f) | 0x80;
      const hex = Array.from(raw, (byte) => byte.toString(16).padStart(2, "0")).join("");
      return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
    },
    get subtle() {
      throw new Error("crypto.subtle does not exist in a bot; bundle a library in JavaScript, such as @noble/hashes");
    },
  };
}
