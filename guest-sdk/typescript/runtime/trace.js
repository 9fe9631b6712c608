// Maps stacks of the bundle to the author's files, with the source map that the build appends to the bundle.

let rows;

/** Replaces positions in the bundle by those in the author's files, and leaves out frames of the SDK. */
export function trace(stack) {
  const map = globalThis.__turntableSources;
  if (!map) return stack;
  rows ??= map.rows.split("\n");
  const lines = stack
    .split("\n")
    .filter(Boolean)
    .map((line) => {
      const frame = /^(\s*at .*?)\(?([^\s()]+):(\d+):(\d+)\)?$/.exec(line);
      const row = frame ? (rows[Number(frame[3]) - 1] ?? "") : "";
      if (row === "") return { line };
      if (row === "sdk") return { line, isSdk: true };
      const [source, at, column] = original(row, Number(frame[4]) - 1);
      return { line: `${frame[1].trimEnd()} (${map.sources[source]}:${at + 1}:${column + 1})`, isOwn: true };
    });
  return (lines.some((it) => it.isOwn) ? lines.filter((it) => it.isOwn) : lines).map((it) => it.line).join("\n");
}

/** Returns source, line and column of the last place in the row that is not behind the column. */
function original(row, column) {
  const places = row.split(";").map((place) => place.split(",").map(Number));
  const [, ...found] = places.findLast(([start]) => start <= column) ?? places[0];
  return found;
}
