/**
 * The Workers that are measured, each in a workerd process of its own so that its CPU can be told, with storage on disk:
 * the product as `npm start` runs it, the product under instruments, and the baselines.
 */
import { existsSync } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import * as esbuild from "esbuild";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { bundleWorker, type Module } from "../scripts/bundle";
import { startLocal } from "../scripts/local";
import { readWorkerOptions } from "../scripts/worker-options";
import { workerdChildren } from "./cpu";

const ROOT = join(import.meta.dirname, "..");
const STATE = join(ROOT, ".tollgate", "bench");

export interface Instance {
  port: number;
  /** Its workerd process. */
  pid: number;
  miniflare: Miniflare;
  stateDir: string;
  close(): Promise<void>;
}

export type Baseline = "parse" | "store" | "constant";

const open = new Set<Instance>();

/** An empty directory for an instance's state. On the repository's disk: /tmp may be memory. */
export async function freshState(name: string): Promise<string> {
  await removeAbandoned();
  const directory = join(STATE, String(process.pid), name);
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  return directory;
}

/** What a run that was killed has left. */
async function removeAbandoned(): Promise<void> {
  const owners = await readdir(STATE).catch(() => []);
  for (const owner of owners)
    if (!existsSync(`/proc/${owner}`)) await rm(join(STATE, owner), { recursive: true, force: true });
}

/** Ends whatever still runs and removes what this process stored. */
export async function closeAll(): Promise<void> {
  await Promise.allSettled([...open].map((instance) => instance.close()));
  await rm(join(STATE, String(process.pid)), { recursive: true, force: true });
}

/** The product, by the launcher of `npm start`. Without its cron: what runs each minute would land in one round and not in another. */
export const startProduct = (stateDir: string): Promise<Instance> =>
  claim(stateDir, async () => {
    const local = await startLocal({ port: 0, stateDir, cron: false });
    return { port: Number(local.url.port), miniflare: local.miniflare, close: () => local.close() };
  });

export interface Instruments {
  /** Serves the inspector's protocol here (profile.ts). */
  inspectorPort?: number;
  /** Runs subject.ts around the product, which counts its row writes and opens the object's insides. */
  counted?: boolean;
}

/** The product on a state that `startProduct` has made: it has migrated and seeded it. `script` is its bundle. */
export async function startInstrumented(
  stateDir: string,
  { inspectorPort, counted = false }: Instruments,
): Promise<Instance & { script: string }> {
  const [{ options }, product] = await Promise.all([readWorkerOptions(), bundleWorker()]);
  const modules: Module[] = counted
    ? [{ type: "ESModule", path: "subject.js", contents: await compile("subject.ts") }, ...product]
    : product;
  const worker = {
    ...options,
    name: "tollgate",
    modulesRoot: "/",
    modules,
    bindings: { TOLLGATE_LOCAL: "1", TOLLGATE_ADMIN_KEY: "tg_admin_local" },
  };
  const instance = await claim(stateDir, () => startMiniflare(stateDir, worker, inspectorPort));
  return Object.assign(instance, { script: String(product[0]?.contents) });
}

/** One handler of baseline.ts as the whole Worker. */
export const startBaseline = (handler: Baseline, stateDir: string, inspectorPort?: number): Promise<Instance> =>
  startAlone(stateDir, "baseline", handler, "BaselineObject", inspectorPort);

/** The dedup index alone in an object (dedup-worker.ts). */
export const startDedup = (stateDir: string): Promise<Instance> =>
  startAlone(stateDir, "dedup-worker", "default", "DedupObject");

/** A Worker of ours with one object class, bound as OBJECT. */
async function startAlone(
  stateDir: string,
  file: string,
  handler: string,
  className: string,
  inspectorPort?: number,
): Promise<Instance> {
  const [{ options }, code] = await Promise.all([readWorkerOptions(), compile(`${file}.ts`)]);
  // The type that wrangler gives away knows neither.
  const { compatibilityDate, compatibilityFlags } = options as {
    compatibilityDate: string;
    compatibilityFlags: string[];
  };
  const main = `export { ${className}, ${handler} as default } from "./${file}.js";`;
  const worker: WorkerOptions = {
    name: "bench",
    compatibilityDate,
    compatibilityFlags,
    modulesRoot: "/",
    modules: [
      { type: "ESModule", path: "index.js", contents: main },
      { type: "ESModule", path: `${file}.js`, contents: code },
    ],
    durableObjects: { OBJECT: { className, useSQLite: true } },
  };
  const instance = await claim(stateDir, () => startMiniflare(stateDir, worker, inspectorPort));
  // As scripts/local.ts says: an option that miniflare no longer knows puts objects into memory, and B2 would look fast.
  if (!existsSync(join(stateDir, "do", `bench-${className}`)))
    throw new Error("the object storage of a bench Worker is not on disk");
  return instance;
}

type Started = Pick<Instance, "port" | "miniflare" | "close">;
type WorkerOptions = Parameters<typeof convertV4MiniflareOptions>[0] extends infer O
  ? O extends { workers: (infer W)[] }
    ? W
    : never
  : never;

async function startMiniflare(stateDir: string, worker: WorkerOptions, inspectorPort?: number): Promise<Started> {
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: "127.0.0.1",
      port: 0,
      resourcePersistencePath: stateDir,
      cf: false,
      telemetry: { enabled: false },
      log: new Log(LogLevel.ERROR),
      workers: [worker],
      ...(inspectorPort === undefined ? {} : { inspectorPort }),
    }),
  );
  const url = await miniflare.ready;
  return { port: Number(url.port), miniflare, close: () => miniflare.dispose() };
}

/** Starts one at a time: the workerd child that appears meanwhile is the instance's. */
async function claim(stateDir: string, start: () => Promise<Started>): Promise<Instance> {
  const before = workerdChildren();
  const started = await start();
  const [pid, ...others] = [...workerdChildren()].filter((child) => !before.has(child));
  if (pid === undefined || others.length > 0) throw new Error("cannot tell which workerd process is the instance's");
  const instance: Instance = {
    ...started,
    pid,
    stateDir,
    async close() {
      open.delete(instance);
      await started.close();
    },
  };
  open.add(instance);
  return instance;
}

/** A file of this folder as a module; the product that it may wrap stays a module of its own beside it. */
async function compile(file: string): Promise<string> {
  const built = await esbuild.build({
    entryPoints: [join(import.meta.dirname, file)],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2024",
    external: ["cloudflare:*", "node:*"],
    plugins: [
      {
        name: "product",
        setup: (build) =>
          build.onResolve({ filter: /^\.\.\/workers\/index$/ }, () => ({ path: "./index.js", external: true })),
      },
    ],
    logLevel: "silent",
  });
  return built.outputFiles[0]!.text;
}
