/** What README.md tells a newcomer to paste, read out of README.md and sent to a fresh server. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Tollgate } from "../../sdk/index";
import { serve, type Server } from "./server";

const README = join(import.meta.dirname, "..", "..", "README.md");
const KEY = "tg_local";

let stateDir: string;
let server: Server;

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), "tollgate-readme-"));
  server = await serve(stateDir);
});

afterEach(async () => {
  await server.kill();
  await rm(stateDir, { recursive: true, force: true });
});

/** The lines `api <path> [-d '<body>']` of the README, as their function `api` sends them: a body makes it a POST. */
async function paste(): Promise<{ path: string; status: number; answer: unknown }[]> {
  const text = await readFile(README, "utf8");
  const answers = [];
  for (const [, path, body] of text.matchAll(/^api (\S+)(?: -d '([^']+)')?$/gm)) {
    const response = await fetch(`${server.url}/api/v1/${path}`, {
      headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
      ...(body !== undefined && { method: "POST", body }),
    });
    answers.push({ path: path!, status: response.status, answer: await response.json() });
  }
  return answers;
}

it("what the README says to paste does what it says, by HTTP and by the SDK", async () => {
  // 1,200 × 2.5 ÷ 10⁶ + 350 × 10 ÷ 10⁶
  const cost = { amount: "0.0065", currency: "CREDITS" };
  expect(await paste()).toMatchObject([
    { path: "burn-tables", status: 201, answer: { key: "credits", version: 1 } },
    { path: "wallets/user_123/grants", status: 201, answer: { amount: "500", kind: "paid" } },
    { path: "track", status: 200, answer: { duplicate: false, cost, wallet: { balance: "499.9935" } } },
    { path: "wallets/user_123", status: 200, answer: { balance: "499.9935", status: "ACTIVE" } },
  ]);

  const tg = new Tollgate({ apiKey: KEY, baseUrl: server.url });
  await tg.track({
    userId: "user_123",
    feature: "gpt-4-completion",
    usage: { inputTokens: 1200, outputTokens: 350 },
  });
  expect(await tg.wallets.get("user_123")).toMatchObject({
    userId: "user_123",
    balance: 499.987,
    currency: "CREDITS",
    status: "ACTIVE",
    lastTransaction: { amount: -0.0065, reason: "gpt-4-completion", timestamp: expect.any(String) },
    exact: { balance: "499.987", lastTransaction: { amount: "-0.0065" } },
  });
});
