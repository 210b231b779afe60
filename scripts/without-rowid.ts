/**
 * Makes every table of D1's migrations WITHOUT ROWID, which drizzle cannot say: the primary key becomes the table, and an insert
 * costs one row write instead of two. `npm run generate` does it to what drizzle-kit wrote; a file that says it already stays.
 */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

const CREATE_TABLE = /^(CREATE TABLE [^;]*\n\));$/gm;

export async function makeWithoutRowid(folder: string): Promise<void> {
  for (const file of await readdir(folder)) {
    if (!file.endsWith(".sql")) continue;
    const path = join(folder, file);
    const written = await readFile(path, "utf8");
    const wanted = written.replaceAll(CREATE_TABLE, "$1 WITHOUT ROWID;");
    if (wanted !== written) await writeFile(path, wanted);
  }
}
