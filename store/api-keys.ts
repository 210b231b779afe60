/**
 * API keys, by the sha-256 of the key: the key itself never gets here. `findPrincipal` is the one query behind every
 * request's authentication; the edge caches its answer for 30 s, and `keyState` judges it at the time of each request.
 */
import { and, desc, eq, gt, isNull, lt, or, sql } from "drizzle-orm";
import { ok, refuse, type Result } from "../core/result";
import type { NamespaceKind } from "../schema/tables";
import { pageOf, type Page, type PageRequest } from "./page";
import { commit, type Statement, type Store } from "./store";

/** "Last use" is kept to this, so that a busy key costs a write each five minutes and not one per request. */
export const LAST_USED_RESOLUTION_MS = 5 * 60_000;

export interface NewApiKey {
  id: string;
  name: string;
  prefix: string;
  /** Hex sha-256 of the key. */
  hash: string;
  scopes: string[];
  createdAt: number;
  expiresAt: number | null;
}

export interface ApiKey extends NewApiKey {
  namespaceId: string;
  revokedAt: number | null;
  lastUsedAt: number | null;
  replacedBy: string | null;
}

/** Who calls: a key together with its namespace. */
export interface Principal {
  keyId: string;
  namespaceId: string;
  kind: NamespaceKind;
  configVersion: number;
  scopes: string[];
  expiresAt: number | null;
  revokedAt: number | null;
  lastUsedAt: number | null;
  /** The namespace's. */
  closedAt: number | null;
}

export type KeyState = "active" | "expired" | "revoked" | "closed";

export function keyState(principal: Principal, now: number): KeyState {
  if (principal.closedAt !== null) return "closed";
  if (principal.revokedAt !== null) return "revoked";
  return principal.expiresAt !== null && principal.expiresAt <= now ? "expired" : "active";
}

export async function findPrincipal(store: Store, hash: string): Promise<Principal | null> {
  const { apiKeys, namespaces } = store.tables;
  const [principal] = await store.db
    .select({
      keyId: apiKeys.id,
      namespaceId: apiKeys.namespaceId,
      kind: namespaces.kind,
      configVersion: namespaces.configVersion,
      scopes: apiKeys.scopes,
      expiresAt: apiKeys.expiresAt,
      revokedAt: apiKeys.revokedAt,
      lastUsedAt: apiKeys.lastUsedAt,
      closedAt: namespaces.closedAt,
    })
    .from(apiKeys)
    .innerJoin(namespaces, eq(namespaces.id, apiKeys.namespaceId))
    .where(eq(apiKeys.hash, hash));
  return principal ?? null;
}

/** The insert alone, for the batch that also remembers the answer under an Idempotency-Key. */
export const insertApiKey = (store: Store, namespaceId: string, key: NewApiKey) =>
  store.db.insert(store.tables.apiKeys).values({ ...key, namespaceId });

export async function findApiKey(store: Store, namespaceId: string, id: string): Promise<ApiKey | null> {
  const { apiKeys } = store.tables;
  const [key] = await store.db
    .select()
    .from(apiKeys)
    .where(and(eq(apiKeys.namespaceId, namespaceId), eq(apiKeys.id, id)));
  return key ?? null;
}

/** Newest first, without those that were revoked. */
export async function listApiKeys(
  store: Store,
  namespaceId: string,
  { cursor, limit }: PageRequest,
): Promise<Page<ApiKey>> {
  const { apiKeys } = store.tables;
  const rows = await store.db
    .select()
    .from(apiKeys)
    .where(
      and(
        eq(apiKeys.namespaceId, namespaceId),
        isNull(apiKeys.revokedAt),
        cursor === null ? undefined : lt(apiKeys.id, cursor),
      ),
    )
    .orderBy(desc(apiKeys.id))
    .limit(limit + 1);
  return pageOf(rows, limit, (key) => key.id);
}

/** false: there is no such unrevoked key. */
export async function revokeApiKey(store: Store, namespaceId: string, id: string, at: number): Promise<boolean> {
  const { apiKeys } = store.tables;
  const { changes } = await commit(store, [
    store.db
      .update(apiKeys)
      .set({ revokedAt: at })
      .where(and(eq(apiKeys.namespaceId, namespaceId), eq(apiKeys.id, id), isNull(apiKeys.revokedAt))),
  ]);
  return changes[0] === 1;
}

export interface Rotation {
  /** The key that is replaced. */
  id: string;
  replacement: NewApiKey;
  /** The old key lives until then, or until its own expiry if that is earlier. */
  overlapEndsAt: number;
  now: number;
}

/**
 * Puts a new key beside the old one, which expires when the overlap ends. A key is rotated once: of two at the same time one wins,
 * and a revoked, expired or already replaced key is `not_rotatable`. Other violations are those of `statements`.
 */
export async function rotateApiKey(
  store: Store,
  namespaceId: string,
  { id, replacement, overlapEndsAt, now }: Rotation,
  statements: readonly Statement[] = [],
): Promise<Result<null, { reason: "not_rotatable" } | { reason: "violation"; table: string; columns: string[] }>> {
  const { apiKeys } = store.tables;
  const old = and(eq(apiKeys.namespaceId, namespaceId), eq(apiKeys.id, id));
  const retire = store.db
    .update(apiKeys)
    .set({
      replacedBy: replacement.id,
      expiresAt: sql`case when ${apiKeys.expiresAt} < ${overlapEndsAt} then ${apiKeys.expiresAt} else ${overlapEndsAt} end`,
    })
    .where(
      and(
        old,
        isNull(apiKeys.revokedAt),
        isNull(apiKeys.replacedBy),
        or(isNull(apiKeys.expiresAt), gt(apiKeys.expiresAt, now)),
      ),
    );
  // If the update above lost, this finds no namespace, NOT NULL fails, and the batch with it.
  const winner = sql<string>`(select namespace_id from api_keys where namespace_id = ${namespaceId} and id = ${id} and replaced_by = ${replacement.id})`;
  const insert = store.db.insert(apiKeys).values({ ...replacement, namespaceId: winner });
  const result = await store.batch([retire, insert, ...statements]);
  if (result.ok) return ok(null);
  return result.refusal.table === "api_keys" ? refuse({ reason: "not_rotatable" }) : result;
}

/** Notes that a key is in use. Costs a write only when the last note is five minutes old. */
export async function touchApiKey(store: Store, namespaceId: string, id: string, now: number): Promise<void> {
  const { apiKeys } = store.tables;
  const stale = or(isNull(apiKeys.lastUsedAt), lt(apiKeys.lastUsedAt, now - LAST_USED_RESOLUTION_MS));
  await commit(store, [
    store.db
      .update(apiKeys)
      .set({ lastUsedAt: now })
      .where(and(eq(apiKeys.namespaceId, namespaceId), eq(apiKeys.id, id), stale)),
  ]);
}
