/**
 * Bundles the Worker for the launcher (local.ts) as `wrangler deploy` would; deployment itself is wrangler's. A bundle is kept in
 * dist/ and used again until one of the files that it was made of changes.
 */
import { statSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import { join, relative } from "node:path";
import type { Plugin } from "esbuild";
import { buildDocsUi } from "./docs-ui";

const ROOT = join(import.meta.dirname, "..");
const KEPT = join(ROOT, "dist", "bundle");

export interface Module {
  type: "ESModule" | "Text" | "Data" | "CompiledWasm";
  path: string;
  contents: string | Uint8Array<ArrayBuffer>;
}

/** A kept bundle, with the state of every input when it was made. One file, so that no launcher reads half of it. */
interface Kept {
  script: string;
  attached: Pick<Module, "type" | "path">[];
  inputs: Record<string, string>;
}

export async function bundleWorker(): Promise<Module[]> {
  await buildDocsUi();
  return bundle("workers/index.ts");
}

/** What applies the D1 migrations: a Worker of the launcher's own. */
export const bundleMigrator = () => bundle("scripts/migrator.ts");

async function bundle(entry: string): Promise<Module[]> {
  const file = join(KEPT, `${entry.replaceAll("/", ".")}.json`);
  const kept = await readFile(file, "utf8").then(
    (text) => JSON.parse(text) as Kept,
    () => undefined,
  );
  const fresh = kept && Object.entries(kept.inputs).every(([path, state]) => stateOf(path) === state);
  const { script, attached } = fresh ? kept : await build(entry, file);
  const beside = attached.map(async ({ type, path }): Promise<Module> => {
    const bytes = await readFile(join(ROOT, path));
    return { type, path, contents: type === "Text" ? bytes.toString("utf8") : new Uint8Array(bytes) };
  });
  return [{ type: "ESModule", path: "index.js", contents: script }, ...(await Promise.all(beside))];
}

/** Of a file, relative to the repository: when it was changed and how long it is. */
function stateOf(path: string): string | undefined {
  const found = statSync(join(ROOT, path), { throwIfNoEntry: false });
  return found && `${found.mtimeMs} ${found.size}`;
}

/**
 * The options of wrangler's own bundler (`bundleWorker` in wrangler 4.155). Its Node polyfills are left out because there
 * are none: at our compatibility date every `node:*` module that the preset knows is workerd's own.
 */
async function build(entry: string, file: string): Promise<Kept> {
  const esbuild = await import("esbuild");
  const attached: Kept["attached"] = [];
  const result = await esbuild.build({
    entryPoints: [join(ROOT, entry)],
    absWorkingDir: ROOT,
    bundle: true,
    write: false,
    metafile: true,
    outdir: join(ROOT, "dist"),
    format: "esm",
    target: "es2024",
    supported: { "import-source": true, using: true },
    keepNames: false,
    conditions: ["workerd", "worker", "browser"],
    platform: "browser",
    define: {
      "navigator.userAgent": `"Cloudflare-Workers"`,
      "process.env.NODE_ENV": `"production"`,
      "global.process.env.NODE_ENV": `"production"`,
      "globalThis.process.env.NODE_ENV": `"production"`,
    },
    plugins: [platformModules, attachedModules(attached)],
    logLevel: "silent",
  });
  const [output] = result.outputFiles;
  if (output === undefined) throw new Error("esbuild wrote no bundle");
  const paths = [...Object.keys(result.metafile.inputs), relative(ROOT, import.meta.filename)];
  const inputs = Object.fromEntries(paths.map((path) => [path, stateOf(path) ?? ""]));
  const kept: Kept = { script: output.text, attached, inputs };
  await mkdir(KEPT, { recursive: true });
  await writeFile(`${file}.${process.pid}`, JSON.stringify(kept));
  await rename(`${file}.${process.pid}`, file);
  return kept;
}

const platformModules: Plugin = {
  name: "platform-modules",
  setup({ onResolve }) {
    onResolve({ filter: /^cloudflare:/ }, ({ path }) => ({ path, external: true }));
    onResolve({ filter: /^[a-z_:/0-9]+$/ }, ({ path }) =>
      isBuiltin(path) ? { path: path.startsWith("node:") ? path : `node:${path}`, external: true } : undefined,
    );
  },
};

const MODULE_TYPES = { txt: "Text", html: "Text", sql: "Text", bin: "Data", wasm: "CompiledWasm" } as const;

/** wrangler's default module rules: files that are uploaded beside the script as they are. */
const attachedModules = (attached: Kept["attached"]): Plugin => ({
  name: "attached-modules",
  setup({ onResolve }) {
    onResolve({ filter: /\.(txt|html|sql|bin|wasm)$/ }, ({ path, resolveDir }) => {
      const name = relative(ROOT, join(resolveDir, path));
      const type = MODULE_TYPES[path.slice(path.lastIndexOf(".") + 1) as keyof typeof MODULE_TYPES];
      if (!attached.some((module) => module.path === name)) attached.push({ type, path: name });
      return { path: `./${name}`, external: true };
    });
  },
});
