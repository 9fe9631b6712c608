// `console`: lines in the host's log.

const LEVELS = { log: "info", info: "info", warn: "warn", error: "error", debug: "debug", trace: "trace" };

/** Returns the object `console` over the function `write` of the contract. */
export function consoleOver(write) {
  const console = {};
  for (const [name, level] of Object.entries(LEVELS)) console[name] = (...values) => write(level, format(values), []);
  const started = new Map();
  return Object.assign(console, {
    assert: (condition, ...values) => condition || write("error", `Assertion failed: ${format(values)}`, []),
    dir: (value) => write("info", format([value]), []),
    table: (value) => write("info", format([value]), []),
    time: (label = "default") => void started.set(label, Date.now()),
    timeEnd: (label = "default") =>
      write("info", `${label}: ${Date.now() - (started.get(label) ?? Date.now())} ms`, []),
    group() {},
    groupEnd() {},
  });
}

function format([first, ...others]) {
  const rest = [...others];
  const text =
    typeof first !== "string"
      ? [first]
      : [
          first.replace(/%[sdifoOj%]/g, (mark) => {
            if (mark === "%%") return "%";
            if (!rest.length) return mark;
            const value = rest.shift();
            return mark === "%d" || mark === "%i" || mark === "%f" ? String(Number(value)) : inspect(value);
          }),
        ];
  return [...text, ...rest].map(inspect).join(" ");
}

function inspect(value) {
  if (typeof value === "string") return value;
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (typeof value === "function") return `[Function ${value.name || "anonymous"}]`;
  if (typeof value !== "object" || value === null) return typeof value === "bigint" ? `${value}n` : String(value);
  const above = [];
  const plain = function (key, item) {
    while (above.length && above.at(-1) !== this) above.pop();
    if (typeof item === "bigint") return `${item}n`;
    if (item instanceof Error) return `${item.name}: ${item.message}`;
    if (item instanceof Map) return Object.fromEntries([...item].map(([name, entry]) => [inspect(name), entry]));
    if (item instanceof Set) return [...item];
    if (item === null || typeof item !== "object") return item;
    if (above.includes(item)) return "[Circular]";
    above.push(item);
    return item;
  };
  try {
    return JSON.stringify(value, plain) ?? String(value);
  } catch (error) {
    return `[${error.message}]`;
  }
}
