/** The store on D1, inside workerd; and what only D1 promises: what a query costs. */
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { findApiKey, findPrincipal, listApiKeys, rotateApiKey, touchApiKey } from "./api-keys";
import { applyRating } from "./apply-rating";
import { listArchiveFiles, recordArchive, recordedFiles } from "./archive";
import { countUnrated, listUnrated } from "./attention";
import { listBurnTables, listBurnTableVersions } from "./burn-tables";
import { currentConfig, publishConfig, readSnapshot } from "./config";
import {
  claimsOn,
  homesOfSubject,
  markLinked,
  namesOf,
  ownersOf,
  subjectsOf,
  unlinkedNames,
} from "./customer-subjects";
import {
  createCustomer,
  customerIdsAmong,
  deleteCustomer,
  findCustomer,
  listCustomers,
  updateCustomer,
} from "./customers";
import { countUnreplayed, findDeadLetter, listDeadLetters } from "./dead-letters";
import { claimKey, findAnswer, purgeAnswers } from "./idempotency";
import { findMeter } from "./meters";
import { namespacesToLink, openMerges, startMerge } from "./merges";
import { findNamespace } from "./namespaces";
import { findObject, listObjects } from "./objects";
import { purgeMinutes, totalByMeter } from "./rollups";
import { daysWithRollups, objectsWithRollups, readRollups } from "./rollup-query";
import { openStore, type Store } from "./store";
import { storeSuite } from "./suite";
import { listSubjects, findSubject, saveSubjects, subjectsAmong } from "./subjects";
import { ALL_CUSTOMERS, apiKey, customer, newNamespace, rating, rollup } from "./suite/builders";
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
      await findCustomer(store, "n", "c", { deleted: true });
      await findSubject(store, "n", "s");
      await findWallet(store, "n", "c");
      await findDeadLetter(store, "n", "d");
      await findAnswer(store, "n", "k", 1);
      await claimKey(store, "n", { key: "k", route: "", bodyHash: "", status: 0, response: "", createdAt: 1 });
    });
    const steps = plans.flatMap(({ sql, steps }) => steps.map((step) => ({ sql, step })));
    expect(steps.filter(({ step }) => step.startsWith("SCAN"))).toEqual([]);
    expect(steps.filter(({ step }) => step.endsWith("(namespace_id=?)"))).toEqual([]);
  });

  it("records files of the archive by whole keys, and reads only parts that are ahead", async () => {
    const object = { name: "o", epoch: "e", customerId: "c", customerKey: "k", firstSeenAt: 1 };
    const plans = await plansOf(async (store) => {
      await recordArchive(store, "n", { files: [], parts: [], objects: [object] });
      await recordedFiles(store, "n", [{ day: 1, file: "f" }]);
    });
    const steps = plans
      .flatMap((plan) => plan.steps)
      .filter((step) => !/^(SCAN|LIST SUBQUERY|CREATE BLOOM)|^SCAN r/.test(step));
    expect(steps).toEqual([
      "SEARCH objects USING PRIMARY KEY (namespace_id=? AND name=?)",
      "SEARCH archive_parts USING PRIMARY KEY (namespace_id=? AND object=? AND epoch=? AND from_seq>?)",
      "SEARCH archive_files USING PRIMARY KEY (namespace_id=? AND day=? AND file=?)",
    ]);
  });

  it("reads a list or a range from where it begins, and purges without a scan", async () => {
    const plans = await plansOf(async (store) => {
      await listApiKeys(store, "n", page);
      await listBurnTables(store, "n", page);
      await listBurnTableVersions(store, "n", "k", { cursor: "3", limit: 3 });
      await listObjects(store, "n", page);
      await listSubjects(store, "n", { afterId: "a", limit: 10 });
      await unlinkedNames(store, "n", 10);
      await openMerges(store, "n", 10);
      await listDeadLetters(store, "n", page);
      await listArchiveFiles(store, "n", { cursor: "1 a", limit: 3 });
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

  it("seeks each window of a namespace's query, each day with usage, and the objects of a range", async () => {
    const plans = await plansOf(async (store) => {
      await readRollups(store, "n", {
        meterKey: "m",
        aggregation: "SUM",
        ranges: [{ window: 0, resolution: "quarter", from: 0, to: 1 }],
        dimensions: [0],
        rowsMax: 1,
      });
      await daysWithRollups(store, "n", { meterKey: "m", from: 0, to: 1, limit: 1 });
      await objectsWithRollups(store, "n", { meterKey: "m", resolution: "quarter", from: 0, to: 1, limit: 1 });
    });
    const steps = plans.map(({ steps: each }) => each.filter((step) => /rollups|objects/.test(step)));
    const sought = "(namespace_id=? AND meter_key=? AND resolution=? AND window_start>? AND window_start<?)";
    const range = `SEARCH rollups USING PRIMARY KEY ${sought}`;
    expect(steps).toEqual([
      [range],
      [range, range],
      [range, "SEARCH objects USING PRIMARY KEY (namespace_id=? AND name=?)"],
    ]);
  });

  it("finds customers, their names and their subjects by their keys, however many are asked for", async () => {
    const before = customer({ namespaceId: "n" });
    const claim = { customerId: "c", createdAt: 1, linkedAt: null, removedAt: null, home: "h", customerKey: null };
    const plans = await plansOf(async (store) => {
      await customerIdsAmong(store, "n", ["a", "b"]);
      await subjectsOf(store, "n", ["a", "b"]);
      await subjectsAmong(store, "n", ["a", "b"]);
      await ownersOf(store, "n", ["a", "b"]);
      await namesOf(store, before);
      await claimsOn(store, "n", "a");
      await homesOfSubject(store, "n", "a");
      await markLinked(store, "n", "a", [claim], 1);
      await startMerge(store, "n", { source: "a", home: "b" }, 1);
      await createCustomer(store, { ...before, key: "k" }, ["a", "b"], () => "s", []);
      await updateCustomer(store, before, { ...before, name: "x", key: "l", subjectKeys: ["b", "c"] }, () => "s", 1);
      await deleteCustomer(store, before, 1);
      await saveSubjects(store, "n", [], [{ id: "s", change: {} }], 1);
    });
    const steps = plans.flatMap(({ sql, steps }) => steps.map((step) => ({ sql, step })));
    // `r` is the list that was asked for.
    expect(steps.filter(({ step }) => /^SCAN (?!r )/.test(step))).toEqual([]);
    expect(steps.filter(({ step }) => step.endsWith("(namespace_id=?)"))).toEqual([]);
  });

  it("finds what is left to be linked in the indexes of that alone", async () => {
    const plans = await plansOf((store) => namespacesToLink(store, 10));
    expect([...new Set(plans.flatMap(({ steps }) => steps))]).toEqual([
      "SEARCH customer_subjects USING INDEX customer_subjects_unlinked (namespace_id>?)",
      "SEARCH merges USING INDEX merges_open (namespace_id>?)",
    ]);
  });

  it("looks through no more than the namespace for a list of customers, and sorts only what is not in order", async () => {
    const plans = await plansOf(async (store) => {
      await listCustomers(store, "n", { ...ALL_CUSTOMERS, key: "a", name: "b", primaryEmail: "c", subject: "d" });
      await listCustomers(store, "n", { ...ALL_CUSTOMERS, orderBy: "name" });
    });
    const steps = plans.map(({ steps }) => steps);
    expect(steps.flat().filter((step) => step.startsWith("SCAN"))).toEqual([]);
    expect(steps.map((list) => list.filter((step) => step.includes("TEMP B-TREE")).length)).toEqual([0, 0, 1, 0]);
  });
});
