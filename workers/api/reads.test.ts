/** Reads of names that nobody ever used: whatever is asked, nothing is made of it. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { objectName } from "../../core/object-name";
import { newTenant, startWorker } from "../harness";

const READS = 1_000;

const reads: ((name: string) => [method: string, path: string, body?: unknown])[] = [
  (name) => ["GET", `/api/v1/wallets/${name}`],
  (name) => ["GET", `/api/v1/wallets/${name}/grants`],
  (name) => ["GET", `/api/v1/wallets/${name}/transactions`],
  (name) => ["GET", `/api/v1/wallets/${name}/transactions/verify`],
  (name) => ["POST", "/api/v1/check", { customer: name, feature: "f", usage: { tokens: 1 } }],
  (name) => ["POST", "/api/v1/quote", { customer: name, feature: "f", usage: { tokens: 1 } }],
];

it("answers 1,000 reads of unknown names and leaves no row, in no object and not in the store", async () => {
  const worker = startWorker();
  const { apiKey: key, id } = await newTenant(worker);
  const rules = [{ dimension: "tokens", rate: 1, per: 1 }];
  await worker.call("POST", "/api/v1/burn-tables", { key, body: { key: "t", currency: "CREDITS", rules } });
  await worker.call("GET", "/api/v1/wallets/first", { key });
  const rows = async () => {
    const tables = await env.DB.prepare(
      "select name from sqlite_master where type = 'table' and name not like '\\_cf%' escape '\\'",
    ).all<{ name: string }>();
    return Promise.all(
      tables.results.map(async ({ name }) => [
        name,
        await env.DB.prepare(`select count(*) as n from "${name}"`).first("n"),
      ]),
    );
  };
  const before = await rows();

  const names = Array.from({ length: READS }, (_, i) =>
    i % 10 === 0 ? `01JD8ZQ6M5T9W3XK2V7B${String(100_000 + i)}` : `stranger-${i}`,
  );
  for (let start = 0; start < READS; start += 20) {
    const statuses = await Promise.all(
      names.slice(start, start + 20).map(async (name, i) => {
        const [method, path, body] = reads[(start + i) % reads.length]!(name);
        return [name, (await worker.call(method, path, { key, body })).status] as const;
      }),
    );
    for (const [name, status] of statuses) expect(status, name).toBe(name.startsWith("01") ? 404 : 200);
  }

  expect(await rows()).toEqual(before);
  for (const name of names) {
    const object = env.CUSTOMER.getByName(objectName(id, name, worker.context().sha256));
    const stored = await runInDurableObject(object, async (_, { storage }) => [
      storage.sql.exec("select name from sqlite_master where name not like '\\_cf%' escape '\\'").toArray(),
      await storage.getAlarm(),
    ]);
    expect(stored, name).toEqual([[], null]);
  }
}, 60_000);
