/** The store on D1, inside workerd; and what only D1 promises: what a query costs. */
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { findApiKey, findPrincipal, listApiKeys, rotateApiKey, touchApiKey } from "./api-keys";
import { applyRating } from "./apply-rating";
import { countUnrated, listUnrated } from "./attention";
import { listBurnTables, listBurnTableVersions } from "./burn-tables";
import { currentConfig, publishConfig, readSnapshot } from "./config";
import { findCustomer, listCustomers } from "./customers";
import { countUnreplayed, findDeadLetter, listDeadLetters } from "./dead-letters";
import { claimKey, findAnswer, purgeAnswers } from "./idempotency";
import { findMeter, listMeters } from "./meters";
import { findNamespace } from "./namespaces";
import { findObject, listObjects } from "./objects";
import { purgeMinutes, totalByMeter } from "./rollups";
import { openStore, type Store } from "./store";
import { storeSuite } from "./suite";
import { apiKey, newNamespace, rating, rollup } from "./suite/builders";
import { findWallet } from "./wallets";

storeSuite("D1", () => openStore({ DB: env.DB }));

/** Runs some queries and answers SQLite's plan for each statement they sent. */
async function plansOf(run: (store: Store) => Promise<unknown>): Promise<{ sql: string; steps: string[] }[]> {
  const sent: string[] = [];
  const watched = {
    prepare: (sql: string) => {
      sent.push(sql);
      return env.DB.prepare(sql);
    },
    batch: (statements: D1PreparedStatement[]) => env.DB.batch(statements),
  } as D1Database;
  await run(openStore({ DB: watched }));
  return Promise.all(
    sent.map(async (sql) => {
      let place = 0;
      const explain = `explain query plan ${sql.replaceAll("?", () => `'${place++}'`)}`;
      const { results } = await env.DB.prepare(explain).all<{ detail: string }>();
      return { sql, steps: results.map(({ detail }) => detail) };
    }),
  );
}

describe("what the shared store costs on D1", () => {
  it("keeps every table without a rowid, so that the primary key is the table", async () => {
    const { results } = await env.DB.prepare("select name, sql from sqlite_master where type = 'table'").all<{
      name: string;
      sql: string;
    }>();
    const ours = results.filter(({ name }) => !/^(_cf_|sqlite_|d1_)/.test(name));
    expect(ours).toHaveLength(Object.keys(openStore(env).tables).length);
    expect(ours.filter(({ sql }) => !sql.endsWith("WITHOUT ROWID")).map(({ name }) => name)).toEqual([]);
  });

  it("writes one row for a new rollup, one for a newer one and none for a known one", async () => {
    const store = openStore(env);
    const namespaceId = await newNamespace(store);
    const message = (seq: number, rollups: number) =>
      rating({
        namespaceId,
        seq,
        rollups: Array.from({ length: rollups }, (_, n) => rollup({ windowStart: n * 60_000, count: seq })),
      });
    // The rest of a first message: the object, the customer, and the index entry of the customer's key.
    expect((await applyRating(store, [message(1, 0)])).rowsWritten).toBe(3);
    expect((await applyRating(store, [message(2, 50)])).rowsWritten).toBe(1 + 50);
    expect((await applyRating(store, [message(3, 50)])).rowsWritten).toBe(1 + 50);
    expect((await applyRating(store, [message(3, 50)])).rowsWritten).toBe(0);
  });

  it("writes one row for a wallet, and one more only while it has unpriced events", async () => {
    const store = openStore(env);
    const namespaceId = await newNamespace(store);
    const written = async (seq: number, unrated: number) => {
      const wallet = { balance: "1", held: "0", currency: "USD", status: "ACTIVE", unrated } as const;
      return (await applyRating(store, [rating({ namespaceId, seq, wallet })])).rowsWritten;
    };
    // The rest of each message is its object, and of the first one its customer and the index entry of that.
    expect(await written(1, 0)).toBe(3 + 1);
    expect(await written(2, 0)).toBe(1 + 1);
    expect(await written(3, 7)).toBe(1 + 2);
    expect(await written(4, 8)).toBe(1 + 2);
    expect(await written(5, 0)).toBe(1 + 1);
    expect(await written(6, 0)).toBe(1 + 1);
  });

  it("reads of the wallets only those with unpriced events, and those from the index alone", async () => {
    const plans = await plansOf(async (store) => {
      await listUnrated(store, "n", { afterId: null, limit: 10 });
      await listUnrated(store, "n", { afterId: "c", limit: 10 });
      await countUnrated(store, "n");
    });
    const index = "SEARCH wallets USING COVERING INDEX wallets_unrated";
    expect(plans.map(({ steps }) => steps)).toEqual([
      [`${index} (namespace_id=?)`],
      [`${index} (namespace_id=? AND customer_id>?)`],
      [`${index} (namespace_id=?)`],
    ]);
  });

  it("binds one parameter for any number of rows", async () => {
    const many = rating({
      namespaceId: "n",
      rollups: Array.from({ length: 1_500 }, (_, n) => rollup({ windowStart: n })),
    });
    const plans = await plansOf((store) => applyRating(store, [many]));
    expect(plans.map(({ sql }) => sql.split("?").length - 1)).toEqual([1, 1, 1]);
  });

  const page = { cursor: "a", limit: 10 };

  it("finds one row by its whole key, however large the namespace", async () => {
    const plans = await plansOf(async (store) => {
      await findPrincipal(store, "h");
      await findApiKey(store, "n", "k");
      await touchApiKey(store, "n", "k", 1);
      await rotateApiKey(store, "n", { id: "x", replacement: apiKey(), overlapEndsAt: 1, now: 1 });
      await currentConfig(store, "n");
      await readSnapshot(store, "n", 1);
      await findNamespace(store, "n");
      await findMeter(store, "n", "m");
      await findObject(store, "n", "o");
      await findCustomer(store, "n", "c");
      await findWallet(store, "n", "c");
      await findDeadLetter(store, "n", "d");
      await findAnswer(store, "n", "k", 1);
      await claimKey(store, "n", { key: "k", route: "", bodyHash: "", status: 0, response: "", createdAt: 1 });
    });
    const steps = plans.flatMap(({ sql, steps }) => steps.map((step) => ({ sql, step })));
    expect(steps.filter(({ step }) => step.startsWith("SCAN"))).toEqual([]);
    expect(steps.filter(({ step }) => step.endsWith("(namespace_id=?)"))).toEqual([]);
  });

  it("reads a list or a range from where it begins, and purges without a scan", async () => {
    const plans = await plansOf(async (store) => {
      await listApiKeys(store, "n", page);
      await listBurnTables(store, "n", page);
      await listBurnTableVersions(store, "n", "k", { cursor: "3", limit: 3 });
      await listMeters(store, "n", page);
      await listObjects(store, "n", page);
      await listCustomers(store, "n", page);
      await listDeadLetters(store, "n", page);
      await countUnreplayed(store, "n");
      await publishConfig(store, "n", 0, "{}", [], 1);
      await totalByMeter(store, "n", { resolution: "minute", from: 0, to: 1 });
      await totalByMeter(store, "n", { resolution: "minute", from: 0, to: 1, meterKey: "m" });
      await purgeMinutes(store, "n", 1, 1);
      await purgeAnswers(store, 1, 1);
    });
    // `keys` is the list of meter keys, found by one seek each.
    const scans = plans.flatMap(({ sql, steps }) =>
      steps.filter((step) => /^SCAN (?!keys)|TEMP B-TREE/.test(step)).map((step) => ({ sql, step })),
    );
    expect(scans).toEqual([]);
    const ranges = plans
      .filter(({ sql }) => /from "?rollups/.test(sql))
      .flatMap(({ steps }) => steps.filter((step) => step.includes("window_start")));
    expect(ranges).toHaveLength(4);
  });
});
