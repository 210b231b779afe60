/**
 * `npm run generate`: rewrites every generated file in the repository. With `--check` it writes nothing there and fails when a
 * file would change. Migrations are append-only: a change of schema/tables.ts adds a file, an existing one is never rewritten.
 */
import { execFile } from "node:child_process";
import { cp, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { makeWithoutRowid } from "./without-rowid";

const ROOT = join(import.meta.dirname, "..");
const check = process.argv.includes("--check");
/** `npm run generate -- --name=holds` names the new migrations. */
const name = process.argv.filter((argument) => argument.startsWith("--name="));
const stale: string[] = [];

await types();
for (const dialect of ["sqlite", "pg"] as const) await migrations(dialect);

if (stale.length > 0) {
  console.error(`Not fresh: ${stale.join(", ")}. Run \`npm run generate\`.`);
  process.exitCode = 1;
}

/** worker-configuration.d.ts, from wrangler.toml and the pinned workerd. */
async function types(): Promise<void> {
  const fresh = await run("wrangler", check ? ["types", "--check"] : ["types"]);
  if (!fresh) stale.push("worker-configuration.d.ts");
}

/** schema/migrations/, from schema/tables.ts. */
async function migrations(dialect: "sqlite" | "pg"): Promise<void> {
  const folder = join("schema", "migrations", dialect);
  const out = check ? join("dist", "migrations", dialect) : folder;
  if (check) {
    await rm(join(ROOT, out), { recursive: true, force: true });
    await cp(join(ROOT, folder), join(ROOT, out), { recursive: true });
  }
  const config = dialect === "pg" ? "drizzle.pg.config.ts" : "drizzle.config.ts";
  const done = await run("drizzle-kit", ["generate", `--config=${config}`, ...name], { MIGRATIONS_OUT: `./${out}` });
  if (!done) throw new Error(`drizzle-kit could not write the migrations of ${config}`);
  if (dialect === "sqlite") await makeWithoutRowid(join(ROOT, out));
  const [before, after] = await Promise.all([sqlIn(folder), sqlIn(out)]);
  if (before !== after) stale.push(folder);
}

/** All migrations of a folder as one text. */
async function sqlIn(folder: string): Promise<string> {
  const files = (await readdir(join(ROOT, folder))).filter((file) => file.endsWith(".sql")).toSorted();
  const texts = await Promise.all(files.map((file) => readFile(join(ROOT, folder, file), "utf8")));
  return files.map((file, i) => `-- ${file}\n${texts[i] ?? ""}`).join("\n");
}

/** Runs a tool of node_modules/.bin. False when it ends with an error; what it said is shown then, or when not checking. */
async function run(tool: string, args: string[], extraEnv: Record<string, string> = {}): Promise<boolean> {
  const env = {
    ...process.env,
    ...extraEnv,
    CI: "1",
    NO_COLOR: "1",
    FORCE_COLOR: undefined,
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_HIDE_BANNER: "true",
  };
  try {
    const { stdout } = await promisify(execFile)(join(ROOT, "node_modules", ".bin", tool), args, { cwd: ROOT, env });
    if (!check) console.log(stdout);
    return true;
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    console.error(stdout + stderr);
    return false;
  }
}
