/** How far a query got that its caller wants to follow: a row per query, for five minutes after its last step. */
import { and, eq, gt, lt, sql } from "drizzle-orm";
import type { Statement, Store } from "./store";

export const PROGRESS_MS = 5 * 60_000;

export interface Progress {
  success: number;
  failed: number;
  total: number;
  updatedAt: number;
}

/** The newest step replaces the one before; a step that arrives late changes nothing. */
export function saveProgress(store: Store, namespaceId: string, id: string, progress: Progress): Statement {
  const { progress: table } = store.tables;
  return store.db
    .insert(table)
    .values({ ...progress, namespaceId, id })
    .onConflictDoUpdate({
      target: [table.namespaceId, table.id],
      set: progress,
      setWhere: sql`excluded.updated_at > ${table.updatedAt}
        or (excluded.updated_at = ${table.updatedAt} and excluded.success >= ${table.success})`,
    });
}

/** null: nothing is known of it any more, or never was. */
export async function findProgress(
  store: Store,
  namespaceId: string,
  id: string,
  now: number,
): Promise<Progress | null> {
  const { progress } = store.tables;
  const [row] = await store.db
    .select({
      success: progress.success,
      failed: progress.failed,
      total: progress.total,
      updatedAt: progress.updatedAt,
    })
    .from(progress)
    .where(and(eq(progress.namespaceId, namespaceId), eq(progress.id, id), gt(progress.updatedAt, now - PROGRESS_MS)));
  return row ?? null;
}

/** Of every namespace: rows are few, because people follow few queries. */
export const purgeProgress = (store: Store, namespaceId: string, now: number): Statement =>
  store.db
    .delete(store.tables.progress)
    .where(
      and(eq(store.tables.progress.namespaceId, namespaceId), lt(store.tables.progress.updatedAt, now - PROGRESS_MS)),
    );
