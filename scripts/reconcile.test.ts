/** `npm run verify` and `npm run replay` against a real local server, whose database and bucket are then tampered with. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { LOCAL_KEY, startLocal, type Local } from "./local";

let stateDir: string;
let local: Local;

beforeAll(async () => {
  stateDir = await mkdtemp(join(tmpdir(), "tollgate-verify-"));
  local = await startLocal({ port: 0, stateDir, cron: false });
});

afterAll(async () => {
  await local.close();
  await rm(stateDir, { recursive: true, force: true });
});

async function post(path: string, body: unknown): Promise<void> {
  const response = await fetch(new URL(`/api/v1/${path}`, local.url), {
    method: "POST",
    headers: { authorization: `Bearer ${LOCAL_KEY}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  expect(response.ok, await response.text()).toBe(true);
}

function run(script: "verify" | "replay"): Promise<{ exitCode: number; output: string }> {
  const env = { ...process.env, TOLLGATE_URL: local.url.origin, TOLLGATE_KEY: LOCAL_KEY, NODE_OPTIONS: "" };
  const command = ["--import", join(import.meta.dirname, "typescript.mjs"), join(import.meta.dirname, `${script}.ts`)];
  return new Promise((done) => {
    execFile(process.execPath, command, { env }, (error, stdout, stderr) =>
      done({ exitCode: error === null ? 0 : Number(error.code), output: stdout + stderr }),
    );
  });
}

/** Verify asks for the customers that the store has heard of. */
async function known(events: number): Promise<void> {
  const headers = { authorization: `Bearer ${LOCAL_KEY}` };
  await expect
    .poll(async () => (await (await fetch(new URL("/api/v1/status", local.url), { headers })).json()) as object, {
      timeout: 30_000,
    })
    .toMatchObject({ events });
}

const DAY_MS = 24 * 60 * 60_000;
const now = Date.now();

const event = (n: number, subject: string) => ({
  specversion: "1.0",
  id: `e${n}`,
  source: "test",
  type: "prompt",
  subject,
  time: new Date(now - (n % 3) * DAY_MS - n * 1_000).toISOString(),
  // Exact in every place, or it differs.
  data: { tokens: n + 0.1, model: `m${n % 2}`, type: "input" },
});

it("verify agrees until somebody tampers, names what differs, and replay repairs it from the logs", async () => {
  await post(
    "events",
    Array.from({ length: 300 }, (_, n) => event(n, `customer-${n % 3}`)),
  );
  // The same event at two objects that then become one, and corrections before and after.
  await post("events", [event(900, "east"), event(901, "east"), event(900, "west"), event(902, "west")]);
  await post("events/amend", { subject: "west", source: "test", id: "e902", reason: "wrong", data: { tokens: 7 } });
  await post("events/void", { subject: "customer-0", source: "test", id: "e0", reason: "a test call" });
  await post("customers", { name: "Both", key: "both", usageAttribution: { subjectKeys: ["east", "west"] } });
  const time = new Date(now - 9 * DAY_MS).toISOString();
  await post("events/amend", { subject: "west", source: "test", id: "e902", reason: "late", time });

  await known(303);
  const fresh = await run("verify");
  expect(fresh).toMatchObject({ exitCode: 0, output: expect.stringContaining("objects, store and archive agree") });
  expect(fresh.output).toContain("303 events of 4 customers");

  const db = (await local.miniflare.getD1Database("DB")) as unknown as D1Database;
  const tamper = async (sql: string) => expect((await db.prepare(sql).run()).meta.changes).toBeGreaterThan(0);
  await tamper(
    `update rollups set count = count + 1, sum = '1000000' where (namespace_id, meter_key, resolution, window_start, object, group_key) in
       (select namespace_id, meter_key, resolution, window_start, object, group_key from rollups where resolution = 'quarter' limit 1)`,
  );
  await tamper(
    `insert into rollups select namespace_id, meter_key, resolution, window_start - 900000000, object, group_key, count, sum, min, max, latest,
       latest_at, epoch, seq from rollups where resolution = 'quarter' and count > 0 limit 1`,
  );
  const tampered = await run("verify");
  expect(tampered.exitCode).toBe(1);
  expect(tampered.output).toMatch(/✗ .*meter tokens_total, group .*: object .*, store /);

  const replayed = await run("replay");
  expect(replayed).toMatchObject({ exitCode: 0, output: expect.stringMatching(/↻ .*: repaired: meter tokens_total/) });
  expect(replayed.output).toContain("objects, store and archive agree");
  const again = await run("replay");
  expect(again).toMatchObject({ exitCode: 0, output: expect.stringContaining("rollups are what they were before") });

  const bucket = (await local.miniflare.getR2Bucket("ARCHIVE")) as unknown as R2Bucket;
  const { objects } = await bucket.list({ prefix: "events/" });
  const [largest] = objects.toSorted((a, b) => b.size - a.size);
  await bucket.delete(largest!.key);
  const missing = await run("verify");
  expect(missing).toMatchObject({ exitCode: 1, output: expect.stringContaining(`${largest!.key} is missing`) });
  expect(missing.output).toMatch(/✗ .*: events: object \d+, archive \d+/);
}, 180_000);

it("says what to do when nobody answers", async () => {
  const env = { ...process.env, TOLLGATE_URL: "http://127.0.0.1:9", NODE_OPTIONS: "" };
  const command = ["--import", join(import.meta.dirname, "typescript.mjs"), join(import.meta.dirname, "verify.ts")];
  const stderr = await new Promise((done) => {
    execFile(process.execPath, command, { env }, (error, _, text) => done(`${String(error?.code)} ${text}`));
  });
  expect(stderr).toBe(
    "2 No Tollgate answers at http://127.0.0.1:9. Start one with `npm start`, or set TOLLGATE_URL.\n",
  );
});
