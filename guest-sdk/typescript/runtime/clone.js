// structuredClone for the types that QuickJS has.

const ARRAYS = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
];
const ERRORS = { EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };

export function structuredClone(value) {
  const seen = new Map();
  const refuse = (what) => {
    throw new DOMException(`${what} could not be cloned`, "DataCloneError");
  };
  const into = (source, copy, fill = () => {}) => {
    seen.set(source, copy);
    fill(copy);
    return copy;
  };
  const clone = (source) => {
    if (typeof source === "function" || typeof source === "symbol") return refuse(String(source));
    if (source === null || typeof source !== "object") return source;
    if (seen.has(source)) return seen.get(source);
    if (source instanceof Date) return into(source, new Date(source.getTime()));
    if (source instanceof RegExp) return into(source, new RegExp(source.source, source.flags));
    if (source instanceof Boolean || source instanceof Number || source instanceof String)
      return into(source, Object(source.valueOf()));
    if (source instanceof Map)
      return into(source, new Map(), (copy) => source.forEach((item, key) => copy.set(clone(key), clone(item))));
    if (source instanceof Set)
      return into(source, new Set(), (copy) => source.forEach((item) => copy.add(clone(item))));
    if (source instanceof ArrayBuffer) return into(source, source.slice(0));
    const array = ARRAYS.find((kind) => source instanceof kind);
    if (array) return into(source, new array(clone(source.buffer), source.byteOffset, source.length));
    if (source instanceof DataView)
      return into(source, new DataView(clone(source.buffer), source.byteOffset, source.byteLength));
    if (source instanceof Error) return into(source, error(source, clone));
    if (source instanceof WeakMap || source instanceof WeakSet || source instanceof WeakRef)
      return refuse("a weak collection");
    const copy = Array.isArray(source) ? new Array(source.length) : {};
    return into(source, copy, () => Object.keys(source).forEach((key) => (copy[key] = clone(source[key]))));
  };
  return clone(value);
}

function error(source, clone) {
  const copy = new (ERRORS[source.name] ?? Error)(source.message);
  Object.defineProperty(copy, "stack", { value: source.stack, writable: true, configurable: true });
  if ("cause" in source) copy.cause = clone(source.cause);
  return copy;
}
