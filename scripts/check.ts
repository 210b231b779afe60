/**
 * `npm run check`: everything that a machine can say about the sources without running them. All of it runs, also after a
 * failure, two at a time; the output of a check is shown only when it fails.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { styleText } from "node:util";
import { buildDocsUi } from "./docs-ui";

const ROOT = join(import.meta.dirname, "..");
const AT_ONCE_MAX = 2;

const CHECKS: [name: string, command: string][] = [
  ["types", "tsc -p ."],
  ["lint and import rules", "oxlint --format=unix"],
  ["format (npm run format)", "oxfmt --list-different ."],
  ["generated files fresh (npm run generate)", "node --import ./scripts/typescript.mjs scripts/generate.ts --check"],
  ["wrangler deploy --dry-run", "wrangler deploy --dry-run --outdir dist/deploy"],
];

await buildDocsUi();
const queue = CHECKS.values();
let failed = 0;
await Promise.all(
  Array.from({ length: AT_ONCE_MAX }, async () => {
    for (const [name, command] of queue) if (!(await run(name, command))) failed++;
  }),
);
process.exitCode = failed === 0 ? 0 : 1;

async function run(name: string, command: string): Promise<boolean> {
  const startMs = performance.now();
  const child = spawn(command, {
    cwd: ROOT,
    shell: true,
    // No colour, no telemetry, no question, no look for a newer version.
    env: {
      ...process.env,
      CI: "1",
      NO_COLOR: "1",
      FORCE_COLOR: undefined,
      WRANGLER_SEND_METRICS: "false",
      WRANGLER_HIDE_BANNER: "true",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text));
  const code = await new Promise<number | null>((done) => child.once("close", done));
  // wrangler deploys in spite of what it warns of.
  const passed = code === 0 && !output.includes("WARNING");
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  console.log(
    `${passed ? styleText("green", "✓") : styleText("red", "✗")} ${name} ${styleText("dim", `${seconds} s`)}`,
  );
  if (!passed) console.log(output.replaceAll(/^/gm, "    "));
  return passed;
}
