/** `npm run demo` as a newcomer runs it: beside a fresh `npm start`, and then once more. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { serve, type Server } from "./server";

const ROOT = join(import.meta.dirname, "..", "..");

let stateDir: string;
let server: Server;

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), "tollgate-demo-"));
  server = await serve(stateDir);
});

afterEach(async () => {
  await server.kill();
  await rm(stateDir, { recursive: true, force: true });
});

async function demo(): Promise<{ exitCode: number | null; output: string }> {
  const env = { ...process.env, TOLLGATE_URL: server.url, TOLLGATE_KEY: "tg_local", NODE_OPTIONS: "" };
  const child = spawn("npm", ["run", "--silent", "demo"], { cwd: ROOT, env });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  }
  await once(child, "close");
  return { exitCode: child.exitCode, output };
}

/** What the server itself says of both customers: every balance, every entry, and the head of the hash chain over them. */
async function journals(): Promise<unknown> {
  const read = async (path: string): Promise<unknown> =>
    (await fetch(`${server.url}/api/v1/wallets/${path}`, { headers: { authorization: "Bearer tg_local" } })).json();
  return Promise.all(["code", "code/transactions/verify", "conv", "conv/transactions/verify"].map(read));
}

it("costs exactly 47.608895 and 96.791325, twice, and the second run changes nothing", async () => {
  const first = await demo();
  expect(first.exitCode, first.output).toBe(0);
  for (const claim of ["code cost exactly 47.608895 USD", "conv cost exactly 96.791325 USD", "28,185 events recorded"])
    expect(first.output).toContain(`✓ ${claim}`);
  const before = await journals();
  expect(before).toMatchObject([
    { balance: "52.391105", currency: "USD", unrated: 0 },
    { valid: true, entries: 8_820, balance: "52.391105" },
    { balance: "3.208675", currency: "USD", unrated: 0 },
    { valid: true, entries: 19_367, balance: "3.208675" },
  ]);

  const second = await demo();
  expect(second.exitCode, second.output).toBe(0);
  expect(second.output).toContain("✓ code cost exactly 47.608895 USD");
  expect(second.output).toContain("✓ conv cost exactly 96.791325 USD");
  expect(second.output).toContain("✓ nothing changed, 28,185 duplicates");
  expect(await journals()).toEqual(before);
}, 180_000);
