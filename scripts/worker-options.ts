/**
 * What wrangler makes of wrangler.toml and of the D1 migrations, as plain data for miniflare. Loading wrangler takes most of a
 * second, so it happens in a process of its own, beside the bundling, and the answer is kept in dist/ by the content of its inputs.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import type { Unstable_MiniflareWorkerOptions } from "wrangler";

const ROOT = join(import.meta.dirname, "..");
const CONFIG = join(ROOT, "wrangler.toml");
const MIGRATIONS = join(ROOT, "schema", "migrations", "sqlite");

export interface Wrangled {
  options: Unstable_MiniflareWorkerOptions["workerOptions"];
  /** In the order they are applied. */
  migrations: { name: string; statements: string[] }[];
}

export async function readWorkerOptions(): Promise<Wrangled> {
  // Synchronous up to the start of the other process: the caller goes on to load miniflare, which blocks this one.
  const files = [CONFIG, join(ROOT, "package-lock.json"), ...migrationFiles()];
  const hash = createHash("sha256").update(ROOT);
  for (const file of files) hash.update(`\0${file}\0`).update(readFileSync(file));
  const kept = join(ROOT, "dist", "worker-options", `${hash.digest("hex").slice(0, 16)}.json`);
  if (existsSync(kept)) return JSON.parse(readFileSync(kept, "utf8")) as Wrangled;

  const hooks = join(import.meta.dirname, "typescript.mjs");
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", hooks, import.meta.filename]);
  await mkdir(dirname(kept), { recursive: true });
  await writeFile(`${kept}.${process.pid}`, stdout);
  await rename(`${kept}.${process.pid}`, kept);
  return JSON.parse(stdout) as Wrangled;
}

function migrationFiles(): string[] {
  const names = existsSync(MIGRATIONS) ? readdirSync(MIGRATIONS) : [];
  return names
    .filter((name) => name.endsWith(".sql"))
    .toSorted()
    .map((name) => join(MIGRATIONS, name));
}

if (process.argv[1] === import.meta.filename) {
  const { unstable_getMiniflareWorkerOptions, unstable_splitSqlQuery } = await import("wrangler");
  const wrangled: Wrangled = { options: unstable_getMiniflareWorkerOptions(CONFIG).workerOptions, migrations: [] };
  for (const file of migrationFiles()) {
    wrangled.migrations.push({
      name: file.slice(MIGRATIONS.length + 1),
      statements: unstable_splitSqlQuery(await readFile(file, "utf8")),
    });
  }
  process.stdout.write(JSON.stringify(wrangled));
}
