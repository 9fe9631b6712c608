// Loads a guest of tests/guests/typescript into Node.
import { createRequire } from "node:module";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url));

/** Bundles a module of a guest with the bundler in the folder TURNTABLE_TOOLS, and imports it. */
export async function guest(file) {
  const require = createRequire(join(process.env.TURNTABLE_TOOLS ?? HERE, "package.json"));
  const folder = mkdtempSync(join(HERE, ".guest-"));
  try {
    const outfile = join(folder, "bot.mjs");
    const entryPoints = [fileURLToPath(new URL(`../../../tests/guests/typescript/${file}`, import.meta.url))];
    await require("esbuild").build({
      entryPoints,
      outfile,
      bundle: true,
      format: "esm",
      platform: "node",
      external: ["turntable-sdk"],
    });
    return await import(pathToFileURL(outfile));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
