/** Features: one live one a key, and never one over a meter that is gone or has lost what the feature means. */
import { ulid } from "ulid";
import { expect, it } from "vitest";
import {
  archiveFeature,
  createFeature,
  featuresOfMeter,
  findFeature,
  listFeatures,
  refuseOtherFeatures,
  type FeatureList,
  type NewFeature,
} from "../features";
import { rememberAnswer } from "../idempotency";
import { deleteMeter, insertMeter, updateMeter } from "../meters";
import { commit, type Store } from "../store";
import { meter, newNamespace, NOW } from "./builders";

const feature = (of: Partial<NewFeature> = {}): NewFeature => ({
  id: ulid(),
  key: "chat",
  name: "Chat",
  meterId: null,
  meterKey: null,
  filters: null,
  unitCost: null,
  metadata: null,
  createdAt: NOW,
  updatedAt: NOW,
  ...of,
});
const ALL: FeatureList = {
  meterKeys: [],
  includeArchived: false,
  orderBy: "key",
  order: "ASC",
  offset: 0,
  limit: 1_000,
};

export function featureSuite(open: () => Store): void {
  const newMeter = async (namespaceId: string, key = "tokens") => {
    const row = meter({ key });
    await commit(open(), [insertMeter(open(), namespaceId, row)]);
    return row;
  };
  const keys = async (namespaceId: string, list: Partial<FeatureList> = {}) =>
    (await listFeatures(open(), namespaceId, { ...ALL, ...list })).items.map(({ key }) => key);

  it("is found by id and by key, as it was made", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const { id: meterId, key: meterKey } = await newMeter(namespaceId);
    const row = feature({
      meterId,
      meterKey,
      filters: { model: { $in: ["gpt-4", "ä'\""] } },
      unitCost: { type: "manual", amount: "0.25" },
      metadata: { team: "ä'\"" },
    });
    expect(await createFeature(store, namespaceId, row, NOW)).toEqual({ ok: true, value: null });
    for (const name of [row.id, row.key])
      expect(await findFeature(store, namespaceId, name)).toEqual({ ...row, namespaceId, archivedAt: null });
    const elsewhere = await newNamespace(store);
    for (const name of [row.id, row.key]) expect(await findFeature(store, elsewhere, name)).toBe(null);
    expect(await featuresOfMeter(store, elsewhere, meterId)).toEqual([]);
    expect(await archiveFeature(store, elsewhere, row.id, NOW)).toBe(false);
  });

  it("has its key alone until it is archived, which frees the key and hides the feature", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const [old, next] = [feature({ id: ulid(NOW) }), feature({ id: ulid(NOW + 1) })];
    await createFeature(store, namespaceId, old, null);
    const answer = { key: "k", route: "POST /x", bodyHash: "h", status: 201, response: "{}", createdAt: NOW };
    expect(await createFeature(store, namespaceId, next, null, rememberAnswer(store, namespaceId, answer))).toEqual({
      ok: false,
      refusal: { reason: "key_taken" },
    });
    expect(await archiveFeature(store, namespaceId, old.id, NOW + 5)).toBe(true);
    expect(await archiveFeature(store, namespaceId, old.id, NOW + 6)).toBe(false);
    expect(await findFeature(store, namespaceId, old.id)).toBe(null);
    expect(
      await createFeature(store, namespaceId, next, null, rememberAnswer(store, namespaceId, answer)),
    ).toMatchObject({ ok: true });
    expect((await findFeature(store, namespaceId, "chat"))?.id).toBe(next.id);
    const { items } = await listFeatures(store, namespaceId, { ...ALL, includeArchived: true, orderBy: "id" });
    expect(items.map(({ id, archivedAt, updatedAt }) => [id, archivedAt, updatedAt])).toEqual([
      [old.id, NOW + 5, NOW + 5],
      [next.id, null, NOW],
    ]);
    expect(
      await createFeature(store, namespaceId, feature({ key: "b" }), null, rememberAnswer(store, namespaceId, answer)),
    ).toMatchObject({ ok: false, refusal: { reason: "violation", table: "idempotency" } });
  });

  it("is listed in any order, by meter, and a page at a time", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const [tokens, calls] = [await newMeter(namespaceId), await newMeter(namespaceId, "calls")];
    const rows = [
      feature({ key: "c", name: "1", createdAt: NOW + 2, meterId: tokens.id, meterKey: "tokens" }),
      feature({ key: "a", name: "3", createdAt: NOW + 1, updatedAt: NOW + 1, meterId: calls.id, meterKey: "calls" }),
      feature({ key: "b", name: "2", createdAt: NOW + 3, updatedAt: NOW + 9 }),
    ];
    for (const row of rows) await createFeature(store, namespaceId, row, NOW);
    expect(await keys(namespaceId)).toEqual(["a", "b", "c"]);
    expect(await keys(namespaceId, { orderBy: "name" })).toEqual(["c", "b", "a"]);
    expect(await keys(namespaceId, { orderBy: "createdAt", order: "DESC" })).toEqual(["b", "c", "a"]);
    expect(await keys(namespaceId, { orderBy: "updatedAt", order: "DESC" })).toEqual(["b", "a", "c"]);
    expect(await keys(namespaceId, { meterKeys: ["tokens", "none"] })).toEqual(["c"]);
    expect(
      await keys(namespaceId, { meterKeys: Array.from({ length: 300 }, (_, n) => `m${n}`).concat("calls") }),
    ).toEqual(["a"]);
    expect(await listFeatures(store, namespaceId, { ...ALL, offset: 1, limit: 1 })).toMatchObject({
      items: [{ key: "b" }],
      totalCount: 3,
    });
  });

  it("is not made over a meter that was changed or deleted since it was read", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const { id: meterId, key: meterKey } = await newMeter(namespaceId);
    const changed = { ok: false, refusal: { reason: "meter_changed" } };
    await commit(store, [updateMeter(store, namespaceId, meterId, { name: "new" }, NOW + 1)]);
    expect(await createFeature(store, namespaceId, feature({ meterId, meterKey }), NOW)).toEqual(changed);
    expect(await createFeature(store, namespaceId, feature({ meterId, meterKey }), NOW + 1)).toMatchObject({
      ok: true,
    });
    await commit(store, [deleteMeter(store, namespaceId, meterId, NOW + 2)]);
    expect(await createFeature(store, namespaceId, feature({ key: "b", meterId, meterKey }), NOW + 1)).toEqual(changed);
    expect(await createFeature(store, namespaceId, feature({ key: "b", meterId, meterKey }), NOW + 2)).toEqual(changed);
    const elsewhere = await newNamespace(store);
    expect(await createFeature(store, elsewhere, feature({ meterId, meterKey }), NOW + 1)).toEqual(changed);
    expect(await keys(namespaceId)).toEqual(["chat"]);
  });

  it("makes a change of its meter fail that did not know of it", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const { id: meterId, key: meterKey } = await newMeter(namespaceId);
    const [known, archived] = [feature({ meterId, meterKey }), feature({ key: "old", meterId, meterKey })];
    for (const row of [known, archived]) await createFeature(store, namespaceId, row, NOW);
    await archiveFeature(store, namespaceId, archived.id, NOW);
    const change = (ids: string[]) =>
      store.batch([
        updateMeter(store, namespaceId, meterId, { name: "changed" }, NOW + 1),
        refuseOtherFeatures(store, namespaceId, meterId, ids),
      ]);
    expect(await change([])).toEqual({
      ok: false,
      refusal: { reason: "violation", table: "features", columns: ["key"] },
    });
    expect((await featuresOfMeter(store, namespaceId, meterId)).map(({ id }) => id)).toEqual([known.id]);
    expect(await change([known.id, archived.id])).toMatchObject({ ok: true });
    await archiveFeature(store, namespaceId, known.id, NOW);
    expect(await change([])).toMatchObject({ ok: true });
  });

  it("and the end of its meter never both happen, though many try at once", async () => {
    const store = open();
    for (let round = 0; round < 10; round++) {
      const namespaceId = await newNamespace(store);
      const { id: meterId, key: meterKey } = await newMeter(namespaceId);
      const [made, deleted] = await Promise.all([
        createFeature(store, namespaceId, feature({ meterId, meterKey }), NOW),
        store.batch([
          deleteMeter(store, namespaceId, meterId, NOW + 1),
          refuseOtherFeatures(store, namespaceId, meterId, []),
        ]),
      ]);
      expect([made.ok, deleted.ok]).toContain(true);
      expect([made.ok, deleted.ok]).toContain(false);
    }
  });
}
