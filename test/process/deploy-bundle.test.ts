/** What `wrangler deploy` would upload: the launcher's keys cannot exist there, because no module of it spells them. */
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "..", "..");
let outDir: string;
let modules: { name: string; text: string }[];

beforeAll(async () => {
  outDir = await mkdtemp(join(tmpdir(), "tollgate-bundle-"));
  const wrangler = join(ROOT, "node_modules", "wrangler", "bin", "wrangler.js");
  await promisify(execFile)(process.execPath, [wrangler, "deploy", "--dry-run", "--outdir", outDir], {
    cwd: ROOT,
    env: { ...process.env, WRANGLER_SEND_METRICS: "false" },
  });
  const files = (await readdir(outDir, { recursive: true, withFileTypes: true })).filter((file) => file.isFile());
  modules = await Promise.all(
    // The source map is not uploaded; what it quotes of comments is no code.
    files
      .filter(({ name }) => !name.endsWith(".map") && name !== "README.md")
      .map(async ({ name, parentPath }) => ({ name, text: await readFile(join(parentPath, name), "latin1") })),
  );
});

afterAll(() => rm(outDir, { recursive: true, force: true }));

it("holds the Worker", () => {
  const code = modules.map(({ text }) => text).join("\n");
  for (const part of ["/api/v1/track", "/__local/seed", "durable-objects/customer.ts"]) expect(code).toContain(part);
});

it("spells no key of the local launcher", () => {
  for (const key of ["tg_local", "tg_admin_local", "tg_admin"]) {
    expect(
      modules.filter(({ text }) => text.includes(key)).map(({ name }) => name),
      key,
    ).toEqual([]);
  }
});
