/** Breaks every import rule and every ban once, in a copy of the folders, and expects oxlint to say so. */
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "..");
const IMPORTS = "eslint(no-restricted-imports)";
const PROPERTY = "eslint(no-restricted-properties)";

const use = (from: string, kind = "import") => `${kind} { a } from "${from}";\nexport const b = a;\n`;
const useType = (from: string) => `import type { A } from "${from}";\nexport type B = A;\n`;

const REFUSED: [file: string, source: string, rule: string][] = [
  ["core/a.ts", use("../store/x"), IMPORTS],
  ["core/b.ts", useType("../schema/x"), IMPORTS],
  ["core/c.ts", use("../workers/x"), IMPORTS],
  ["core/d.ts", use("zod"), IMPORTS],
  ["core/e.ts", use("node:crypto"), IMPORTS],
  ["core/f.ts", use("cloudflare:workers"), IMPORTS],
  ["core/g.ts", "export const a = Date.now();\n", PROPERTY],
  ["core/h.ts", "export const a = Math.random();\n", PROPERTY],
  ["core/i.ts", "export const a = crypto.randomUUID();\n", "eslint(no-restricted-globals)"],
  ["core/j.ts", `export const a = fetch("http://x");\n`, "eslint(no-restricted-globals)"],
  ["core/k.test.ts", use("../store/x"), IMPORTS],
  ["core/l.ts", "export const a = () => new Date();\n", "tollgate(no-clock)"],
  ["core/m.ts", "export const a = () => performance.now();\n", "eslint(no-restricted-globals)"],
  ["schema/a.ts", use("../core/x"), IMPORTS],
  ["schema/b.ts", use("../store/x"), IMPORTS],
  ["schema/contract/a.ts", use("../../durable-objects/x"), IMPORTS],
  ["schema/c.ts", use("hono"), IMPORTS],
  ["store/a.ts", use("../durable-objects/x"), IMPORTS],
  ["store/b.ts", use("../workers/x"), IMPORTS],
  ["store/c.ts", use("../providers/x"), IMPORTS],
  ["store/d.ts", use("cloudflare:workers"), IMPORTS],
  ["durable-objects/a.ts", use("../store/x"), IMPORTS],
  ["durable-objects/b.ts", use("../schema/tables"), IMPORTS],
  ["durable-objects/c.ts", use("../schema/contract/x"), IMPORTS],
  ["durable-objects/d.ts", use("../providers/payment/x"), IMPORTS],
  ["durable-objects/e.ts", use("../workers/x"), IMPORTS],
  ["durable-objects/f.ts", use("drizzle-orm"), IMPORTS],
  ["durable-objects/g.ts", use("node:fs"), IMPORTS],
  ["providers/a.ts", use("../schema/x"), IMPORTS],
  ["providers/b.ts", use("../store/x"), IMPORTS],
  ["providers/c.ts", use("cloudflare:workers"), IMPORTS],
  ["workers/a.ts", use("../sdk/x"), IMPORTS],
  ["workers/b.ts", use("../dashboard/x"), IMPORTS],
  ["workers/api/routes/a.ts", use("drizzle-orm"), IMPORTS],
  ["workers/api/routes/b.ts", use("../../../schema/tables"), IMPORTS],
  ["workers/c.ts", "export const a = (env: { DB: D1Database }) => env.DB.prepare('select 1');\n", PROPERTY],
  ["workers/d.ts", use("../scripts/x"), IMPORTS],
  ["sdk/a.ts", use("../schema/contract/x"), IMPORTS],
  ["sdk/b.ts", useType("../core/x"), IMPORTS],
  ["sdk/c.ts", useType("../schema/tables"), IMPORTS],
  ["sdk/d.ts", use("node:buffer"), IMPORTS],
  ["sdk/e.ts", use("zod"), IMPORTS],
  ["dashboard/a.ts", use("../core/x"), IMPORTS],
  ["scripts/a.ts", use("../workers/x"), IMPORTS],
  ["core/o.ts", "export const a = (x: any) => x as string;\n", "typescript(no-explicit-any)"],
  [
    "core/p.ts",
    "const f = async () => {};\nexport const g = () => {\n  f();\n};\n",
    "typescript(no-floating-promises)",
  ],
  ["core/q.test.ts", `import { it } from "vitest";\nit.only("a", () => {});\n`, "vitest(no-focused-tests)"],
  ["core/r.test.ts", `import { it } from "vitest";\nit.skip("a", () => {});\n`, "vitest(no-disabled-tests)"],
  ["core/s.ts", use("./t"), "import(no-cycle)"],
  ["core/t.ts", `export { b as a } from "./s";\n`, "import(no-cycle)"],
  [
    "core/u.ts",
    "export const f = (x: 'a' | 'b') => {\n  switch (x) {\n    case 'a':\n      return 1;\n  }\n  return 2;\n};\n",
    "typescript(switch-exhaustiveness-check)",
  ],
];

const ALLOWED: [file: string, source: string][] = [
  ["core/z1.ts", use("json-p3")],
  ["core/z2.ts", use("./z/x")],
  ["core/z3.test.ts", use("fast-check")],
  ["schema/z1.ts", useType("../core/x")],
  ["schema/z2.ts", use("drizzle-orm/sqlite-core")],
  ["schema/contract/z3.ts", use("../messages")],
  ["store/z1.ts", use("../schema/tables")],
  ["store/z2.ts", use("../core/x")],
  ["durable-objects/z1.ts", use("../core/x")],
  ["durable-objects/z2.ts", use("../schema/messages")],
  ["durable-objects/z3.ts", use("../providers/price-book")],
  ["durable-objects/z4.ts", use("../providers/price-book/genai-prices")],
  ["durable-objects/z5.ts", use("cloudflare:workers")],
  ["providers/z1.ts", use("../core/x")],
  ["workers/z1.ts", use("../durable-objects/x")],
  ["workers/api/routes/z2.ts", use("../../../schema/contract/x")],
  ["workers/z3.ts", use("cloudflare:workers")],
  ["sdk/z1.ts", useType("../schema/contract/x")],
  ["dashboard/z1.ts", use("../sdk/x")],
  ["test/z1.test.ts", use("../workers/x")],
];

let folder: string;
let found: { filename: string; code: string }[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tollgate-lint-"));
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
  await Promise.all(
    ["oxlint.config.ts", "tsconfig.json", "scripts/lint-rules.js"].map((file) =>
      cp(join(ROOT, file), join(folder, file)),
    ),
  );
  for (const [file, source] of [...REFUSED, ...ALLOWED]) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), source);
  }
  // Named, so that it does not lint its way through the linked node_modules.
  const folders = [...new Set([...REFUSED, ...ALLOWED].map(([file]) => file.split("/")[0] ?? ""))];
  const output = await new Promise<string>((done) => {
    execFile(
      join(ROOT, "node_modules/.bin/oxlint"),
      ["-f", "json", ...folders],
      { cwd: folder, maxBuffer: 2 ** 24 },
      (_, stdout) => done(stdout),
    );
  });
  found = (JSON.parse(output) as { diagnostics: typeof found }).diagnostics;
});

afterAll(() => rm(folder, { recursive: true, force: true }));

const rulesFor = (file: string) => found.filter(({ filename }) => filename === file).map(({ code }) => code);

describe("refuses", () => {
  it.each(REFUSED)("%s", (file, _, rule) => expect(rulesFor(file)).toContain(rule));
});

describe("accepts", () => {
  it.each(ALLOWED)("%s", (file) => expect(rulesFor(file)).toEqual([]));
});
