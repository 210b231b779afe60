/** `npm test` itself, on projects of two suites each: it must not call a run good in which something did not run. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "..");
const CONFIG = `const suite = (name) => ({ test: { name, include: [name + "/*.test.js"] } });
export default { test: { projects: [suite("first"), suite("second")] } };`;
const passing = `import { it } from "vitest"; it("passes", () => {});`;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tollgate-test-"));
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs scripts/test.ts on a project with these files, in a folder of its own. */
async function run(name: string, files: Record<string, string>): Promise<{ exitCode: number; output: string }> {
  const project = join(folder, name);
  for (const [file, text] of Object.entries({ "vitest.config.js": CONFIG, ...files })) {
    await mkdir(dirname(join(project, file)), { recursive: true });
    await writeFile(join(project, file), text);
  }
  const args = ["--import", join(ROOT, "scripts", "typescript.mjs"), join(ROOT, "scripts", "test.ts")];
  // Not the variables by which this run's own vitest knows itself.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([key]) => !/^(VITEST|NODE_OPTIONS|TEST$)/.test(key)),
  );
  return new Promise((done) => {
    execFile(process.execPath, args, { cwd: project, env }, (error, stdout) =>
      done({ exitCode: error === null ? 0 : Number(error.code), output: stdout.trimEnd() }),
    );
  });
}

describe("npm test", () => {
  it("passes when every suite ran and passed, and ends with the plain line", async () => {
    const { exitCode, output } = await run("good", { "first/a.test.js": passing, "second/a.test.js": passing });
    expect([exitCode, output.split("\n").at(-1)]).toEqual([0, "2 passed, 0 failed"]);
  });

  it("fails when a suite ran no test, and names it", async () => {
    const { exitCode, output } = await run("empty", { "first/a.test.js": passing });
    expect(output).toContain('Suite "second" ran no test.');
    expect([exitCode, output.split("\n").at(-1)]).toEqual([1, "1 passed, 1 failed"]);
  });

  it("fails when a test is skipped", async () => {
    const skipped = `import { it } from "vitest"; it("passes", () => {}); it.skip("sleeps", () => {});`;
    const { exitCode, output } = await run("skipped", { "first/a.test.js": passing, "second/a.test.js": skipped });
    expect(output).toContain("second/a.test.js > sleeps (skipped)");
    expect([exitCode, output.split("\n").at(-1)]).toEqual([1, "2 passed, 1 failed"]);
  });

  it("fails when a test file cannot be loaded", async () => {
    const broken = `import "./nowhere"; ${passing}`;
    const { exitCode, output } = await run("broken", {
      "first/a.test.js": passing,
      "second/a.test.js": passing,
      "second/b.test.js": broken,
    });
    expect(output).toContain("second/b.test.js");
    expect([exitCode, output.split("\n").at(-1)]).toEqual([1, "2 passed, 1 failed"]);
  });
});
