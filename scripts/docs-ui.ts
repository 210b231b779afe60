/**
 * Puts the two files of Swagger UI that /docs needs into dist/docs/, gzipped, as `.bin` modules of the Worker.
 * Modules and not static assets: an `[assets]` section sends every request of the API through a router Worker first, which
 * doubled the CPU of a small request in miniflare.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";

const OUT = join(import.meta.dirname, "..", "dist", "docs");
const FILES = ["swagger-ui-bundle.js", "swagger-ui.css"];

/** Does nothing when the files of this version of swagger-ui-dist are there. */
export async function buildDocsUi(): Promise<void> {
  const manifest = createRequire(import.meta.url).resolve("swagger-ui-dist/package.json");
  const { version } = JSON.parse(await readFile(manifest, "utf8")) as { version: string };
  const stamp = join(OUT, `swagger-ui-${version}`);
  if (existsSync(stamp)) return;
  await mkdir(OUT, { recursive: true });
  await Promise.all(
    FILES.map(async (file) => {
      const target = join(OUT, `${file}.gz.bin`);
      await writeFile(`${target}.${process.pid}`, await promisify(gzip)(await readFile(join(dirname(manifest), file))));
      await rename(`${target}.${process.pid}`, target);
    }),
  );
  await writeFile(stamp, "");
}

/** As a globalSetup of vitest. */
export { buildDocsUi as setup };

if (process.argv[1] === import.meta.filename) await buildDocsUi();
