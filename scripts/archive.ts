/**
 * `npm run archive -- <folder>`: copies the archive's files into a folder, those that are not there yet; a file never changes. For whoever
 * reads it on this machine (docs/archive.md). TOLLGATE_URL and TOLLGATE_KEY (scope admin) name the server; by default the local one.
 */
import { existsSync } from "node:fs";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LOCAL_KEY } from "./local";
import { Server, Stop } from "./reconcile";
import { grouped, progressBar } from "./reconcile-report";

const [folder] = process.argv.slice(2);
if (folder === undefined) {
  console.error("Usage: npm run archive -- <folder>");
  process.exit(2);
}

const server = new Server(process.env.TOLLGATE_URL ?? "http://localhost:8787", process.env.TOLLGATE_KEY ?? LOCAL_KEY);
const bar = progressBar();
try {
  const files: { file: string }[] = [];
  for await (const file of server.items<{ file: string }>("/archive/files")) files.push(file);
  let copied = 0;
  for (const [done, { file }] of files.entries()) {
    const path = join(folder, file);
    if (!existsSync(path)) {
      const bytes = await server.bytes("/archive/file", { file });
      if (bytes === null) throw new Stop(`The archive's file ${file} is missing.`);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(`${path}.part`, bytes);
      await rename(`${path}.part`, path);
      copied++;
    }
    bar.steps(done + 1, files.length, "files");
  }
  bar.stop();
  console.log(`${grouped(copied)} files copied, ${grouped(files.length - copied)} were there`);
} catch (error) {
  bar.stop();
  if (!(error instanceof Stop)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
