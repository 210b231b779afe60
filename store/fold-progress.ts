/**
 * How far the objects of a namespace are with folding their logs by its newest meters, as the store knows it: what decides whether the
 * rollups can answer for the whole namespace. Objects say it with their rating messages; a meter that all have folded is marked so.
 */
import { and, asc, eq, gt, isNull, lt, sql } from "drizzle-orm";
import { commit, type Store } from "./store";

/** Longer than any isolate works with an older configuration (30 s), and so may write into an object that is not behind yet. */
export const UNFOLDED_MS_MIN = 60_000;

export interface FoldProgress {
  /** Objects whose whole log is folded and sent. */
  done: number;
  total: number;
}

/** How many objects have folded by the meters of this configuration version. */
export async function foldProgress(store: Store, namespaceId: string, version: number): Promise<FoldProgress> {
  const { objects } = store.tables;
  const [counted] = await store.db
    .select({
      total: sql<number>`count(*)`.mapWith(Number),
      done: sql<number>`count(case when ${objects.foldedVersion} >= ${version} then 1 end)`.mapWith(Number),
    })
    .from(objects)
    .where(and(eq(objects.namespaceId, namespaceId), eq(objects.closed, false)));
  return counted ?? { done: 0, total: 0 };
}

export interface BehindObject {
  name: string;
  customerId: string;
}

/** Objects that have not, by name, those after `after`. */
export async function listBehind(
  store: Store,
  namespaceId: string,
  { version, after, limit }: { version: number; after: string | null; limit: number },
): Promise<BehindObject[]> {
  const { objects } = store.tables;
  return store.db
    .select({ name: objects.name, customerId: objects.customerId })
    .from(objects)
    .where(
      and(
        eq(objects.namespaceId, namespaceId),
        eq(objects.closed, false),
        lt(objects.foldedVersion, version),
        after === null ? undefined : gt(objects.name, after),
      ),
    )
    .orderBy(asc(objects.name))
    .limit(limit);
}

/**
 * Notes what an object said outside of its messages: by the meters of this version it has folded everything, and the store has it all.
 * A message of before may still come and set it back, which costs another question and nothing else.
 */
export async function noteFolded(store: Store, namespaceId: string, name: string, version: number): Promise<void> {
  const { objects } = store.tables;
  await commit(store, [
    store.db
      .update(objects)
      .set({ foldedVersion: version })
      .where(and(eq(objects.namespaceId, namespaceId), eq(objects.name, name), lt(objects.foldedVersion, version))),
  ]);
}

/** Of every namespace the newest definition that not all objects are known to have folded: for the job that goes on with them. */
export async function unfoldedNamespaces(
  store: Store,
  limit: number,
): Promise<{ namespaceId: string; version: number }[]> {
  const { meters } = store.tables;
  return (
    store.db
      .select({ namespaceId: meters.namespaceId, version: sql<number>`max(${meters.configVersion})`.mapWith(Number) })
      .from(meters)
      // As the partial index `meters_unfolded` has it, which covers this.
      .where(sql`${meters.foldedAt} is null and ${meters.deletedAt} is null`)
      .groupBy(meters.namespaceId)
      .limit(limit)
  );
}

/** Marks the meters that no object is behind with, once nobody can fall behind any more. From then on no query asks. */
export async function markFolded(store: Store, namespaceId: string, now: number): Promise<number> {
  const { meters } = store.tables;
  const isDone = sql`not exists (select 1 from objects where objects.namespace_id = ${namespaceId} and objects.closed = 0 and objects.folded_version < ${meters.configVersion})`;
  const { changes } = await commit(store, [
    store.db
      .update(meters)
      .set({ foldedAt: now })
      .where(
        and(
          eq(meters.namespaceId, namespaceId),
          isNull(meters.foldedAt),
          isNull(meters.deletedAt),
          lt(meters.updatedAt, now - UNFOLDED_MS_MIN),
          isDone,
        ),
      ),
  ]);
  return changes[0] ?? 0;
}
