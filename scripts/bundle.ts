/** Bundles the Worker for the launcher (local.ts) as `wrangler deploy` would; deployment itself is wrangler's. */
import { readFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import { join, relative } from "node:path";
import * as esbuild from "esbuild";
import { buildDocsUi } from "./docs-ui";

const ROOT = join(import.meta.dirname, "..");

export interface Module {
  type: "ESModule" | "Text" | "Data" | "CompiledWasm";
  path: string;
  contents: string | Uint8Array<ArrayBuffer>;
}

/**
 * The options of wrangler's own bundler (`bundleWorker` in wrangler 4.155). Its Node polyfills are left out because there
 * are none: at our compatibility date every `node:*` module that the preset knows is workerd's own.
 */
export async function bundleWorker(): Promise<Module[]> {
  await buildDocsUi();
  const attached: Module[] = [];
  const result = await esbuild.build({
    entryPoints: [join(ROOT, "workers", "index.ts")],
    absWorkingDir: ROOT,
    bundle: true,
    write: false,
    outdir: join(ROOT, "dist"),
    format: "esm",
    target: "es2024",
    supported: { "import-source": true, using: true },
    keepNames: true,
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
  const [script] = result.outputFiles;
  if (script === undefined) throw new Error("esbuild wrote no bundle");
  return [{ type: "ESModule", path: "index.js", contents: script.text }, ...attached];
}

/** One source file that imports nothing, as a module. */
export async function compileModule(file: string): Promise<Module> {
  const { code } = await esbuild.transform(await readFile(file, "utf8"), { loader: "ts", target: "es2024" });
  return { type: "ESModule", path: "index.js", contents: code };
}

const platformModules: esbuild.Plugin = {
  name: "platform-modules",
  setup(build) {
    build.onResolve({ filter: /^cloudflare:/ }, ({ path }) => ({ path, external: true }));
    build.onResolve({ filter: /^[a-z_:/0-9]+$/ }, ({ path }) =>
      isBuiltin(path) ? { path: path.startsWith("node:") ? path : `node:${path}`, external: true } : undefined,
    );
  },
};

const MODULE_TYPES = { txt: "Text", html: "Text", sql: "Text", bin: "Data", wasm: "CompiledWasm" } as const;

/** wrangler's default module rules: files that are uploaded beside the script as they are. */
const attachedModules = (attached: Module[]): esbuild.Plugin => ({
  name: "attached-modules",
  setup(build) {
    build.onResolve({ filter: /\.(txt|html|sql|bin|wasm)$/ }, async ({ path, resolveDir }) => {
      const file = join(resolveDir, path);
      const name = relative(ROOT, file);
      const type = MODULE_TYPES[path.slice(path.lastIndexOf(".") + 1) as keyof typeof MODULE_TYPES];
      const bytes = await readFile(file);
      const contents = type === "Text" ? bytes.toString("utf8") : new Uint8Array(bytes);
      if (!attached.some((module) => module.path === name)) attached.push({ type, path: name, contents });
      return { path: `./${name}`, external: true };
    });
  },
});
