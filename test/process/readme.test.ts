/** What README.md and docs/journal.md tell a newcomer to paste, read out of them and done with a fresh server. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Tollgate } from "../../sdk/index";
import { serve, type Server } from "./server";

const ROOT = join(import.meta.dirname, "..", "..");
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

/** As the README's function `api`: a body makes it a POST. */
async function api(path: string, body?: string): Promise<{ path: string; status: number; answer: unknown }> {
  const response = await fetch(`${server.url}/api/v1/${path}`, {
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    ...(body !== undefined && { method: "POST", body }),
  });
  const text = await response.text();
  return { path, status: response.status, answer: text === "" ? null : (JSON.parse(text) as unknown) };
}

it("what the README says to paste does what it says, by HTTP and by the SDK", async () => {
  const readme = await readFile(join(ROOT, "README.md"), "utf8");
  const answers = [];
  for (const [, path, body] of readme.matchAll(/^api (\S+)(?: -d '([^']+)')?$/gm)) answers.push(await api(path!, body));
  // 1,200 × 2.5 ÷ 10⁶ + 350 × 10 ÷ 10⁶
  const cost = { amount: "0.0065", currency: "CREDITS" };
  expect(answers).toMatchObject([
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

it("the program of docs/journal.md comes to the head that verify answers, and stops at an entry that was changed", async () => {
  const rules = [{ dimension: "tokens", rate: 1, per: 1 }];
  await api("burn-tables", JSON.stringify({ key: "t", currency: "CREDITS", rules }));
  await api("wallets/u/grants", JSON.stringify({ amount: "7.5", kind: "paid" }));
  const events = [1, 2, 3, 4].map((tokens) => ({
    specversion: "1.0",
    id: `e${tokens}`,
    source: "test",
    type: 'a "quoted" ☂ type',
    subject: "u",
    data: { usage: { tokens } },
  }));
  await api("events", JSON.stringify(events));
  await api("track", JSON.stringify({ customer: "u", feature: "f", usage: { tokens: "0.000000000001" } }));

  const listed = (await api("wallets/u/transactions")).answer as { items: { type: string; amount: string }[] };
  const oldestFirst = listed.items.toReversed();
  expect(oldestFirst.map(({ type }) => type).join(" ")).toBe("grant debit debit debit debit shortfall shortfall");
  const markdown = await readFile(join(ROOT, "docs", "journal.md"), "utf8");
  const program = /```ts\n([\s\S]+?)```/.exec(markdown)![1]!;
  const run = async (transactions: unknown): Promise<string> => {
    const file = join(stateDir, "check.mts");
    await writeFile(file, `const oldestFirst = ${JSON.stringify(transactions)};\n${program}\nconsole.log(head);\n`);
    return new Promise((done) => {
      execFile(process.execPath, [file], (error, stdout) => done(error ? error.message : stdout.trim()));
    });
  };
  const { head } = (await api("wallets/u/transactions/verify")).answer as { head: string };
  expect(await run(oldestFirst)).toBe(head);
  expect(await run(oldestFirst.with(2, { ...oldestFirst[2]!, amount: "-1.9" }))).toContain("was changed");
});
