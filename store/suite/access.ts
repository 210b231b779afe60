/** Who may call: namespaces, keys, and the wall between tenants. */
import { ulid } from "ulid";
import { expect, it } from "vitest";
import {
  findApiKey,
  findPrincipal,
  insertApiKey,
  keyState,
  listApiKeys,
  revokeApiKey,
  rotateApiKey,
  touchApiKey,
  type NewApiKey,
  type Rotation,
} from "../api-keys";
import { findBurnTable, insertBurnTable, listBurnTables, listBurnTableVersions } from "../burn-tables";
import { currentConfig, publishConfig, readSnapshot } from "../config";
import { applyRating } from "../apply-rating";
import { findCustomer, listCustomers } from "../customers";
import { findDeadLetter, listDeadLetters, markReplayed, recordDeadLetters } from "../dead-letters";
import { claimKey, findAnswer } from "../idempotency";
import { deleteMeter, findMeter, insertMeter, listMeters, updateMeter } from "../meters";
import { closeNamespace, createNamespace, findNamespace, listNamespaces } from "../namespaces";
import { countObjects, findObject, listObjects } from "../objects";
import { purgeMinutes, totalByMeter } from "../rollups";
import { seedNamespace } from "../seed";
import { commit, type Store } from "../store";
import { findWallet, listWallets } from "../wallets";
import {
  ALL_CUSTOMERS,
  ALL_METERS,
  apiKey,
  burnTable,
  DAY_MS,
  everyPage,
  HOUR_MS,
  meter,
  MINUTE_MS,
  namespaceRow,
  newNamespace,
  NOW,
  rating,
  rollup,
} from "./builders";

const WHOLE = { cursor: null, limit: 100 };

export function accessSuite(open: () => Store): void {
  const newKey = async (namespaceId: string, of: Partial<NewApiKey> = {}): Promise<NewApiKey> => {
    const key = apiKey(of);
    await commit(open(), [insertApiKey(open(), namespaceId, key)]);
    return key;
  };
  const stateOf = async (key: NewApiKey, at: number) => {
    const principal = await findPrincipal(open(), key.hash);
    return principal && keyState(principal, at);
  };
  const rotation = (of: Partial<Rotation> & { id: string }): Rotation => ({
    replacement: apiKey(),
    overlapEndsAt: NOW + HOUR_MS,
    now: NOW,
    ...of,
  });

  it("shows nothing of one namespace to another, by any query", async () => {
    const store = open();
    const [ours, theirs] = [await newNamespace(store), await newNamespace(store)];
    const key = await newKey(ours);
    const counted = meter();
    await publishConfig(
      store,
      ours,
      0,
      "{}",
      [...insertBurnTable(store, ours, burnTable()), insertMeter(store, ours, counted)],
      NOW,
    );
    const message = rating({
      namespaceId: ours,
      rollups: [rollup({ windowStart: NOW - 40 * DAY_MS })],
      wallet: { balance: "5", held: "0", currency: "CREDITS", status: "ACTIVE", unrated: 0 },
    });
    await applyRating(store, [message]);
    const letter = {
      id: ulid(),
      namespaceId: ours,
      queue: "rating",
      body: "{}",
      reason: "?",
      attempts: 3,
      createdAt: NOW,
    };
    await recordDeadLetters(store, [letter]);
    await claimKey(store, ours, {
      key: "k",
      route: "POST /x",
      bodyHash: "h",
      status: 201,
      response: "{}",
      createdAt: NOW,
    });
    const before = await everything(store, ours, message.object, message.customer.id, counted.id, key.id, letter.id);

    expect(await everything(store, theirs, message.object, message.customer.id, counted.id, key.id, letter.id)).toEqual(
      {
        lists: [[], [], [], [], [], [], [], [], []],
        single: [null, null, null, null, null, null, null, null, null],
        config: { version: 0, snapshot: null },
        objects: { objects: 0, events: 0 },
      },
    );
    expect(await revokeApiKey(store, theirs, key.id, NOW)).toBe(false);
    expect(await rotateApiKey(store, theirs, rotation({ id: key.id }))).toEqual({
      ok: false,
      refusal: { reason: "not_rotatable" },
    });
    await touchApiKey(store, theirs, key.id, NOW);
    await commit(store, [
      updateMeter(store, theirs, counted.id, { name: "x" }, NOW),
      deleteMeter(store, theirs, counted.id, NOW),
    ]);
    await markReplayed(store, theirs, letter.id, NOW);
    expect(await purgeMinutes(store, theirs, NOW, 100)).toBe(0);
    expect(await everything(store, ours, message.object, message.customer.id, counted.id, key.id, letter.id)).toEqual(
      before,
    );
    expect(before.lists.every((list) => list.length === 1)).toBe(true);
    expect(before.single).not.toContain(null);
  });

  it("gives a namespace's key to one namespace for ever, also after it is closed", async () => {
    const store = open();
    const first = namespaceRow();
    expect(await createNamespace(store, first)).toEqual({ ok: true, value: null });
    expect(await createNamespace(store, namespaceRow({ key: first.key }))).toEqual({
      ok: false,
      refusal: { reason: "key_taken" },
    });
    expect(await closeNamespace(store, first.id, NOW)).toBe(true);
    expect(await closeNamespace(store, first.id, NOW + 1)).toBe(false);
    expect(await createNamespace(store, namespaceRow({ key: first.key }))).toMatchObject({ ok: false });
    expect(await findNamespace(store, first.key)).toEqual({ ...first, configVersion: 0, closedAt: NOW });
    expect(await findNamespace(store, first.id)).toMatchObject({ id: first.id });
  });

  it("makes a namespace together with its first key, or neither", async () => {
    const store = open();
    const [taken, key] = [namespaceRow(), apiKey()];
    await createNamespace(store, taken);
    const twin = namespaceRow({ key: taken.key });
    await createNamespace(store, twin, [insertApiKey(store, twin.id, key)]);
    expect(await findPrincipal(store, key.hash)).toBe(null);
    expect(await findApiKey(store, twin.id, key.id)).toBe(null);
    const free = namespaceRow();
    await createNamespace(store, free, [insertApiKey(store, free.id, key)]);
    expect(await findPrincipal(store, key.hash)).toMatchObject({ namespaceId: free.id, keyId: key.id });
  });

  it("lists open namespaces, newest first", async () => {
    const store = open();
    const ids = [
      await newNamespace(store, { id: ulid(NOW) }),
      await newNamespace(store, { id: ulid(NOW + 1) }),
      await newNamespace(store, { id: ulid(NOW + 2) }),
    ];
    await closeNamespace(store, ids[1]!, NOW);
    const listed = (await everyPage((page) => listNamespaces(store, page), 2)).map(({ id }) => id);
    expect(listed.filter((id) => ids.includes(id))).toEqual([ids[2], ids[0]]);
    expect(listed).toEqual([...listed].sort().reverse());
  });

  it("answers who a key is, with its namespace, by the hash alone", async () => {
    const store = open();
    const namespaceId = await newNamespace(store, { kind: "sandbox" });
    await publishConfig(store, namespaceId, 0, "{}", [], NOW);
    const key = await newKey(namespaceId, { scopes: ["read", "admin"], expiresAt: NOW + 1 });
    expect(await findPrincipal(store, key.hash)).toEqual({
      keyId: key.id,
      namespaceId,
      kind: "sandbox",
      configVersion: 1,
      scopes: ["read", "admin"],
      expiresAt: NOW + 1,
      revokedAt: null,
      lastUsedAt: null,
      closedAt: null,
    });
    expect(await findPrincipal(store, "sha256 of another key")).toBe(null);
    expect(await stateOf(key, NOW)).toBe("active");
    expect(await stateOf(key, NOW + 1)).toBe("expired");
  });

  it("refuses a second key with the same hash", async () => {
    const store = open();
    const key = await newKey(await newNamespace(store));
    expect(await store.batch([insertApiKey(store, await newNamespace(store), apiKey({ hash: key.hash }))])).toEqual({
      ok: false,
      refusal: { reason: "violation", table: "api_keys", columns: ["hash"] },
    });
  });

  it("rotates a key: both work through the overlap, then only the new one", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const old = await newKey(namespaceId);
    const change = rotation({ id: old.id });
    expect(await rotateApiKey(store, namespaceId, change)).toEqual({ ok: true, value: null });
    const states = async (at: number) => [await stateOf(old, at), await stateOf(change.replacement, at)];
    expect(await states(NOW)).toEqual(["active", "active"]);
    expect(await states(change.overlapEndsAt - 1)).toEqual(["active", "active"]);
    expect(await states(change.overlapEndsAt)).toEqual(["expired", "active"]);
    expect(await findApiKey(store, namespaceId, old.id)).toMatchObject({ replacedBy: change.replacement.id });
  });

  it("never lets an overlap outlive the old key's own expiry", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const old = await newKey(namespaceId, { expiresAt: NOW + MINUTE_MS });
    await rotateApiKey(store, namespaceId, rotation({ id: old.id }));
    expect(await stateOf(old, NOW + MINUTE_MS)).toBe("expired");
  });

  it("rotates a key once, also when many ask at the same time", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const old = await newKey(namespaceId);
    const changes = [1, 2, 3, 4].map(() => rotation({ id: old.id }));
    const results = await Promise.all(changes.map((change) => rotateApiKey(store, namespaceId, change)));
    const winners = changes.filter((_, place) => results[place]?.ok);
    expect(winners).toHaveLength(1);
    const listed = (await listApiKeys(store, namespaceId, WHOLE)).items.map(({ id }) => id);
    expect(listed.sort()).toEqual([old.id, winners[0]!.replacement.id].sort());
  });

  it("does not rotate a revoked, expired, replaced or unknown key", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const [revoked, expired, replaced] = [
      await newKey(namespaceId),
      await newKey(namespaceId, { expiresAt: NOW }),
      await newKey(namespaceId),
    ];
    await revokeApiKey(store, namespaceId, revoked.id, NOW);
    await rotateApiKey(store, namespaceId, rotation({ id: replaced.id }));
    for (const id of [revoked.id, expired.id, replaced.id, ulid()]) {
      expect(await rotateApiKey(store, namespaceId, rotation({ id }))).toEqual({
        ok: false,
        refusal: { reason: "not_rotatable" },
      });
    }
  });

  it("revokes a key once, and lists it no more", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const [kept, revoked] = [await newKey(namespaceId), await newKey(namespaceId)];
    expect(await revokeApiKey(store, namespaceId, revoked.id, NOW)).toBe(true);
    expect(await revokeApiKey(store, namespaceId, revoked.id, NOW + 1)).toBe(false);
    expect(await stateOf(revoked, NOW)).toBe("revoked");
    expect((await listApiKeys(store, namespaceId, WHOLE)).items.map(({ id }) => id)).toEqual([kept.id]);
  });

  it("stops every key of a closed namespace", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const key = await newKey(namespaceId);
    await closeNamespace(store, namespaceId, NOW);
    expect(await stateOf(key, NOW)).toBe("closed");
  });

  it("notes the last use of a key at most every five minutes", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const key = await newKey(namespaceId);
    const lastUse = async () => (await findApiKey(store, namespaceId, key.id))?.lastUsedAt;
    for (const [at, noted] of [
      [NOW, NOW],
      [NOW + 5 * MINUTE_MS, NOW],
      [NOW + 5 * MINUTE_MS + 1, NOW + 5 * MINUTE_MS + 1],
    ] as const) {
      await touchApiKey(store, namespaceId, key.id, at);
      expect(await lastUse()).toBe(noted);
    }
  });

  it("pages through keys newest first, each once, whatever is made meanwhile", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const ids = [1, 2, 3, 4, 5].map((n) => ulid(NOW + n));
    for (const id of ids) await newKey(namespaceId, { id });
    const first = await listApiKeys(store, namespaceId, { cursor: null, limit: 2 });
    await newKey(namespaceId, { id: ulid(NOW + DAY_MS) });
    const rest = await listApiKeys(store, namespaceId, { cursor: first.nextCursor, limit: 3 });
    expect([...first.items, ...rest.items].map(({ id }) => id)).toEqual(ids.reverse());
    expect(rest.nextCursor).toBe(null);
  });

  it("seeds a namespace and its keys as often as it is asked", async () => {
    const store = open();
    const [namespace, key] = [namespaceRow(), apiKey()];
    await seedNamespace(store, namespace, [key]);
    await seedNamespace(store, { ...namespace, id: ulid(), createdAt: NOW + 1 }, [{ ...key, id: ulid() }]);
    expect(await findPrincipal(store, key.hash)).toMatchObject({ namespaceId: namespace.id, keyId: key.id });
    expect(await findNamespace(store, namespace.key)).toMatchObject({ id: namespace.id, createdAt: NOW });
  });
}

/** What each query answers for a namespace. */
async function everything(
  store: Store,
  namespaceId: string,
  object: string,
  customerId: string,
  meterId: string,
  keyId: string,
  letterId: string,
) {
  return {
    lists: [
      (await listApiKeys(store, namespaceId, WHOLE)).items,
      (await listBurnTables(store, namespaceId, WHOLE)).items,
      (await listBurnTableVersions(store, namespaceId, "standard", WHOLE)).items,
      await listMeters(store, namespaceId, ALL_METERS),
      (await listObjects(store, namespaceId, WHOLE)).items,
      (await listCustomers(store, namespaceId, ALL_CUSTOMERS)).items,
      (await listWallets(store, namespaceId, WHOLE)).items,
      (await listDeadLetters(store, namespaceId, WHOLE)).items,
      await totalByMeter(store, namespaceId, { resolution: "minute", from: 0, to: NOW + 1 }),
    ],
    single: [
      await findApiKey(store, namespaceId, keyId),
      await findBurnTable(store, namespaceId, "standard"),
      await findMeter(store, namespaceId, meterId),
      await findObject(store, namespaceId, object),
      await findCustomer(store, namespaceId, customerId),
      await findWallet(store, namespaceId, customerId),
      await findDeadLetter(store, namespaceId, letterId),
      await findAnswer(store, namespaceId, "k", NOW),
      await readSnapshot(store, namespaceId, 1),
    ],
    config: await currentConfig(store, namespaceId),
    objects: await countObjects(store, namespaceId),
  };
}
