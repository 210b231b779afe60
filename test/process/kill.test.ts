import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { serve, type Server } from "./server";

/** Enough that the log has rows of every age: merged, checkpointed and not yet. */
const ACKNOWLEDGED_MIN = 300;
const WRITERS = 6;
const BATCH = 20;

let stateDir: string;
let server: Server;

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), "tollgate-kill-"));
  server = await serve(stateDir);
});

afterEach(async () => {
  await server.kill();
  await rm(stateDir, { recursive: true, force: true });
});

const headers = { authorization: "Bearer tg_local", "content-type": "application/json" };
const call = async (path: string, body?: unknown, type = "application/json") => {
  const response = await fetch(`${server.url}${path}`, {
    headers: { ...headers, "content-type": type },
    ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: (text === "" ? null : JSON.parse(text)) as Record<string, unknown> };
};

const track = (id: string) =>
  call("/api/v1/track", { customer: "singles", feature: "chat", usage: { tokens: 1 }, source: "kill", id });
const ingest = (ids: string[]) =>
  call(
    "/api/v1/events",
    ids.map((id) => ({
      specversion: "1.0",
      id,
      source: "kill",
      type: "chat",
      subject: "batches",
      data: { usage: { tokens: 1 } },
    })),
    "application/cloudevents-batch+json",
  );
const balance = async (customer: string) => (await call(`/api/v1/wallets/${customer}`)).body.balance;

it("keeps every acknowledged event, once, by both roads, when the process is killed under load", async () => {
  const made = await call("/api/v1/burn-tables", {
    key: "credits",
    currency: "CREDITS",
    effectiveFrom: "2020-01-01T00:00:00Z",
    rules: [{ dimension: "tokens", rate: 1, per: 1 }],
  });
  expect(made.status).toBe(201);

  const sent = { singles: [] as string[], batches: [] as string[][] };
  const acknowledged = { singles: new Set<string>(), batches: new Set<string[]>() };
  let enough: () => void = () => {};
  const loaded = new Promise<void>((done) => (enough = done));
  const writer = async (name: number) => {
    for (let i = 0; ; i++) {
      const single = `${name}.${i}`;
      const batch = Array.from({ length: BATCH }, (_, n) => `${name}.${i}.${n}`);
      sent.singles.push(single);
      sent.batches.push(batch);
      // Ends when the killed server refuses the connection.
      const answers = await Promise.all([track(single), ingest(batch)]);
      expect(answers.map(({ status }) => status)).toEqual([200, 204]);
      acknowledged.singles.add(single);
      acknowledged.batches.add(batch);
      if (acknowledged.singles.size >= ACKNOWLEDGED_MIN) enough();
    }
  };
  const writers = Promise.allSettled(Array.from({ length: WRITERS }, (_, name) => writer(name)));
  await loaded;
  await server.kill();
  // Each ended by the broken connection, before or in the middle of an answer; never by an answer of the wrong status.
  for (const ended of await writers) {
    expect(ended).toMatchObject({
      status: "rejected",
      reason: { name: "TypeError", message: expect.stringMatching(/^(fetch failed|terminated)$/) },
    });
  }

  server = await serve(stateDir);
  for (const id of acknowledged.singles)
    expect(await track(id)).toMatchObject({ status: 200, body: { duplicate: true } });
  // What was under way may be there or not; sending it again settles it, and changes nothing of the rest.
  for (const id of sent.singles) expect((await track(id)).status).toBe(200);
  const kept = -Number(await balance("batches"));
  expect(kept).toBeGreaterThanOrEqual(acknowledged.batches.size * BATCH);
  for (const batch of sent.batches) expect((await ingest(batch)).status).toBe(204);
  expect(await balance("singles")).toBe(String(-sent.singles.length));
  expect(await balance("batches")).toBe(String(-sent.batches.length * BATCH));
  for (const customer of ["singles", "batches"]) {
    expect((await call(`/api/v1/wallets/${customer}/transactions/verify`)).body).toMatchObject({ valid: true });
  }
}, 120_000);
