/** Portal tokens: a row says what a token may do, and keeps saying so until long after it ended. */
import { ulid } from "ulid";
import { expect, it } from "vitest";
import { closeNamespace } from "../namespaces";
import {
  findPortalToken,
  insertPortalToken,
  listPortalTokens,
  purgePortalTokens,
  revokePortalTokens,
  type PortalToken,
} from "../portal-tokens";
import { commit, type Store } from "../store";
import { DAY_MS, HOUR_MS, newNamespace, NOW } from "./builders";

const token = (of: Partial<PortalToken> = {}): PortalToken => ({
  id: ulid(of.createdAt ?? NOW),
  subject: "customer-1",
  meterSlugs: null,
  createdAt: NOW,
  expiresAt: (of.createdAt ?? NOW) + HOUR_MS,
  ...of,
});

export function portalTokenSuite(open: () => Store): void {
  const give = async (namespaceId: string, of: Partial<PortalToken> = {}) => {
    const row = token(of);
    await commit(open(), [insertPortalToken(open(), namespaceId, row)]);
    return row;
  };
  const listed = async (namespaceId: string, limit = 100) =>
    (await listPortalTokens(open(), namespaceId, limit)).map(({ id }) => id);

  it("is found with its namespace, in that namespace only", async () => {
    const store = open();
    const [ours, theirs] = [await newNamespace(store), await newNamespace(store)];
    const row = await give(ours, { meterSlugs: ["tokens", "ä'\""] });
    const { createdAt: _, ...access } = row;
    const found = { ...access, namespaceId: ours, kind: "live", configVersion: 0, revokedAt: null };
    expect(await findPortalToken(store, ours, row.id)).toEqual({ ...found, closedAt: null });
    expect(await findPortalToken(store, theirs, row.id)).toBe(null);
    await revokePortalTokens(store, theirs, { id: row.id }, NOW);
    await closeNamespace(store, ours, NOW + 1);
    expect(await findPortalToken(store, ours, row.id)).toEqual({ ...found, closedAt: NOW + 1 });
    expect(await listed(theirs)).toEqual([]);
  });

  it("is listed until it is revoked, the newest first", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const [a, b, c] = [
      await give(namespaceId, { createdAt: NOW - 3 }),
      await give(namespaceId, { createdAt: NOW - 2, subject: "customer-2" }),
      await give(namespaceId, { createdAt: NOW - 1 }),
    ];
    expect(await listed(namespaceId)).toEqual([c.id, b.id, a.id]);
    expect(await listed(namespaceId, 2)).toEqual([c.id, b.id]);
    await revokePortalTokens(store, namespaceId, { id: b.id, subject: "customer-1" }, NOW);
    expect(await listed(namespaceId)).toEqual([c.id, b.id, a.id]);
    await revokePortalTokens(store, namespaceId, { id: b.id }, NOW);
    await revokePortalTokens(store, namespaceId, { id: b.id }, NOW + 9);
    expect((await findPortalToken(store, namespaceId, b.id))?.revokedAt).toBe(NOW);
    await revokePortalTokens(store, namespaceId, { subject: "customer-1" }, NOW);
    expect(await listed(namespaceId)).toEqual([]);
  });

  it("is forgotten when it is old and has expired, some at a time", async () => {
    const store = open();
    const [namespaceId, other] = [await newNamespace(store), await newNamespace(store)];
    const old = { createdAt: NOW - 40 * DAY_MS };
    const [lasting, young] = [
      await give(namespaceId, { ...old, expiresAt: NOW + DAY_MS }),
      await give(namespaceId, { createdAt: NOW - HOUR_MS, expiresAt: NOW - 1 }),
    ];
    for (let n = 0; n < 3; n++) await give(namespaceId, old);
    await give(other, old);
    const purge = (rowsMax: number) =>
      purgePortalTokens(store, namespaceId, { idBefore: ulid(NOW - 31 * DAY_MS), at: NOW - 31 * DAY_MS, rowsMax });
    expect([await purge(2), await purge(2), await purge(2)]).toEqual([2, 1, 0]);
    expect(await listed(namespaceId)).toEqual([young.id, lasting.id]);
    expect(await listed(other)).toHaveLength(1);
  });
}
