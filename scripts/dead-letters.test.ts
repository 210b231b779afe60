/** `npm run dead-letters` against a server whose spill queue gave a message up. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { LOCAL_KEY, startLocal, type Local } from "./local";

const LETTER = "01JD8ZQ6M5T9W3XK2V7B4C1N0R";
const REASON = "gave up after 20 attempts: the object was down";

let stateDir: string;
let local: Local;

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), "tollgate-letters-"));
  local = await startLocal({ port: 0, stateDir, cron: false });
});

afterEach(async () => {
  await local.close();
  await rm(stateDir, { recursive: true, force: true });
});

/** A dead letter with one event of the customer `late`. */
async function bury(): Promise<void> {
  const db = (await local.miniflare.getD1Database("DB")) as unknown as D1Database;
  const namespaceId = await db.prepare("select id from namespaces where key = 'default'").first<string>("id");
  const event = { id: "e1", source: "test", type: "chat", subject: "late", time: 0, data: { usage: { tokens: 1 } } };
  const spill = {
    v: 1,
    namespaceId,
    name: "late",
    configVersion: 0,
    eventsJson: JSON.stringify([event]),
    receivedAt: 1,
  };
  await db
    .prepare(
      `insert into dead_letters (id, namespace_id, queue, body, reason, attempts, created_at) values (?, ?, 'spill', ?, ?, 20, 1)`,
    )
    .bind(LETTER, namespaceId, JSON.stringify(spill), REASON)
    .run();
}

async function deadLetters(...args: string[]): Promise<string> {
  const env = { ...process.env, TOLLGATE_URL: local.url.origin, TOLLGATE_KEY: LOCAL_KEY, NODE_OPTIONS: "" };
  const script = join(import.meta.dirname, "dead-letters.ts");
  const command = ["--import", join(import.meta.dirname, "typescript.mjs"), script, ...args];
  return new Promise((done, failed) => {
    execFile(process.execPath, command, { env }, (error, stdout, stderr) =>
      error ? failed(new Error(stdout + stderr)) : done(stdout),
    );
  });
}

it("lists what a queue gave up with the reason, applies it again on request, and then has nothing waiting", async () => {
  await bury();
  expect(await deadLetters()).toMatch(new RegExp(`^${LETTER} .+ spill .*${REASON}\n1 waiting\n$`));
  expect(await deadLetters("replay")).toMatch(/^replayed .*\n1 waiting, 0 failed again\n$/);
  expect(await deadLetters()).toBe("0 waiting\n");
  const repeated = await fetch(new URL("/api/v1/track", local.url), {
    method: "POST",
    headers: { authorization: `Bearer ${LOCAL_KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ customer: "late", feature: "chat", usage: { tokens: 1 }, source: "test", id: "e1" }),
  });
  expect(await repeated.json()).toMatchObject({ duplicate: true });
});
