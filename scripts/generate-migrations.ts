/**
 * Writes the migrations that bring both databases to schema/tables.ts: drizzle-kit compares it with the last snapshot and
 * writes what changed, nothing when nothing did. Then every D1 table is made WITHOUT ROWID, which drizzle cannot say: the
 * primary key becomes the table, and an insert costs one row write instead of two. Both steps may be repeated.
 * Called by `npm run generate`; a name for a new migration may follow.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const D1_MIGRATIONS = "schema/migrations/sqlite";
const CREATE_TABLE_END = /^(CREATE TABLE [^;]*\n\));$/gm;

/** Adds WITHOUT ROWID to each table of a migration that does not say it yet. */
export const withoutRowid = (migration: string): string => migration.replaceAll(CREATE_TABLE_END, "$1 WITHOUT ROWID;");

export function generateMigrations(name?: string): void {
  for (const config of ["drizzle.config.ts", "drizzle.pg.config.ts"]) {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [
        "node_modules/drizzle-kit/bin.cjs",
        "generate",
        `--config=${config}`,
        ...(name === undefined ? [] : [`--name=${name}`]),
      ],
      { encoding: "utf8" },
    );
    if (status !== 0) throw new Error(`drizzle-kit could not write the migrations of ${config}:\n${stdout}${stderr}`);
  }
  for (const file of readdirSync(D1_MIGRATIONS).filter((file) => file.endsWith(".sql"))) {
    const path = join(D1_MIGRATIONS, file);
    const written = readFileSync(path, "utf8");
    const wanted = withoutRowid(written);
    if (wanted !== written) writeFileSync(path, wanted);
  }
}

if (import.meta.main) generateMigrations(process.argv[2]);
