/**
 * Runs the Worker of wrangler.toml on this machine, on miniflare: every binding embedded, storage on disk, D1 migrated, cron
 * fired each minute. Promises that what was acknowledged survives kill -9: it refuses to run when object storage is in memory.
 * Called by `npm start` (serve.ts), the benchmarks and the tests of whole processes.
 */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, rename, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import type { Miniflare } from "miniflare";
import { bundleMigrator, bundleWorker } from "./bundle";
import { releaseStateDir, takeStateDir, workerdPids, writeLock } from "./state-lock";
import { readWorkerOptions } from "./worker-options";

export interface LocalOptions {
  /** Default 8787; 0 takes any free port. */
  port?: number;
  /** Default 127.0.0.1. */
  host?: string;
  /** Where every byte of state lives. Default `.tollgate/` in the repository. */
  stateDir?: string;
  /** A Neon (Postgres) connection string: the shared store instead of D1. */
  databaseUrl?: string;
  adminKey?: string;
  /** Further bindings, for tests. */
  bindings?: Record<string, string>;
  /** Fire the cron trigger each minute. Default true. */
  cron?: boolean;
  /** Receives what the Worker writes to its console. Default: this process's console. */
  onLog?: (line: { level: string; message: string }) => void;
}

export interface Local {
  url: URL;
  miniflare: Miniflare;
  /** The workerd processes: their CPU is the benchmark's primary figure. miniflare starts another when one dies. */
  workerdPids(): number[];
  /** Fires the cron trigger now. */
  runCron(atMs?: number): Promise<void>;
  close(): Promise<void>;
  /** kill -9, for the tests of what survives it: workerd gets no chance to finish anything. */
  crash(): Promise<void>;
}

const ROOT = join(import.meta.dirname, "..");
const WORKER = "tollgate";
const MIGRATOR = "migrator";
/** Spelled out here only, so no deployed bundle knows it. */
export const LOCAL_KEY = "tg_local";
export const LOCAL_ADMIN_KEY = "tg_admin_local";
/** Nobody guesses it while the process lives, and no other start knows it. */
const SEED_TOKEN_BYTES = 32;
const PORTAL_SECRET_BYTES = 32;
const CRON = "* * * * *";
const CRON_PERIOD_MS = 60_000;

interface ScheduledTrigger {
  scheduled(options: { cron: string; scheduledTime: Date }): Promise<{ outcome: string }>;
}

/** A refusal to start that its message explains in full. */
export class StartRefused extends Error {}

export async function startLocal(options: LocalOptions = {}): Promise<Local> {
  const { port = 8787, host = "127.0.0.1", cron = true, onLog = writeToConsole } = options;
  const stateDir = resolve(ROOT, options.stateDir ?? ".tollgate");
  await takeStateDir(stateDir).catch((error: Error) => {
    throw new StartRefused(error.message);
  });
  if (port !== 0) await assertPortFree(host, port);

  // Three slow steps side by side: wrangler in its process, esbuild in its own, and loading miniflare here.
  const [{ options: worker, migrations }, migrator, modules, mf] = await Promise.all([
    readWorkerOptions(),
    bundleMigrator(),
    bundleWorker().catch((error: Error) => {
      throw new StartRefused(`The Worker does not build. ${error.message}`);
    }),
    import("miniflare"),
  ]);
  const seedToken = randomBytes(SEED_TOKEN_BYTES).toString("base64url");
  const portalSecret = await portalSecretOf(stateDir);
  const miniflare = new mf.Miniflare(
    mf.convertV4MiniflareOptions({
      host,
      port,
      resourcePersistencePath: stateDir,
      cf: false, // the `cf` object of a request would be fetched from the network
      telemetry: { enabled: false },
      log: new mf.Log(mf.LogLevel.ERROR),
      handleStructuredLogs: onLog,
      unsafeHandleRuntimeRestart: () => writeLock(stateDir),
      workers: [
        {
          ...worker,
          name: WORKER,
          modulesRoot: "/",
          modules,
          bindings: {
            TOLLGATE_LOCAL: "1",
            TOLLGATE_SEED_TOKEN: seedToken,
            ...(options.databaseUrl === undefined ? {} : { DATABASE_URL: options.databaseUrl }),
            TOLLGATE_ADMIN_KEY: options.adminKey ?? LOCAL_ADMIN_KEY,
            PORTAL_SECRET: portalSecret,
            ...options.bindings,
          },
        },
        {
          name: MIGRATOR,
          compatibilityDate: worker.compatibilityDate as string,
          modulesRoot: "/",
          modules: migrator,
          d1Databases: worker.d1Databases as Record<string, { id: string }>,
          bindings: { MIGRATIONS: migrations },
          unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
        },
      ],
    }),
  );
  try {
    const url = await miniflare.ready;
    await writeLock(stateDir);
    assertObjectsOnDisk(stateDir, Object.values(worker.durableObjects ?? {}));
    await migrate(await miniflare.unsafeGetDirectURL(MIGRATOR));
    await seed(url, seedToken);

    const runCron = async (atMs = Date.now()) => {
      // miniflare's declarations want @cloudflare/workers-types, which the generated worker-configuration.d.ts replaces.
      const trigger = (await miniflare.getWorker()) as unknown as ScheduledTrigger;
      const { outcome } = await trigger.scheduled({ cron: CRON, scheduledTime: new Date(atMs) });
      if (outcome !== "ok") onLog({ level: "error", message: `The cron job ended with "${outcome}".` });
    };
    const timer = cron ? everyMinute(runCron, onLog) : undefined;
    const close = async () => {
      timer?.stop();
      await miniflare.dispose();
      await releaseStateDir(stateDir);
    };
    const crash = async () => {
      timer?.stop();
      for (const pid of workerdPids()) process.kill(pid, "SIGKILL");
      await miniflare.dispose();
    };
    return { url, miniflare, workerdPids, runCron, close, crash };
  } catch (error) {
    await miniflare.dispose();
    throw error;
  }
}

/** Made once for a state directory, so that portal tokens outlive a restart. For the owner's eyes only. */
async function portalSecretOf(stateDir: string): Promise<string> {
  const file = join(stateDir, "portal-secret");
  if (existsSync(file)) return readFile(file, "utf8");
  const secret = randomBytes(PORTAL_SECRET_BYTES).toString("base64url");
  // Renamed into place, so that a crash never leaves half a secret.
  await writeFile(`${file}.${process.pid}`, secret, { mode: 0o600 });
  await rename(`${file}.${process.pid}`, file);
  return secret;
}

async function assertPortFree(host: string, port: number): Promise<void> {
  await new Promise<void>((free, taken) => {
    const probe = createServer()
      .once("error", (error: NodeJS.ErrnoException) => {
        const reason = error.code === "EADDRINUSE" ? "is in use" : `cannot be used (${error.code ?? error.message})`;
        taken(new StartRefused(`Port ${port} ${reason}. Set PORT to another one: PORT=${port + 1} npm start`));
      })
      .listen(port, host, () => probe.close(() => free()));
  });
}

/**
 * miniflare silently ignores persistence options that it no longer knows, and objects then live in memory. A namespace whose
 * objects are on disk has its directory as soon as workerd is ready.
 */
function assertObjectsOnDisk(stateDir: string, designators: (string | { className: string })[]): void {
  for (const designator of designators) {
    const className = typeof designator === "string" ? designator : designator.className;
    const directory = join(stateDir, "do", `${WORKER}-${className}`);
    if (!existsSync(join(directory, "metadata.sqlite"))) {
      throw new StartRefused(
        `Object storage is not on disk: ${directory} was not created, so a crash would lose acknowledged events. ` +
          "Is the installed miniflare the one in package-lock.json? Run `npm ci`.",
      );
    }
  }
}

async function migrate(migrator: URL): Promise<void> {
  const response = await fetch(migrator, { method: "POST" });
  if (!response.ok) throw new StartRefused(`The database could not be migrated. ${await response.text()}`);
}

/** The Worker makes the namespace `default` with this key, once. To everybody without the token of this start it knows no such path. */
async function seed(url: URL, token: string): Promise<void> {
  const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
  const response = await fetch(new URL("/__local/seed", url), {
    method: "POST",
    headers,
    body: JSON.stringify({ apiKey: LOCAL_KEY }),
  });
  if (!response.ok) {
    throw new StartRefused(`Making the namespace "default" failed: ${response.status} ${await response.text()}`);
  }
}

function everyMinute(
  run: (atMs: number) => Promise<void>,
  onLog: NonNullable<LocalOptions["onLog"]>,
): { stop(): void } {
  let timer: NodeJS.Timeout;
  let stopped = false;
  const arm = () => {
    const atMs = (Math.floor(Date.now() / CRON_PERIOD_MS) + 1) * CRON_PERIOD_MS;
    timer = setTimeout(() => void fire(atMs), atMs - Date.now());
    timer.unref();
  };
  const fire = async (atMs: number) => {
    await run(atMs).catch((error: Error) => {
      if (!stopped) onLog({ level: "error", message: `The cron job could not be run: ${error.message}` });
    });
    if (!stopped) arm();
  };
  arm();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

const writeToConsole: NonNullable<LocalOptions["onLog"]> = ({ level, message }) => {
  if (level === "error" || level === "warn") console.error(message);
  else console.log(message);
};
