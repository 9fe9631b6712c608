// Builds the component of a TypeScript or JavaScript project. `turntable build` runs it with Node.
//
//   node build.mjs --project DIR --wit DIR --tools DIR --out FILE [--entry FILE]
//
// `--tools` is a folder whose node_modules has esbuild, componentize-qjs and typescript, `--wit` the folder of the
// contract.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { builtinModules, createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { trace } from "./runtime/trace.js";

const SDK = dirname(fileURLToPath(import.meta.url));
const ENTRIES = ["src/bot.ts", "src/bot.js", "src/index.ts", "src/index.js", "bot.ts", "bot.js"];
const NO_NODE = "a bot has no files, sockets or processes, so modules of Node do not exist in it";

/** An error of the type checker about a package that is not there. */
const MISSING_TYPES = /^.*error TS2307: Cannot find module '([^'.][^']*)'.*$/gm;

class Problem extends Error {}

const { values: options } = parseArgs({
  options: {
    project: { type: "string" },
    wit: { type: "string" },
    tools: { type: "string" },
    out: { type: "string" },
    entry: { type: "string" },
    "skip-types": { type: "boolean" },
  },
});
const project = resolve(options.project);
const require = createRequire(join(resolve(options.tools), "package.json"));

try {
  const entry = entryOf();
  checkTypes();
  const bundle = await bundled(entry);
  componentize(bundle, resolve(options.out));
} catch (error) {
  if (!(error instanceof Problem)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

function entryOf() {
  const candidates = options.entry ? [options.entry] : ENTRIES;
  const entry = candidates.find((file) => existsSync(join(project, file)));
  if (entry) return entry;
  throw new Problem(
    `error: ${project} has no bot: write ${candidates.slice(0, 2).join(" or ")} ` +
      "with `export default defineBot({ … })`",
  );
}

function packageOf() {
  const file = join(project, "package.json");
  if (!existsSync(file)) return {};
  try {
    const { name, version, description } = JSON.parse(readFileSync(file, "utf8"));
    return { name, version, description };
  } catch (error) {
    throw new Problem(`error: package.json: ${error.message}`);
  }
}

/** Checks the types if the project has a tsconfig.json. The bundler only removes them. */
function checkTypes() {
  if (options["skip-types"] || !existsSync(join(project, "tsconfig.json"))) return;
  const tsc = join(dirname(require.resolve("typescript/package.json")), "bin", "tsc");
  const run = spawnSync(process.execPath, [tsc, "--noEmit", "--project", project, "--pretty", "false"], {
    cwd: project,
    encoding: "utf8",
  });
  if (run.status !== 0)
    throw new Problem(
      (run.stdout + run.stderr)
        .trim()
        .replace(
          MISSING_TYPES,
          (line, name) => `${line} Run \`npm install ${packageIn(name)}\` in the project, or correct the name.`,
        ),
    );
}

function packageIn(path) {
  return path
    .split("/")
    .slice(0, path.startsWith("@") ? 2 : 1)
    .join("/");
}

async function bundled(entry) {
  const esbuild = require("esbuild");
  const start = [
    'import "turntable-sdk/runtime/globals";',
    'import { component } from "turntable-sdk/runtime";',
    `import * as author from ${JSON.stringify(`./${entry.split(sep).join("/")}`)};`,
    `const bot = component(author["default"], ${JSON.stringify(packageOf())});`,
    "export const { botHandler, dialogHandler, middleware } = bot;",
  ].join("\n");
  let result;
  try {
    result = await esbuild.build({
      stdin: { contents: start, resolveDir: project, sourcefile: "turntable-sdk/start.js" },
      absWorkingDir: project,
      bundle: true,
      format: "esm",
      platform: "neutral",
      mainFields: ["module", "main"],
      conditions: ["import", "module", "browser", "default"],
      target: "es2022",
      // Async functions become generators over the promises of the SDK; see runtime/promise.js.
      supported: { "async-await": false, "async-generator": false, "for-await": false, "top-level-await": false },
      external: ["turntable:*", "wasi:*"],
      inject: [join(SDK, "runtime", "optional.js")],
      plugins: [sdkPlugin()],
      sourcemap: "external",
      sourcesContent: false,
      write: false,
      outfile: "bundle.js",
      logLevel: "silent",
      define: { "process.env.NODE_ENV": '"production"' },
    });
  } catch (error) {
    if (!Array.isArray(error.errors)) throw error;
    throw new Problem(
      (await esbuild.formatMessages(error.errors.map(hinted), { kind: "error", color: false })).join("").trim(),
    );
  }
  const [map, code] = ["map", "js"].map((end) => result.outputFiles.find((file) => file.path.endsWith(`.${end}`)).text);
  const sources = sourceMap(JSON.parse(map));
  return { code: `${code}\nglobalThis.__turntableSources = ${JSON.stringify(sources)};\n`, sources };
}

/**
 * Returns the part of a source map that a component needs: for each line of the bundle the places where a statement
 * begins, as
 * `column,source,line,column` with semicolons between. Lines of the SDK are only named. A component reads single
 * lines of it.
 */
function sourceMap({ sources, mappings }) {
  const names = sources.map(sourceName);
  const [DIGITS, at] = ["ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", [0, 0, 0]];
  const rows = mappings.split(";").map((row) => {
    let column = 0;
    const places = row
      .split(",")
      .filter(Boolean)
      .map((segment) => {
        const [step, ...rest] = vlq(segment, DIGITS);
        column += step;
        rest.slice(0, 3).forEach((change, part) => (at[part] += change));
        return rest.length < 3 ? undefined : [column, ...at];
      })
      .filter(Boolean);
    const own = places.filter(([, source]) => !names[source].startsWith("turntable-sdk/"));
    return own.length ? own.map((place) => place.join()).join(";") : places.length ? "sdk" : "";
  });
  return { sources: names, rows: rows.join("\n") };
}

function vlq(text, digits) {
  const numbers = [];
  let [value, shift] = [0, 0];
  for (const char of text) {
    const digit = digits.indexOf(char);
    value += (digit & 31) << shift;
    shift += 5;
    if (digit & 32) continue;
    numbers.push(value & 1 ? -(value >> 1) : value >> 1);
    [value, shift] = [0, 0];
  }
  return numbers;
}

function sdkPlugin() {
  const parts = {
    "turntable-sdk": "src/index.js",
    "turntable-sdk/runtime": "runtime/component.js",
    "turntable-sdk/runtime/globals": "runtime/globals.js",
  };
  return {
    name: "turntable-sdk",
    setup(build) {
      build.onResolve({ filter: /^turntable-sdk(\/.*)?$/ }, ({ path }) => {
        if (path in parts) return { path: join(SDK, parts[path]) };
        const what =
          path === "turntable-sdk/testing"
            ? "`turntable-sdk/testing` is for tests and does not exist in a bot"
            : `the SDK has no part \`${path}\``;
        return { errors: [{ text: what }] };
      });
    },
  };
}

/** Adds what to do to an error of the bundler. */
function hinted(error) {
  const missing = /^Could not resolve "([^"]+)"/.exec(error.text)?.[1];
  if (missing === undefined)
    return error.text.startsWith("No matching export")
      ? { ...error, notes: [...error.notes, { text: "export the bot with `export default`" }] }
      : error;
  const name = missing.replace(/^node:/, "");
  const text = builtinModules.includes(name)
    ? `${error.text}: ${NO_NODE}`
    : missing.startsWith(".")
      ? error.text
      : `${error.text}: run \`npm install ${packageIn(missing)}\` in the project, or correct the name`;
  return { ...error, text, notes: [] };
}

/** Names a source relative to the project, and sources of the SDK by its name. */
function sourceName(source) {
  const path = resolve(project, source);
  if (path.startsWith(SDK + sep)) return `turntable-sdk/${relative(SDK, path).split(sep).join("/")}`;
  return relative(project, path).split(sep).join("/");
}

function componentize({ code, sources }, out) {
  const work = mkdtempSync(join(tmpdir(), "turntable-"));
  try {
    const wit = worldIn(join(work, "wit"));
    writeFileSync(join(work, "bundle.js"), code);
    const tool = join(dirname(require.resolve("componentize-qjs/package.json")), "bin", "componentize-qjs");
    const command = existsSync(tool) ? tool : join(resolve(options.tools), "node_modules", ".bin", "componentize-qjs");
    const run = spawnSync(
      command,
      ["--sync", "--wit", wit, "--world", "bot", "--js", join(work, "bundle.js"), "--output", join(work, "bot.wasm")],
      { encoding: "utf8" },
    );
    if (run.error) throw new Problem(`error: componentize-qjs could not start: ${run.error.message}`);
    if (run.status !== 0) throw new Problem(explained(run.stderr || run.stdout, sources));
    mkdirSync(dirname(out), { recursive: true });
    cpSync(join(work, "bot.wasm"), out);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Writes the world of a bot: every export of the contract, and the sleep and the random bytes of WASI. */
function worldIn(folder) {
  const put = (path, text) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  for (const file of readdirSync(options.wit).filter((name) => name.endsWith(".wit"))) {
    put(`deps/bot/${file}`, readFileSync(join(options.wit, file), "utf8"));
  }
  put("deps/io/io.wit", "package wasi:io@0.2.0;\ninterface poll { resource pollable { block: func(); } }\n");
  put(
    "deps/clocks/clocks.wit",
    [
      "package wasi:clocks@0.2.0;",
      "interface monotonic-clock {",
      "  use wasi:io/poll@0.2.0.{pollable};",
      "  type duration = u64;",
      "  subscribe-duration: func(when: duration) -> pollable;",
      "}",
    ].join("\n"),
  );
  put(
    "deps/random/random.wit",
    "package wasi:random@0.2.0;\ninterface random { get-random-bytes: func(len: u64) -> list<u8>; }\n",
  );
  put(
    "world.wit",
    [
      "package turntable:sdk@0.1.0;",
      "world bot {",
      "  include turntable:bot/full-plugin@0.1.0;",
      "  import wasi:clocks/monotonic-clock@0.2.0;",
      "  import wasi:random/random@0.2.0;",
      "}",
    ].join("\n"),
  );
  return folder;
}

/** The code at the top level runs while the component is built. Its errors become readable here. */
function explained(output, sources) {
  const [, error] = /((?:[A-Z]\w*)?Error: (?!: )(?!Failed to)[\s\S]*)/.exec(
    output.replace(/Failed to [^:]*: /g, "").replace("Error: : ", ""),
  ) ?? [, output];
  globalThis.__turntableSources = sources;
  const [message, ...frames] = error.trim().split("\n");
  const own = trace(frames.join("\n"))
    .split("\n")
    .filter((line) => !line.includes("/bundle.js:"));
  const rule = "The code at the top level of a bot runs once, when the component is built. It cannot use the turn.";
  return [`error: ${message.replace(/^Error: /, "")}`, ...own, rule].join("\n");
}
