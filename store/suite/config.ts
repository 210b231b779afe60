/** Publishing configuration: one winner a version, all rows or none, snapshots that stay as long as anybody may ask. */
import { ulid } from "ulid";
import { expect, it } from "vitest";
import { findBurnTable, insertBurnTable, listBurnTables, listBurnTableVersions } from "../burn-tables";
import { currentConfig, publishConfig, readSnapshot, SNAPSHOT_BYTES_MAX, SUPERSEDED_SNAPSHOT_MS } from "../config";
import { deleteMeter, findMeter, insertMeter, listMeters, updateMeter } from "../meters";
import { closeNamespace } from "../namespaces";
import { sql } from "drizzle-orm";
import { commit, type Statement, type Store } from "../store";
import { ALL_METERS, burnTable, everyPage, meter, newNamespace, NOW } from "./builders";

const WHOLE = { cursor: null, limit: 100 };
const stale = { ok: false, refusal: { reason: "stale_version" } };

export function configSuite(open: () => Store): void {
  const publish = (namespaceId: string, from: number, statements: Statement[] = [], now = NOW) =>
    publishConfig(open(), namespaceId, from, `{"version":${from + 1}}`, statements, now);

  it("starts at version 0, with nothing published", async () => {
    expect(await currentConfig(open(), await newNamespace(open()))).toEqual({ version: 0, snapshot: null });
    expect(await currentConfig(open(), ulid())).toBe(null);
  });

  it("publishes the version, its snapshot and the rows it was made from together", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const row = meter();
    expect(await publish(namespaceId, 0, [insertMeter(store, namespaceId, row)])).toEqual({
      ok: true,
      value: { version: 1 },
    });
    expect(await currentConfig(store, namespaceId)).toEqual({ version: 1, snapshot: '{"version":1}' });
    expect(await findMeter(store, namespaceId, row.id)).toMatchObject({ ...row, deletedAt: null });
  });

  it("lets one of many publishers from the same version win; the others leave nothing behind", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    for (const from of [0, 1, 2]) {
      const tries = ["a", "b", "c", "d"].map((who) =>
        publish(namespaceId, from, [insertMeter(store, namespaceId, meter({ key: `${who}${from}` }))]),
      );
      const results = await Promise.all(tries);
      expect(results.filter(({ ok }) => ok)).toEqual([{ ok: true, value: { version: from + 1 } }]);
      expect(results.filter(({ ok }) => !ok)).toEqual([stale, stale, stale]);
      expect(await listMeters(store, namespaceId, ALL_METERS)).toHaveLength(from + 1);
    }
    expect((await currentConfig(store, namespaceId))?.version).toBe(3);
  });

  it("refuses to publish from any version but the namespace's own", async () => {
    const store = open();
    const [namespaceId, closed] = [await newNamespace(store), await newNamespace(store)];
    for (const from of [0, 1, 2]) await publish(namespaceId, from);
    await closeNamespace(store, closed, NOW);
    for (const [id, from] of [
      [namespaceId, 0],
      [namespaceId, 2],
      [namespaceId, 4],
      [closed, 0],
      [ulid(), 0],
    ] as const) {
      const row = meter();
      expect(await publish(id, from, [insertMeter(store, id, row)])).toEqual(stale);
      expect(await findMeter(store, id, row.id)).toBe(null);
    }
    expect(await currentConfig(store, namespaceId)).toEqual({ version: 3, snapshot: '{"version":3}' });
  });

  it("publishes nothing when one of its rows is refused, and says which", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    await publish(namespaceId, 0, [insertMeter(store, namespaceId, meter())]);
    expect(await publish(namespaceId, 1, [insertMeter(store, namespaceId, meter())])).toEqual({
      ok: false,
      refusal: { reason: "violation", table: "meters", columns: ["namespace_id", "key"] },
    });
    expect((await currentConfig(store, namespaceId))?.version).toBe(1);
    expect(await readSnapshot(store, namespaceId, 2)).toBe(null);
  });

  it("commits a batch as a whole, and throws what it did not expect", async () => {
    const store = open();
    const [namespaceId, row] = [await newNamespace(store), meter()];
    const broken = store.db.update(store.tables.meters).set({ name: sql`no_such_function(1)` });
    await expect(store.batch([insertMeter(store, namespaceId, row), broken])).rejects.toThrow("no_such_function");
    expect(await findMeter(store, namespaceId, row.id)).toBe(null);
    expect(await store.batch([])).toEqual({ ok: true, value: { changes: [], rowsWritten: 0 } });
    const { changes } = await commit(store, [
      insertMeter(store, namespaceId, row),
      updateMeter(store, namespaceId, ulid(), {}, NOW),
      updateMeter(store, namespaceId, row.id, {}, NOW),
    ]);
    expect(changes).toEqual([1, 0, 1]);
  });

  it("keeps a snapshot for an hour after it was superseded", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const DAY = 24 * SUPERSEDED_SNAPSHOT_MS;
    const kept = async () =>
      (await Promise.all([1, 2, 3, 4, 5].map((v) => readSnapshot(store, namespaceId, v)))).map(Boolean);
    await publish(namespaceId, 0, [], NOW);
    await publish(namespaceId, 1, [], NOW + DAY);
    await publish(namespaceId, 2, [], NOW + 2 * DAY);
    // Versions 1 and 2 are a day old; 2 was current until this moment, 1 was superseded a day ago.
    expect(await kept()).toEqual([false, true, true, false, false]);
    await publish(namespaceId, 3, [], NOW + 2 * DAY + SUPERSEDED_SNAPSHOT_MS);
    expect(await kept()).toEqual([false, true, true, true, false]);
    await publish(namespaceId, 4, [], NOW + 2 * DAY + SUPERSEDED_SNAPSHOT_MS + 1);
    expect(await kept()).toEqual([false, false, true, true, true]);
  });

  it("takes a snapshot up to a megabyte of UTF-8 and hands it back unchanged", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const largest = `${"€".repeat(Math.floor((SNAPSHOT_BYTES_MAX - 10) / 3))}"'\\\n\t`;
    expect(await publishConfig(store, namespaceId, 0, largest, [], NOW)).toMatchObject({ ok: true });
    expect((await currentConfig(store, namespaceId))?.snapshot === largest).toBe(true);
    expect(await publishConfig(store, namespaceId, 1, `${largest}€€€€€€€€€€`, [], NOW)).toMatchObject({
      ok: false,
      refusal: { reason: "snapshot_too_large", bytesMax: SNAPSHOT_BYTES_MAX },
    });
  });

  it("keeps every version of a burn table, lists the newest of each, and has one default", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const rows = [
      burnTable({ key: "b", isDefault: true }),
      burnTable({ key: "a" }),
      burnTable({ key: "b", version: 2, isDefault: true, body: "{2}" }),
      burnTable({ key: "b", version: 3, isDefault: true, body: "{3}" }),
      burnTable({ key: "a", version: 2, isDefault: true }),
    ];
    const flags = async () =>
      (await listBurnTableVersions(store, namespaceId, "b", WHOLE)).items.map(({ isDefault }) => isDefault);
    for (const row of rows.slice(0, 4)) await commit(store, insertBurnTable(store, namespaceId, row));
    expect(await flags()).toEqual([true, true, true]);
    await commit(store, insertBurnTable(store, namespaceId, rows[4]!));
    expect(await flags()).toEqual([false, false, false]);
    expect(await store.batch(insertBurnTable(store, namespaceId, rows[1]!))).toMatchObject({
      ok: false,
      refusal: { table: "burn_tables" },
    });

    const newest = await everyPage((page) => listBurnTables(store, namespaceId, page), 1);
    expect(newest).toMatchObject([
      { key: "a", version: 2, isDefault: true },
      { key: "b", version: 3, isDefault: false, body: "{3}" },
    ]);
    const versions = await everyPage((page) => listBurnTableVersions(store, namespaceId, "b", page), 2);
    expect(versions.map(({ version, body }) => [version, body])).toEqual([
      [3, "{3}"],
      [2, "{2}"],
      [1, '{"rules":[]}'],
    ]);
    expect(await findBurnTable(store, namespaceId, "b")).toMatchObject({ version: 3 });
    expect(await findBurnTable(store, namespaceId, "c")).toBe(null);
    expect(await listBurnTableVersions(store, namespaceId, "b", { cursor: "'; --", limit: 5 })).toEqual({
      items: [],
      nextCursor: null,
    });
  });

  it("frees a deleted meter's key, and changes nothing that is deleted", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const [old, next] = [meter({ name: "old" }), meter({ name: "next" })];
    await commit(store, [insertMeter(store, namespaceId, old), deleteMeter(store, namespaceId, old.id, NOW)]);
    await commit(store, [
      insertMeter(store, namespaceId, next),
      updateMeter(store, namespaceId, old.id, { name: "ghost" }, NOW),
    ]);
    await commit(store, [updateMeter(store, namespaceId, next.id, { metadata: { team: "ä'\"" } }, NOW + 5)]);
    expect(await findMeter(store, namespaceId, old.id)).toBe(null);
    expect(await findMeter(store, namespaceId, old.id, { deleted: true })).toMatchObject({
      name: "old",
      deletedAt: NOW,
    });
    expect(await findMeter(store, namespaceId, "tokens", { deleted: true })).toMatchObject({ id: next.id });
    expect(await findMeter(store, namespaceId, "tokens")).toEqual({
      ...next,
      namespaceId,
      metadata: { team: "ä'\"" },
      updatedAt: NOW + 5,
      foldedAt: null,
      deletedAt: null,
    });
  });

  it("orders a list by bytes, whatever the locale of the database", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const keys = ["a-b", "Zebra", "ähre", "a_b", "zebra", "a b", "ab", "10", "9", "_", "日本", "%", "'"];
    await commit(
      store,
      keys.map((key) => insertMeter(store, namespaceId, meter({ key }))),
    );
    const byBytes = [...keys].sort();
    const listed = await listMeters(store, namespaceId, ALL_METERS);
    expect(listed.map(({ key }) => key)).toEqual(byBytes);
  });
}
