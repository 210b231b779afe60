/**
 * Objects whose data moves into another object: which, and whether it is done. The move itself is journaled in the object that moves
 * (durable-objects/); these rows are how the control plane finds it again, and why a query of the namespace waits.
 */
import { and, asc, eq, gt, isNull, or } from "drizzle-orm";
import { commit, type Store } from "./store";

export interface Merge {
  /** The source's name: an object moves into another once in its life. */
  id: string;
  /** Object names. */
  source: string;
  home: string;
}

/** The oldest first. */
export async function openMerges(store: Store, namespaceId: string, limit: number): Promise<Merge[]> {
  const { merges } = store.tables;
  return store.db
    .select({ id: merges.id, source: merges.source, home: merges.home })
    .from(merges)
    .where(and(eq(merges.namespaceId, namespaceId), isNull(merges.finishedAt)))
    .orderBy(asc(merges.startedAt))
    .limit(limit);
}

/** Until both objects' rollups have come through the queue, a finished merge may still show the same usage twice. */
export const SETTLED_AFTER_MS = 5_000;

/** Is the data of an object on its way into another, in the objects or in the rollups? */
export async function isMerging(store: Store, namespaceId: string, now: number): Promise<boolean> {
  const { merges } = store.tables;
  const inNamespace = eq(merges.namespaceId, namespaceId);
  const [moving] = await store.db
    .select({ id: merges.id })
    .from(merges)
    .where(
      or(and(inNamespace, isNull(merges.finishedAt)), and(inNamespace, gt(merges.finishedAt, now - SETTLED_AFTER_MS))),
    )
    .limit(1);
  return moving !== undefined;
}

/** Answers the merge of this source: the one that is asked for, or the one that there has been before. */
export async function startMerge(
  store: Store,
  namespaceId: string,
  { source, home }: Omit<Merge, "id">,
  now: number,
): Promise<Merge> {
  const { merges } = store.tables;
  const row = { namespaceId, id: source, source, home, startedAt: now };
  await commit(store, [store.db.insert(merges).values(row).onConflictDoNothing()]);
  const [merge] = await store.db
    .select({ id: merges.id, source: merges.source, home: merges.home })
    .from(merges)
    .where(and(eq(merges.namespaceId, namespaceId), eq(merges.id, source)));
  if (merge === undefined) throw new Error("a merge was started, yet there is none");
  return merge;
}

export async function finishMerge(store: Store, namespaceId: string, id: string, now: number): Promise<void> {
  const { merges } = store.tables;
  await commit(store, [
    store.db
      .update(merges)
      .set({ finishedAt: now })
      .where(and(eq(merges.namespaceId, namespaceId), eq(merges.id, id), isNull(merges.finishedAt))),
  ]);
}

/** Refused before anything moved: as if it had never been asked for. */
export async function abandonMerge(store: Store, namespaceId: string, id: string): Promise<void> {
  const { merges } = store.tables;
  await commit(store, [
    store.db
      .delete(merges)
      .where(and(eq(merges.namespaceId, namespaceId), eq(merges.id, id), isNull(merges.finishedAt))),
  ]);
}

/**
 * Where anything is left to be done for names or merges, of all namespaces, for the cron. One seek for each that has any, in the order of
 * what is left: sorted any other way, everything that is done would be read too.
 */
export async function namespacesToLink(store: Store, limit: number): Promise<string[]> {
  const { customerSubjects, merges } = store.tables;
  const firstUnlinked = (after: string) =>
    store.db
      .select({ id: customerSubjects.namespaceId })
      .from(customerSubjects)
      .where(and(isNull(customerSubjects.linkedAt), gt(customerSubjects.namespaceId, after)))
      .orderBy(asc(customerSubjects.namespaceId), asc(customerSubjects.createdAt))
      .limit(1);
  const firstUnmerged = (after: string) =>
    store.db
      .select({ id: merges.namespaceId })
      .from(merges)
      .where(and(isNull(merges.finishedAt), gt(merges.namespaceId, after)))
      .orderBy(asc(merges.namespaceId), asc(merges.startedAt))
      .limit(1);
  const found = new Set<string>();
  for (const first of [firstUnlinked, firstUnmerged]) {
    for (let [next] = await first(""); next !== undefined && found.size < limit; [next] = await first(next.id))
      found.add(next.id);
  }
  return [...found];
}
