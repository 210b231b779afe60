/**
 * Remembered answers: an Idempotency-Key belongs to one request of one namespace for 24 hours.
 * The row is written in the same batch as the change that it protects. A second request with the key meets the unique key, its
 * batch is refused as a whole, and it reads the first one's answer instead.
 */
import { and, eq, gt, lte, sql } from "drizzle-orm";
import { ok, refuse, type Result } from "../core/result";
import { commit, type Statement, type Store, type Violation } from "./store";

export const IDEMPOTENCY_MS = 24 * 60 * 60_000;

export interface RememberedAnswer {
  key: string;
  route: string;
  /** Hash of the request's body. */
  bodyHash: string;
  status: number;
  /** Sealed by the caller: it may hold a key that is shown once. */
  response: string;
  createdAt: number;
}

/** Goes into the batch of the change. */
export function rememberAnswer(store: Store, namespaceId: string, answer: RememberedAnswer): Statement[] {
  const { idempotency } = store.tables;
  const expiresAt = answer.createdAt + IDEMPOTENCY_MS;
  return [
    store.db
      .delete(idempotency)
      .where(
        and(
          eq(idempotency.namespaceId, namespaceId),
          eq(idempotency.key, answer.key),
          lte(idempotency.expiresAt, answer.createdAt),
        ),
      ),
    store.db.insert(idempotency).values({ ...answer, namespaceId, expiresAt }),
  ];
}

/** The batch was refused because its Idempotency-Key is in use: read the answer. */
export const isRepeat = (violation: Violation): boolean => violation.table === "idempotency";

/** null: the key is free at `now`. The caller compares route and body hash: another request under the same key is a conflict. */
export async function findAnswer(
  store: Store,
  namespaceId: string,
  key: string,
  now: number,
): Promise<RememberedAnswer | null> {
  const { idempotency } = store.tables;
  const [row] = await store.db
    .select({
      key: idempotency.key,
      route: idempotency.route,
      bodyHash: idempotency.bodyHash,
      status: idempotency.status,
      response: idempotency.response,
      createdAt: idempotency.createdAt,
    })
    .from(idempotency)
    .where(and(eq(idempotency.namespaceId, namespaceId), eq(idempotency.key, key), gt(idempotency.expiresAt, now)));
  return row ?? null;
}

/** Ties a key to a request that is harmless to repeat. Refused with the row that has the key already, whoever wrote it. */
export async function claimKey(
  store: Store,
  namespaceId: string,
  claim: RememberedAnswer,
): Promise<Result<null, RememberedAnswer>> {
  const result = await store.batch(rememberAnswer(store, namespaceId, claim));
  if (result.ok) return ok(null);
  const holder = await findAnswer(store, namespaceId, claim.key, claim.createdAt);
  if (holder === null) throw new Error("an Idempotency-Key was refused, yet nobody holds it");
  return refuse(holder);
}

/** Deletes expired answers of all namespaces, at most `rowsMax`; answers how many. For the cron. */
export async function purgeAnswers(store: Store, now: number, rowsMax: number): Promise<number> {
  const { idempotency } = store.tables;
  const expired = sql`(select namespace_id, key from idempotency where expires_at <= ${now} order by expires_at limit ${rowsMax})`;
  const { changes } = await commit(store, [store.db.delete(idempotency).where(sql`(namespace_id, key) in ${expired}`)]);
  return changes[0] ?? 0;
}
