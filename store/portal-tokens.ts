/**
 * Portal tokens: which were given out, to whom and for how long. The tokens themselves are signed and stored nowhere; a row is what
 * makes one listed and revocable. `findPortalToken` is the one query behind a portal request; the edge caches its answer for 30 s.
 */
import { and, asc, desc, eq, isNull, lt, sql, type SQL } from "drizzle-orm";
import type { NamespaceKind } from "../schema/tables";
import { commit, type Statement, type Store } from "./store";

export interface PortalToken {
  id: string;
  subject: string;
  /** null: every meter. */
  meterSlugs: string[] | null;
  createdAt: number;
  expiresAt: number;
}

/** A token together with its namespace. */
export interface PortalAccess extends Omit<PortalToken, "createdAt"> {
  namespaceId: string;
  kind: NamespaceKind;
  configVersion: number;
  revokedAt: number | null;
  /** The namespace's. */
  closedAt: number | null;
}

export const insertPortalToken = (store: Store, namespaceId: string, token: PortalToken): Statement =>
  store.db.insert(store.tables.portalTokens).values({ ...token, namespaceId });

export async function findPortalToken(store: Store, namespaceId: string, id: string): Promise<PortalAccess | null> {
  const { portalTokens, namespaces } = store.tables;
  const [found] = await store.db
    .select({
      id: portalTokens.id,
      namespaceId: portalTokens.namespaceId,
      subject: portalTokens.subject,
      meterSlugs: portalTokens.meterSlugs,
      expiresAt: portalTokens.expiresAt,
      revokedAt: portalTokens.revokedAt,
      kind: namespaces.kind,
      configVersion: namespaces.configVersion,
      closedAt: namespaces.closedAt,
    })
    .from(portalTokens)
    .innerJoin(namespaces, eq(namespaces.id, portalTokens.namespaceId))
    .where(and(eq(portalTokens.namespaceId, namespaceId), eq(portalTokens.id, id)));
  return found ?? null;
}

/** Newest first, without those that were revoked. */
export async function listPortalTokens(store: Store, namespaceId: string, limit: number): Promise<PortalToken[]> {
  const { portalTokens } = store.tables;
  return store.db
    .select()
    .from(portalTokens)
    .where(and(eq(portalTokens.namespaceId, namespaceId), isNull(portalTokens.revokedAt)))
    .orderBy(desc(portalTokens.id))
    .limit(limit);
}

/** Of an id, of a subject, or of both: those that are both. None is none too many: revoking again changes nothing. */
export async function revokePortalTokens(
  store: Store,
  namespaceId: string,
  { id, subject }: { id?: string | undefined; subject?: string | undefined },
  at: number,
): Promise<void> {
  const { portalTokens } = store.tables;
  const conditions: SQL[] = [eq(portalTokens.namespaceId, namespaceId), isNull(portalTokens.revokedAt)];
  if (id !== undefined) conditions.push(eq(portalTokens.id, id));
  if (subject !== undefined) conditions.push(eq(portalTokens.subject, subject));
  await commit(store, [
    store.db
      .update(portalTokens)
      .set({ revokedAt: at })
      .where(and(...conditions)),
  ]);
}

/** How long an expired token is still listed, at least. */
export const EXPIRED_TOKEN_MS = 31 * 24 * 60 * 60_000;

/**
 * Deletes tokens that are older than `idBefore` (a ULID: its first characters are a time) and expired before `at`, at most `rowsMax`;
 * answers how many. Most live for an hour, so what lies before that id and has not expired is little, and no index is needed.
 */
export async function purgePortalTokens(
  store: Store,
  namespaceId: string,
  { idBefore, at, rowsMax }: { idBefore: string; at: number; rowsMax: number },
): Promise<number> {
  const { portalTokens } = store.tables;
  const expired = store.db
    .select({ id: portalTokens.id })
    .from(portalTokens)
    .where(
      and(eq(portalTokens.namespaceId, namespaceId), lt(portalTokens.id, idBefore), lt(portalTokens.expiresAt, at)),
    )
    .orderBy(asc(portalTokens.id))
    .limit(rowsMax);
  const { changes } = await commit(store, [
    store.db
      .delete(portalTokens)
      .where(and(eq(portalTokens.namespaceId, namespaceId), sql`${portalTokens.id} in ${expired}`)),
  ]);
  return changes[0] ?? 0;
}
