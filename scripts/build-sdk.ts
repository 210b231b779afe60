/**
 * Builds what `npm publish` in sdk/ publishes: sdk/dist, plain ES modules with their types. Run by its `prepack`.
 * The sources import without extensions; Node and Deno need them, so they are added to what the compiler wrote.
 */
import { execFileSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const sdk = join(root, "sdk");

/** Writes the package's files to `outDir`. Throws when a source does not compile without Node's types. */
export function buildSdk(outDir: string): void {
  rmSync(outDir, { recursive: true, force: true });
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [compiler, "-p", join(sdk, "tsconfig.json"), "--outDir", outDir], { stdio: "pipe" });
  for (const file of readdirSync(outDir)) {
    const text = readFileSync(join(outDir, file), "utf8");
    writeFileSync(join(outDir, file), text.replaceAll(/(from ")(\.\/[^"]+)(")/g, "$1$2.js$3"));
  }
}

if (process.argv[1] === import.meta.filename) {
  buildSdk(join(sdk, "dist"));
  cpSync(join(root, "LICENSE"), join(sdk, "LICENSE"));
}
